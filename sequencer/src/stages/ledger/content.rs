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
//!
//! What is pending are readings. Where they are written down they are sealed, and their value
//! stands beside them: it is all that the hash of what is there needs. So a hash whose readings
//! were erased meanwhile is what it was, and only what comes behind them begins anew.

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
    /// Bytes of what is hashed already and stands as one hash before all others, because its last
    /// part was not to be had when more came.
    before: u64,
    /// Of what is hashed already, largest first.
    subtrees: Vec<ChainingValue>,
    /// How many parts of [`HASHED_AT_ONCE`] that are.
    parts: u64,
    rest: Rest,
}

/// The last bytes: never none once there are any, because the last part takes part in the root,
/// which is hashed otherwise.
#[derive(Clone)]
enum Rest {
    Open(Vec<u8>),
    Shut(ShutRest),
}

/// Bytes that are not to be had.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ShutRest {
    /// How many.
    pub(super) bytes: u32,
    /// Their value: of a subtree, or of the whole tree if nothing is before them.
    pub(super) value: [u8; 32],
    /// As they were sealed; nothing if they were not.
    pub(super) sealed: Option<Vec<u8>>,
}

impl ContentHash {
    pub(super) fn new() -> ContentHash {
        let rest = Rest::Open(Vec::with_capacity(HASHED_AT_ONCE));
        ContentHash { before: 0, subtrees: Vec::new(), parts: 0, rest }
    }

    /// How many bytes there are.
    pub(super) fn bytes(&self) -> u64 {
        let rest = match &self.rest {
            Rest::Open(bytes) => bytes.len() as u64,
            Rest::Shut(shut) => u64::from(shut.bytes),
        };
        self.before + self.hashed() + rest
    }

    fn hashed(&self) -> u64 {
        self.parts * HASHED_AT_ONCE as u64
    }

    /// The last bytes, if they are to be had.
    pub(super) fn rest(&self) -> Option<&[u8]> {
        match &self.rest {
            Rest::Open(bytes) => Some(bytes),
            Rest::Shut(_) => None,
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let mut pending = match std::mem::replace(&mut self.rest, Rest::Open(Vec::new())) {
            Rest::Open(pending) => pending,
            Rest::Shut(shut) => {
                self.rest = Rest::Shut(shut);
                return self.begin_anew(bytes);
            }
        };
        loop {
            let room = HASHED_AT_ONCE - pending.len();
            if bytes.len() <= room {
                pending.extend_from_slice(bytes);
                self.rest = Rest::Open(pending);
                return;
            }
            // Something follows, so that this is not the last part.
            let (part, rest) = bytes.split_at(room);
            if pending.is_empty() {
                self.push(part);
            } else {
                pending.extend_from_slice(part);
                self.push(&pending);
                pending.clear();
            }
            bytes = rest;
        }
    }

    /// The hash of what is there, and then these bytes: the tree cannot be gone on with.
    fn begin_anew(&mut self, bytes: &[u8]) {
        let (so_far, hash) = (self.bytes(), self.finish());
        *self = ContentHash::new();
        self.update(&hash);
        self.update(bytes);
        // Less the hash, which stands for them; a frame's header alone is as long.
        self.before = so_far.saturating_sub(hash.len() as u64);
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

    /// The value of the last bytes.
    fn value(&self) -> [u8; 32] {
        match &self.rest {
            Rest::Open(bytes) if self.parts == 0 => *blake3::hash(bytes).as_bytes(),
            Rest::Open(bytes) => subtree(bytes, self.hashed()),
            Rest::Shut(shut) => shut.value,
        }
    }

    /// The hash of all of it.
    pub(super) fn finish(&self) -> [u8; 32] {
        let mut value = self.value();
        let Some((first, rest)) = self.subtrees.split_first() else { return value };
        for before in rest.iter().rev() {
            value = merge_subtrees_non_root(before, &value, Mode::Hash);
        }
        *merge_subtrees_root(first, &value, Mode::Hash).as_bytes()
    }

    /// Canonical bytes, but for the last bytes themselves: bytes before, the number of parts, their
    /// values, how many bytes are behind them, and their value.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.before.to_be_bytes());
        out.extend(self.parts.to_be_bytes());
        self.subtrees.iter().for_each(|value| out.extend(value));
        // At most 16 KiB.
        out.extend(((self.bytes() - self.before - self.hashed()) as u32).to_be_bytes());
        out.extend(self.value());
    }

    /// What was kept of the last bytes where they are not to be had.
    pub(super) fn shut(&self) -> Option<&ShutRest> {
        match &self.rest {
            Rest::Open(_) => None,
            Rest::Shut(shut) => Some(shut),
        }
    }

    /// Reads canonical bytes of a hash of at least one byte, its last bytes not to be had yet.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<ContentHash, DecodeError> {
        let fits = |bytes: u64| (bytes < u64::MAX / 2).then_some(bytes);
        let before = from.map("fewer than 2^63 bytes before", Reader::u64, fits)?;
        let Parts { parts, subtrees, rest_bytes: bytes } = Parts::read(from)?;
        let shut = ShutRest { bytes, value: from.array()?, sealed: None };
        Ok(ContentHash { before, subtrees, parts, rest: Rest::Shut(shut) })
    }

    /// As version 1 wrote it, with the last bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none.
    pub(super) fn read_plain(from: &mut Reader<'_>) -> Result<ContentHash, DecodeError> {
        let Parts { parts, subtrees, rest_bytes } = Parts::read(from)?;
        let rest = Rest::Open(pending(from.take(rest_bytes as usize)?));
        Ok(ContentHash { before: 0, subtrees, parts, rest })
    }

    /// The last bytes are these; `None` if they are others.
    pub(super) fn opened(self, rest: &[u8]) -> Option<ContentHash> {
        let expected = self.value();
        let bytes = self.bytes();
        let opened = ContentHash { rest: Rest::Open(pending(rest)), ..self };
        (opened.bytes() == bytes && opened.value() == expected).then_some(opened)
    }

    /// The last bytes are not to be had; this is what was sealed of them.
    pub(super) fn kept_shut(mut self, sealed: Option<Vec<u8>>) -> ContentHash {
        let value = self.value();
        let bytes = (self.bytes() - self.before - self.hashed()) as u32;
        self.rest = Rest::Shut(ShutRest { bytes, value, sealed });
        self
    }
}

/// What both versions write alike.
struct Parts {
    parts: u64,
    subtrees: Vec<ChainingValue>,
    rest_bytes: u32,
}

impl Parts {
    fn read(from: &mut Reader<'_>) -> Result<Parts, DecodeError> {
        let fits = |parts: u64| (parts < u64::MAX / 2 / HASHED_AT_ONCE as u64).then_some(parts);
        let parts = from.map("fewer than 2^49 parts", Reader::u64, fits)?;
        let subtrees =
            (0..parts.count_ones()).map(|_| from.array()).collect::<Result<_, DecodeError>>()?;
        let some = |bytes: u32| (1..=HASHED_AT_ONCE).contains(&(bytes as usize)).then_some(bytes);
        let rest_bytes = from.map("1 to 16,384 bytes behind the last part", Reader::u32, some)?;
        Ok(Parts { parts, subtrees, rest_bytes })
    }
}

fn pending(bytes: &[u8]) -> Vec<u8> {
    let mut pending = Vec::with_capacity(HASHED_AT_ONCE);
    pending.extend_from_slice(bytes);
    pending
}

fn subtree(bytes: &[u8], offset: u64) -> ChainingValue {
    Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Written down and read, its last bytes at hand.
    fn again(hash: &ContentHash) -> ContentHash {
        let mut written = Vec::new();
        hash.write(&mut written);
        let mut from = Reader::new(&written);
        let read = ContentHash::read(&mut from).unwrap();
        assert_eq!(from.remaining(), 0);
        assert_eq!((read.bytes(), read.finish()), (hash.bytes(), hash.finish()), "without them");
        assert!(read.clone().opened(&[]).is_none() && read.clone().opened(&[1; 7]).is_none());
        read.opened(hash.rest().unwrap()).unwrap()
    }

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
                hash = again(&hash);
                let done = size - behind.len();
                assert_eq!(hash.bytes(), done as u64);
                assert_eq!(hash.finish(), *blake3::hash(&bytes[..done]).as_bytes(), "{done}");
                rest = behind;
            }
        }
    }

    /// Last bytes that are gone change no hash of what is there, and what comes behind them is
    /// hashed behind that hash.
    #[test]
    fn a_hash_without_its_last_bytes_is_what_it_was_and_goes_on_from_there() {
        for size in [100, HASHED_AT_ONCE, 3 * HASHED_AT_ONCE + 7] {
            let mut hash = ContentHash::new();
            hash.update(&vec![7; size]);
            let (expected, mut shut) = (hash.finish(), hash.clone().kept_shut(None));
            assert_eq!((shut.finish(), shut.bytes()), (expected, size as u64));
            shut.update(&[8; 50]);
            let anew = blake3::hash(&[&expected[..], &[8; 50]].concat());
            assert_eq!((shut.finish(), shut.bytes()), (*anew.as_bytes(), size as u64 + 50));
            let shut = again(&shut);
            assert_eq!((shut.finish(), shut.bytes()), (*anew.as_bytes(), size as u64 + 50));
        }
    }

    #[test]
    fn what_is_cut_or_has_no_bytes_behind_the_last_part_is_refused() {
        let mut hash = ContentHash::new();
        hash.update(&[7; 3 * HASHED_AT_ONCE]);
        let mut written = Vec::new();
        hash.write(&mut written);
        assert_eq!(written.len(), 8 + 8 + 32 + 4 + 32);
        let mut none = written.clone();
        none[48..52].fill(0);
        assert!(ContentHash::read(&mut Reader::new(&none)).is_err());
        for cut in [0, 7, 15, 47, 51, written.len() - 1] {
            assert!(ContentHash::read(&mut Reader::new(&written[..cut])).is_err());
        }
    }

    #[test]
    fn what_version_1_wrote_is_read() {
        let mut hash = ContentHash::new();
        hash.update(&[7; 3 * HASHED_AT_ONCE]);
        let mut written = 2_u64.to_be_bytes().to_vec();
        written.extend(hash.subtrees[0]);
        written.extend((HASHED_AT_ONCE as u32).to_be_bytes());
        written.extend([7; HASHED_AT_ONCE]);
        let read = ContentHash::read_plain(&mut Reader::new(&written)).unwrap();
        assert_eq!((read.finish(), read.bytes()), (hash.finish(), hash.bytes()));
        assert_eq!(read.rest().map(<[u8]>::len), Some(HASHED_AT_ONCE));
    }
}
