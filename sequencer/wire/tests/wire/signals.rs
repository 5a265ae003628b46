//! What names a signal that no reader knows is not made.

use model::{Position, Sequence};
use wire::*;

use crate::machines::Pair;
use crate::samples;

const UNKNOWN: u32 = 7;

#[test]
fn a_receipt_of_an_unknown_signal_is_not_made() {
    let item = FramesItem {
        stream: samples::stream_key("monitor-1", UNKNOWN).name(model::EpochNumber(1)),
        sequences: (Sequence(1), Sequence(1)),
        positions: (Position(1), Position(1)),
        appended: samples::at(1),
    };
    let SignedReceipt { receipt, .. } = samples::receipt();
    let items = Items { frames: vec![item], ..Items::default() };
    let made = Receipt::new(receipt.group, receipt.holder, items);
    let Err(ReceiptError::Decode(why)) = made else { panic!("made: {made:?}") };
    assert!(why.to_string().contains("signal code"), "{why}");
}

#[test]
fn a_stream_of_an_unknown_signal_is_not_opened() {
    let (mut pair, _) = Pair::with_stream(0, 0);
    let descriptor = samples::descriptor("monitor-2", UNKNOWN, 1);
    let opened = pair.client.open_stream(Lane::Live, descriptor, Sequence(0));
    assert!(matches!(opened, Err(ClientError::Descriptor(_))), "{opened:?}");
    assert!(pair.up().is_empty() && pair.client.is_open());
}
