//! From a group of the log to its receipts: the function that makes a receipt one.

use std::collections::BTreeMap;

use model::{GatewayId, Millis, Position};

use crate::entry::{Decision, Entry, FrameName};
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
    let mut holders: BTreeMap<Holder, Items> = BTreeMap::new();
    // A hash a gateway and not a frame.
    let mut gateways: BTreeMap<&GatewayId, Holder> = BTreeMap::new();
    for placed in entries {
        let (position, time) = (placed.position, placed.time);
        if let Some(frame) = placed.entry.frame_name() {
            // The holder follows from the entry alone: a receipt is built again when no
            // connection is left that could say whose it is (W.34).
            let name = frame.gateway;
            let holder = gateways.entry(name).or_insert_with(|| Holder::gateway(name));
            let items = holders.entry(*holder).or_default();
            add_frame(&mut items.frames, frame, position, time);
            continue;
        }
        match &placed.entry {
            // Above.
            Entry::Frame(_) | Entry::SealedFrame(_) => {}
            Entry::Operation { operation, requester } => {
                let item = OperationItem { position, time, digest: operation.digest() };
                holders.entry(*requester).or_default().operations.push(item);
            }
            Entry::AccessRequest { request, requester, decision } => {
                let permitted = matches!(decision, Decision::Permitted { .. });
                let item = AccessItem { position, time, digest: request.digest(), permitted };
                holders.entry(*requester).or_default().accesses.push(item);
            }
            Entry::Refusal(refusal) => {
                let item = RefusalItem { position, digest: refusal.digest };
                holders.entry(refusal.requester).or_default().refusals.push(item);
            }
            // Nobody on a connection asked for these, so nobody waits for a receipt of them.
            Entry::RegistryChange(_)
            | Entry::Close { .. }
            | Entry::StreamOpen { .. }
            | Entry::Gap(_)
            | Entry::RefusalCount(_) => {}
        }
    }
    let receipt = |(holder, items)| Ok((holder, Receipt::new(group, holder, items)?));
    holders.into_iter().map(receipt).collect()
}

/// Extends the run of the frame's stream, or begins one.
fn add_frame(items: &mut Vec<FramesItem>, frame: FrameName<'_>, position: Position, time: Millis) {
    let FrameName { stream, sequence, .. } = frame;
    // From the back: a gateway's streams alternate, and the run to extend is among the latest.
    let open = items.iter_mut().rev().find(|item| item.stream == stream);
    if let Some(item) = open
        // An item has no hole (W.35).
        && item.sequences.1.0.checked_add(1) == Some(sequence.0)
    {
        item.sequences.1 = sequence;
        item.positions.1 = position;
        item.appended = time;
        return;
    }
    let (sequences, positions) = ((sequence, sequence), (position, position));
    items.push(FramesItem { stream, sequences, positions, appended: time });
}
