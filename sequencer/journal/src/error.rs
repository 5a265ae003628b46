//! What can go wrong, with what was expected and what was found. No variant holds entry bytes.

use std::io;
use std::sync::Arc;

use crate::{FetchError, FileName, FileNumber, GroupNumber, Lane, Millis, Place, Position};

/// One check of the format that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first bytes are not those of a group.
    #[error("magic: expected {expected:02x?}, found {found:02x?}")]
    Magic {
        /// The magic of a group.
        expected: [u8; 4],
        /// What stands there.
        found: [u8; 4],
    },
    /// The header's checksum does not match.
    #[error("header crc32c: expected {expected:08x}, found {found:08x}")]
    HeaderCrc {
        /// Stored in the header.
        expected: u32,
        /// Computed from the bytes.
        found: u32,
    },
    /// The body's checksum does not match.
    #[error("body crc32c: expected {expected:08x}, found {found:08x}")]
    BodyCrc {
        /// Stored in the header.
        expected: u32,
        /// Computed from the bytes.
        found: u32,
    },
    /// The medium ends inside the record.
    #[error("length: expected {expected} bytes, found {found}")]
    Truncated {
        /// Bytes the record needs.
        expected: u64,
        /// Bytes the medium has.
        found: u64,
    },
    /// A field does not have the one value allowed at this place.
    #[error("{field}: expected {expected}, found {found}")]
    Field {
        /// Name in `docs/journal.md`.
        field: &'static str,
        /// The value allowed.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// A field exceeds its limit.
    #[error("{field}: expected at most {max}, found {found}")]
    Limit {
        /// Name in `docs/journal.md`.
        field: &'static str,
        /// The largest value allowed.
        max: u64,
        /// The value found.
        found: u64,
    },
    /// A 32-byte hash does not follow from the bytes before it.
    #[error("{field}: expected {}, found {}", short(expected), short(found))]
    Hash {
        /// `journal hash` or `digest`.
        field: &'static str,
        /// Computed.
        expected: [u8; 32],
        /// Stored.
        found: [u8; 32],
    },
    /// An entry does not fit the bytes of its group.
    #[error("entry {index} of the group: expected {expected} bytes, found {found}")]
    EntryLayout {
        /// Index in the group, from 0.
        index: u32,
        /// Bytes that the entry needs.
        expected: u64,
        /// Bytes that are left.
        found: u64,
    },
    /// An append time lies before that of an earlier entry, or is no time.
    #[error("append time of position {position}: expected {at_least}..={max}, found {found}")]
    Time {
        /// The entry.
        position: Position,
        /// The latest time before it.
        at_least: Millis,
        /// [`crate::MILLIS_MAX`].
        max: Millis,
        /// The time found.
        found: Millis,
    },
}

/// Why a bad record cannot be the remains of a write that was never synced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurableEvidence {
    /// It was read from behind the head, that is, after it had been synced.
    #[error("the group is committed")]
    Committed,
    /// Its own checksum holds, so it was written like this.
    #[error("its checksum is intact")]
    IntactChecksum,
    /// A later group exists; it is written only after this one is synced.
    #[error("group {number} is intact at byte {offset}")]
    LaterGroup {
        /// Number of the later group.
        number: GroupNumber,
        /// Where it starts.
        offset: u64,
    },
    /// Its durable mark exists; it is written only after the sync.
    #[error("its durable mark stands at byte {offset}")]
    DurableMark {
        /// Where the mark starts.
        offset: u64,
    },
    /// Every sector of it was written.
    #[error("no sector of it is missing")]
    EverySectorWritten,
    /// Another file continues the log behind it; that is begun only after this group is synced.
    #[error("{} continues the log behind it", FileName::Log(*file))]
    LaterFile {
        /// The later file.
        file: FileNumber,
    },
    /// There are bytes where the one write in flight cannot have reached.
    #[error("there are bytes beyond it, at byte {offset}")]
    BytesBeyond {
        /// The last such byte.
        offset: u64,
    },
}

/// A group that was durable and is damaged: never served, never cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "group {group} at byte {offset} of {} is corrupt ({evidence}): {fault}", FileName::Log(*file)
)]
pub struct Corruption {
    /// The group expected there.
    pub group: GroupNumber,
    /// The file that holds it.
    pub file: FileNumber,
    /// Where its record starts.
    pub offset: u64,
    /// The check that failed.
    #[source]
    pub fault: Fault,
    /// Why this is no torn tail.
    pub evidence: DurableEvidence,
}

/// What is said of a journal of the first version: the sentence that the whole product says.
pub const FIRST_VERSION: &str = "nothing of the first version is converted: its contract takes \
    proofs of the first circuits only, and its consents are signed for that contract; keep it with \
    the release that wrote it and deploy anew";

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The medium failed.
    #[error("open the log: {op} failed")]
    Medium {
        /// The call that failed.
        op: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// A file of the log is missing, misplaced or damaged as a whole.
    #[error("{}: {fault}", FileName::Log(*file))]
    File {
        /// Which.
        file: FileNumber,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// The file is of the first version.
    #[error("{FIRST_VERSION}")]
    FirstVersion,
    /// The log grows from another genesis.
    #[error("genesis journal hash: expected {}, found {}", short(expected), short(found))]
    Genesis {
        /// Given by the caller.
        expected: [u8; 32],
        /// Stored in the file.
        found: [u8; 32],
    },
    /// A durable group is damaged.
    #[error(transparent)]
    Corrupt(#[from] Box<Corruption>),
}

/// What is wrong with a file. Nothing is changed then: put the file back from a copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// There is none.
    #[error("expected a file that goes on behind {}, found none", FileName::Log(*before))]
    Missing {
        /// The file before it, which ends with a seal, or has a number below one that is there.
        before: FileNumber,
    },
    /// It holds something else.
    #[error("not a log: the first bytes are {found:02x?}")]
    NotALog {
        /// Up to eight first bytes.
        found: Vec<u8>,
    },
    /// It has no header.
    #[error("expected a header, found none, although {why}")]
    NotBegun {
        /// Why there was one.
        why: &'static str,
    },
    /// Its header is damaged.
    #[error("the file header is corrupt: {0}")]
    Header(#[source] Fault),
    /// It is another file of the log, or of another version, under this name.
    #[error("its header says that it is {}", FileName::Log(*found))]
    Misplaced {
        /// The file that it says it is.
        found: FileNumber,
    },
    /// It is of another log.
    #[error("its log id is not that of the first file: it belongs to another journal")]
    Foreign,
    /// It is shorter than it was made.
    #[error("expected at least {expected} bytes, found {found}")]
    Short {
        /// Bytes that its header says.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// It does not continue the file before it.
    #[error("does not continue the file before it: {0}")]
    Chain(#[source] Fault),
    /// Its seal is missing or damaged, although groups were written into the next file.
    #[error("expected a seal, found none, although groups follow in the next file")]
    Unsealed,
    /// Its groups do not end as its seal says.
    #[error("does not end as its seal says: {0}")]
    Seal(#[source] Fault),
    /// It is in the archive, and what stands for it here is damaged.
    #[error(
        "expected what stands for it while it is in the archive, found that damaged: write \
         the file with `sequencer archive fetch --to DIR` and move it here"
    )]
    Stub,
    /// Bytes stand where nothing was ever written.
    #[error("expected zeros behind the last group, found others at byte {offset}")]
    Stray {
        /// The first such byte.
        offset: u64,
    },
}

/// Why an entry does not go into a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The entry alone is too long.
    #[error("entry: expected at most {max} bytes, found {found}")]
    TooLong {
        /// [`crate::ENTRY_BYTES_MAX`].
        max: usize,
        /// Bytes with the header.
        found: usize,
    },
    /// The group, or the share of one item in it, is full.
    #[error("group: {bytes_left} bytes and {entries_left} entries left, entry needs {found} bytes")]
    Full {
        /// Bytes that would fit.
        bytes_left: usize,
        /// Entries that would fit.
        entries_left: usize,
        /// Bytes that the entry needs.
        found: usize,
    },
    /// The kind is not one this version writes.
    #[error("kind: expected 1..=12, found {found}")]
    UnknownKind {
        /// The kind's code.
        found: u8,
    },
    /// The append time would decrease, or is no time.
    #[error("append time: expected {at_least}..={max}, found {found}")]
    Time {
        /// The latest time so far.
        at_least: Millis,
        /// [`crate::MILLIS_MAX`].
        max: Millis,
        /// The time given.
        found: Millis,
    },
}

/// Why a group was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no entry in it.
    #[error("append: expected at least one entry, found none")]
    Empty,
    /// An entry was refused; nothing was written.
    #[error("append: entry {index} of the group was refused")]
    Entry {
        /// Index in the group, from 0.
        index: usize,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// No salt was to be had; nothing was written.
    #[error("append: no salt can be drawn for the group")]
    Salt {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The group was built on another head; nothing was written.
    #[error("append: group built after group {expected}, found the head at group {found}")]
    Stale {
        /// Head when the builder was made.
        expected: GroupNumber,
        /// Head now.
        found: GroupNumber,
    },
    /// The medium failed: the group may or may not be durable, and the log is poisoned.
    #[error("append: {op} failed")]
    Medium {
        /// The call that failed.
        op: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// An earlier append failed: what the medium holds is unknown until the log is opened again.
    #[error("append: the log is poisoned by an earlier error, open it again")]
    Poisoned,
}

/// Why a log does not go on at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a group beyond {} and a position beyond {}, each by at most {} and {}, found {} and {}",
    next.group, next.position, groups_left, positions_left, found.group, found.position
)]
pub struct JumpError {
    /// Where the log goes on without giving anything up.
    pub next: Place,
    /// How many numbers of groups may still be given up.
    pub groups_left: u64,
    /// How many positions may still be given up.
    pub positions_left: u64,
    /// The place asked for.
    pub found: Place,
}

/// Why an entry or group was not served.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The medium failed.
    #[error("read the log: {op} failed")]
    Medium {
        /// The call that failed.
        op: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// The stored bytes are damaged.
    #[error(transparent)]
    Corrupt(#[from] Box<Corruption>),
    /// The file is in the archive, and cannot be read there.
    #[error(transparent)]
    Archived(#[from] Box<FetchError>),
    /// The index of the file changed since the log was opened.
    #[error(
        "{} does not say where the group stands: open the log again, which makes it anew",
        FileName::Index(*file)
    )]
    Index {
        /// The file whose index it is.
        file: FileNumber,
    },
    /// Its number was given up when a loss was accepted: there is no such position or group.
    #[error("{what} {found}: {first} to {last} were given up when an operator accepted a loss")]
    GivenUp {
        /// `position` or `group`.
        what: &'static str,
        /// First one given up.
        first: u64,
        /// Last one given up.
        last: u64,
        /// The one asked for.
        found: u64,
    },
    /// There is no such position or group.
    #[error("{what}: expected {first}..={last}, found {found}")]
    Absent {
        /// `position` or `group`.
        what: &'static str,
        /// First one of the log.
        first: u64,
        /// Last committed one.
        last: u64,
        /// The one asked for.
        found: u64,
    },
}

/// Why the writer stopped by itself. Nothing that had no answer yet is acknowledged; it may or may
/// not be found in the log when it is opened again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The log failed.
    #[error("the writer stopped: the log failed")]
    Log(#[source] Arc<AppendError>),
    /// The admission, the clock or a reply panicked.
    #[error("the writer stopped: admission, clock or reply panicked")]
    Panicked,
}

/// Why an item was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// Too many items wait on the lane; try again later.
    #[error("expected at most {items_max} items waiting for the writer on the {lane} lane")]
    Full {
        /// Which.
        lane: Lane,
        /// The places that its lane has beside what waits on the others.
        items_max: usize,
    },
    /// The writer was asked to stop.
    #[error("the writer was stopped")]
    Stopped,
    /// The writer failed.
    #[error(transparent)]
    Failed(Failure),
}

fn short(hash: &[u8; 32]) -> String {
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
