//! The hash of a segment's frames while it grows: blake3, as a value that can be written down.
//!
//! ```text
//!   16 KiB   16 KiB   16 KiB   16 KiB   16 KiB   rest
//!     +--------+        +--------+        |       |
//!          +-----------------+            |     pending
//!                 value                 value
//! ```
//! blake3 is a tree of chunks. What is hashed already is kept as the values of whole subtrees, as
//! many as the number of 16 KiB parts has ones in binary. The hasher of the crate keeps the same
//! and does not hand it out.

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use model::{DecodeError, Reader};

/// Bytes that are hashed at once: 16 chunks of blake3, which one processor hashes side by side.
/// Frame by frame, half of the bytes would be hashed alone, at a fifth of the speed.
pub(super) const HASHED_AT_ONCE: usize = 16 << 10;

/// The hash of bytes that come one after the other. Memory: 17 KiB.
#[derive(Clone)]
pub(super) struct ContentHash {
    /// Of what is hashed already, largest first.
    subtrees: Vec<ChainingValue>,
    /// How many parts of [`HASHED_AT_ONCE`] that are.
    parts: u64,
    /// The last bytes: never none once there are any, because the last part takes part in the
    /// root, which is hashed otherwise.
    pending: Vec<u8>,
}

impl ContentHash {
    pub(super) fn new() -> ContentHash {
        let pending = Vec::with_capacity(HASHED_AT_ONCE);
        ContentHash { subtrees: Vec::new(), parts: 0, pending }
    }

    /// How many bytes there are.
    pub(super) fn bytes(&self) -> u64 {
        self.hashed() + self.pending.len() as u64
    }

    fn hashed(&self) -> u64 {
        self.parts * HASHED_AT_ONCE as u64
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        loop {
            let room = HASHED_AT_ONCE - self.pending.len();
            if bytes.len() <= room {
                return self.pending.extend_from_slice(bytes);
            }
            // Something follows, so that this is not the last part.
            let (part, rest) = bytes.split_at(room);
            if self.pending.is_empty() {
                self.push(part);
            } else {
                self.pending.extend_from_slice(part);
                let mut pending = std::mem::take(&mut self.pending);
                self.push(&pending);
                pending.clear();
                self.pending = pending;
            }
            bytes = rest;
        }
    }

    fn push(&mut self, part: &[u8]) {
        let mut value = subtree(part, self.hashed());
        self.parts += 1;
        let mut left = self.parts;
        while left.is_multiple_of(2) {
            let before = self.subtrees.pop().expect("as many as there are ones in the number");
            value = merge_subtrees_non_root(&before, &value, Mode::Hash);
            left /= 2;
        }
        self.subtrees.push(value);
    }

    /// The hash of all of it.
    pub(super) fn finish(&self) -> [u8; 32] {
        let Some((first, rest)) = self.subtrees.split_first() else {
            return *blake3::hash(&self.pending).as_bytes();
        };
        let mut value = subtree(&self.pending, self.hashed());
        for before in rest.iter().rev() {
            value = merge_subtrees_non_root(before, &value, Mode::Hash);
        }
        *merge_subtrees_root(first, &value, Mode::Hash).as_bytes()
    }

    /// Canonical bytes: the number of parts, the values, the bytes behind them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.parts.to_be_bytes());
        self.subtrees.iter().for_each(|value| out.extend(value));
        out.extend((self.pending.len() as u32).to_be_bytes());
        out.extend(&self.pending);
    }

    /// Reads canonical bytes of a hash of at least one byte.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<ContentHash, DecodeError> {
        let fits = |parts: u64| (parts < u64::MAX / HASHED_AT_ONCE as u64).then_some(parts);
        let parts = from.map("fewer than 2^50 parts", Reader::u64, fits)?;
        let subtrees =
            (0..parts.count_ones()).map(|_| from.array()).collect::<Result<_, DecodeError>>()?;
        let some = |bytes: u32| (1..=HASHED_AT_ONCE).contains(&(bytes as usize)).then_some(bytes);
        let bytes = from.map("1 to 16,384 bytes behind the last part", Reader::u32, some)?;
        let mut pending = Vec::with_capacity(HASHED_AT_ONCE);
        pending.extend_from_slice(from.take(bytes as usize)?);
        Ok(ContentHash { subtrees, parts, pending })
    }
}

fn subtree(bytes: &[u8], offset: u64) -> ChainingValue {
    Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn it_is_blake3_of_all_bytes_however_they_come_and_is_written_down_and_read_in_between() {
        let mut random = StdRng::seed_from_u64(11);
        let whole = HASHED_AT_ONCE;
        for size in [1, whole - 1, whole, whole + 1, 2 * whole, 7 * whole, 33 * whole + 5] {
            let mut bytes = vec![0; size];
            random.fill(&mut bytes[..]);
            let (mut hash, mut rest) = (ContentHash::new(), &bytes[..]);
            while !rest.is_empty() {
                let most = [1, 100, 4_096, whole, 3 * whole][random.gen_range(0..5)];
                let (next, behind) = rest.split_at(random.gen_range(1..=most).min(rest.len()));
                hash.update(next);
                let mut written = Vec::new();
                hash.write(&mut written);
                let mut from = Reader::new(&written);
                hash = ContentHash::read(&mut from).unwrap();
                assert_eq!(from.remaining(), 0);
                let done = size - behind.len();
                assert_eq!(hash.bytes(), done as u64);
                assert_eq!(hash.finish(), *blake3::hash(&bytes[..done]).as_bytes(), "{done}");
                rest = behind;
            }
        }
    }

    #[test]
    fn what_lacks_the_bytes_behind_the_last_part_is_refused() {
        let mut hash = ContentHash::new();
        hash.update(&[7; 3 * HASHED_AT_ONCE]);
        let mut written = Vec::new();
        hash.write(&mut written);
        assert_eq!(written.len(), 8 + 32 + 4 + HASHED_AT_ONCE);
        let mut none = written[..40].to_vec();
        none.extend([0; 4]);
        assert!(ContentHash::read(&mut Reader::new(&none)).is_err());
        for cut in [0, 7, 39, 43, written.len() - 1] {
            assert!(ContentHash::read(&mut Reader::new(&written[..cut])).is_err());
        }
    }
}
