//! The keys that a generation got since its files were written, in the order in which they were
//! drawn: a file that grows by one record a key.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `VTLBKTL` and version 1 |
//! | 16 | id of the key folder |
//! | 4 | generation of the wrapping key |
//! | 4, 8, 8 | of each record: epoch, its begin and end |
//! | 4, 8, 60 | patient, when the key was made, wrapped key |
//! | 16 | check |
//!
//! Integers are big-endian. The check is the beginning of a blake3 of header, place and record, so
//! that a record is good at its own place in its own file alone. How many count says the ledger: a
//! write that was cut leaves records behind those, which nothing was ever sealed under, and the
//! next write goes over them. Fewer good ones than the ledger says are an error and never fewer
//! keys.
//!
//! What was rejected: the file of an epoch written anew for each key, which costs the first frame
//! of the n-th patient n records.

use model::{DecodeError, Interval, Millis, PatientIndex, Reader};

use crate::error::KeyFault;
use crate::key::{BodyEpoch, KeyId};
use crate::wrapping::{Named, WRAPPED_BYTES};

const MAGIC: &[u8; 8] = b"VTLBKTL\x01";
const HEADER_BYTES: usize = 8 + 16 + 4;
const FIELDS_BYTES: usize = 4 + 8 + 8 + 4 + 8 + WRAPPED_BYTES;
const CHECK_BYTES: usize = 16;
pub(crate) const RECORD_BYTES: usize = FIELDS_BYTES + CHECK_BYTES;

/// A key as it stands in a tail.
#[derive(Clone)]
pub(crate) struct TailRecord {
    pub(crate) named: Named,
    /// When its epoch is.
    pub(crate) span: Interval,
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

/// The tail of one generation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) store: [u8; 16],
    pub(crate) generation: u32,
}

/// What is written, and where.
pub(crate) struct TailWrite {
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// The generation of a tail; of every other file nothing.
pub(crate) fn of_name(found: &str) -> Option<u32> {
    let generation = found.strip_suffix(".tail")?.strip_prefix('g')?.parse().ok()?;
    let tail = Tail { store: [0; 16], generation };
    (tail.name() == found).then_some(generation)
}

impl Tail {
    pub(crate) fn name(&self) -> String {
        format!("g{:08}.tail", self.generation)
    }

    fn header(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.store);
        out.extend(self.generation.to_be_bytes());
        out
    }

    fn check(&self, place: u32, fields: &[u8]) -> [u8; CHECK_BYTES] {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.header()).update(&place.to_be_bytes()).update(fields);
        let mut check = [0; CHECK_BYTES];
        hash.finalize_xof().fill(&mut check);
        check
    }

    /// These records behind the first `counted`; the header as well, if those are none.
    pub(crate) fn write(&self, counted: u32, records: &[TailRecord]) -> TailWrite {
        let (at, mut bytes) = match counted {
            0 => (0, self.header()),
            _ => (HEADER_BYTES + counted as usize * RECORD_BYTES, Vec::new()),
        };
        for (record, place) in records.iter().zip(counted..) {
            let TailRecord { named, span, wrapped } = record;
            let begin = bytes.len();
            bytes.extend(named.id.epoch.0.to_be_bytes());
            bytes.extend(span.from.get().to_be_bytes());
            bytes.extend(span.until.get().to_be_bytes());
            bytes.extend(named.id.patient.get().to_be_bytes());
            bytes.extend(named.created.get().to_be_bytes());
            bytes.extend(wrapped);
            let check = self.check(place, &bytes[begin..]);
            bytes.extend(check);
        }
        TailWrite { at: at as u64, bytes }
    }

    /// Whether the file is this tail.
    ///
    /// # Errors
    /// [`KeyFault::Other`] for another one's, [`KeyFault::Damaged`] for none.
    pub(crate) fn check_header(&self, bytes: &[u8]) -> Result<(), KeyFault> {
        let found = bytes.get(..HEADER_BYTES).ok_or(KeyFault::Damaged)?;
        match found {
            found if found == self.header() => Ok(()),
            found if found.starts_with(MAGIC) => Err(KeyFault::Other),
            _ => Err(KeyFault::Damaged),
        }
    }

    /// The record at a place.
    ///
    /// # Errors
    /// [`KeyFault::Damaged`] for one that is not whole.
    pub(crate) fn read(&self, bytes: &[u8], place: u32) -> Result<TailRecord, KeyFault> {
        let begin = HEADER_BYTES + place as usize * RECORD_BYTES;
        let record = bytes.get(begin..begin + RECORD_BYTES).ok_or(KeyFault::Damaged)?;
        let (fields, check) = record.split_at(FIELDS_BYTES);
        if self.check(place, fields) != check {
            return Err(KeyFault::Damaged);
        }
        read(&mut Reader::new(fields)).map_err(|_| KeyFault::Damaged)
    }
}

fn read(from: &mut Reader<'_>) -> Result<TailRecord, DecodeError> {
    let epoch = from.map("an epoch that may be", Reader::u32, BodyEpoch::read)?;
    let times = |from: &mut Reader<'_>| Ok((from.millis()?, from.millis()?));
    let interval = |(begin, end): (Millis, Millis)| Interval::new(begin, end).ok();
    let span = from.map("an epoch that ends after it begins", times, interval)?;
    let known = |index: u32| PatientIndex::new(index).ok();
    let patient = from.map("a patient index below 2^24", Reader::u32, known)?;
    let named = Named { id: KeyId { epoch, patient }, created: from.millis()? };
    let wrapped = from.array()?;
    from.finish()?;
    Ok(TailRecord { named, span, wrapped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: Tail = Tail { store: [7; 16], generation: 2 };

    fn record(index: u32) -> TailRecord {
        let id = KeyId { epoch: BodyEpoch(3), patient: PatientIndex::new(index).unwrap() };
        let [created, from, until] = [5, 4, 9].map(|at| Millis::new(at).unwrap());
        let span = Interval { from, until };
        TailRecord { named: Named { id, created }, span, wrapped: [index as u8; WRAPPED_BYTES] }
    }

    /// A tail of two writes, and the record that is read at a place.
    fn whole() -> Vec<u8> {
        let mut bytes = TAIL.write(0, &[record(8)]).bytes;
        let behind = TAIL.write(1, &[record(4), record(6)]);
        assert_eq!(behind.at, bytes.len() as u64);
        bytes.extend(behind.bytes);
        bytes
    }

    #[test]
    fn records_are_read_as_they_were_written_and_each_at_its_own_place_alone() {
        let bytes = whole();
        TAIL.check_header(&bytes).unwrap();
        for (place, index) in [8, 4, 6].into_iter().enumerate() {
            let read = TAIL.read(&bytes, place as u32).unwrap();
            let again = TAIL.write(place as u32, &[read]).bytes;
            assert_eq!(again, TAIL.write(place as u32, &[record(index)]).bytes);
        }
        assert!(TAIL.read(&bytes, 3).is_err(), "behind the last one");
        let (first, second) = (HEADER_BYTES, HEADER_BYTES + RECORD_BYTES);
        let mut swapped = bytes.clone();
        swapped.copy_within(second..second + RECORD_BYTES, first);
        assert!(TAIL.read(&swapped, 0).is_err() && TAIL.read(&swapped, 1).is_ok());
        for other in [Tail { generation: 3, ..TAIL }, Tail { store: [8; 16], ..TAIL }] {
            assert_eq!(other.check_header(&bytes), Err(KeyFault::Other));
            assert!(other.read(&bytes, 0).is_err());
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_damage_of_its_own_record_alone() {
        let bytes = whole();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let hit = at.checked_sub(HEADER_BYTES).map(|at| at / RECORD_BYTES);
            assert_eq!(TAIL.check_header(&changed).is_err(), hit.is_none(), "byte {at}");
            for place in 0..3 {
                let is_hit = hit == Some(place as usize);
                assert_eq!(TAIL.read(&changed, place).is_err(), is_hit, "byte {at}");
                let is_cut = at < HEADER_BYTES + (place as usize + 1) * RECORD_BYTES;
                assert_eq!(TAIL.read(&bytes[..at], place).is_err(), is_cut, "cut {at}");
            }
        }
    }

    #[test]
    fn a_name_says_the_generation() {
        assert_eq!((TAIL.name().as_str(), of_name("g00000002.tail")), ("g00000002.tail", Some(2)));
        for other in ["g2.tail", "g00000002.tail.new", "g00000002-e00000001.keys", "lock"] {
            assert_eq!(of_name(other), None, "{other}");
        }
    }
}
