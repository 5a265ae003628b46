//! From a group of the log to its receipts: the function that makes a receipt one.

use std::collections::BTreeMap;

use model::{GatewayId, Millis, Position, Sequence};

use crate::StreamName;
use crate::entry::{Decision, Entry, ErasureEntry, FrameName};
use crate::hash::Holder;
use crate::receipt::{
    AccessItem, FramesItem, GroupIdentity, Items, OperationItem, Receipt, ReceiptError, RefusalItem,
};

/// An entry with its place in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlacedEntry {
    /// Journal position.
    pub position: Position,
    /// When it was appended.
    pub time: Millis,
    /// The entry.
    pub entry: Entry,
}

/// The receipts of one group, one for each holder, from its entries in order.
///
/// Whoever reads the same group builds the same bytes; a stored frame that comes again is answered
/// by building its group's receipt again.
///
/// # Errors
/// [`ReceiptError::Items`] if positions do not ascend or a holder has more than
/// [`crate::limits::RECEIPT_ITEMS_MAX`] items: the group had to be cut before.
pub fn receipts_of_group(
    group: GroupIdentity,
    entries: &[PlacedEntry],
) -> Result<BTreeMap<Holder, Receipt>, ReceiptError> {
    let mut receipts = GroupReceipts::default();
    // A hash a gateway and not a frame.
    let mut gateways: BTreeMap<&GatewayId, Holder> = BTreeMap::new();
    for placed in entries {
        match placed.entry.frame_name() {
            Some(FrameName { gateway, stream, sequence }) => {
                // The holder follows from the entry alone: a receipt is built again when no
                // connection is left that could say whose it is (W.34).
                let holder = gateways.entry(gateway).or_insert_with(|| Holder::gateway(gateway));
                let (position, time) = (placed.position, placed.time);
                let frame = PlacedFrame { stream: &stream, sequence, position, time };
                receipts.add_frame(*holder, frame);
            }
            None => receipts.add(placed),
        }
    }
    receipts.finish(group)
}

/// A frame with its place in the log.
#[derive(Clone, Copy, Debug)]
pub struct PlacedFrame<'a> {
    /// The stream as receipts name it.
    pub stream: &'a StreamName,
    /// Number of the frame.
    pub sequence: Sequence,
    /// Journal position.
    pub position: Position,
    /// When it was appended.
    pub time: Millis,
}

/// The receipts of one group while it is filled, for whoever appends its entries: what is kept of a
/// frame is the run of its stream that it extends.
#[derive(Debug, Default)]
pub struct GroupReceipts {
    holders: BTreeMap<Holder, Growing>,
}

/// What a receipt acknowledges so far.
#[derive(Debug, Default)]
struct Growing {
    items: Items,
    /// Entries that are in it.
    entries: usize,
    /// The last run of each stream, as its place among the items.
    runs: BTreeMap<StreamName, usize>,
}

impl GroupReceipts {
    /// Entries of a holder so far, at least as many as its receipt will have items.
    pub fn entries_of(&self, holder: &Holder) -> usize {
        self.holders.get(holder).map_or(0, |growing| growing.entries)
    }

    /// Takes in the next entry, if it is a frame of this holder's gateway.
    pub fn add_frame(&mut self, holder: Holder, frame: PlacedFrame<'_>) {
        let growing = self.holders.entry(holder).or_default();
        growing.entries += 1;
        growing.extend(frame);
    }

    /// Takes in the next entry, if it is no frame.
    pub fn add(&mut self, placed: &PlacedEntry) {
        let (position, time) = (placed.position, placed.time);
        match &placed.entry {
            Entry::Operation { operation, requester } => {
                let item = OperationItem { position, time, digest: operation.digest() };
                self.items_of(*requester).operations.push(item);
            }
            Entry::AccessRequest { request, requester, decision } => {
                let permitted = matches!(decision, Decision::Permitted { .. });
                let item = AccessItem { position, time, digest: request.digest(), permitted };
                self.items_of(*requester).accesses.push(item);
            }
            Entry::Refusal(refusal) => {
                let item = RefusalItem { position, digest: refusal.digest };
                self.items_of(refusal.requester).refusals.push(item);
            }
            // Beside operations: it takes effect by a patient's signature, and its digest is of a
            // domain of its own.
            Entry::Erasure(ErasureEntry { request, requester }) => {
                // Of what was read or written as an entry: it has bytes.
                let Ok(digest) = request.digest() else { return };
                self.items_of(*requester).operations.push(OperationItem { position, time, digest });
            }
            // By `add_frame`; and nobody on a connection asked for the others, so nobody waits for
            // a receipt of them.
            Entry::Frame(_)
            | Entry::SealedFrame(_)
            | Entry::RegistryChange(_)
            | Entry::Close { .. }
            | Entry::StreamOpen { .. }
            | Entry::Gap(_)
            | Entry::RefusalCount(_)
            | Entry::Hold(_)
            | Entry::Query(_) => {}
        }
    }

    fn items_of(&mut self, holder: Holder) -> &mut Items {
        let growing = self.holders.entry(holder).or_default();
        growing.entries += 1;
        &mut growing.items
    }

    /// The runs of frames so far, each holder's in the order in which they began.
    pub fn frames(&self) -> impl Iterator<Item = (&Holder, &FramesItem)> {
        let of_holder = |(holder, growing)| {
            let Growing { items, .. }: &Growing = growing;
            items.frames.iter().map(move |item| (holder, item))
        };
        self.holders.iter().flat_map(of_holder)
    }

    /// The receipts, as [`receipts_of_group`] makes them of the same entries.
    ///
    /// # Errors
    /// As [`receipts_of_group`].
    pub fn finish(self, group: GroupIdentity) -> Result<BTreeMap<Holder, Receipt>, ReceiptError> {
        let receipt = |(holder, growing): (Holder, Growing)| {
            Ok((holder, Receipt::new(group, holder, growing.items)?))
        };
        self.holders.into_iter().map(receipt).collect()
    }
}

impl Growing {
    /// Extends the run of the frame's stream, or begins one.
    fn extend(&mut self, frame: PlacedFrame<'_>) {
        let PlacedFrame { stream, sequence, position, time } = frame;
        let frames = &mut self.items.frames;
        let run = self.runs.get_mut(stream);
        if let Some(item) = run.as_ref().and_then(|run| frames.get_mut(**run))
            // An item has no hole (W.35).
            && item.sequences.1.0.checked_add(1) == Some(sequence.0)
        {
            item.sequences.1 = sequence;
            item.positions.1 = position;
            item.appended = time;
            return;
        }
        match run {
            Some(run) => *run = frames.len(),
            None => drop(self.runs.insert(stream.clone(), frames.len())),
        }
        let (sequences, positions) = ((sequence, sequence), (position, position));
        frames.push(FramesItem { stream: stream.clone(), sequences, positions, appended: time });
    }
}
