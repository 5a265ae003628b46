//! Streams that the server does not open yet: a pause and never an end, told each time.

use model::{Millis, RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::machines::*;
use crate::samples::{self, ECG};

/// Asks for a stream on the live lane; nothing is carried yet.
fn ask(pair: &mut Pair, device: &str) -> StreamHandle {
    let descriptor = samples::descriptor(device, ECG, 1);
    pair.client.open_stream(Lane::Live, descriptor, Sequence(0)).expect("a new stream")
}

/// The server postpones a stream that was asked for; when it is asked for again.
fn postpone(pair: &mut Pair, handle: StreamHandle, code: RejectCode) -> Millis {
    pair.up();
    pair.server.refuse_stream(handle, code);
    let events = pair.down();
    let [ClientEvent::StreamPostponed { handle: told, code: why, again_at }] = events[..] else {
        panic!("expected a pause, found {events:?}")
    };
    assert_eq!((told, why, pair.client.wakeup()), (handle, code, Some(again_at)));
    again_at
}

fn is_asked_for(events: &[ServerEvent], handle: StreamHandle) -> bool {
    matches!(events.last(), Some(ServerEvent::OpenStream(open)) if open.handle == handle)
}

#[test]
fn a_postponed_stream_is_asked_for_again_and_sends_what_it_held() {
    let mut pair = Pair::new();
    let handle = ask(&mut pair, "monitor-1");
    let again_at = postpone(&mut pair, handle, RejectCode::Unavailable);
    assert_eq!(again_at, now().plus(1000));
    push(&mut pair, handle, 3);
    pair.client.handle_timeout(again_at);
    let events = pair.up();
    assert_eq!(events[0], ServerEvent::StreamEnded { handle });
    assert!(is_asked_for(&events, handle) && events.len() == 2, "{events:?}");
    pair.server.open_stream(handle, Sequence(0));
    let next = Sequence(1);
    assert_eq!(pair.down(), [ClientEvent::StreamReady { handle, next }]);
    assert_eq!(pair.up().len(), 3, "the frames");
    pair.server.acknowledge(receipt_for(1, 3));
    assert!(pair.down().contains(&ClientEvent::Durable { handle, last: Sequence(3) }));
    assert_eq!(pair.client.wakeup(), None);
}

#[test]
fn pauses_double_to_a_minute_and_begin_anew_after_the_stream_was_open() {
    let mut pair = Pair::new();
    let handle = ask(&mut pair, "monitor-1");
    let mut waits = Vec::new();
    for _ in 0..9 {
        let again_at = postpone(&mut pair, handle, RejectCode::Busy);
        waits.push(again_at.since(now()));
        pair.client.handle_timeout(again_at);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60].map(|seconds| seconds * 1000));
    pair.up();
    pair.server.open_stream(handle, Sequence(0));
    pair.down();
    // A stream that was open may be postponed too; what was under way goes again.
    push(&mut pair, handle, 2);
    pair.up();
    pair.server.refuse_stream(handle, RejectCode::Unavailable);
    let again_at = now().plus(1000);
    let code = RejectCode::Unavailable;
    assert_eq!(pair.down(), [ClientEvent::StreamPostponed { handle, code, again_at }]);
    assert_eq!(pair.client.under_way(), Credit::default());
    assert_eq!(pair.server.unacknowledged().sum(), Credit::default());
    pair.client.handle_timeout(again_at);
    assert!(is_asked_for(&pair.up(), handle));
    pair.server.open_stream(handle, Sequence(0));
    pair.down();
    assert_eq!(pair.up().len(), 2);
}

#[test]
fn only_a_code_that_may_be_retried_postpones() {
    for code in RejectCode::ALL {
        let mut pair = Pair::new();
        let handle = ask(&mut pair, "monitor-1");
        pair.up();
        pair.server.refuse_stream(handle, *code);
        let events = pair.down();
        let expected = match code.retry() {
            true => {
                let (code, again_at) = (*code, now().plus(1000));
                ClientEvent::StreamPostponed { handle, code, again_at }
            }
            false => {
                let (why, frames) = (StopReason::Refused(*code), Vec::new());
                ClientEvent::StreamStopped { handle, why, frames }
            }
        };
        assert_eq!(events, [expected]);
    }
}

#[test]
fn a_stream_beyond_the_servers_limit_is_told_at_each_pause_and_opens_when_there_is_room() {
    let limits = ServerLimits { streams_max: 1, ..ServerLimits::default() };
    let mut pair = Pair::connect(new_client(), limits);
    let (first, second) = (ask(&mut pair, "monitor-1"), ask(&mut pair, "monitor-2"));
    pair.up();
    pair.server.open_stream(first, Sequence(0));
    assert_eq!(pair.down().len(), 2, "one is ready and one is postponed");
    for _ in 0..5 {
        let again_at = pair.client.wakeup().expect("a pause");
        pair.client.handle_timeout(again_at);
        // The server never entered it: to end it is no breach, and nothing reaches the owner.
        assert!(pair.up().is_empty());
        let events = pair.down();
        assert!(
            matches!(events[..], [ClientEvent::StreamPostponed { handle, code, .. }]
                if handle == second && code == RejectCode::Busy),
            "{events:?}"
        );
    }
    pair.client.end_stream(first).expect("open");
    pair.down();
    let again_at = pair.client.wakeup().expect("a pause");
    pair.client.handle_timeout(again_at);
    assert!(is_asked_for(&pair.up(), second));
}

#[test]
fn a_postponed_stream_is_asked_for_at_once_on_the_next_connection() {
    let mut pair = Pair::new();
    let handle = ask(&mut pair, "monitor-1");
    let again_at = postpone(&mut pair, handle, RejectCode::Unavailable);
    push(&mut pair, handle, 1);
    pair.client.disconnected();
    assert_eq!(pair.client.wakeup(), None);
    let mut pair = Pair::connect(pair.client, ServerLimits::default());
    assert!(is_asked_for(&pair.up(), handle));
    // Short of the same still: the wait goes on where it was.
    pair.server.refuse_stream(handle, RejectCode::Unavailable);
    pair.down();
    assert_eq!(pair.client.wakeup(), Some(again_at.plus(1000)));
}

#[test]
fn a_postponed_stream_that_is_ended_with_nothing_to_send_leaves() {
    let mut pair = Pair::new();
    let handle = ask(&mut pair, "monitor-1");
    let again_at = postpone(&mut pair, handle, RejectCode::Busy);
    pair.client.end_stream(handle).expect("known");
    assert_eq!(pair.down(), [ClientEvent::StreamEnded { handle }]);
    assert_eq!(pair.up(), [ServerEvent::StreamEnded { handle }]);
    pair.client.handle_timeout(again_at);
    assert!(pair.up().is_empty());
}
