//! Reading what is committed. Every group is checked again whenever it is read.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::entry::{Found, Walk};
use crate::index::{GivenUp, Holder, Index, Known, Placed};
use crate::index_file;
use crate::prepare::{Ahead, FileCounts};
use crate::record::{
    GROUP_HEADER_BYTES, GroupHeader, GroupSummary, Jumps, MARK_BYTES, field, hash, journal_hash,
    u64_at,
};
use crate::{
    Corruption, DurableEvidence, Entry, Fault, FetchError, FileName, FileNumber, GroupNumber, Head,
    MILLIS_MAX, Medium, Millis, Position, ReadError,
};

/// What the log and its readers share.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    pub(crate) medium: M,
    log_id: [u8; 16],
    index: RwLock<Index>,
    pub(crate) ahead: Ahead,
}

impl<M> Shared<M> {
    pub(crate) fn new(medium: M, log_id: [u8; 16], index: Index, ahead: Ahead) -> Shared<M> {
        Shared { medium, log_id, index: RwLock::new(index), ahead }
    }

    pub(crate) fn head(&self) -> Head {
        self.index().head()
    }

    pub(crate) fn jumps_left(&self) -> Jumps {
        self.index().jumps_left()
    }

    pub(crate) fn publish(&self, offset: u64, header: &GroupHeader, head: Head) {
        // Both under one lock: whoever sees the new head finds the group that it ends with.
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.push(offset, header, head);
    }

    pub(crate) fn begin_file(&self, head: Head, seed: u32) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.begin_file(head, seed);
    }

    /// Writes the index of every file that was left and has none; memory keeps its groups no more.
    pub(crate) fn index_left(&self) -> io::Result<()>
    where
        M: Medium,
    {
        loop {
            // The lock is free while it is written: what was left never changes.
            let Some(left) = self.index().left() else { return Ok(()) };
            index_file::write(&self.medium, &left)?;
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.drop_groups(left.last.file);
        }
    }

    fn place(&self, number: GroupNumber) -> Result<Placed, ReadError>
    where
        M: Medium,
    {
        // The lock is free again before the disk is asked: a committed record never changes.
        let known = self.index().place(number)?;
        match known {
            Known::Placed(placed) => Ok(placed),
            Known::InFile(disk, at) => index_file::place(&self.medium, &disk, at),
        }
    }

    fn group_of(&self, position: Position) -> Result<GroupNumber, ReadError>
    where
        M: Medium,
    {
        let holder = self.index().group_of(position)?;
        match holder {
            Holder::Group(number) => Ok(number),
            Holder::InFile(disk) => {
                let at = index_file::search(&self.medium, &disk, position)?;
                Ok(self.index().number_at(disk.index + at))
            }
        }
    }

    pub(crate) fn last_file_is_empty(&self) -> bool {
        self.index().last_file_is_empty()
    }

    /// A panic elsewhere cannot leave the index half changed: pushing is all that happens under it.
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a read failed with: the archive's own words, if the file is there.
fn read_failed(source: io::Error) -> ReadError {
    match source.downcast::<FetchError>() {
        Ok(error) => ReadError::Archived(Box::new(error)),
        Err(source) => ReadError::Medium { op: "read", source },
    }
}

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: GroupNumber,
    /// Position of the first entry.
    pub first: Position,
    /// Position of the last entry.
    pub last: Position,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
    /// blake3 of the contiguous entry bytes, keyed with the salt.
    pub digest: [u8; 32],
    /// Random bytes of this group alone: they go where its entries go, and nowhere else.
    pub salt: [u8; 32],
    /// Whether numbers and positions right before it were given up.
    pub given_up_before: bool,
    /// Its entries, in order; their bodies share one allocation.
    pub entries: Vec<Entry>,
}

/// Where a group's record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// In which file.
    pub file: FileNumber,
    /// From which byte on.
    pub offset: u64,
    /// Bytes of it.
    pub bytes: u64,
}

/// Reads committed entries; cheap to clone, usable from any thread while the log is appended to.
///
/// A read loads the whole group that holds the entry (8 MiB at most) and checks its checksums, its
/// digest and its place, so that damage is reported and never served.
#[derive(Debug)]
pub struct Reader<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Clone for Reader<M> {
    fn clone(&self) -> Self {
        Reader { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Medium> Reader<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>) -> Reader<M> {
        Reader { shared }
    }

    pub(crate) fn medium(&self) -> &M {
        &self.shared.medium
    }

    pub(crate) fn ahead(&self) -> &Ahead {
        &self.shared.ahead
    }

    pub(crate) fn is_indexed(&self, file: FileNumber) -> bool {
        self.shared.index().is_indexed(file)
    }

    /// Where the committed log ends.
    pub fn head(&self) -> Head {
        self.shared.head()
    }

    /// The identity that the log was created with.
    pub fn log_id(&self) -> [u8; 16] {
        self.shared.log_id
    }

    /// The entry at a position.
    ///
    /// # Errors
    /// [`ReadError::Absent`] outside of the log, [`ReadError::Corrupt`] for a damaged group.
    pub fn read(&self, position: Position) -> Result<Entry, ReadError> {
        let group = self.group_holding(position)?;
        Ok(group.entries[(position - group.first) as usize].clone())
    }

    /// The group that holds a position.
    fn group_holding(&self, position: Position) -> Result<Group, ReadError> {
        let number = self.group_of(position)?;
        let group = self.group(number)?;
        match (group.first..=group.last).contains(&position) {
            true => Ok(group),
            // An index that is damaged led to another one.
            false => Err(ReadError::Index { file: self.shared.place(number)?.file }),
        }
    }

    /// The number of the group that holds a position.
    ///
    /// # Errors
    /// [`ReadError::Absent`] outside of the log.
    pub fn group_of(&self, position: Position) -> Result<GroupNumber, ReadError> {
        self.shared.group_of(position)
    }

    /// The first group with a number above `after`, if it is committed: numbers that were given up
    /// are passed over.
    pub fn group_after(&self, after: GroupNumber) -> Option<GroupNumber> {
        self.shared.index().group_after(after)
    }

    /// What was given up when losses were accepted, oldest first.
    pub fn given_up(&self) -> Vec<GivenUp> {
        self.shared.index().given_up()
    }

    /// The first eight bytes of the journal hash after a group; the group is not read.
    ///
    /// # Errors
    /// [`ReadError::Absent`] or [`ReadError::GivenUp`].
    pub fn hash_tag(&self, number: GroupNumber) -> Result<u64, ReadError> {
        Ok(self.shared.place(number)?.entry.hash_tag)
    }

    /// Where the record of a group stands; the group is not read.
    ///
    /// # Errors
    /// [`ReadError::Absent`] or [`ReadError::GivenUp`].
    pub fn placement(&self, number: GroupNumber) -> Result<Placement, ReadError> {
        let Placed { entry, file, bytes, .. } = self.shared.place(number)?;
        Ok(Placement { file, offset: entry.offset, bytes })
    }

    /// How many groups memory keeps the place of: those of the last file, and of files that were
    /// left and have no index yet.
    pub fn groups_in_memory(&self) -> usize {
        self.shared.index().in_memory()
    }

    /// How many files the log has.
    pub fn files(&self) -> u64 {
        self.shared.index().files() as u64
    }

    /// How making files ahead of need went since the log was opened.
    pub fn file_counts(&self) -> FileCounts {
        self.shared.ahead.counts()
    }

    /// The group with a number.
    ///
    /// # Errors
    /// [`ReadError::Absent`] outside of the log, [`ReadError::Corrupt`] for a damaged group.
    pub fn group(&self, number: GroupNumber) -> Result<Group, ReadError> {
        let place = self.shared.place(number)?;
        let Placed { entry, file, bytes, .. } = place;
        // Its size is from the index and not from the record: damage cannot ask for memory.
        let mut record = vec![0; bytes as usize];
        self.shared
            .medium
            .read_at(FileName::Log(file), entry.offset, &mut record)
            .map_err(read_failed)?;
        check_and_parse(record.into(), number, &place).map_err(|fault| {
            let (offset, evidence) = (entry.offset, DurableEvidence::Committed);
            Box::new(Corruption { group: number, file, offset, fault, evidence }).into()
        })
    }

    /// The entries from a position on, up to whatever is committed when each one is asked for.
    /// After an error it ends. Each group is held against the one before it, as far as that was
    /// read as well.
    pub fn iter_from(&self, position: Position) -> Entries<M> {
        let (next, loaded) = (position.max(1), VecDeque::new());
        let (before, in_group) = (None, InGroup { salt: [0; 32], first: next });
        Entries { reader: self.clone(), next, loaded, before, in_group, failed: false }
    }

    /// As [`Self::iter_from`], from the first entry behind a group on, which is read: the next one
    /// is held against it.
    ///
    /// # Errors
    /// As [`Self::group`].
    pub fn iter_behind(&self, number: GroupNumber) -> Result<Entries<M>, ReadError> {
        let group = self.group(number)?;
        let entries = self.iter_from(group.last + 1);
        Ok(Entries { before: Some(Before::of(&group)), ..entries })
    }
}

impl<M: Medium> Reader<M> {
    fn corrupt(&self, number: GroupNumber, fault: Fault) -> ReadError {
        let place = match self.shared.place(number) {
            Ok(place) => place,
            Err(error) => return error,
        };
        let (file, offset, evidence) = (place.file, place.entry.offset, DurableEvidence::Committed);
        Box::new(Corruption { group: number, file, offset, fault, evidence }).into()
    }
}

fn check_and_parse(record: Bytes, number: GroupNumber, place: &Placed) -> Result<Group, Fault> {
    let Placed { entry: place, seed, .. } = *place;
    // A record in the index is at least a header and a mark long: it was whole when it got there.
    let (head, body) = record.split_first_chunk::<GROUP_HEADER_BYTES>().expect("indexed record");
    let header = GroupHeader::intact(head, seed)?;
    // Lengths come from the header, so it must be the right one before they cut anything.
    header.check_form(head)?;
    field("group number", number, header.number)?;
    field("first position", place.first, header.first)?;
    if header.record_bytes() != record.len() {
        let (expected, found) = (header.record_bytes() as u64, record.len() as u64);
        return Err(Fault::Truncated { expected, found });
    }
    // The mark is left out: it is written after the sync and may be lost while the group is whole.
    let entries = &body[..header.bytes as usize];
    header.check_body(&body[..body.len() - MARK_BYTES], seed)?;
    // Both: the checksum misses one error in 2^32, and the digest is what the journal hash names.
    header.check_digest(entries)?;
    // A record of another history of this log, from a copy that went its own way, passes all the
    // above.
    let found = u64_at(&header.journal_hash, 0);
    field("first eight bytes of the journal hash", place.hash_tag, found)?;
    let bytes = record.slice_ref(entries);
    Ok(Group {
        number,
        first: header.first,
        last: header.last(),
        journal_hash: header.journal_hash,
        digest: header.digest,
        salt: header.salt,
        given_up_before: header.given_up_before,
        entries: parse(&bytes, &header)?,
    })
}

fn parse(bytes: &Bytes, header: &GroupHeader) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::with_capacity(header.count as usize);
    // The time of the entry before is not at hand. It was compared when the group was appended or
    // the log opened, and the digest says that these are the same bytes.
    let mut walk = Walk::new(bytes, header.count, header.first, 0);
    while let Some(Found { kind, time, body }) = walk.next()? {
        entries.push(Entry { kind, time, body: bytes.slice(body) });
    }
    Ok(entries)
}

/// The entries of a log in order; see [`Reader::iter_from`]. Holds one group in memory.
#[derive(Debug)]
pub struct Entries<M> {
    reader: Reader<M>,
    next: Position,
    loaded: VecDeque<Entry>,
    before: Option<Before>,
    in_group: InGroup,
    failed: bool,
}

/// What a group says of each of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InGroup {
    /// Its salt.
    pub salt: [u8; 32],
    /// Position of its first entry.
    pub first: Position,
}

impl InGroup {
    /// The place of an entry of the group among its entries, from 0.
    pub fn index(&self, position: Position) -> u32 {
        // A group has at most 65,536 entries.
        position.saturating_sub(self.first) as u32
    }
}

/// The group that was read last.
#[derive(Debug)]
struct Before {
    number: GroupNumber,
    journal_hash: [u8; 32],
    last_time: Millis,
}

impl Before {
    fn of(group: &Group) -> Before {
        let last_time = group.entries.last().map_or(0, |entry| entry.time);
        Before { number: group.number, journal_hash: group.journal_hash, last_time }
    }

    /// Checks that a group continues this one.
    fn check(&self, group: &Group) -> Result<(), Fault> {
        let Group { number, first, last, digest, .. } = *group;
        let summary = GroupSummary { number, first, last, digest };
        hash("journal hash", journal_hash(&self.journal_hash, &summary), group.journal_hash)?;
        let (at_least, max) = (self.last_time, MILLIS_MAX);
        match group.entries.first().map(|entry| entry.time) {
            Some(found) if found < at_least => {
                Err(Fault::Time { position: first, at_least, max, found })
            }
            _ => Ok(()),
        }
    }
}

impl<M: Medium> Entries<M> {
    /// The group of the entry that was given last.
    pub fn in_group(&self) -> InGroup {
        self.in_group
    }

    fn load(&mut self) -> Result<(), ReadError> {
        // Positions that were given up hold nothing: the next entry is the first one behind them.
        self.next = self.reader.shared.index().position_from(self.next);
        let after = self.before.as_ref().and_then(|before| self.reader.group_after(before.number));
        let group = match after {
            // By number: looking a position up asks the disk many times.
            Some(number) => self.reader.group(number)?,
            None => self.reader.group_holding(self.next)?,
        };
        let number = group.number;
        if let Some(before) = &self.before {
            before.check(&group).map_err(|fault| self.reader.corrupt(number, fault))?;
        }
        let first = group.first;
        self.before = Some(Before::of(&group));
        self.in_group = InGroup { salt: group.salt, first };
        // `next` may lie within the group: an iterator starts at any position.
        self.loaded = group.entries.into();
        self.loaded.drain(..(self.next - first) as usize);
        Ok(())
    }
}

impl<M: Medium> Iterator for Entries<M> {
    type Item = Result<(Position, Entry), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The head is asked again each time, so that an iterator at the end goes on once there is
        // more. After an error it does not: the next call would fail on the same bytes.
        if self.failed || (self.loaded.is_empty() && self.next > self.reader.head().position) {
            return None;
        }
        if self.loaded.is_empty()
            && let Err(error) = self.load()
        {
            self.failed = true;
            return Some(Err(error));
        }
        let entry = self.loaded.pop_front()?;
        let position = self.next;
        self.next += 1;
        Some(Ok((position, entry)))
    }
}
