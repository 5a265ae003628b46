//! The core of a running node, in the order in which each part needs the one before: the journal
//! absorbed, signer, batcher, writer.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodies::BodyKeys;
use journal::{FileMedium, Log, Reader, Writer, WriterConfig};
use model::BatchNumber;

use super::batch_sink::StoringSink;
use super::common::Common;
use super::error::NodeError;
use super::head::{Memories, WitnessFile};
use super::open::Opened;
use super::proving::{self, Fed, Proving};
use super::recover::{Recovered, Recovery};
use super::replay::Replay;
use super::setup::{self};
use super::snapshots::Snapshots;
use super::snapshotter::{Pace, SnapshotThread, SnapshotWriter, Told, WhileAbsorbing};
use super::watched::Starting;
use super::windows::{Counted, Sources, Windows};
use super::witness::WitnessThread;
use crate::folder::snapshots::Binding;
use crate::guard::GuardedTask;
use crate::stages::deliver::{NodeDelivery, ReceiptHub};
use crate::stages::ingest::{Admit, RegistryDesk, Renewals};
use crate::stages::ledger::{BodySeal, FrameNodes, LedgerAdmission, LedgerView};
use crate::stages::prove::{Batcher, LastBatch};
use crate::stages::rows::{CircuitRows, RowPool, count_protecting};
use crate::window::NextTerms;

/// The writer with admission, and the batcher that it feeds.
pub(super) struct Core {
    pub(super) journal: Reader<FileMedium>,
    pub(super) writer: Writer<FileMedium, LedgerAdmission<NodeDelivery>>,
    pub(super) admit: Admit,
    pub(super) view: LedgerView,
    pub(super) hub: ReceiptHub,
    /// Where the registry is changed.
    pub(super) desk: RegistryDesk,
    /// Who asked for a certificate.
    pub(super) renewals: Arc<Renewals>,
    pub(super) proving: Proving,
    /// Carries jobs to workers elsewhere, if any do work for this node.
    pub(super) carrier: Option<GuardedTask>,
    /// Not where the journal lacks something: an older witness is worth more then.
    pub(super) witness: Option<WitnessThread>,
    /// Not there either: its state is of a journal that shall be mended.
    pub(super) snapshots: Option<SnapshotThread>,
    /// What windows are made by from the next one on.
    pub(super) next_terms: NextTerms,
    /// For whoever reads windows back.
    pub(super) replay: Replay,
    /// What opens readings.
    pub(super) bodies: BodySeal,
    pub(super) body_keys: BodyKeys,
}

/// The journal, absorbed.
pub(super) struct AbsorbedJournal {
    log: Log<FileMedium>,
    recovered: Recovered,
    snapshots: Snapshots,
    /// None where the journal lacks something.
    writer: Option<SnapshotWriter>,
}

impl AbsorbedJournal {
    /// What was withdrawn in windows that were closed before the start and are in no batch yet, as
    /// far as they are in memory.
    pub(super) fn withdrawals(&self) -> Vec<(BatchNumber, u64)> {
        let contents = self.recovered.backlog.iter().map(|window| &window.contents);
        contents.map(|one| (one.number, count_protecting(&one.operations))).collect()
    }
}

/// Absorbs the journal from the last snapshot on, on a thread of its own: for a long one it takes a
/// while, and whoever asks meanwhile is answered.
pub(super) async fn absorb(
    opened: &Opened,
    log: Log<FileMedium>,
    common: &Common,
) -> Result<AbsorbedJournal, NodeError> {
    let binding = Binding {
        genesis: statement::journal::genesis(opened.edge.scope()),
        log_id: log.reader().log_id(),
    };
    let snapshots = Snapshots::open(&opened.layout.snapshots(), binding);
    let snapshots = snapshots.map_err(NodeError::Snapshots)?;
    let (config, metrics) = (opened.ledger_config()?, common.watched.metrics());
    let told = Told {
        position: metrics.snapshot_position.clone(),
        bytes: metrics.snapshot_bytes.clone(),
        failures: metrics.snapshot_failures_total.clone(),
    };
    let (store, seal) = (opened.store.clone(), config.seal.clone());
    let reserve = common.around.reserve.clone();
    let writer = SnapshotWriter::new(snapshots.clone(), seal, store, told)
        .asking(move |bytes| reserve.leaves_room_now(bytes));
    let mut writer = opened.lacks.is_none().then_some(writer);
    let (assembled, assembled_group) = (opened.last.number, assembled_group(opened, &log)?);
    let (windows_max, watched) = (opened.config.deliver.windows_max, common.watched.clone());
    let pace = Pace::of(opened.config.journal.snapshot_every_entries);
    let absorb = move || {
        let (log_of, config, snapshots_of) = (&log, &config, &snapshots);
        let recovery = Recovery {
            log: log_of,
            config,
            snapshots: snapshots_of,
            assembled,
            assembled_group,
            windows_max,
            indexed: writer.is_some(),
        };
        let start = recovery.start()?;
        let (begin, all) = (start.position(), log.head().position);
        if let Some(writer) = &mut writer {
            writer.started_from(begin).map_err(NodeError::Snapshots)?;
        }
        let journal = log.reader();
        let mut while_absorbing =
            writer.as_mut().map(|writer| WhileAbsorbing::new(journal, writer, pace));
        let recovered = recovery.absorb(start, &mut |ledger, done| {
            // Seldom enough to cost nothing, and often enough to be seen.
            if done.entries.is_multiple_of(1024) {
                let (entries_done, entries_all) = (done.entries, all.saturating_sub(begin));
                watched.set_starting(Some(Starting { entries_done, entries_all }));
            }
            match &mut while_absorbing {
                Some(while_absorbing) => while_absorbing.look(ledger, done),
                None => Ok(()),
            }
        })?;
        tracing::info!(entries = recovered.entries, "journal absorbed");
        tell_unopened(recovered.ledger.unopened());
        Ok::<_, NodeError>(AbsorbedJournal { log, recovered, snapshots, writer })
    };
    let absorbed = tokio::task::spawn_blocking(absorb).await;
    // The task is never cancelled, so that it did not end means that it panicked.
    absorbed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Frames whose keys are not there are nobody's fault but the key folder's: said, and passed over.
fn tell_unopened(frames: u64) {
    if frames > 0 {
        tracing::error!(
            frames,
            "the keys of stored frames are not in the key folder: they are not released, and \
             segments of theirs that are still to be proven name what is stored; put the keys \
             back (sequencer keys restore)"
        );
    }
}

/// The group that holds the close of the last assembled batch, as far as the store knows it.
fn assembled_group(opened: &Opened, log: &Log<FileMedium>) -> Result<Option<u64>, NodeError> {
    let number = opened.last.number;
    if number.0 == 0 {
        return Ok(Some(0));
    }
    let Opened { layout, edge, store, .. } = opened;
    let remembered = Memories { layout, edge, store }.assembled(number)?;
    // Of a journal that lacks it the journal itself is asked, and says so.
    Ok(remembered.and_then(|remembered| log.reader().group_of(remembered.position.0).ok()))
}

/// Starts signer, batcher and writer, in the order in which each needs the one before.
pub(super) fn start_core(
    opened: &Opened,
    absorbed: AbsorbedJournal,
    common: &Common,
) -> Result<Core, NodeError> {
    let (config, windows_max) = (opened.ledger_config()?, opened.config.deliver.windows_max);
    let AbsorbedJournal { log, recovered, snapshots, writer } = absorbed;
    tracing::info!(engine = opened.keys.engine_name(), "proving engine");
    let Recovered { ledger, backlog, closed, assembled_group, close_group, .. } = recovered;

    let deliver = &opened.config.deliver;
    let key = setup::receipt_key(&opened.layout)?;
    let hold = common.watched.hold();
    let hub = ReceiptHub::new(key, opened.edge.scope(), log.reader(), deliver);
    let hub = hub.held_by(hold.clone()).with_bodies(opened.bodies.clone());
    let (delivery, live) = NodeDelivery::start(hub.clone(), deliver, &common.guard)?;

    let last = LastBatch { group: assembled_group, ..opened.last };
    let planner = proving::planner(opened, *ledger.operation_scope(), &common.watched)?;
    let sink = Box::new(storing_sink(opened, common));
    let batcher = Batcher::new(planner.clone(), last, log.reader(), sink);
    let replay = Replay { journal: log.reader(), config, snapshots };
    // What was closed before the start waits in the journal like what finds no room.
    let left_out = delivery.left_out();
    left_out.fetch_max(closed.0, Ordering::SeqCst);
    let assembled = opened.last.number;
    let sources = Sources { backlog, assembled, left_out, live, replay: replay.clone() };
    let metrics = common.watched.metrics();
    let counted = Counted {
        waiting: metrics.prove_queue.clone(),
        read_back: metrics.windows_read_back_total.clone(),
    };
    let windows = Windows::new(sources, windows_max, counted);
    let key_folder = setup::key_folder(&opened.layout, &opened.config);
    let fed = Fed { planner, batcher, windows, stop: common.stop.subscribe(), key_folder };
    let Common { watched, guard, .. } = common;
    let proving = Proving::start(fed, &opened.config.prover, watched, guard)?;

    let journal = log.reader();
    let witness = start_witness(opened, log.reader(), common, ledger.term())?;
    let snapshots = start_snapshots(writer, ledger.frame_nodes(), common)?;
    let pace = Pace::of(opened.config.journal.snapshot_every_entries);
    let keeper = snapshots.as_ref().map(|snapshots| snapshots.keeper(pace));
    let admission = LedgerAdmission::new(ledger, delivery, close_group).kept_by(keeper);
    let admission = admission.with_gate(Arc::new(common.around.clone()));
    let (view, next_terms) = (admission.view(), admission.next_terms());
    let writer = start_writer(opened, log, admission, common)?;
    let (metrics, circuit) = (common.watched.metrics().clone(), Arc::new(CircuitRows));
    let rows = RowPool::start(&opened.config.admission, circuit, metrics)?;
    let admit = Admit::new(writer.submitter(), rows).held_by(hold.clone());
    let desk = RegistryDesk::new(admit.clone(), view.clone());
    let renewals = Arc::new(Renewals::new(&opened.config.ingest.limits));
    Ok(Core {
        journal,
        writer,
        admit,
        view,
        hub,
        desk,
        renewals,
        proving,
        carrier: None,
        witness,
        snapshots,
        next_terms,
        replay,
        bodies: opened.bodies.clone(),
        body_keys: opened.body_keys.clone(),
    })
}

fn storing_sink(opened: &Opened, common: &Common) -> StoringSink {
    StoringSink {
        store: opened.store.clone(),
        wake: common.wake.clone(),
        watched: common.watched.clone(),
        clock: common.clock.clone(),
    }
}

fn start_writer(
    opened: &Opened,
    log: Log<FileMedium>,
    admission: LedgerAdmission<NodeDelivery>,
    common: &Common,
) -> Result<Writer<FileMedium, LedgerAdmission<NodeDelivery>>, NodeError> {
    let queue_items_max = NonZeroUsize::new(opened.config.journal.queue_items_max);
    let queue_items_max = queue_items_max.expect("the configuration was checked: at least one");
    let reserved_items = opened.config.ingest.limits.reserved_items;
    let limits = WriterConfig { queue_items_max, reserved_items };
    // A file made ahead takes no room that frames leave to everything else.
    let (reserve, clock) = (common.around.reserve.clone(), common.clock.clone());
    log.ask_room(move |bytes| reserve.leaves_room(bytes));
    // The earliest that it may be: nothing is stamped that lies in somebody's future.
    let now = move || clock.read().earliest.get();
    Ok(Writer::start(log, admission, now, limits)?)
}

fn start_snapshots(
    writer: Option<SnapshotWriter>,
    nodes: &FrameNodes,
    common: &Common,
) -> Result<Option<SnapshotThread>, NodeError> {
    let Some(writer) = writer else { return Ok(None) };
    Ok(Some(SnapshotThread::start(writer, nodes.clone(), &common.guard)?))
}

fn start_witness(
    opened: &Opened,
    journal: Reader<FileMedium>,
    common: &Common,
    term: u32,
) -> Result<Option<WitnessThread>, NodeError> {
    if opened.lacks.is_some() {
        return Ok(None);
    }
    let keep = WitnessFile::of(&opened.layout, &opened.edge, term);
    let lag = common.watched.metrics().journal_witness_lag.clone();
    Ok(Some(WitnessThread::start(journal, keep, lag, &common.guard)?))
}
