//! Starts the stages, each on what the ones before it are.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devchain::DevChain;
use journal::FileCounts;
use model::{BatchNumber, Clock};
use statement::batch::PublicFile;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::archiving::{self, Archiving, Keep};
use super::backup::Pinner;
use super::blocking::Blocking;
use super::certificates::CertificateCount;
use super::chain_gate::ChainGate;
use super::common::Common;
use super::core::Core;
use super::erasing::{Erasing, destroy_again};
use super::erasure_list::Sources;
use super::error::NodeError;
use super::expected_day::ExpectedDay;
use super::head::keep_evidence;
use super::open::Opened;
use super::order_desk::{OrderDesk, Parts};
use super::scrub::Scrub;
use super::settle_limits::SettleLimits;
use super::setup;
use super::timer::WindowTimer;
use super::tuning::{Reach, Tuning};
use super::upkeep::{Queues, Upkeep, Watch};
use super::watched::Starting;
use crate::doors::consult::ConsultDoor;
use crate::doors::http::{Access, AuditEvents, AuditSetup, HttpService, Shown, WrongTokens};
use crate::doors::key_desk::KeyDesk;
use crate::doors::page::{self, Behind, OperatorPageError};
use crate::folder::authority::ServerTls;
use crate::folder::secrets;
use crate::folder::store::Store;
use crate::folder::validity;
use crate::guard::{GuardedTask, Stage};
use crate::stages::ingest::{
    DoorParts, IngestServer, Listen, OperationDoor, QuicKey, RateConfig, Rates, Services,
};
use crate::stages::ledger::LedgerView;
use crate::stages::notices::{PostError, Poster, Teller};
use crate::stages::settle::{SettleConfig, Settler, SettlerParts};

/// Shows what there is. Before the journal is absorbed: whoever asks is told how far that is.
pub(super) async fn serve_http(opened: &Opened, common: &Common) -> Result<HttpService, NodeError> {
    common.watched.set_starting(Some(Starting::default()));
    let (store, metrics) = (opened.store.clone(), common.watched.metrics().clone());
    let (operations, forwarded) = (common.operations.clone(), opened.config.http.forwarded);
    let watched = Arc::new(common.watched.clone());
    let access = desk_access(opened, common)?;
    let (health, desk, windows) = (watched.clone(), watched.clone(), watched);
    let audit_events = audit_events(opened, common);
    let (section, issuer) = (&opened.config.decisions, common.issuer.clone());
    let (clock, place) = (common.clock.clone(), common.consult.clone());
    let consult = ConsultDoor::read(section, issuer, clock, place)?.map(Arc::new);
    let shown = Shown {
        store,
        metrics,
        health,
        desk,
        access,
        consult,
        windows,
        operations,
        forwarded,
        audit_events,
        notices: common.notices.clone(),
    };
    Ok(HttpService::start(opened.config.http.listen, shown, &common.guard).await?)
}

/// Whoever shows AuditEvents, if it is configured.
fn audit_events(opened: &Opened, common: &Common) -> Option<AuditEvents> {
    let issuer = common.issuer.clone().filter(|_| opened.config.fhir.audit_events)?;
    let (scope, clock) = (opened.edge.scope(), common.clock.clone());
    let (reads, per_minute) = (&opened.layout.audit_reads(), opened.config.fhir.per_minute);
    let reads_bytes = common.watched.metrics().audit_reads_bytes.clone();
    let setup = AuditSetup { issuer, scope, clock, reads, reads_bytes, per_minute };
    Some(AuditEvents::new(setup))
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

fn start_scrub(opened: &Opened, core: &Core, common: &Common) -> GuardedTask {
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

/// Brings sealed files to the archive, if one is configured.
fn start_archiving(opened: &Opened, core: &Core, common: &Common) -> GuardedTask {
    let (section, stop) = (&opened.config.archive, common.stop.subscribe());
    let Some(archive) = opened.archive.clone() else {
        return common.guard.task(Stage::Archive, archiving::idle(stop));
    };
    let archiving = Archiving {
        archive,
        journal: core.journal.clone(),
        layout: opened.layout.clone(),
        edge: opened.edge.clone(),
        store: opened.store.clone(),
        snapshots: core.replay.snapshots.clone(),
        every: Duration::from_millis(section.every_ms),
        keep: Keep {
            age: Duration::from_millis(section.keep_local_ms),
            bytes: section.keep_local_bytes,
            fetched: section.cache_bytes,
        },
        clock: common.clock.clone(),
        watched: common.watched.clone(),
        blocking: Blocking::default(),
        looked_at: Arc::default(),
    };
    common.guard.task(Stage::Archive, archiving.run(stop))
}

/// Tells the view what was withdrawn before the start and is not on the chain: whoever finds the
/// node paused has to know. Of what is assembled already the public file says only how many
/// operations there were, so that each of them is counted: rather too many than one too few.
pub(super) async fn note_withdrawals(
    opened: &Opened,
    view: &LedgerView,
    closed: &[(BatchNumber, u64)],
) -> Result<(), NodeError> {
    let (store, last) = (opened.store.clone(), opened.last.number);
    // Beside the runtime's threads: behind a long pause these are many files.
    let counted = tokio::task::spawn_blocking(move || count_operations(&store, last)).await;
    let counted =
        counted.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    counted.iter().chain(closed).for_each(|(number, count)| view.note_earlier(*number, *count));
    Ok(())
}

/// The operations of each assembled batch that is not on the chain.
fn count_operations(
    store: &Store,
    last: BatchNumber,
) -> Result<Vec<(BatchNumber, u64)>, NodeError> {
    let mut counted = Vec::new();
    for number in (store.last_settled()?.0 + 1..=last.0).map(BatchNumber) {
        // Waits for no archive: what is not on the chain lies here.
        let bytes = store.public_bytes_within(number, Duration::ZERO);
        let file = bytes.map(|bytes| bytes.and_then(|bytes| PublicFile::from_bytes(&bytes).ok()));
        let count = match file {
            Ok(Some(file)) => u64::from(file.header.operations),
            // The scrub makes it anew. That something may wait is told meanwhile.
            Ok(None) | Err(_) => {
                tracing::warn!(
                    number = number.0,
                    "how many operations a batch has is not known: its file is damaged"
                );
                1
            }
        };
        counted.push((number, count));
    }
    Ok(counted)
}

/// What goes on beside collecting, behind what is settled or sealed: files are looked after,
/// brought to the archive, and whoever asked for it is told that somebody read.
pub(super) fn start_beside(
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<[GuardedTask; 3], NodeError> {
    let scrub = start_scrub(opened, core, common);
    let archiving = start_archiving(opened, core, common);
    Ok([scrub, archiving, start_notices(opened, core, common)?])
}

/// Tells whoever subscribed that somebody read, if a host may be told.
fn start_notices(opened: &Opened, core: &Core, common: &Common) -> Result<GuardedTask, PostError> {
    let stop = common.stop.subscribe();
    let Some(desk) = common.notices.clone() else {
        return Ok(common.guard.task(Stage::Notices, archiving::idle(stop)));
    };
    let (view, erased) = (core.view.clone(), core.view.clone());
    let teller = Teller {
        desk,
        store: opened.store.clone(),
        scope: opened.edge.scope(),
        view_key: Arc::new(move |patient| view.owner(patient).map(|owner| owner.view_key)),
        is_erased: Arc::new(move |patient| erased.erasures().tombstone(patient).is_some()),
        poster: common.poster.clone().map_or_else(Poster::new, Ok)?,
        lost_after_ms: opened.config.notices.pace().give_up_after_ms,
        clock: common.clock.clone(),
        metrics: common.watched.metrics().clone(),
    };
    Ok(common.guard.task(Stage::Notices, teller.run(stop)))
}

pub(super) fn start_upkeep(
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<Upkeep, NodeError> {
    let (around, watched) = (common.around.clone(), common.watched.clone());
    let watch = Watch::new(around, core.view.clone(), watched, opened.layout.clone());
    let watch = watch.with_keys(opened.body_keys.clone());
    let watch = watch.with_queues(Queues { admit: core.admit.clone(), hub: core.hub.clone() });
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
        machine: Arc::new(machine::System),
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
        quic: QuicKey::new(secrets::open_or_draw(&opened.layout.quic_key())?),
    };
    Ok(IngestServer::start(listen, ingest.limits.clone(), ingest.rates.clone(), services)?)
}

/// From now on signed operations are taken over HTTP, too.
pub(super) fn open_operations(opened: &Opened, core: &Core, common: &Common) -> OperationDoor {
    let parts = DoorParts {
        scope: opened.edge.scope(),
        requests: common.around.requests.clone(),
        admit: core.admit.clone(),
        view: core.view.clone(),
        hub: core.hub.clone(),
        clock: common.clock.clone(),
        ahead_ms_max: opened.config.ingest.clock_skew_ms_max,
        observe: Arc::new(common.watched.clone()),
    };
    let door = OperationDoor::new(parts, &opened.config.ingest.rates);
    common.operations.open(door.clone());
    common.consult.open(core.admit.clone());
    door
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
    let paused = common.watched.orders().follow_paused();
    let mut settler = settler.following(limits).paused_by(paused);
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
pub(super) fn start_certificates(opened: &Opened, core: &Core, common: &Common) -> GuardedTask {
    let count = CertificateCount {
        view: core.view.clone(),
        renewals: core.renewals.clone(),
        clock: common.clock.clone(),
        watched: common.watched.clone(),
        layout: opened.layout.clone(),
    };
    common.guard.task(Stage::Upkeep, count.run(common.stop.subscribe()))
}

pub(super) fn start_timer(opened: &Opened, core: &Core, common: &Common) -> GuardedTask {
    let now_ms = common.clock.running_ms();
    let timer = WindowTimer {
        admit: core.admit.clone(),
        view: core.view.clone(),
        journal: core.journal.clone(),
        counted: core.journal.head(),
        files_counted: FileCounts::default(),
        refusals_counted_ms: now_ms,
        expected: ExpectedDay::read(opened.config.plan.expected.as_deref(), now_ms),
        clock: common.clock.clone(),
        watched: common.watched.clone(),
    };
    common.guard.task(Stage::Windows, timer.run(common.stop.subscribe()))
}

/// What goes by live values and is no part of the core.
pub(super) struct Live {
    pub(super) settle: SettleLimits,
    pub(super) rates: Rates,
    pub(super) operations: OperationDoor,
}

/// What holds of the configuration from now on, and who is told of a change.
pub(super) fn tuning(opened: &Opened, core: &Core, common: &Common, live: Live) -> Arc<Tuning> {
    let Live { settle, rates, operations } = live;
    let set_rates = move |changed: &RateConfig| {
        rates.set(changed);
        operations.set_rates(changed);
    };
    let reach = Reach {
        around: common.around.clone(),
        settle,
        next: core.next_terms.clone(),
        capacities: opened.keys.capacities().clone(),
        set_rates: Box::new(set_rates),
        view: core.view.clone(),
        orders: common.watched.orders().clone(),
    };
    Arc::new(Tuning::new(opened.config.clone(), reach))
}

/// Where what an operator orders is carried out.
pub(super) fn order_desk(
    opened: &Opened,
    core: &Core,
    common: &Common,
    tuning: Arc<Tuning>,
) -> Arc<OrderDesk> {
    Arc::new(OrderDesk::new(Parts {
        layout: opened.layout.clone(),
        tuning,
        orders: common.watched.orders().clone(),
        admit: core.admit.clone(),
        view: core.view.clone(),
        store: opened.store.clone(),
        clock: common.clock.clone(),
        metrics: common.watched.metrics().clone(),
        erasing: Erasing {
            admit: core.admit.clone(),
            view: core.view.clone(),
            store: opened.store.clone(),
            clock: common.clock.clone(),
            hub: core.hub.clone(),
            keys: key_desk(opened),
            requests: common.around.requests.clone(),
        },
    }))
}

/// From now on the desk lists who asks to be erased.
pub(super) fn list_erasures(opened: &Opened, core: &Core, common: &Common) {
    common.watched.erasure_list().open(Sources {
        view: core.view.clone(),
        store: opened.store.clone(),
        keys: opened.body_keys.clone(),
        requests: common.around.requests.clone(),
        clock: common.clock.clone(),
    });
}

/// What an operator asks of the keys of readings.
pub(super) fn key_desk(opened: &Opened) -> KeyDesk {
    KeyDesk::new(opened.body_keys.clone(), opened.layout.snapshots())
}

/// Before anybody is answered: keys of whoever is erased that were put back go again.
pub(super) async fn destroy_erased(opened: &Opened, core: &Core, common: &Common) {
    let (keys, erasures) = (key_desk(opened), core.view.erasures());
    let now = common.clock.now();
    // Beside the runtime's threads: all other keys are written anew.
    let done = tokio::task::spawn_blocking(move || destroy_again(&keys, &erasures, now)).await;
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
}

/// Who may see the desk.
fn desk_access(opened: &Opened, common: &Common) -> Result<Access, NodeError> {
    let wrong = WrongTokens::new(common.watched.metrics().desk_tokens_wrong_total.clone());
    Ok(Access::read(opened.config.web.token_file.as_deref(), wrong)?)
}

/// The operator's page, if it is configured: where it is, and its task.
pub(super) async fn serve_page(
    opened: &Opened,
    common: &Common,
    chain: &str,
) -> Result<Option<(SocketAddr, GuardedTask)>, NodeError> {
    let Some(listen) = opened.config.web.listen else { return Ok(None) };
    let chain = match &opened.chain.reach {
        setup::Reach::Url(url) => url.clone(),
        // Of this process, and so well formed.
        setup::Reach::Embedded(_) => chain.parse().map_err(OperatorPageError::Chain)?,
    };
    let deployment = opened.layout.deployment();
    let watched = Arc::new(common.watched.clone());
    let access = desk_access(opened, common)?;
    let (store, windows, desk) = (opened.store.clone(), watched.clone(), watched);
    let behind = Behind { store, windows, desk, access };
    let server = page::bind(listen, &deployment, chain, behind).await?;
    let (address, mut stop) = (server.local_addr(), common.stop.subscribe());
    let work = async move {
        server.serve(async { drop(stop.wait_for(|stop| *stop).await) }).await;
        Ok::<_, Infallible>(())
    };
    Ok(Some((address, common.guard.task(Stage::Http, work))))
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
        setup::Reach::Embedded(chain) => {
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
        setup::Reach::Url(url) => Ok(BaseChainDoor { url: url.to_string(), embedded: None }),
    }
}
