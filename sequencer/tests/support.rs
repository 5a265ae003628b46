//! A node's folder with one patient, one monitor and one gateway, prepared without a running node.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, OnceLock};

use bodies::{BodyKeys, EntryPlace, KeyFolder, Places};
use client::{Key, KeyKind, Wallet};
use journal::{Admission, FileMedium, Genesis, Log, Recovery};
use l1_contracts::{Deployment, Edge};
use model::{
    Action, BatchNumber, ClaimKind, Clock, DeviceId, EpochNumber, GatewayId, Operation,
    OrganisationId, Party, PatientIndex, Rule, RuleSlot, Sequence, StreamHandle, SystemClock,
    limits,
};
use sequencer::disk::FreeSpace;
use sequencer::doors::config::Config;
use sequencer::folder::authority::{Authority, ClientDeployment};
use sequencer::folder::body_keys;
use sequencer::folder::layout::Layout;
use sequencer::folder::secrets::NodeSecret;
use sequencer::folder::store::Store;
use sequencer::node::recover::recover;
use sequencer::node::setup::{self, BaseChain, GenesisTerms};
use sequencer::node::{Listening, Node, NodeError, Provided};
use sequencer::stages::deliver::{DeliverConfig, ReceiptHub};
use sequencer::stages::ledger::{
    Answer, BodySeal, Deliver, EnrolmentSeal, Item, LedgerAdmission, LedgerConfig,
};
use sequencer::stages::notices::Poster;
use sequencer::stages::prove::{ProverKeys, Wanted};
use sequencer::stages::rows::CircuitRows;
use sequencer::window::ClosedWindow;
use statement::operation::SignedOperation;
use statement::scope;
use tempfile::TempDir;
use wire::{
    DeviceTime, Entry, Frame, FramePlace, Holder, Reading, Receipt, RegistryChange, RegistryRecord,
    Role, StreamKey,
};

const ECG: u32 = 131_328;
/// Signatures are valid this long.
const VALID_MS: u64 = 10 * 60 * 1000;

pub(crate) fn gateway() -> GatewayId {
    GatewayId::new("gateway").unwrap()
}

pub(crate) fn stream_key() -> StreamKey {
    let device = DeviceId::new("monitor").unwrap();
    StreamKey { device, patient: PatientIndex::new(12_345).unwrap(), signal: ECG }
}

pub(crate) fn registrar() -> Key {
    Key::from_secret(KeyKind::Registrar, [1; 32])
}

pub(crate) fn patient() -> Key {
    Key::from_secret(KeyKind::Patient, [2; 32])
}

/// Made once and kept for the next run: small circuits, the same for every test.
pub(crate) fn proving_keys_folder() -> PathBuf {
    // Cargo names its folder to tests in `tests/` only.
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tmp");
    Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or(beside)).join("proving-keys")
}

pub(crate) fn proving_keys() -> Arc<ProverKeys> {
    static KEYS: OnceLock<Arc<ProverKeys>> = OnceLock::new();
    let open = || ProverKeys::open(&proving_keys_folder(), Wanted::TEST, |_| {});
    KEYS.get_or_init(|| Arc::new(open().unwrap())).clone()
}

/// An initialised and deployed folder. Nothing has it open.
pub(crate) struct Site {
    dir: TempDir,
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) deployment: Deployment,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) space: Option<Arc<dyn FreeSpace>>,
    pub(crate) poster: Option<Poster>,
    pub(crate) wallet: Wallet,
}

impl Site {
    pub(crate) async fn new() -> Site {
        Site::with_clock(Arc::new(SystemClock)).await
    }

    pub(crate) async fn with_clock(clock: Arc<dyn Clock>) -> Site {
        let open = |layout: &Layout, config: &Config| {
            setup::open_chain(layout, config, clock.clone()).unwrap()
        };
        Site::on(clock.clone(), &proving_keys(), open).await
    }

    /// On the chain that is opened for it, with these keys.
    pub(crate) async fn on(
        clock: Arc<dyn Clock>,
        keys: &ProverKeys,
        open: impl FnOnce(&Layout, &Config) -> BaseChain,
    ) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("node"));
        let config = config();
        setup::init(&layout, &config, clock.now()).unwrap();
        let chain = open(&layout, &config);
        let terms = GenesisTerms { registrar: registrar().key_hash(), time: clock.now() };
        let deployment = setup::deploy(&layout, &chain, keys, terms).await;
        let deployment = deployment.unwrap();
        let wallet = Wallet::new(deployment.scope(), stream_key().patient);
        let (space, poster) = (None, None);
        let mut site = Site { dir, config, layout, deployment, clock, space, poster, wallet };
        site.onboard();
        site
    }

    /// Registers gateway and monitor, enrols the patient, and permits the monitor to collect.
    fn onboard(&mut self) {
        let authority = Authority::load(&self.layout.authority()).unwrap();
        let valid = setup::certificates_valid(self.clock.now());
        let issued = authority.issue_client(Role::Gateway, gateway().as_str(), valid).unwrap();
        let nowhere = ([127, 0, 0, 1], 0).into();
        let deployment =
            ClientDeployment::of_node(&self.deployment, nowhere, &self.config.ingest.server_names);
        let deployment = deployment.unwrap();
        issued.write_client(&self.identity(), &deployment).unwrap();
        let id = OrganisationId::new("hospital").unwrap();
        let organisation = id.clone();
        let StreamKey { device, patient, signal } = stream_key();
        let mut desk = self.desk();
        for record in [
            RegistryRecord::Organisation { id },
            RegistryRecord::Gateway {
                id: gateway(),
                organisation: organisation.clone(),
                fingerprint: issued.fingerprint(),
                valid,
            },
            RegistryRecord::Device {
                id: device,
                organisation,
                patient,
                signals: vec![signal],
                gateways: vec![gateway()],
            },
        ] {
            desk.submit(Item::Registry(RegistryChange::Add(record)));
        }
        self.enrol(&mut desk);
    }

    fn enrol(&mut self, desk: &mut Desk) {
        let operation = self.wallet.enrolment(&patient(), self.clock.now(), VALID_MS);
        let signed = self.sign(operation, &registrar());
        self.apply(&signed, &desk.submit(operation_item(&signed)));
        let rule = Rule::widest(
            Party::Named(scope::device(&stream_key().device)),
            ClaimKind::Collect.only(),
        );
        let signed = self.change(Action::Write { slot: RuleSlot::Permit(0), rule });
        self.apply(&signed, &desk.submit(operation_item(&signed)));
    }

    /// Signs a change of the patient's record.
    pub(crate) fn change(&self, action: Action) -> SignedOperation {
        let operation = self.wallet.change(action, self.clock.now(), VALID_MS).unwrap();
        self.sign(operation, &patient())
    }

    pub(crate) fn sign(&self, operation: Operation, key: &Key) -> SignedOperation {
        let domain = scope::sig_domain(self.deployment.scope());
        SignedOperation::sign(operation, domain, &key.signer())
    }

    /// The wallet takes an operation over as the node did.
    pub(crate) fn apply(&mut self, signed: &SignedOperation, answer: &Answer) {
        let Answer::OperationApplied { t_op, .. } = answer else {
            panic!("expected an operation that took effect, found {answer:?}")
        };
        self.wallet.apply(signed, *t_op, registrar().key_hash()).unwrap();
    }

    /// The folder of the gateway's certificate.
    pub(crate) fn identity(&self) -> PathBuf {
        self.dir.path().join("gateway")
    }

    /// A path beside the node's folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ledger_config(&self) -> LedgerConfig {
        LedgerConfig {
            scope: self.deployment.scope(),
            registrar_key_hash: self.deployment.registrar_key_hash().unwrap(),
            genesis_time: self.deployment.genesis_time().unwrap(),
            limits: self.config.window_limits(),
            cadence: self.config.cadence(),
            released_frames_max: self.config.ingest.released_frames_max,
            clock_skew_ms_max: self.config.ingest.clock_skew_ms_max,
            seal: EnrolmentSeal::new(&self.layout.secret(NodeSecret::Journal).unwrap()),
            bodies: self.body_seal(),
        }
    }

    /// The keys as they stand on the disk, beside whoever has their folder locked.
    pub(crate) fn body_seal(&self) -> BodySeal {
        let folder = body_keys::path(&self.layout, &self.config.keys.folder);
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).unwrap();
        let [keys, beside] =
            [&folder, self.layout.folder()].map(|at| Arc::new(KeyFolder::beside(at)));
        let keys = BodyKeys::open(Places { keys, beside }, self.config.keys.epoch_ms()).unwrap();
        BodySeal::new(keys, self.log_id())
    }

    fn log_id(&self) -> [u8; 16] {
        let id = self.layout.secret(NodeSecret::JournalId).unwrap();
        *id.first_chunk().unwrap()
    }

    /// Every entry of a journal, readings in the clear.
    pub(crate) fn entries(&self, log: &Log<FileMedium>) -> Vec<(u64, Entry)> {
        let (seal, mut all, mut entries) = (self.body_seal(), Vec::new(), log.iter_from(1));
        while let Some(found) = entries.next() {
            let (position, entry) = found.unwrap();
            let decoded = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
            let in_group = entries.in_group();
            let (salt, index, time) = (in_group.salt, in_group.index(position), entry.time);
            all.push((
                position,
                match decoded {
                    Entry::SealedFrame(sealed) => {
                        let place = EntryPlace { salt, index, time };
                        Entry::Frame(seal.open(&sealed, &place).unwrap())
                    }
                    entry => entry,
                },
            ));
        }
        all
    }

    /// The journal's first file, and the only one of a small journal.
    pub(crate) fn journal_file(&self) -> PathBuf {
        self.layout.journal().join("00000001.log")
    }

    /// The journal, as a node opens it.
    pub(crate) fn open_log(&self) -> (Log<FileMedium>, Recovery) {
        self.open_log_at(&self.layout.journal())
    }

    pub(crate) fn open_log_at(&self, path: &Path) -> (Log<FileMedium>, Recovery) {
        let log_id = self.log_id();
        let journal_hash = statement::journal::genesis(self.deployment.scope());
        Log::open(
            FileMedium::open(path).unwrap(),
            Genesis { log_id, journal_hash },
            journal::fault::salts(),
        )
        .unwrap()
    }

    /// What signs receipts, on a journal.
    pub(crate) fn hub(&self, log: &Log<FileMedium>) -> ReceiptHub {
        let key = setup::receipt_key(&self.layout).unwrap();
        let scope = self.deployment.scope();
        ReceiptHub::new(key, scope, log.reader(), &DeliverConfig::default())
            .with_bodies(self.body_seal())
    }

    /// Admission without a prover behind it.
    pub(crate) fn desk(&self) -> Desk {
        let (log, _) = self.open_log();
        let recovered = recover(&log, self.ledger_config(), BatchNumber(0)).unwrap();
        let admission = LedgerAdmission::new(recovered.ledger, Nowhere, recovered.close_group);
        Desk { log, admission, clock: self.clock.clone() }
    }

    pub(crate) fn chain(&self) -> BaseChain {
        setup::open_chain(&self.layout, &self.config, self.clock.clone()).unwrap()
    }

    pub(crate) async fn start_on(&self, chain: BaseChain) -> Result<Node, NodeError> {
        self.listen_on(chain).await?.start().await
    }

    /// A node that answers over HTTP and is not started yet.
    pub(crate) async fn listen_on(&self, chain: BaseChain) -> Result<Listening, NodeError> {
        let (folder, clock) = (self.layout.folder(), self.clock.clone());
        let (keys, space, poster) = (proving_keys(), self.space.clone(), self.poster.clone());
        Node::listen(folder, &self.config, Provided { chain, keys, clock, space, poster }).await
    }

    /// Starts the node, and opens a second door to its chain.
    pub(crate) async fn start(&self) -> (Node, Edge) {
        let chain = self.chain();
        let edge = Edge::connect(chain.provider.clone(), self.deployment.clone()).await.unwrap();
        (self.start_on(chain).await.unwrap(), edge)
    }

    /// What a start that must fail says.
    pub(crate) async fn start_error(&self) -> NodeError {
        match self.start_on(self.chain()).await {
            Err(error) => error,
            Ok(_) => panic!("expected the node to refuse to start"),
        }
    }

    /// The frame with this sequence, measured now.
    pub(crate) fn frame(&self, sequence: u64) -> Item {
        self.frame_of(sequence, 1)
    }

    /// As [`Self::frame`], of sixty kilobytes: seventeen of them fill a file of the journal.
    pub(crate) fn large_frame(&self, sequence: u64) -> Item {
        self.frame_of(sequence, 3_800)
    }

    fn frame_of(&self, sequence: u64, readings: usize) -> Item {
        let key = stream_key();
        let signal = key.signal().unwrap();
        let (handle, epoch) = (StreamHandle(1), EpochNumber(1));
        let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
        let reading = Reading::new(DeviceTime::from_millis(self.clock.now()), 72);
        let frame = Frame::encode_raw(place, signal, &vec![reading; readings]).unwrap();
        let measured = frame.check(signal).unwrap();
        Item::Frame { gateway: gateway(), key, frame, measured }
    }
}

/// Windows that only a test closes.
fn config() -> Config {
    let mut config = Config::default();
    prepare_small(&mut config);
    config.batch.close_after_ms = limits::WINDOW_MS_MAX - 1000;
    config
}

/// Free ports and small circuits.
pub(crate) fn prepare_small(config: &mut Config) {
    config.ingest.listen.set_port(0);
    config.http.listen.set_port(0);
    // What a machine of any size has memory for.
    config.ingest.limits.connections_max = 16;
    config.batch.operations_shape = "c1-test".into();
    config.batch.claims_shapes = ["c2-test", "c2-test-1"].map(String::from).into();
    config.prover.keys = Some(proving_keys_folder());
    // Other tests keep the cores busy, and in the background a proof would wait for all of them.
    config.prover.priority = "normal".into();
}

pub(crate) fn operation_item(signed: &SignedOperation) -> Item {
    let operation = wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
    Item::Operation { requester: Holder::new(Role::Operator, "admissions"), operation }
}

/// Nobody listens.
pub(crate) struct Nowhere;

impl Deliver for Nowhere {
    fn deliver_receipts(&mut self, _: Vec<Receipt>) {}
    fn deliver_window(&mut self, _: ClosedWindow) {}
}

/// Admission on the node's journal, one item a group; what is closed here stays unproven.
pub(crate) struct Desk {
    log: Log<FileMedium>,
    admission: LedgerAdmission<Nowhere>,
    clock: Arc<dyn Clock>,
}

impl Desk {
    /// Submits an item that must be accepted; an operation with its row evaluated.
    pub(crate) fn submit(&mut self, item: Item) -> Answer {
        let asked = match &item {
            Item::Operation { requester, operation } => Some((*requester, operation.clone())),
            _ => None,
        };
        match (self.admit(item), asked) {
            (Answer::Unevaluated(row), Some((requester, operation))) => {
                let row = Box::new(row.evaluate(&CircuitRows).unwrap());
                self.admit(Item::Evaluated { requester, operation, row })
            }
            (answer, _) => answer,
        }
    }

    /// Where the groups end in the journal's file.
    pub(crate) fn end(&self) -> usize {
        self.log.head().end as usize
    }

    fn admit(&mut self, item: Item) -> Answer {
        let mut group = self.log.builder(self.clock.now().get());
        let answer = self.admission.admit(group.now(), item, &mut group);
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
        if !group.is_empty() {
            let committed = self.log.append_built(group).unwrap();
            self.admission.committed(&committed);
        }
        answer
    }
}

/// The bytes of a journal's file up to the last that is not zero.
pub(crate) fn used(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|byte| *byte != 0);
    &bytes[..last.map_or(0, |last| last + 1)]
}

/// Batches 1 to `last` are settled, each once, each on the one before; the store says the same.
pub(crate) async fn check_settled(edge: &Edge, store: &Store, last: u64) {
    let settled = edge.settled_batches().await.unwrap();
    let numbers: Vec<u64> = settled.iter().map(|batch| batch.header.number.0).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    let mut time = edge.deployment().genesis_time().unwrap();
    let mut previous = scope::genesis_hash(edge.scope(), time);
    let mut root = statement::field::to_word(&statement::tree::EMPTY_ROOT);
    for batch in &settled {
        let header = &batch.header;
        assert_eq!((header.previous, header.root_in), (previous, root), "batch {header:?}");
        assert_eq!(header.window.t0(), time, "windows abut");
        let row = store.batch(header.number).unwrap().expect("a settled batch is stored");
        assert_eq!(row.header_hash, batch.header_hash);
        assert!(
            row.settled.is_some(),
            "batch {:?} of {last} is not settled for the store",
            header.number
        );
        (previous, root, time) = (batch.header_hash, header.root_out, header.window.t1());
    }
    let state = edge.state().await.unwrap();
    assert_eq!((state.number, state.head_hash), (last, previous));
    assert_eq!((state.root, state.last_t1), (root, time));
    assert_eq!(store.last_settled().unwrap(), BatchNumber(last));
    assert_eq!(store.last_assembled().unwrap().map(|(number, _)| number.0), Some(last));
}

/// Closes the open window and waits until it is settled; returns its number.
pub(crate) async fn close_and_settle(node: &Node) -> u64 {
    let number = node.status().window.0;
    node.submit(Item::Close).await.unwrap();
    node.wait_until_settled(number).await.unwrap();
    number
}

/// What a program said, which ended with this code and said these words.
#[track_caller]
pub(crate) fn check_output(output: &Output, code: i32, words: &str) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
    said
}

/// Whether the frame with this sequence opens for a node.
pub(crate) async fn opens(site: &Site, node: &Node, sequence: u64) -> bool {
    let answer = node.submit(site.frame(sequence)).await.unwrap();
    let Answer::FrameDuplicate { place, .. } = answer else { panic!("frame {sequence} is stored") };
    match node.entry(place.find().unwrap()).unwrap() {
        Entry::Frame(_) => true,
        Entry::SealedFrame(_) => false,
        other => panic!("expected a frame, found {other:?}"),
    }
}
