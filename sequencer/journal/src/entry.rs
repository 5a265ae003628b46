//! One entry: its kind, its time, its opaque body, and its bytes inside a group.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::{ENTRY_BYTES_MAX, Fault, MILLIS_MAX, Millis, Position};

/// Bytes before the body: kind, reserved, length, time.
pub(crate) const ENTRY_HEADER_BYTES: usize = 16;

/// What an entry is. Codes are never reused; a reader meets unknown ones and passes them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKind(u8);

impl EntryKind {
    /// A frame of readings.
    pub const FRAME: EntryKind = EntryKind(1);
    /// A signed change of a consent record.
    pub const OPERATION: EntryKind = EntryKind(2);
    /// A request to read.
    pub const ACCESS_REQUEST: EntryKind = EntryKind(3);
    /// What was refused, and to whom.
    pub const REFUSAL: EntryKind = EntryKind(4);
    /// A change of the registry of actors and devices.
    pub const REGISTRY_CHANGE: EntryKind = EntryKind(5);
    /// The end of a window.
    pub const CLOSE: EntryKind = EntryKind(6);
    /// A stream was described and opened.
    pub const STREAM_OPEN: EntryKind = EntryKind(7);
    /// Groups before this one were lost, and an operator accepted it.
    pub const GAP: EntryKind = EntryKind(8);
    /// How often the same was refused again.
    pub const REFUSAL_COUNT: EntryKind = EntryKind(9);
    /// A patient's readings are erased.
    pub const ERASURE: EntryKind = EntryKind(10);
    /// A legal hold on an erasure is set or cleared.
    pub const HOLD: EntryKind = EntryKind(11);
    /// A system asked whether consent would allow something, and was told.
    pub const QUERY: EntryKind = EntryKind(12);

    /// The kind with this code; zero is none.
    pub fn from_code(code: u8) -> Option<EntryKind> {
        // No upper bound: what a later version writes must be readable. But zeros are what a disk
        // shows where nothing was written, so zero is never a kind.
        (code != 0).then_some(EntryKind(code))
    }

    /// The byte in the log.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Whether this version knows the kind; an unknown one is readable, not appendable.
    pub fn is_known(self) -> bool {
        (EntryKind::FRAME..=EntryKind::QUERY).contains(&self)
    }
}

/// One entry as it is appended and read.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the body is.
    pub kind: EntryKind,
    /// When it was appended; never decreases over the log.
    pub time: Millis,
    /// Opaque bytes, at most [`ENTRY_BYTES_MAX`] less 16.
    pub body: Bytes,
}

impl Entry {
    /// An entry.
    pub fn new(kind: EntryKind, time: Millis, body: impl Into<Bytes>) -> Entry {
        Entry { kind, time, body: body.into() }
    }
}

/// Prints the length of the body, never the body: it may be a patient's.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { kind, time, body } = self;
        write!(f, "Entry {{ {kind:?}, time: {time}, {} bytes }}", body.len())
    }
}

/// Appends the header of an entry whose body follows; [`end_entry`] says how long it became.
pub(crate) fn begin_entry(out: &mut Vec<u8>, kind: EntryKind, time: Millis) {
    out.extend_from_slice(&[kind.0, 0, 0, 0]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&time.to_le_bytes());
}

/// Writes the length of the body into the header of an entry; limits are the caller's to check.
pub(crate) fn end_entry(entry: &mut [u8]) {
    debug_assert!(entry.len() <= ENTRY_BYTES_MAX);
    let length = (entry.len() - ENTRY_HEADER_BYTES) as u32;
    entry[4..8].copy_from_slice(&length.to_le_bytes());
}

/// An entry found in the bytes of a group; `body` is a range of those bytes.
pub(crate) struct Found {
    pub(crate) kind: EntryKind,
    pub(crate) time: Millis,
    pub(crate) body: Range<usize>,
}

/// Walks the entries of a group, checking layout, limits and time order.
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    index: u32,
    count: u32,
    first: Position,
    last_time: Millis,
}

impl<'a> Walk<'a> {
    /// `last_time` is the time of the entry before `first`.
    pub(crate) fn new(bytes: &'a [u8], count: u32, first: Position, last_time: Millis) -> Self {
        Walk { bytes, at: 0, index: 0, count, first, last_time }
    }

    /// The next entry; `None` once `count` entries used up exactly all bytes.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, Fault> {
        let left = &self.bytes[self.at..];
        // Count and length both come from the header; a body that fits one of them only is wrong.
        if self.index == self.count {
            return if left.is_empty() { Ok(None) } else { Err(self.layout(0)) };
        }
        let Some((header, rest)) = left.split_first_chunk::<ENTRY_HEADER_BYTES>() else {
            return Err(self.layout(ENTRY_HEADER_BYTES as u64));
        };
        let found = self.decode(header)?;
        if rest.len() < found.body.len() {
            return Err(self.layout((ENTRY_HEADER_BYTES + found.body.len()) as u64));
        }
        self.at = found.body.end;
        self.index += 1;
        self.last_time = found.time;
        Ok(Some(found))
    }

    fn decode(&self, header: &[u8; ENTRY_HEADER_BYTES]) -> Result<Found, Fault> {
        let [kind, r0, r1, r2, l0, l1, l2, l3, t @ ..] = *header;
        let reserved = u32::from_le_bytes([r0, r1, r2, 0]);
        if reserved != 0 {
            let (field, found) = ("entry reserved", u64::from(reserved));
            return Err(Fault::Field { field, expected: 0, found });
        }
        // Bounded before anything is added to it.
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > ENTRY_BYTES_MAX - ENTRY_HEADER_BYTES {
            let max = (ENTRY_BYTES_MAX - ENTRY_HEADER_BYTES) as u64;
            return Err(Fault::Limit { field: "entry length", max, found: length as u64 });
        }
        let time = u64::from_le_bytes(t);
        if time < self.last_time.max(1) || time > MILLIS_MAX {
            let position = self.first + u64::from(self.index);
            let at_least = self.last_time.max(1);
            return Err(Fault::Time { position, at_least, max: MILLIS_MAX, found: time });
        }
        let kind = EntryKind::from_code(kind).ok_or(Fault::Field {
            field: "entry kind",
            expected: 1,
            found: 0,
        })?;
        // May end behind the bytes that there are: `next` compares before anything is cut.
        let start = self.at + ENTRY_HEADER_BYTES;
        Ok(Found { kind, time, body: start..start + length })
    }

    fn layout(&self, expected: u64) -> Fault {
        let found = (self.bytes.len() - self.at) as u64;
        Fault::EntryLayout { index: self.index, expected, found }
    }
}
