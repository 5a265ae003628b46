//! Who meets in the sessions: one deployment, one gateway, some devices.

use model::{
    Category, ChainScope, DeviceId, Digest, EpochNumber, GatewayId, Interval, Label, Millis,
    OrganisationId, PatientIndex, PractitionerId, Purpose, Sequence, StreamHandle,
};
use wire::{
    AccessKind, AccessRequest, ClientName, Descriptor, DeviceTime, Frame, FramePlace, Holder, Lane,
    Reading, Reason, RegistryKey, RenewalRequest, SignedAccessRequest, SignedOperation, SigningKey,
    Source as From, StreamKey,
};

use crate::source::Source;

/// ECG: most frames are of it.
pub(crate) const SIGNAL: u32 = 131_328;
const DEVICES: [&str; 4] = ["alarm", "live", "old", "spare"];

/// Handles that are named: those that may be open, one above, and none.
pub(crate) const HANDLES: u8 = 6;

pub(crate) fn now() -> Millis {
    Millis::new(4_004_288_800_000).expect("before 2457")
}

pub(crate) fn scope() -> ChainScope {
    ChainScope { chain_id: 31_337, contract: [0x11; 20] }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_slice(&[0x42; 32]).expect("a scalar")
}

pub(crate) fn holder() -> Holder {
    Holder::gateway(&GatewayId::new("gw-01").expect("a plain name"))
}

pub(crate) fn name() -> ClientName {
    ClientName::new("hostile").expect("short enough")
}

pub(crate) fn lane(source: &mut Source<'_>) -> Lane {
    Lane::ALL[usize::from(source.below(3))]
}

pub(crate) fn handle(source: &mut Source<'_>) -> StreamHandle {
    StreamHandle(source.below(HANDLES).into())
}

/// A stream of one of the devices, in one of two epochs.
pub(crate) fn descriptor(source: &mut Source<'_>) -> Descriptor {
    let device = DEVICES[usize::from(source.below(DEVICES.len() as u8))];
    let device = DeviceId::new(device).expect("a plain name");
    let patient = PatientIndex::new(7).expect("below 2^24");
    let key = StreamKey { device, patient, signal: SIGNAL };
    Descriptor { key, period: None, epoch: EpochNumber(1 + u16::from(source.flag())) }
}

/// One to three readings around a time.
pub(crate) fn readings(source: &mut Source<'_>, now: Millis) -> Vec<Reading> {
    let start = DeviceTime::from_millis(source.time(now));
    let count = 1 + source.below(3);
    // One that is out of order or out of range is a frame that cannot be made.
    (0..count).map(|value| Reading::new(start, value.into())).collect()
}

/// A frame, if its parts make one.
pub(crate) fn frame(source: &mut Source<'_>, place: FramePlace, now: Millis) -> Option<Frame> {
    let signal = model::signal_by_code(SIGNAL)?;
    Frame::encode_raw(place, signal, &readings(source, now)).ok()
}

/// A place in a stream of a handle: mostly the next one.
pub(crate) fn place(source: &mut Source<'_>, handle: StreamHandle, next: u64) -> FramePlace {
    let sequence = match source.below(4) {
        0 => source.sequence(),
        1 => next.saturating_sub(1).max(1),
        _ => next.clamp(1, i64::MAX as u64),
    };
    let epoch = EpochNumber(1 + u16::from(source.below(8) == 7));
    FramePlace { handle, epoch, sequence: Sequence(sequence) }
}

pub(crate) fn operation(source: &mut Source<'_>) -> SignedOperation {
    SignedOperation::new(vec![source.below(4); 8]).expect("short enough")
}

pub(crate) fn digest(source: &mut Source<'_>) -> Digest {
    match source.below(4) {
        0 => operation(source).digest(),
        1 => access_request(source).digest(),
        _ => Digest([source.below(3); 31]),
    }
}

pub(crate) fn access_request(source: &mut Source<'_>) -> SignedAccessRequest {
    let now = now();
    let request = AccessRequest {
        scope: scope(),
        patient: PatientIndex::new(7).expect("below 2^24"),
        practitioner: PractitionerId::new("dr-x").expect("a plain name"),
        organisation: OrganisationId::new("ward-3").expect("a plain name"),
        care_team: None,
        source: From::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        data: Interval::new(now, now.plus(60_000)).expect("not empty"),
        requested_at: now,
        valid_until: now.plus(30_000),
        nonce: source.below(3).into(),
        kind: AccessKind::Access { reason: Reason::new("").expect("short enough") },
    };
    SignedAccessRequest::new(request, [3; 32], [4; 64]).expect("a request")
}

/// A machine looks at no byte of it.
pub(crate) fn renewal() -> RenewalRequest {
    RenewalRequest::new(vec![0x30, 0]).expect("few bytes")
}

pub(crate) fn question(source: &mut Source<'_>) -> Vec<RegistryKey> {
    let one = || RegistryKey::Organisation(OrganisationId::new("ward-3").expect("a plain name"));
    (0..1 + source.below(4)).map(|_| one()).collect()
}
