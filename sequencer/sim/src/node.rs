//! The node in a simulated host: journal, ledger, receipts and ingest, as a program runs them, with
//! one order for all that happens. Its writer, its signer and the evaluation of rows have no
//! threads here; proving and settling are not simulated.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::fault::FaultMedium;
use journal::{Genesis, Log, OpenError, Salts, SteppedWriter, WriterConfig};
use model::{Clock, with_causes};
use rand::RngCore;
use sequencer::folder::authority::{AuthorityError, ServerTls};
use sequencer::folder::secrets::Secret;
use sequencer::guard::{Failures, Guard};
use sequencer::metrics::Metrics;
use sequencer::stages::deliver::{DeliverConfig, NodeDelivery, ReceiptHub};
use sequencer::stages::ingest::{
    Admit, AdmitError, IngestConfig, IngestError, IngestServer, Listen, Observe, RateConfig,
    RegistryDesk, Renewals, ResetKey, Services,
};
use sequencer::stages::ledger::{Answer, Item, LedgerAdmission, LedgerView};
use sequencer::stages::rows::{AdmissionConfig, Evaluate, RowPool};
use thiserror::Error;
use tokio::sync::oneshot;
use wire::{Holder, Role, SignedOperation};

use crate::cast::{Cast, CastError, chain_scope, receipt_key};
use crate::check::{self, Violation};
use crate::clock::{SimulatedClock, elapsed_ms};
use crate::dice;
use crate::fold::{FoldError, Folded, LOG_ID, bodies, fold, ledger_config};
use crate::lock::lock;
use crate::network::HostMachine;
use crate::promises::Promises;
use crate::trace::Trace;

/// Its name in the network.
pub(crate) const NODE: &str = "node";

/// Where it listens.
pub(crate) const PORT: u16 = 4_433;

/// Items that may wait for the writer.
pub(crate) const QUEUE_ITEMS_MAX: usize = 5_120;

/// How often the writer looks whether something waits: a millisecond is the least that the clock of
/// the simulation knows.
const LOOK: Duration = Duration::from_millis(1);

/// How often a window is asked to close if it is due.
const CLOSE_EVERY: Duration = Duration::from_millis(100);

/// Items of the setup that wait at once.
const FILL_ITEMS: usize = 512;

/// A node that does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// Its journal is not opened.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// Its journal makes no state.
    #[error("the journal makes no state")]
    Fold(#[from] FoldError),
    /// Its certificate.
    #[error("the certificate cannot be read")]
    Tls(#[from] AuthorityError),
    /// Its socket.
    #[error("ingest does not start")]
    Ingest(#[from] IngestError),
    /// Who it is for.
    #[error("nobody can be registered")]
    Cast(#[from] CastError),
    /// The setup.
    #[error("the setup was not taken")]
    Fill(#[from] AdmitError),
    /// A part of the setup.
    #[error("the setup was refused: {0}")]
    Refused(String),
}

/// What was seen of the node while it ran: the most of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Items that waited for the writer.
    pub(crate) waiting: usize,
    /// Starts.
    pub(crate) starts: u64,
    /// When it last lacked nothing of its setup, milliseconds.
    pub(crate) ready_at_ms: Option<u64>,
}

/// The place of the node: what outlives each of its runs.
pub(crate) struct NodeSite {
    pub(crate) machine: Arc<HostMachine>,
    pub(crate) cast: Arc<Cast>,
    pub(crate) promises: Arc<Promises>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    pub(crate) limits: IngestConfig,
    observe: Arc<dyn Observe>,
    rows: Arc<dyn Evaluate>,
    seed: u64,
    medium: Mutex<FaultMedium>,
    /// With `server/`, as an operator's folder has it.
    folder: PathBuf,
    starts: AtomicU64,
    seen: Mutex<Seen>,
    /// What a start found to be wrong.
    violation: Mutex<Option<Violation>>,
    /// Whether a call of the medium fails because the power does.
    power_fails: AtomicBool,
    /// Whether the writer has ended.
    failed: AtomicBool,
}

/// What a place is made of.
pub(crate) struct SiteParts {
    pub(crate) seed: u64,
    pub(crate) machine: HostMachine,
    pub(crate) medium: FaultMedium,
    pub(crate) cast: Arc<Cast>,
    pub(crate) promises: Arc<Promises>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    pub(crate) folder: PathBuf,
    pub(crate) limits: IngestConfig,
    /// What ingest counts.
    pub(crate) observe: Arc<dyn Observe>,
    /// What says whether the row of an operation can be proven.
    pub(crate) rows: Arc<dyn Evaluate>,
}

impl NodeSite {
    /// A node that was never started.
    pub(crate) fn new(parts: SiteParts) -> Result<NodeSite, CastError> {
        parts.cast.write_server(&parts.folder)?;
        Ok(NodeSite {
            machine: Arc::new(parts.machine),
            cast: parts.cast,
            promises: parts.promises,
            trace: parts.trace,
            limits: parts.limits,
            observe: parts.observe,
            rows: parts.rows,
            seed: parts.seed,
            medium: Mutex::new(parts.medium),
            folder: parts.folder,
            starts: AtomicU64::new(0),
            seen: Mutex::default(),
            violation: Mutex::default(),
            power_fails: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// What it writes to now.
    pub(crate) fn medium(&self) -> FaultMedium {
        lock(&self.medium).clone()
    }

    /// Another medium from the next start on.
    pub(crate) fn replace_medium(&self, medium: FaultMedium) {
        *lock(&self.medium) = medium;
        self.power_fails.store(false, Ordering::SeqCst);
    }

    /// The `call`-th call of the medium from now on is the last one before the power is gone.
    pub(crate) fn cut_power_at(&self, call: u64) {
        self.power_fails.store(true, Ordering::SeqCst);
        self.medium().power_off_at(call);
    }

    /// Whether the writer has ended, since the last start.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// The most of each that was seen.
    pub(crate) fn seen(&self) -> Seen {
        *lock(&self.seen)
    }

    /// What a start found to be wrong, if one did.
    pub(crate) fn violation(&self) -> Option<Violation> {
        lock(&self.violation).take()
    }

    fn say(&self, what: impl AsRef<str>) {
        lock(&self.trace).say(what);
    }

    /// One run, from a start until the host is crashed.
    pub(crate) async fn run(self: Arc<Self>) -> Infallible {
        self.failed.store(false, Ordering::SeqCst);
        self.machine.switch(true);
        let failed = match self.clone().serve().await {
            Ok(never) => match never {},
            Err(failed) => failed,
        };
        self.failed.store(true, Ordering::SeqCst);
        if self.power_fails.load(Ordering::SeqCst) {
            // Nothing that was answered because of it leaves any more.
            self.machine.switch(false);
            self.say("node: the power is gone");
        } else {
            let why = with_causes(&failed);
            self.say(format!("node: stops: {why}"));
            if let Stopped::Start(_) = failed {
                lock(&self.violation).get_or_insert(Violation::NotOpened(why));
            }
        }
        pending().await
    }

    async fn serve(self: Arc<Self>) -> Result<Infallible, Stopped> {
        let started = self.start()?;
        let Started { mut writer, admit, _server, _windows } = started;
        let ticking = tokio::spawn(close_windows(admit.clone()));
        let filling = tokio::spawn(self.clone().fill(admit.clone()));
        let stopped = loop {
            tokio::time::sleep(LOOK).await;
            let waiting = admit.waiting();
            if waiting == 0 {
                continue;
            }
            {
                let mut seen = lock(&self.seen);
                seen.waiting = seen.waiting.max(waiting);
            }
            // What comes while the disk works is in the group: as if the one before took as long.
            tokio::time::sleep(self.machine.disk()).await;
            if let Err(failure) = writer.step() {
                break Stopped::Writer(failure);
            }
        };
        ticking.abort();
        filling.abort();
        // Held until the host is crashed: a program that ends takes a moment.
        self.failed.store(true, Ordering::SeqCst);
        Err(stopped)
    }

    fn start(&self) -> Result<Started, Stopped> {
        let number = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&self.seen).starts = number;
        let (log, recovery) = open(self.medium(), self.seed, number).map_err(StartError::from)?;
        let head = log.head();
        self.say(format!(
            "node: start {number}, {} groups, position {}, {} bytes cut",
            recovery.groups, head.position, recovery.cut_bytes
        ));
        if let Err(violation) = check::check_promises(&log.reader(), &self.promises.all()) {
            lock(&self.violation).get_or_insert(violation);
        }
        let Folded { ledger, close_group, .. } = fold(&log).map_err(StartError::from)?;
        let deliver = DeliverConfig::default();
        let hub = ReceiptHub::new(receipt_key(), chain_scope(), log.reader(), &deliver);
        let hub = hub.with_bodies(bodies());
        let (delivery, windows) = NodeDelivery::by_writer(hub.clone(), &deliver);
        let admission = LedgerAdmission::new(ledger, delivery, close_group);
        let view = admission.view();
        let limits = WriterConfig {
            queue_items_max: NonZeroUsize::new(QUEUE_ITEMS_MAX).expect("not zero"),
            reserved_items: self.limits.reserved_items,
        };
        let clock = SimulatedClock::default();
        let writer = SteppedWriter::new(log, admission, move || clock.now().get(), limits);
        let rows =
            RowPool::by_caller(&AdmissionConfig::default(), self.rows.clone(), Metrics::new());
        let admit = Admit::new(writer.submitter(), rows).held_by(hub.hold().clone());
        let services = self.services(&admit, view, hub);
        let listen = Listen {
            // The real socket beside the simulated one: any port does.
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: ServerTls::load(&self.folder).map_err(StartError::from)?,
            resets: ResetKey::new(Secret::new([11; 32])),
        };
        let server =
            IngestServer::start(listen, self.limits.clone(), RateConfig::default(), services);
        let server = server.map_err(StartError::from)?;
        Ok(Started { writer, admit, _server: server, _windows: windows })
    }

    fn services(&self, admit: &Admit, view: LedgerView, hub: ReceiptHub) -> Services {
        Services {
            admit: admit.clone(),
            view: view.clone(),
            desk: RegistryDesk::new(admit.clone(), view),
            renewals: Arc::new(Renewals::new(&self.limits)),
            hub,
            clock: Arc::new(SimulatedClock::default()),
            machine: self.machine.clone(),
            guard: Guard::new(Failures::new()),
            observe: self.observe.clone(),
            ahead_ms_max: ledger_config().clock_skew_ms_max,
        }
    }

    /// Registers everybody and writes their consent, once.
    async fn fill(self: Arc<Self>, admit: Admit) {
        if lock(&self.seen).ready_at_ms.is_some() {
            return;
        }
        match self.try_fill(&admit).await {
            Ok(()) => lock(&self.seen).ready_at_ms = Some(elapsed_ms()),
            Err(error) => self.say(format!("node: {}", with_causes(&error))),
        }
    }

    async fn try_fill(&self, admit: &Admit) -> Result<(), StartError> {
        let registry = self.cast.registry().into_iter().map(Item::Registry);
        submit_all(admit, registry.collect()).await?;
        let (now, requester) =
            (SimulatedClock::default().now(), Holder::new(Role::Operator, "sim"));
        let consents = self.cast.gateways.iter().map(|one| self.cast.consent(one, now));
        let consents = consents.collect::<Result<Vec<_>, CastError>>()?;
        // Nobody permits anything before they are enrolled.
        for step in 0..2 {
            let item = |signed: &[SignedOperation; 2]| Item::Operation {
                requester,
                operation: signed[step].clone(),
            };
            submit_all(admit, consents.iter().map(item).collect()).await?;
        }
        Ok(())
    }
}

/// A node that runs.
struct Started {
    writer: SteppedWriter<FaultMedium, LedgerAdmission<NodeDelivery>>,
    admit: Admit,
    _server: IngestServer,
    /// Of nobody: windows are read from the journal when the run is over.
    _windows: tokio::sync::mpsc::Receiver<sequencer::window::ClosedWindow>,
}

/// Why a run of the node ended.
#[derive(Debug, Error)]
enum Stopped {
    #[error("it does not start")]
    Start(#[from] StartError),
    #[error(transparent)]
    Writer(journal::Failure),
}

/// Opens the log as the node's `number`-th start does: its salts are drawn from the seed.
pub(crate) fn open(
    medium: FaultMedium,
    seed: u64,
    number: u64,
) -> Result<(Log<FaultMedium>, journal::Recovery), OpenError> {
    let genesis =
        Genesis { log_id: LOG_ID, journal_hash: statement::journal::genesis(chain_scope()) };
    let mut dice = dice::dice(seed, &format!("salts of start {number}"));
    let salts = Salts::new(move || {
        let mut salt = [0; 32];
        dice.fill_bytes(&mut salt);
        Ok(salt)
    });
    Log::open(medium, genesis, salts)
}

async fn close_windows(admit: Admit) {
    loop {
        tokio::time::sleep(CLOSE_EVERY).await;
        // One that is not taken comes again.
        drop(admit.submit(Item::CloseDue).await);
    }
}

/// Submits items, some at once, and waits until all are durable.
async fn submit_all(admit: &Admit, items: Vec<Item>) -> Result<(), StartError> {
    let mut waiting = Vec::new();
    for item in items {
        let (told, answer) = oneshot::channel();
        // Nobody waits any more where the node was crashed.
        admit.submit_with(item, move |answer| drop(told.send(answer)))?;
        waiting.push(answer);
        if waiting.len() >= FILL_ITEMS {
            settle(waiting.drain(..)).await?;
        }
    }
    settle(waiting.into_iter()).await
}

async fn settle(
    answers: impl Iterator<Item = oneshot::Receiver<Result<Answer, AdmitError>>>,
) -> Result<(), StartError> {
    for answer in answers {
        let answer = answer.await.unwrap_or(Err(AdmitError::Stopped))?;
        let taken =
            matches!(answer, Answer::RegistryChanged { .. } | Answer::OperationApplied { .. });
        if !taken {
            return Err(StartError::Refused(format!("{answer:?}")));
        }
    }
    Ok(())
}
