//! Who there is, and what they sign and send.

use super::*;

pub(crate) fn chain_scope() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [7; 20] }
}

pub(crate) fn now() -> Millis {
    SystemClock.now()
}

pub(crate) fn registrar() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

pub(crate) fn patient_key() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

pub(crate) fn practitioner_key() -> SecretKey {
    SecretKey::from_bytes(&[3; 32])
}

pub(crate) fn key_hash(key: &SecretKey) -> Word {
    Word::from_bytes(field::to_bytes(&key.public().hash())).unwrap()
}

pub(crate) fn patient() -> PatientIndex {
    PatientIndex::new(12_345).unwrap()
}

pub(crate) fn hospital() -> OrganisationId {
    OrganisationId::new("hospital").unwrap()
}

pub(crate) fn gateway_id() -> GatewayId {
    GatewayId::new("gateway").unwrap()
}

pub(crate) fn device() -> DeviceId {
    DeviceId::new("monitor").unwrap()
}

pub(crate) fn doctor() -> PractitionerId {
    PractitionerId::new("dr").unwrap()
}

pub(crate) fn stream_key() -> StreamKey {
    StreamKey { device: device(), patient: patient(), signal: ECG }
}

/// Another patient's stream, of a monitor of theirs.
pub(crate) fn stream_of(index: u32) -> StreamKey {
    let device = DeviceId::new(&format!("monitor-{index}")).unwrap();
    StreamKey { device, patient: PatientIndex::new(index).unwrap(), signal: ECG }
}

pub(crate) fn descriptor() -> Descriptor {
    descriptor_of(stream_key())
}

pub(crate) fn descriptor_of(key: StreamKey) -> Descriptor {
    Descriptor { key, period: None, epoch: EpochNumber(1) }
}

/// A day before and after now.
pub(crate) fn validity() -> Interval {
    let day = 86_400_000;
    Interval { from: Millis::new(now().get() - day).unwrap(), until: now().plus(day) }
}

pub(crate) fn rule(actor: Word, kind: ClaimKind) -> Rule {
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

/// A permit that its patient signed.
pub(crate) struct Permit {
    pub(crate) signed: SignedOperation,
    pub(crate) action: Action,
}

impl Permit {
    pub(crate) fn signed(&self) -> SignedOperation {
        self.signed.clone()
    }

    /// The same, signed by a stranger.
    pub(crate) fn forged(&self, nonce: u32) -> SignedOperation {
        signed(nonce, self.action.clone(), &registrar())
    }
}

/// An operation that nobody who may signed: each one another.
pub(crate) fn junk(nonce: u32) -> SignedOperation {
    signed(nonce, Action::Stop, &registrar())
}

/// The same for an index without a record, signed well by some key.
pub(crate) fn for_nobody() -> SignedOperation {
    sign(PatientIndex::new(99).unwrap(), 0, Action::Stop, &patient_key())
}

pub(crate) fn signed(nonce: u32, action: Action, key: &SecretKey) -> SignedOperation {
    sign(patient(), nonce, action, key)
}

pub(crate) fn sign(
    patient: PatientIndex,
    nonce: u32,
    action: Action,
    key: &SecretKey,
) -> SignedOperation {
    let (signed_at, valid_until) = (now(), now().plus(60_000));
    let operation = Operation { patient, nonce, signed_at, valid_until, action };
    let domain = scope::sig_domain(chain_scope());
    let signed = operation::SignedOperation::sign(operation, domain, key);
    SignedOperation::new(signed.to_bytes().to_vec()).unwrap()
}

/// The doctor's request for everything of a category.
pub(crate) fn request(nonce: u64, categories: Category) -> SignedAccessRequest {
    request_of(patient(), nonce, categories)
}

pub(crate) fn request_of(
    patient: PatientIndex,
    nonce: u64,
    categories: Category,
) -> SignedAccessRequest {
    let request = AccessRequest {
        scope: chain_scope(),
        patient,
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

pub(crate) fn readings(value: i32) -> [Reading; 2] {
    let start = DeviceTime::from_millis(now());
    [Reading::new(start, value), Reading::new(start, -value)]
}

/// A frame as a client makes it, for handle 1 and epoch 1.
pub(crate) fn frame(sequence: u64, value: i32) -> Frame {
    encode(sequence, &readings(value))
}

/// The same frame in columns.
pub(crate) fn in_columns(frame: &Frame) -> Frame {
    let wire::FrameHeader { handle, epoch, sequence, .. } = *frame.header();
    let (signal, place) = (stream_key().signal().unwrap(), FramePlace { handle, epoch, sequence });
    let layout = wire::Layout { codec: Some(wire::Codec::COLUMNAR), period: None };
    Frame::encode(place, signal, &frame.readings(signal).unwrap(), layout).unwrap()
}

/// A frame as large as frames get, of a stream of choice.
pub(crate) fn large_frame(handle: u32, epoch: u16) -> Frame {
    let place = FramePlace {
        handle: StreamHandle(handle),
        epoch: EpochNumber(epoch),
        sequence: Sequence(1),
    };
    let readings = vec![readings(1)[0]; 4000];
    Frame::encode_raw(place, stream_key().signal().unwrap(), &readings).unwrap()
}

/// A frame of one reading at a time of choice.
pub(crate) fn frame_at(sequence: u64, at: Millis) -> Frame {
    encode(sequence, &[Reading::new(DeviceTime::from_millis(at), 5)])
}

pub(crate) fn encode(sequence: u64, readings: &[Reading]) -> Frame {
    let (handle, epoch) = (StreamHandle(1), EpochNumber(1));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    Frame::encode_raw(place, stream_key().signal().unwrap(), readings).unwrap()
}
