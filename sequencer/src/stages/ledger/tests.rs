mod bodies;
mod clocks;
mod counts;
mod erasures;
mod floods;
mod guess;
mod mixes;
mod operations;
mod pages;
mod queries;
mod rehearsal;
mod second_form;
mod state;
mod windows;

use std::sync::{Arc, LazyLock, Mutex};

use ::bodies::{BodyKeys, EntryPlace};
use circuits::shapes::Shape;
use journal::{Admission, FileMedium, Genesis, InGroup, Log};
use model::{
    Action, Categories, Category, ChainScope, ClaimKind, DeviceId, EpochNumber, GatewayId,
    Interval, Labels, Millis, Operation, OrganisationId, Party, PatientIndex, Position,
    PractitionerId, Purpose, Purposes, RejectCode, Rule, RuleNumber, RuleSlot, Sequence,
    StreamHandle, Uncovered, Word, limits,
};
use statement::batch::Requester;
use statement::eddsa::{self, SecretKey};
use statement::operation::SignedOperation;
use statement::{field, scope};
use wire::{
    AccessKind, AccessRequest, Descriptor, DeviceTime, Entry, Frame, FramePlace, Holder, Mark,
    Page, Reading, Receipt, RefusalReason, RefusedKind, RegistryChange, RegistryKey,
    RegistryRecord, SignedAccessRequest, Source, StreamKey,
};

use super::*;
use crate::stages::batch::{BatchBinding, PlanError, plan};
use crate::stages::rows::CircuitRows;
use crate::window::{Cadence, Capacities, ClosedWindow, WindowLimits};

const T0: u64 = 4_000_000_000_000;
const ECG: u32 = 131_328;

#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<(Vec<Receipt>, Vec<ClosedWindow>)>>);

impl Deliver for Delivered {
    fn deliver_receipts(&mut self, receipts: Vec<Receipt>) {
        self.0.lock().unwrap().0.extend(receipts);
    }

    fn deliver_window(&mut self, window: ClosedWindow) {
        self.0.lock().unwrap().1.push(window);
    }
}

/// A ledger on a real log, fed one item a group.
struct Ward {
    _dir: tempfile::TempDir,
    log: Log<FileMedium>,
    admission: LedgerAdmission<Delivered>,
    delivered: Delivered,
    now: u64,
    nonce: u32,
    sequence: u64,
}

fn ledger_config() -> LedgerConfig {
    LedgerConfig {
        scope: ChainScope { chain_id: 31337, contract: [7; 20] },
        registrar_key_hash: key_hash(&registrar()),
        genesis_time: at(T0),
        limits: WindowLimits::default(),
        cadence: Cadence::new(60_000, 3_600_000),
        released_frames_max: 100,
        clock_skew_ms_max: 60_000,
        seal: EnrolmentSeal::new(&[9; 32]),
        bodies: body_seal(),
    }
}

/// The same keys for every ledger of the process: what one sealed another opens.
fn body_seal() -> BodySeal {
    static KEYS: LazyLock<BodyKeys> = LazyLock::new(::bodies::fault::keys);
    BodySeal::new(KEYS.clone(), [5; 16])
}

/// A stored entry, its readings in the clear.
fn read_back(entry: &journal::Entry, position: u64, in_group: InGroup) -> Entry {
    let decoded = Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
    let Entry::SealedFrame(sealed) = decoded else { return decoded };
    let (salt, index, time) = (in_group.salt, in_group.index(position), entry.time);
    Entry::Frame(body_seal().open(&sealed, &EntryPlace { salt, index, time }).unwrap())
}

fn at(ms: u64) -> Millis {
    Millis::new(ms).unwrap()
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

fn gateway() -> GatewayId {
    GatewayId::new("gateway").unwrap()
}

fn device() -> DeviceId {
    DeviceId::new("monitor").unwrap()
}

fn doctor() -> PractitionerId {
    PractitionerId::new("dr").unwrap()
}

fn stream_key() -> StreamKey {
    StreamKey { device: device(), patient: patient(), signal: ECG }
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

fn collect_rule() -> Rule {
    rule(scope::device(&device()), ClaimKind::Collect)
}

/// The monitor, in the hands of these gateways.
fn device_of(gateways: Vec<GatewayId>) -> RegistryRecord {
    let (id, organisation) = (device(), hospital());
    RegistryRecord::Device { id, organisation, patient: patient(), signals: vec![ECG], gateways }
}

impl Ward {
    /// Registry filled, patient enrolled with a permit to collect and one to read.
    fn open() -> Ward {
        Ward::with(ledger_config())
    }

    /// The same, of a ledger that is bound otherwise.
    fn with(config: LedgerConfig) -> Ward {
        let dir = tempfile::tempdir().unwrap();
        let medium = FileMedium::open(&dir.path().join("log")).unwrap();
        let genesis = Genesis { log_id: [5; 16], journal_hash: [6; 32] };
        let (log, _) = Log::open(medium, genesis, journal::fault::salts()).unwrap();
        let delivered = Delivered::default();
        let admission = LedgerAdmission::new(Ledger::new(config), delivered.clone(), 0);
        let (now, nonce, sequence) = (T0 + 1000, 0, 0);
        let mut ward = Ward { _dir: dir, log, admission, delivered, now, nonce, sequence };
        ward.register();
        let enrol = Action::Enrol {
            key_hash: key_hash(&patient_key()),
            view_key: Word::from_u64(11),
            salt: Word::from_u64(12),
        };
        ward.operate(enrol, &registrar());
        ward.permit(0, collect_rule());
        ward.permit(1, rule(scope::practitioner(&doctor()), ClaimKind::Access));
        ward
    }

    fn register(&mut self) {
        let valid = Interval::ALWAYS;
        let public_key = practitioner_key().public().encode();
        for record in [
            RegistryRecord::Organisation { id: hospital() },
            RegistryRecord::Gateway {
                id: gateway(),
                organisation: hospital(),
                fingerprint: [9; 32],
                valid,
            },
            device_of(vec![gateway()]),
            RegistryRecord::Practitioner {
                id: doctor(),
                organisation: hospital(),
                public_key,
                fingerprint: [7; 32],
                valid,
            },
        ] {
            self.add(record);
        }
    }

    fn add(&mut self, record: RegistryRecord) {
        let answer = self.submit(Item::Registry(RegistryChange::Add(record)));
        assert!(matches!(answer, Answer::RegistryChanged { .. }), "{answer:?}");
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor { key: stream_key(), period: None, epoch: EpochNumber(0) }
    }

    fn submit(&mut self, item: Item) -> Answer {
        self.now += 1;
        let mut group = self.log.builder(self.now);
        let answer = self.admission.admit(self.now, item, &mut group);
        if !group.is_empty() {
            let committed = self.log.append_built(group).unwrap();
            self.admission.committed(&committed);
        }
        answer
    }

    fn sign_for(&self, patient: PatientIndex, action: Action, key: &SecretKey) -> SignedOperation {
        let operation = Operation {
            patient,
            nonce: self.nonce,
            signed_at: at(self.now),
            valid_until: at(self.now + 60_000),
            action,
        };
        SignedOperation::sign(operation, scope::sig_domain(ledger_config().scope), key)
    }

    /// The next operation, with the record's nonce.
    fn signed(&self, action: Action, key: &SecretKey) -> wire::SignedOperation {
        let signed = self.sign_for(patient(), action, key);
        wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap()
    }

    /// Submits an operation, with its row evaluated by the circuit.
    fn submit_signed(&mut self, operation: wire::SignedOperation) -> Answer {
        let requester = Holder([1; 32]);
        match self.submit(Item::Operation { requester, operation: operation.clone() }) {
            Answer::Unevaluated(row) => {
                let row = Box::new(row.evaluate(&CircuitRows).expect("the circuit agrees"));
                self.submit(Item::Evaluated { requester, operation, row })
            }
            answer => answer,
        }
    }

    fn entry(&self, position: Position) -> Entry {
        let mut entries = self.log.iter_from(position.0);
        let (_, stored) = entries.next().unwrap().unwrap();
        read_back(&stored, position.0, entries.in_group())
    }

    /// Every entry, readings in the clear.
    fn entries(&self) -> Vec<(Position, Millis, Entry)> {
        let (mut all, mut entries) = (Vec::new(), self.log.iter_from(1));
        while let Some(found) = entries.next() {
            let (position, entry) = found.unwrap();
            let decoded = read_back(&entry, position, entries.in_group());
            all.push((Position(position), at(entry.time), decoded));
        }
        all
    }

    fn open_epoch(&mut self, epoch: u16) -> Answer {
        let descriptor = Descriptor { epoch: EpochNumber(epoch), ..self.descriptor() };
        self.submit(Item::OpenStream { gateway: gateway(), descriptor })
    }

    fn operate(&mut self, action: Action, key: &SecretKey) -> Answer {
        let enrols = matches!(action, Action::Enrol { .. });
        let operation = self.signed(action, key);
        let answer = self.submit_signed(operation);
        if matches!(answer, Answer::OperationApplied { .. }) && !enrols {
            self.nonce += 1;
        }
        answer
    }

    fn permit(&mut self, slot: u8, rule: Rule) {
        let action = Action::Write { slot: RuleSlot::Permit(slot), rule };
        let answer = self.operate(action, &patient_key());
        assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    }

    /// The rule as it stands on record, with its stored start.
    fn on_record(&self, slot: RuleSlot) -> Rule {
        *self.ledger().consent().record(patient()).unwrap().rule(slot).unwrap()
    }

    fn ledger(&self) -> &Ledger {
        self.admission.ledger()
    }

    fn frame(&mut self, sequence: u64) -> Answer {
        let frame = self.frame_item(sequence);
        self.submit(frame)
    }

    fn frame_item(&self, sequence: u64) -> Item {
        self.frame_item_of(stream_key(), EpochNumber(0), sequence)
    }

    fn frame_item_of(&self, key: StreamKey, epoch: EpochNumber, sequence: u64) -> Item {
        let start = DeviceTime::from_millis(at(self.now));
        let readings = [Reading::new(start, 5), Reading::new(start, -7)];
        let place = FramePlace { handle: StreamHandle(1), epoch, sequence: Sequence(sequence) };
        let signal = key.signal().unwrap();
        let frame = Frame::encode_raw(place, signal, &readings).unwrap();
        let measured = frame.check(signal).unwrap();
        Item::Frame { gateway: gateway(), key, frame, measured }
    }

    fn next_frame(&mut self) -> Answer {
        self.sequence += 1;
        self.frame(self.sequence)
    }

    fn request(&mut self, nonce: u64, key: &SecretKey) -> Answer {
        self.request_of(patient(), nonce, key)
    }

    fn request_of(&mut self, patient: PatientIndex, nonce: u64, key: &SecretKey) -> Answer {
        let request = self.signed_request(patient, nonce, key);
        self.ask(request, Page::FIRST)
    }

    fn ask(&mut self, request: AuthenticRequest, page: Page) -> Answer {
        self.submit(Item::Access { practitioner: doctor(), request, page })
    }

    fn signed_request(
        &self,
        patient: PatientIndex,
        nonce: u64,
        key: &SecretKey,
    ) -> AuthenticRequest {
        let request = AccessRequest {
            scope: ledger_config().scope,
            patient,
            practitioner: doctor(),
            organisation: hospital(),
            care_team: None,
            source: Source::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::Treatment,
            labels: Labels::ALL,
            data: Interval::ALWAYS,
            requested_at: at(self.now),
            valid_until: at(self.now + 60_000),
            nonce,
            kind: AccessKind::Access { reason: wire::Reason::new("").unwrap() },
        };
        sign_request(request, key)
    }

    fn close(&mut self) -> ClosedWindow {
        assert!(matches!(self.submit(Item::Close), Answer::Closed));
        self.delivered.0.lock().unwrap().1.pop().expect("a closed window")
    }
}

fn sign_request(request: AccessRequest, key: &SecretKey) -> AuthenticRequest {
    let message = request.signing_hash().unwrap().word().to_bytes();
    let signature = eddsa::sign(key, field::from_bytes(&message).unwrap());
    let signed =
        SignedAccessRequest::new(request, key.public().encode(), signature.encode()).unwrap();
    AuthenticRequest::verify(Box::new(signed)).unwrap()
}

fn capacities() -> Capacities {
    let named = |name| Shape::named(name).unwrap();
    let claims = ["c2-17", "c2-17-2", "c2-17-1"].map(named);
    Capacities::of_shapes(named("c1-17"), &claims).unwrap()
}

fn binding(ward: &Ward) -> BatchBinding {
    let (scope, operations) = (ledger_config().scope, *ward.ledger().operation_scope());
    let key_version = model::BatchHeader::KEY_VERSION;
    BatchBinding { scope, operations, key_version, edge_secret: [0; 32] }
}

/// The window can be proven: every chunk holds natively.
fn check_provable(ward: &Ward, window: &ClosedWindow) -> crate::stages::batch::BatchPlan {
    let binding = binding(ward);
    // One more than the contract takes would be proven for nothing.
    let mut long = (*window.contents).clone();
    long.position_out = Position(long.position_in.0 + (1 << 28));
    let refused = plan(&long, &binding, &capacities());
    assert!(matches!(refused, Err(PlanError::Positions { found: 0x1000_0000 })));
    plan(&window.contents, &binding, &capacities()).expect("provable")
}

#[test]
fn a_streamed_window_is_acknowledged_and_provable() {
    let mut ward = Ward::open();
    for _ in 0..5 {
        assert!(matches!(ward.next_frame(), Answer::FrameStored));
    }
    let window = ward.close();
    let plan = check_provable(&ward, &window);
    let contents = &window.contents;
    assert_eq!((contents.operations.len(), contents.claims.len()), (3, 1));
    assert_eq!((plan.operations.len(), plan.claims.len()), (1, 1));
    assert_eq!(contents.segments[0].digest, contents.claims[0].digest);
    let frames: usize = {
        let delivered = ward.delivered.0.lock().unwrap();
        delivered.0.iter().map(|receipt| receipt.items().frames.len()).sum()
    };
    assert_eq!(frames, 5);
}

#[test]
fn a_revocation_stops_the_stream_at_the_next_append_and_the_window_stays_provable() {
    let mut ward = Ward::open();
    ward.next_frame();
    let (slot, rule) = (RuleSlot::Permit(0), ward.on_record(RuleSlot::Permit(0)));
    let answer = ward.operate(Action::Revoke { slot, rule }, &patient_key());
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    let Answer::Refused(refused) = ward.next_frame() else { panic!("expected a refusal") };
    assert_eq!(refused.code, RejectCode::NotPermitted);
    assert_eq!(refused.rule, Some(RuleNumber::c2(6)));
    let halted = ward.frame(2);
    assert!(matches!(halted, Answer::Refused(_)), "a halted stream stays halted");
    let window = ward.close();
    check_provable(&ward, &window);
    assert_eq!(window.contents.claims.len(), 1);
}

#[test]
fn a_permitted_access_releases_the_frames_asked_for() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.next_frame();
    let Answer::AccessDecided { decision, frames, .. } = ward.request(1, &practitioner_key())
    else {
        panic!("expected a decision")
    };
    assert_eq!(decision, Ok(RuleSlot::Permit(1)));
    assert_eq!(frames.expect("a permitted request").find().unwrap().positions.len(), 2);
}

#[test]
fn a_request_is_taken_once_and_only_from_its_signer() {
    let mut ward = Ward::open();
    ward.request(7, &practitioner_key());
    let Answer::Refused(again) = ward.request(7, &practitioner_key()) else { panic!("replayed") };
    assert_eq!(again.code, RejectCode::Nonce);
    let Answer::Refused(forged) = ward.request(8, &patient_key()) else { panic!("forged") };
    assert_eq!(forged.code, RejectCode::Signature);
}

#[test]
fn the_writer_takes_what_the_check_of_a_frames_readings_found() {
    let mut ward = Ward::open();
    let Item::Frame { gateway, key, frame, measured } = ward.frame_item(1) else { panic!("one") };
    // Other than the readings say: whoever looked at them again would find that out.
    let measured = Interval { until: measured.until.plus(777), ..measured };
    let answer = ward.submit(Item::Frame { gateway, key, frame, measured });
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    assert_eq!(ward.close().contents.claims[0].measured, measured);
}

#[test]
fn gaps_and_duplicates_are_told_apart() {
    let mut ward = Ward::open();
    ward.next_frame();
    assert!(matches!(ward.frame(1), Answer::FrameDuplicate { .. }));
    let Answer::Refused(gap) = ward.frame(3) else { panic!("expected a gap") };
    assert_eq!(gap.code, RejectCode::Gap);
    let unknown = Descriptor {
        key: StreamKey { device: DeviceId::new("other").unwrap(), ..stream_key() },
        period: None,
        epoch: EpochNumber(0),
    };
    let answer = ward.submit(Item::OpenStream { gateway: gateway(), descriptor: unknown });
    assert!(matches!(answer, Answer::Refused(Refusal { code: RejectCode::Stream, .. })));
}

#[test]
fn a_device_belongs_to_its_gateways_and_not_to_their_organisation() {
    let mut ward = Ward::open();
    let other = GatewayId::new("gateway-2").unwrap();
    ward.add(RegistryRecord::Gateway {
        id: other.clone(),
        organisation: hospital(),
        fingerprint: [8; 32],
        valid: Interval::ALWAYS,
    });
    let (descriptor, key) = (ward.descriptor(), stream_key());
    let open = |gateway: &GatewayId| Item::OpenStream {
        gateway: gateway.clone(),
        descriptor: descriptor.clone(),
    };
    let Item::Frame { frame, measured, .. } = ward.frame_item(1) else { panic!("a frame") };
    let sent = Item::Frame { gateway: other.clone(), key, frame, measured };
    for (item, code) in [(open(&other), RejectCode::Stream), (sent, RejectCode::Identity)] {
        let Answer::Refused(refusal) = ward.submit(item) else { panic!("taken") };
        assert_eq!(refusal.code, code);
    }
    assert!(matches!(ward.next_frame(), Answer::FrameStored));
    // With both named, either may send.
    ward.add(device_of(vec![gateway(), other.clone()]));
    for gateway in [&gateway(), &other] {
        assert!(matches!(ward.submit(open(gateway)), Answer::StreamOpened { .. }));
    }
}

#[test]
fn a_record_that_names_nothing_registered_is_refused_and_says_what_to_add() {
    let mut ward = Ward::open();
    let nowhere = || OrganisationId::new("nowhere").unwrap();
    let valid = Interval::ALWAYS;
    let stranger = GatewayId::new("stranger").unwrap();
    let public_key = practitioner_key().public().encode();
    for (record, words) in [
        (
            RegistryRecord::Gateway {
                id: stranger.clone(),
                organisation: nowhere(),
                fingerprint: [8; 32],
                valid,
            },
            "the organisation of this gateway",
        ),
        (
            RegistryRecord::Practitioner {
                id: doctor(),
                organisation: nowhere(),
                public_key,
                fingerprint: [7; 32],
                valid,
            },
            "the organisation of this practitioner",
        ),
        (device_of(vec![gateway(), stranger]), "gateway 2 of 2 is not"),
    ] {
        let answer = ward.submit(Item::Registry(RegistryChange::Add(record)));
        let Answer::Refused(refusal) = answer else { panic!("expected {words:?}") };
        assert!(refusal.detail.contains(words), "{}", refusal.detail);
    }
    // What the registry holds already is as it was.
    assert!(matches!(ward.next_frame(), Answer::FrameStored));
}

#[test]
fn a_group_is_readable_when_it_is_durable_and_not_before() {
    let mut ward = Ward::open();
    let view = ward.admission.view();
    let before = view.status();
    let end = RegistryChange::End { key: RegistryKey::Gateway(gateway()), at: at(ward.now) };
    let frame = ward.frame_item(1);
    let mut group = ward.log.builder(ward.now);
    for item in [frame, Item::Registry(end), Item::Close] {
        let answer = ward.admission.admit(ward.now, item, &mut group);
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    let is_registered = || view.registry().gateway(&gateway(), at(ward.now + 1)).is_some();
    assert_eq!((view.marks(&gateway()), view.status(), is_registered()), (vec![], before, true));
    let committed = ward.log.append_built(group).unwrap();
    ward.admission.committed(&committed);
    let mark = Mark { stream: stream_key().name(EpochNumber(0)), durable: Sequence(1) };
    assert_eq!((view.marks(&gateway()), is_registered()), (vec![mark], false));
    assert_eq!(view.status().window.0, before.window.0 + 1);
    assert!(view.status().window_is_empty);
}

#[test]
fn the_state_is_a_fold_of_the_journal() {
    let mut ward = Ward::open();
    ward.next_frame();
    ward.request(1, &practitioner_key());
    let first = ward.close();
    ward.next_frame();
    ward.operate(Action::Stop, &patient_key());
    ward.next_frame();
    let mut again = Ledger::new(ledger_config());
    let mut closed = Vec::new();
    for (position, time, entry) in ward.entries() {
        closed.extend(again.absorb(&entry, position, time).unwrap());
    }
    assert_eq!(again.consent().root(), ward.ledger().consent().root());
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].claims, first.contents.claims);
    assert_eq!(closed[0].segments, first.contents.segments);
    assert_eq!(closed[0].root_out, first.contents.root_out);
    let (live, folded) = (ward.admission.view(), view::LedgerView::of_durable(&again));
    assert_eq!(folded.status(), live.status());
    assert_eq!(folded.marks(&gateway()), live.marks(&gateway()));
    assert_eq!(live.marks(&gateway()).len(), 1);
}
