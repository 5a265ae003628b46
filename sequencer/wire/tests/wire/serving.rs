//! The server's machine alone: what it takes, in which order, and how much of it.

use model::{RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::machines::*;
use crate::samples;

#[test]
fn bytes_that_do_not_decode_close_the_session_with_their_code() {
    let mut server = streaming(ServerLimits::default());
    server.handle_bytes(Lane::Control, &[0xff; 64], now());
    closes_with(&mut server, RejectCode::Malformed);
    let mut server = streaming(ServerLimits::default());
    server.handle_bytes(Lane::Live, &[0xff, 0xff, 0xff, 0xff, 0], now());
    closes_with(&mut server, RejectCode::TooLarge);
    let mut server = streaming(ServerLimits::default());
    let mut reserved = samples::frame(1, 1, 1).as_bytes().to_vec();
    reserved[4] = 5;
    server.handle_bytes(Lane::Live, &reserved, now());
    closes_with(&mut server, RejectCode::Version);
}

#[test]
fn a_gap_is_told_once_and_the_stream_goes_on_where_it_was() {
    let mut server = streaming(ServerLimits::default());
    give(&mut server, 1);
    for later in [3, 4, 5] {
        give(&mut server, later);
    }
    assert_eq!(said(&mut server), [rejected(RejectCode::Gap, 2, 1)]);
    assert_eq!(heard(&mut server).len(), 1);
    for due in [2, 3] {
        give(&mut server, due);
        assert!(matches!(heard(&mut server)[..], [ServerEvent::Frame { .. }]), "sequence {due}");
    }
    assert!(said(&mut server).is_empty());
}

#[test]
fn what_came_before_is_a_duplicate_on_this_and_on_a_later_connection() {
    let mut server = streaming(ServerLimits::default());
    give(&mut server, 1);
    give(&mut server, 1);
    let duplicate =
        ServerEvent::Duplicate { handle: HANDLE, frame: samples::frame(1, 1, 2).stored() };
    assert_eq!(heard(&mut server)[1], duplicate);
    let mut server = ready(ServerLimits::default());
    tell(&mut server, open(1, "monitor-1"));
    heard(&mut server);
    server.open_stream(HANDLE, Sequence(5));
    let next = Sequence(6);
    assert_eq!(said(&mut server), [ServerMessage::StreamOpened { handle: HANDLE, next }]);
    give(&mut server, 1);
    assert_eq!(heard(&mut server), [duplicate]);
    // Other bytes under the same identity reach the owner too, who compares them.
    let other = samples::frame(1, 5, 9);
    tell(&mut server, ClientMessage::Frame(other.clone()));
    let duplicate = ServerEvent::Duplicate { handle: HANDLE, frame: other.stored() };
    assert_eq!(heard(&mut server), [duplicate]);
    server.reject_frames(HANDLE, Sequence(5), RejectCode::Conflict);
    assert_eq!(said(&mut server), [rejected(RejectCode::Conflict, 5, 1)]);
}

#[test]
fn a_refused_stream_drops_what_comes_until_it_is_ended() {
    let mut server = streaming(ServerLimits::default());
    give(&mut server, 1);
    give(&mut server, 2);
    heard(&mut server);
    server.reject_frames(HANDLE, Sequence(1), RejectCode::NotPermitted);
    assert_eq!(said(&mut server), [rejected(RejectCode::NotPermitted, 1, 2)]);
    assert_eq!(server.unacknowledged().sum(), Credit::default());
    give(&mut server, 3);
    assert!(heard(&mut server).is_empty() && said(&mut server).is_empty());
    tell(&mut server, ClientMessage::EndStream { handle: HANDLE });
    assert_eq!(heard(&mut server), [ServerEvent::StreamEnded { handle: HANDLE }]);
    give(&mut server, 4);
    assert_eq!(said(&mut server), [rejected(RejectCode::Stream, 4, 1)]);
}

#[test]
fn readings_out_of_range_or_from_the_future_are_rejected_by_the_session() {
    let mut server = streaming(ServerLimits::default());
    let mut wild = samples::frame(1, 1, 1).as_bytes().to_vec();
    wild[40..44].copy_from_slice(&30_000i32.to_le_bytes());
    server.handle_bytes(Lane::Live, &wild, now());
    assert_eq!(said(&mut server), [rejected(RejectCode::Reading, 1, 1)]);
    let code = RejectCode::Reading;
    assert!(
        matches!(heard(&mut server)[..], [ServerEvent::FrameRejected { code: c, .. }] if c == code)
    );
    let mut server = streaming(ServerLimits { ahead_ms_max: 10, ..ServerLimits::default() });
    let early = samples::at(0);
    let frame = samples::frame(1, 1, 20);
    server.handle_bytes(Lane::Live, frame.as_bytes(), early);
    assert_eq!(said(&mut server), [rejected(RejectCode::Clock, 1, 1)]);
    server.handle_bytes(Lane::Live, frame.as_bytes(), early.plus(100));
    assert_eq!(heard(&mut server).len(), 2);
}

#[test]
fn frames_beyond_the_budget_are_rejected_as_busy_and_fit_after_an_acknowledgement() {
    let limits = ServerLimits { unacknowledged_frames_max: 2, ..ServerLimits::default() };
    let mut server = streaming(limits);
    for sequence in 1..=4 {
        give(&mut server, sequence);
    }
    assert_eq!(said(&mut server), [rejected(RejectCode::Busy, 3, 1)]);
    assert_eq!(heard(&mut server).len(), 2);
    server.acknowledge(receipt_for(1, 2));
    give(&mut server, 3);
    assert_eq!(heard(&mut server).len(), 1);
}

#[test]
fn a_stream_goes_on_after_a_stored_frame_was_busy_when_it_came_again() {
    let limits = ServerLimits { unacknowledged_frames_max: 2, ..ServerLimits::default() };
    let mut server = streaming(limits);
    give(&mut server, 1);
    server.acknowledge(receipt_for(1, 1));
    give(&mut server, 2);
    give(&mut server, 2);
    heard(&mut server);
    said(&mut server);
    give(&mut server, 1);
    assert_eq!(said(&mut server), [rejected(RejectCode::Busy, 1, 2)]);
    // The client has the receipt of the first, so it goes on with the second.
    give(&mut server, 2);
    assert!(matches!(heard(&mut server)[..], [ServerEvent::Frame { .. }]));
}

#[test]
fn streams_and_requests_beyond_their_limit_are_busy() {
    let limits = ServerLimits { streams_max: 1, requests_max: 1, ..ServerLimits::default() };
    let mut server = streaming(limits);
    tell(&mut server, open(2, "monitor-2"));
    let handle = StreamHandle(2);
    let (code, count) = (RejectCode::Busy, 1);
    let busy = |concern| ServerMessage::Reject(Reject { code, concern, count });
    assert_eq!(said(&mut server), [busy(Concern::Stream { handle })]);
    for request in [RequestId(1), RequestId(2)] {
        tell(&mut server, ClientMessage::Operation { request, operation: samples::operation() });
    }
    assert_eq!(said(&mut server), [busy(Concern::Request { request: RequestId(2) })]);
    server.acknowledge(samples::receipt());
    let request = RequestId(2);
    said(&mut server);
    tell(&mut server, ClientMessage::Operation { request, operation: samples::operation() });
    assert!(said(&mut server).is_empty());
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let mut server = streaming(ServerLimits { outgoing_bytes_max: 0, ..ServerLimits::default() });
    for _ in 0..10_000 {
        tell(&mut server, ClientMessage::Frame(samples::frame(9, 1, 1)));
    }
    closes_with(&mut server, RejectCode::Busy);
}

#[test]
fn one_stream_has_one_handle_and_one_lane() {
    let mut server = streaming(ServerLimits::default());
    tell(&mut server, open(2, "monitor-1"));
    closes_with(&mut server, RejectCode::Protocol);
    let mut server = streaming(ServerLimits::default());
    server.handle_bytes(Lane::Backfill, samples::frame(1, 1, 1).as_bytes(), now());
    closes_with(&mut server, RejectCode::Protocol);
}
