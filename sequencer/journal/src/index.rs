//! What memory keeps of the groups: where each stands, and where numbers were given up.

use crate::record::{GroupHeader, Jumps, u64_at};
use crate::{FileNumber, GroupNumber, Head, Place, Position, ReadError};

/// What memory keeps of a group: 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) offset: u64,
    pub(crate) first: Position,
    /// The first eight bytes of the journal hash: enough to notice a replaced group.
    pub(crate) hash_tag: u64,
}

/// Groups with numbers and positions that follow each other, up to the next run.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Index of its first group.
    index: usize,
    /// Its first group's number and first position.
    first: Place,
    /// The place right after the group before it.
    next: Place,
}

/// The groups of one file.
#[derive(Debug)]
struct FileGroups {
    file: FileNumber,
    /// What the checksums of the file start from.
    seed: u32,
    /// Index of its first group, and that group's first position or one before it.
    index: usize,
    first: Position,
    groups: Vec<IndexEntry>,
    /// Where its last group ends.
    end: u64,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) entry: IndexEntry,
    pub(crate) file: FileNumber,
    pub(crate) seed: u32,
    /// Bytes of its record.
    pub(crate) bytes: u64,
}

/// Every committed group.
#[derive(Debug)]
pub(crate) struct Index {
    /// At least one, the last of which may have no group yet.
    files: Vec<FileGroups>,
    len: usize,
    /// One, and one more for each time that numbers were given up: seldom any.
    runs: Vec<Run>,
    jumps_left: Jumps,
    head: Head,
}

impl Index {
    /// Without a group, before which the log stands at `head`, in the first file.
    pub(crate) fn new(head: Head, seed: u32) -> Index {
        let first = Place::after(&head);
        let runs = vec![Run { index: 0, first, next: first }];
        let mut index = Index { files: vec![], len: 0, runs, jumps_left: Jumps::ALL, head };
        index.begin_file(head, seed);
        index
    }

    /// The next group goes into another file, to where `head` says.
    pub(crate) fn begin_file(&mut self, head: Head, seed: u32) {
        let Head { file, end, position, .. } = head;
        let (index, first) = (self.len, position + 1);
        self.files.push(FileGroups { file, seed, index, first, groups: vec![], end });
        self.head = head;
    }

    /// Takes in the next group, whose place was checked; it stands at `offset` and ends at `head`.
    pub(crate) fn push(&mut self, offset: u64, header: &GroupHeader, head: Head) {
        if header.given_up_before {
            let next = Place::after(&self.head);
            let first = Place { group: header.number, position: header.first };
            // Nothing is left where it could not be counted: such a group does not pass its check.
            let none = Jumps { groups: 0, positions: 0 };
            self.jumps_left = self.jumps_left.after(next, first).unwrap_or(none);
            self.runs.push(Run { index: self.len, first, next });
        }
        let hash_tag = u64_at(&header.journal_hash, 0);
        // There is one from the start.
        let Some(file) = self.files.last_mut() else { return };
        file.groups.push(IndexEntry { offset, first: header.first, hash_tag });
        file.end = head.end;
        self.len += 1;
        self.head = head;
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many files there are.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// Whether the last file has no group yet.
    pub(crate) fn last_file_is_empty(&self) -> bool {
        self.files.last().is_none_or(|file| file.groups.is_empty())
    }

    pub(crate) fn jumps_left(&self) -> Jumps {
        self.jumps_left
    }

    /// The group with a number.
    pub(crate) fn place(&self, number: GroupNumber) -> Result<Placed, ReadError> {
        let i = self.index_of(number)?;
        let FileGroups { file, seed, index, groups, end, .. } =
            self.file_of(|file| file.index <= i);
        let entry = groups[i - index];
        // Lengths are not kept: a record ends where the next one begins, the last one at the end.
        let end = groups.get(i - index + 1).map_or(*end, |next| next.offset);
        Ok(Placed { entry, file: *file, seed: *seed, bytes: end - entry.offset })
    }

    /// The last file that begins early enough; the first one does so always.
    fn file_of(&self, begins: impl Fn(&FileGroups) -> bool) -> &FileGroups {
        let behind = self.files.partition_point(begins);
        &self.files[behind.saturating_sub(1)]
    }

    /// The number of the group that holds a position.
    pub(crate) fn group_of(&self, position: Position) -> Result<GroupNumber, ReadError> {
        let last = self.head.position;
        if !(1..=last).contains(&position) {
            return Err(ReadError::Absent { what: "position", first: 1, last, found: position });
        }
        // No run begins behind the head, so one that begins behind the position has a first group.
        if let Some(run) =
            self.runs.iter().find(|run| (run.next.position..run.first.position).contains(&position))
        {
            let (first, last) = (run.next.position, run.first.position - 1);
            return Err(ReadError::GivenUp { what: "position", first, last, found: position });
        }
        // As many groups begin at or before the position as the index of the one behind it.
        let file = self.file_of(|file| file.first <= position);
        let behind = file.groups.partition_point(|group| group.first <= position);
        // At least one of this file, unless the position was given up.
        Ok(self.number_at(file.index + behind - 1))
    }

    /// The first group with a number above `after`.
    pub(crate) fn group_after(&self, after: GroupNumber) -> Option<GroupNumber> {
        let next = match self.index_of(after.checked_add(1)?) {
            Ok(i) => i,
            // Given up: the run that follows begins with the next group there is.
            Err(ReadError::GivenUp { .. }) => {
                self.runs.iter().find(|run| run.first.group > after)?.index
            }
            Err(_) => return None,
        };
        Some(self.number_at(next))
    }

    /// The first position from `position` on that holds an entry, or would hold the next one.
    pub(crate) fn position_from(&self, position: Position) -> Position {
        match self.group_of(position) {
            Err(ReadError::GivenUp { last, .. }) => last + 1,
            _ => position,
        }
    }

    /// Numbers of groups and positions that were given up, oldest first.
    pub(crate) fn given_up(&self) -> Vec<GivenUp> {
        let gap = |run: &Run| GivenUp { from: run.next, until: run.first };
        self.runs.iter().skip(1).map(gap).collect()
    }

    fn index_of(&self, number: GroupNumber) -> Result<usize, ReadError> {
        let last = self.head.group;
        if !(1..=last).contains(&number) {
            return Err(ReadError::Absent { what: "group", first: 1, last, found: number });
        }
        // From the end: whoever reads mostly reads what was appended last.
        let run = self.runs.iter().rev().find(|run| run.next.group <= number);
        let run = run.unwrap_or(&self.runs[0]);
        if number < run.first.group {
            let (first, last) = (run.next.group, run.first.group - 1);
            return Err(ReadError::GivenUp { what: "group", first, last, found: number });
        }
        Ok(run.index + (number - run.first.group) as usize)
    }

    fn number_at(&self, index: usize) -> GroupNumber {
        let run = self.runs.iter().rev().find(|run| run.index <= index).unwrap_or(&self.runs[0]);
        run.first.group + (index - run.index) as u64
    }
}

/// Numbers that no group or entry has, because an operator accepted a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The first number and position given up.
    pub from: Place,
    /// The group and position with which the log goes on.
    pub until: Place,
}
