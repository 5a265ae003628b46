//! The log itself: opened once, appended to by one owner, read through its [`Reader`].

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{fmt, io};

use crate::build::Sealed;
use crate::file::FileHeader;
use crate::prepare::{NextFile, Pacing, Room};
use crate::read::{Entries, Group, Reader, Shared};
use crate::record::{Jumps, MARK_BYTES, durable_mark};
use crate::recover::{self, LostEnd, Opened, Recovery, Tail};
use crate::{
    AppendError, Entry, FileName, Genesis, GroupBuilder, GroupNumber, Head, JumpError, Medium,
    Millis, OpenError, Place, Position, ReadError,
};

/// What is durable once an append returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The group.
    pub group: GroupNumber,
    /// Position of its first entry.
    pub first: Position,
    /// Position of its last entry.
    pub last: Position,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
    /// For each entry, its bytes (header and body) within the contiguous entry bytes of the group.
    pub ranges: Vec<Range<u32>>,
}

/// Where the salts of groups come from: for each group 32 bytes that nobody can guess. The log
/// draws no randomness itself, so that whoever opens it says where that comes from.
pub struct Salts(Box<dyn FnMut() -> io::Result<[u8; 32]> + Send>);

impl Salts {
    /// Salts by this source, which is asked once for each group that is begun, before anything of
    /// it is appended or written. It must give none twice, also over openings of the log: what is
    /// sealed in a group rests on it.
    pub fn new(draw: impl FnMut() -> io::Result<[u8; 32]> + Send + 'static) -> Salts {
        Salts(Box::new(draw))
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts")
    }
}

/// The durable log on one medium. One owner appends; [`Reader`]s are shared freely.
///
/// Memory: 24 bytes a group, and one buffer as large as the largest group so far (8 MiB at most).
#[derive(Debug)]
pub struct Log<M> {
    shared: Arc<Shared<M>>,
    /// The file that groups go into.
    tail: Tail,
    salts: Salts,
    poisoned: bool,
    /// The buffer of the last record, for the next builder.
    spare: Vec<u8>,
}

/// Makes files ahead of need, while the log is appended to.
pub(crate) struct FileMaker<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Clone for FileMaker<M> {
    fn clone(&self) -> Self {
        FileMaker { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Medium> FileMaker<M> {
    /// Makes the next file if it is wanted; ends early once `stop` is set and [`FileMaker::wake`]
    /// called.
    pub(crate) fn make(&self, pacing: Pacing, stop: &AtomicBool) -> io::Result<()> {
        let indexed = self.shared.index_left();
        // Whatever became of that: the writer needs the next file sooner.
        self.shared.ahead.prepare(&self.shared.medium, pacing, stop)?;
        indexed
    }

    /// Has a thread that makes a file look whether it is to stop.
    pub(crate) fn wake(&self) {
        self.shared.ahead.wake();
    }
}

impl<M: Medium> Log<M> {
    /// Opens the log, creating it on an empty medium, and brings it to a state in which everything
    /// that it serves is durable: a torn tail is cut, an untorn last group that may never have been
    /// synced is written and synced again, a file that was being left is sealed.
    ///
    /// ```
    /// use journal::{EntryKind, FileMedium, Genesis, Log, fault};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("journal");
    /// let genesis = Genesis { log_id: [7; 16], journal_hash: [0; 32] };
    ///
    /// // Two entries in one group: one sync makes both durable.
    /// let (mut log, _) = Log::open(FileMedium::open(&path)?, genesis, fault::salts())?;
    /// let mut group = log.builder(3_900_000_000_000);
    /// group.append(EntryKind::FRAME, b"a frame")?;
    /// group.append(EntryKind::OPERATION, b"an operation")?;
    /// let committed = log.append_built(group)?;
    /// drop(log); // the folder is locked while the log is open
    ///
    /// let (log, recovery) = Log::open(FileMedium::open(&path)?, genesis, fault::salts())?;
    /// assert_eq!((recovery.groups, recovery.cut_bytes), (1, 0));
    /// let group = log.group(committed.group)?;
    /// assert_eq!(group.entries[1].body, "an operation");
    /// assert_eq!(group.journal_hash, committed.journal_hash);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] where something that was durable is damaged: then nothing is changed.
    pub fn open(
        medium: M,
        genesis: Genesis,
        salts: Salts,
    ) -> Result<(Log<M>, Recovery), OpenError> {
        Ok(Log::opened(recover::recover(medium, genesis, LostEnd::Refused)?, salts))
    }

    /// As [`Self::open`], for somebody who accepts that the end of the log is lost: where the last
    /// file is missing or shorter than it was made, the log ends with what is left, and the file is
    /// made whole there. Acknowledged numbers may be lost then: go on beyond all of them
    /// ([`Self::builder_beyond`]).
    ///
    /// # Errors
    /// As [`Self::open`]; of a file before the last one nothing may be lost.
    pub fn open_shortened(
        medium: M,
        genesis: Genesis,
        salts: Salts,
    ) -> Result<(Log<M>, Recovery), OpenError> {
        Ok(Log::opened(recover::recover(medium, genesis, LostEnd::Accepted)?, salts))
    }

    fn opened(opened: Opened<M>, salts: Salts) -> (Log<M>, Recovery) {
        let Opened { shared, tail, recovery } = opened;
        let shared = Arc::new(shared);
        (Log { shared, tail, salts, poisoned: false, spare: Vec::new() }, recovery)
    }

    /// Appends the entries as one group; on return they are durable.
    ///
    /// # Errors
    /// [`AppendError`]. After a failure of the medium the group may or may not be durable, and
    /// every further append fails until the log is opened again: a second `fsync` after a failed
    /// one may report success for bytes that were dropped.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Committed, AppendError> {
        // No clock is needed: each entry brings its time.
        let mut group = self.builder(0);
        // All of them before the first write: one refused entry leaves the log as it was.
        for (index, entry) in entries.iter().enumerate() {
            group
                .append_at(entry.kind, entry.time, &entry.body)
                .map_err(|source| AppendError::Entry { index, source })?;
        }
        self.append_built(group)
    }

    /// Begins the next group; `now` is the clock.
    pub fn builder(&mut self, now: Millis) -> GroupBuilder {
        let salt = (self.salts.0)();
        GroupBuilder::new(self.head(), now, (std::mem::take(&mut self.spare), salt))
    }

    /// Begins a group at `place`, beyond the next one, and gives up all numbers and positions that
    /// lie between: whoever accepts that acknowledged entries are lost continues where nobody was
    /// ever acknowledged anything.
    ///
    /// # Errors
    /// [`JumpError`] unless both lie beyond the next ones, within what the log may still give up
    /// ([`crate::JUMPS_MAX`] in sum).
    pub fn builder_beyond(&mut self, now: Millis, place: Place) -> Result<GroupBuilder, JumpError> {
        let (next, left) = (Place::after(&self.head()), self.shared.jumps_left());
        let beyond = place.group > next.group && place.position > next.position;
        if !beyond || left.after(next, place).is_none() {
            let Jumps { groups: groups_left, positions: positions_left } = left;
            return Err(JumpError { next, groups_left, positions_left, found: place });
        }
        let mut group = self.builder(now);
        group.move_to(place);
        Ok(group)
    }

    /// Appends a group begun by [`Self::builder`]; on return it is durable.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_built(&mut self, mut group: GroupBuilder) -> Result<Committed, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let head = self.head();
        // A builder kept over another append holds the wrong positions and the wrong hash.
        if group.after() != head.group {
            return Err(AppendError::Stale { expected: group.after(), found: head.group });
        }
        if group.is_empty() {
            return Err(AppendError::Empty);
        }
        // Before the first call on the medium: without a salt nothing is written.
        let salt = group.take_salt().map_err(|source| AppendError::Salt { source })?;
        // Set before the first call and taken back after the last: no way out forgets it.
        self.poisoned = true;
        if !self.fits(group.record_bytes() as u64) {
            self.rotate()?;
        }
        let head = self.head();
        let sealed = group.seal(self.tail.header.seed(), salt);
        self.write(&head, &sealed)?;
        self.poisoned = false;
        // Last: readers find a group through the head, so they never see one that is not synced.
        Ok(self.publish(&head, sealed))
    }

    /// Whether so many bytes go into the file that is written to. Into one without a group they
    /// always do: it grows for a group that fits no file.
    fn fits(&self, bytes: u64) -> bool {
        let end = self.head().end;
        self.tail.header.takes_groups()
            && (end + bytes <= self.tail.seal_offset(0) || self.shared.last_file_is_empty())
    }

    /// Leaves the file for the next one. In this order: a sealed file has a next one, and a file
    /// with groups a sealed one before it, wherever power fails.
    fn rotate(&mut self) -> Result<(), AppendError> {
        let failed = |op| move |source| AppendError::Medium { op, source };
        let (head, medium, Tail { header, len }) = (self.head(), &self.shared.medium, self.tail);
        let taken = self.shared.ahead.take(medium);
        let NextFile { length, .. } = taken.map_err(failed("make the next file"))?;
        let next = FileHeader::after(&head, header.log_id, length);
        recover::begin(medium, &next).map_err(failed("begin the next file"))?;
        recover::seal(medium, &head, len, header.seed()).map_err(failed("seal the file"))?;
        self.tail = Tail { header: next, len: length };
        self.shared.begin_file(next.head(), next.seed());
        Ok(())
    }

    /// Writes the indexes of files that were left, so that memory keeps their groups no more, and
    /// makes the next file, so that the append that needs it does not wait for it. Does nothing if
    /// all of it is there. A [`crate::Writer`] has this done by a thread of its own.
    ///
    /// # Errors
    /// What the medium says. It is not tried again before the next file is begun: the append that
    /// needs one makes its own.
    pub fn make_ahead(&self) -> io::Result<()> {
        self.maker().make(Pacing::AtOnce, &AtomicBool::new(false))
    }

    /// Asks `room` before a file of so many bytes is made ahead of need, and where there is none
    /// for half as many, down to [`crate::FileLengths::least`]; the first that is given counts.
    /// What the writer needs at once, of that least length, is made without asking.
    pub fn ask_room(&self, room: impl Fn(u64) -> bool + Send + Sync + 'static) {
        self.shared.ahead.ask_room(Room(Box::new(room)));
    }

    /// What makes files ahead, for another thread.
    pub(crate) fn maker(&self) -> FileMaker<M> {
        FileMaker { shared: Arc::clone(&self.shared) }
    }

    /// Whether a file should be made ahead now.
    pub(crate) fn wants_file(&self) -> bool {
        self.shared.ahead.wants()
    }

    fn write(&self, head: &Head, sealed: &Sealed) -> Result<(), AppendError> {
        let failed = |op| move |source| AppendError::Medium { op, source };
        let (medium, name) = (&self.shared.medium, FileName::Log(head.file));
        // In one call, and nothing else before the sync: so at most one record is ever in flight,
        // and recovery knows where it must end.
        medium.append_at(name, head.end, &sealed.record).map_err(failed("write"))?;
        medium.sync(name).map_err(failed("sync"))?;
        // Without a sync of its own: it may be lost, and then recovery writes the group once more.
        let mark = durable_mark(self.tail.header.seed(), sealed.header.number);
        let mark_at = head.end + (sealed.record.len() - MARK_BYTES) as u64;
        // If this fails the group is durable all the same, but half a mark may stand there, so the
        // log is poisoned as after any other error.
        medium.mark_at(name, mark_at, &mark).map_err(failed("write the durable mark"))
    }

    fn publish(&mut self, head: &Head, sealed: Sealed) -> Committed {
        let Sealed { header, record, ranges, last_time } = sealed;
        let (first, last, journal_hash) = (header.first, header.last(), header.journal_hash);
        let (file, end) = (head.file, head.end + record.len() as u64);
        // Longer than it was made, if the group fits no file.
        self.tail.len = self.tail.len.max(end);
        self.shared.publish(
            head.end,
            &header,
            Head { group: header.number, position: last, journal_hash, last_time, file, end },
        );
        self.shared.ahead.note_filled(end);
        // The buffer serves the next group: a busy log would else allocate megabytes for each.
        self.spare = record;
        Committed { group: header.number, first, last, journal_hash, ranges }
    }

    /// Makes the last durable mark durable as well; worth calling before a planned stop.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`], or the failed sync, which poisons the log.
    pub fn rest(&mut self) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let synced = self.shared.medium.sync(FileName::Log(self.tail.header.number));
        // A failed sync says nothing of what was written before it, although nothing was appended.
        self.poisoned = synced.is_err();
        synced.map_err(|source| AppendError::Medium { op: "sync", source })
    }

    /// Whether an append failed, so that the log must be opened again.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// A reader of what is committed, now and later.
    pub fn reader(&self) -> Reader<M> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Where the log ends.
    pub fn head(&self) -> Head {
        self.shared.head()
    }

    /// One entry; see [`Reader::read`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, position: Position) -> Result<Entry, ReadError> {
        self.reader().read(position)
    }

    /// One group; see [`Reader::group`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn group(&self, number: GroupNumber) -> Result<Group, ReadError> {
        self.reader().group(number)
    }

    /// The entries from a position on; see [`Reader::iter_from`].
    pub fn iter_from(&self, position: Position) -> Entries<M> {
        self.reader().iter_from(position)
    }
}
