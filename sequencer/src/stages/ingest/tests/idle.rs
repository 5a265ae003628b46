//! Who has not got a receipt makes the node hold little; who has gets the whole of its windows. Who
//! writes slowly or opens streams without end disturbs nobody.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use model::{EpochNumber, RejectCode, Sequence, StreamHandle};
use quinn::SendStream;
use tokio::sync::mpsc::Receiver;
use wire::{
    ClientEvent, ClientMessage, ClientName, Descriptor, FramePlace, Hello, Holder, Lane,
    OpenStream, RequestId, ServerMessage,
};

use super::floods::open;
use super::support::{Node, descriptor, dial, frame, gateway_id, junk, large_frame};
use super::{raw_stream, raw_welcomed, streams_on};
use crate::stages::ingest::IngestConfig;
use crate::stages::ingest::config::READ_BYTES_MAX;
use crate::stages::ingest::session::{Reply, Session};

/// Bytes that a lane takes without waiting.
fn fill(lane: &mut SendStream) -> usize {
    let (mut written, bytes) = (0, [0; 4096]);
    loop {
        let more = pin!(lane.write(&bytes)).poll(&mut Context::from_waker(Waker::noop()));
        match more {
            Poll::Ready(Ok(more)) => written += more,
            Poll::Ready(Err(error)) => panic!("expected an open lane, found {error}"),
            Poll::Pending => return written,
        }
    }
}

/// A stream, opened with a handle in an epoch.
#[derive(Clone, Copy)]
struct Stream {
    handle: u32,
    epoch: u16,
}

const FIRST: Stream = Stream { handle: 1, epoch: 1 };

/// A frame as large as frames get.
fn large(of: Stream, sequence: u64) -> Vec<u8> {
    let (handle, epoch) = (StreamHandle(of.handle), EpochNumber(of.epoch));
    let frame = large_frame(of.handle, of.epoch);
    let frame = frame.at_place(FramePlace { handle, epoch, sequence: Sequence(sequence) });
    ClientMessage::Frame(frame).encode().to_vec()
}

/// A session that said hello.
fn greeted(node: &Node, config: IngestConfig) -> (Session, Receiver<Reply>) {
    let (mut session, replies) = node.session(config);
    for lane in Lane::ALL {
        session.handle_bytes(lane, &lane.preamble());
    }
    let hello = Hello::new(ClientName::new("raw").unwrap(), false);
    session.handle_bytes(Lane::Control, &ClientMessage::Hello(hello).encode());
    (session, replies)
}

#[tokio::test]
async fn a_connection_without_lanes_takes_in_no_more_than_the_idle_window() {
    let node = Node::start().await;
    let (_endpoint, connection) = dial(node.address, &node.gateway).await.unwrap();
    // One lane of three: the node reads none before it has all.
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    assert_eq!(fill(&mut send), IngestConfig::default().idle_window_bytes as usize);
}

#[tokio::test]
async fn a_small_connection_window_is_not_widened_by_the_idle_one() {
    let connection_window_bytes = 64 << 10;
    let config = IngestConfig { connection_window_bytes, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let (_endpoint, connection) = dial(node.address, &node.gateway).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    assert_eq!(fill(&mut send), connection_window_bytes as usize);
}

/// With a writer that answers nobody, a session takes in what its budget and its window hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_receipt_reads_no_further_than_the_idle_window() {
    let config = IngestConfig::default();
    let node = Node::start().await;
    let (mut session, mut replies) = greeted(&node, config.clone());
    open(&mut session, &mut replies, 1, Lane::Live).await;
    let held = node.hold_writer();
    let (mut taken, mut sequence) = (0, 0);
    while session.may_read(Lane::Live) {
        sequence += 1;
        let frame = large(FIRST, sequence);
        session.handle_bytes(Lane::Live, &frame);
        taken += frame.len();
    }
    let idle = config.idle_window_bytes as usize;
    let message = wire::limits::MESSAGE_BYTES_MAX;
    assert!(taken > 0 && taken <= idle + message + READ_BYTES_MAX, "{taken} bytes");
    assert!(!session.is_proven());
    drop(held);
    for _ in 0..sequence {
        session.handle_reply(replies.recv().await.unwrap());
    }
    // Stored is not receipted.
    assert!(!session.is_proven());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_first_receipt_a_connection_has_its_whole_windows() {
    let node = Node::start().await;
    let mut raw = raw_stream(&node).await;
    raw.send(Lane::Live, &ClientMessage::Frame(frame(1, 5)).encode()).await;
    while !matches!(raw.next().await, ServerMessage::Receipt { .. }) {}
    // Far more than the idle window and what a session without a receipt holds: it goes through
    // only because the node holds more from now on.
    let held = node.hold_writer();
    let config = IngestConfig::default();
    let most = u64::from(config.lane_window_bytes) + config.unacknowledged_bytes_max / 8 * 7;
    let frames = most / large(FIRST, 2).len() as u64 - 2;
    assert!(frames * large(FIRST, 2).len() as u64 > 10 * u64::from(config.idle_window_bytes));
    for sequence in 2..2 + frames {
        raw.send(Lane::Live, &large(FIRST, sequence)).await;
    }
    drop(held);
}

/// A receipt goes to all connections of its holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_another_connection_proves_nothing_and_ones_own_does() {
    let node = Node::start().await;
    let (mut session, mut replies) = greeted(&node, IngestConfig::default());
    let mut receipts = node.hub.subscribe(Holder::gateway(&gateway_id()));
    let mut busy = node.gateway().await.welcomed().await;
    let handle = busy.open().await;
    streams_on(&mut busy, handle, 1).await;
    session.handle_receipt(receipts.recv().await.unwrap());
    assert!(!session.is_proven());
    open(&mut session, &mut replies, 2, Lane::Live).await;
    session.handle_bytes(Lane::Live, &large(Stream { handle: 2, epoch: 2 }, 1));
    session.handle_reply(replies.recv().await.unwrap());
    session.handle_receipt(receipts.recv().await.unwrap());
    assert!(session.is_proven());
}

/// Rejects wait to be sent: a peer that causes them and reads none is closed early.
#[tokio::test]
async fn whoever_reads_nothing_is_closed_when_little_waits_for_it() {
    let config = IngestConfig { outgoing_bytes_max: 64 << 20, ..IngestConfig::default() };
    let node = Node::start().await;
    let (mut session, _replies) = greeted(&node, config);
    let mut caused = 0;
    while session.ended().is_none() {
        // A wallet's message of a gateway: rejected, and the session goes on.
        let (request, operation) = (RequestId(caused), junk(3));
        let operation = ClientMessage::Operation { request, operation };
        session.handle_bytes(Lane::Control, &operation.encode());
        caused += 1;
        assert!(caused < 100_000, "nothing closed it");
    }
    assert_eq!(session.ended(), Some(Some(RejectCode::Busy)));
}

#[tokio::test]
async fn a_message_that_comes_byte_by_byte_disturbs_nobody_and_is_taken_when_it_is_whole() {
    let node = Node::start().await;
    let (mut slow, _) = raw_welcomed(&node).await;
    let descriptor = Descriptor { epoch: EpochNumber(2), ..descriptor() };
    let open = OpenStream { handle: StreamHandle(1), lane: Lane::Live, descriptor };
    let bytes = ClientMessage::OpenStream(open).encode();
    let mut good = node.gateway().await.welcomed().await;
    let handle = good.open().await;
    for (sequence, byte) in (1..).zip(bytes.iter()) {
        slow.send(Lane::Control, &[*byte]).await;
        streams_on(&mut good, handle, sequence).await;
    }
    // The other connection's receipts came here, too: they are of one gateway.
    while !matches!(slow.next().await, ServerMessage::StreamOpened { .. }) {}
}

#[tokio::test]
async fn streams_beyond_the_limit_are_busy_and_another_connection_goes_on() {
    let config = IngestConfig { streams_max: 4, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let (mut flood, _) = raw_welcomed(&node).await;
    for number in 1..=100 {
        let descriptor = Descriptor { epoch: EpochNumber(number), ..descriptor() };
        let handle = StreamHandle(number.into());
        let open = OpenStream { handle, lane: Lane::Live, descriptor };
        flood.send(Lane::Control, &ClientMessage::OpenStream(open).encode()).await;
    }
    let (mut opened, mut busy) = (0, 0);
    while opened + busy < 100 {
        match flood.next().await {
            ServerMessage::StreamOpened { .. } => opened += 1,
            ServerMessage::Reject(reject) => {
                assert_eq!(reject.code, RejectCode::Busy);
                busy += 1;
            }
            other => panic!("expected an answer to each, found {other:?}"),
        }
    }
    assert_eq!((opened, busy), (4, 96));
    let mut good = node.gateway().await.welcomed().await;
    let descriptor = Descriptor { epoch: EpochNumber(101), ..descriptor() };
    let handle = good.session.open_stream(Lane::Live, descriptor, Sequence(0)).unwrap();
    let ready =
        |event: &ClientEvent| matches!(event, ClientEvent::StreamReady { .. }).then_some(());
    good.until(ready).await;
    streams_on(&mut good, handle, 1).await;
}
