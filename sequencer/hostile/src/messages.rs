//! What comes over a connection, and what is made of it: messages, frames, receipts, entries.

use bytes::Bytes;
use wire::{
    ClientMessage, Deframer, Encrypted, Entry, Frame, FrameError, FramePlace, Receipt,
    RegistryChange, ServerMessage, SignedAccessRequest, SignedReceipt, TAG_BYTES,
};

/// Bytes of a lane as a server gets them: [`ClientMessage`]s, cut from what comes in pieces.
///
/// # Panics
/// If a message that is read has another encoding than its own bytes, or if where the pieces end
/// makes a difference.
pub fn client_messages(bytes: &[u8]) {
    for message in messages(bytes) {
        if let Ok(decoded) = ClientMessage::decode(message.clone()) {
            assert_eq!(decoded.encode(), message, "one message, one encoding");
        }
    }
}

/// The same as a client gets them: [`ServerMessage`]s.
///
/// # Panics
/// As [`client_messages`].
pub fn server_messages(bytes: &[u8]) {
    for message in messages(bytes) {
        if let Ok(decoded) = ServerMessage::decode(message.clone()) {
            assert_eq!(decoded.encode(), message, "one message, one encoding");
        }
    }
}

/// The messages in some bytes. They are the same however the bytes come.
fn messages(bytes: &[u8]) -> Vec<Bytes> {
    let whole = cut(bytes, bytes.len().max(1));
    for size in [1, 7] {
        assert_eq!(cut(bytes, size), whole, "pieces of {size} bytes");
    }
    whole
}

fn cut(bytes: &[u8], size: usize) -> Vec<Bytes> {
    let (mut lane, mut found) = (Deframer::default(), Vec::new());
    for piece in bytes.chunks(size) {
        lane.feed(piece);
        loop {
            match lane.next_message() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                // The lane is lost.
                Err(_) => return found,
            }
        }
    }
    found
}

/// A [`Frame`], its readings checked against every signal that there is.
///
/// # Panics
/// If the check and the reading of its readings disagree, or a frame that is moved has other
/// readings.
pub fn frame(bytes: &[u8]) {
    let Ok(frame) = Frame::from_bytes(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(frame.as_bytes(), bytes, "the bytes are kept");
    let place = FramePlace {
        handle: model::StreamHandle(u32::MAX),
        epoch: model::EpochNumber(u16::MAX),
        sequence: model::Sequence(i64::MAX as u64),
    };
    let moved = frame.at_place(place);
    assert_eq!(Frame::from_bytes(moved.as_bytes().clone()), Ok(moved.clone()), "it reads again");
    assert_eq!(frame.encrypted().is_some(), frame.is_encrypted());
    if let Some(Encrypted { bound, sealed, .. }) = frame.encrypted() {
        assert_eq!(bound, frame.stored().encrypted().expect("encrypted, too").bound);
        // As if a key had opened it.
        if let Ok(clear) = frame.decrypted(&sealed[..sealed.len() - TAG_BYTES]) {
            assert!(!clear.is_encrypted() && clear.sequence() == frame.sequence());
        }
    }
    for signal in model::signals() {
        let (checked, readings) = (frame.check(signal), frame.readings(signal));
        if frame.is_encrypted() {
            assert_eq!(readings, Err(FrameError::Encrypted), "{}", signal.name);
            continue;
        }
        assert_eq!(checked.is_ok(), readings.is_ok(), "{}", signal.name);
        let (Ok(measured), Ok(readings)) = (checked, readings) else { continue };
        assert!(readings.is_sorted_by_key(|reading| reading.at), "in the order of their times");
        for reading in &readings {
            let at = reading.at.millis();
            assert!(measured.from <= at && at < measured.until, "within the frame's period");
        }
        assert_eq!(moved.readings(signal), Ok(readings), "the same at another place");
    }
}

/// A [`Block`](wire::Block): the frames in it are those that would have come alone.
///
/// # Panics
/// If a frame in it reads otherwise alone, or they make another block than they came in.
pub fn frame_block(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(ClientMessage::Block(block)) = ClientMessage::decode(bytes.clone()) else { return };
    let moved = |one: &wire::BlockFrame| {
        let wire::FrameHeader { epoch, sequence, .. } = *one.frame.header();
        one.frame.at_place(FramePlace { handle: one.handle, epoch, sequence })
    };
    let frames: Vec<_> = block.frames().iter().map(moved).collect();
    for (frame, one) in frames.iter().zip(block.frames()) {
        assert_eq!(Frame::from_bytes(frame.as_bytes().clone()).as_ref(), Ok(frame));
        assert_eq!(frame.stored(), one.frame, "in its stored form");
    }
    let again = wire::Block::new(&frames).expect("what came together goes together");
    assert_eq!(ClientMessage::Block(again).encode(), bytes, "one block, one encoding");
}

/// A [`SignedReceipt`], and as much of it as a [`Receipt`].
///
/// # Panics
/// If one has another encoding than its bytes, or passes as signed by an address that signed
/// nothing.
pub fn receipt(bytes: &[u8]) {
    if let Ok(signed) = SignedReceipt::from_bytes(bytes) {
        assert_eq!(signed.to_bytes(), bytes, "one receipt, one encoding");
        assert!(signed.verify(wire::Address([0; 20])).is_err(), "nobody has this address");
    }
    if let Ok(receipt) = Receipt::from_bytes(bytes) {
        assert_eq!(receipt.to_bytes(), bytes, "one receipt, one encoding");
        assert!(receipt.items().last_position().0 > 0, "it acknowledges something");
    }
}

/// The body of an [`Entry`] of the log behind a byte for its kind.
///
/// # Panics
/// If one that is read has another encoding than its bytes.
pub fn entry(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    if let Ok(entry) = Entry::from_bytes(*kind, body) {
        assert_eq!(entry.kind_code(), *kind);
        assert_eq!(entry.to_bytes().as_deref(), Ok(body), "one entry, one encoding");
    }
}

/// A [`RegistryChange`].
///
/// # Panics
/// As [`entry`].
pub fn registry_change(bytes: &[u8]) {
    if let Ok(change) = RegistryChange::from_bytes(bytes) {
        assert_eq!(change.to_bytes().as_deref(), Ok(bytes), "one change, one encoding");
    }
}

/// A [`SignedAccessRequest`].
///
/// # Panics
/// As [`entry`].
pub fn access_request(bytes: &[u8]) {
    if let Ok(signed) = SignedAccessRequest::from_bytes(bytes) {
        assert_eq!(signed.to_bytes(), bytes, "one request, one encoding");
        assert!(signed.request().signing_hash().is_ok(), "what is read can be signed");
    }
}
