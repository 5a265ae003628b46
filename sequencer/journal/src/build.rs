//! The next group while it is filled: entries are encoded once, in place, behind room for the
//! header.

use std::io;
use std::ops::Range;

use crate::entry::{ENTRY_HEADER_BYTES, begin_entry, end_entry};
use crate::lane::Filled;
use crate::record::{Body, GROUP_HEADER_BYTES, GroupHeader, MARK_BYTES, record_bytes};
use crate::{
    ENTRY_BYTES_MAX, EntryError, EntryKind, GROUP_BYTES_MAX, GROUP_ENTRIES_MAX, GroupNumber, Head,
    ITEM_BYTES_MAX, ITEM_ENTRIES_MAX, MILLIS_MAX, Millis, Place, Position,
};

/// Collects the entries of one group and gives each its position and append time.
///
/// Holds at most 8 MiB of entries and 512 KiB of ranges.
#[derive(Debug)]
pub struct GroupBuilder {
    after: Head,
    /// Right after that, or beyond it.
    place: Place,
    now: Millis,
    /// Of the last entry here; of the log before it as long as there is none.
    last_time: Millis,
    record: Vec<u8>,
    ranges: Vec<Range<u32>>,
    /// Drawn when the group is begun, because what is sealed in it depends on it.
    salt: io::Result<[u8; 32]>,
    /// Most bytes of all entries together: what the item under way may reach, or the group.
    bytes_max: usize,
    entries_max: usize,
}

/// A finished record, ready to be written.
pub(crate) struct Sealed {
    pub(crate) header: GroupHeader,
    pub(crate) record: Vec<u8>,
    pub(crate) ranges: Vec<Range<u32>>,
    pub(crate) last_time: Millis,
}

impl GroupBuilder {
    pub(crate) fn new(
        after: Head,
        now: Millis,
        (mut record, salt): (Vec<u8>, io::Result<[u8; 32]>),
    ) -> GroupBuilder {
        // The header holds the digest of what follows it, so it is written last, into this room.
        record.clear();
        record.resize(GROUP_HEADER_BYTES, 0);
        let last_time = after.last_time;
        let mut builder = GroupBuilder {
            after,
            place: Place::after(&after),
            now: 0,
            last_time,
            record,
            ranges: Vec::new(),
            salt,
            bytes_max: GROUP_BYTES_MAX,
            entries_max: GROUP_ENTRIES_MAX,
        };
        builder.set_now(now);
        builder
    }

    /// Gives up every number before `place`: the group will stand there.
    pub(crate) fn move_to(&mut self, place: Place) {
        self.place = place;
    }

    /// Number of the group that this will be.
    pub fn number(&self) -> GroupNumber {
        self.place.group
    }

    /// The salt that the group will have: of no other group, also of none that was begun at the
    /// same place and never became durable. None if the system gave none: then the group is not
    /// written.
    pub fn salt(&self) -> Option<&[u8; 32]> {
        self.salt.as_ref().ok()
    }

    pub(crate) fn take_salt(&mut self) -> io::Result<[u8; 32]> {
        // What is left behind is no salt: one is used once.
        std::mem::replace(&mut self.salt, Err(io::ErrorKind::NotFound.into()))
    }

    /// The body of the entry that was appended last, as it will be stored.
    pub fn last_body(&self) -> Option<&[u8]> {
        let Range { start, end } = self.ranges.last()?;
        let entries = &self.record[GROUP_HEADER_BYTES..];
        Some(&entries[*start as usize + ENTRY_HEADER_BYTES..*end as usize])
    }

    /// Position of the next entry.
    pub fn next_position(&self) -> Position {
        self.place.position + self.ranges.len() as u64
    }

    /// The time of entries appended now: the clock, or the latest entry's time where that is later.
    pub fn now(&self) -> Millis {
        self.now.max(self.last_time)
    }

    /// Entries collected so far.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is collected yet.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes in the clock; a clock that went back changes nothing.
    pub fn set_now(&mut self, now: Millis) {
        // Zero is no time (an entry's must be 1 or more), but a clock may show it.
        self.now = now.max(1);
    }

    /// Appends an entry at [`Self::now`] and returns its position.
    ///
    /// # Errors
    /// [`EntryError`]; the group is then as it was.
    pub fn append(&mut self, kind: EntryKind, body: &[u8]) -> Result<Position, EntryError> {
        self.append_at(kind, self.now(), body)
    }

    /// Appends an entry strictly later than every entry before it, for kinds whose order against
    /// the rest must be visible in their times, and returns its position.
    ///
    /// # Errors
    /// [`EntryError`]; the group is then as it was.
    pub fn append_strictly_later(
        &mut self,
        kind: EntryKind,
        body: &[u8],
    ) -> Result<Position, EntryError> {
        // Not always one more than `now()`: a clock that is ahead of the last entry is strictly
        // later already, and then the entry has its true time.
        self.append_at(kind, self.now.max(self.last_time + 1), body)
    }

    /// Appends an entry at a given time and returns its position.
    ///
    /// # Errors
    /// [`EntryError`]; the group is then as it was.
    pub fn append_at(
        &mut self,
        kind: EntryKind,
        time: Millis,
        body: &[u8],
    ) -> Result<Position, EntryError> {
        // Before the first byte is encoded: a body that does not fit is not copied first.
        self.check_room(ENTRY_HEADER_BYTES + body.len())?;
        self.append_with(kind, time, |record| {
            record.extend_from_slice(body);
            Ok::<_, EntryError>(())
        })
    }

    /// As [`Self::append_at`], with the body that `put` writes behind what it is handed: it stands
    /// where it is to stand from its first byte on, and is copied no more.
    ///
    /// # Errors
    /// [`EntryError`], or that of `put`; the group is then as it was.
    pub fn append_with<E: From<EntryError>>(
        &mut self,
        kind: EntryKind,
        time: Millis,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Position, E> {
        self.check_form(kind, time)?;
        let (position, start) = (self.next_position(), self.record.len());
        begin_entry(&mut self.record, kind, time);
        let put = put(&mut self.record).and_then(|()| {
            let found = self.record.len() - start;
            // Without what was just put there.
            self.check_room_behind(start, found).map_err(E::from)
        });
        if let Err(error) = put {
            self.record.truncate(start);
            return Err(error);
        }
        end_entry(&mut self.record[start..]);
        // At most GROUP_BYTES_MAX, which is far below 2^32.
        let begin = start - GROUP_HEADER_BYTES;
        self.ranges.push(begin as u32..self.entry_bytes() as u32);
        self.last_time = time;
        Ok(position)
    }

    fn check_form(&self, kind: EntryKind, time: Millis) -> Result<(), EntryError> {
        if !kind.is_known() {
            return Err(EntryError::UnknownKind { found: kind.code() });
        }
        // The bounds of `Walk::decode`: a time that recovery would call damage is never written.
        let at_least = self.last_time.max(1);
        if !(at_least..=MILLIS_MAX).contains(&time) {
            return Err(EntryError::Time { at_least, max: MILLIS_MAX, found: time });
        }
        Ok(())
    }

    /// Whether an entry of so many bytes, its header included, fits behind what is there.
    fn check_room(&self, found: usize) -> Result<(), EntryError> {
        self.check_room_behind(self.record.len(), found)
    }

    /// As [`Self::check_room`], behind this place in the record.
    fn check_room_behind(&self, place: usize, found: usize) -> Result<(), EntryError> {
        // Before the room: what fits no group must not read as full, which asks for another try.
        if found > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { max: ENTRY_BYTES_MAX, found });
        }
        // Neither goes below zero: nothing is ever appended beyond its maximum.
        let bytes_left = self.bytes_max - (place - GROUP_HEADER_BYTES);
        let entries_left = self.entries_max - self.ranges.len();
        if found > bytes_left || entries_left == 0 {
            return Err(EntryError::Full { bytes_left, entries_left, found });
        }
        Ok(())
    }

    /// How much it holds.
    pub(crate) fn filled(&self) -> Filled {
        Filled { bytes: self.entry_bytes(), entries: self.ranges.len() }
    }

    /// Whether one more item, as large as items may be, fits.
    fn has_room_for_item(&self) -> bool {
        self.entry_bytes() + ITEM_BYTES_MAX <= GROUP_BYTES_MAX
            && self.ranges.len() + ITEM_ENTRIES_MAX <= GROUP_ENTRIES_MAX
    }

    /// From here on the item's limits hold.
    pub(crate) fn begin_item(&mut self, now: Millis) {
        assert!(self.has_room_for_item(), "an item begins only where it fits");
        self.set_now(now);
        // A share of the group, not the rest of it: one item must not crowd out those behind it.
        self.bytes_max = self.entry_bytes() + ITEM_BYTES_MAX;
        self.entries_max = self.ranges.len() + ITEM_ENTRIES_MAX;
    }

    pub(crate) fn after(&self) -> GroupNumber {
        self.after.group
    }

    /// Bytes of the record that this becomes.
    pub(crate) fn record_bytes(&self) -> usize {
        record_bytes(self.entry_bytes())
    }

    /// Adds padding, mark slot and header.
    pub(crate) fn seal(mut self, seed: u32, salt: [u8; 32]) -> Sealed {
        // To a multiple of 8, where recovery looks for headers and marks.
        let entries_end = self.record.len();
        self.record.resize(entries_end.next_multiple_of(8), 0);
        // The digest names the entries alone. The checksum covers the padding as well, so that no
        // byte of a record but its mark goes unchecked.
        let body = Body {
            place: self.place,
            salt,
            count: self.ranges.len() as u32,
            entries: &self.record[GROUP_HEADER_BYTES..entries_end],
            padded: &self.record[GROUP_HEADER_BYTES..],
        };
        let header = GroupHeader::after(&self.after, &body, seed);
        self.record[..GROUP_HEADER_BYTES].copy_from_slice(&header.encode(seed));
        // Zeros until the group is synced: written now, the mark would be on the disk whenever the
        // group is, and say nothing.
        self.record.resize(self.record.len() + MARK_BYTES, 0);
        let GroupBuilder { record, ranges, last_time, .. } = self;
        Sealed { header, record, ranges, last_time }
    }

    fn entry_bytes(&self) -> usize {
        self.record.len() - GROUP_HEADER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultMedium, salts};
    use crate::{DurableEvidence, Fault, FileName, Genesis, Log, OpenError};

    const GENESIS: Genesis = Genesis { log_id: [3; 16], journal_hash: [0; 32] };

    /// A log of one group of two 4-byte entries whose bytes are changed before it is sealed, so
    /// that every checksum and the journal hash hold.
    fn log_with(change: impl FnOnce(&mut [u8])) -> FaultMedium {
        let medium = FaultMedium::default();
        let (mut log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
        let mut group = log.builder(1_000);
        group.append(EntryKind::FRAME, b"body").expect("fits");
        group.append(EntryKind::FRAME, b"body").expect("fits");
        change(&mut group.record[GROUP_HEADER_BYTES..]);
        log.append_built(group).expect("append");
        medium
    }

    fn fault_of(change: impl FnOnce(&mut [u8])) -> Fault {
        match Log::open(log_with(change), GENESIS, salts()) {
            Err(OpenError::Corrupt(found)) => {
                assert_eq!(found.evidence, DurableEvidence::IntactChecksum);
                found.fault
            }
            other => panic!("expected corruption, found {other:?}"),
        }
    }

    #[test]
    fn an_entry_of_an_unknown_kind_is_readable_and_says_so() {
        let (log, _) =
            Log::open(log_with(|entries| entries[0] = 200), GENESIS, salts()).expect("open");
        let kinds = [1, 2].map(|position| log.read(position).expect("readable").kind);
        assert_eq!(kinds.map(EntryKind::code), [200, 1]);
        assert_eq!(kinds.map(EntryKind::is_known), [false, true]);
    }

    #[test]
    fn malformed_entries_behind_good_checksums_are_corruption() {
        let field = |fault| matches!(fault, Fault::Field { .. });
        assert!(field(fault_of(|entries| entries[0] = 0)), "kind zero");
        for reserved in 1..4 {
            assert!(field(fault_of(|entries| entries[reserved] = 1)), "reserved byte {reserved}");
        }
        let limit = |fault| matches!(fault, Fault::Limit { field: "entry length", .. });
        assert!(limit(fault_of(|entries| entries[7] = 1)), "a length above the limit");
        let layout = |fault| matches!(fault, Fault::EntryLayout { .. });
        assert!(layout(fault_of(|entries| entries[24] = 5)), "an entry beyond the group");
        assert!(layout(fault_of(|entries| entries[24] = 3)), "bytes behind the last entry");
        assert!(layout(fault_of(|entries| entries[4] = 19)), "no room for a header");
        let time = |fault| matches!(fault, Fault::Time { position: 2, at_least: 1_000, .. });
        assert!(time(fault_of(|entries| entries[28] -= 1)), "time going back");
        assert!(time(fault_of(|entries| entries[33] = 0xff)), "time beyond 44 bits");
    }

    #[test]
    fn headers_of_another_version_place_or_size_are_corruption_even_if_intact() {
        let seed = crc32c::crc32c(&[&GENESIS.log_id[..], &1u64.to_le_bytes()].concat());
        // (offset in the header, new value of that byte)
        for (at, value) in [(4, 1), (6, 1), (6, 2), (8, 9), (16, 9), (24, 0), (26, 2), (31, 1)] {
            let mut files = log_with(|_| {}).files();
            let bytes = files.get_mut(&FileName::Log(1)).expect("one file");
            bytes[128 + at] = value;
            let crc = crc32c::crc32c_append(seed, &bytes[128..260]);
            bytes[260..264].copy_from_slice(&crc.to_le_bytes());
            match Log::open(FaultMedium::holding(files), GENESIS, salts()) {
                Err(OpenError::Corrupt(found)) => {
                    assert_eq!(
                        found.evidence,
                        DurableEvidence::IntactChecksum,
                        "byte {at}: {found}"
                    );
                }
                other => panic!("byte {at}: expected corruption, found {other:?}"),
            }
        }
    }
}
