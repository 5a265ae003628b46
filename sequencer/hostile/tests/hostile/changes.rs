//! Bytes that are nearly those of a sample, the same ones at each run.

/// Another byte, a byte less, a part once more, or an end that is missing.
pub(crate) fn change(mut bytes: Vec<u8>, random: &mut Seeded) -> Vec<u8> {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => drop(bytes.remove(at)),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(at..bytes.len().min(at + 64)),
            3 => bytes[at] ^= 1 << random.below(8),
            _ => bytes[at] = [random.below(256) as u8, 0, 1, 0x7f, 0x80, 0xff][random.below(6)],
        }
    }
    bytes
}

/// A small generator: the same seed gives the same numbers on every platform (splitmix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
