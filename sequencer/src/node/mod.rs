//! The composition root: the one place that knows every stage.
//!
//! ```text
//! ingest -> admission -> journal -> [close] -> batcher (plan, prove, assemble) -> store -> settler
//!             |  receipts                                                         |-> http
//! ```
//! Each stage is owned below and knows only the types it is fed; this file starts them in order of
//! what they need, and stops them in the reverse order. A stage that fails marks the node as failed
//! and the process ends: the journal is the truth, and a restart continues from it.

mod batch_sink;
mod failure;
pub mod recover;
pub mod setup;
mod watched;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use devchain::HttpServer;
use journal::{FileMedium, Genesis, Log, ReadError, Reader, Writer, WriterConfig};
use l1_contracts::{Deployment, DeploymentError, Edge, EdgeError, KeyWords};
use model::{BatchNumber, Clock, Position};
use serde::Serialize;
use statement::scope;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle as Task;
use wire::{Entry, FrameError, RefusalEntry};

pub use self::failure::{Stage, StageFailure};
pub use self::watched::{Totals, Watched};

use self::batch_sink::StoringSink;
use crate::doors::admin::{AdminDoor, AdminError};
use crate::doors::config::Config;
use crate::doors::http::{HttpError, HttpService};
use crate::folder::authority::{AuthorityError, ServerTls};
use crate::folder::layout::Layout;
use crate::folder::secrets::{self, SecretError};
use crate::folder::store::{Store, StoreError};
use crate::metrics::Metrics;
use crate::node::recover::{RecoverError, recover};
use crate::node::setup::{Chain, SetupError};
use crate::stages::deliver::{NodeDelivery, ReceiptHub};
use crate::stages::ingest::{Admit, AdmitError, IngestError, IngestServer, Services};
use crate::stages::ledger::{
    Answer, Item, LedgerAdmission, LedgerConfig, LedgerView, Refusal, Status,
};
use crate::stages::prove::{Batcher, BatcherConfig, ProverKeys, Tip};
use crate::stages::settle::{SettleConfig, Settler, SettlerParts};
use crate::window::{ClosedWindow, OperationScope};

/// How often the age of the open window is looked at.
const WINDOW_POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// Why a node does not start, or does not do what it is asked.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The folder is not usable.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no deployment yet.
    #[error("no deployment in the node's folder; run `sequencer deploy` first")]
    Deployment(#[source] DeploymentError),
    /// The chain is not the deployment's.
    #[error("the base chain does not fit the deployment")]
    Edge(#[from] EdgeError),
    /// The proving keys are not the deployment's.
    #[error("expected proving keys with the ids of the deployment; shape {shape} differs")]
    Keys {
        /// Which shape.
        shape: String,
    },
    /// The deployment begins with records that this node does not have.
    #[error("expected a deployment that begins with no record, found another genesis root")]
    Genesis,
    /// A secret is not usable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[from] StoreError),
    /// The journal does not open.
    #[error("the journal does not open")]
    Journal(#[from] journal::OpenError),
    /// The journal's file does not open.
    #[error("the journal's file does not open")]
    Medium(#[from] journal::MediumError),
    /// The journal cannot be continued.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The server certificate is not usable.
    #[error("the node's certificate is not usable")]
    Tls(#[from] AuthorityError),
    /// Ingest does not start.
    #[error("ingest does not start")]
    Ingest(#[from] IngestError),
    /// HTTP does not start.
    #[error("the http service does not start")]
    Http(#[from] HttpError),
    /// The operator's socket does not open.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system starts no thread or opens no socket.
    #[error("the operating system refuses a thread or socket")]
    System(#[from] std::io::Error),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Entropy(#[from] getrandom::Error),
    /// Admission did not take an item.
    #[error("the node does not take the item")]
    Admit(#[from] AdmitError),
    /// Admission refused an item.
    #[error("refused: {}", .0.detail)]
    Refused(Refusal),
    /// A stage failed.
    #[error("the {stage} stage failed: {detail}")]
    Stage {
        /// Which.
        stage: Stage,
        /// Why.
        detail: String,
    },
}

/// A journal entry that cannot be read.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The journal does not serve it.
    #[error("the journal does not serve the entry")]
    Read(#[from] ReadError),
    /// It does not decode.
    #[error("the journal entry at position {position} does not decode")]
    Decode {
        /// Where.
        position: u64,
        /// Why.
        source: FrameError,
    },
}

/// Where a running node can be reached.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoints {
    /// QUIC.
    pub ingest: SocketAddr,
    /// HTTP: batch files, metrics, health.
    pub http: SocketAddr,
    /// JSON-RPC of the base chain.
    pub rpc: String,
}

/// A running node.
pub struct Node {
    layout: Layout,
    deployment: Deployment,
    endpoints: Endpoints,
    store: Arc<Store>,
    keys: Arc<ProverKeys>,
    watched: Watched,
    stop: watch::Sender<bool>,
    core: Core,
    ingest: IngestServer,
    http: HttpService,
    admin: AdminDoor,
    rpc: Option<HttpServer>,
    tasks: Vec<Task<()>>,
}

/// The writer with admission, and the batcher that it feeds.
struct Core {
    journal: Reader<FileMedium>,
    writer: Writer<FileMedium, LedgerAdmission<NodeDelivery>>,
    admit: Admit,
    view: LedgerView,
    hub: ReceiptHub,
    batcher: JoinHandle<()>,
}

/// What every stage is given.
struct Common {
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    watched: Watched,
}

/// Everything opened before the stages start.
struct Opened {
    chain: Chain,
    edge: Edge,
    store: Arc<Store>,
    keys: Arc<ProverKeys>,
}

impl Node {
    /// Starts every stage on the folder of an initialised and deployed node.
    ///
    /// # Errors
    /// [`NodeError`] that names what is missing or does not fit.
    pub async fn start(
        folder: &Path,
        config: &Config,
        chain: Chain,
        keys: Arc<ProverKeys>,
        clock: Arc<dyn Clock>,
    ) -> Result<Node, NodeError> {
        let layout = Layout::new(folder);
        let (opened, log) = open(&layout, chain, keys).await?;
        let common = Common {
            clock,
            wake: Arc::new(Notify::new()),
            stop: watch::Sender::new(false),
            watched: Watched::new(Metrics::new()),
        };
        let core = Core::start(&layout, config, &opened, log, &common)?;
        let ingest = start_ingest(&layout, config, &core, &common)?;
        let tasks = start_tasks(&layout, config, &opened, &core, &common)?;
        let (rpc, url) = serve_rpc(&opened.chain, config).await?;
        let (store, watched) = (opened.store.clone(), common.watched.clone());
        let metrics = watched.metrics().clone();
        let http = HttpService::start(config.http.listen, store, metrics, watched).await?;
        let (ingest_addr, http_addr) = (ingest.local_addr(), http.local_addr());
        let endpoints = Endpoints { ingest: ingest_addr, http: http_addr, rpc: url };
        let admin = AdminDoor::open(&layout.admin_socket(), core.admit.clone(), core.view.clone())?;
        write_endpoints(&layout, &endpoints)?;
        let deployment = opened.edge.deployment().clone();
        let Opened { store, keys, .. } = opened;
        let Common { stop, watched, .. } = common;
        Ok(Node {
            layout,
            deployment,
            endpoints,
            store,
            keys,
            watched,
            stop,
            core,
            ingest,
            http,
            admin,
            rpc,
            tasks,
        })
    }
}

impl Core {
    /// Absorbs the journal and starts batcher and writer.
    fn start(
        layout: &Layout,
        config: &Config,
        opened: &Opened,
        log: Log<FileMedium>,
        common: &Common,
    ) -> Result<Core, NodeError> {
        let assembled = opened.store.last_assembled()?;
        let number = assembled.as_ref().map_or(BatchNumber(0), |(number, _)| *number);
        let recovered = recover(&log, ledger_config(opened, config)?, number)?;
        tracing::info!(entries = recovered.entries, "journal absorbed");

        let key = setup::receipt_key(layout)?;
        let hub = ReceiptHub::new(key, opened.edge.scope(), log.reader(), &config.deliver);
        let (delivery, windows) = NodeDelivery::start(hub.clone(), &config.deliver)?;

        let tip = tip(opened, assembled.map(|(n, row)| (n, row.header_hash)), &recovered)?;
        let operations = *recovered.ledger.operation_scope();
        let batcher = batcher(layout, opened, operations, log.reader(), common, tip)?;
        let backlog = recovered.backlog;
        let batcher = spawn_batcher(batcher, backlog, windows, common.watched.clone())?;

        let journal = log.reader();
        let clock = common.clock.clone();
        let admission = LedgerAdmission::new(recovered.ledger, delivery, recovered.close_group);
        let view = admission.view();
        let queue_items_max = NonZeroUsize::new(config.journal.queue_items_max);
        let queue_items_max = queue_items_max.unwrap_or(WriterConfig::default().queue_items_max);
        let limits = WriterConfig { queue_items_max };
        let writer = Writer::start(log, admission, move || clock.now().get(), limits)?;
        let admit = Admit::new(writer.submitter());
        Ok(Core { journal, writer, admit, view, hub, batcher })
    }
}

fn start_ingest(
    layout: &Layout,
    config: &Config,
    core: &Core,
    common: &Common,
) -> Result<IngestServer, NodeError> {
    let services = Services {
        admit: core.admit.clone(),
        view: core.view.clone(),
        hub: core.hub.clone(),
        clock: common.clock.clone(),
        observe: Arc::new(common.watched.clone()),
        ahead_ms_max: config.ingest.clock_skew_ms_max,
    };
    let tls = ServerTls::load(&layout.server())?;
    Ok(IngestServer::start(config.ingest.listen, tls, config.ingest.limits.clone(), services)?)
}

/// The settler, and the timer that closes windows.
fn start_tasks(
    layout: &Layout,
    config: &Config,
    opened: &Opened,
    core: &Core,
    common: &Common,
) -> Result<Vec<Task<()>>, NodeError> {
    let settler = Settler::new(SettlerParts {
        edge: opened.edge.clone(),
        store: opened.store.clone(),
        signer: setup::settlement_signer(layout)?,
        config: settle_config(config, opened.chain.embedded.is_some()),
        metrics: common.watched.metrics().clone(),
        clock: common.clock.clone(),
    });
    let (wake, watched) = (common.wake.clone(), common.watched.clone());
    let settling = spawn_settler(settler, wake, common.stop.subscribe(), watched);
    Ok(vec![settling, spawn_windows(core, config.batch.close_after_ms, common)])
}

impl Node {
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

    /// A durable entry of the journal.
    ///
    /// # Errors
    /// [`EntryError`] if there is none or it does not decode.
    pub fn entry(&self, position: Position) -> Result<Entry, EntryError> {
        let entry = self.core.journal.read(position.0)?;
        let decoded = Entry::from_bytes(entry.kind.code(), &entry.body);
        decoded.map_err(|source| EntryError::Decode { position: position.0, source })
    }

    /// The last refusal among the last hundred entries of the journal, for the operator's eyes.
    ///
    /// # Errors
    /// [`EntryError`] if the journal cannot be read.
    pub fn last_refusal(&self) -> Result<Option<RefusalEntry>, EntryError> {
        let last = self.core.journal.head().position;
        for position in (last.saturating_sub(100).max(1)..=last).rev() {
            if let Entry::Refusal(refusal) = self.entry(Position(position))? {
                return Ok(Some(refusal));
            }
        }
        Ok(None)
    }

    /// Counts of the ledger, as of the last durable group.
    pub fn status(&self) -> Status {
        self.core.view.status()
    }

    /// Waits until batch `number` is settled, or a stage fails.
    ///
    /// # Errors
    /// [`NodeError::Stage`] or [`NodeError::Store`].
    pub async fn settled(&self, number: u64) -> Result<(), NodeError> {
        let mut failures = self.watched.failures();
        let poll = std::time::Duration::from_millis(20);
        while self.store.last_settled()?.0 < number {
            if let Some(failure) = failures.borrow_and_update().clone() {
                return Err(NodeError::Stage { stage: failure.stage, detail: failure.detail });
            }
            tokio::time::sleep(poll).await;
        }
        Ok(())
    }

    /// Waits for the first failure of a stage.
    pub async fn failed(&self) -> NodeError {
        let mut failures = self.watched.failures();
        let failure = failures.wait_for(Option::is_some).await;
        let failure = failure.expect("this node holds the sender").clone();
        let StageFailure { stage, detail } = failure.expect("waited for one");
        NodeError::Stage { stage, detail }
    }

    /// Stops: takes nothing more, makes durable what is under way, proves the windows that are
    /// closed already, and returns. What is not settled is settled after the next start.
    pub async fn stop(self) {
        drop(self.admin);
        self.ingest.stop().await;
        self.stop.send_replace(true);
        for task in self.tasks {
            drop(task.await);
        }
        // The writer joins its thread, and the batcher ends with the writer's deliveries.
        let Core { writer, batcher, .. } = self.core;
        let joined = tokio::task::spawn_blocking(move || {
            drop(writer.stop());
            drop(batcher.join());
        });
        drop(joined.await);
        self.http.stop().await;
        if let Some(rpc) = self.rpc {
            drop(rpc.shut_down().await);
        }
        drop(std::fs::remove_file(self.layout.endpoints()));
    }
}

async fn open(
    layout: &Layout,
    chain: Chain,
    keys: Arc<ProverKeys>,
) -> Result<(Opened, Log<FileMedium>), NodeError> {
    let deployment = Deployment::read(&layout.deployment()).map_err(NodeError::Deployment)?;
    check_keys(&keys, &deployment)?;
    check_genesis(&deployment)?;
    let edge = Edge::connect(chain.provider.clone(), deployment).await?;
    let store = Store::open(&layout.store())?;
    store.bind(edge.scope())?;
    let id = secrets::open(&layout.journal_id())?;
    let mut log_id = [0; 16];
    log_id.copy_from_slice(&id[..16]);
    let journal_hash = statement::journal::genesis(edge.scope());
    let medium = FileMedium::open(&layout.journal())?;
    let (log, recovery) = Log::open(medium, Genesis { log_id, journal_hash })?;
    if recovery.cut_bytes > 0 {
        tracing::warn!(bytes = recovery.cut_bytes, "a torn tail of the journal was cut");
    }
    Ok((Opened { chain, edge, store: Arc::new(store), keys }, log))
}

/// A node begins with an empty tree, so another genesis root could never be settled from.
fn check_genesis(deployment: &Deployment) -> Result<(), NodeError> {
    let found = deployment.genesis_root().map_err(NodeError::Deployment)?;
    let empty = statement::field::to_word(&statement::tree::Tree::new().root());
    if found == empty { Ok(()) } else { Err(NodeError::Genesis) }
}

fn check_keys(keys: &ProverKeys, deployment: &Deployment) -> Result<(), NodeError> {
    for KeyWords { shape, circuit, words } in keys.key_words() {
        let id = alloy::primitives::keccak256(words.concat());
        let known = deployment.keys.iter().any(|key| key.circuit == circuit && key.id == id);
        if !known {
            return Err(NodeError::Keys { shape });
        }
    }
    Ok(())
}

fn ledger_config(opened: &Opened, config: &Config) -> Result<LedgerConfig, NodeError> {
    let edge = &opened.edge;
    let deployment = edge.deployment();
    Ok(LedgerConfig {
        scope: edge.scope(),
        registrar_key_hash: deployment.registrar_key_hash().map_err(NodeError::Deployment)?,
        genesis_time: deployment.genesis_time().map_err(NodeError::Deployment)?,
        limits: config.window_limits().fitted(&opened.keys.capacities()),
        released_frames_max: config.ingest.released_frames_max,
        clock_skew_ms_max: config.ingest.clock_skew_ms_max,
    })
}

fn tip(
    opened: &Opened,
    assembled: Option<(BatchNumber, [u8; 32])>,
    recovered: &crate::node::recover::Recovered,
) -> Result<Tip, NodeError> {
    let deployment = opened.edge.deployment();
    let (number, header_hash) = match assembled {
        Some(tip) => tip,
        None => {
            let root = deployment.genesis_root().map_err(NodeError::Deployment)?;
            let time = deployment.genesis_time().map_err(NodeError::Deployment)?;
            (BatchNumber(0), scope::genesis_hash(opened.edge.scope(), root, time))
        }
    };
    Ok(Tip { number, header_hash, group: recovered.assembled_group })
}

fn batcher(
    layout: &Layout,
    opened: &Opened,
    operations: OperationScope,
    reader: Reader<FileMedium>,
    common: &Common,
    tip: Tip,
) -> Result<Batcher<FileMedium, StoringSink>, NodeError> {
    let config = BatcherConfig {
        scope: opened.edge.scope(),
        operations,
        key_version: 1,
        edge_secret: *secrets::open(&layout.edge_key())?,
    };
    let (store, wake) = (opened.store.clone(), common.wake.clone());
    let sink = StoringSink::new(store, wake, common.watched.clone(), common.clock.clone());
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Batcher::new(config, opened.keys.clone(), reader, sink, tip, seed))
}

fn spawn_batcher(
    mut batcher: Batcher<FileMedium, StoringSink>,
    backlog: Vec<ClosedWindow>,
    mut windows: mpsc::Receiver<ClosedWindow>,
    watched: Watched,
) -> Result<JoinHandle<()>, NodeError> {
    let work = move || {
        let queue = watched.metrics().prove_queue.clone();
        let live = std::iter::from_fn(|| {
            queue.set(windows.len() as i64);
            windows.blocking_recv()
        });
        for window in backlog.into_iter().chain(live) {
            watched.metrics().batches_closed_total.inc();
            if let Err(error) = batcher.window(&window) {
                return watched.fail(Stage::Proving, &error);
            }
        }
    };
    Ok(std::thread::Builder::new().name("batcher".into()).spawn(work)?)
}

fn spawn_settler(
    settler: Settler,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
    watched: Watched,
) -> Task<()> {
    tokio::spawn(async move {
        if let Err(error) = settler.run(wake, stop).await {
            watched.fail(Stage::Settlement, &error);
        }
    })
}

/// Closes the window when it is old enough, by the injected clock.
/// Counts on the way what the journal made durable.
fn spawn_windows(core: &Core, close_after_ms: u64, common: &Common) -> Task<()> {
    let (clock, watched) = (common.clock.clone(), common.watched.clone());
    let (admit, view, journal) = (core.admit.clone(), core.view.clone(), core.journal.clone());
    let mut counted = journal.head();
    let mut stop = common.stop.subscribe();
    tokio::spawn(async move {
        while !*stop.borrow_and_update() {
            tokio::select! {
                _ = tokio::time::sleep(WINDOW_POLL) => {}
                _ = stop.changed() => return,
            }
            if let Err(error) = admit.check_open() {
                return watched.fail(Stage::Journal, &error);
            }
            let status = view.status();
            let head = journal.head();
            let metrics = watched.metrics();
            metrics.journal_groups_total.inc_by(head.group - counted.group);
            metrics.journal_entries_total.inc_by(head.position - counted.position);
            counted = head;
            let age_ms = clock.now().since(status.t0);
            watched.metrics().window_age_seconds.set(age_ms as f64 / 1000.0);
            if age_ms >= close_after_ms
                && let Err(error) = admit.submit(Item::Close).await
                && !matches!(error, AdmitError::Busy { .. })
            {
                return watched.fail(Stage::Journal, &error);
            }
        }
    })
}

/// The embedded chain mines at once and costs nothing to ask.
fn settle_config(config: &Config, embedded: bool) -> SettleConfig {
    let poll_ms = if embedded { 50 } else { config.settle.poll_ms };
    SettleConfig { poll_ms, ..config.settle.clone() }
}

async fn serve_rpc(
    chain: &Chain,
    config: &Config,
) -> Result<(Option<HttpServer>, String), NodeError> {
    match (&chain.embedded, &config.chain.rpc) {
        (Some(embedded), _) => {
            let server = devchain::serve_http(embedded.clone(), config.chain.embedded_port).await?;
            let url = server.url();
            Ok((Some(server), url))
        }
        (None, url) => Ok((None, url.clone().unwrap_or_default())),
    }
}

fn write_endpoints(layout: &Layout, endpoints: &Endpoints) -> Result<(), NodeError> {
    let text = serde_json::to_string_pretty(endpoints).unwrap_or_default() + "\n";
    Ok(std::fs::write(layout.endpoints(), text)?)
}
