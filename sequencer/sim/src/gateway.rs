//! A gateway in a simulated host: the client as gateways use it, with its spool on a real folder of
//! its own, which outlives the host's crashes as the files of a killed program do.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{
    Connection, ConnectionConfig, ConnectionError, Identity, IdentityError, Renewal, StreamError,
};
use model::with_causes;
use thiserror::Error;
use wire::{Descriptor, Lane, Period, SignedReceipt};

use crate::cast::{Cast, CastError, Gateway, SERVER_NAME, deployment};
use crate::clock::SimulatedClock;
use crate::lock::lock;
use crate::network::HostMachine;
use crate::node::{NODE, NodeSite, PORT};
use crate::promises::Promises;
use crate::source::{self, FRAME_READINGS};
use crate::trace::Trace;

/// After how long somebody who could not connect tries again.
const AGAIN: Duration = Duration::from_millis(300);

/// How often it looks whether its certificate is to be renewed.
const RENEW_EVERY: Duration = Duration::from_millis(400);

/// The place of a gateway: what outlives each of its runs.
pub(crate) struct GatewaySite {
    pub(crate) machine: Arc<HostMachine>,
    pub(crate) number: usize,
    pub(crate) cast: Arc<Cast>,
    pub(crate) promises: Arc<Promises>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    /// Where its client keeps what has no receipt.
    pub(crate) folder: PathBuf,
    /// Where its identity stands, if it renews its certificate by itself.
    pub(crate) identity: Option<PathBuf>,
    pub(crate) clock: SimulatedClock,
    /// Between two frames.
    pub(crate) pace: Duration,
    /// Before the first one.
    pub(crate) begin: Duration,
    /// Waits until this node knows everybody, if it is named.
    pub(crate) after: Option<Arc<NodeSite>>,
    /// Planted: its device gives every frame's readings again with the next.
    pub(crate) repeats: bool,
    pub(crate) orders: Orders,
}

/// What it is told from outside, and tells.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Move to another address.
    pub(crate) move_on: AtomicBool,
    /// Send what there is, and nothing new.
    pub(crate) finish: AtomicBool,
    /// Everything has a receipt.
    pub(crate) finished: AtomicBool,
    /// Its certificate is renewed, and shown.
    pub(crate) renewed: AtomicBool,
    /// Connections after the first, of its last session.
    pub(crate) reconnects: AtomicU64,
    /// Most bytes without a receipt that its client held in memory.
    pub(crate) held_bytes: AtomicUsize,
}

/// Why a session ended.
#[derive(Debug, Error)]
enum Ended {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Cast(#[from] CastError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl GatewaySite {
    /// Its name in the network.
    pub(crate) fn name(number: usize) -> String {
        format!("gateway-{number}")
    }

    fn say(&self, what: impl AsRef<str>) {
        lock(&self.trace).say(format!("{}: {}", GatewaySite::name(self.number), what.as_ref()));
    }

    fn gateway(&self) -> &Gateway {
        &self.cast.gateways[self.number]
    }

    /// Whether its certificate is to be renewed and is not yet.
    pub(crate) fn is_due(&self) -> bool {
        let renews = self.identity.is_some() && self.gateway().renew_at_ms.is_some();
        renews && !self.orders.renewed.load(Ordering::SeqCst)
    }

    /// One run, until it is done or the host is crashed.
    pub(crate) async fn run(self: Arc<Self>) -> Infallible {
        while self.after.as_ref().is_some_and(|node| node.seen().ready_at_ms.is_none()) {
            tokio::time::sleep(AGAIN).await;
        }
        tokio::time::sleep(self.begin).await;
        while let Err(ended) = self.clone().session().await {
            self.say(with_causes(&ended));
            tokio::time::sleep(AGAIN).await;
        }
        pending().await
    }

    /// From a connection to its end; `Ok` once everything has a receipt.
    async fn session(self: Arc<Self>) -> Result<(), Ended> {
        let connection = Connection::connect(self.clone().config()?).await?;
        // What the patient took away may be given again: the same frames are sent then.
        while let Err(ended) = self.stream(&connection).await {
            if !matches!(ended, Ended::Stream(StreamError::Stopped { .. })) {
                return Err(ended);
            }
            self.say(with_causes(&ended));
            tokio::time::sleep(AGAIN).await;
        }
        connection.close().await;
        self.orders.finished.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Streams what the device gives, until everything has a receipt.
    async fn stream(&self, connection: &Connection) -> Result<(), Ended> {
        let key = self.gateway().stream();
        let epoch = connection.epoch(&key)?;
        let period = Period::new(source::PERIOD_MS * 1_000_000, 1).ok();
        let stream = connection.begin_stream(Lane::Live, Descriptor { key, period, epoch })?;
        self.say(format!("streams in epoch {} behind {}", epoch.0, stream.next_sequence().0 - 1));
        while !self.orders.finish.load(Ordering::SeqCst) {
            if self.orders.move_on.swap(false, Ordering::SeqCst) {
                connection.rebind()?;
                self.say("moved to another address");
            }
            let first = self.promises.measured(self.number);
            let numbers = first..first + FRAME_READINGS;
            let readings: Vec<_> =
                numbers.map(|number| source::reading(self.number, number)).collect();
            // The device forgets them in the same step in which the client has them: no crash of
            // the simulation comes between.
            stream.send(&readings).await?;
            if self.repeats {
                stream.send(&readings).await?;
            }
            self.promises.measure(self.number, FRAME_READINGS);
            let held = &self.orders.held_bytes;
            held.fetch_max(connection.held_bytes(), Ordering::SeqCst);
            tokio::time::sleep(self.pace).await;
        }
        while self.is_due() {
            tokio::time::sleep(self.pace).await;
        }
        stream.flush().await?;
        let counts = connection.counts();
        self.orders.reconnects.store(counts.reconnects, Ordering::SeqCst);
        self.say(format!(
            "done: {} reconnects, {} frames had a receipt",
            counts.reconnects, counts.frames_receipted
        ));
        Ok(())
    }

    fn config(self: Arc<Self>) -> Result<ConnectionConfig, Ended> {
        let identity = match &self.identity {
            Some(folder) => Identity::load(folder)?,
            None => self.cast.identity(self.gateway())?,
        };
        let address = SocketAddr::new(turmoil::lookup(NODE), PORT);
        let mut config = ConnectionConfig::new(address, SERVER_NAME, identity, deployment());
        config.state = Some(self.folder.clone());
        config.identity_folder = self.identity.clone();
        config.renew_every = self.identity.as_ref().map(|_| RENEW_EVERY);
        let renewing = Arc::clone(&self);
        config.on_renewal = Some(Arc::new(move |step: &Renewal| renewing.renewal(step)));
        config.clock = Arc::new(self.clock);
        config.machine = self.machine.clone();
        let (promises, number) = (Arc::clone(&self.promises), self.number);
        let trace = Arc::clone(&self.trace);
        config.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            promises.receive(number, receipt);
            let (group, frames) = (receipt.receipt.group, &receipt.receipt.items().frames);
            let last = frames.iter().map(|item| item.sequences.1.0).max().unwrap_or(0);
            let name = GatewaySite::name(number);
            let group = group.group;
            lock(&trace).say(format!("{name}: receipt to {last}, group {group}"));
        }));
        Ok(config)
    }

    fn renewal(&self, step: &Renewal) {
        match step {
            Renewal::Asked { .. } => self.say("waits for its next certificate"),
            Renewal::Renewed { .. } => {
                self.orders.renewed.store(true, Ordering::SeqCst);
                self.say("shows its next certificate");
            }
            Renewal::Failed(why) => self.say(with_causes(why)),
        }
    }
}
