//! The bytes of a group's header and of its durable mark; see `docs/journal.md`.

use sha3::{Digest, Keccak256};

use crate::{
    Fault, GROUP_BYTES_MAX, GROUP_ENTRIES_MAX, GroupNumber, Head, JUMPS_MAX, Place, Position,
};

pub(crate) const GROUP_HEADER_BYTES: usize = 136;
pub(crate) const MARK_BYTES: usize = 8;
/// The longest record: header, entries, mark (8 MiB needs no padding).
pub(crate) const RECORD_BYTES_MAX: usize = GROUP_HEADER_BYTES + GROUP_BYTES_MAX + MARK_BYTES;
/// What a disk writes as a whole: see the assumptions in `docs/journal.md`.
pub(crate) const SECTOR_BYTES: u64 = 512;

pub(crate) const GROUP_MAGIC: [u8; 4] = *b"VGRP";
pub(crate) const MARK_MAGIC: [u8; 4] = *b"VDUR";
const VERSION: u16 = 2;
/// The one flag of a group: the numbers between the group before and this one were given up.
const GIVEN_UP_BEFORE: u16 = 1;

/// What a new log starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// 16 random bytes, used when the log is created and kept in it afterwards. They start every
    /// checksum, so that bytes inside an entry cannot pass for a record: do not publish them.
    pub log_id: [u8; 16],
    /// The journal hash before the first group; opening a log that has another one is an error.
    pub journal_hash: [u8; 32],
}

/// What follows the header of a group, and what the header says besides.
pub(crate) struct Body<'a> {
    pub(crate) place: Place,
    pub(crate) salt: [u8; 32],
    pub(crate) count: u32,
    /// The contiguous entries.
    pub(crate) entries: &'a [u8],
    /// The same with the padding behind them.
    pub(crate) padded: &'a [u8],
}

/// The 136 bytes before the entries of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Whether numbers and positions before it were given up.
    pub(crate) given_up_before: bool,
    pub(crate) number: GroupNumber,
    pub(crate) first: Position,
    pub(crate) count: u32,
    pub(crate) bytes: u32,
    pub(crate) journal_hash: [u8; 32],
    pub(crate) digest: [u8; 32],
    pub(crate) salt: [u8; 32],
    pub(crate) body_crc: u32,
}

impl GroupHeader {
    /// The header of the group after `head` that holds this body.
    pub(crate) fn after(head: &Head, body: &Body<'_>, seed: u32) -> GroupHeader {
        let Place { group: number, position: first } = body.place;
        let mut header = GroupHeader {
            given_up_before: body.place != Place::after(head),
            number,
            first,
            count: body.count,
            bytes: body.entries.len() as u32,
            journal_hash: [0; 32],
            digest: digest(&body.salt, body.entries),
            salt: body.salt,
            body_crc: crc32c::crc32c_append(seed, body.padded),
        };
        header.journal_hash = journal_hash(&head.journal_hash, &header.summary());
        header
    }

    pub(crate) fn encode(&self, seed: u32) -> [u8; GROUP_HEADER_BYTES] {
        let mut bytes = [0; GROUP_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&GROUP_MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        let flags = if self.given_up_before { GIVEN_UP_BEFORE } else { 0 };
        bytes[6..8].copy_from_slice(&flags.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.journal_hash);
        bytes[64..96].copy_from_slice(&self.digest);
        bytes[96..128].copy_from_slice(&self.salt);
        bytes[128..132].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &bytes[..132]);
        bytes[132..136].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks magic and checksum only: what passes was written by this log.
    pub(crate) fn intact(
        bytes: &[u8; GROUP_HEADER_BYTES],
        seed: u32,
    ) -> Result<GroupHeader, Fault> {
        // No more than these two: recovery asks of bytes at any offset, where a place means
        // nothing.
        let magic: [u8; 4] = array_at(bytes, 0);
        if magic != GROUP_MAGIC {
            return Err(Fault::Magic { expected: GROUP_MAGIC, found: magic });
        }
        let (expected, found) = (u32_at(bytes, 132), crc32c::crc32c_append(seed, &bytes[..132]));
        if expected != found {
            return Err(Fault::HeaderCrc { expected, found });
        }
        Ok(GroupHeader {
            given_up_before: u16_at(bytes, 6) & GIVEN_UP_BEFORE != 0,
            number: u64_at(bytes, 8),
            first: u64_at(bytes, 16),
            count: u32_at(bytes, 24),
            bytes: u32_at(bytes, 28),
            journal_hash: array_at(bytes, 32),
            digest: array_at(bytes, 64),
            salt: array_at(bytes, 96),
            body_crc: u32_at(bytes, 128),
        })
    }

    /// Checks version, flags and limits of an intact header, before anything is allocated.
    pub(crate) fn check_form(&self, bytes: &[u8; GROUP_HEADER_BYTES]) -> Result<(), Fault> {
        field("group version", VERSION.into(), u16_at(bytes, 4).into())?;
        // Whatever else is set is a later version's: a sealed body, for example, must not be walked
        // as entries.
        field("group flags", 0, (u16_at(bytes, 6) & !GIVEN_UP_BEFORE).into())?;
        limit("entry count", GROUP_ENTRIES_MAX as u64, self.count.into())?;
        limit("entry bytes", GROUP_BYTES_MAX as u64, self.bytes.into())?;
        // An empty group is never written, and `last` would lie before `first`.
        if self.count == 0 {
            return Err(Fault::Field { field: "entry count", expected: 1, found: 0 });
        }
        Ok(())
    }

    /// Checks that the group stands where it must: right after the one before, or, if it says that
    /// numbers before it were given up, beyond that by at most what is `left` of all jumps.
    pub(crate) fn check_place(&self, next: Place, left: Jumps) -> Result<(), Fault> {
        if !self.given_up_before {
            field("group number", next.group, self.number)?;
            return field("first position", next.position, self.first);
        }
        // Both, because a group holds at least one entry: whoever gives up one gives up the other.
        jump("group number", next.group, self.number, left.groups)?;
        jump("first position", next.position, self.first, left.positions)
    }

    /// Checks the checksum over entries and padding.
    pub(crate) fn check_body(&self, padded: &[u8], seed: u32) -> Result<(), Fault> {
        let (expected, found) = (self.body_crc, crc32c::crc32c_append(seed, padded));
        if expected == found { Ok(()) } else { Err(Fault::BodyCrc { expected, found }) }
    }

    /// Checks the digest over the entries.
    pub(crate) fn check_digest(&self, entries: &[u8]) -> Result<(), Fault> {
        hash("digest", digest(&self.salt, entries), self.digest)
    }

    /// Checks that the journal hash follows from the one before.
    pub(crate) fn check_journal_hash(&self, previous: &[u8; 32]) -> Result<(), Fault> {
        hash("journal hash", journal_hash(previous, &self.summary()), self.journal_hash)
    }

    fn summary(&self) -> GroupSummary {
        let GroupHeader { number, first, digest, .. } = *self;
        GroupSummary { number, first, last: self.last(), digest }
    }

    pub(crate) fn last(&self) -> Position {
        self.first + u64::from(self.count) - 1
    }

    /// Bytes of entries and padding.
    pub(crate) fn padded_bytes(&self) -> usize {
        (self.bytes as usize).next_multiple_of(8)
    }

    /// Bytes of header, entries, padding and mark.
    pub(crate) fn record_bytes(&self) -> usize {
        record_bytes(self.bytes as usize)
    }
}

/// Bytes of a record whose contiguous entries take so many.
pub(crate) fn record_bytes(entry_bytes: usize) -> usize {
    GROUP_HEADER_BYTES + entry_bytes.next_multiple_of(8) + MARK_BYTES
}

/// What the journal hash takes in of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupSummary {
    /// Its number.
    pub number: GroupNumber,
    /// Position of its first entry.
    pub first: Position,
    /// Position of its last entry.
    pub last: Position,
    /// blake3 of the contiguous entries, keyed with the group's salt.
    pub digest: [u8; 32],
}

/// How far numbers and positions may still jump: the sum over the whole log is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jumps {
    pub(crate) groups: u64,
    pub(crate) positions: u64,
}

impl Jumps {
    /// What a new log may give up.
    pub(crate) const ALL: Jumps = Jumps { groups: JUMPS_MAX, positions: JUMPS_MAX };

    /// What is left after the jump from `next` to `place`; `None` if that is too far or backwards.
    pub(crate) fn after(self, next: Place, place: Place) -> Option<Jumps> {
        let groups = place.group.checked_sub(next.group)?;
        let positions = place.position.checked_sub(next.position)?;
        Some(Jumps {
            groups: self.groups.checked_sub(groups)?,
            positions: self.positions.checked_sub(positions)?,
        })
    }
}

/// The digest of a group: keyed, so that whoever sees it in a public file can neither guess entries
/// nor compare them with others without the salt.
pub(crate) fn digest(salt: &[u8; 32], entries: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(salt, entries).as_bytes()
}

/// The journal hash after a group, `previous` being the one before it: keccak256 over five 32-byte
/// big-endian words, so that a contract can follow it.
pub fn journal_hash(previous: &[u8; 32], group: &GroupSummary) -> [u8; 32] {
    let mut words = [0; 160];
    words[0..32].copy_from_slice(previous);
    // Of the words in the middle only the last eight bytes are used: these are numbers of 64 bits.
    words[56..64].copy_from_slice(&group.number.to_be_bytes());
    words[88..96].copy_from_slice(&group.first.to_be_bytes());
    words[120..128].copy_from_slice(&group.last.to_be_bytes());
    words[128..160].copy_from_slice(&group.digest);
    Keccak256::digest(words).into()
}

/// What stands behind a group once it is known to be synced; zeros until then.
pub(crate) fn durable_mark(seed: u32, number: GroupNumber) -> [u8; MARK_BYTES] {
    // The number is in it, so that the mark of one group says nothing of another.
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, b"durable"), &number.to_le_bytes());
    let mut mark = [0; MARK_BYTES];
    mark[..4].copy_from_slice(&MARK_MAGIC);
    mark[4..].copy_from_slice(&crc.to_le_bytes());
    mark
}

pub(crate) fn field(field: &'static str, expected: u64, found: u64) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Field { field, expected, found }) }
}

/// A jump from `next` to `found` by at least one and at most `left`.
fn jump(field: &'static str, next: u64, found: u64, left: u64) -> Result<(), Fault> {
    if found <= next {
        return Err(Fault::Field { field, expected: next.saturating_add(1), found });
    }
    limit(field, next.saturating_add(left), found)
}

pub(crate) fn limit(field: &'static str, max: u64, found: u64) -> Result<(), Fault> {
    if found <= max { Ok(()) } else { Err(Fault::Limit { field, max, found }) }
}

pub(crate) fn hash(field: &'static str, expected: [u8; 32], found: [u8; 32]) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Hash { field, expected, found }) }
}

/// The `N` bytes at a constant place of a fixed-size header.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}
