//! Frames that came together: each is stored, receipted and refused as if it had come alone.

use model::{EpochNumber, RejectCode, Sequence, StreamHandle};
use wire::limits::BLOCK_FRAMES_MAX;
use wire::{Block, ClientMessage, Concern, Frame, FramePlace, Lane, Reject, ServerMessage};

use super::floods::{greet, open};
use super::support::{Node, frame, gateway_id, in_columns, stored_by};
use crate::stages::ingest::IngestConfig;
use crate::stages::ingest::config::READ_BYTES_MAX;
use crate::stages::ingest::session::Session;

/// A small frame of the stream with this number, which is its handle and its epoch.
fn of_stream(stream: u16, sequence: u64) -> Frame {
    let (handle, epoch) = (StreamHandle(stream.into()), EpochNumber(stream));
    in_columns(&frame(1, 7)).at_place(FramePlace { handle, epoch, sequence: Sequence(sequence) })
}

pub(super) fn said(session: &mut Session) -> Vec<ServerMessage> {
    let messages = std::iter::from_fn(|| session.poll_transmit(Lane::Control));
    messages.map(|bytes| ServerMessage::decode(bytes).expect("a message")).collect()
}

#[tokio::test]
async fn frames_of_a_block_are_stored_and_refused_each_on_its_own() {
    let node = Node::start().await;
    let (mut session, mut replies) = node.session(IngestConfig::default());
    greet(&mut session);
    for stream in 1..=3 {
        open(&mut session, &mut replies, stream, Lane::Live).await;
    }
    said(&mut session);
    // The second stream has a hole.
    let frames = [of_stream(1, 1), of_stream(2, 2), of_stream(3, 1), of_stream(3, 2)];
    let block = ClientMessage::Block(Block::new(&frames).expect("few small frames"));
    for _ in 0..2 {
        session.handle_bytes(Lane::Live, &block.encode());
    }
    let gap = Reject {
        code: RejectCode::Gap,
        concern: Concern::Frames { handle: StreamHandle(2), from: Sequence(1) },
        count: 1,
    };
    assert_eq!(said(&mut session), [ServerMessage::Reject(gap)], "once, and nothing of the others");
    let mut stored = 0;
    // The second time all but the hole are compared with what is stored.
    for _ in 0..2 {
        let reply = replies.recv().await.expect("an answer for each read");
        stored += stored_by(&reply);
        session.handle_reply(reply);
    }
    assert_eq!(stored, 3, "each once");
    let marks = node.view.marks(&gateway_id());
    let marks: Vec<_> = marks.iter().map(|mark| (mark.stream.epoch.0, mark.durable.0)).collect();
    assert_eq!(marks, [(1, 1), (3, 2)]);
}

/// One read brings far more of the smallest frames than a connection may have under way: what is
/// beyond that never waits for the writer, so blocks overrun a lane's share no further than frames
/// that come alone (W.86).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_full_of_small_frames_brings_the_writer_no_more_than_the_budget() {
    let node = Node::start().await;
    let config = IngestConfig::default();
    let most = config.unacknowledged_frames_max as usize;
    let (mut session, mut replies) = node.session(config);
    greet(&mut session);
    open(&mut session, &mut replies, 1, Lane::Live).await;
    said(&mut session);
    let frames: Vec<_> = (1..=24 * BLOCK_FRAMES_MAX as u64).map(|n| of_stream(1, n)).collect();
    let blocks = frames.chunks(BLOCK_FRAMES_MAX);
    let blocks = blocks.map(|part| ClientMessage::Block(Block::new(part).expect("small")).encode());
    let bytes = blocks.collect::<Vec<_>>().concat();
    let held = node.hold_writer();
    session.handle_bytes(Lane::Live, &bytes[..READ_BYTES_MAX]);
    let waiting = node.admit.waiting();
    // The writer may have some in its hand.
    assert!(waiting <= most && waiting + 64 >= most, "{waiting} wait of {most}");
    let busy = Reject {
        code: RejectCode::Busy,
        concern: Concern::Frames { handle: StreamHandle(1), from: Sequence(most as u64 + 1) },
        count: 1,
    };
    assert_eq!(said(&mut session), [ServerMessage::Reject(busy)], "told once");
    drop(held);
    let reply = replies.recv().await.expect("an answer for the read");
    assert_eq!(stored_by(&reply), most);
    session.handle_reply(reply);
    let marks = node.view.marks(&gateway_id());
    assert_eq!(marks[0].durable, Sequence(most as u64));
}
