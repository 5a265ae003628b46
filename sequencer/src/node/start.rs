//! Starts the stages, each on what the ones before it are.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devchain::DevChain;
use journal::{FileCounts, FileMedium, Log, Reader, Writer, WriterConfig};
use model::Clock;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};

use super::backup::Pinner;
use super::batch_sink::StoringSink;
use super::blocking::Blocking;
use super::certificates::CertificateCount;
use super::chain_gate::ChainGate;
use super::error::NodeError;
use super::head::{Memories, WitnessFile, keep_evidence};
use super::open::Opened;
use super::proving::{self, Fed, Proving};
use super::recover::{Recovered, Recovery};
use super::replay::Replay;
use super::scrub::Scrub;
use super::setup::{self, Reach};
use super::snapshots::Snapshots;
use super::snapshotter::{SnapshotThread, SnapshotWriter, Told, WhileAbsorbing};
use super::timer::WindowTimer;
use super::upkeep::{self, Around, Upkeep, Watch};
use super::watched::{Starting, Watched};
use super::windows::{Counted, Sources, Windows};
use super::witness::WitnessThread;
use crate::clock::NodeClock;
use crate::disk::{FileSystems, FreeSpace, Reserve};
use crate::doors::http::{HttpService, Shown};
use crate::folder::authority::ServerTls;
use crate::folder::layout::Layout;
use crate::folder::secrets;
use crate::folder::snapshots::Binding;
use crate::folder::validity;
use crate::guard::{Guard, GuardedTask, Stage};
use crate::metrics::Metrics;
use crate::stages::deliver::{NodeDelivery, ReceiptHub};
use crate::stages::ingest::{
    Admit, IngestServer, Listen, RegistryDesk, Renewals, ResetKey, Services,
};
use crate::stages::ledger::{FrameNodes, LedgerAdmission, LedgerView};
use crate::stages::prove::{Batcher, LastBatch};
use crate::stages::rows::{CircuitRows, RowPool};
use crate::stages::settle::{SettleConfig, Settler, SettlerParts};

/// What every stage is given.
pub(super) struct Common {
    pub(super) clock: Arc<NodeClock>,
    /// What the writer asks before each item.
    pub(super) around: Around,
    /// Wakes the settler when a batch is stored.
    pub(super) wake: Arc<Notify>,
    /// Ends the tasks.
    pub(super) stop: watch::Sender<bool>,
    /// Sees that what is started runs.
    pub(super) guard: Guard,
    pub(super) watched: Watched,
}

/// Begins with the clock: what is written from here on has a time. A node whose journal lacks
/// something is held from the start.
pub(super) fn common(
    opened: &Opened,
    clock: Arc<dyn Clock>,
    space: Option<Arc<dyn FreeSpace>>,
) -> Result<Common, NodeError> {
    let remembered = upkeep::remembered(&opened.layout, clock.as_ref());
    let clock = NodeClock::start(clock, opened.config.clock.clone()).remembering(remembered);
    let clock = Arc::new(clock);
    let reserve = reserve(opened, space)?;
    let watched = watched(opened);
    let common = Common {
        around: Around { clock: clock.clone(), reserve: Arc::new(reserve) },
        clock,
        wake: Arc::new(Notify::new()),
        stop: watch::Sender::new(false),
        guard: Guard::new(watched.failures().clone()),
        watched,
    };
    if let Some(contradiction) = opened.lacks {
        common.watched.hold().set(contradiction);
    }
    Ok(common)
}

/// What everybody reports to. Batches are counted on from where the store is: `sequencer status`
/// and monitors would be told of none until the next one is made.
pub(super) fn watched(opened: &Opened) -> Watched {
    let (metrics, store) = (Metrics::new(), &opened.store);
    metrics.batch_assembled.set(opened.last.number.0 as i64);
    let under_way = store.outbox_pending().map(|rows| rows.len());
    match store.last_settled().and_then(|settled| Ok((settled, under_way?))) {
        Ok((settled, under_way)) => {
            metrics.batch_settled.set(settled.0 as i64);
            metrics.outbox_pending.set(under_way as i64);
        }
        // Whoever needs the rows says so in its own words; the numbers alone keep no node down.
        Err(error) => tracing::warn!(%error, "how far batches are settled is not known yet"),
    }
    Watched::new(metrics)
}

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
    /// For whoever reads windows back.
    pub(super) replay: Replay,
}

/// Shows what there is. Before the journal is absorbed: whoever asks is told how far that is.
pub(super) async fn serve_http(opened: &Opened, common: &Common) -> Result<HttpService, NodeError> {
    common.watched.set_starting(Some(Starting::default()));
    let (store, metrics) = (opened.store.clone(), common.watched.metrics().clone());
    let shown = Shown { store, metrics, health: Arc::new(common.watched.clone()) };
    Ok(HttpService::start(opened.config.http.listen, shown, &common.guard).await?)
}

/// The journal, absorbed.
pub(super) struct AbsorbedJournal {
    log: Log<FileMedium>,
    recovered: Recovered,
    snapshots: Snapshots,
    /// None where the journal lacks something.
    writer: Option<SnapshotWriter>,
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
    let writer = SnapshotWriter::new(snapshots.clone(), seal, store, told);
    let mut writer = opened.lacks.is_none().then_some(writer);
    let (assembled, assembled_group) = (opened.last.number, assembled_group(opened, &log)?);
    let (windows_max, watched) = (opened.config.deliver.windows_max, common.watched.clone());
    let every_entries = opened.config.journal.snapshot_every_entries;
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
            writer.as_mut().map(|writer| WhileAbsorbing::new(journal, writer, every_entries));
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
        Ok::<_, NodeError>(AbsorbedJournal { log, recovered, snapshots, writer })
    };
    let absorbed = tokio::task::spawn_blocking(absorb).await;
    // The task is never cancelled, so that it did not end means that it panicked.
    absorbed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
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
    let hub = hub.held_by(hold.clone());
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
    let every_entries = opened.config.journal.snapshot_every_entries;
    let keeper = snapshots.as_ref().map(|snapshots| snapshots.keeper(every_entries));
    let admission = LedgerAdmission::new(ledger, delivery, close_group).kept_by(keeper);
    let admission = admission.with_gate(Arc::new(common.around.clone()));
    let view = admission.view();
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
        replay,
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

/// Waits until somebody shows what the journal lacks, says so, and keeps every receipt that does.
pub(super) fn start_hold_watch(opened: &Opened, common: &Common) -> GuardedTask {
    let (layout, watched) = (opened.layout.clone(), common.watched.clone());
    let (mut held, mut stop) = (watched.hold().subscribe(), common.stop.subscribe());
    let mut shown = watched.hold().shown();
    let work = async move {
        let why = tokio::select! {
            why = held.wait_for(Option::is_some) => why.ok().and_then(|why| *why),
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(contradiction) = why else { return Ok(()) };
        watched.metrics().journal_contradicted.set(1);
        tracing::error!("nothing is taken in or acknowledged any more: {contradiction}");
        loop {
            let receipt = tokio::select! {
                // What was shown before the stop is kept before it.
                biased;
                receipt = shown.recv() => receipt,
                _ = stop.wait_for(|stop| *stop) => return Ok::<_, Infallible>(()),
            };
            let receipt = match receipt {
                Ok(receipt) => receipt,
                // Those that were passed over come again with their holders.
                Err(RecvError::Lagged(count)) => {
                    tracing::warn!(count, "receipts that say so came too fast and are not kept");
                    continue;
                }
                // Never while the node lives, which holds the other end.
                Err(RecvError::Closed) => return Ok(()),
            };
            let layout = layout.clone();
            let kept = tokio::task::spawn_blocking(move || keep_evidence(&layout, &receipt)).await;
            if let Ok(Err(error)) = kept {
                tracing::error!(%error, "a receipt that says so cannot be kept");
            }
        }
    };
    common.guard.task(Stage::Upkeep, work)
}

pub(super) fn start_scrub(opened: &Opened, core: &Core, common: &Common) -> GuardedTask {
    let scrub = Scrub {
        store: opened.store.clone(),
        edge: opened.edge.clone(),
        replay: core.replay.clone(),
        planner: core.proving.planner().clone(),
        every: Duration::from_millis(opened.config.store.scrub_every_ms),
        watched: common.watched.clone(),
        standing: Arc::new(common.watched.degraded().standing(Stage::Scrub)),
        blocking: Blocking::default(),
    };
    common.guard.task(Stage::Scrub, scrub.run(common.stop.subscribe()))
}

/// What frames leave free under the folder, the journal and the store, each of which may be mounted
/// from elsewhere.
pub(super) fn reserve(
    opened: &Opened,
    space: Option<Arc<dyn FreeSpace>>,
) -> Result<Reserve, NodeError> {
    let folders = written_to(&opened.layout);
    let space = space.unwrap_or_else(|| Arc::new(FileSystems::of(folders)));
    Ok(Reserve::new(space, opened.config.journal.reserve_bytes)?)
}

/// The folders whose file systems the node fills.
fn written_to(layout: &Layout) -> [PathBuf; 3] {
    [layout.folder().to_path_buf(), layout.journal(), layout.store()]
}

pub(super) fn start_upkeep(
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<Upkeep, NodeError> {
    let (around, watched) = (common.around.clone(), common.watched.clone());
    let watch = Watch::new(around, core.view.clone(), watched, opened.layout.clone());
    Ok(Upkeep::start(watch, &common.guard)?)
}

/// Says where a backup ends.
pub(super) fn pinner(opened: &Opened, core: &Core, common: &Common) -> Arc<Pinner> {
    Arc::new(Pinner {
        layout: opened.layout.clone(),
        store: opened.store.clone(),
        journal: core.journal.clone(),
        scope: opened.edge.scope(),
        clock: common.clock.clone(),
        one: Mutex::default(),
    })
}

pub(super) fn start_ingest(
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<IngestServer, NodeError> {
    let ingest = &opened.config.ingest;
    let services = Services {
        admit: core.admit.clone(),
        view: core.view.clone(),
        desk: core.desk.clone(),
        renewals: core.renewals.clone(),
        hub: core.hub.clone(),
        clock: common.clock.clone(),
        guard: common.guard.clone(),
        observe: Arc::new(common.watched.clone()),
        ahead_ms_max: ingest.clock_skew_ms_max,
    };
    let now = common.clock.now();
    for warning in validity::endings(&opened.layout)?.iter().filter_map(|end| end.warning(now)) {
        tracing::warn!(%warning, "a certificate ends");
    }
    // Better here than at every client, which would be told of a handshake that failed.
    let remedy = "move server/ away, run `sequencer init`, and start again";
    validity::check(&opened.layout.server().join("cert.pem"), now, remedy)?;
    let listen = Listen {
        address: ingest.listen,
        tls: ServerTls::load(&opened.layout.server())?,
        // Drawn anew if it is lost: then connections of the run before wait for their timeout, and
        // nothing else comes of it.
        resets: ResetKey::new(secrets::open_or_draw(&opened.layout.quic_key())?),
    };
    Ok(IngestServer::start(listen, ingest.limits.clone(), ingest.rates.clone(), services)?)
}

pub(super) fn start_settler(
    opened: &Opened,
    core: &Core,
    common: &Common,
    limits: watch::Receiver<SettleConfig>,
) -> Result<GuardedTask, NodeError> {
    let settler = Settler::new(SettlerParts {
        edge: opened.edge.clone(),
        store: opened.store.clone(),
        signer: setup::settlement_signer(&opened.layout)?,
        config: limits.borrow().clone(),
        metrics: common.watched.metrics().clone(),
        clock: common.clock.clone(),
        standing: Arc::new(common.watched.degraded().standing(Stage::Settlement)),
    });
    let mut settler = settler.following(limits);
    let (wake, mut stop) = (common.wake.clone(), common.stop.subscribe());
    let mut held = common.watched.hold().subscribe();
    let gate = (!opened.asked_chain).then(|| ChainGate {
        layout: opened.layout.clone(),
        edge: opened.edge.clone(),
        store: opened.store.clone(),
        journal: core.journal.clone(),
        hold: common.watched.hold().clone(),
    });
    let mut stopped = common.stop.subscribe();
    let settle = async move {
        if let Some(gate) = gate {
            let gate = Arc::new(gate);
            let check = || {
                let gate = gate.clone();
                async move { gate.check().await }
            };
            tokio::select! {
                () = settler.wait_for_chain(check) => {}
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            }
        }
        settler.run(wake, stopped).await
    };
    let work = async move {
        // A second story must not be settled. Cut off where it stands, as by a crash: the outbox
        // holds what was sent, and the next start goes on with it.
        tokio::select! {
            biased;
            _ = held.wait_for(Option::is_some) => {}
            ended = settle => return ended,
        }
        // Until the node stops: an end before would be a failure.
        drop(stop.wait_for(|stop| *stop).await);
        Ok(())
    };
    Ok(common.guard.task(Stage::Settlement, work))
}

/// Counts certificates that should have been renewed, and those that wait for the operator.
pub(super) fn start_certificates(core: &Core, common: &Common) -> GuardedTask {
    let count = CertificateCount {
        view: core.view.clone(),
        renewals: core.renewals.clone(),
        clock: common.clock.clone(),
        watched: common.watched.clone(),
    };
    common.guard.task(Stage::Upkeep, count.run(common.stop.subscribe()))
}

pub(super) fn start_timer(core: &Core, common: &Common) -> GuardedTask {
    let timer = WindowTimer {
        admit: core.admit.clone(),
        view: core.view.clone(),
        journal: core.journal.clone(),
        counted: core.journal.head(),
        files_counted: FileCounts::default(),
        refusals_counted_ms: common.clock.running_ms(),
        clock: common.clock.clone(),
        watched: common.watched.clone(),
    };
    common.guard.task(Stage::Windows, timer.run(common.stop.subscribe()))
}

/// The base chain as others reach it: the embedded one is served here.
pub(super) struct BaseChainDoor {
    pub(super) url: String,
    pub(super) embedded: Option<EmbeddedChain>,
}

/// The chain of this process and the task that serves it.
pub(super) struct EmbeddedChain {
    chain: DevChain,
    server: GuardedTask,
}

impl EmbeddedChain {
    /// Says that the server is about to end, because it will be told with the stages.
    pub(super) fn plan_end(&self) {
        self.server.plan_end();
    }

    /// Waits for the last answers, also to those who did not: a settler that is cut off leaves a
    /// request running, and until it ends the chain cannot be opened again.
    pub(super) async fn stop(self) {
        self.server.stop(|| ()).await;
        self.chain.answered().await;
    }
}

pub(super) async fn serve_base_chain(
    opened: &Opened,
    common: &Common,
) -> Result<BaseChainDoor, NodeError> {
    match &opened.chain.reach {
        Reach::Embedded(chain) => {
            let port = opened.config.chain.embedded_port;
            let mut server = devchain::serve_http(chain.clone(), port).await?;
            let (url, mut stop) = (server.url(), common.stop.subscribe());
            let work = async move {
                tokio::select! {
                    ended = server.ended() => return ended,
                    _ = stop.wait_for(|stop| *stop) => {}
                }
                server.shut_down().await
            };
            let server = common.guard.task(Stage::BaseChain, work);
            let embedded = EmbeddedChain { chain: chain.clone(), server };
            Ok(BaseChainDoor { url, embedded: Some(embedded) })
        }
        Reach::Url(url) => Ok(BaseChainDoor { url: url.to_string(), embedded: None }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_reserve_is_kept_where_the_journal_grows_too() {
        let layout = Layout::new(Path::new("node"));
        let measured = written_to(&layout);
        for folder in [layout.journal(), layout.store()] {
            assert!(measured.contains(&folder), "expected {folder:?} among {measured:?}");
        }
    }
}
