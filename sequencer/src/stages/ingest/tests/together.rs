//! Frames that one read brings: the writer is asked once, and each is taken or not by itself.

use model::{EpochNumber, Position, RejectCode, Sequence, StreamHandle};
use tokio::sync::mpsc::Receiver;
use wire::{
    ClientMessage, Concern, Entry, Frame, FramePlace, Holder, Lane, OpenStream, Reject,
    ServerMessage,
};

use super::blocks::said;
use super::floods::{greet, open};
use super::support::{
    COMMON_ITEMS_MAX, Node, descriptor, frame, frame_at, gateway_id, now, stored_by,
};
use crate::stages::ingest::IngestConfig;
use crate::stages::ingest::session::{Reply, Session};
use crate::stages::ledger::{Answer, Item};

/// As many frames under way as fill the part of the budget that is read for.
const FRAMES: u64 = 7;

/// A session with three streams, whose budget is eight frames.
async fn session(node: &Node) -> (Session, Receiver<Reply>) {
    let limits = IngestConfig::default();
    let config = IngestConfig {
        unacknowledged_frames_max: FRAMES as u32 + 1,
        idle_window_bytes: limits.connection_window_bytes,
        ..limits
    };
    let (mut session, mut replies) = node.session(config);
    greet(&mut session);
    for stream in 1..=3 {
        open(&mut session, &mut replies, stream, Lane::Live).await;
    }
    said(&mut session);
    (session, replies)
}

/// The same frame in the stream with this number, which is its handle and its epoch.
fn in_stream(frame: &Frame, stream: u16, sequence: u64) -> Frame {
    let (handle, epoch) = (StreamHandle(stream.into()), EpochNumber(stream));
    frame.at_place(FramePlace { handle, epoch, sequence: Sequence(sequence) })
}

/// Frames of these streams with these numbers, as one read brings them.
fn read(frames: &[(u16, u64)]) -> Vec<u8> {
    let frame = frame(1, 7);
    frames
        .iter()
        .flat_map(|(stream, n)| in_stream(&frame, *stream, *n).as_bytes().to_vec())
        .collect()
}

/// Seven frames of three streams in turn.
const IN_TURN: [(u16, u64); FRAMES as usize] =
    [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (3, 1), (2, 3)];

/// Stream and number of each stored frame, in the order of the journal.
fn stored(node: &Node) -> Vec<(u16, u64)> {
    let place = |entry: &Entry| match entry {
        Entry::Frame(frame) => Some((frame.epoch().0, frame.sequence().0)),
        _ => None,
    };
    node.entries().iter().filter_map(place).collect()
}

fn reject(code: RejectCode, stream: u16, from: u64, count: u32) -> ServerMessage {
    let concern = Concern::Frames { handle: StreamHandle(stream.into()), from: Sequence(from) };
    ServerMessage::Reject(Reject { code, concern, count })
}

#[tokio::test]
async fn frames_of_one_read_are_stored_in_the_order_in_which_they_came_with_one_reply() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    session.handle_bytes(Lane::Live, &read(&IN_TURN));
    assert!(!session.may_read(Lane::Live), "all of them are under way");
    let reply = replies.recv().await.expect("one reply");
    assert_eq!(stored_by(&reply), IN_TURN.len());
    session.handle_reply(reply);
    assert_eq!(stored(&node), IN_TURN);
    assert!(said(&mut session).is_empty(), "a receipt acknowledges them");
}

/// What was compared in vain may have its receipt by another way: the client sends it no more.
#[tokio::test]
async fn a_stream_that_is_told_to_go_back_goes_on_behind_what_has_a_receipt() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    session.handle_bytes(Lane::Live, &read(&[(1, 1), (1, 2), (1, 3)]));
    let reply = replies.recv().await.expect("one reply");
    session.handle_reply(reply);
    let holder = Holder::gateway(&gateway_id());
    let last = Position(node.journal.head().position);
    session.acknowledge(node.hub.receipt_at(last, holder).unwrap());
    said(&mut session);
    session.reject_frames(StreamHandle(1), Sequence(2), RejectCode::Unavailable);
    session.handle_bytes(Lane::Live, &read(&[(1, 4)]));
    let reply = replies.recv().await.expect("it is taken");
    assert_eq!(stored_by(&reply), 1);
    assert_eq!(stored(&node), [(1, 1), (1, 2), (1, 3), (1, 4)]);
}

/// Parts of a read are one read: a frame that was cut comes with the rest.
#[tokio::test]
async fn what_is_gathered_from_several_parts_is_submitted_once() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    let held = node.hold_writer();
    let bytes = read(&IN_TURN);
    for part in bytes.chunks(50) {
        session.gather_bytes(Lane::Live, part);
    }
    assert_eq!(node.admit.waiting(), 0, "nothing is submitted yet");
    session.take_events();
    node.until_waiting(IN_TURN.len() - 1).await;
    drop(held);
    assert_eq!(stored_by(&replies.recv().await.expect("one reply")), IN_TURN.len());
    assert_eq!(stored(&node), IN_TURN);
}

#[tokio::test]
async fn where_the_writers_places_end_among_them_the_others_are_busy_and_come_again() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    let held = node.hold_writer();
    let item = || Item::OpenStream { gateway: gateway_id(), descriptor: descriptor() };
    // One in the writer's hand, and all but three places.
    node.admit.submit_with(item(), |_| ()).unwrap();
    node.until_waiting(0).await;
    let most = COMMON_ITEMS_MAX / 8 * 6;
    for _ in 3..most {
        node.admit.submit_with(item(), |_| ()).unwrap();
    }
    session.handle_bytes(Lane::Live, &read(&IN_TURN));
    // Once for each stream, from its first one that has no place.
    let busy = |stream, from, count| reject(RejectCode::Busy, stream, from, count);
    assert_eq!(said(&mut session), [busy(2, 2, 2), busy(1, 3, 1), busy(3, 1, 1)]);
    assert!(session.may_read(Lane::Live), "their part of the budget is given back");
    drop(held);
    let reply = replies.recv().await.expect("one reply");
    assert_eq!(stored_by(&reply), 3, "of those that had a place");
    session.handle_reply(reply);
    assert_eq!(stored(&node), IN_TURN[..3]);
    node.until_waiting(0).await;
    let again = [(1, 3), (2, 2), (2, 3), (3, 1)];
    session.handle_bytes(Lane::Live, &read(&again));
    assert_eq!(stored_by(&replies.recv().await.expect("one reply")), again.len());
    assert_eq!(stored(&node), [&IN_TURN[..3], &again].concat());
}

#[tokio::test]
async fn one_that_is_refused_among_them_takes_along_those_of_its_stream_alone() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    // By the sessions' clock it may be measured; the writer's says that nobody can have.
    let ahead_ms = 600_000;
    node.clock.advance(ahead_ms);
    let future = in_stream(&frame_at(1, now().plus(ahead_ms)), 2, 1);
    let bytes =
        [read(&[(1, 1)]), future.as_bytes().to_vec(), read(&[(1, 2), (2, 2), (3, 1)])].concat();
    session.handle_bytes(Lane::Live, &bytes);
    let reply = replies.recv().await.expect("one reply");
    let Reply::Frames { outcome: Ok(answers), .. } = &reply else { panic!("answers") };
    let is_stored: Vec<_> =
        answers.iter().map(|answer| matches!(answer, Answer::FrameStored)).collect();
    assert_eq!(is_stored, [true, false, true, false, true]);
    session.handle_reply(reply);
    assert_eq!(said(&mut session), [reject(RejectCode::Clock, 2, 1, 2)], "told once");
    assert_eq!(stored(&node), [(1, 1), (1, 2), (3, 1)]);
    session.handle_bytes(Lane::Live, &read(&[(2, 1), (3, 2)]));
    assert_eq!(stored_by(&replies.recv().await.expect("one reply")), 2, "it goes on from there");
}

#[tokio::test]
async fn a_writer_that_fails_among_them_leaves_none_of_them_under_way() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    let held = node.hold_writer();
    session.handle_bytes(Lane::Live, &read(&IN_TURN));
    assert!(!session.may_read(Lane::Live));
    node.break_writer();
    drop(held);
    let reply = replies.recv().await.expect("one reply");
    assert!(matches!(&reply, Reply::Frames { outcome: Err(_), frames, .. } if frames.len() == 7));
    session.handle_reply(reply);
    let gone = |stream, count| reject(RejectCode::Unavailable, stream, 1, count);
    assert_eq!(said(&mut session), [gone(1, 3), gone(2, 3), gone(3, 1)]);
    assert!(session.may_read(Lane::Live), "their part of the budget is given back");
    assert!(stored(&node).is_empty());
    // And what comes now finds no writer.
    session.handle_bytes(Lane::Live, &read(&[(1, 1), (2, 1)]));
    assert_eq!(said(&mut session), [gone(1, 1), gone(2, 1)]);
    assert!(session.is_idle());
}

/// A stream that is ended and described anew behind its frames goes on behind them.
#[tokio::test]
async fn what_one_read_brings_behind_frames_is_submitted_behind_them() {
    let node = Node::start().await;
    let (mut session, mut replies) = session(&node).await;
    let (handle, lane) = (StreamHandle(4), Lane::Control);
    open(&mut session, &mut replies, 4, lane).await;
    let descriptor = wire::Descriptor { epoch: EpochNumber(4), ..descriptor() };
    let again = OpenStream { handle: StreamHandle(5), lane, descriptor };
    let bytes = [
        read(&[(4, 1), (4, 2)]),
        ClientMessage::EndStream { handle }.encode().to_vec(),
        ClientMessage::OpenStream(again).encode().to_vec(),
    ];
    session.handle_bytes(lane, &bytes.concat());
    let reply = replies.recv().await.expect("of the frames");
    assert_eq!(stored_by(&reply), 2);
    session.handle_reply(reply);
    let Some(Reply::Opened { outcome: Ok(Answer::StreamOpened { next }), .. }) =
        replies.recv().await
    else {
        panic!("expected the answer to the opening")
    };
    assert_eq!(next, Sequence(3));
}
