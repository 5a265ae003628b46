//! What memory keeps of the groups: which file holds which, where each of the last file stands, and
//! where numbers were given up.

use crate::record::{GroupHeader, Jumps, u64_at};
use crate::{FileNumber, GroupNumber, Head, Place, Position, ReadError};

/// Where a group stands: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) offset: u64,
    pub(crate) first: Position,
    /// The first eight bytes of the journal hash: enough to notice a replaced group.
    pub(crate) hash_tag: u64,
}

/// Groups with numbers and positions that follow each other, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index of its first group.
    pub(crate) index: usize,
    /// Its first group's number and first position.
    pub(crate) first: Place,
    /// The place right after the group before it.
    pub(crate) next: Place,
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
    count: usize,
    /// `None` once the index of the file, which was left, says it on the disk.
    groups: Option<Vec<IndexEntry>>,
    /// Where its last group ends.
    end: u64,
    /// Where the log stood when the file was left.
    last: Option<Head>,
}

/// Groups of which the index of their file says where they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnDisk {
    pub(crate) file: FileNumber,
    pub(crate) seed: u32,
    /// Index of the first, and how many there are.
    pub(crate) index: usize,
    pub(crate) count: usize,
    /// Where the last one ends.
    pub(crate) end: u64,
}

/// What is known here of where a group stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// All of it.
    Placed(Placed),
    /// In which file, and at which place among its groups.
    InFile(OnDisk, usize),
}

/// What is known here of the group that holds a position.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    /// Its number.
    Group(GroupNumber),
    /// In which file it is.
    InFile(OnDisk),
}

/// A file that was left and whose groups memory still keeps.
#[derive(Debug)]
pub(crate) struct Left {
    /// Where it ends.
    pub(crate) last: Head,
    pub(crate) seed: u32,
    pub(crate) groups: Vec<IndexEntry>,
    /// Where numbers were given up, by the place of the group behind among these groups.
    pub(crate) gaps: Vec<Run>,
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
        if let Some(before) = self.files.last_mut() {
            before.last = Some(self.head);
        }
        let (count, groups, last) = (0, Some(Vec::new()), None);
        self.files.push(FileGroups { file, seed, index, first, count, groups, end, last });
        self.head = head;
    }

    /// Takes in all groups of the file that was begun last and ends at `last`: its index says where
    /// they stand.
    pub(crate) fn adopt(&mut self, count: usize, gaps: &[Run], last: Head) {
        for gap in gaps {
            self.give_up(gap.next, Run { index: self.len + gap.index, ..*gap });
        }
        // There is one from the start.
        let Some(file) = self.files.last_mut() else { return };
        (file.count, file.groups, file.end) = (count, None, last.end);
        self.len += count;
        self.head = last;
    }

    fn give_up(&mut self, next: Place, run: Run) {
        // Nothing is left where it could not be counted: such a group does not pass its check.
        let none = Jumps { groups: 0, positions: 0 };
        self.jumps_left = self.jumps_left.after(next, run.first).unwrap_or(none);
        self.runs.push(run);
    }

    /// A file that was left and whose groups memory still keeps.
    pub(crate) fn left(&self) -> Option<Left> {
        let in_memory = |file: &&FileGroups| file.groups.is_some() && file.last.is_some();
        let found = self.files.iter().find(in_memory)?;
        let (groups, last) = (found.groups.clone()?, found.last?);
        let within = |run: &&Run| {
            run.first != run.next && (found.index..found.index + found.count).contains(&run.index)
        };
        let relative = |run: &Run| Run { index: run.index - found.index, ..*run };
        let gaps = self.runs.iter().filter(within).map(relative).collect();
        Some(Left { last, seed: found.seed, groups, gaps })
    }

    /// Keeps no groups of a file any more: its index says where they stand.
    pub(crate) fn drop_groups(&mut self, file: FileNumber) {
        let found = self.files.iter_mut().rev().find(|found| found.file == file);
        if let Some(found) = found.filter(|found| found.last.is_some()) {
            found.groups = None;
        }
    }

    /// Whether the index of a file that was left says where its groups stand.
    pub(crate) fn is_indexed(&self, file: FileNumber) -> bool {
        let found = self.files.iter().find(|found| found.file == file);
        found.is_some_and(|found| found.groups.is_none())
    }

    /// How many groups memory keeps.
    pub(crate) fn in_memory(&self) -> usize {
        self.files.iter().filter_map(|file| file.groups.as_ref()).map(Vec::len).sum()
    }

    /// Takes in the next group, whose place was checked; it stands at `offset` and ends at `head`.
    pub(crate) fn push(&mut self, offset: u64, header: &GroupHeader, head: Head) {
        if header.given_up_before {
            let next = Place::after(&self.head);
            let first = Place { group: header.number, position: header.first };
            self.give_up(next, Run { index: self.len, first, next });
        }
        let hash_tag = u64_at(&header.journal_hash, 0);
        // There is one from the start.
        let Some(file) = self.files.last_mut() else { return };
        // Into the file that groups go into, all of which memory keeps.
        let groups = file.groups.get_or_insert_default();
        groups.push(IndexEntry { offset, first: header.first, hash_tag });
        (file.count, file.end) = (groups.len(), head.end);
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
        self.files.last().is_none_or(|file| file.count == 0)
    }

    pub(crate) fn jumps_left(&self) -> Jumps {
        self.jumps_left
    }

    /// The group with a number.
    pub(crate) fn place(&self, number: GroupNumber) -> Result<Known, ReadError> {
        let i = self.index_of(number)?;
        let found = self.file_of(|file| file.index <= i);
        let FileGroups { file, seed, index, groups, end, .. } = found;
        let Some(groups) = groups else { return Ok(Known::InFile(found.on_disk(), i - index)) };
        let entry = groups[i - index];
        // Lengths are not kept: a record ends where the next one begins, the last one at the end.
        let end = groups.get(i - index + 1).map_or(*end, |next| next.offset);
        Ok(Known::Placed(Placed { entry, file: *file, seed: *seed, bytes: end - entry.offset }))
    }

    /// The last file that begins early enough; the first one does so always.
    fn file_of(&self, begins: impl Fn(&FileGroups) -> bool) -> &FileGroups {
        let behind = self.files.partition_point(begins);
        &self.files[behind.saturating_sub(1)]
    }

    /// The group that holds a position.
    pub(crate) fn group_of(&self, position: Position) -> Result<Holder, ReadError> {
        let last = self.head.position;
        if !(1..=last).contains(&position) {
            return Err(ReadError::Absent { what: "position", first: 1, last, found: position });
        }
        if let Some(run) = self.given_up_at(position) {
            let (first, last) = (run.next.position, run.first.position - 1);
            return Err(ReadError::GivenUp { what: "position", first, last, found: position });
        }
        // As many groups begin at or before the position as the index of the one behind it.
        let file = self.file_of(|file| file.first <= position);
        let Some(groups) = &file.groups else { return Ok(Holder::InFile(file.on_disk())) };
        let behind = groups.partition_point(|group| group.first <= position);
        // At least one of this file, unless the position was given up.
        Ok(Holder::Group(self.number_at(file.index + behind - 1)))
    }

    /// What was given up around a position. No run begins behind the head, so one that begins
    /// behind the position has a first group.
    fn given_up_at(&self, position: Position) -> Option<&Run> {
        let holds = |run: &&Run| (run.next.position..run.first.position).contains(&position);
        self.runs.iter().find(holds)
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
        let run = self.given_up_at(position).filter(|_| position <= self.head.position);
        run.map_or(position, |run| run.first.position)
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

    /// The number of the group at an index.
    pub(crate) fn number_at(&self, index: usize) -> GroupNumber {
        let run = self.runs.iter().rev().find(|run| run.index <= index).unwrap_or(&self.runs[0]);
        run.first.group + (index - run.index) as u64
    }
}

impl FileGroups {
    fn on_disk(&self) -> OnDisk {
        let FileGroups { file, seed, index, count, end, .. } = *self;
        OnDisk { file, seed, index, count, end }
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
