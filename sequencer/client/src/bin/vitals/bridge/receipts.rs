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
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for item in &receipt.receipt.items().frames {
            let recent = slots.entry(Slot::of_name(&item.stream)).or_default();
            if recent.len() >= RECENT_MAX {
                recent.pop_front();
            }
            let (first, last) = item.sequences;
            recent.push_back(Recent { epoch: item.stream.epoch, first, last, name });
        }
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
