//! Brings a ledger to where the journal ends.

use std::io;

use bodies::EntryPlace;
use journal::{FileMedium, InGroup, Log, Medium, ReadError, Reader};
use model::{BatchNumber, Millis, Position, with_causes};
use thiserror::Error;
use wire::Entry;

use super::snapshots::{Restored, Snapshots, Wanted};
use crate::folder::snapshots::SnapshotHead;
use crate::stages::ledger::{BrokenEntry, Ledger, LedgerConfig, Placed};
use crate::window::{ClosedWindow, WindowContents};

/// A journal that cannot be continued.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry does not decode.
    #[error("the journal entry at position {position} does not decode: {detail}")]
    Decode {
        /// Where.
        position: u64,
        /// Why.
        detail: String,
    },
    /// A window that should be closed is not in the journal.
    #[error("expected the close of window {number} in the journal, found none")]
    NoWindow {
        /// Which.
        number: u64,
    },
    /// The index of stored frames cannot be written, and memory has no room for more of it.
    #[error("expected to write the index of stored frames: make room under snapshots/")]
    Index(#[source] io::Error),
    /// An entry does not follow.
    #[error(transparent)]
    Broken(#[from] BrokenEntry),
}

/// What recovery found.
pub struct Recovered {
    /// The state after the last durable entry.
    pub ledger: Ledger,
    /// Windows that were closed after `assembled`: the first ones, as many as were asked for.
    pub backlog: Vec<ClosedWindow>,
    /// The last window that is closed; 0 before the first.
    pub closed: BatchNumber,
    /// Journal group that holds the close of window `assembled`; 0 if that is genesis.
    pub assembled_group: u64,
    /// Journal group that holds the last close; 0 if there is none.
    pub close_group: u64,
    /// Entries absorbed.
    pub entries: u64,
}

/// Absorbs the whole journal, from its first entry on. Windows up to `assembled` are in the store
/// already.
///
/// # Errors
/// [`RecoverError`] that names the first entry that is wrong.
pub fn recover<M: Medium>(
    log: &Log<M>,
    config: LedgerConfig,
    assembled: BatchNumber,
) -> Result<Recovered, RecoverError> {
    let start = Start::first(Ledger::new(config));
    let backlog = Backlog { assembled, group: 0, windows_max: usize::MAX };
    absorb_rest(&log.reader(), start, backlog, &mut |_, _| Ok(()))
}

/// Where absorbing begins.
pub(super) struct Start {
    ledger: Ledger,
    /// The snapshot that it is from.
    head: Option<SnapshotHead>,
}

impl Start {
    fn first(ledger: Ledger) -> Start {
        Start { ledger, head: None }
    }

    /// The last position that is absorbed already.
    pub(super) fn position(&self) -> u64 {
        self.head.map_or(0, |head| head.position)
    }
}

/// Which windows are collected while the journal is absorbed.
#[derive(Clone, Copy)]
struct Backlog {
    /// The last one that is in the store already.
    assembled: BatchNumber,
    /// The group of its close, if that lies before where absorbing begins.
    group: u64,
    /// At most so many: all of a long backlog would not fit into memory.
    windows_max: usize,
}

/// How far absorbing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absorbed {
    /// The last entry.
    pub(super) position: u64,
    /// Entries since it began.
    pub(super) entries: u64,
    /// Bytes of their bodies.
    pub(super) bytes: u64,
    /// The last window that is closed, and the group of its close.
    pub(super) closed: BatchNumber,
    pub(super) close_group: u64,
}

/// A start from the last snapshot.
pub(super) struct Recovery<'a, M = FileMedium> {
    pub(super) log: &'a Log<M>,
    pub(super) config: &'a LedgerConfig,
    pub(super) snapshots: &'a Snapshots,
    /// The last batch of the store.
    pub(super) assembled: BatchNumber,
    /// The group of its close, as the store knows it.
    pub(super) assembled_group: Option<u64>,
    pub(super) windows_max: usize,
    /// Whether the ledger shall say where frames are stored: not where it takes none.
    pub(super) indexed: bool,
}

impl<M: Medium> Recovery<'_, M> {
    /// Where absorbing begins: behind the last snapshot, or at the first entry.
    ///
    /// A snapshot is never another truth than the journal: it is held against it before it is
    /// taken, and `sequencer journal check --full` makes its state again, entry by entry.
    ///
    /// # Errors
    /// [`RecoverError::Read`] if the journal cannot be read.
    pub(super) fn start(&self) -> Result<Start, RecoverError> {
        let journal = self.log.reader();
        // Where the store cannot say where its last window ended, the journal is asked, from
        // before it.
        let closed_max = self.assembled_group.map_or(self.assembled, |_| BatchNumber(u64::MAX));
        let (config, indexed) = (self.config, self.indexed);
        let wanted = Wanted { config, closed_max, indexed };
        let Some(Restored { ledger, head }) = self.snapshots.newest(&journal, wanted)? else {
            return Ok(Start::first(self.snapshots.first(config, indexed)));
        };
        let SnapshotHead { group, position, .. } = head;
        tracing::info!(group, position, "starts from a snapshot");
        Ok(Start { ledger, head: Some(head) })
    }

    /// Absorbs what lies behind. `look` is shown the ledger behind each entry.
    ///
    /// # Errors
    /// [`RecoverError`] that names the first entry that is wrong.
    pub(super) fn absorb(
        &self,
        start: Start,
        look: &mut dyn FnMut(&Ledger, Absorbed) -> io::Result<()>,
    ) -> Result<Recovered, RecoverError> {
        let group = self.assembled_group.unwrap_or_default();
        let (assembled, windows_max) = (self.assembled, self.windows_max);
        absorb_rest(&self.log.reader(), start, Backlog { assembled, group, windows_max }, look)
    }
}

fn absorb_rest<M: Medium>(
    journal: &Reader<M>,
    start: Start,
    wanted: Backlog,
    look: &mut dyn FnMut(&Ledger, Absorbed) -> io::Result<()>,
) -> Result<Recovered, RecoverError> {
    let Start { mut ledger, head } = start;
    let Backlog { assembled, mut group, windows_max } = wanted;
    let mut backlog = Vec::new();
    let mut done = Absorbed {
        position: head.map_or(0, |head| head.position),
        entries: 0,
        bytes: 0,
        closed: BatchNumber(head.map_or(0, |head| head.closed)),
        close_group: head.map_or(0, |head| head.close_group),
    };
    if done.closed == assembled {
        group = done.close_group;
    }
    // Windows that closed between the store's last one and the snapshot are read back when their
    // turn comes, and so are those behind them: a gap is none of this list's.
    let windows_max = if done.closed <= assembled { windows_max } else { 0 };
    let mut entries = match head {
        Some(head) => journal.iter_behind(head.group)?,
        None => journal.iter_from(1),
    };
    while let Some(found) = entries.next() {
        let (position, entry) = found?;
        let in_group = entries.in_group();
        let closed = absorb_next(&mut ledger, Position(position), &entry, in_group)?;
        (done.position, done.entries) = (position, done.entries + 1);
        done.bytes += entry.body.len() as u64;
        if let Some(contents) = closed {
            done.closed = contents.number;
            // Only a close needs its group: looking one up reads it from the disk.
            done.close_group = journal.group_of(position)?;
            // Proven before the restart. Its contents are dropped at once, so that recovery holds
            // the windows that are left and not all that ever were.
            if contents.number == assembled {
                group = done.close_group;
            }
            // The batcher reads those back that are too many, when it comes to them.
            if contents.number > assembled && backlog.len() < windows_max {
                let (group, contents) = (done.close_group, contents.into());
                let journal_hash = journal.group(group)?.journal_hash;
                backlog.push(ClosedWindow { contents, group, journal_hash });
            }
        }
        look(&ledger, done).map_err(RecoverError::Index)?;
    }
    let Absorbed { entries, closed, close_group, .. } = done;
    Ok(Recovered { ledger, backlog, closed, assembled_group: group, close_group, entries })
}

/// Takes in the next entry of the journal; a close hands out what its window held.
pub(super) fn absorb_next(
    ledger: &mut Ledger,
    position: Position,
    entry: &journal::Entry,
    in_group: InGroup,
) -> Result<Option<WindowContents>, RecoverError> {
    let decode = |detail: String| RecoverError::Decode { position: position.0, detail };
    let time = Millis::new(entry.time).map_err(|error| decode(error.to_string()))?;
    let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
    let decoded = decoded.map_err(|error| decode(with_causes(&error)))?;
    let index = in_group.index(position.0);
    let place = EntryPlace { salt: in_group.salt, index, time: entry.time };
    Ok(ledger.absorb_stored(&decoded, Placed { position, time, place })?)
}
