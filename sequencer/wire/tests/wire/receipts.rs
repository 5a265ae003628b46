//! Receipts against an independent implementation, and as a function of the log.

use model::{ChainScope, DeviceId, Digest, EpochNumber, Millis, Position, Sequence};
use serde_json::Value;
use wire::*;

use crate::samples;

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x")).expect("hex with 0x");
    hex::decode(text).expect("hex").try_into().expect("the length of the field")
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().expect("a number")
}

fn digest(value: &Value) -> Digest {
    let word: [u8; 32] = bytes(&value["digest"]);
    Digest(word[1..].try_into().expect("31 bytes"))
}

fn items(message: &Value) -> Items {
    let list = |name: &str| message[name].as_array().expect("a list").clone();
    let position = |value: &Value| Position(number(value, "position"));
    let time = |value: &Value| Millis::new(number(value, "time")).expect("44 bits");
    let frames = |value: &Value| FramesItem {
        stream: StreamName {
            device: DeviceId::new(value["device"].as_str().expect("text")).expect("a name"),
            signal: number(value, "signal") as u32,
            epoch: EpochNumber(number(value, "epoch") as u16),
        },
        sequences: (
            Sequence(number(value, "firstSequence")),
            Sequence(number(value, "lastSequence")),
        ),
        positions: (
            Position(number(value, "firstPosition")),
            Position(number(value, "lastPosition")),
        ),
        appended: time(value),
    };
    let operation = |value: &Value| OperationItem {
        position: position(value),
        time: time(value),
        digest: digest(value),
    };
    let access = |value: &Value| AccessItem {
        position: position(value),
        time: time(value),
        digest: digest(value),
        permitted: value["permitted"].as_bool().expect("a flag"),
    };
    let refusal = |value: &Value| RefusalItem { position: position(value), digest: digest(value) };
    Items {
        frames: list("frames").iter().map(frames).collect(),
        operations: list("operations").iter().map(operation).collect(),
        accesses: list("accesses").iter().map(access).collect(),
        refusals: list("refusals").iter().map(refusal).collect(),
    }
}

#[test]
fn digests_and_signatures_are_those_of_an_independent_implementation() {
    let text = include_str!("../../vectors/receipts.json");
    let vectors: Value = serde_json::from_str(text).expect("JSON");
    let key = SigningKey::from_slice(&bytes::<32>(&vectors["test_key"])).expect("a scalar");
    assert_eq!(signer_address(&key), Address(bytes(&vectors["address"])));
    let cases = vectors["receipts"].as_array().expect("a list");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let message = &case["message"];
        let scope =
            ChainScope { chain_id: number(case, "chain_id"), contract: bytes(&case["contract"]) };
        let (group, journal_hash) = (number(message, "group"), bytes(&message["journalHash"]));
        let holder = Holder(bytes(&message["holder"]));
        assert_eq!(holder, Holder::new(Role::Gateway, "gw-01"));
        let group =
            GroupIdentity { scope, group, term: number(message, "term") as u32, journal_hash };
        let receipt = Receipt::new(group, holder, items(message)).expect("valid items");
        assert_eq!(receipt.signing_hash(), bytes::<32>(&case["signing_hash"]), "{}", case["name"]);
        let signed = receipt.sign(&key);
        assert_eq!(signed.signature, bytes::<65>(&case["signature"]), "{}", case["name"]);
        assert_eq!(signed.verify(signer_address(&key)), Ok(()));
        assert_eq!(SignedReceipt::from_bytes(&signed.to_bytes()), Ok(signed));
    }
}

#[test]
fn a_receipt_is_a_pure_function_of_the_log() {
    let first = samples::receipt();
    // What another process reads back from the log gives the same bytes and signature.
    let group = first.receipt.group;
    let stored: Vec<_> = samples::entries()
        .iter()
        .map(|entry| (entry.kind_code(), entry.to_bytes().expect("valid")))
        .map(|(kind, body)| Entry::from_bytes(kind, &body).expect("valid"))
        .collect();
    let mut again = receipts_of_group(group, &samples::placed(stored)).expect("few items");
    assert_eq!(again.len(), 1);
    let again = again.remove(&first.receipt.holder).expect("the holder's");
    assert_eq!(again.sign(&samples::key()).to_bytes(), first.to_bytes());
}

#[test]
fn a_receipt_merges_frames_and_lists_what_else_was_decided() {
    let signed = samples::receipt();
    let items = signed.receipt.items();
    assert_eq!(items.frames.len(), 1);
    assert_eq!(items.frames[0].sequences, (Sequence(1), Sequence(2)));
    assert_eq!(items.frames[0].positions, (Position(11), Position(12)));
    assert_eq!(items.operations[0].digest, samples::operation().digest());
    let permitted: Vec<_> = items.accesses.iter().map(|item| item.permitted).collect();
    assert_eq!(permitted, [true, false]);
    assert_eq!(items.refusals.len(), 4);
}

#[test]
fn any_changed_byte_gives_another_signer_or_none() {
    let signed = samples::receipt();
    let signer = signer_address(&samples::key());
    let bytes = signed.to_bytes();
    for byte in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[byte] ^= 1;
        if let Ok(changed) = SignedReceipt::from_bytes(&changed) {
            assert!(changed.verify(signer).is_err(), "byte {byte}");
        }
    }
}

#[test]
fn the_high_half_of_s_is_refused() {
    let signed = samples::receipt();
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = hex::decode(order).expect("hex");
    let mut high = signed.clone();
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let digit = i16::from(order[i]) - i16::from(signed.signature[32 + i]) - borrow;
        borrow = i16::from(digit < 0);
        high.signature[32 + i] = digit.rem_euclid(256) as u8;
    }
    high.signature[64] = 27 + 28 - signed.signature[64];
    let signer = signer_address(&samples::key());
    assert_eq!(high.verify(signer), Err(ReceiptError::Signature));
}

#[test]
fn items_out_of_order_or_number_are_refused() {
    let group = GroupIdentity { scope: samples::scope(), group: 1, term: 0, journal_hash: [0; 32] };
    let new = |items| Receipt::new(group, Holder([1; 32]), items);
    let refusal = |position| RefusalItem { position: Position(position), digest: Digest([0; 31]) };
    let refusals = |positions: &[u64]| Items {
        refusals: positions.iter().copied().map(refusal).collect(),
        ..Items::default()
    };
    assert!(new(refusals(&[1, 2])).is_ok());
    for bad in [&[][..], &[2, 1], &[1, 1], &[0, 1]] {
        assert_eq!(new(refusals(bad)), Err(ReceiptError::Items), "{bad:?}");
    }
    let most: Vec<u64> = (1..=limits::RECEIPT_ITEMS_MAX as u64).collect();
    assert!(new(refusals(&most)).is_ok());
    let more: Vec<u64> = (1..=limits::RECEIPT_ITEMS_MAX as u64 + 1).collect();
    assert_eq!(new(refusals(&more)), Err(ReceiptError::Items));
}

#[test]
fn the_largest_receipt_fits_into_a_message() {
    let device = "d".repeat(64);
    let item = |i: u64| FramesItem {
        stream: StreamName {
            device: DeviceId::new(&device).expect("a name"),
            signal: samples::ECG,
            epoch: EpochNumber(i as u16),
        },
        sequences: (Sequence(1), Sequence(1)),
        positions: (Position(i), Position(i)),
        appended: samples::at(0),
    };
    let frames = (1..=limits::RECEIPT_ITEMS_MAX as u64).map(item).collect();
    let group = GroupIdentity { scope: samples::scope(), group: 1, term: 0, journal_hash: [0; 32] };
    let items = Items { frames, ..Items::default() };
    let receipt = Receipt::new(group, Holder([1; 32]), items).expect("at the limit");
    let receipt = Box::new(receipt.sign(&samples::key()));
    let message = ServerMessage::Receipt { receipt, credit: Credit::default() };
    let bytes = message.encode();
    assert!(bytes.len() <= limits::MESSAGE_BYTES_MAX);
    assert_eq!(ServerMessage::decode(bytes), Ok(message));
}
