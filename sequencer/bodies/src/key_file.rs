//! The file of one epoch's keys, wrapped.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `VTLBKEY` and version 1 |
//! | 16 | id of the key folder |
//! | 4 | generation of the wrapping key |
//! | 4 | epoch |
//! | 8, 8 | its begin and end, milliseconds since 1900 |
//! | 4 | count |
//! | 72 each | patient u32, created u64, wrapped key [60]; by ascending patient |
//! | 32 | blake3 of everything before |
//!
//! Integers are big-endian. The hash tells damage from a wrapping key that is another one's.

use model::{DecodeError, Interval, Millis, PatientIndex, Reader};

use crate::error::KeyFault;
use crate::key::{BodyEpoch, KeyId};
use crate::wrapping::{Named, WRAPPED_BYTES};

const MAGIC: &[u8; 8] = b"VTLBKEY\x01";
const ROW_BYTES: usize = 4 + 8 + WRAPPED_BYTES;
const HASH_BYTES: usize = 32;

/// A key as it stands in a file.
#[derive(Clone)]
pub(crate) struct WrappedKey {
    pub(crate) named: Named,
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

/// The keys of an epoch.
#[derive(Clone)]
pub(crate) struct KeyFile {
    pub(crate) store: [u8; 16],
    pub(crate) generation: u32,
    pub(crate) epoch: BodyEpoch,
    pub(crate) span: Interval,
    pub(crate) keys: Vec<WrappedKey>,
}

/// The file of an epoch.
pub(crate) fn name(generation: u32, epoch: BodyEpoch) -> String {
    format!("g{generation:08}-e{:08}.keys", epoch.0)
}

/// Generation and epoch of a file of keys; of every other file nothing.
pub(crate) fn of_name(found: &str) -> Option<(u32, BodyEpoch)> {
    let (generation, epoch) = found.strip_suffix(".keys")?.split_once("-e")?;
    let of = (generation.strip_prefix('g')?.parse().ok()?, BodyEpoch(epoch.parse().ok()?));
    // One name for each, or two files could be of one epoch.
    (name(of.0, of.1) == found).then_some(of)
}

impl KeyFile {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.store);
        out.extend(self.generation.to_be_bytes());
        out.extend(self.epoch.0.to_be_bytes());
        out.extend(self.span.from.get().to_be_bytes());
        out.extend(self.span.until.get().to_be_bytes());
        // Far below 2^32: the folder has a limit.
        out.extend((self.keys.len() as u32).to_be_bytes());
        for WrappedKey { named, wrapped } in &self.keys {
            out.extend(named.id.patient.get().to_be_bytes());
            out.extend(named.created.get().to_be_bytes());
            out.extend(wrapped);
        }
        let hash = *blake3::hash(&out).as_bytes();
        out.extend(hash);
        out
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<KeyFile, KeyFault> {
        let rest = bytes.len().checked_sub(HASH_BYTES).ok_or(KeyFault::Damaged)?;
        let (content, hash) = bytes.split_at(rest);
        if blake3::hash(content).as_bytes() != hash {
            return Err(KeyFault::Damaged);
        }
        KeyFile::read(&mut Reader::new(content)).map_err(|_| KeyFault::Damaged)
    }

    fn read(from: &mut Reader<'_>) -> Result<KeyFile, DecodeError> {
        let magic = |bytes: [u8; 8]| (bytes == *MAGIC).then_some(());
        from.map("keys of bodies of version 1", Reader::array, magic)?;
        let store = from.array()?;
        let generation = from.u32()?;
        let epoch = from.map("an epoch that may be", Reader::u32, BodyEpoch::read)?;
        let times = |from: &mut Reader<'_>| Ok((from.millis()?, from.millis()?));
        let interval = |(begin, end): (Millis, Millis)| Interval::new(begin, end).ok();
        let span = from.map("an epoch that ends after it begins", times, interval)?;
        let count = from.count(ROW_BYTES)?;
        let mut keys: Vec<WrappedKey> = Vec::with_capacity(count);
        for _ in 0..count {
            let before = keys.last().map(|last| last.named.id.patient);
            let next = |index: u32| PatientIndex::new(index).ok().filter(|it| Some(*it) > before);
            let patient = from.map("patients in ascending order", Reader::u32, next)?;
            let named = Named { id: KeyId { patient, epoch }, created: from.millis()? };
            keys.push(WrappedKey { named, wrapped: from.array()? });
        }
        from.finish()?;
        Ok(KeyFile { store, generation, epoch, span, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> KeyFile {
        let epoch = BodyEpoch(3);
        let key = |index: u32| WrappedKey {
            named: Named {
                id: KeyId { patient: PatientIndex::new(index).unwrap(), epoch },
                created: Millis::new(5).unwrap(),
            },
            wrapped: [index as u8; WRAPPED_BYTES],
        };
        let span = Interval { from: Millis::new(4).unwrap(), until: Millis::new(9).unwrap() };
        KeyFile { store: [7; 16], generation: 2, epoch, span, keys: vec![key(1), key(4)] }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_every_changed_byte_is_damage() {
        let bytes = file().to_bytes();
        assert_eq!(KeyFile::of_bytes(&bytes).map(|read| read.to_bytes()), Ok(bytes.clone()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(matches!(KeyFile::of_bytes(&changed), Err(KeyFault::Damaged)), "byte {at}");
            assert!(matches!(KeyFile::of_bytes(&bytes[..at]), Err(KeyFault::Damaged)), "cut {at}");
        }
    }

    #[test]
    fn what_has_a_good_hash_and_wrong_content_is_refused() {
        let mut twice = file();
        twice.keys[1] = twice.keys[0].clone();
        let mut back = file();
        back.span = Interval { from: back.span.until, until: back.span.from };
        for wrong in [twice, back] {
            assert!(KeyFile::of_bytes(&wrong.to_bytes()).is_err());
        }
    }

    #[test]
    fn a_name_says_generation_and_epoch_and_each_has_one_name() {
        assert_eq!(name(2, BodyEpoch(31)), "g00000002-e00000031.keys");
        assert_eq!(of_name("g00000002-e00000031.keys"), Some((2, BodyEpoch(31))));
        for other in ["g2-e31.keys", "g00000002-e00000031.keys.new", "lock", "g-e.keys"] {
            assert_eq!(of_name(other), None, "{other}");
        }
    }
}
