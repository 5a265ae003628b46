//! One sample of everything that has canonical bytes, and a seeded generator.

use model::{
    BatchNumber, Categories, Category, ChainScope, Claim, ClaimKind, DeviceId, Digest, EpochNumber,
    GatewayId, Interval, Label, Millis, OperatorId, OrganisationId, Party, PatientIndex, Position,
    PractitionerId, Purpose, RejectCode, RuleNumber, RuleSlot, Sequence, StreamHandle, Uncovered,
    WalletId, Word,
};
use wire::*;

pub(crate) const ECG: u32 = 131328;
pub(crate) const HEART_RATE: u32 = 147842;

/// A small generator: the same seed gives the same numbers on every platform (splitmix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

pub(crate) fn at(ms: u64) -> Millis {
    Millis::new(4_004_288_800_000 + ms).expect("before 2457")
}

pub(crate) fn scope() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [0x11; 20] }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_slice(&[0x42; 32]).expect("a scalar")
}

pub(crate) fn gateway() -> GatewayId {
    GatewayId::new("gw-01").expect("a name")
}

pub(crate) fn stream_key(device: &str, signal: u32) -> StreamKey {
    let device = DeviceId::new(device).expect("a name");
    StreamKey { device, patient: PatientIndex::new(7).expect("small"), signal }
}

pub(crate) fn descriptor(device: &str, signal: u32, epoch: u16) -> Descriptor {
    let period = Some(Period::new(1_000_000_000, 360).expect("above zero"));
    Descriptor { key: stream_key(device, signal), period, epoch: EpochNumber(epoch) }
}

pub(crate) fn readings(seed: u64, count: usize) -> Vec<Reading> {
    let start = DeviceTime::from_millis(at(0)).micros() + seed * 1000;
    let time = |i: usize| DeviceTime::from_micros(start + 2778 * i as u64).expect("before 2457");
    (0..count).map(|i| Reading::new(time(i), (seed as i32 % 1000) + i as i32)).collect()
}

pub(crate) fn frame(handle: u32, sequence: u64, count: usize) -> Frame {
    let (epoch, sequence) = (EpochNumber(1), Sequence(sequence));
    let place = FramePlace { handle: StreamHandle(handle), epoch, sequence };
    let signal = model::signal_by_code(ECG).expect("ecg is known");
    Frame::encode_raw(place, signal, &readings(sequence.0, count)).expect("valid readings")
}

/// Readings 1/360 s apart, the sensor off in the middle and an alarm behind it.
pub(crate) fn steady_readings(count: u64) -> Vec<Reading> {
    let start = DeviceTime::from_millis(at(0)).micros();
    let time = |i: u64| DeviceTime::from_micros(start + (i * 25_000 + 4) / 9).expect("before 2457");
    let reading = |i: u64| match (i * 10) / count {
        4 => Reading::sensor_off(time(i)),
        5 => Reading { quality: Quality::ALARM, ..Reading::new(time(i), -300) },
        _ => Reading::new(time(i), (i as i32 * 37) % 100),
    };
    (0..count).map(reading).collect()
}

/// A frame of a codec, at the period of [`descriptor`].
pub(crate) fn laid_out(codec: Codec, sequence: u64, readings: &[Reading]) -> Frame {
    let (handle, epoch) = (StreamHandle(5), EpochNumber(1));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    let signal = model::signal_by_code(ECG).expect("ecg is known");
    let layout = Layout { codec: Some(codec), period: descriptor("monitor-1", ECG, 1).period };
    Frame::encode(place, signal, readings, layout).expect("valid readings")
}

pub(crate) fn access_request() -> AccessRequest {
    AccessRequest {
        scope: scope(),
        patient: PatientIndex::new(7).expect("small"),
        practitioner: PractitionerId::new("dr-x").expect("a name"),
        organisation: OrganisationId::new("ward-3").expect("a name"),
        care_team: Some(CareTeamId::new("night-team").expect("a name")),
        source: Source::Device(DeviceId::new("monitor-1").expect("a name")),
        categories: Category::Ecg.only().with(Category::Spo2.only()),
        purpose: Purpose::EmergencyTreatment,
        labels: Label::Normal.only(),
        data: Interval::new(at(0), at(60_000)).expect("not empty"),
        requested_at: at(61_000),
        valid_until: at(91_000),
        nonce: 99,
        kind: AccessKind::BreakGlass { reason: Reason::new("no pulse").expect("short") },
    }
}

pub(crate) fn signed_request() -> SignedAccessRequest {
    SignedAccessRequest::new(access_request(), [3; 32], [4; 64]).expect("a request")
}

pub(crate) fn receipt() -> SignedReceipt {
    let placed = placed(entries());
    let group = GroupIdentity { scope: scope(), group: 3, term: 2, journal_hash: [9; 32] };
    let mut receipts = receipts_of_group(group, &placed).expect("few items");
    let receipt = receipts.remove(&Holder::gateway(&gateway())).expect("a receipt");
    receipt.sign(&key())
}

/// Entries from position 10 on, a millisecond apart.
pub(crate) fn placed(entries: Vec<Entry>) -> Vec<PlacedEntry> {
    let placed = (0u64..).zip(entries);
    let placed =
        placed.map(|(i, entry)| PlacedEntry { position: Position(10 + i), time: at(i), entry });
    placed.collect()
}

pub(crate) fn operation() -> SignedOperation {
    SignedOperation::new(vec![5; 219]).expect("short")
}

fn sealed_operation() -> SealedOperation {
    SealedOperation::new(Digest([8; 31]), vec![9; 259]).expect("short")
}

fn erasure() -> SignedErasure {
    let request = ErasureRequest {
        scope: ChainScope { chain_id: 31_337, contract: [7; 20] },
        patient: PatientIndex::new(7).expect("small"),
        nonce: 3,
        requested_at: at(0),
        valid_until: at(1000),
    };
    SignedErasure { request, public_key: [2; 32], signature: [3; 64] }
}

pub(crate) fn frame_entry() -> FrameEntry {
    FrameEntry::new(gateway(), stream_key("monitor-1", ECG), &frame(5, 1, 3))
}

/// That frame with bytes in the place of its readings that stand for sealed ones.
pub(crate) fn sealed_frame() -> SealedFrame {
    let measured = Interval::new(at(0), at(9)).expect("not empty");
    let mut body = Vec::new();
    let readings_at =
        frame_entry().storing().write_to_seal(Sealing { body_epoch: 3, measured }, &mut body);
    body[readings_at..].fill(0xa5);
    body.extend([0x5a; 16]);
    match Entry::from_bytes(1, &body) {
        Ok(Entry::SealedFrame(sealed)) => sealed,
        other => panic!("expected a sealed frame, found {other:?}"),
    }
}

/// A question of a system, and what it was told.
fn query(answer: Decision) -> Entry {
    let claim = Claim {
        patient: PatientIndex::new(7).expect("small"),
        kind: ClaimKind::Access,
        individual: Word::from_u64(3),
        organisation: Word::from_u64(4),
        care_team: Word::ZERO,
        source: Party::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval::instant(at(0)),
        measured: Interval::ALWAYS,
        position: Position(31),
        digest: Digest([8; 31]),
    };
    Entry::Query(QueryEntry {
        organisation: OrganisationId::new("st-anne").expect("a name"),
        claim,
        answer,
    })
}

pub(crate) fn entries() -> Vec<Entry> {
    let requester = Holder::gateway(&gateway());
    let stream = descriptor("monitor-1", ECG, 1).name();
    let refusal = |what, code, reason| {
        Entry::Refusal(RefusalEntry { requester, what, code, reason, digest: Digest([6; 31]) })
    };
    let request = signed_request;
    let denied = Uncovered::Denied(RuleSlot::Deny(2));
    vec![
        Entry::StreamOpen { gateway: gateway(), descriptor: descriptor("monitor-1", ECG, 1) },
        Entry::Frame(FrameEntry::new(gateway(), stream_key("monitor-1", ECG), &frame(5, 1, 3))),
        Entry::Frame(FrameEntry::new(gateway(), stream_key("monitor-1", ECG), &frame(5, 2, 1))),
        Entry::Operation { operation: StoredOperation::Plain(operation()), requester },
        Entry::Operation { operation: StoredOperation::Sealed(sealed_operation()), requester },
        Entry::AccessRequest {
            request: request(),
            requester,
            decision: Decision::Permitted { slot: RuleSlot::Policy(1) },
        },
        Entry::AccessRequest {
            request: request(),
            requester,
            decision: Decision::Refused { uncovered: denied },
        },
        refusal(
            RefusedItem::Frame { stream: stream.clone(), sequence: Sequence(3) },
            RejectCode::NotPermitted,
            RefusalReason::Claim(Uncovered::Ended),
        ),
        refusal(RefusedItem::Stream { stream }, RejectCode::Stream, RefusalReason::Code),
        refusal(
            RefusedItem::Operation,
            RejectCode::Operation,
            RefusalReason::Operation(RuleNumber::c1(17)),
        ),
        refusal(RefusedItem::AccessRequest, RejectCode::Nonce, RefusalReason::Code),
        Entry::RegistryChange(registry_changes().remove(3)),
        Entry::Close { batch: BatchNumber(4), t1: at(9) },
        Entry::Gap(GapEntry {
            term: 1,
            lost: JournalPlace { group: 7, position: 30 },
            known: JournalPlace { group: 9, position: 41 },
            reason: Reason::new("the disk was replaced").expect("short"),
        }),
        Entry::RefusalCount(RefusalCount {
            patient: PatientIndex::new(7).expect("small"),
            requester,
            what: RefusedKind::AccessRequest,
            reason: RefusalReason::Claim(Uncovered::Closed),
            from: at(9),
            until: at(60_008),
            count: 6936,
            first: Digest([6; 31]),
        }),
        Entry::Erasure(ErasureEntry { request: erasure(), requester }),
        Entry::Hold(HoldEntry {
            patient: PatientIndex::new(7).expect("small"),
            change: HoldChange::Set,
            reason: Reason::new("a claim is pending").expect("short"),
            who: Reason::new("anna (user 1000)").expect("short"),
        }),
        query(Decision::Permitted { slot: RuleSlot::Permit(1) }),
        query(Decision::Refused { uncovered: denied }),
    ]
}

pub(crate) fn registry_changes() -> Vec<RegistryChange> {
    let organisation = OrganisationId::new("ward-3").expect("a name");
    let valid = Interval::new(at(0), at(1000)).expect("not empty");
    let device = RegistryRecord::Device {
        id: DeviceId::new("monitor-1").expect("a name"),
        organisation: organisation.clone(),
        patient: PatientIndex::new(7).expect("small"),
        signals: vec![ECG, 147842],
        gateways: vec![gateway(), GatewayId::new("gw-02").expect("a name")],
    };
    let practitioner = RegistryRecord::Practitioner {
        id: PractitionerId::new("dr-x").expect("a name"),
        organisation: organisation.clone(),
        public_key: [3; 32],
        fingerprint: [4; 32],
        valid,
    };
    let fingerprint = [8; 32];
    let id = organisation.clone();
    vec![
        RegistryChange::Add(RegistryRecord::Organisation { id: organisation.clone() }),
        RegistryChange::Add(practitioner),
        RegistryChange::Add(RegistryRecord::Gateway {
            id: gateway(),
            organisation,
            fingerprint,
            valid,
        }),
        RegistryChange::Add(device.clone()),
        RegistryChange::End { key: device.key(), at: at(5) },
        RegistryChange::End { key: RegistryKey::Organisation(id), at: at(6) },
        RegistryChange::Add(RegistryRecord::Wallet {
            id: WalletId::new("wallet-1").expect("a name"),
            fingerprint,
            valid,
        }),
        RegistryChange::Add(RegistryRecord::Operator {
            id: OperatorId::new("admissions").expect("a name"),
            fingerprint,
            valid,
        }),
    ]
}

pub(crate) fn client_messages() -> Vec<ClientMessage> {
    let request = RequestId(1);
    let start = DeviceTime::from_millis(at(1));
    let open = OpenStream {
        handle: StreamHandle(5),
        lane: Lane::Live,
        descriptor: descriptor("monitor-1", ECG, 1),
    };
    let irregular = Descriptor { period: None, ..descriptor("cuff-2", 150021, u16::MAX) };
    vec![
        ClientMessage::Hello(Hello::new(ClientName::new("gateway 0.1").expect("short"), true)),
        ClientMessage::Hello(Hello {
            newest: Some(Box::new(receipt())),
            ..Hello::new(ClientName::new("gateway 0.2").expect("short"), false)
        }),
        ClientMessage::OpenStream(open.clone()),
        ClientMessage::OpenStream(OpenStream {
            lane: Lane::Backfill,
            descriptor: irregular,
            ..open
        }),
        ClientMessage::Clock(ClockFact {
            device: DeviceId::new("monitor-1").expect("a name"),
            device_time: start,
            gateway_time: start,
            method: SyncMethod::Ntp,
            uncertainty_us: 1500,
        }),
        ClientMessage::Frame(frame(5, 1, 3)),
        ClientMessage::Operation { request, operation: operation() },
        ClientMessage::Access {
            request,
            signed: Box::new(signed_request()),
            page: wire::Page { order: wire::PageOrder::Newest, frames_max: 9, ..wire::Page::FIRST }
                .behind(Position(7)),
        },
        ClientMessage::EndStream { handle: StreamHandle(5) },
        ClientMessage::Goodbye,
        ClientMessage::Names { request, question: names_question() },
        ClientMessage::Frame(laid_out(Codec::COLUMNAR, 2, &steady_readings(70))),
        ClientMessage::Frame(laid_out(Codec::GRID, 3, &steady_readings(70))),
        ClientMessage::Renewal { request, asked: renewal_request() },
        ClientMessage::Block(Block::new(&slow_frames(3, 9)).expect("few small frames")),
        ClientMessage::Frame(encrypted_frame()),
    ]
}

/// A frame whose body no key opens.
pub(crate) fn encrypted_frame() -> Frame {
    let signal = model::signal_by_code(ECG).expect("ecg is known");
    let seal = |_: &[u8; BOUND_BYTES], body: &[u8]| Sealed {
        nonce: [7; NONCE_BYTES],
        sealed: vec![9; body.len() + TAG_BYTES],
    };
    let clear = laid_out(Codec::COLUMNAR, 4, &readings(4, 3));
    clear.encrypt(signal, seal).expect("a sound frame")
}

/// A frame of one reading of each of so many streams, handles from 1 on, as a monitor measures
/// once a minute: heart rates, a second apart. The third one is of two readings, and another
/// follows it.
pub(crate) fn slow_frames(streams: u32, sequence: u64) -> Vec<Frame> {
    let signal = model::signal_by_code(HEART_RATE).expect("it is known");
    let frame = |handle: u32, sequence: u64, count: u64| {
        let (handle, epoch) = (StreamHandle(handle), EpochNumber(1));
        let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
        let at = |i: u64| at(60_000 * (sequence + i) + 1000 * u64::from(handle.0));
        let reading = |i: u64| Reading::new(DeviceTime::from_millis(at(i)), 600 + handle.0 as i32);
        let readings: Vec<_> = (0..count).map(reading).collect();
        let layout = Layout { codec: Some(Codec::COLUMNAR), period: None };
        Frame::encode(place, signal, &readings, layout).expect("valid readings")
    };
    let frames = |handle: u32| match handle {
        3 => vec![frame(3, sequence, 2), frame(3, sequence + 1, 1)],
        _ => vec![frame(handle, sequence, 1)],
    };
    (1..=streams).flat_map(frames).collect()
}

pub(crate) fn renewal_request() -> RenewalRequest {
    RenewalRequest::new(vec![0x30, 0x03, 0x02, 0x01, 0x00]).expect("few bytes")
}

pub(crate) fn names_question() -> NamesQuestion {
    let device = DeviceId::new("monitor-1").expect("a name");
    let doctor = PractitionerId::new("dr-x").expect("a name");
    let ward = OrganisationId::new("ward-3").expect("a name");
    let names = vec![
        RegistryKey::Practitioner(doctor),
        RegistryKey::Organisation(ward),
        RegistryKey::Device(device),
    ];
    NamesQuestion::new(names).expect("few names")
}

pub(crate) fn server_messages() -> Vec<ServerMessage> {
    let (request, handle) = (RequestId(1), StreamHandle(5));
    let credit = Credit { bytes: 1 << 20, frames: 4096 };
    let stream = descriptor("monitor-1", ECG, 1).name();
    let reject = |code, concern| ServerMessage::Reject(Reject { code, concern, count: 2 });
    vec![
        ServerMessage::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            features: Features::SPOKEN,
            scope: scope(),
            signer: signer_address(&key()),
            standing: Standing { term: 2, head_group: 1_048_580 },
            server_time: at(0),
            credit,
            marks: vec![Mark { stream: stream.clone(), durable: Sequence(8) }],
        }),
        ServerMessage::StreamOpened { handle, next: Sequence(9) },
        ServerMessage::Receipt { receipt: Box::new(receipt()), credit },
        ServerMessage::AccessAnswer(AccessAnswer {
            request,
            digest: signed_request().digest(),
            group: 3,
            position: Position(14),
            time: at(4),
            permitted: true,
        }),
        ServerMessage::Released(Released {
            request,
            index: 0,
            position: Position(9),
            stream,
            frame: frame(0, 1, 3),
        }),
        ServerMessage::ReleaseEnd(ReleaseEnd { request, frames: 1, more: true, partly: 2 }),
        reject(RejectCode::Stream, Concern::Stream { handle }),
        reject(RejectCode::Gap, Concern::Frames { handle, from: Sequence(4) }),
        reject(RejectCode::Nonce, Concern::Request { request }),
        ServerMessage::Credit(credit),
        ServerMessage::Closing { code: RejectCode::Unavailable },
        ServerMessage::Names(NamesAnswer { request, known: vec![true, false, true] }),
        ServerMessage::Renewal(RenewalAnswer { request, certificate: None }),
        ServerMessage::Renewal(RenewalAnswer { request, certificate: Some(vec![0x30, 0].into()) }),
    ]
}

pub(crate) fn all_categories_request() -> AccessRequest {
    AccessRequest { categories: Categories::ALL, ..access_request() }
}
