//! Readings that the node is not to know: on their way, kept over a restart, and read with the key.

use std::path::Path;
use std::sync::Arc;

use client::{BodyKey, Connection, ConnectionError, Key, KeyKind, Stream};
use wire::{Codec, Frame, FrameError, Lane, Reading, ServerLimits};

use crate::command_line::{done, folder_with_identities, vitals};
use crate::node::{Behaviour, Node, descriptor, reading, stream_key};

/// A node whose operator takes what it cannot read.
fn taking() -> Behaviour {
    let limits = ServerLimits { takes_encrypted: true, ..ServerLimits::default() };
    Behaviour { limits, ..Behaviour::default() }
}

fn body_key() -> Arc<BodyKey> {
    Arc::new(BodyKey::of(&Key::from_secret(KeyKind::Readings, [7; 32])))
}

async fn connect(node: &Node, state: Option<&Path>) -> (Connection, Stream) {
    let connection = node.connect_as(|config| {
        config.state = state.map(Path::to_owned);
        (config.codec, config.encrypt) = (Some(Codec::COLUMNAR), Some(body_key()));
    });
    let connection = connection.await.expect("connected");
    let stream = connection.begin_stream(Lane::Live, descriptor(1)).expect("begun");
    (connection, stream)
}

/// The frames that the node has, in order.
fn stored(node: &Node) -> Vec<Frame> {
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    frames.map(|(frame, ..)| frame.clone()).collect()
}

fn opened(frames: &[Frame]) -> Vec<Reading> {
    let (key, stream) = (body_key(), stream_key());
    let signal = stream.signal().expect("a signal");
    let open = |frame| key.open_frame(&stream, frame).expect("this key opens it");
    frames.iter().flat_map(|frame| open(frame).readings(signal).expect("sound")).collect()
}

#[tokio::test]
async fn the_node_gets_no_reading_and_whoever_has_the_key_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for state in [None, Some(folder.path().join("state"))] {
        let node = Node::start(taking());
        let (connection, stream) = connect(&node, state.as_deref()).await;
        let sent: Vec<_> = (0..20).map(|value| reading(600 + value)).collect();
        for readings in sent.chunks(3) {
            stream.send(readings).await.expect("taken");
        }
        stream.flush().await.expect("receipts");
        let frames = stored(&node);
        assert_eq!(frames.len(), 7);
        let signal = stream_key().signal().expect("a signal");
        for frame in &frames {
            assert_eq!(frame.readings(signal), Err(FrameError::Encrypted));
        }
        assert_eq!(opened(&frames), sent);
        connection.close().await;
    }
}

#[tokio::test]
async fn what_was_sent_before_a_restart_comes_again_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let node = Node::start(Behaviour { silent: true, ..taking() });
    let (connection, stream) = connect(&node, Some(&state)).await;
    for value in 0..3 {
        stream.send(&[reading(600 + value), reading(700)]).await.expect("kept");
    }
    node.stored(3).await;
    let before = stored(&node);
    drop((stream, connection));
    // The node has them and says so: other bytes would be a conflict, and end the stream.
    node.behave(taking());
    let (connection, stream) = connect(&node, Some(&state)).await;
    stream.send(&[reading(650)]).await.expect("kept");
    stream.flush().await.expect("receipts");
    let after = stored(&node);
    assert_eq!((&after[..3], after.len()), (&before[..], 4));
    assert!(after.iter().all(Frame::is_encrypted));
    connection.close().await;
}

#[tokio::test]
async fn a_node_that_takes_none_is_sent_none_and_nothing_in_the_clear() {
    for behaviour in
        [Behaviour::default(), Behaviour { before_names: true, ..Behaviour::default() }]
    {
        let node = Node::start(behaviour);
        let refused = node.connect_as(|config| config.encrypt = Some(body_key())).await;
        let error = refused.err().expect("no connection");
        assert!(matches!(error, ConnectionError::NotEncrypted), "{error}");
        assert!(error.to_string().contains("ingest.limits.encrypted_bodies"), "{error}");
        assert!(stored(&node).is_empty());
    }
}

#[tokio::test]
async fn from_the_command_line_to_whoever_reads() {
    let node = Node::start(taking());
    let folder = folder_with_identities(&node);
    let run = async |line: &str| done(folder.path(), &node, line).await;
    std::fs::write(folder.path().join("beats.csv"), "value\n60\n61\n62\n63\n").unwrap();
    let key = run("key new --kind readings --out DIR/ward.key").await;
    assert_eq!((&key["kind"], key["check"].as_str().unwrap().len()), (&"readings".into(), 16));
    assert!(key["public_key"].is_null() && key["key_hash"].is_null());
    run("key new --kind readings --out DIR/other.key").await;
    run("key new --kind practitioner --out DIR/dr.key").await;
    let stream = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                  --rate-hz 2 --end now DIR/beats.csv";
    run(&format!("{stream} --encrypt DIR/ward.key")).await;
    let access = "access --key DIR/dr.key --identity DIR/practitioner --organisation ward-3 \
                  --patient 7 --categories heart-rate --purpose treatment \
                  --data-from 2020-01-01 --data-until now";
    let read = run(&format!("{access} --decrypt DIR/ward.key --out DIR/read.csv")).await;
    assert_eq!((&read["complete"], &read["readings"]), (&true.into(), &4.into()));
    let text = std::fs::read_to_string(folder.path().join("read.csv")).unwrap();
    let values: Vec<_> = text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(values, ["60.0", "61.0", "62.0", "63.0"]);
    // Without the key, and with another one: it says so, and is no success.
    for key in ["", "--decrypt DIR/other.key"] {
        let output = vitals(folder.path(), &node, &format!("{access} {key}")).await;
        assert_eq!(output.status.code(), Some(1), "{key}");
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        assert_eq!(read["complete"], false);
        assert_eq!((&read["readings"], &read["frames_encrypted"]), (&0.into(), &1.into()));
    }
    // A frame that could not be sent is not made.
    let large = format!("{stream} --encrypt DIR/ward.key --frame-readings 4092");
    assert_eq!(vitals(folder.path(), &node, &large).await.status.code(), Some(2));
    let wrong = format!("{stream} --encrypt DIR/dr.key");
    let output = vitals(folder.path(), &node, &wrong).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("expected a key of kind readings"), "{error}");
}
