//! The next file, made before it is needed: zeros that are written and synced, so that an append
//! changes bytes of the file and nothing else of the file system. Where a file was put away that is
//! long enough it is made of that one ([`Spare`]): zeros first, durably, all over it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::{fmt, io};

use crate::file::FILE_HEADER_BYTES;
use crate::spare::{self, Leaving, Spare};
use crate::{FileLengths, FileName, FileNumber, Medium};

/// Zeros written between two syncs, so that the writer's own sync never waits for all of them.
const STEP_BYTES: usize = 4 << 20;

/// The next file, and how often there was none.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// Held while a file is made, so that only one is.
    state: Mutex<State>,
    room: OnceLock<Room>,
    /// Whether the writer waits: a file that is being made is given up for it.
    wanted: AtomicBool,
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
    /// Bytes of all files up to and with it.
    total: u64,
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

/// How making files ahead of need went since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    /// Files that the writer had to make itself because none was ready.
    pub late: u64,
    /// Files that could not be made ahead: the medium failed or has no room.
    pub failed: u64,
    /// Files that were made of one that was put away.
    pub reused: u64,
}

impl State {
    /// As long as the whole log, within the limits of the medium.
    fn next_length(&self, lengths: FileLengths) -> u64 {
        self.total.clamp(lengths.least, lengths.most.max(lengths.least))
    }
}

impl Ahead {
    /// Behind the file `last`, with which the log has `total` bytes.
    pub(crate) fn new(last: FileNumber, total: u64) -> Ahead {
        let state = Mutex::new(State { last, total, ready: None, given_up: false });
        Ahead {
            state,
            room: OnceLock::new(),
            wanted: AtomicBool::new(false),
            spare: Spare::default(),
            late: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
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
    /// file: that one is shorter, and nobody waits for gigabytes of zeros.
    pub(crate) fn prepare<M: Medium>(&self, medium: &M, stop: &AtomicBool) -> io::Result<()> {
        let mut state = self.state();
        if state.ready.is_some() || state.given_up {
            return Ok(());
        }
        let lengths = medium.file_lengths();
        let mut length = state.next_length(lengths);
        let spare = self.spare.take(medium, length);
        // The room of one that is kept is the log's already.
        let has_room = |length| spare.is_some() || self.has_room(length);
        // A short file ahead of need is better than none.
        while length > lengths.least && !has_room(length) {
            length = (length / 2).max(lengths.least);
        }
        let next = NextFile { number: state.last + 1, length };
        let made = match has_room(length) {
            true => make(medium, next, spare, &|| {
                stop.load(Ordering::Relaxed) || self.wanted.load(Ordering::Relaxed)
            }),
            // What is free is kept for everything else that the node writes.
            false => Err(io::ErrorKind::StorageFull.into()),
        };
        if let Ok(true) = made {
            state.ready = Some(next);
            self.reused.fetch_add(u64::from(spare.is_some()), Ordering::Relaxed);
        }
        if made.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
            // The writer makes its own when it needs one; that may be the first to succeed.
            state.given_up = true;
        }
        made.map(drop)
    }

    /// The next file, for the writer: the one that is ready, or a short one made now, which is
    /// counted.
    pub(crate) fn take<M: Medium>(&self, medium: &M) -> io::Result<NextFile> {
        let ready = self.try_state().is_some_and(|state| state.ready.is_some());
        if !ready {
            self.wanted.store(true, Ordering::Relaxed);
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        // Waits until the one that is being made is given up: there must not be two of one number.
        let mut state = self.state();
        self.wanted.store(false, Ordering::Relaxed);
        let next = match state.ready.take() {
            Some(next) => next,
            None => {
                let length = medium.file_lengths().least;
                let next = NextFile { number: state.last + 1, length };
                make(medium, next, None, &|| false)?;
                next
            }
        };
        (state.last, state.given_up) = (next.number, false);
        state.total = state.total.saturating_add(next.length);
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
        let lengths = medium.file_lengths();
        // While one is being made nobody knows: it is looked at when it is taken.
        let least = self.try_state().map_or(0, |state| state.next_length(lengths));
        self.spare.remove(medium, Leaving { file, bytes: length, least })
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

/// Makes a file of zeros durable under its number, of the spare one if that has bytes; `false` if it
/// was stopped before the end.
pub(crate) fn make<M: Medium>(
    medium: &M,
    next: NextFile,
    spare: Option<u64>,
    stop: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let made = write_zeros(medium, next.length, spare, stop).and_then(|whole| {
        if whole {
            refuse_begun(medium, next.number)?;
            // Only now under its number: whatever has that is whole and durable.
            medium.rename(FileName::Next, FileName::Log(next.number))?;
            medium.sync_names()?;
        }
        Ok(whole)
    });
    if !matches!(made, Ok(true)) {
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

fn write_zeros<M: Medium>(
    medium: &M,
    length: u64,
    spare: Option<u64>,
    stop: &dyn Fn() -> bool,
) -> io::Result<bool> {
    spare::begin(medium, spare)?;
    let whole = fill(medium, FileName::Next, 0..length, stop)?;
    if whole {
        spare::cut(medium, spare, length)?;
    }
    Ok(whole)
}

/// Makes zeros of a part of a file durable; `false` if it was stopped before the end.
pub(crate) fn fill<M: Medium>(
    medium: &M,
    name: FileName,
    part: Range<u64>,
    stop: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let mut at = part.start;
    while at < part.end {
        if stop() {
            return Ok(false);
        }
        let step = STEP_BYTES.min((part.end - at) as usize);
        medium.write_zeros(name, at, step)?;
        medium.sync(name)?;
        at += step as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::fault::FaultMedium;

    #[test]
    fn a_writer_that_needs_a_file_never_waits_for_a_long_one() {
        let (ahead, (begun, begins)) = (Arc::new(Ahead::new(1, 16 << 20)), channel());
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
        thread::scope(|scope| {
            scope.spawn(|| ahead.prepare(&medium, &AtomicBool::new(false)).expect("no failure"));
            begins.recv().expect("a file of 16 MiB is being made");
            let next = ahead.take(&medium).expect("made");
            assert_eq!(next, NextFile { number: 2, length: 4_096 });
        });
        assert_eq!(medium.file(FileName::Log(2)).len(), 4_096);
        assert_eq!(medium.files().len(), 1, "nothing is left of the long one");
        assert_eq!(ahead.counts(), FileCounts { late: 1, ..FileCounts::default() });
        // The next one is made ahead of need again.
        ahead.prepare(&medium, &AtomicBool::new(false)).expect("made");
        assert_eq!(medium.file(FileName::Log(3)).len(), (16 << 20) + 4_096);
    }

    #[test]
    fn a_file_is_as_long_as_there_is_room_for() {
        let medium = FaultMedium::default().with_lengths(4_096, 1 << 20);
        let ahead = Ahead::new(1, 64 << 10);
        ahead.ask_room(Room(Box::new(|bytes| bytes < 20_000)));
        ahead.prepare(&medium, &AtomicBool::new(false)).expect("made");
        assert_eq!(medium.file(FileName::Log(2)).len(), 16 << 10);

        let full = Ahead::new(2, 64 << 10);
        full.ask_room(Room(Box::new(|_| false)));
        let error = full.prepare(&medium, &AtomicBool::new(false)).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((full.counts().failed, medium.files().len()), (1, 1));
    }

    #[test]
    fn files_are_made_ahead_after_somebody_panicked_as_well() {
        let ahead = Ahead::new(1, 4_096);
        let asked = AtomicBool::new(false);
        ahead.ask_room(Room(Box::new(move |_| {
            assert!(asked.swap(true, Ordering::Relaxed), "the first question panics");
            true
        })));
        let medium = FaultMedium::default().with_lengths(4_096, 8_192);
        thread::scope(|scope| {
            let prepare = || ahead.prepare(&medium, &AtomicBool::new(false));
            scope.spawn(prepare).join().expect_err("it panicked");
            assert!(ahead.wants());
            prepare().expect("made");
        });
        assert!(!ahead.wants());
        assert_eq!(ahead.take(&medium).expect("ready").number, 2);
        assert_eq!(ahead.counts(), FileCounts::default());
    }
}
