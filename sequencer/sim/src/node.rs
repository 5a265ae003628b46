//! The node in a simulated host: journal, ledger, snapshots, receipts, ingest, batches and settler,
//! as a program runs them, with one order for all that happens. Its writer, its signer, its
//! snapshots and the evaluation of rows have no threads here, and its proofs are a stub's.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use files::Audience;
use journal::fault::{Cut, FaultMedium};
use journal::{Genesis, Log, OpenError, Reader, Salts, SteppedWriter, WriterConfig};
use model::{Clock, Digest, Millis, with_causes};
use rand::RngCore;
use sequencer::folder::authority::{AuthorityError, ServerTls};
use sequencer::folder::request::KeyKinds;
use sequencer::folder::secrets::Secret;
use sequencer::folder::snapshots::fault::Disks;
use sequencer::folder::store::{Store, StoreError};
use sequencer::guard::{Failures, Guard};
use sequencer::metrics::Metrics;
use sequencer::node::recover::RecoverError;
use sequencer::node::stepped::{self, SteppedError, SteppedParts, SteppedSnapshots, SteppedStart};
use sequencer::stages::deliver::{DeliverConfig, NodeDelivery, ReceiptHub};
use sequencer::stages::ingest::{
    Admit, AdmitError, IngestConfig, IngestError, IngestServer, Issued, Listen, Observe, QuicKey,
    RateConfig, RegistryDesk, Renewals, Services,
};
use sequencer::stages::ledger::{Answer, Item, LedgerAdmission, LedgerConfig, LedgerView};
use sequencer::stages::rows::{AdmissionConfig, Evaluate, RowPool};
use statement::operation::SignedOperation;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};
use wire::{DecodeError, Entry, Holder, Role};

use crate::batches::{Batching, settle_batches};
use crate::cast::{Cast, CastError};
use crate::chain::ChainSite;
use crate::check::{self, Violation};
use crate::clock::{SimulatedClock, elapsed_ms};
use crate::dice;
use crate::fold::{CLOCK_SKEW_MS_MAX, LOG_ID, entries, ledger_config};
use crate::keys::{chain_scope, receipt_key};
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

/// How often it is looked whether a state waits to become a snapshot.
const SNAPSHOT_LOOK: Duration = Duration::from_millis(100);

/// How often the operator looks who asks for a certificate.
const ISSUE_EVERY: Duration = Duration::from_millis(300);

/// The folder of what the node shows and whom it trusts.
const SERVER: &str = "server";

/// Items of the setup that wait at once.
const FILL_ITEMS: usize = 512;

/// A node that does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// Its journal is not opened.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// Its journal and snapshots make no state.
    #[error("the journal makes no state")]
    Stepped(#[from] SteppedError),
    /// Its journal alone makes no state.
    #[error("the journal makes no state from its first entry on")]
    Recover(#[from] RecoverError),
    /// Its store.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
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
    /// An operation of the setup.
    #[error("an operation of the setup cannot be made")]
    Operation(#[from] DecodeError),
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
    /// Starts from a snapshot.
    pub(crate) from_snapshot: u64,
    /// Snapshots that were written.
    pub(crate) snapshots: u64,
    /// When it last lacked nothing of its setup, milliseconds.
    pub(crate) ready_at_ms: Option<u64>,
}

/// How a patient consented.
#[derive(Clone, Debug)]
pub(crate) struct Consented {
    /// Enrolment and permit.
    pub(crate) operations: [SignedOperation; 2],
    /// When each took effect.
    pub(crate) at: [Millis; 2],
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
    pub(crate) config: LedgerConfig,
    disks: Mutex<Disks>,
    /// That of the last start.
    journal: Mutex<Option<Reader<FaultMedium>>>,
    snapshot_every: u64,
    /// None: windows close, and nothing becomes of them.
    chain: Option<Arc<ChainSite>>,
    /// With `server/` and `store/`, as an operator's folder has them.
    folder: PathBuf,
    starts: AtomicU64,
    seen: Mutex<Seen>,
    /// How each patient consented, in the order of the cast.
    consented: Mutex<Vec<Consented>>,
    /// Whether its operator issues the certificates that it is asked for.
    issues: bool,
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
    pub(crate) disks: Disks,
    /// Entries between two snapshots.
    pub(crate) snapshot_every: u64,
    /// Where batches settle, if they do.
    pub(crate) chain: Option<Arc<ChainSite>>,
    /// Whether the operator issues certificates that are asked for.
    pub(crate) issues: bool,
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
        files::make_folder(&parts.folder, Audience::Owner)?;
        parts.cast.write_server(&parts.folder.join(SERVER))?;
        Ok(NodeSite {
            machine: Arc::new(parts.machine),
            cast: parts.cast,
            promises: parts.promises,
            trace: parts.trace,
            limits: parts.limits,
            observe: parts.observe,
            rows: parts.rows,
            seed: parts.seed,
            config: ledger_config(parts.seed),
            disks: Mutex::new(parts.disks),
            journal: Mutex::default(),
            snapshot_every: parts.snapshot_every,
            chain: parts.chain,
            folder: parts.folder,
            starts: AtomicU64::new(0),
            seen: Mutex::default(),
            consented: Mutex::default(),
            issues: parts.issues,
            violation: Mutex::default(),
            power_fails: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// What it writes to now.
    pub(crate) fn disks(&self) -> Disks {
        lock(&self.disks).clone()
    }

    /// Other disks from the next start on.
    pub(crate) fn replace_disks(&self, disks: Disks) {
        *lock(&self.disks) = disks;
        self.power_fails.store(false, Ordering::SeqCst);
    }

    /// The `call`-th call of its disks from now on is the last one before the power is gone.
    pub(crate) fn cut_power_at(&self, call: u64) {
        self.power_fails.store(true, Ordering::SeqCst);
        self.disks().power.off_at(call);
    }

    /// The journal as it is behind a power cut that leaves nothing but what was synced.
    ///
    /// # Errors
    /// [`OpenError`] if it is not served.
    pub(crate) fn log_after_power_cut(&self) -> Result<Log<FaultMedium>, OpenError> {
        let left = self.disks().after_power_cut(Cut::Drop, self.seed);
        Ok(open(left.journal, self.seed, u64::MAX)?.0)
    }

    /// Whether the writer has ended, since the last start.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// The most of each that was seen.
    pub(crate) fn seen(&self) -> Seen {
        *lock(&self.seen)
    }

    /// How a patient consented, once it has.
    pub(crate) fn consented(&self, number: usize) -> Option<Consented> {
        lock(&self.consented).get(number).cloned()
    }

    /// When the operation with this digest took effect, if it stands in the journal: what a wallet
    /// that got no answer reads in its patient's log.
    pub(crate) fn took_effect(&self, digest: Digest) -> Option<Millis> {
        let journal = lock(&self.journal).clone()?;
        let is_it = |entry: &Entry| match entry {
            Entry::Operation { operation, .. } => operation.digest() == digest,
            _ => false,
        };
        let mut placed = entries(&journal).filter_map(Result::ok);
        let found = placed.find(|placed| is_it(&placed.entry));
        found.map(|placed| placed.at.time)
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
        let Started { mut writer, admit, snapshots, batching, desk, _server } = started;
        let mut tasks = vec![
            tokio::spawn(close_windows(admit.clone())),
            tokio::spawn(self.clone().fill(admit.clone())),
            tokio::spawn(self.clone().write_snapshots(snapshots)),
            tokio::spawn(self.clone().issue_certificates(desk)),
        ];
        if let Some(batching) = batching {
            let (chain, store) = (batching.chain.clone(), batching.store.clone());
            tasks.push(tokio::spawn(self.clone().settle(chain, store, batching.wake.clone())));
            tasks.push(tokio::spawn(self.clone().make_batches(batching)));
        }
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
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        // Held until the host is crashed: a program that ends takes a moment.
        self.failed.store(true, Ordering::SeqCst);
        Err(stopped)
    }

    fn start(&self) -> Result<Started, StartError> {
        let number = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        lock(&self.seen).starts = number;
        let disks = self.disks();
        let (log, recovery) = open(disks.journal.clone(), self.seed, number)?;
        *lock(&self.journal) = Some(log.reader());
        let head = log.head();
        self.say(format!(
            "node: start {number}, {} groups, position {}, {} bytes cut",
            recovery.groups, head.position, recovery.cut_bytes
        ));
        if let Err(violation) = check::check_promises(&log.reader(), &self.promises.all()) {
            lock(&self.violation).get_or_insert(violation);
        }
        let store = Arc::new(Store::open(&self.folder.join("store"))?);
        let metrics = Metrics::new();
        let deliver = DeliverConfig::default();
        let started = stepped::start(SteppedParts {
            log: &log,
            config: &self.config,
            snapshots: Arc::new(disks.snapshots.clone()),
            store: &store,
            every_entries: self.snapshot_every,
            windows_max: deliver.windows_max,
            metrics: &metrics,
        })?;
        self.check_state(&log, &started)?;
        let SteppedStart { ledger, close_group, last, snapshots, windows, .. } = started;
        let hub = ReceiptHub::new(receipt_key(), chain_scope(), log.reader(), &deliver);
        let hub = hub.with_bodies(self.config.bodies.clone());
        let (delivery, live) = NodeDelivery::by_writer(hub.clone(), &deliver);
        let windows = windows.followed_by(live, delivery.left_out());
        let (journal, operations) = (log.reader(), *ledger.operation_scope());
        let wake = Arc::new(Notify::new());
        let batching = |chain: &Arc<ChainSite>| {
            let chain = Arc::clone(chain);
            Batching { windows, journal, store, chain, last, operations, wake }
        };
        let batching = self.chain.as_ref().map(batching);
        let admission = LedgerAdmission::new(ledger, delivery, close_group);
        let admission = admission.kept_by(Some(snapshots.keeper()));
        let view = admission.view();
        let writer = self.writer(log, admission);
        let rows = RowPool::by_caller(&AdmissionConfig::default(), self.rows.clone(), metrics);
        let admit = Admit::new(writer.submitter(), rows).held_by(hub.hold().clone());
        let services = self.services(&admit, view, hub);
        let desk = (services.renewals.clone(), services.view.clone());
        let server = self.listen(services)?;
        Ok(Started { writer, admit, snapshots, batching, desk, _server: server })
    }

    fn writer(&self, log: Log<FaultMedium>, admission: Admission) -> Writer {
        let limits = WriterConfig {
            queue_items_max: NonZeroUsize::new(QUEUE_ITEMS_MAX).expect("not zero"),
            reserved_items: self.limits.reserved_items,
        };
        let clock = SimulatedClock::default();
        SteppedWriter::new(log, admission, move || clock.now().get(), limits)
    }

    fn listen(&self, services: Services) -> Result<IngestServer, StartError> {
        let listen = Listen {
            // The real socket beside the simulated one: any port does.
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: ServerTls::load(&self.folder.join(SERVER))?,
            quic: QuicKey::new(Secret::new([11; 32])),
        };
        let (limits, rates) = (self.limits.clone(), RateConfig::default());
        Ok(IngestServer::start(listen, limits, rates, services)?)
    }

    /// A start from a snapshot comes to the state that the journal makes from its first entry on.
    fn check_state(
        &self,
        log: &Log<FaultMedium>,
        started: &SteppedStart<FaultMedium>,
    ) -> Result<(), StartError> {
        let from = started.from;
        if from == 0 {
            self.say("node: from the first entry");
            return Ok(());
        }
        self.say(format!("node: from the snapshot at position {from}"));
        lock(&self.seen).from_snapshot += 1;
        if started.ledger.freeze().to_bytes() != stepped::state_of(log, &self.config)? {
            lock(&self.violation).get_or_insert(Violation::OtherState { from });
        }
        Ok(())
    }

    async fn write_snapshots(self: Arc<Self>, mut snapshots: SteppedSnapshots) {
        loop {
            // A state is written while the node goes on, as on a thread of its own.
            tokio::time::sleep(SNAPSHOT_LOOK + self.machine.disk()).await;
            if snapshots.step() {
                lock(&self.seen).snapshots += 1;
                self.say("node: a state is written");
            }
        }
    }

    /// The operator, who has the authority's key.
    async fn issue_certificates(self: Arc<Self>, (renewals, view): (Arc<Renewals>, LedgerView)) {
        if !self.issues {
            return;
        }
        loop {
            tokio::time::sleep(ISSUE_EVERY).await;
            let now = SimulatedClock::default().now();
            for waiting in renewals.waiting(&view, now) {
                let der = match self.cast.renew(&waiting.name, &waiting.request) {
                    Ok(der) => der.into(),
                    Err(error) => {
                        self.say(format!("operator: {}", with_causes(&error)));
                        continue;
                    }
                };
                let issued = renewals.issue(waiting.role, &waiting.name, Issued { der, at: now });
                let said = issued.map_or_else(|error| with_causes(&error), |()| "issued".into());
                self.say(format!("operator: {}: {said}", waiting.name));
            }
        }
    }

    async fn make_batches(self: Arc<Self>, batching: Batching) {
        let error = batching.run().await;
        self.say(format!("node: no batch any more: {}", with_causes(&error)));
    }

    async fn settle(self: Arc<Self>, chain: Arc<ChainSite>, store: Arc<Store>, wake: Arc<Notify>) {
        let why = settle_batches(chain, store, wake).await;
        self.say(format!("node: settles no more: {why}"));
    }

    fn services(&self, admit: &Admit, view: LedgerView, hub: ReceiptHub) -> Services {
        Services {
            admit: admit.clone(),
            view: view.clone(),
            desk: RegistryDesk::new(admit.clone(), view),
            renewals: Arc::new(Renewals::new(&self.limits).taking(KeyKinds::Ed25519Too)),
            hub,
            clock: Arc::new(SimulatedClock::default()),
            machine: self.machine.clone(),
            guard: Guard::new(Failures::new()),
            observe: self.observe.clone(),
            ahead_ms_max: CLOCK_SKEW_MS_MAX,
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
        let consents: Vec<_> = consents.collect();
        let item = |signed: &SignedOperation| {
            let operation = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
            Ok(Item::Operation { requester, operation })
        };
        let [mut enrolled, mut permitted] = [Vec::new(), Vec::new()];
        // Nobody permits anything before they are enrolled.
        for (step, at) in [(0, &mut enrolled), (1, &mut permitted)] {
            let items = consents.iter().map(|signed| item(&signed[step]));
            let items = items.collect::<Result<_, DecodeError>>()?;
            *at = submit_all(admit, items).await?;
        }
        let times = enrolled.into_iter().zip(permitted);
        let consented =
            consents.into_iter().zip(times).map(|(operations, (enrolled, permitted))| Consented {
                operations,
                at: [enrolled, permitted],
            });
        *lock(&self.consented) = consented.collect();
        Ok(())
    }
}

type Admission = LedgerAdmission<NodeDelivery>;
type Writer = SteppedWriter<FaultMedium, Admission>;

/// A node that runs.
struct Started {
    writer: Writer,
    admit: Admit,
    snapshots: SteppedSnapshots,
    batching: Option<Batching>,
    /// Where the operator finds who asks for a certificate.
    desk: (Arc<Renewals>, LedgerView),
    _server: IngestServer,
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

/// Submits items, some at once, and waits until all are durable; when each operation took effect.
async fn submit_all(admit: &Admit, items: Vec<Item>) -> Result<Vec<Millis>, StartError> {
    let (mut waiting, mut times) = (Vec::new(), Vec::new());
    for item in items {
        let (told, answer) = oneshot::channel();
        // Nobody waits any more where the node was crashed.
        admit.submit_with(item, move |answer| drop(told.send(answer)))?;
        waiting.push(answer);
        if waiting.len() >= FILL_ITEMS {
            await_all(waiting.drain(..), &mut times).await?;
        }
    }
    await_all(waiting.into_iter(), &mut times).await?;
    Ok(times)
}

async fn await_all(
    answers: impl Iterator<Item = oneshot::Receiver<Result<Answer, AdmitError>>>,
    times: &mut Vec<Millis>,
) -> Result<(), StartError> {
    for answer in answers {
        match answer.await.unwrap_or(Err(AdmitError::Stopped))? {
            Answer::RegistryChanged { .. } => {}
            Answer::OperationApplied { t_op, .. } => times.push(t_op),
            other => return Err(StartError::Refused(format!("{other:?}"))),
        }
    }
    Ok(())
}
