//! Decisions out of bytes: a fuzzer changes bytes, and a sequence of calls is made of them.

use model::Millis;

/// Numbers at which something may go wrong that small ones do not reach.
const EDGES: [u64; 9] = [
    u8::MAX as u64,
    u16::MAX as u64,
    u32::MAX as u64,
    (1 << 44) - 2,
    i64::MAX as u64 - 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// Bytes that are used up from the front. Where they end, every decision is the first one.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(bytes)
    }

    /// Which of `count` things to do next; `None` at the end.
    pub(crate) fn step(&mut self, count: u8) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first % count)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u8) -> u8 {
        self.step(limit).unwrap_or(0)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Mostly a small number, sometimes one at an edge.
    pub(crate) fn number(&mut self) -> u64 {
        let byte = self.step(u8::MAX).unwrap_or(0);
        let edge = usize::from(byte).checked_sub(usize::from(u8::MAX) - EDGES.len());
        edge.map_or(u64::from(byte), |edge| EDGES[edge])
    }

    /// Number of a frame: from 1, below 2^63.
    pub(crate) fn sequence(&mut self) -> u64 {
        self.number().clamp(1, i64::MAX as u64)
    }

    /// A time around `now`.
    pub(crate) fn time(&mut self, now: Millis) -> Millis {
        match self.number() {
            // Within what 44 bits hold, whatever the source says.
            far if far > 1_000 => Millis::new(far.min((1 << 44) - 2)).unwrap_or(now),
            near => now.plus(1_000 * near),
        }
    }

    /// Up to `limit` bytes as they stand.
    pub(crate) fn bytes(&mut self, limit: u8) -> &'a [u8] {
        let count = usize::from(self.below(limit)).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// Two bytes as a place in something.
    pub(crate) fn place(&mut self) -> usize {
        usize::from(self.below(u8::MAX)) << 8 | usize::from(self.below(u8::MAX))
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bytes_are_themselves_and_the_largest_ones_are_edges() {
        let mut source = Source::new(&[0, 7, 245, 246, 254]);
        let numbers: Vec<_> = (0..6).map(|_| source.number()).collect();
        assert_eq!(numbers, [0, 7, 245, 255, u64::MAX, 0]);
        assert_eq!(source.step(3), None);
    }

    #[test]
    fn what_is_asked_for_beyond_the_end_is_as_much_as_there_is() {
        let mut source = Source::new(&[9, 1, 2]);
        assert_eq!(source.bytes(200), [1, 2]);
        assert_eq!((source.bytes(200), source.rest()), (&[][..], &[][..]));
    }
}
