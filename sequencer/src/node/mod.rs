//! The composition root: the one place that knows every stage.
//!
//! ```text
//! ingest -> admission -> journal -> [close] -> batcher (plan, prove, assemble) -> store -> settler
//!             |  receipts                                                         |-> http
//! ```
//! Each stage is owned below and knows only the types it is fed. `open` opens what they run on,
//! `start` starts each of them, and this file says in which order they start and stop. A stage
//! that fails marks the node as failed and the process ends: the journal is the truth, and a
//! restart continues from it.

pub mod archive;
pub mod archived;
mod archiving;
pub mod backup;
mod batch_sink;
mod blocking;
mod certificates;
mod chain_gate;
mod common;
mod core;
mod degraded;
pub mod desk;
mod elsewhere;
mod endpoints;
mod erasing;
mod erasure_list;
mod error;
mod expected_day;
pub mod frame_index;
mod head;
mod index_scrub;
pub mod inspect;
mod keys_ahead;
pub mod loss;
mod open;
mod order_desk;
pub mod orders;
mod proving;
mod pulse;
pub mod recent_rejects;
pub mod recorded;
pub mod recover;
mod reload;
mod replay;
mod scrub;
mod settle_limits;
pub mod setup;
pub mod snapshots;
mod snapshotter;
mod start;
pub mod status;
pub mod stepped;
pub mod survey;
mod tables;
#[cfg(test)]
mod tests;
mod timer;
mod told;
mod tuning;
mod under_way;
mod upkeep;
mod watched;
mod windows;
mod witness;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bodies::{BodyKeys, EntryPlace};
use journal::{FileMedium, Log};
use l1_contracts::Deployment;
use model::Position;
use tokio::sync::watch;
use wire::{Entry, RefusalEntry};

pub use self::degraded::Degraded;
pub use self::endpoints::Endpoints;
pub use self::error::{EntryError, NodeError};
pub use self::open::Provided;
pub use self::tuning::{Reloaded, SetLevel};
pub use self::watched::{Conditions, Starting, Totals, Watched};
pub use crate::guard::{Stage, StageFailure};

use self::common::Common;
use self::core::Core;
use self::endpoints::write_endpoints;
use self::open::{Opened, open};
use self::reload::Reach;
use self::settle_limits::SettleLimits;
use self::snapshotter::{Behind, Frozen};
use self::start::{BaseChainDoor, EmbeddedChain, Live};
use self::status::Teller;
use self::tuning::Tuning;
use self::upkeep::{Around, Upkeep};
use self::witness::WitnessThread;
use crate::doors::admin::{self, AdminDoor};
use crate::doors::config::Config;
use crate::doors::consult::ConsultPlace;
use crate::doors::http::{DoorPlace, HttpService};
use crate::doors::token_issuer::TokenIssuer;
use crate::folder::layout::Layout;
use crate::folder::store::Store;
use crate::guard::{GuardedTask, UnplannedEnd, panic_of_task};
use crate::stages::ingest::{Admit, AdmitError, IngestServer};
use crate::stages::ledger::{Answer, Item, Status};
use crate::stages::prove::ProverKeys;

/// How often it is looked whether a batch is settled, for those who wait for one.
const SETTLED_POLL: Duration = Duration::from_millis(20);

/// Entries that the operator's look for the last refusal reads back at most.
const REFUSAL_ENTRIES_MAX: u64 = 100;

/// A running node.
pub struct Node {
    layout: Layout,
    /// What holds, of the configuration.
    tuning: Arc<Tuning>,
    around: Around,
    deployment: Deployment,
    endpoints: Endpoints,
    store: Arc<Store>,
    keys: Arc<ProverKeys>,
    watched: Watched,
    stop: watch::Sender<bool>,
    core: Core,
    ingest: IngestServer,
    /// Where signed operations are taken over HTTP.
    operations: DoorPlace,
    /// Where questions about consent are.
    consult: ConsultPlace,
    /// Whose tokens are taken, if anybody's.
    issuer: Option<Arc<TokenIssuer>>,
    /// None only while the node starts.
    http: Option<HttpService>,
    admin: AdminDoor,
    embedded: Option<EmbeddedChain>,
    tasks: Vec<GuardedTask>,
    upkeep: Upkeep,
}

/// A node that answers over HTTP, and does nothing else yet.
pub struct Listening {
    opened: Opened,
    log: Log<FileMedium>,
    common: Common,
    http: HttpService,
}

impl Listening {
    /// Where it answers.
    pub fn http(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Follows how far the start is; none once the node takes in.
    pub fn follow_start(&self) -> watch::Receiver<Option<Starting>> {
        self.common.watched.follow_starting()
    }

    /// Starts every stage.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start(self) -> Result<Node, NodeError> {
        let Listening { opened, log, common, http } = self;
        let (operations, consult) = (common.operations.clone(), common.consult.clone());
        let watched = common.watched.clone();
        match Node::start_behind(http.local_addr(), opened, log, common).await {
            Ok(node) => Ok(Node { http: Some(http), ..node }),
            Err(error) => {
                operations.close();
                consult.close();
                watched.erasure_list().close();
                // It holds the store, which the next start is to find free.
                http.stop().await;
                Err(error)
            }
        }
    }
}

impl Node {
    /// Starts every stage on the folder of an initialised and deployed node.
    ///
    /// # Errors
    /// [`NodeError`] that names what is missing or does not fit.
    pub async fn start(
        folder: &Path,
        config: &Config,
        provided: Provided,
    ) -> Result<Node, NodeError> {
        Node::listen(folder, config, provided).await?.start().await
    }

    /// Opens the folder, and answers over HTTP: how far a start is, which may take a while, is
    /// asked where this listens.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn listen(
        folder: &Path,
        config: &Config,
        provided: Provided,
    ) -> Result<Listening, NodeError> {
        let Provided { chain, keys, clock, space, poster } = provided;
        let (opened, log) = open(Layout::new(folder), config, chain, keys).await?;
        let common = Common { poster, ..common::common(&opened, clock, space)? };
        let http = start::serve_http(&opened, &common).await?;
        Ok(Listening { opened, log, common, http })
    }

    /// Starts everything behind the HTTP service at this address.
    async fn start_behind(
        http: SocketAddr,
        opened: Opened,
        log: Log<FileMedium>,
        common: Common,
    ) -> Result<Node, NodeError> {
        let absorbed = core::absorb(&opened, log, &common).await?;
        let withdrawn = absorbed.withdrawals();
        // The writer before ingest: what is sent finds who takes it. The settler may start later,
        // because its first round looks for batches in the store.
        let mut core = core::start_core(&opened, absorbed, &common)?;
        core.carrier = elsewhere::start(&opened, &core, &common).await?;
        start::note_withdrawals(&opened, &core.view, &withdrawn).await?;
        start::destroy_erased(&opened, &core, &common).await;
        // Before anybody can send: the first frame finds out how late it is.
        let upkeep = start::start_upkeep(&opened, &core, &common)?;
        // And before anybody can show a receipt: each that holds the node is kept.
        let holder = start::start_hold_watch(&opened, &common);
        let timer = start::start_timer(&opened, &core, &common);
        let certificates = start::start_certificates(&opened, &core, &common);
        let ingest = start::start_ingest(&opened, &core, &common)?;
        let operations = start::open_operations(&opened, &core, &common);
        let settle = SettleLimits::new(&opened.chain.reach, &opened.config.settle);
        let settler = start::start_settler(&opened, &core, &common, settle.follow())?;
        let beside = start::start_beside(&opened, &core, &common)?;
        let BaseChainDoor { url, embedded } = start::serve_base_chain(&opened, &common).await?;
        let page = start::serve_page(&opened, &common, &url).await?;
        let pin = start::pinner(&opened, &core, &common);
        let live = Live { settle, rates: ingest.rates(), operations };
        let tuning = start::tuning(&opened, &core, &common, live);
        let orders = start::order_desk(&opened, &core, &common, tuning.clone());
        start::list_erasures(&opened, &core, &common);
        let Common { stop, guard, watched, around, operations: door_place, .. } = common;
        let body_keys = start::key_desk(&opened);
        let Opened { layout, edge, store, keys, .. } = opened;
        let fingerprint = edge.deployment().fingerprint.to_string();
        let (page, page_task) = page.unzip();
        let ingest_at = ingest.local_addr();
        let endpoints = Endpoints { ingest: ingest_at, http, page, rpc: url, fingerprint };
        let tell = Arc::new(Teller::new(&watched, &core.view, &around, &endpoints));
        let (desk, renewals) = (core.desk.clone(), core.renewals.clone());
        let answers = admin::Answers { desk, renewals, tell, pin, keys: body_keys, orders };
        let admin = AdminDoor::open(&layout.admin_socket(), answers, &guard)?;
        watched.set_starting(None);
        let mut tasks = vec![settler, timer, certificates, holder];
        tasks.extend(beside.into_iter().chain(page_task));
        // Last: whoever finds the file finds a node that answers.
        write_endpoints(&layout, &endpoints)?;
        Ok(Node {
            layout,
            tuning,
            around,
            deployment: edge.deployment().clone(),
            endpoints,
            store,
            keys,
            watched,
            stop,
            core,
            ingest,
            operations: door_place,
            consult: common.consult,
            issuer: common.issuer,
            http: None,
            admin,
            embedded,
            tasks,
            upkeep,
        })
    }

    /// Stops: takes nothing more, makes durable what is under way, proves the windows that are
    /// closed already for as long as `[prover] stop_after_ms`, and returns. What is not proven or
    /// settled is so after the next start.
    ///
    /// # Errors
    /// [`NodeError::Stage`] for the first stage that failed, be it before or while it stops.
    pub async fn stop(self) -> Result<(), NodeError> {
        // Who feeds before who is fed: what ingest admitted is acknowledged before the writer
        // stops, what the writer closed is proven if time allows. The settler need not be last:
        // what it leaves is settled after the next start.
        drop(self.admin);
        self.operations.close();
        self.consult.close();
        self.watched.erasure_list().close();
        self.ingest.stop().await;
        // Else the counts of the running minute would be lost; if the writer failed they are.
        drop(self.core.admit.count_refusals().await);
        // One word ends them all, so all are planned before it is said.
        self.tasks.iter().for_each(GuardedTask::plan_end);
        self.embedded.iter().for_each(EmbeddedChain::plan_end);
        // A window that fails is given up at that word, and its workers with it.
        self.core.proving.plan_end();
        self.stop.send_replace(true);
        for task in self.tasks {
            task.stop(|| ()).await;
        }
        stop_core(self.core, self.upkeep, &self.watched).await;
        if let Some(http) = self.http {
            http.stop().await;
        }
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
        drop(std::fs::remove_file(self.layout.endpoints()));
        self.watched.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Stops the writer and what it feeds; a failure on this way is told like any other.
async fn stop_core(core: Core, upkeep: Upkeep, watched: &Watched) {
    let (failures, hold) = (watched.failures().clone(), watched.hold().clone());
    let Core { writer, proving, carrier, witness, snapshots, .. } = core;
    let told = failures.clone();
    let joined = tokio::task::spawn_blocking(move || {
        // It ends with the writer's deliveries.
        proving.plan_end();
        let stopped = writer.stop();
        let is_told = || told.first().is_some_and(|first| first.stage == Stage::Journal);
        // While what was queued is written: until then nobody had a reason to look.
        if let Some(failure) = stopped.failure.clone().filter(|_| !is_told()) {
            told.fail(Stage::Journal, &AdmitError::Failed(failure));
        }
        // What a writer that failed holds may be ahead of what is durable, and a journal that lacks
        // something shall be mended first.
        let last = (stopped.failure.is_none() && !hold.is_set()).then(|| {
            let (head, admission) = (stopped.log.head(), &stopped.admission);
            let (group, position, journal_hash) = (head.group, head.position, head.journal_hash);
            let close_group = admission.close_group();
            let behind = Behind { group, position, journal_hash, close_group };
            Frozen::of(admission.ledger(), behind)
        });
        // At once: the proofs under way may take longer than who waits for the stop.
        if let Some(snapshots) = snapshots {
            snapshots.stop(last);
        }
        // With the signer, which signs what waits, and the way to the batcher.
        proving.stop(|| drop(stopped));
        // The last head, once there is no later one.
        witness.into_iter().for_each(WitnessThread::stop);
        upkeep.stop();
    });
    let joined = joined.await;
    // Only now: a proof that comes from elsewhere while the stop lets proofs go on is taken.
    carrier.iter().for_each(GuardedTask::abort);
    if let Err(Some(message)) = joined.map_err(panic_of_task) {
        failures.fail(Stage::Journal, &UnplannedEnd::Panicked(message));
    }
}

impl Node {
    /// Takes over what of `config` is live, the files of the server's certificate, and the keys of
    /// the token issuer. The log goes by its level from [`Node::apply_log_level`] on.
    ///
    /// # Errors
    /// [`NodeError`] that names the value or file; then nothing changed.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, NodeError> {
        let Node { layout, around, ingest, tuning, watched, issuer, .. } = self;
        let (clock, issuer) = (&around.clock, issuer.as_deref());
        let taken_over = Reach { layout, clock, ingest, tuning, issuer }.take_over(config);
        if taken_over.is_ok() {
            watched.metrics().config_reloads_total.inc();
        }
        watched.metrics().config_reload_failed.set(i64::from(taken_over.is_err()));
        taken_over
    }

    /// From now on an operator sets the log's level through the node, too.
    pub fn log_by(&self, log: Arc<dyn SetLevel>) {
        self.tuning.set_log(log);
    }

    /// Has the log go by the level that holds: what an operator set, or else what is configured.
    /// Once everything was said about what was read again: a quieter level would swallow it.
    pub fn apply_log_level(&self) {
        self.tuning.apply_log_level();
    }

    /// Takes notice of what was read again and is no configuration.
    pub fn reload_failed(&self) {
        self.watched.metrics().config_reload_failed.set(1);
    }

    /// Where it can be reached.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Its folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The deployment it settles to.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Batches and outbox.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Its proving keys.
    pub fn keys(&self) -> &ProverKeys {
        &self.keys
    }

    /// Metrics, progress and the first failure.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The way to submit items.
    pub fn admit(&self) -> &Admit {
        &self.core.admit
    }

    /// Submits an item and waits until it is durable; a refusal is an error here.
    ///
    /// # Errors
    /// [`NodeError::Admit`] or [`NodeError::Refused`].
    pub async fn submit(&self, item: Item) -> Result<Answer, NodeError> {
        match self.core.admit.submit(item).await? {
            Answer::Refused(refusal) => Err(NodeError::Refused(refusal)),
            answer => Ok(answer),
        }
    }

    /// A durable entry of the journal; a sealed frame as it was, if it opens.
    ///
    /// # Errors
    /// [`EntryError`] if there is none or it does not decode.
    pub fn entry(&self, position: Position) -> Result<Entry, EntryError> {
        let journal = &self.core.journal;
        let entry = journal.read(position.0)?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        let decoded =
            decoded.map_err(|source| EntryError::Decode { position: position.0, source })?;
        let Entry::SealedFrame(sealed) = &decoded else { return Ok(decoded) };
        let group = journal.group(journal.group_of(position.0)?)?;
        let index = position.0.saturating_sub(group.first) as u32;
        let place = EntryPlace { salt: group.salt, index, time: entry.time };
        Ok(self.core.bodies.open(sealed, &place).map_or(decoded, Entry::Frame))
    }

    /// The keys that readings are sealed under.
    pub fn body_keys(&self) -> &BodyKeys {
        &self.core.body_keys
    }

    /// The last refusal among the last hundred entries of the journal, for the operator's eyes.
    ///
    /// # Errors
    /// [`EntryError`] if the journal cannot be read.
    pub fn last_refusal(&self) -> Result<Option<RefusalEntry>, EntryError> {
        let last = self.core.journal.head().position;
        let (from, mut refusal) = (last.saturating_sub(REFUSAL_ENTRIES_MAX - 1), None);
        // Forwards, over positions that were given up.
        for found in self.core.journal.iter_from(from) {
            if let Entry::Refusal(found) = self.entry(Position(found?.0))? {
                refusal = Some(found);
            }
        }
        Ok(refusal)
    }

    /// Counts of the ledger, as of the last durable group.
    pub fn status(&self) -> Status {
        self.core.view.status()
    }

    /// Waits until batch `number` is settled, or a stage fails or cannot go on without help.
    ///
    /// # Errors
    /// [`NodeError::Stage`], [`NodeError::Degraded`] or [`NodeError::Store`].
    pub async fn wait_until_settled(&self, number: u64) -> Result<(), NodeError> {
        let mut failures = self.watched.failures().follow();
        while self.store.last_settled()?.0 < number {
            if let Some(failure) = failures.borrow_and_update().clone() {
                return Err(failure.into());
            }
            // Not for every cause: fees fall and nodes come back without anybody's doing.
            for (stage, cause) in self.watched.degraded().stages() {
                if cause.is_lasting() {
                    return Err(NodeError::Degraded { stage, cause: cause.name() });
                }
            }
            tokio::time::sleep(SETTLED_POLL).await;
        }
        Ok(())
    }

    /// Waits for the first failure of a stage.
    pub async fn wait_for_failure(&self) -> NodeError {
        let mut failures = self.watched.failures().follow();
        let failure = failures.wait_for(Option::is_some).await;
        let failure = failure.expect("this node holds the sender").clone();
        failure.expect("waited for one").into()
    }
}
