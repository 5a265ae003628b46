//! A node in memory: QUIC on loopback around [`wire::ServerSession`], with knobs for misbehaviour.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::{
    Connection, ConnectionConfig, ConnectionError, Deployment, DeploymentFacts, Identity, KeyFact,
    Waits,
};
use files::Audience;
use model::{
    ChainScope, Clock, DeviceId, EpochNumber, GatewayId, Millis, PatientIndex, Position,
    RejectCode, Sequence, StreamHandle, SystemClock, Word,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, RecvStream, SendStream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::{mpsc, watch};
use wire::*;

pub(crate) const HEART_RATE: u32 = 147842;

pub(crate) fn scope() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [9; 20] }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a key")
}

/// The deployment of the node in memory.
pub(crate) fn facts() -> DeploymentFacts {
    DeploymentFacts {
        scope: scope(),
        runtime_hash: [1; 32],
        keys: [("c1-17", 1), ("c2-17", 2)].map(key).to_vec(),
        receipt_signer: signer_address(&signing_key()).0,
        registrar: Word::ZERO,
        sequencer: [2; 20],
        genesis_time: Millis::default(),
    }
}

/// A key of the deployment: its id is its circuit's number, over and over.
fn key((shape, circuit): (&str, u8)) -> KeyFact {
    KeyFact::of_shape(shape, circuit, [circuit; 32]).expect("a shape that there is")
}

/// How the node behaves from now on.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// Stores frames and says nothing.
    pub(crate) silent: bool,
    /// Says nothing once so many frames are stored.
    pub(crate) silent_from: Option<usize>,
    /// Closes the connection once, after as many frames are stored, before their receipt.
    pub(crate) drop_after_frames: Option<usize>,
    /// Closes the connection when an operation comes.
    pub(crate) drop_on_operation: bool,
    /// Rejects the next frame once.
    pub(crate) reject_frame: Option<RejectCode>,
    /// Rejects the frames of these, who ended their consent.
    pub(crate) without_consent: Vec<PatientIndex>,
    /// Opens no stream of these and takes no more frames of them: their device is another's now.
    pub(crate) not_theirs: Vec<PatientIndex>,
    /// Rejects the frames that begin before a time, with this code.
    pub(crate) reject_before: Option<(DeviceTime, RejectCode)>,
    /// How far its clock is ahead of this one.
    pub(crate) clock_ahead_ms: u64,
    /// Opens so many streams only when asked again.
    pub(crate) postpone_opens: usize,
    /// Closes the session with this when a stream is to be opened, and ends the lane that says so.
    pub(crate) close_on_open: Option<RejectCode>,
    /// Rejects operations and requests.
    pub(crate) reject_request: Option<RejectCode>,
    /// Rejects the next further page once.
    pub(crate) reject_page: Option<RejectCode>,
    /// Signs with another key.
    pub(crate) forge: bool,
    /// Gives every receipt the same group number.
    pub(crate) equivocate: bool,
    /// Refuses to release data.
    pub(crate) refuse_access: bool,
    /// Most frames of a page.
    pub(crate) page_frames: Option<usize>,
    /// Frames that each page says lie only partly in the period.
    pub(crate) partly: u64,
    /// Is too busy for so many requests for a decision.
    pub(crate) busy_accesses: usize,
    /// Is of a version that takes no questions about names.
    pub(crate) before_names: bool,
    /// Whom its registry does not know.
    pub(crate) unknown: Vec<RegistryKey>,
    /// Rejects questions about names.
    pub(crate) reject_names: Option<RejectCode>,
    pub(crate) limits: ServerLimits,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) behaviour: Behaviour,
    /// Frames stored, by stream and sequence, with their entry's place.
    pub(crate) frames: BTreeMap<StreamName, BTreeMap<Sequence, (Frame, Position, Millis)>>,
    pub(crate) operations: Vec<SignedOperation>,
    pub(crate) stored: usize,
    pub(crate) groups: u64,
    /// Losses that the operator accepted.
    pub(crate) term: u32,
    /// The group of the receipt that each hello showed.
    pub(crate) shown: Vec<Option<u64>>,
    pub(crate) connections: Vec<quinn::Connection>,
    positions: u64,
}

impl Log {
    fn is_silent(&self) -> bool {
        let Behaviour { silent, silent_from, .. } = self.behaviour;
        silent || silent_from.is_some_and(|from| self.stored >= from)
    }

    fn next_position(&mut self) -> Position {
        self.positions += 1;
        Position(self.positions)
    }

    fn receipt(&mut self, holder: Holder, items: Items) -> SignedReceipt {
        self.groups += 1;
        let group = if self.behaviour.equivocate { 1 } else { self.groups };
        let journal_hash = [self.groups as u8; 32];
        let identity = GroupIdentity { scope: scope(), group, term: self.term, journal_hash };
        let key = match self.behaviour.forge {
            true => SigningKey::from_slice(&[8; 32]).expect("a key"),
            false => signing_key(),
        };
        Receipt::new(identity, holder, items).expect("a receipt").sign(&key)
    }
}

pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Endpoint,
    served: quinn::ServerConfig,
    log: Arc<Mutex<Log>>,
    stored: watch::Receiver<usize>,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Node {
    pub(crate) fn start(behaviour: Behaviour) -> Node {
        let authority = authority();
        let served = server_config(&authority);
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = Endpoint::server(served.clone(), anywhere).expect("a socket");
        let address = endpoint.local_addr().expect("bound");
        let log = Arc::new(Mutex::new(Log { behaviour, ..Log::default() }));
        let (told, stored) = watch::channel(0);
        let (accepting, shared) = (endpoint.clone(), log.clone());
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let (shared, told) = (shared.clone(), told.clone());
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        Session::run(connection, shared, told).await;
                    }
                });
            }
        });
        Node { address, endpoint, served, log, stored, authority }
    }

    /// Answers nobody, as if it were not there, until it appears.
    pub(crate) fn hide(&self) {
        self.endpoint.set_server_config(None);
    }

    pub(crate) fn appear(&self) {
        self.endpoint.set_server_config(Some(self.served.clone()));
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no test panics while holding it")
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.log().behaviour = behaviour;
    }

    /// Closes every connection.
    pub(crate) fn hang_up(&self) {
        self.log().connections.drain(..).for_each(|one| one.close(1u32.into(), b"test"));
    }

    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// Waits until as many frames are stored.
    pub(crate) async fn stored(&self, frames: usize) {
        self.stored.clone().wait_for(|stored| *stored >= frames).await.expect("the node lives");
    }

    pub(crate) fn deployment(&self) -> Deployment {
        let facts = facts();
        Deployment {
            scope: facts.scope,
            receipt_signer: Address(facts.receipt_signer),
            registrar: facts.registrar,
            fingerprint: facts.fingerprint(),
        }
    }

    fn pem(&self, role: &str, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::OrganizationalUnitName, role);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn identity(&self, role: &str, name: &str) -> Identity {
        let (cert, key) = self.pem(role, name);
        Identity::from_pem(self.authority.pem().as_bytes(), cert.as_bytes(), key.as_bytes())
            .expect("an identity")
    }

    /// Writes an identity's folder.
    pub(crate) fn write_identity(&self, folder: &Path, role: &str, name: &str) {
        let (cert, key) = self.pem(role, name);
        let facts = facts();
        let keys = facts.keys.iter().map(|key| {
            let KeyFact { shape, circuit, id, .. } = key;
            serde_json::json!({ "shape": shape, "circuit": circuit, "id": hex::encode(id) })
        });
        let keys: Vec<_> = keys.collect();
        let deployment = serde_json::json!({
            "schema": "vitals-deployment-2", "chain_id": facts.scope.chain_id,
            "settlement": hex::encode(facts.scope.contract), "keys": keys,
            "runtime_hash": hex::encode(facts.runtime_hash),
            "genesis_time": facts.genesis_time.get(), "registrar": facts.registrar.to_hex(),
            "sequencer": hex::encode(facts.sequencer),
            "receipt_signer": hex::encode(facts.receipt_signer),
            "fingerprint": facts.fingerprint().to_string(),
        });
        files::make_folder(folder, Audience::Owner).expect("a folder");
        let files = [
            ("ca.pem", self.authority.pem()),
            ("cert.pem", cert),
            ("key.pem", key),
            ("deployment.json", deployment.to_string()),
        ];
        for (name, text) in files {
            let parts = [text.as_bytes()];
            files::replace(&folder.join(name), &parts, Audience::Owner).expect("written");
        }
    }

    /// A gateway's configuration with waits for tests.
    pub(crate) fn config(&self) -> ConnectionConfig {
        let identity = self.identity("gateway", "gw-01");
        let mut config =
            ConnectionConfig::new(self.address, "localhost", identity, self.deployment());
        config.waits = Waits { retry_first: Duration::from_millis(1), ..Waits::default() };
        config.limits.retry_after_ms = 1;
        // Frames of one size, whatever is in them, for tests that count bytes.
        config.codec = Some(Codec::RAW);
        config
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::connect(self.config()).await.expect("connected")
    }

    pub(crate) async fn connect_as(
        &self,
        change: impl FnOnce(&mut ConnectionConfig),
    ) -> Result<Connection, ConnectionError> {
        let mut config = self.config();
        change(&mut config);
        Connection::connect(config).await
    }
}

pub(crate) fn stream_key() -> StreamKey {
    let (device, patient) = (DeviceId::new("m-1").unwrap(), PatientIndex::new(7).unwrap());
    StreamKey { device, patient, signal: HEART_RATE }
}

pub(crate) fn descriptor(epoch: u16) -> Descriptor {
    Descriptor { key: stream_key(), period: None, epoch: EpochNumber(epoch) }
}

pub(crate) fn reading(bpm: i32) -> Reading {
    Reading::new(DeviceTime::from_millis(SystemClock.now()), bpm)
}

pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn server_config(authority: &CertifiedIssuer<'static, KeyPair>) -> quinn::ServerConfig {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(names).expect("names");
    let certificate = params.signed_by(&key, authority).expect("signed");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .expect("a verifier");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).expect("a suite");
    quinn::ServerConfig::with_crypto(Arc::new(crypto))
}

/// One connection.
struct Session {
    session: ServerSession,
    connection: quinn::Connection,
    log: Arc<Mutex<Log>>,
    told: watch::Sender<usize>,
    names: BTreeMap<StreamHandle, StreamName>,
    patients: BTreeMap<StreamHandle, PatientIndex>,
    /// Rejected sequences: what was delivered behind them is void until they come again.
    rejected: BTreeMap<StreamHandle, Sequence>,
    lanes: Vec<SendStream>,
    /// Whether it was closed with a code.
    is_closed: bool,
}

impl Session {
    async fn run(connection: quinn::Connection, log: Arc<Mutex<Log>>, told: watch::Sender<usize>) {
        let limits = {
            let mut log = log.lock().unwrap();
            log.connections.push(connection.clone());
            log.behaviour.limits
        };
        let signer = signer_address(&signing_key());
        let session = ServerSession::new(ServerConfig { scope: scope(), signer, limits });
        let (sender, mut received) = mpsc::channel(64);
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let Ok((send, receive)) = connection.accept_bi().await else { return };
            lanes.push(send);
            tokio::spawn(forward(lane, receive, sender.clone()));
        }
        drop(sender);
        let (names, patients, rejected) = Default::default();
        let is_closed = false;
        let mut this =
            Session { session, connection, log, told, names, patients, rejected, lanes, is_closed };
        while let Some((lane, bytes)) = received.recv().await {
            let ahead_ms = this.log.lock().unwrap().behaviour.clock_ahead_ms;
            this.session.handle_bytes(lane, &bytes, SystemClock.now().plus(ahead_ms));
            while let Some(event) = this.session.poll_event() {
                if !this.event(event) {
                    return;
                }
            }
            this.transmit().await;
            if this.is_closed {
                // QUIC's own word would come later.
                drop(this.lanes[0].finish());
                return;
            }
        }
    }

    async fn transmit(&mut self) {
        for lane in Lane::ALL {
            while let Some(bytes) = self.session.poll_transmit(lane) {
                let bytes = self.as_before(bytes);
                if self.lanes[lane as usize].write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }

    /// A welcome as a version without questions about names wrote it.
    fn as_before(&self, bytes: bytes::Bytes) -> bytes::Bytes {
        if !self.log.lock().unwrap().behaviour.before_names {
            return bytes;
        }
        match ServerMessage::decode(bytes.clone()) {
            Ok(ServerMessage::Welcome(welcome)) => {
                ServerMessage::Welcome(Welcome { features: Features::RAW, ..welcome }).encode()
            }
            _ => bytes,
        }
    }

    /// `false` once the connection is closed.
    fn event(&mut self, event: ServerEvent) -> bool {
        let log = self.log.clone();
        let mut log = log.lock().unwrap();
        match event {
            ServerEvent::Hello(hello) => {
                log.shown.push(hello.newest.map(|newest| newest.receipt.group.group));
                let last = |frames: &BTreeMap<Sequence, _>| *frames.keys().last().expect("one");
                let marks = log.frames.iter();
                let marks = marks
                    .map(|(stream, frames)| Mark { stream: stream.clone(), durable: last(frames) });
                let standing = Standing { term: log.term, head_group: log.groups };
                let now = SystemClock.now().plus(log.behaviour.clock_ahead_ms);
                self.session.welcome(marks.collect(), standing, now);
            }
            ServerEvent::OpenStream(_) if log.behaviour.close_on_open.is_some() => {
                log.behaviour.close_on_open.into_iter().for_each(|code| self.session.close(code));
                self.is_closed = true;
            }
            ServerEvent::OpenStream(open) if log.behaviour.postpone_opens > 0 => {
                log.behaviour.postpone_opens -= 1;
                self.session.refuse_stream(open.handle, RejectCode::Unavailable);
            }
            ServerEvent::OpenStream(open)
                if log.behaviour.not_theirs.contains(&open.descriptor.key.patient) =>
            {
                self.session.refuse_stream(open.handle, RejectCode::Stream);
            }
            ServerEvent::OpenStream(open) => {
                let name = open.descriptor.name();
                let stored = log.frames.get(&name).map_or(0, BTreeMap::len);
                self.names.insert(open.handle, name);
                self.patients.insert(open.handle, open.descriptor.key.patient);
                self.session.open_stream(open.handle, Sequence(stored as u64));
            }
            ServerEvent::Frame { handle, frame, .. } => return self.frame(&mut log, handle, frame),
            ServerEvent::Duplicate { handle, frame } => self.again(&mut log, handle, &frame),
            ServerEvent::Operation { request, operation } => {
                return self.operation(&mut log, request, operation);
            }
            ServerEvent::Names { request, question } => match log.behaviour.reject_names {
                Some(code) => self.session.reject_request(request, code),
                None => {
                    let unknown = &log.behaviour.unknown;
                    let known = question.names().iter().map(|name| !unknown.contains(name));
                    self.session.answer_names(request, known.collect());
                }
            },
            ServerEvent::Access { request, signed, page } => {
                self.access(&mut log, request, &signed, page);
            }
            _ => {}
        }
        true
    }

    fn frame(&mut self, log: &mut Log, handle: StreamHandle, frame: Frame) -> bool {
        if self.rejected.get(&handle).is_some_and(|from| *from != frame.sequence()) {
            return true;
        }
        self.rejected.remove(&handle);
        let behaviour = &mut log.behaviour;
        let is_refused = behaviour.without_consent.contains(&self.patients[&handle]);
        let is_not_theirs = behaviour.not_theirs.contains(&self.patients[&handle]);
        let refused = is_not_theirs.then_some(RejectCode::Stream);
        let refused = refused.or(is_refused.then_some(RejectCode::NotPermitted));
        let early = behaviour.reject_before.filter(|(from, _)| frame.header().start < *from);
        let refused = refused.or(early.map(|(_, code)| code));
        if let Some(code) = behaviour.reject_frame.take().or(refused) {
            self.rejected.insert(handle, frame.sequence());
            self.session.reject_frames(handle, frame.sequence(), code);
            return true;
        }
        let name = self.names[&handle].clone();
        let (position, time) = (log.next_position(), SystemClock.now());
        let frames = log.frames.entry(name.clone()).or_default();
        let before = frames.insert(frame.sequence(), (frame.stored(), position, time));
        assert!(before.is_none(), "the session delivers a sequence once");
        log.stored += 1;
        self.told.send_replace(log.stored);
        if log.behaviour.drop_after_frames.is_some_and(|limit| log.stored >= limit) {
            log.behaviour.drop_after_frames = None;
            log.behaviour.silent = false;
            self.connection.close(1u32.into(), b"test");
            return false;
        }
        if !log.is_silent() {
            self.acknowledge(log, &name, frame.sequence(), frame.sequence());
        }
        true
    }

    /// A stored frame is acknowledged again, with everything of its stream.
    fn again(&mut self, log: &mut Log, handle: StreamHandle, frame: &Frame) {
        let name = self.names[&handle].clone();
        let stored = &log.frames[&name][&frame.sequence()].0;
        // As a node does (W.20): a stream of a client that keeps to it goes on.
        if *stored != frame.stored() {
            let code = RejectCode::Conflict;
            return self.session.reject_frames(handle, frame.sequence(), code);
        }
        if !log.is_silent() {
            self.acknowledge(log, &name, frame.sequence(), frame.sequence());
        }
    }

    fn acknowledge(&mut self, log: &mut Log, name: &StreamName, first: Sequence, last: Sequence) {
        let frames = &log.frames[name];
        let ((_, begin, _), (_, end, appended)) = (&frames[&first], &frames[&last]);
        let (positions, appended) = ((*begin, *end), *appended);
        let stream = name.clone();
        let item = FramesItem { stream, sequences: (first, last), positions, appended };
        let holder = Holder::gateway(&GatewayId::new("gw-01").unwrap());
        let receipt = log.receipt(holder, Items { frames: vec![item], ..Items::default() });
        self.session.acknowledge(receipt);
    }

    fn operation(&mut self, log: &mut Log, request: RequestId, signed: SignedOperation) -> bool {
        if log.behaviour.drop_on_operation {
            self.connection.close(1u32.into(), b"test");
            return false;
        }
        if let Some(code) = log.behaviour.reject_request {
            self.session.reject_request(request, code);
            return true;
        }
        let (position, time) = (log.next_position(), SystemClock.now());
        let item = OperationItem { position, time, digest: signed.digest() };
        log.operations.push(signed);
        let holder = self.holder();
        let receipt = log.receipt(holder, Items { operations: vec![item], ..Items::default() });
        self.session.acknowledge(receipt);
        true
    }

    fn access(
        &mut self,
        log: &mut Log,
        request: RequestId,
        signed: &SignedAccessRequest,
        page: Page,
    ) {
        let behaviour = &mut log.behaviour;
        let rejected = match page.continues {
            true => behaviour.reject_request.or_else(|| behaviour.reject_page.take()),
            false => None,
        };
        if let Some(code) = rejected {
            return self.session.reject_request(request, code);
        }
        if !page.continues && log.behaviour.busy_accesses > 0 {
            log.behaviour.busy_accesses -= 1;
            return self.session.reject_request(request, RejectCode::Busy);
        }
        if !page.continues && !self.decide(log, request, signed) {
            return;
        }
        let limit = log.behaviour.page_frames.unwrap_or(usize::MAX).min(page.frames_max as usize);
        let mut stored: Vec<_> = log
            .frames
            .iter()
            .flat_map(|(stream, frames)| frames.values().map(move |one| (stream, one)))
            .filter(|(_, (_, position, _))| match (page.after, page.order) {
                (None, _) => true,
                (Some(after), PageOrder::Stored) => *position > after,
                (Some(after), PageOrder::Newest) => *position < after,
            })
            .collect();
        stored.sort_by_key(|(_, (_, position, _))| *position);
        if page.order == PageOrder::Newest {
            stored.reverse();
        }
        let (more, mut frames) = (stored.len() > limit, 0);
        for (stream, (frame, position, _)) in stored.into_iter().take(limit) {
            let (position, stream, frame) = (*position, stream.clone(), frame.clone());
            let released = Released { request, index: frames, position, stream, frame };
            self.session.release_frame(released).expect("little is released");
            frames += 1;
        }
        self.session.end_release(ReleaseEnd {
            request,
            frames,
            more,
            partly: log.behaviour.partly,
        });
    }

    /// Whether it is permitted.
    fn decide(&mut self, log: &mut Log, request: RequestId, signed: &SignedAccessRequest) -> bool {
        let (position, time) = (log.next_position(), SystemClock.now());
        let (permitted, digest) = (!log.behaviour.refuse_access, signed.digest());
        let item = AccessItem { position, time, digest, permitted };
        let holder = self.holder();
        let receipt = log.receipt(holder, Items { accesses: vec![item], ..Items::default() });
        let group = receipt.receipt.group.group;
        self.session.acknowledge(receipt);
        let answer = AccessAnswer { request, digest, group, position, time, permitted };
        self.session.answer_access(answer);
        permitted
    }

    /// Role and name as the tests' certificates have them.
    fn holder(&self) -> Holder {
        let chain = self.connection.peer_identity().expect("a certificate");
        let chain: Box<Vec<rustls_pki_types::CertificateDer<'_>>> =
            chain.downcast().expect("certificates");
        let der = String::from_utf8_lossy(&chain[0]).into_owned();
        let known = [
            (Role::Gateway, "gw-01"),
            (Role::Practitioner, "dr-001"),
            (Role::Wallet, "wallet-1"),
            (Role::Operator, "operator-1"),
        ];
        let (role, name) = known.into_iter().find(|(_, name)| der.contains(name)).expect("known");
        Holder::new(role, name)
    }
}

async fn forward(lane: Lane, mut stream: RecvStream, sender: mpsc::Sender<(Lane, bytes::Bytes)>) {
    while let Ok(Some(chunk)) = stream.read_chunk(64 << 10, true).await {
        if sender.send((lane, chunk.bytes)).await.is_err() {
            return;
        }
    }
}
