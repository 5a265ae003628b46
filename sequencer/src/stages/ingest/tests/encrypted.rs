//! Frames that their gateway encrypted: taken where the operator says so, and never as readings.

use model::RejectCode;
use wire::{
    BOUND_BYTES, ClientMessage, Entry, Features, Frame, FrameError, Lane, NONCE_BYTES, Sealed,
    ServerMessage, TAG_BYTES,
};

use super::blocks::said;
use super::floods::{greet, open};
use super::support::{Node, frame, gateway_id, stored_by, stream_key};
use crate::stages::ingest::IngestConfig;
use crate::stages::ingest::session::Session;

/// The node has no key, so any bytes do.
fn encrypted() -> Frame {
    let seal = |_: &[u8; BOUND_BYTES], body: &[u8]| Sealed {
        nonce: [1; NONCE_BYTES],
        sealed: vec![2; body.len() + TAG_BYTES],
    };
    frame(1, 7).encrypt(stream_key().signal().unwrap(), seal).unwrap()
}

fn send(session: &mut Session) {
    session.handle_bytes(Lane::Live, &ClientMessage::Frame(encrypted()).encode());
}

fn has_feature(messages: &[ServerMessage]) -> bool {
    messages.iter().any(|message| match message {
        ServerMessage::Welcome(welcome) => welcome.features.contains(Features::ENCRYPTED),
        _ => false,
    })
}

#[tokio::test]
async fn a_node_takes_what_it_cannot_read_only_where_its_operator_says_so() {
    let node = Node::start().await;
    let (mut session, mut replies) = node.session(IngestConfig::default());
    greet(&mut session);
    assert!(!has_feature(&said(&mut session)));
    open(&mut session, &mut replies, 1, Lane::Live).await;
    said(&mut session);
    send(&mut session);
    let code = RejectCode::Version;
    assert_eq!(said(&mut session), [ServerMessage::Closing { code }]);

    let config = IngestConfig { encrypted_bodies: true, ..IngestConfig::default() };
    let (mut session, mut replies) = node.session(config);
    greet(&mut session);
    assert!(has_feature(&said(&mut session)));
    open(&mut session, &mut replies, 1, Lane::Live).await;
    // Twice: what comes again is compared, and is no conflict.
    send(&mut session);
    let reply = replies.recv().await.expect("an answer");
    assert_eq!(stored_by(&reply), 1);
    session.handle_reply(reply);
    send(&mut session);
    for _ in 0..2 {
        session.handle_reply(replies.recv().await.expect("an answer"));
    }
    let rejected = |message: &ServerMessage| matches!(message, ServerMessage::Reject(_));
    assert!(!said(&mut session).iter().any(rejected));
    let marks = node.view.marks(&gateway_id());
    assert_eq!(marks.iter().map(|mark| mark.durable.0).collect::<Vec<_>>(), [1]);
}

/// What is read back from a journal is checked as it was admitted, and is no damage.
#[test]
fn an_entry_of_it_is_whole_and_says_what_it_is() {
    let frame = encrypted();
    let entry = wire::FrameEntry::new(gateway_id(), stream_key(), &frame);
    let bytes = Entry::Frame(entry).to_bytes().expect("an entry");
    let Ok(Entry::Frame(read)) = Entry::from_bytes(1, &bytes) else { panic!("a frame's entry") };
    let signal = stream_key().signal().unwrap();
    assert_eq!(read.frame().readings(signal), Err(FrameError::Encrypted));
    assert_eq!(read.frame().check(signal), frame.check(signal));
}
