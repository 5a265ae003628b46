//! The part of a node between its journal and its stages, without threads: snapshots are written
//! and windows are taken by whoever steps them. For a simulation, where one order decides all that
//! happens; a node has the same parts on threads of their own (`node::core`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use journal::{Log, Medium, ReadError, Reader};
use model::{BatchNumber, Position};
use statement::batch::PublicFile;
use statement::scope::genesis_hash;
use thiserror::Error;
use tokio::sync::mpsc;

use super::recover::{RecoverError, Recovered, Recovery, absorb_next};
use super::replay::Replay;
use super::snapshots::Snapshots;
use super::snapshotter::{Pace, SnapshotWriter, Told, WhileAbsorbing, Work, Worker};
use super::windows::{Counted, Sources, Windows};
use crate::folder::snapshots::{Binding, SnapshotMedium};
use crate::folder::store::{Store, StoreError};
use crate::metrics::Metrics;
use crate::stages::ledger::{FrameNodes, KeepState, Ledger, LedgerConfig};
use crate::stages::prove::LastBatch;
use crate::window::ClosedWindow;

/// A start that comes to nothing.
#[derive(Debug, Error)]
pub enum SteppedError {
    /// The journal makes no state.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The journal does not say where the last batch ended.
    #[error("the end of the last batch cannot be read from the journal")]
    Journal(#[from] ReadError),
    /// The folder of snapshots.
    #[error("the snapshots cannot be opened")]
    Snapshots(#[from] io::Error),
    /// The store.
    #[error("the store does not say what the last batch is")]
    Store(#[from] StoreError),
}

/// What a start is made of.
pub struct SteppedParts<'a, M> {
    /// The journal, open.
    pub log: &'a Log<M>,
    /// How the ledger decides.
    pub config: &'a LedgerConfig,
    /// Where snapshots are stored.
    pub snapshots: Arc<dyn SnapshotMedium>,
    /// Batches.
    pub store: &'a Arc<Store>,
    /// Entries between two snapshots.
    pub every_entries: u64,
    /// Windows that wait in memory.
    pub windows_max: usize,
    /// What is counted.
    pub metrics: &'a Metrics,
}

/// A journal that is absorbed, from the last snapshot on.
pub struct SteppedStart<M> {
    /// The state behind its last entry.
    pub ledger: Ledger,
    /// The position of the snapshot that it began with; 0 if that was the first entry.
    pub from: u64,
    /// The group that holds the last close.
    pub close_group: u64,
    /// The last batch of the store.
    pub last: LastBatch,
    /// Snapshots from now on.
    pub snapshots: SteppedSnapshots,
    /// Windows behind the last batch.
    pub windows: FoundWindows<M>,
}

/// Absorbs a journal as a node does at a start.
///
/// # Errors
/// [`SteppedError`].
pub fn start<M: Medium>(parts: SteppedParts<'_, M>) -> Result<SteppedStart<M>, SteppedError> {
    let SteppedParts { log, config, store, every_entries, windows_max, metrics, .. } = parts;
    let (journal, genesis) = (log.reader(), statement::journal::genesis(config.scope));
    let binding = Binding { genesis, log_id: journal.log_id() };
    let snapshots = Snapshots::on(parts.snapshots, binding)?;
    let last = last_batch(store, config, &journal)?;
    let (assembled, assembled_group) = (last.number, Some(last.group));
    let (snapshots_of, indexed) = (&snapshots, true);
    let recovery = Recovery {
        log,
        config,
        snapshots: snapshots_of,
        assembled,
        assembled_group,
        windows_max,
        indexed,
    };
    let begun = recovery.start()?;
    let from = begun.position();
    let told = Told {
        position: metrics.snapshot_position.clone(),
        bytes: metrics.snapshot_bytes.clone(),
        failures: metrics.snapshot_failures_total.clone(),
    };
    let (seal, pace) = (config.seal.clone(), Pace::of(every_entries));
    let mut writer = SnapshotWriter::new(snapshots.clone(), seal, store.clone(), told);
    writer.started_from(from)?;
    let mut absorbing = WhileAbsorbing::new(journal.clone(), &mut writer, pace);
    let recovered = recovery.absorb(begun, &mut |ledger, done| absorbing.look(ledger, done))?;
    let Recovered { ledger, backlog, closed, close_group, .. } = recovered;
    let (worker, next) = Worker::new(writer, ledger.frame_nodes().clone());
    let replay = Replay { journal, config: config.clone(), snapshots };
    let counted = Counted {
        waiting: metrics.prove_queue.clone(),
        read_back: metrics.windows_read_back_total.clone(),
    };
    let windows = FoundWindows { backlog, assembled, closed, replay, windows_max, counted };
    let snapshots = SteppedSnapshots { worker, next, pace };
    Ok(SteppedStart { ledger, from, close_group, last, snapshots, windows })
}

/// The last batch of the store, and the group that holds its close.
fn last_batch<M: Medium>(
    store: &Store,
    config: &LedgerConfig,
    journal: &Reader<M>,
) -> Result<LastBatch, SteppedError> {
    let Some((number, row)) = store.last_assembled()? else {
        let header_hash = genesis_hash(config.scope, config.genesis_time);
        return Ok(LastBatch { number: BatchNumber(0), header_hash, group: 0 });
    };
    let missing = || StoreError::Missing { what: "batches", key: number.0 };
    let bytes = store.public_bytes(number)?.ok_or_else(missing)?;
    let file = PublicFile::from_bytes(&bytes);
    let corrupt = |_| StoreError::Corrupt { what: "the public file", key: number.0 };
    let group = journal.group_of(file.map_err(corrupt)?.header.journal_position.0)?;
    Ok(LastBatch { number, header_hash: row.header_hash, group })
}

/// Snapshots of a running node, written by whoever steps them.
pub struct SteppedSnapshots {
    worker: Worker,
    next: Receiver<Work>,
    pace: Pace,
}

impl SteppedSnapshots {
    /// What looks at each group, and asks for a snapshot where one is due.
    pub fn keeper(&self) -> impl KeepState + use<> {
        self.worker.keeper(self.pace)
    }

    /// Writes the state that waits, or else nodes of the index if enough of them do; whether it was
    /// a state. A failure is logged and counted, as in a node.
    pub fn step(&mut self) -> bool {
        let work = match self.next.try_recv() {
            Ok(work) => work,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Work::Flush,
        };
        let is_state = matches!(work, Work::Write(_));
        self.worker.work(work);
        is_state
    }
}

/// Windows that a start found to be closed behind the last batch.
pub struct FoundWindows<M> {
    backlog: Vec<ClosedWindow>,
    assembled: BatchNumber,
    closed: BatchNumber,
    replay: Replay<M>,
    windows_max: usize,
    counted: Counted,
}

impl<M: Medium> FoundWindows<M> {
    /// Those, and behind them what closes from now on. `left_out` is the number of the last window
    /// that found no room in `live`.
    pub fn followed_by(
        self,
        live: mpsc::Receiver<ClosedWindow>,
        left_out: Arc<AtomicU64>,
    ) -> SteppedWindows<M> {
        let FoundWindows { backlog, assembled, closed, replay, windows_max, counted } = self;
        left_out.fetch_max(closed.0, Ordering::SeqCst);
        let sources = Sources { backlog, assembled, left_out, live, replay };
        SteppedWindows(Windows::new(sources, windows_max, counted))
    }
}

/// Windows in their order, read back from the journal where memory has them no more.
pub struct SteppedWindows<M>(Windows<M>);

impl<M: Medium> SteppedWindows<M> {
    /// The next one, if it is closed by now.
    ///
    /// # Errors
    /// [`RecoverError`] if it cannot be read back.
    pub fn next_closed(&mut self) -> Result<Option<ClosedWindow>, RecoverError> {
        self.0.next_closed()
    }
}

/// The state that a journal makes from its first entry on, as bytes: what every start has to come
/// to, whichever snapshot it begins with.
///
/// # Errors
/// [`RecoverError`] that names the first entry that is wrong.
pub fn state_of<M: Medium>(log: &Log<M>, config: &LedgerConfig) -> Result<Vec<u8>, RecoverError> {
    // Where nodes of the index stand is part of the state, what is in them is not.
    let nodes = FrameNodes::forgotten(Binding::INDEX_BYTES as u64);
    let mut ledger = Ledger::indexed(config.clone(), nodes);
    let mut entries = log.iter_from(1);
    while let Some(found) = entries.next() {
        let (position, entry) = found?;
        let in_group = entries.in_group();
        absorb_next(&mut ledger, Position(position), &entry, in_group)?;
    }
    Ok(ledger.freeze().to_bytes())
}
