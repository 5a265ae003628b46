//! A real server on loopback over a temp-file journal, and clients that speak to it over QUIC.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

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
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
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

use crate::folder::authority::{Authority, Issued, Pem};
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
    Admit, IngestConfig, IngestServer, Listen, Observe, RateConfig, ResetKey, Services,
};
use crate::stages::ledger::{
    Answer, EnrolmentSeal, Item, Ledger, LedgerAdmission, LedgerConfig, LedgerView,
};
use crate::stages::rows::{
    AdmissionConfig, CircuitRows, Evaluate, NotProvable, OperationRow, RowPool,
};
use crate::window::{ClosedWindow, WindowLimits};

const ECG: u32 = 131_328;
const SKEW_MS: u64 = 60_000;
pub(super) const SERVER_NAME: &str = "localhost";
/// Few, so that a test can fill the queue.
pub(super) const QUEUE_ITEMS_MAX: usize = 1024;

/// A node without proving: journal, ledger, receipts and ingest.
pub(super) struct Node {
    pub(super) admit: Admit,
    pub(super) metrics: Arc<Metrics>,
    rows: Arc<Diverging>,
    pub(super) hub: ReceiptHub,
    pub(super) authority: Authority,
    pub(super) journal: Reader<FileMedium>,
    pub(super) windows: mpsc::Receiver<ClosedWindow>,
    pub(super) address: SocketAddr,
    pub(super) gateway: Issued,
    server: Option<IngestServer>,
    broken: Arc<AtomicBool>,
    /// The writer waits here before each item.
    gate: Arc<Gate>,
    view: LedgerView,
    /// The sessions' clock; the writer keeps the machine's.
    pub(super) clock: Arc<ManualClock>,
    nonce: u32,
    _writer: Writer<FileMedium, LedgerAdmission<NodeDelivery>>,
    _folder: tempfile::TempDir,
}

/// What the writer waits at.
#[derive(Default)]
struct Gate {
    held: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        drop(self.opened.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
    }
}

/// Holds the writer up.
pub(super) struct Held(Arc<Gate>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() = false;
        self.0.opened.notify_all();
    }
}

/// The circuit, until it is told to differ from the twin.
#[derive(Default)]
struct Diverging(AtomicBool);

impl Evaluate for Diverging {
    fn evaluate(&self, row: &OperationRow) -> Result<(), NotProvable> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(RowError::Violated { rule: "C1.7" }.into()),
            false => CircuitRows.evaluate(row),
        }
    }
}

pub(super) fn chain_scope() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [7; 20] }
}

pub(super) fn now() -> Millis {
    SystemClock.now()
}

fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn patient_key() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

fn practitioner_key() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

fn key_hash(key: &SecretKey) -> Word {
    Word::from_bytes(field::to_bytes(&key.public().hash())).unwrap()
}

fn patient() -> PatientIndex {
    PatientIndex::new(12_345).unwrap()
}

fn hospital() -> OrganisationId {
    OrganisationId::new("hospital").unwrap()
}

pub(super) fn gateway_id() -> GatewayId {
    GatewayId::new("gateway").unwrap()
}

fn device() -> DeviceId {
    DeviceId::new("monitor").unwrap()
}

fn doctor() -> PractitionerId {
    PractitionerId::new("dr").unwrap()
}

pub(super) fn stream_key() -> StreamKey {
    StreamKey { device: device(), patient: patient(), signal: ECG }
}

pub(super) fn descriptor() -> Descriptor {
    Descriptor { key: stream_key(), period: None, epoch: EpochNumber(1) }
}

/// A day before and after now.
pub(super) fn validity() -> Interval {
    let day = 86_400_000;
    Interval { from: Millis::new(now().get() - day).unwrap(), until: now().plus(day) }
}

fn rule(actor: Word, kind: ClaimKind) -> Rule {
    Rule {
        actor: Party::Named(actor),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: kind.only(),
        labels: Labels::ALL,
        access: Interval::ALWAYS,
        data: Interval::ALWAYS,
    }
}

impl Node {
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
        let medium = FileMedium::open(&folder.path().join("log")).unwrap();
        let genesis = Genesis { log_id: [5; 16], journal_hash: [6; 32] };
        let (log, _) = Log::open(medium, genesis, journal::fault::salts()).unwrap();
        let (deliver, journal) = (DeliverConfig::default(), log.reader());
        let key = SigningKey::from_slice(&[9; 32]).unwrap();
        let hub = ReceiptHub::new(key, chain_scope(), log.reader(), &deliver);
        let guard = Guard::new(Failures::new());
        let (delivery, windows) = NodeDelivery::start(hub.clone(), &deliver, &guard).unwrap();
        let admission = LedgerAdmission::new(Ledger::new(ledger_config()), delivery, 0);
        let view = admission.view();
        let (broken, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::default()));
        let (breaks, passes) = (Arc::clone(&broken), Arc::clone(&gate));
        let clock = move || {
            passes.pass();
            assert!(!breaks.load(Ordering::SeqCst), "the test breaks the writer here");
            now().get()
        };
        let queue_items_max = NonZeroUsize::new(QUEUE_ITEMS_MAX).unwrap();
        let writer =
            Writer::start(log, admission, clock, WriterConfig { queue_items_max }).unwrap();
        let (metrics, rows) = (Metrics::new(), Arc::new(Diverging::default()));
        let pool = RowPool::start(&AdmissionConfig::default(), rows.clone(), metrics.clone());
        let admit = Admit::new(writer.submitter(), pool.unwrap());
        let admit = admit.reserving(config.reserved_items).held_by(hub.hold().clone());
        let authority = Authority::create(&folder.path().join("ca"), validity()).unwrap();
        let names = [SERVER_NAME.to_owned()];
        let tls = authority.issue_server(&names, validity()).unwrap().server_tls().unwrap();
        let sessions = Arc::new(sessions);
        let services = Services {
            admit: admit.clone(),
            view: view.clone(),
            hub: hub.clone(),
            clock: Arc::clone(&sessions) as Arc<dyn Clock>,
            guard,
            observe,
            ahead_ms_max: SKEW_MS,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = Listen { address, tls, resets: ResetKey::new(Secret::new([11; 32])) };
        let server = IngestServer::start(listen, config, RateConfig::default(), services).unwrap();
        let gateway = authority.issue_client(Role::Gateway, "gateway", validity()).unwrap();
        let address = server.local_addr();
        let mut node = Node {
            admit,
            metrics,
            rows,
            hub,
            authority,
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
            _folder: folder,
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
            RegistryRecord::Device {
                id: device(),
                organisation: hospital(),
                patient: patient(),
                signals: vec![ECG],
                gateways: vec![gateway_id()],
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
        let enrol = Action::Enrol {
            key_hash: key_hash(&patient_key()),
            view_key: Word::from_u64(11),
            salt: Word::from_u64(12),
        };
        self.operate(signed(0, enrol, &registrar())).await;
        let collect = rule(scope::device(&device()), ClaimKind::Collect);
        let read = rule(scope::practitioner(&doctor()), ClaimKind::Access);
        for (slot, rule) in [(0, collect), (1, read)] {
            let write = Action::Write { slot: RuleSlot::Permit(slot), rule };
            let operation = self.sign(write);
            self.operate(operation).await;
        }
    }

    async fn change_registry(&self, change: RegistryChange) {
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
        let mut ledger = Ledger::new(ledger_config());
        for found in self.journal.iter_from(1) {
            let (position, entry) = found.unwrap();
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
            let (position, time) = (Position(position), Millis::new(entry.time).unwrap());
            ledger.absorb(&decoded, position, time).unwrap();
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
            hub: self.hub.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
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
        *self.gate.held.lock().unwrap() = true;
        Held(Arc::clone(&self.gate))
    }

    /// From now on the circuit holds for no operation.
    pub(super) fn diverge(&self) {
        self.rows.0.store(true, Ordering::SeqCst);
    }

    /// From now on the writer fails at its next item.
    pub(super) fn break_writer(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub(super) async fn stop_server(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// Every entry of the journal.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let decode = |found: Result<(u64, journal::Entry), _>| {
            let (_, entry) = found.unwrap();
            Entry::from_bytes(entry.kind.code(), &entry.body).unwrap()
        };
        self.journal.iter_from(1).map(decode).collect()
    }
}

fn ledger_config() -> LedgerConfig {
    LedgerConfig {
        scope: chain_scope(),
        registrar_key_hash: key_hash(&registrar()),
        genesis_time: Millis::new(now().get() - 1000).unwrap(),
        limits: WindowLimits::default(),
        released_frames_max: 1000,
        clock_skew_ms_max: SKEW_MS,
        seal: EnrolmentSeal::new(&[9; 32]),
    }
}

/// A permit that its patient signed.
pub(super) struct Permit {
    signed: SignedOperation,
    action: Action,
}

impl Permit {
    pub(super) fn signed(&self) -> SignedOperation {
        self.signed.clone()
    }

    /// The same, signed by a stranger.
    pub(super) fn forged(&self, nonce: u32) -> SignedOperation {
        signed(nonce, self.action.clone(), &registrar())
    }
}

/// An operation that nobody who may signed: each one another.
pub(super) fn junk(nonce: u32) -> SignedOperation {
    signed(nonce, Action::Stop, &registrar())
}

/// The same for an index without a record, signed well by some key.
pub(super) fn for_nobody() -> SignedOperation {
    sign(PatientIndex::new(99).unwrap(), 0, Action::Stop, &patient_key())
}

fn signed(nonce: u32, action: Action, key: &SecretKey) -> SignedOperation {
    sign(patient(), nonce, action, key)
}

fn sign(patient: PatientIndex, nonce: u32, action: Action, key: &SecretKey) -> SignedOperation {
    let (signed_at, valid_until) = (now(), now().plus(60_000));
    let operation = Operation { patient, nonce, signed_at, valid_until, action };
    let domain = scope::sig_domain(chain_scope());
    let signed = operation::SignedOperation::sign(operation, domain, key);
    SignedOperation::new(signed.to_bytes().to_vec()).unwrap()
}

/// The doctor's request for everything of a category.
pub(super) fn request(nonce: u64, categories: Category) -> SignedAccessRequest {
    let request = AccessRequest {
        scope: chain_scope(),
        patient: patient(),
        practitioner: doctor(),
        organisation: hospital(),
        care_team: None,
        source: Source::Any,
        categories: categories.only(),
        purpose: Purpose::Treatment,
        labels: Labels::ALL,
        data: Interval::ALWAYS,
        requested_at: now(),
        valid_until: now().plus(60_000),
        nonce,
        kind: AccessKind::Access { reason: Reason::new("").unwrap() },
    };
    let message = request.signing_hash().unwrap().word().to_bytes();
    let key = practitioner_key();
    let signature = eddsa::sign(&key, field::from_bytes(&message).unwrap());
    SignedAccessRequest::new(request, key.public().encode(), signature.encode()).unwrap()
}

pub(super) fn readings(value: i32) -> [Reading; 2] {
    let start = DeviceTime::from_millis(now());
    [Reading::new(start, value), Reading::new(start, -value)]
}

/// A frame as a client makes it, for handle 1 and epoch 1.
pub(super) fn frame(sequence: u64, value: i32) -> Frame {
    encode(sequence, &readings(value))
}

/// A frame as large as frames get, of a stream of choice.
pub(super) fn large_frame(handle: u32, epoch: u16) -> Frame {
    let place = FramePlace {
        handle: StreamHandle(handle),
        epoch: EpochNumber(epoch),
        sequence: Sequence(1),
    };
    let readings = vec![readings(1)[0]; 4000];
    Frame::encode_raw(place, stream_key().signal().unwrap(), &readings).unwrap()
}

/// A frame of one reading at a time of choice.
pub(super) fn frame_at(sequence: u64, at: Millis) -> Frame {
    encode(sequence, &[Reading::new(DeviceTime::from_millis(at), 5)])
}

fn encode(sequence: u64, readings: &[Reading]) -> Frame {
    let (handle, epoch) = (StreamHandle(1), EpochNumber(1));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    Frame::encode_raw(place, stream_key().signal().unwrap(), readings).unwrap()
}

pub(super) fn client_tls(issued: &Issued) -> quinn::ClientConfig {
    let Pem { ca, certificate, key } = issued.pem();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![wire::ALPN.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A connection, whatever the server does with it next.
pub(super) async fn dial(
    address: SocketAddr,
    issued: &Issued,
) -> Result<(Endpoint, Connection), ConnectionError> {
    let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let connecting = endpoint.connect_with(client_tls(issued), address, SERVER_NAME).unwrap();
    Ok((endpoint, connecting.await?))
}

/// What the server closed the connection with.
pub(super) async fn close_code(connection: &Connection) -> Option<RejectCode> {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => {
            RejectCode::from_number(u16::try_from(close.error_code.into_inner()).unwrap())
        }
        other => panic!("expected a typed close, found {other}"),
    }
}

/// Three lanes with bytes as they are.
pub(super) struct Raw {
    _endpoint: Endpoint,
    pub(super) connection: Connection,
    lanes: Vec<(SendStream, RecvStream)>,
    received: Deframer,
}

impl Raw {
    async fn connect(node: &Node, issued: &Issued) -> Raw {
        let (endpoint, connection) = dial(node.address, issued).await.unwrap();
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let (mut send, receive) = connection.open_bi().await.unwrap();
            send.write_all(&lane.preamble()).await.unwrap();
            lanes.push((send, receive));
        }
        Raw { _endpoint: endpoint, connection, lanes, received: Deframer::default() }
    }

    pub(super) async fn send(&mut self, lane: Lane, bytes: &[u8]) {
        self.lanes[lane as usize].0.write_all(bytes).await.unwrap();
    }

    /// Ends a lane in the middle of whatever was sent.
    pub(super) fn cut(&mut self, lane: Lane) {
        self.lanes[lane as usize].0.finish().unwrap();
    }

    /// The next message on the control lane.
    pub(super) async fn next(&mut self) -> ServerMessage {
        loop {
            if let Some(bytes) = self.received.next_message().unwrap() {
                return ServerMessage::decode(bytes).unwrap();
            }
            let chunk = self.lanes[0].1.read_chunk(65_536, true).await.unwrap();
            self.received.feed(&chunk.expect("the lane goes on").bytes);
        }
    }
}

/// A real client session on a real connection.
pub(super) struct Client {
    _endpoint: Endpoint,
    pub(super) connection: Connection,
    send: Vec<SendStream>,
    received: mpsc::Receiver<(Lane, Bytes)>,
    pub(super) session: ClientSession,
    kept: VecDeque<ClientEvent>,
    /// Bytes of every receipt, by group.
    pub(super) receipts: BTreeMap<u64, Vec<u8>>,
}

impl Client {
    pub(super) async fn connect(node: &Node, issued: &Issued, role: Role, name: &str) -> Client {
        let (endpoint, connection) = dial(node.address, issued).await.unwrap();
        let (sender, received) = mpsc::channel(16);
        let mut send = Vec::new();
        for lane in Lane::ALL {
            let (lane_send, lane_receive) = connection.open_bi().await.unwrap();
            send.push(lane_send);
            tokio::spawn(forward(lane, lane_receive, sender.clone()));
        }
        let config = ClientConfig {
            scope: chain_scope(),
            signer: node.hub.signer(),
            holder: Holder::new(role, name),
            name: ClientName::new("test").unwrap(),
            limits: ClientLimits::default(),
        };
        let mut session = ClientSession::new(config);
        session.connected();
        let (kept, receipts) = (VecDeque::new(), BTreeMap::new());
        Client { _endpoint: endpoint, connection, send, received, session, kept, receipts }
    }

    /// Runs the session until `wanted` takes an event; others are passed over.
    pub(super) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ClientEvent) -> Option<T>,
    ) -> T {
        loop {
            while let Some(event) = self.kept.pop_front() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
                if let ClientEvent::Closed { .. } | ClientEvent::Violation { .. } = event {
                    panic!("the session ended: {event:?}");
                }
            }
            self.step().await;
        }
    }

    /// Sends everything.
    pub(super) async fn transmit(&mut self) {
        for lane in Lane::ALL {
            while let Some(bytes) = self.session.poll_transmit(lane) {
                // If the server closed meanwhile, its reason is still to be read.
                drop(self.send[lane as usize].write_all(&bytes).await);
            }
        }
    }

    /// Sends everything, and takes in what comes next.
    async fn step(&mut self) {
        self.transmit().await;
        self.keep();
        if self.kept.is_empty() {
            let (lane, bytes) = self.received.recv().await.expect("the connection goes on");
            self.session.handle_bytes(lane, &bytes, now());
            self.keep();
        }
    }

    fn keep(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let ClientEvent::Receipt(receipt) = &event {
                self.receipts.insert(receipt.receipt.group.group, receipt.to_bytes());
            }
            self.kept.push_back(event);
        }
    }

    pub(super) async fn welcomed(mut self) -> Client {
        let welcomed =
            |event: &ClientEvent| matches!(event, ClientEvent::Welcomed { .. }).then_some(());
        self.until(welcomed).await;
        self
    }

    /// Opens the one stream.
    pub(super) async fn open(&mut self) -> StreamHandle {
        let handle = self.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
        self.until(|event| matches!(event, ClientEvent::StreamReady { .. }).then_some(())).await;
        handle
    }

    /// Waits until a sequence is durable, by a verified receipt.
    pub(super) async fn durable(&mut self, sequence: u64) {
        self.until(|event| match event {
            ClientEvent::Durable { last, .. } => (last.0 >= sequence).then_some(()),
            _ => None,
        })
        .await;
    }

    /// What the server closed the session with.
    pub(super) async fn closed(&mut self) -> Option<RejectCode> {
        self.until(|event| match event {
            ClientEvent::Closed { code } => Some(*code),
            _ => None,
        })
        .await
    }
}

async fn forward(lane: Lane, mut receive: RecvStream, to: mpsc::Sender<(Lane, Bytes)>) {
    while let Ok(Some(chunk)) = receive.read_chunk(65_536, true).await {
        if to.send((lane, chunk.bytes)).await.is_err() {
            return;
        }
    }
}
