//! Which receipt says that a frame is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use model::{DeviceId, EpochNumber, Sequence};
use wire::{SignedReceipt, StreamKey, StreamName};

use super::taken::ReceiptName;

/// Receipts of a stream that are looked through: whoever waits for one asks at once.
const RECENT_MAX: usize = 64;

/// A device and its signal: one stream of a state folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) device: DeviceId,
    pub(super) signal: u32,
}

impl Slot {
    pub(super) fn of(key: &StreamKey) -> Slot {
        Slot { device: key.device.clone(), signal: key.signal }
    }

    pub(super) fn of_name(name: &StreamName) -> Slot {
        Slot { device: name.device.clone(), signal: name.signal }
    }
}

struct Recent {
    /// Sequences begin again in each.
    epoch: EpochNumber,
    first: Sequence,
    last: Sequence,
    name: ReceiptName,
}

/// The newest receipts of each stream. One for each slot of the map.
#[derive(Default)]
pub(super) struct Receipts(Mutex<BTreeMap<Slot, VecDeque<Recent>>>);

impl Receipts {
    /// Takes note of one; called before anybody hears that it is there.
    pub(super) fn note(&self, receipt: &SignedReceipt) {
        let group = &receipt.receipt.group;
        let journal = group.journal_hash.first_chunk().copied().unwrap_or_default();
        let name = ReceiptName { group: group.group, journal };
        let frames = receipt.receipt.items().frames.iter();
        frames.for_each(|item| self.add(&item.stream, item.sequences, name));
    }

    fn add(&self, stream: &StreamName, (first, last): (Sequence, Sequence), name: ReceiptName) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = slots.entry(Slot::of_name(stream)).or_default();
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Recent { epoch: stream.epoch, first, last, name });
    }

    /// The one that names a frame, else the newest of a later one: a stream has no holes, so that
    /// it stands for the earlier ones, too. None if this program has seen neither.
    pub(super) fn of(&self, stream: &StreamName, sequence: Sequence) -> Option<ReceiptName> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = slots.get(&Slot::of_name(stream))?;
        let own = || recent.iter().rev().filter(|one| one.epoch == stream.epoch);
        let found = own().find(|one| one.first <= sequence && sequence <= one.last);
        let later = || own().find(|one| sequence <= one.last);
        found.or_else(later).map(|one| one.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_of_another_epoch_names_no_frame_of_this_one() {
        let receipts = Receipts::default();
        let device = DeviceId::new("m-1").unwrap();
        let stream = |epoch| {
            let epoch = EpochNumber(epoch);
            StreamName { device: device.clone(), signal: 147842, epoch }
        };
        let name = |group| ReceiptName { group, journal: [7; 8] };
        receipts.add(&stream(2), (Sequence(1), Sequence(1)), name(5));
        receipts.add(&stream(1), (Sequence(1), Sequence(9)), name(4));
        let found = |epoch, sequence| receipts.of(&stream(epoch), Sequence(sequence));
        assert_eq!((found(2, 1), found(2, 2)), (Some(name(5)), None));
        assert_eq!((found(1, 1), found(3, 1)), (Some(name(4)), None));
    }
}
