//! How lanes share the memory for frames without a receipt.

use wire::Lane;

/// The places for frames without a receipt, and what is taken of them: all in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) places: usize,
    /// By all lanes.
    pub(super) taken: usize,
    /// By backfill.
    pub(super) backfill: usize,
    /// Whether a stream of backfill goes on.
    pub(super) backfills: bool,
}

impl Memory {
    /// Bytes that a lane may take. As of credit (W.85), backfill leaves an eighth to the others,
    /// and live readings leave it one as long as it has a stream: else whoever comes first would
    /// keep the other waiting for its receipts, and again for those of what it sends then.
    pub(super) fn free(self, lane: Lane) -> usize {
        let (free, eighth) = (self.places.saturating_sub(self.taken), self.places / 8);
        match lane {
            Lane::Control => free,
            Lane::Live if !self.backfills => free,
            // What backfill has of its eighth already is taken.
            Lane::Live => free.saturating_sub(eighth.saturating_sub(self.backfill)),
            Lane::Backfill => free.min((self.places - eighth).saturating_sub(self.backfill)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams of live readings and of backfill, or of live readings alone.
    fn memory(live: usize, backfill: usize, backfills: bool) -> Memory {
        Memory { places: 800, taken: live + backfill, backfill, backfills }
    }

    fn free(memory: Memory) -> [usize; 3] {
        Lane::ALL.map(|lane| memory.free(lane))
    }

    #[test]
    fn backfill_leaves_an_eighth_and_is_left_one() {
        assert_eq!(free(memory(0, 0, true)), [800, 700, 700]);
        assert_eq!(free(memory(0, 700, true)), [100, 100, 0], "backfill came first");
        assert_eq!(free(memory(100, 700, true)), [0, 0, 0]);
        assert_eq!(free(memory(700, 0, true)), [100, 0, 100], "live readings came first");
        assert_eq!(free(memory(700, 40, true)), [60, 0, 60], "it has a part of its eighth");
        assert_eq!(free(memory(300, 400, true)), [100, 100, 100], "it has more than that");
    }

    #[test]
    fn without_a_stream_of_backfill_nothing_is_kept_for_it() {
        assert_eq!(free(memory(700, 0, false)), [100, 100, 100]);
    }
}
