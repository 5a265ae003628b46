//! Streams, frames and receipts for the tests of the client's parts.

use model::{ChainScope, DeviceId, EpochNumber, Millis, PatientIndex, Sequence, StreamHandle};

use crate::{
    Descriptor, DeviceTime, Frame, FramePlace, GroupIdentity, Holder, Items, Lane, OpenStream,
    Reading, Receipt, Role, SignedReceipt, SigningKey, StreamKey,
};

pub(super) fn at(ms: u64) -> Millis {
    Millis::new(4_004_288_800_000 + ms).expect("before 2457")
}

/// Streams of different handles are of different devices.
pub(super) fn open(handle: u32, lane: Lane) -> OpenStream {
    let device = DeviceId::new(&format!("monitor-{handle}")).expect("a name");
    let patient = PatientIndex::new(7).expect("small");
    let key = StreamKey { device, patient, signal: 131328 };
    let descriptor = Descriptor { key, period: None, epoch: EpochNumber(1) };
    OpenStream { handle: StreamHandle(handle), lane, descriptor }
}

pub(super) fn readings(count: usize) -> Vec<Reading> {
    vec![Reading::new(DeviceTime::from_millis(at(0)), 1); count]
}

/// A frame of 32 bytes and 16 a reading.
pub(super) fn frame(sequence: u64, count: usize) -> Frame {
    let (handle, epoch, sequence) = (StreamHandle(1), EpochNumber(1), Sequence(sequence));
    let signal = model::signal_by_code(131328).expect("ecg is known");
    let place = FramePlace { handle, epoch, sequence };
    Frame::encode_raw(place, signal, &readings(count)).expect("valid readings")
}

pub(super) fn scope() -> ChainScope {
    ChainScope { chain_id: 1, contract: [1; 20] }
}

pub(super) fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a scalar")
}

pub(super) fn holder() -> Holder {
    Holder::new(Role::Gateway, "gw-01")
}

pub(super) fn receipt(group: u64, items: Items) -> SignedReceipt {
    let group = GroupIdentity { scope: scope(), group, term: 0, journal_hash: [2; 32] };
    let receipt = Receipt::new(group, holder(), items).expect("valid items");
    receipt.sign(&key())
}
