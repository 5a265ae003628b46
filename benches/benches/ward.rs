//! A ledger on a real log with patients who consented, and recordings to stream.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use journal::{Admission, FileMedium, Genesis, Log};
use model::{
    Action, ChainScope, ClaimKind, Clock, DeviceId, EpochNumber, Interval, Millis, Operation,
    Party, Rule, RuleSlot, Sequence, StreamHandle, SystemClock, Word,
};
use sequencer::stages::ledger::{
    Answer, BodySeal, Deliver, EnrolmentSeal, Item, Ledger, LedgerAdmission, LedgerConfig,
};
use sequencer::stages::rows::CircuitRows;
use sequencer::window::{Cadence, ClosedWindow, OperationScope, WindowLimits};
use statement::eddsa::SecretKey;
use statement::operation::SignedOperation;
use statement::{field, scope};
use tempfile::TempDir;
use wire::{
    DeviceTime, Frame, FramePlace, Holder, Reading, Receipt, RegistryChange, RegistryRecord,
    StreamKey,
};
use world::{Size, World};

const SEED: u64 = 7;

/// Hands on what the ledger delivers.
pub(crate) struct Delivery {
    receipts: mpsc::Sender<Vec<Receipt>>,
    windows: mpsc::Sender<ClosedWindow>,
}

impl Deliver for Delivery {
    fn deliver_receipts(&mut self, receipts: Vec<Receipt>) {
        // A bench that is over does not listen any more.
        let _ = self.receipts.send(receipts);
    }

    fn deliver_window(&mut self, window: ClosedWindow) {
        let _ = self.windows.send(window);
    }
}

/// The ward before its writer thread starts.
pub(crate) struct Ward {
    pub(crate) log: Log<FileMedium>,
    pub(crate) receipts: Receiver<Vec<Receipt>>,
    pub(crate) windows: Receiver<ClosedWindow>,
    pub(crate) cast: Cast,
    pub(crate) admission: LedgerAdmission<Delivery>,
    /// Removed with the ward.
    pub(crate) _folder: TempDir,
}

pub(crate) fn chain() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [7; 20] }
}

pub(crate) fn now() -> Millis {
    SystemClock.now()
}

fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn key_hash(key: &SecretKey) -> Word {
    field::to_word(&key.public().hash())
}

impl Ward {
    /// One gateway, and patients who are enrolled and let their devices collect, so many each.
    pub(crate) fn open(disk: &Path, patients: u32, devices: u32) -> Ward {
        let folder = tempfile::tempdir_in(disk).expect("a folder to write in");
        let medium = FileMedium::open(&folder.path().join("log")).expect("a new file");
        let genesis = Genesis { log_id: [5; 16], journal_hash: [6; 32] };
        let (log, _) = Log::open(medium, genesis, journal::fault::salts()).expect("an empty log");
        let ((receipts_in, receipts), (windows_in, windows)) = (mpsc::channel(), mpsc::channel());
        let delivery = Delivery { receipts: receipts_in, windows: windows_in };
        let ledger = Ledger::new(LedgerConfig {
            scope: chain(),
            registrar_key_hash: key_hash(&registrar()),
            genesis_time: now(),
            limits: WindowLimits::default(),
            cadence: Cadence::fixed(60_000),
            released_frames_max: 100,
            clock_skew_ms_max: 60_000,
            seal: EnrolmentSeal::new(&[9; 32]),
            bodies: BodySeal::new(bodies::fault::keys(), [5; 16]),
        });
        let admission = LedgerAdmission::new(ledger, delivery, 0);
        let mut ward = Ward {
            log,
            receipts,
            windows,
            cast: Cast::new(patients, devices),
            admission,
            _folder: folder,
        };
        ward.register();
        (0..ward.cast.patients()).for_each(|patient| ward.consent(patient));
        ward
    }

    pub(crate) fn operation_scope(&self) -> OperationScope {
        *self.admission.ledger().operation_scope()
    }

    /// Admits one item as a group of its own.
    pub(crate) fn submit(&mut self, item: Item) -> Answer {
        let now = now().get();
        let mut group = self.log.builder(now);
        let answer = self.admission.admit(now, item, &mut group);
        if !group.is_empty() {
            let committed = self.log.append_built(group).expect("a disk with room");
            self.admission.committed(&committed);
        }
        answer
    }

    /// Closes the window and hands it over.
    pub(crate) fn close(&mut self) -> ClosedWindow {
        assert!(matches!(self.submit(Item::Close), Answer::Closed));
        self.windows.try_recv().expect("a closed window is delivered")
    }

    fn register(&mut self) {
        let organisation = self.cast.world.organisations[0].clone();
        let (id, valid) = (self.cast.world.gateways[0].id.clone(), Interval::ALWAYS);
        let mut records = vec![
            RegistryRecord::Organisation { id: organisation.clone() },
            RegistryRecord::Gateway {
                id,
                organisation: organisation.clone(),
                fingerprint: [9; 32],
                valid,
            },
        ];
        records.extend((0..self.cast.streams()).map(|stream| {
            let StreamKey { device, patient, signal } = self.cast.key(stream);
            RegistryRecord::Device {
                id: device,
                organisation: organisation.clone(),
                patient,
                signals: vec![signal],
                gateways: vec![self.cast.world.gateways[0].id.clone()],
            }
        }));
        for record in records {
            let answer = self.submit(Item::Registry(RegistryChange::Add(record)));
            assert!(matches!(answer, Answer::RegistryChanged { .. }), "{answer:?}");
        }
    }

    fn consent(&mut self, patient: usize) {
        let key = SecretKey::from_bytes(&self.cast.world.patients[patient].secret);
        let (view_key, salt) = (Word::from_u64(11), Word::from_u64(12));
        let enrol = Action::Enrol { key_hash: key_hash(&key), view_key, salt };
        self.operate(patient, enrol, &registrar());
        let rule = Rule::widest(Party::Any, ClaimKind::Collect.only());
        self.operate(patient, Action::Write { slot: RuleSlot::Permit(0), rule }, &key);
    }

    fn operate(&mut self, patient: usize, action: Action, key: &SecretKey) {
        let operation = Operation {
            patient: self.cast.world.patients[patient].index,
            nonce: 0,
            signed_at: now(),
            valid_until: now().plus(60_000),
            action,
        };
        let signed = SignedOperation::sign(operation, scope::sig_domain(chain()), key);
        let operation = wire::SignedOperation::new(signed.to_bytes().to_vec());
        let operation = operation.expect("an operation fits a message");
        let requester = Holder([1; 32]);
        let asked = Item::Operation { requester, operation: operation.clone() };
        let Answer::Unevaluated(row) = self.submit(asked) else { panic!("the rules hold") };
        let row = Box::new(row.evaluate(&CircuitRows).expect("the circuit agrees"));
        let answer = self.submit(Item::Evaluated { requester, operation, row });
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    }
}

/// Who sends, and where each stream stands: those of the first patient's devices, then the next's.
pub(crate) struct Cast {
    world: World,
    devices: usize,
    sequences: Vec<u64>,
}

impl Cast {
    fn new(patients: u32, devices: u32) -> Cast {
        let world = World::new(SEED, Size { patients, gateways: 1, practitioners: 1 });
        Cast { world, devices: devices as usize, sequences: vec![0; (patients * devices) as usize] }
    }

    fn patients(&self) -> usize {
        self.sequences.len() / self.devices
    }

    pub(crate) fn streams(&self) -> usize {
        self.sequences.len()
    }

    /// The world gives each patient one device; those beside it are like it.
    fn key(&self, stream: usize) -> StreamKey {
        let found = &self.world.patients[stream / self.devices];
        let device = &self.world.devices[found.device];
        let id = match stream % self.devices {
            0 => device.id.clone(),
            number => DeviceId::new(&format!("{}-{number}", device.id)).expect("a longer name"),
        };
        StreamKey { device: id, patient: found.index, signal: device.signals[0].code }
    }

    /// The next frames, of each stream in turn, as they come off the wire.
    pub(crate) fn frames(&mut self, count: usize, readings: usize) -> Vec<(StreamKey, Bytes)> {
        (0..count).map(|n| self.frame(n % self.streams(), readings)).collect()
    }

    fn frame(&mut self, stream: usize, readings: usize) -> (StreamKey, Bytes) {
        let key = self.key(stream);
        let signal = key.signal().expect("a signal of the table");
        let samples = &world::recording(signal.name).expect("a shipped recording").samples;
        self.sequences[stream] += 1;
        let sequence = self.sequences[stream];
        let at = DeviceTime::from_millis(now());
        let first = (sequence as usize * readings) % (samples.len() - readings);
        let played = &samples[first..first + readings];
        let readings: Vec<_> = played.iter().map(|value| Reading::new(at, *value)).collect();
        let place = FramePlace {
            handle: StreamHandle(1),
            epoch: EpochNumber(1),
            sequence: Sequence(sequence),
        };
        let frame = Frame::encode_raw(place, signal, &readings);
        (key, frame.expect("a recording is in range").as_bytes().clone())
    }

    /// What a session makes of received bytes: decoded, every reading checked.
    pub(crate) fn item(&self, key: StreamKey, bytes: Bytes) -> Item {
        let frame = Frame::from_bytes(bytes).expect("a whole frame");
        let signal = key.signal().expect("a signal of the table");
        let measured = frame.check(signal).expect("readings in range and order");
        Item::Frame { gateway: self.world.gateways[0].id.clone(), key, frame, measured }
    }
}
