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

mod batch_sink;
mod error;
mod failure;
mod open;
pub mod recover;
pub mod setup;
mod start;
mod timer;
mod watched;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use devchain::HttpServer;
use files::Audience;
use l1_contracts::Deployment;
use model::Position;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle as Task;
use wire::{Entry, RefusalEntry};

pub use self::error::{EntryError, NodeError};
pub use self::failure::{Stage, StageFailure};
pub use self::open::Provided;
pub use self::watched::{Totals, Watched};

use self::open::{Opened, open};
use self::start::{BaseChainDoor, Common, Core};
use crate::doors::admin::AdminDoor;
use crate::doors::config::Config;
use crate::doors::http::HttpService;
use crate::folder::layout::Layout;
use crate::folder::store::Store;
use crate::metrics::Metrics;
use crate::stages::ingest::{Admit, IngestServer};
use crate::stages::ledger::{Answer, Item, Status};
use crate::stages::prove::ProverKeys;

/// How often it is looked whether a batch is settled, for those who wait for one.
const SETTLED_POLL: Duration = Duration::from_millis(20);

/// Entries that the operator's look for the last refusal reads back at most.
const REFUSAL_ENTRIES_MAX: u64 = 100;

/// Where a running node can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        let Provided { chain, keys, clock } = provided;
        let (opened, log) = open(Layout::new(folder), config, chain, keys).await?;
        let common = Common {
            clock,
            wake: Arc::new(Notify::new()),
            stop: watch::Sender::new(false),
            watched: Watched::new(Metrics::new()),
        };
        // The writer before ingest: what is sent finds who takes it. The settler may start later,
        // because its first round looks for batches in the store.
        let core = start::start_core(&opened, log, &common)?;
        let timer = start::start_timer(&opened, &core, &common);
        let ingest = start::start_ingest(&opened, &core, &common)?;
        let settler = start::start_settler(&opened, &common)?;
        let BaseChainDoor { url, server: rpc } = start::serve_base_chain(&opened).await?;
        let Common { stop, watched, .. } = common;
        let Opened { layout, config, edge, store, keys, .. } = opened;
        let (metrics, health) = (watched.metrics().clone(), watched.clone());
        let http = HttpService::start(config.http.listen, store.clone(), metrics, health).await?;
        let admin = AdminDoor::open(&layout.admin_socket(), core.admit.clone(), core.view.clone())?;
        let (ingest_addr, http_addr) = (ingest.local_addr(), http.local_addr());
        let endpoints = Endpoints { ingest: ingest_addr, http: http_addr, rpc: url };
        // Last: whoever finds the file finds a node that answers.
        write_endpoints(&layout, &endpoints)?;
        Ok(Node {
            layout,
            deployment: edge.deployment().clone(),
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
            tasks: vec![settler, timer],
        })
    }

    /// Stops: takes nothing more, makes durable what is under way, proves the windows that are
    /// closed already, and returns. What is not settled is settled after the next start.
    pub async fn stop(self) {
        // Who feeds before who is fed: what ingest admitted is acknowledged before the writer
        // stops, what the writer closed is proven before the end. The settler need not be last:
        // what it leaves is settled after the next start.
        drop(self.admin);
        self.ingest.stop().await;
        self.stop.send_replace(true);
        for task in self.tasks {
            // It told `watched` of an error; a panic is lost (architecture.md, Weaknesses).
            drop(task.await);
        }
        // The writer joins its thread, and the batcher ends with the writer's deliveries.
        let Core { writer, batcher, .. } = self.core;
        let joined = tokio::task::spawn_blocking(move || {
            // Who waited was answered by the writer; the batcher told `watched` of an error.
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
        for position in (last.saturating_sub(REFUSAL_ENTRIES_MAX - 1).max(1)..=last).rev() {
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
    pub async fn wait_until_settled(&self, number: u64) -> Result<(), NodeError> {
        let mut failures = self.watched.failures();
        while self.store.last_settled()?.0 < number {
            if let Some(failure) = failures.borrow_and_update().clone() {
                return Err(failure.into());
            }
            tokio::time::sleep(SETTLED_POLL).await;
        }
        Ok(())
    }

    /// Waits for the first failure of a stage.
    pub async fn wait_for_failure(&self) -> NodeError {
        let mut failures = self.watched.failures();
        let failure = failures.wait_for(Option::is_some).await;
        let failure = failure.expect("this node holds the sender").clone();
        failure.expect("waited for one").into()
    }
}

fn write_endpoints(layout: &Layout, endpoints: &Endpoints) -> Result<(), NodeError> {
    let text = serde_json::to_string_pretty(endpoints).expect("addresses and a URL are plain data");
    // The chain's address may hold a key.
    Ok(files::replace(&layout.endpoints(), &[text.as_bytes(), b"\n"], Audience::Owner)?)
}
