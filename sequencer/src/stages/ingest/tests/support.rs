//! A real server on loopback over a temp-file journal, and clients that speak to it over QUIC.

mod peers;
mod people;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Duration;

use bodies::{BodyKeys, EntryPlace};
use bytes::Bytes;
use circuits::c1::RowError;
use journal::{FileMedium, Genesis, Log, Reader, Writer, WriterConfig};
use model::{
    Action, Categories, Category, ChainScope, ClaimKind, Clock, DeviceId, EpochNumber, GatewayId,
    Interval, Labels, ManualClock, Millis, Operation, OperatorId, OrganisationId, Party,
    PatientIndex, Position, PractitionerId, Purpose, Purposes, RejectCode, Rule, RuleSlot,
    Sequence, StreamHandle, SystemClock, WalletId, Word,
};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream,
    SendStream, TokioRuntime, TransportConfig,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use statement::eddsa::{self, SecretKey};
use statement::{field, operation, scope};
use tokio::sync::mpsc;
use wire::{
    AccessKind, AccessRequest, ClientConfig, ClientEvent, ClientLimits, ClientName, ClientSession,
    Deframer, Descriptor, DeviceTime, Entry, Frame, FramePlace, Holder, Lane, Reading, Reason,
    RegistryChange, RegistryKey, RegistryRecord, Role, ServerMessage, SignedAccessRequest,
    SignedOperation, SigningKey, Source, StreamKey,
};

use crate::folder::authority::{Authority, Issued, Pem, ServerTls};
use crate::folder::secrets::Secret;
use crate::guard::{Failures, Guard};
use crate::metrics::Metrics;
use crate::stages::deliver::{DeliverConfig, NodeDelivery, ReceiptHub};
use crate::stages::ingest::peer::Peer;
use crate::stages::ingest::places::Places;
use crate::stages::ingest::session::{Reply, Session};
use crate::stages::ingest::shared::Shared;
use crate::stages::ingest::sources::Sources;
use crate::stages::ingest::{
    Admit, IngestConfig, IngestServer, Listen, Observe, QuicKey, RateConfig, RegistryDesk,
    Renewals, Services,
};
use crate::stages::ledger::{
    Answer, BodySeal, EnrolmentSeal, Item, Ledger, LedgerAdmission, LedgerConfig, LedgerView,
};
use crate::stages::rows::{
    AdmissionConfig, CircuitRows, Evaluate, NotProvable, OperationRow, RowPool,
};
use crate::window::{Cadence, ClosedWindow, WindowLimits};

pub(super) use self::peers::*;
pub(super) use self::people::*;

const ECG: u32 = 131_328;
const SKEW_MS: u64 = 60_000;
pub(super) const SERVER_NAME: &str = "localhost";
/// Few, so that a test can fill the queue.
pub(super) const QUEUE_ITEMS_MAX: usize = 1024;
/// Those of them that are not reserved.
pub(super) const COMMON_ITEMS_MAX: usize = QUEUE_ITEMS_MAX - 64;

/// A node without proving: journal, ledger, receipts and ingest.
pub(super) struct Node {
    pub(super) admit: Admit,
    pub(super) metrics: Arc<Metrics>,
    rows: Arc<Diverging>,
    pub(super) hub: ReceiptHub,
    pub(super) authority: Authority,
    pub(super) renewals: Arc<Renewals>,
    pub(super) desk: RegistryDesk,
    pub(super) journal: Reader<FileMedium>,
    pub(super) windows: mpsc::Receiver<ClosedWindow>,
    pub(super) address: SocketAddr,
    pub(super) gateway: Issued,
    server: Option<IngestServer>,
    broken: Arc<AtomicBool>,
    /// The writer waits here before each item.
    gate: Arc<Gate>,
    pub(super) view: LedgerView,
    /// The sessions' clock; the writer keeps the machine's.
    pub(super) clock: Arc<ManualClock>,
    nonce: u32,
    _writer: Writer<FileMedium, LedgerAdmission<NodeDelivery>>,
    folder: tempfile::TempDir,
}

/// What the writer waits at, and what evaluates rows.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Default)]
struct GateState {
    held: bool,
    /// Whether somebody stands before it.
    waits: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waits = true;
        let mut state = self.opened.wait_while(state, |state| state.held).unwrap();
        state.waits = false;
    }

    fn hold(&self) {
        self.state.lock().unwrap().held = true;
    }
}

/// Holds up who comes to a gate.
pub(super) struct Held(Arc<Gate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().held = false;
        self.0.opened.notify_all();
    }
}

/// The circuit, until it is told to differ from the twin.
#[derive(Default)]
struct Diverging {
    differs: AtomicBool,
    gate: Arc<Gate>,
}

impl Evaluate for Diverging {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        self.gate.pass();
        match self.differs.load(Ordering::SeqCst) {
            true => Err(RowError::Violated { rule: "C1.7" }.into()),
            false => CircuitRows.evaluate(row),
        }
    }
}

/// Until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let reached = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    // The limit is for a broken node, which would otherwise hang the whole test run.
    let in_time = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(in_time.is_ok(), "expected that {what}");
}

const LOG_ID: [u8; 16] = [5; 16];
/// Permits that a patient of a node begins with, and so the nonce of the next operation.
const PERMITS: u32 = 2;

fn open_log(folder: &tempfile::TempDir) -> Log<FileMedium> {
    let medium = FileMedium::open(&folder.path().join("log")).unwrap();
    let genesis = Genesis { log_id: LOG_ID, journal_hash: [6; 32] };
    Log::open(medium, genesis, journal::fault::salts()).unwrap().0
}

/// The writer's clock, at which a test holds it up, or breaks it.
fn writer_clock(gate: Arc<Gate>, broken: Arc<AtomicBool>) -> impl FnMut() -> u64 + Send + 'static {
    move || {
        gate.pass();
        assert!(!broken.load(Ordering::SeqCst), "the test breaks the writer here");
        now().get()
    }
}

impl Node {
    /// Where it keeps what is kept.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Registry filled, patient enrolled with a permit to collect and one to read.
    pub(super) async fn start() -> Node {
        Node::start_with(IngestConfig::default(), Arc::new(())).await
    }

    pub(super) async fn start_with(config: IngestConfig, observe: Arc<dyn Observe>) -> Node {
        Node::start_at(config, observe, ManualClock::running()).await
    }

    /// A node whose sessions read this clock.
    pub(super) async fn start_at(
        config: IngestConfig,
        observe: Arc<dyn Observe>,
        sessions: ManualClock,
    ) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(&folder);
        let (deliver, journal) = (DeliverConfig::default(), log.reader());
        let key = SigningKey::from_slice(&[9; 32]).unwrap();
        let hub = ReceiptHub::new(key, chain_scope(), log.reader(), &deliver);
        let hub = hub.with_bodies(body_seal());
        let guard = Guard::new(Failures::new());
        let (delivery, windows) = NodeDelivery::start(hub.clone(), &deliver, &guard).unwrap();
        let admission = LedgerAdmission::new(Ledger::new(ledger_config()), delivery, 0);
        let view = admission.view();
        let (broken, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::default()));
        let (breaks, passes) = (Arc::clone(&broken), Arc::clone(&gate));
        let clock = writer_clock(passes, breaks);
        let queue_items_max = NonZeroUsize::new(QUEUE_ITEMS_MAX).unwrap();
        let limits = WriterConfig { queue_items_max, reserved_items: config.reserved_items };
        let writer = Writer::start(log, admission, clock, limits).unwrap();
        let (metrics, rows) = (Metrics::new(), Arc::new(Diverging::default()));
        let pool = RowPool::start(&AdmissionConfig::default(), rows.clone(), metrics.clone());
        let admit = Admit::new(writer.submitter(), pool.unwrap()).held_by(hub.hold().clone());
        let authority = Authority::create(&folder.path().join("ca"), validity()).unwrap();
        let tls = server_tls(&authority);
        let (sessions, renewals) = (Arc::new(sessions), Arc::new(Renewals::new(&config)));
        let desk = RegistryDesk::new(admit.clone(), view.clone());
        let services = Services {
            admit: admit.clone(),
            view: view.clone(),
            desk: desk.clone(),
            renewals: renewals.clone(),
            hub: hub.clone(),
            clock: Arc::clone(&sessions) as Arc<dyn Clock>,
            machine: Arc::new(machine::System),
            guard,
            observe,
            ahead_ms_max: SKEW_MS,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = Listen { address, tls, quic: QuicKey::new(Secret::new([11; 32])) };
        let server = IngestServer::start(listen, config, RateConfig::default(), services).unwrap();
        let gateway = authority.issue_client(Role::Gateway, "gateway", validity()).unwrap();
        let address = server.local_addr();
        let mut node = Node {
            admit,
            metrics,
            rows,
            hub,
            authority,
            renewals,
            desk,
            journal,
            windows,
            address,
            gateway,
            server: Some(server),
            broken,
            gate,
            view,
            clock: sessions,
            nonce: 0,
            _writer: writer,
            folder,
        };
        node.fill().await;
        node
    }

    async fn fill(&mut self) {
        let (valid, public_key) = (Interval::ALWAYS, practitioner_key().public().encode());
        let organisation = hospital();
        for record in [
            RegistryRecord::Organisation { id: hospital() },
            RegistryRecord::Gateway {
                id: gateway_id(),
                organisation: hospital(),
                fingerprint: self.gateway.fingerprint(),
                valid,
            },
            RegistryRecord::Practitioner {
                id: doctor(),
                organisation,
                public_key,
                fingerprint: [0; 32],
                valid,
            },
        ] {
            self.change_registry(RegistryChange::Add(record)).await;
        }
        self.admit_patient(&stream_key()).await;
        self.nonce = PERMITS;
    }

    /// The device is the gateway's and the patient's, who is enrolled with a permit to collect and
    /// one to read.
    pub(super) async fn admit_patient(&self, of: &StreamKey) {
        let (id, organisation, gateways) = (of.device.clone(), hospital(), vec![gateway_id()]);
        let (patient, signals) = (of.patient, vec![of.signal]);
        let record = RegistryRecord::Device { id, organisation, patient, signals, gateways };
        self.change_registry(RegistryChange::Add(record)).await;
        let enrol = Action::Enrol {
            key_hash: key_hash(&patient_key()),
            view_key: Word::from_u64(11),
            salt: Word::from_u64(12),
        };
        self.operate(sign(patient, 0, enrol, &registrar())).await;
        let collect = rule(scope::device(&of.device), ClaimKind::Collect);
        let read = rule(scope::practitioner(&doctor()), ClaimKind::Access);
        for (slot, rule) in (0..).zip([collect, read]) {
            let write = Action::Write { slot: RuleSlot::Permit(slot), rule };
            self.operate(sign(patient, slot.into(), write, &patient_key())).await;
        }
    }

    pub(super) async fn change_registry(&self, change: RegistryChange) {
        let answer = self.admit.submit(Item::Registry(change)).await.unwrap();
        assert!(matches!(answer, Answer::RegistryChanged { .. }), "{answer:?}");
    }

    /// A change that concerns nobody.
    pub(super) async fn touch_registry(&self) {
        let id = OrganisationId::new("laboratory").unwrap();
        self.change_registry(RegistryChange::Add(RegistryRecord::Organisation { id })).await;
    }

    pub(super) async fn end_gateway(&self) {
        self.end(RegistryKey::Gateway(gateway_id())).await;
    }

    pub(super) async fn end(&self, key: RegistryKey) {
        self.change_registry(RegistryChange::End { key, at: now() }).await;
    }

    async fn operate(&self, operation: SignedOperation) {
        let requester = Holder::new(Role::Operator, "test");
        let answer = self.admit.submit(Item::Operation { requester, operation }).await.unwrap();
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    }

    /// The patient's next operation.
    pub(super) fn sign(&mut self, action: Action) -> SignedOperation {
        self.nonce += 1;
        signed(self.nonce - 1, action, &patient_key())
    }

    /// What was signed last never took effect: its nonce is free.
    pub(super) fn take_back(&mut self) {
        self.nonce -= 1;
    }

    /// The patient's next operation, a permit, with as many forgeries of it as a test wants.
    pub(super) fn sign_permit(&mut self, slot: u8) -> Permit {
        let rule = rule(scope::practitioner(&doctor()), ClaimKind::Access);
        let action = Action::Write { slot: RuleSlot::Permit(slot), rule };
        Permit { signed: self.sign(action.clone()), action }
    }

    /// The patient's revocation of a permit as it stands on record.
    pub(super) fn revocation(&mut self, slot: u8) -> SignedOperation {
        // Begun long before the node's, whose time it does not know.
        let genesis_time = Millis::new(now().get() - 3_600_000).unwrap();
        let mut ledger = Ledger::new(LedgerConfig { genesis_time, ..ledger_config() });
        for found in self.journal.iter_from(1) {
            let (position, entry) = found.unwrap();
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
            let (position, time) = (Position(position), Millis::new(entry.time).unwrap());
            // Nothing is asked of a reading here.
            if decoded.frame_name().is_none() {
                ledger.absorb(&decoded, position, time).unwrap();
            }
        }
        let slot = RuleSlot::Permit(slot);
        let rule = *ledger.consent().record(patient()).unwrap().rule(slot).unwrap();
        self.sign(Action::Revoke { slot, rule })
    }

    pub(super) fn issue(&self, role: Role, name: &str) -> Issued {
        self.authority.issue_client(role, name, validity()).unwrap()
    }

    /// Issues a certificate and registers it.
    pub(super) async fn registered(&self, role: Role, name: &str) -> Issued {
        let (issued, valid) = (self.issue(role, name), Interval::ALWAYS);
        let fingerprint = issued.fingerprint();
        let record = match role {
            Role::Wallet => {
                RegistryRecord::Wallet { id: WalletId::new(name).unwrap(), fingerprint, valid }
            }
            Role::Operator => {
                RegistryRecord::Operator { id: OperatorId::new(name).unwrap(), fingerprint, valid }
            }
            Role::Gateway => {
                let (id, organisation) = (GatewayId::new(name).unwrap(), hospital());
                RegistryRecord::Gateway { id, organisation, fingerprint, valid }
            }
            Role::Practitioner => {
                let (id, organisation) = (PractitionerId::new(name).unwrap(), hospital());
                let public_key = practitioner_key().public().encode();
                RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid }
            }
        };
        self.change_registry(RegistryChange::Add(record)).await;
        issued
    }

    pub(super) async fn client(&self, role: Role, name: &str) -> Client {
        Client::connect(self, &self.registered(role, name).await, role, name).await
    }

    pub(super) async fn gateway(&self) -> Client {
        Client::connect(self, &self.gateway, Role::Gateway, "gateway").await
    }

    pub(super) async fn raw(&self) -> Raw {
        Raw::connect(self, &self.gateway).await
    }

    /// A session without a connection, with this configuration.
    pub(super) fn session(&self, config: IngestConfig) -> (Session, mpsc::Receiver<Reply>) {
        let Pem { certificate, .. } = self.gateway.pem();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let services = Services {
            admit: self.admit.clone(),
            view: self.view.clone(),
            desk: RegistryDesk::new(self.admit.clone(), self.view.clone()),
            renewals: self.renewals.clone(),
            hub: self.hub.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            machine: Arc::new(machine::System),
            guard: Guard::new(Failures::new()),
            observe: Arc::new(()),
            ahead_ms_max: SKEW_MS,
        };
        let places = Arc::new(Places::new(&config, Arc::new(())));
        let shared = Shared {
            config,
            places,
            services: Arc::new(services),
            sources: Sources::new(&RateConfig::default()),
            sessions: AtomicUsize::new(0),
        };
        Session::new(Peer::of_certificate(&certificate).unwrap(), Arc::new(shared))
    }

    /// Until it is dropped, the writer takes nothing on.
    pub(super) fn hold_writer(&self) -> Held {
        self.gate.hold();
        Held(Arc::clone(&self.gate))
    }

    /// Until it is dropped, no row is evaluated.
    pub(super) fn hold_rows(&self) -> Held {
        self.rows.gate.hold();
        Held(Arc::clone(&self.rows.gate))
    }

    /// As [`Node::hold_writer`], once it is called: for an answer, which is given between two
    /// groups.
    pub(super) fn writer_holder(&self) -> impl FnOnce() -> Held + Send + use<> {
        let gate = Arc::clone(&self.gate);
        move || {
            gate.hold();
            Held(gate)
        }
    }

    /// Until the writer stands with an item in hand, which it does not take on.
    pub(super) async fn until_writer_waits(&self) {
        until("the writer stands before an item", || {
            let state = self.gate.state.lock().unwrap();
            state.held && state.waits
        })
        .await;
    }

    /// Until exactly so many items wait for the writer, which is held.
    pub(super) async fn until_waiting(&self, items: usize) {
        until("so many items wait", || self.admit.waiting() == items).await;
    }

    /// From now on the circuit holds for no operation.
    pub(super) fn diverge(&self) {
        self.rows.differs.store(true, Ordering::SeqCst);
    }

    /// From now on the writer fails at its next item.
    pub(super) fn break_writer(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Another certificate of the same authority from now on.
    pub(super) fn replace_certificate(&self) {
        let server = self.server.as_ref().expect("it runs");
        server.replace_certificate(server_tls(&self.authority)).unwrap();
    }

    pub(super) async fn stop_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// Every entry of the journal.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let (mut all, mut entries) = (Vec::new(), self.journal.iter_from(1));
        while let Some(found) = entries.next() {
            let (position, entry) = found.unwrap();
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
            let in_group = entries.in_group();
            let (salt, index, time) = (in_group.salt, in_group.index(position), entry.time);
            all.push(match decoded {
                Entry::SealedFrame(sealed) => {
                    let place = EntryPlace { salt, index, time };
                    Entry::Frame(body_seal().open(&sealed, &place).unwrap())
                }
                entry => entry,
            });
        }
        all
    }
}

/// How many of the frames that a reply is of are stored.
pub(super) fn stored_by(reply: &Reply) -> usize {
    let Reply::Frames { outcome: Ok(answers), .. } = reply else { return 0 };
    answers.iter().filter(|answer| matches!(answer, Answer::FrameStored)).count()
}

impl Session {
    /// Takes what came on a lane, alone.
    pub(super) fn handle_bytes(&mut self, lane: Lane, bytes: &[u8]) {
        self.gather_bytes(lane, bytes);
        self.take_events();
    }
}

/// The same keys for every node of the process.
pub(super) fn body_keys() -> &'static BodyKeys {
    static KEYS: LazyLock<BodyKeys> = LazyLock::new(bodies::fault::keys);
    &KEYS
}

/// A certificate of the server, a new one each time.
fn server_tls(authority: &Authority) -> ServerTls {
    let names = [SERVER_NAME.to_owned()];
    authority.issue_server(&names, validity()).unwrap().server_tls().unwrap()
}

fn body_seal() -> BodySeal {
    BodySeal::new(body_keys().clone(), LOG_ID)
}

fn ledger_config() -> LedgerConfig {
    LedgerConfig {
        scope: chain_scope(),
        registrar_key_hash: key_hash(&registrar()),
        genesis_time: Millis::new(now().get() - 1000).unwrap(),
        limits: WindowLimits::default(),
        cadence: Cadence::fixed(60_000),
        released_frames_max: 1000,
        clock_skew_ms_max: SKEW_MS,
        seal: EnrolmentSeal::new(&[9; 32]),
        bodies: body_seal(),
    }
}
