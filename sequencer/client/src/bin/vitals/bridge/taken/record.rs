//! A record of `messages.log`: one thing that became known of a message, in 96 bytes.
//!
//! ```text
//! kind 1 | count 1 | id 16 | content 16 | receipts or part 48 | hash of readings 6 | check 8
//! ```
//!
//! Versions before this one left zeros where the hash is, and had the first two kinds alone.

use crate::bridge::content::Said;

/// Bytes of a record.
pub(super) const RECORD_BYTES: usize = 96;
/// Of them, the hash of the others.
const CHECK_BYTES: usize = 8;
const CONTENT_BYTES: usize = 16;
/// Receipts of a message that are kept: the last ones.
pub(in crate::bridge) const RECEIPTS_MAX: usize = 3;

/// A message: the hash of who sent it and of the identifier it has there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MessageId(pub(crate) [u8; 16]);

/// A receipt as an answer names it: group and journal hash, cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ReceiptName {
    pub(crate) group: u64,
    pub(crate) journal: [u8; 8],
}

impl std::fmt::Display for ReceiptName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group, hex::encode(self.journal))
    }
}

/// One part of a message: what goes to one stream.
pub(in crate::bridge) type PartId = [u8; 16];

/// What became known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) id: MessageId,
    pub(super) said: Said,
    pub(super) what: What,
}

/// Of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// All of it is stored, by these receipts.
    Stored(Vec<ReceiptName>),
    /// A part of it is in frames, and others are not.
    Part(PartId),
    /// That part is no longer in frames: what the node refused is given up.
    Forgotten(PartId),
    /// A part of it was given up although the node may have it.
    Unsure,
}

const STORED: u8 = 1;
const PART: u8 = 2;
const FORGOTTEN: u8 = 3;
const UNSURE: u8 = 4;

impl Record {
    pub(super) fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let Record { id, said, what } = self;
        let (kind, count, rest) = match what {
            What::Stored(receipts) => {
                let last = &receipts[receipts.len().saturating_sub(RECEIPTS_MAX)..];
                let name = |one: &ReceiptName| [one.group.to_be_bytes(), one.journal].concat();
                (STORED, last.len() as u8, last.iter().flat_map(name).collect())
            }
            What::Part(part) => (PART, 0, part.to_vec()),
            What::Forgotten(part) => (FORGOTTEN, 0, part.to_vec()),
            What::Unsure => (UNSURE, 0, Vec::new()),
        };
        let said = said.to_bytes();
        let (content, readings) = said.split_at(CONTENT_BYTES);
        let mut body = [&[kind, count][..], &id.0, content, &rest].concat();
        body.resize(RECORD_BYTES - CHECK_BYTES - readings.len(), 0);
        body.extend(readings);
        let check = blake3::hash(&body);
        let mut bytes = [0; RECORD_BYTES];
        bytes[..body.len()].copy_from_slice(&body);
        bytes[body.len()..].copy_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        bytes
    }

    /// None if these are no record, or one that was not written to its end.
    pub(super) fn read(bytes: &[u8]) -> Option<Record> {
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        let is_whole = bytes.len() == RECORD_BYTES
            && blake3::hash(body).as_bytes().first_chunk::<CHECK_BYTES>() == Some(check);
        let ([kind, count], rest) = body.split_first_chunk().filter(|_| is_whole)?;
        let (id, rest) = rest.split_first_chunk()?;
        let (content, rest) = rest.split_first_chunk::<CONTENT_BYTES>()?;
        let (rest, readings) = rest.split_last_chunk::<{ Said::BYTES - CONTENT_BYTES }>()?;
        let what = match *kind {
            STORED => {
                let names = rest.chunks_exact(16).take(usize::from(*count).min(RECEIPTS_MAX));
                let receipts = names.map(|name| {
                    let (group, journal) = name.split_first_chunk()?;
                    let group = u64::from_be_bytes(*group);
                    Some(ReceiptName { group, journal: *journal.first_chunk()? })
                });
                What::Stored(receipts.collect::<Option<_>>()?)
            }
            PART => What::Part(*rest.first_chunk()?),
            FORGOTTEN => What::Forgotten(*rest.first_chunk()?),
            UNSURE => What::Unsure,
            _ => return None,
        };
        let mut said = [0; Said::BYTES];
        said[..CONTENT_BYTES].copy_from_slice(content);
        said[CONTENT_BYTES..].copy_from_slice(readings);
        Some(Record { id: MessageId(*id), said: Said::from_bytes(&said), what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::content::Content;
    use crate::bridge::message::tests::heart_rate;

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_other_bytes_are_one() {
        let receipt = |group| ReceiptName { group, journal: [7; 8] };
        let stored = |count| What::Stored((0..count).map(receipt).collect());
        let (id, said) = (MessageId([1; 16]), Said::of(Content([2; 16]), &[heart_rate(7, 720)]));
        let all = [stored(0), stored(1), stored(3), What::Part([5; 16])];
        let all = all.into_iter().chain([What::Forgotten([5; 16]), What::Unsure]);
        for what in all {
            let record = Record { id, said, what };
            let bytes = record.to_bytes();
            assert_eq!(Record::read(&bytes), Some(record));
            for at in 0..RECORD_BYTES {
                let mut other = bytes;
                other[at] ^= 1;
                assert_eq!((at, Record::read(&other)), (at, None));
                assert_eq!(Record::read(&bytes[..at]), None);
            }
        }
        // Of more receipts the last ones are kept.
        let many = Record { id, said, what: stored(5) };
        let kept = Record::read(&many.to_bytes()).expect("a record");
        assert_eq!(kept.what, What::Stored((2..5).map(receipt).collect()));
    }
}
