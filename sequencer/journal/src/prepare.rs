//! The next file, made before it is needed: zeros that are written and synced, so that an append
//! changes bytes of the file and nothing else of the file system. Where a file was put away that is
//! long enough it is made of that one ([`Spare`]): zeros first, durably, all over it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::{fmt, io};

use crate::file::FILE_HEADER_BYTES;
use crate::spare::{self, Leaving, Spare};
use crate::{FileLengths, FileName, FileNumber, Medium};

/// Zeros written between two syncs: at least so many, or syncing costs more than writing, and at
/// most so many, so that the writer's own sync never waits for all of them.
const STEP_BYTES_MIN: u64 = 256 << 10;
const STEP_BYTES_MAX: u64 = 4 << 20;

/// The next file, and how often there was none.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Held while a file is made, so that only one is.
    state: Mutex<State>,
    /// Bytes of all files up to and with the one that groups go into; changed under the lock, and
    /// read without it: a file is being made for as long as the log fills the one before.
    total: AtomicU64,
    room: OnceLock<Room>,
    /// Whether the writer waits: a file that is being made ends there for it.
    wanted: AtomicBool,
    progress: Progress,
    /// A file that was put away, for the next one to be made of.
    spare: Spare,
    late: AtomicU64,
    failed: AtomicU64,
    reused: AtomicU64,
}

/// Says whether a file of so many bytes may be made ahead of need.
pub(crate) struct Room(pub(crate) Box<dyn Fn(u64) -> bool + Send + Sync>);

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

#[derive(Debug)]
struct State {
    /// The file that groups go into. Which file is made next is decided by this alone, and under
    /// the lock: whoever asked for one may be late, and a file with groups must not be made anew.
    last: FileNumber,
    /// How long it is.
    last_length: u64,
    /// The next one, once it is durable.
    ready: Option<NextFile>,
    /// Whether it could not be made: it is not tried again behind the same file.
    given_up: bool,
}

/// A file of zeros, durable under its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextFile {
    pub(crate) number: FileNumber,
    pub(crate) length: u64,
}

/// How far the log fills the file that is written to, for whoever makes the next one.
#[derive(Debug)]
struct Progress {
    filled: AtomicU64,
    /// At how much of it the maker is to be woken.
    wake_at: AtomicU64,
    waiting: Mutex<()>,
    changed: Condvar,
}

/// When the zeros of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pacing {
    /// All of them now.
    AtOnce,
    /// As the log fills the file before, so that they are there when three quarters of that are
    /// full. All at once they would keep the disk from the writer for as long as they take, at the
    /// begin of every file; like this a log that grows slowly is disturbed by little at a time.
    WithLog,
}

/// A file that is made and the one before it.
#[derive(Clone, Copy, Debug)]
struct Span {
    length: u64,
    before: u64,
}

impl Span {
    /// How many zeros of the file are due when so much of the one before is filled.
    fn due(self, filled: u64) -> u64 {
        let share = u128::from(filled) * u128::from(self.length) * 4;
        let due = share / (3 * u128::from(self.before.max(1)));
        u64::try_from(due).map_or(self.length, |due| due.min(self.length))
    }

    /// How much of the one before is filled when so many zeros are due.
    fn filled_at(self, due: u64) -> u64 {
        let share = u128::from(due.min(self.length)) * u128::from(self.before.max(1)) * 3;
        u64::try_from(share.div_ceil(4 * u128::from(self.length.max(1)))).unwrap_or(u64::MAX)
    }
}

/// How making files ahead of need went since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    /// Files that the writer had to wait for, or make itself, because none was ready.
    pub late: u64,
    /// Files that could not be made ahead: the medium failed or has no room.
    pub failed: u64,
    /// Files that were made of one that was put away.
    pub reused: u64,
}

impl Ahead {
    /// Behind the file `last`, with which the log has `total` bytes.
    pub(crate) fn new(last: NextFile, total: u64) -> Ahead {
        let NextFile { number: last, length: last_length } = last;
        let state = State { last, last_length, ready: None, given_up: false };
        let progress = Progress {
            filled: AtomicU64::new(0),
            wake_at: AtomicU64::new(u64::MAX),
            waiting: Mutex::new(()),
            changed: Condvar::new(),
        };
        Ahead {
            state: Mutex::new(state),
            total: AtomicU64::new(total),
            room: OnceLock::new(),
            wanted: AtomicBool::new(false),
            progress,
            spare: Spare::default(),
            late: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }
    }

    /// Takes note of how far the file that is written to is filled.
    pub(crate) fn note_filled(&self, filled: u64) {
        self.progress.filled.store(filled, Ordering::SeqCst);
        if filled >= self.progress.wake_at.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Has whoever makes a file look again whether to go on.
    pub(crate) fn wake(&self) {
        // Locked for a moment: between its look and its wait nobody is missed.
        drop(self.progress.waiting.lock());
        self.progress.changed.notify_all();
    }

    /// Up to where zeros of a file are to be written, beyond `at`, waiting until some are; none to
    /// end it there.
    fn wait_until_due(&self, at: u64, span: Span, stop: &AtomicBool) -> Option<u64> {
        let Progress { filled, wake_at, waiting, changed } = &self.progress;
        let step_end = (at + STEP_BYTES_MIN).min(span.length);
        let mut guard = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.must_end(stop) {
                return None;
            }
            // Said before it is looked at: whoever fills more either sees it or is seen.
            wake_at.store(span.filled_at(step_end), Ordering::SeqCst);
            let due = span.due(filled.load(Ordering::SeqCst));
            if due >= step_end {
                wake_at.store(u64::MAX, Ordering::SeqCst);
                return Some(due);
            }
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks this before a file is made ahead; the first who is named is asked.
    pub(crate) fn ask_room(&self, room: Room) {
        let _ = self.room.set(room);
    }

    pub(crate) fn counts(&self) -> FileCounts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (late, failed) = (load(&self.late), load(&self.failed));
        FileCounts { late, failed, reused: load(&self.reused) }
    }

    /// Whether a file should be made ahead now.
    pub(crate) fn wants(&self) -> bool {
        // Locked while one is made: then none is wanted.
        self.try_state().is_some_and(|state| state.ready.is_none() && !state.given_up)
    }

    /// Makes the next file if there is none yet, as long as the whole log within the limits of the
    /// medium and where there is room for it. Ends early once `stop` is set or the writer needs a
    /// file: that one is shorter, and nobody waits for gigabytes of zeros. Whoever sets `stop`
    /// calls [`Ahead::wake`] then.
    pub(crate) fn prepare<M: Medium>(
        &self,
        medium: &M,
        pacing: Pacing,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let mut state = self.state();
        if state.ready.is_some() || state.given_up {
            return Ok(());
        }
        let lengths = medium.file_lengths();
        let mut length = self.next_length(lengths);
        let spare = self.spare.take(medium, length);
        // The room of one that is kept is the log's already.
        let has_room = |length| spare.is_some() || self.has_room(length);
        // A short file ahead of need is better than none.
        while length > lengths.least && !has_room(length) {
            length = (length / 2).max(lengths.least);
        }
        let next = NextFile { number: state.last + 1, length };
        let span = Span { length, before: state.last_length };
        let due = |at| match pacing {
            Pacing::AtOnce => (!self.must_end(stop)).then_some(length),
            // Asked anew before each step: it may be hours since the first, and what was free then
            // is somebody else's by now.
            Pacing::WithLog => {
                let due = self.wait_until_due(at, span, stop);
                due.filter(|_| has_room(length - at))
            }
        };
        let made = match has_room(length) {
            true => make(medium, Making { next, spare }, &due),
            // What is free is kept for everything else that the node writes.
            false => Err(io::ErrorKind::StorageFull.into()),
        };
        if made.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            // The writer makes its own when it needs one; that may be the first to succeed.
            state.given_up = true;
        }
        state.ready = made?;
        let is_reused = spare.is_some() && state.ready.is_some();
        self.reused.fetch_add(u64::from(is_reused), Ordering::Relaxed);
        Ok(())
    }

    /// The next file, for the writer: the one that is ready, or a short one made now, which is
    /// counted.
    pub(crate) fn take<M: Medium>(&self, medium: &M) -> io::Result<NextFile> {
        let ready = self.try_state().is_some_and(|state| state.ready.is_some());
        if !ready {
            self.wanted.store(true, Ordering::SeqCst);
            self.wake();
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        // Waits until the one that is being made ends: there must not be two of one number.
        let mut state = self.state();
        self.wanted.store(false, Ordering::SeqCst);
        let next = match state.ready.take() {
            Some(next) => next,
            None => {
                let length = medium.file_lengths().least;
                let next = NextFile { number: state.last + 1, length };
                make(medium, Making::anew(next), &|_| Some(length))?;
                next
            }
        };
        (state.last, state.last_length, state.given_up) = (next.number, next.length, false);
        self.progress.filled.store(0, Ordering::SeqCst);
        let total = self.total.load(Ordering::SeqCst).saturating_add(next.length);
        self.total.store(total, Ordering::SeqCst);
        Ok(next)
    }

    /// Removes a file that is in an archive, durably; it is kept for the next one to be made of, if
    /// it is long enough for that.
    pub(crate) fn remove_for_next<M: Medium>(
        &self,
        medium: &M,
        file: FileNumber,
        length: u64,
    ) -> io::Result<()> {
        let least = self.next_length(medium.file_lengths());
        self.spare.remove(medium, Leaving { file, bytes: length, least })
    }

    /// Whether a file that is being made ends where it is.
    fn must_end(&self, stop: &AtomicBool) -> bool {
        stop.load(Ordering::SeqCst) || self.wanted.load(Ordering::SeqCst)
    }

    /// How long the next file is to be: as long as the whole log, within the medium's limits.
    fn next_length(&self, lengths: FileLengths) -> u64 {
        let total = self.total.load(Ordering::SeqCst);
        total.clamp(lengths.least, lengths.most.max(lengths.least))
    }

    fn has_room(&self, length: u64) -> bool {
        self.room.get().is_none_or(|room| (room.0)(length))
    }

    /// A panic elsewhere leaves nothing half changed here: a file is put in once it is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless a file is being made.
    fn try_state(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(left)) => Some(left.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// A file that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    next: NextFile,
    /// Bytes of the file that was kept for it, if one was.
    spare: Option<u64>,
}

impl Making {
    /// Of no other file.
    pub(crate) fn anew(next: NextFile) -> Making {
        Making { next, spare: None }
    }
}

/// Makes a file of zeros durable under its number. `due` is asked before each step up to where it
/// may go, beyond what is there; none ends the file there, and it is given up if it would be
/// shorter than any.
pub(crate) fn make<M: Medium>(
    medium: &M,
    making: Making,
    due: &dyn Fn(u64) -> Option<u64>,
) -> io::Result<Option<NextFile>> {
    let Making { next, spare } = making;
    let least = medium.file_lengths().least.min(next.length);
    let made = spare::begin(medium, spare).and_then(|()| {
        let length = fill(medium, FileName::Next, 0..next.length, due)?;
        if length < least {
            return Ok(None);
        }
        spare::cut(medium, spare, length)?;
        refuse_begun(medium, next.number)?;
        // Only now under its number: whatever has that is whole and durable.
        medium.rename(FileName::Next, FileName::Log(next.number))?;
        medium.sync_names()?;
        Ok(Some(NextFile { length, ..next }))
    });
    if !matches!(made, Ok(Some(_))) {
        // Its room is needed by others; the error that stopped us is the one to report.
        drop(medium.remove(FileName::Next));
    }
    made
}

/// A file that has a header is never replaced, whatever else is wrong.
fn refuse_begun<M: Medium>(medium: &M, number: FileNumber) -> io::Result<()> {
    let name = FileName::Log(number);
    let mut header = [0; FILE_HEADER_BYTES];
    if medium.names()?.contains(&name) {
        let present = medium.len(name)?.min(FILE_HEADER_BYTES as u64) as usize;
        medium.read_at(name, 0, &mut header[..present])?;
    }
    match header.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Makes zeros of a part of a file durable, as far as `due` lets it, and says how far that was.
pub(crate) fn fill<M: Medium>(
    medium: &M,
    name: FileName,
    part: Range<u64>,
    due: &dyn Fn(u64) -> Option<u64>,
) -> io::Result<u64> {
    let mut at = part.start;
    while at < part.end {
        let Some(due) = due(at) else { break };
        let step = due.saturating_sub(at).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
        // Whole steps, so that a file that ends early ends at a block.
        let step = (step / STEP_BYTES_MIN * STEP_BYTES_MIN).min(part.end - at);
        medium.write_zeros(name, at, step as usize)?;
        medium.sync(name)?;
        at += step;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::fault::FaultMedium;

    fn behind(number: FileNumber, length: u64) -> Ahead {
        Ahead::new(NextFile { number, length }, length)
    }

    #[test]
    fn a_writer_that_needs_a_file_never_waits_for_a_long_one() {
        let (ahead, (begun, begins)) = (Arc::new(behind(1, 16 << 20)), channel());
        let (counts, first) = (Arc::clone(&ahead), AtomicBool::new(true));
        let medium = FaultMedium::default().with_lengths(4_096, 64 << 20).on_sync(move |_| {
            if first.swap(false, Ordering::Relaxed) {
                begun.send(()).expect("somebody waits");
                // The writer came, so it waits for the lock from now on.
                while counts.counts().late == 0 {
                    thread::yield_now();
                }
            }
        });
        let (at_once, never) = (Pacing::AtOnce, AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| ahead.prepare(&medium, at_once, &never).expect("no failure"));
            begins.recv().expect("a file of 16 MiB is being made");
            // What is there by then serves.
            let next = ahead.take(&medium).expect("made");
            assert_eq!(next, NextFile { number: 2, length: STEP_BYTES_MAX });
        });
        assert_eq!(medium.file(FileName::Log(2)).len() as u64, STEP_BYTES_MAX);
        assert_eq!(medium.files().len(), 1, "nothing is left of the long one");
        assert_eq!(ahead.counts(), FileCounts { late: 1, ..FileCounts::default() });
        // The next one is made ahead of need again.
        ahead.prepare(&medium, at_once, &never).expect("made");
        assert_eq!(medium.file(FileName::Log(3)).len(), 20 << 20);
    }

    #[test]
    fn a_file_too_short_for_any_is_given_up_and_the_writer_makes_its_own() {
        let (ahead, stop) = (behind(1, 1 << 20), AtomicBool::new(true));
        let medium = FaultMedium::default().with_lengths(4_096, 1 << 20);
        ahead.prepare(&medium, Pacing::WithLog, &stop).expect("stopped");
        assert_eq!((medium.files().len(), ahead.wants()), (0, true));
        assert_eq!(ahead.take(&medium).expect("made"), NextFile { number: 2, length: 4_096 });
    }

    /// The zeros that are there, and the part of the file before that is filled, after each step.
    #[test]
    fn zeros_are_written_in_step_with_the_log_and_are_there_before_it_needs_them() {
        const LENGTH: u64 = 8 << 20;
        let (ahead, (stepped, steps)) = (behind(1, LENGTH), channel());
        let medium = FaultMedium::default()
            .with_lengths(4_096, LENGTH)
            .on_sync(move |_| _ = stepped.send(()));
        let never = AtomicBool::new(false);
        let span = Span { length: LENGTH, before: LENGTH };
        let early = thread::scope(|scope| {
            scope.spawn(|| ahead.prepare(&medium, Pacing::WithLog, &never).expect("made"));
            let ends = (1..=LENGTH / STEP_BYTES_MIN).map(|step| step * STEP_BYTES_MIN);
            // Told behind the scope: a panic in it would wait for the maker, which waits for us.
            let early = ends.map(|zeros| {
                let filled = span.filled_at(zeros);
                ahead.note_filled(filled - 1);
                let early = steps.try_recv().is_ok();
                ahead.note_filled(filled);
                early || steps.recv_timeout(Duration::from_secs(60)).is_err()
            });
            early.filter(|early| *early).count()
        });
        assert_eq!(early, 0, "steps before they were due, or none when they were");
        assert_eq!(span.filled_at(LENGTH), LENGTH / 4 * 3);
        assert_eq!(ahead.take(&medium).expect("ready"), NextFile { number: 2, length: LENGTH });
        assert_eq!(ahead.counts(), FileCounts::default());
    }

    #[test]
    fn a_file_ends_where_the_room_for_the_rest_of_it_is_gone() {
        const LENGTH: u64 = 8 << 20;
        let (ahead, never) = (behind(1, LENGTH), AtomicBool::new(false));
        let (steps, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let medium = FaultMedium::default().with_lengths(4_096, LENGTH).on_sync({
            let steps = Arc::clone(&steps);
            move |_| _ = steps.fetch_add(1, Ordering::Relaxed)
        });
        let asked = Arc::clone(&counted);
        ahead.ask_room(Room(Box::new(move |bytes| {
            asked.store(bytes, Ordering::Relaxed);
            steps.load(Ordering::Relaxed) == 0
        })));
        ahead.note_filled(LENGTH);
        ahead.prepare(&medium, Pacing::WithLog, &never).expect("made");
        assert_eq!(counted.load(Ordering::Relaxed), LENGTH - STEP_BYTES_MAX, "what is left");
        let next = ahead.take(&medium).expect("ready");
        assert_eq!(next, NextFile { number: 2, length: STEP_BYTES_MAX });
        assert_eq!(ahead.counts(), FileCounts::default());
    }

    #[test]
    fn a_file_that_leaves_while_the_next_one_is_made_is_kept_only_if_it_is_long_enough() {
        const LENGTH: u64 = 8 << 20;
        let (ahead, stop, (stepped, steps)) =
            (behind(3, LENGTH), AtomicBool::new(false), channel());
        let files = [(1, 4_096), (2, LENGTH as usize)];
        let files = files.map(|(number, bytes)| (FileName::Log(number), vec![1; bytes]));
        let medium = FaultMedium::holding(files.into_iter().collect())
            .with_lengths(4_096, LENGTH)
            .on_sync(move |_| _ = stepped.send(()));
        let span = Span { length: LENGTH, before: LENGTH };
        ahead.note_filled(span.filled_at(STEP_BYTES_MIN));
        let (short, long) = thread::scope(|scope| {
            scope.spawn(|| ahead.prepare(&medium, Pacing::WithLog, &stop));
            // The maker has the lock, and waits for the log to grow.
            let _ = steps.recv_timeout(Duration::from_secs(60));
            let short = ahead.remove_for_next(&medium, 1, 4_096);
            let has_spare = || medium.files().contains_key(&FileName::Spare);
            let short = (short.is_ok(), has_spare());
            let long = (ahead.remove_for_next(&medium, 2, LENGTH).is_ok(), has_spare());
            stop.store(true, Ordering::SeqCst);
            ahead.wake();
            (short, long)
        });
        assert_eq!((short, long), ((true, false), (true, true)));
    }

    #[test]
    fn a_log_that_fills_much_at_once_has_zeros_in_large_steps() {
        const LENGTH: u64 = 64 << 20;
        let ahead = behind(1, LENGTH);
        let syncs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&syncs);
        let medium = FaultMedium::default()
            .with_lengths(4_096, LENGTH)
            .on_sync(move |_| _ = counted.fetch_add(1, Ordering::Relaxed));
        ahead.note_filled(LENGTH);
        ahead.prepare(&medium, Pacing::WithLog, &AtomicBool::new(false)).expect("made");
        assert_eq!(syncs.load(Ordering::Relaxed), LENGTH / STEP_BYTES_MAX);
    }

    #[test]
    fn whoever_stops_the_maker_does_not_wait_for_the_log() {
        let (ahead, stop) = (behind(1, 8 << 20), AtomicBool::new(false));
        let medium = FaultMedium::default().with_lengths(4_096, 8 << 20);
        thread::scope(|scope| {
            let making = scope.spawn(|| ahead.prepare(&medium, Pacing::WithLog, &stop));
            stop.store(true, Ordering::SeqCst);
            ahead.wake();
            making.join().expect("no panic").expect("stopped");
        });
        assert!(medium.files().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_due_is_due_from_then_on_and_all_of_it_at_three_quarters(
            length in 1..=1u64 << 40, before in 1..=1u64 << 40, due in 0..=1u64 << 40,
        ) {
            let (span, due) = (Span { length, before }, due.min(length));
            let filled = span.filled_at(due);
            prop_assert!(span.due(filled) >= due);
            prop_assert!(filled == 0 || span.due(filled - 1) < due);
            prop_assert!(filled <= before.div_ceil(4) * 3);
        }
    }

    #[test]
    fn a_file_is_as_long_as_there_is_room_for() {
        let medium = FaultMedium::default().with_lengths(4_096, 1 << 20);
        let (ahead, never) = (behind(1, 64 << 10), AtomicBool::new(false));
        ahead.ask_room(Room(Box::new(|bytes| bytes < 20_000)));
        ahead.prepare(&medium, Pacing::AtOnce, &never).expect("made");
        assert_eq!(medium.file(FileName::Log(2)).len(), 16 << 10);

        let full = behind(2, 64 << 10);
        full.ask_room(Room(Box::new(|_| false)));
        let error = full.prepare(&medium, Pacing::AtOnce, &never).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((full.counts().failed, medium.files().len()), (1, 1));
    }

    #[test]
    fn files_are_made_ahead_after_somebody_panicked_as_well() {
        let ahead = behind(1, 4_096);
        let asked = AtomicBool::new(false);
        ahead.ask_room(Room(Box::new(move |_| {
            assert!(asked.swap(true, Ordering::Relaxed), "the first question panics");
            true
        })));
        let medium = FaultMedium::default().with_lengths(4_096, 8_192);
        thread::scope(|scope| {
            let prepare = || ahead.prepare(&medium, Pacing::AtOnce, &AtomicBool::new(false));
            scope.spawn(prepare).join().expect_err("it panicked");
            assert!(ahead.wants());
            prepare().expect("made");
        });
        assert!(!ahead.wants());
        assert_eq!(ahead.take(&medium).expect("ready").number, 2);
        assert_eq!(ahead.counts(), FileCounts::default());
    }
}
