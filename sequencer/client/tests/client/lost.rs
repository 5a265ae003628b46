//! A node that lost frames that it gave receipts for, because it was restored from a backup.

use std::sync::Arc;

use client::{Connection, Loss, StateBounds, Stream};
use model::{EpochNumber, Sequence};
use tokio::sync::mpsc;
use wire::{Descriptor, Lane};

use crate::node::{Behaviour, Node, descriptor, reading, stream_key};

/// A gateway with a state folder.
struct Gateway {
    folder: tempfile::TempDir,
    told: mpsc::UnboundedSender<Loss>,
    bounds: StateBounds,
}

impl Gateway {
    fn new(bounds: StateBounds) -> (Gateway, mpsc::UnboundedReceiver<Loss>) {
        let (told, losses) = mpsc::unbounded_channel();
        (Gateway { folder: tempfile::tempdir().unwrap(), told, bounds }, losses)
    }

    async fn connect(&self, node: &Node) -> (Connection, Stream) {
        let (state, told) = (self.folder.path().join("state"), self.told.clone());
        let connected = node.connect_as(|config| {
            (config.state, config.state_bounds) = (Some(state), self.bounds);
            config.on_loss =
                Some(Arc::new(move |loss: &Loss| told.send(loss.clone()).expect("heard")));
        });
        let connection = connected.await.unwrap();
        let epoch = connection.epoch(&stream_key()).unwrap();
        let described = Descriptor { epoch, ..descriptor(1) };
        let stream = connection.open_stream(Lane::Live, described).await.unwrap();
        (connection, stream)
    }
}

async fn send(stream: &Stream, values: std::ops::Range<i32>) {
    for value in values {
        stream.send(&[reading(value)]).await.unwrap();
    }
}

/// The values that the node has in an epoch, by their sequences.
fn values(node: &Node, epoch: u16) -> Vec<(u64, i32)> {
    let log = node.log();
    let own = log.frames.iter().filter(|(stream, _)| stream.epoch == EpochNumber(epoch));
    let signal = stream_key().signal().unwrap();
    let value = |frame: &wire::Frame| frame.readings(signal).unwrap()[0].value.unwrap();
    let frames = own.flat_map(|(_, frames)| frames.iter());
    frames.map(|(sequence, (frame, ..))| (sequence.0, value(frame))).collect()
}

#[tokio::test]
async fn frames_that_the_node_lost_go_again_under_their_sequences() {
    let (gateway, mut losses) = Gateway::new(StateBounds::default());
    let node = Node::start(Behaviour::default());
    let (connection, stream) = gateway.connect(&node).await;
    send(&stream, 0..50).await;
    stream.flush().await.unwrap();
    // It was restored from a backup, and its operator accepted the loss.
    {
        let mut log = node.log();
        log.frames.values_mut().for_each(|frames| drop(frames.split_off(&Sequence(21))));
        log.term = 1;
    }
    node.hang_up();
    let loss = losses.recv().await.unwrap();
    assert_eq!((loss.durable, loss.receipted), (Sequence(20), Sequence(50)));
    assert_eq!((loss.epoch, loss.again.frames), (EpochNumber(1), 30));
    send(&stream, 50..60).await;
    stream.flush().await.unwrap();
    let expected: Vec<_> = (1..=60).zip(0..60).collect();
    assert_eq!(values(&node, 1), expected);
    let counts = connection.counts();
    assert_eq!((counts.readings_sent_again, counts.losses_accepted), (30, 1));
    assert_eq!(counts.frames_sent, counts.frames_receipted);
}

#[tokio::test]
async fn what_does_not_follow_what_the_node_has_goes_in_another_epoch() {
    // Segments of a few frames, of which none is kept once they have receipts.
    let bounds = StateBounds { bytes_max: 8192, receipted_bytes_max: 0, ..StateBounds::default() };
    let (gateway, mut losses) = Gateway::new(bounds);
    let node = Node::start(Behaviour::default());
    let (connection, stream) = gateway.connect(&node).await;
    send(&stream, 0..50).await;
    stream.flush().await.unwrap();
    node.behave(Behaviour { silent: true, ..Behaviour::default() });
    send(&stream, 50..55).await;
    node.stored(55).await;
    drop((stream, connection));
    node.log().frames.clear();
    node.behave(Behaviour::default());
    let (connection, stream) = gateway.connect(&node).await;
    let loss = losses.recv().await.unwrap();
    assert_eq!((loss.durable, loss.receipted), (Sequence(0), Sequence(50)));
    assert_eq!((loss.stream.epoch, loss.epoch), (EpochNumber(1), EpochNumber(2)));
    send(&stream, 55..60).await;
    stream.flush().await.unwrap();
    let sent = values(&node, 2);
    let first = 55 - 5 - loss.again.frames as i32;
    let expected: Vec<_> = (1..).zip(first..60).collect();
    assert_eq!(sent, expected, "what lacked a receipt, and what was kept before it");
    assert!(values(&node, 1).is_empty());
    assert_eq!(connection.counts().frames_receipted, expected.len() as u64);
}
