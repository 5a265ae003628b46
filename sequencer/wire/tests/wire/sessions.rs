//! Both machines together: streams, receipts, operations and requests to read.

use model::{Position, RejectCode, Sequence};
use wire::*;

use crate::machines::*;
use crate::samples::{self, ECG};

#[test]
fn a_reject_that_crosses_a_receipt_rewinds_to_what_has_none() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 3);
    pair.down();
    pair.up();
    pair.server.acknowledge(receipt_for(1, 2));
    pair.server.reject_frames(handle, Sequence(1), RejectCode::Busy);
    pair.down();
    assert_eq!(pair.client.under_way(), Credit::default());
    pair.client.handle_timeout(now().plus(1000));
    assert!(matches!(pair.up()[..], [ServerEvent::Frame { .. }]));
    assert_eq!(pair.client.under_way().frames, 1);
}

#[test]
fn a_receipt_frees_the_spool_and_the_credit() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 3);
    pair.down();
    assert_eq!(pair.up().len(), 3);
    assert_eq!(pair.client.under_way().frames, 3);
    pair.server.acknowledge(receipt_for(1, 2));
    let events = pair.down();
    let last = Sequence(2);
    assert!(matches!(events[0], ClientEvent::Receipt(_)));
    assert_eq!(events[1], ClientEvent::Durable { handle, last });
    assert_eq!(pair.client.under_way().frames, 1);
    assert_eq!(pair.server.unacknowledged().sum(), pair.client.under_way());
    // The same receipt again changes nothing.
    pair.server.acknowledge(receipt_for(1, 2));
    assert!(matches!(pair.down()[..], [ClientEvent::Receipt(_)]));
}

#[test]
fn an_overtaking_receipt_frees_nothing_before_the_one_it_overtook() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 3);
    pair.down();
    pair.up();
    pair.server.acknowledge(receipt_for(2, 3));
    assert!(matches!(pair.down()[..], [ClientEvent::Receipt(_)]));
    assert_eq!(pair.client.under_way().frames, 3);
    let mut overtaken = receipt_for(1, 1).receipt;
    overtaken.group.group = 2;
    pair.server.acknowledge(overtaken.sign(&samples::key()));
    let durable = |last| ClientEvent::Durable { handle, last: Sequence(last) };
    assert_eq!(pair.down()[1..], [durable(1), durable(3)]);
    assert_eq!(pair.client.under_way().frames, 0);
}

/// What a client says to one receipt after it sent two frames.
fn verdict(receipt: SignedReceipt) -> Vec<ClientEvent> {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 2);
    pair.down();
    pair.up();
    pair.server.acknowledge(receipt);
    pair.down()
}

#[test]
fn a_receipt_that_is_not_ours_not_signed_or_not_earned_is_evidence() {
    let is = |events: Vec<ClientEvent>, expected: fn(&Violation) -> bool| {
        let [ClientEvent::Violation { violation, evidence: Some(_) }, ClientEvent::Closed { .. }] =
            &events[..]
        else {
            panic!("expected a violation with evidence, found {events:?}");
        };
        assert!(expected(violation), "{violation:?}");
    };
    is(verdict(receipt_for(1, 3)), |v| matches!(v, Violation::NotSent { .. }));
    let other = Holder::new(Role::Gateway, "gw-02");
    is(verdict(receipt_of([1; 32], other, items_for(1, 2))), |v| *v == Violation::Receiver);
    let mut forged = receipt_for(1, 2);
    forged.signature[3] ^= 1;
    is(verdict(forged), |v| matches!(v, Violation::Receipt(_)));
    let elsewhere = receipt_for(1, 2).receipt;
    let mut group = elsewhere.group;
    group.scope.chain_id += 1;
    let elsewhere = Receipt::new(group, elsewhere.holder, items_for(1, 2)).expect("valid");
    let elsewhere = elsewhere.sign(&samples::key());
    is(verdict(elsewhere), |v| *v == Violation::Receiver);
}

#[test]
fn two_receipts_for_one_group_that_differ_are_equivocation() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 2);
    pair.down();
    pair.up();
    pair.server.acknowledge(receipt_for(1, 1));
    pair.down();
    let holder = Holder::gateway(&samples::gateway());
    let second = receipt_of([2; 32], holder, items_for(1, 1));
    pair.server.acknowledge(second.clone());
    let first = Box::new(receipt_for(1, 1));
    let expected = ClientEvent::Equivocation { first, second: Box::new(second) };
    assert_eq!(pair.down()[0], expected);
    assert!(!pair.client.is_open());
}

#[test]
fn a_server_that_lost_receipted_frames_or_knows_more_than_we_sent_stops_the_stream() {
    let (mut pair, handle) = Pair::with_stream(3, 5);
    let why = StopReason::Regressed { durable: Sequence(3) };
    let stopped = |why| ClientEvent::StreamStopped { handle, why, frames: Vec::new() };
    assert_eq!(pair.down(), [stopped(why)]);
    let (mut pair, _) = Pair::with_stream(6, 5);
    let why = StopReason::Ahead { durable: Sequence(6) };
    assert_eq!(pair.down(), [stopped(why)]);
}

#[test]
fn a_refused_stream_hands_back_what_has_no_receipt() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 3);
    pair.down();
    pair.up();
    pair.server.reject_frames(handle, Sequence(2), RejectCode::NotPermitted);
    let events = pair.down();
    let [ClientEvent::StreamStopped { why, frames, .. }] = &events[..] else {
        panic!("expected a stopped stream, found {events:?}");
    };
    assert_eq!(*why, StopReason::Refused(RejectCode::NotPermitted));
    assert_eq!(frames.len(), 3);
    assert_eq!((pair.client.held_bytes(), pair.client.under_way().frames), (0, 0));
    assert_eq!(pair.up(), [ServerEvent::StreamEnded { handle }]);
}

#[test]
fn what_was_busy_is_sent_again_after_the_wait() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 2);
    pair.down();
    pair.up();
    pair.server.reject_frames(handle, Sequence(1), RejectCode::Busy);
    let (code, again_at) = (RejectCode::Busy, now().plus(1000));
    assert_eq!(pair.down(), [ClientEvent::Delayed { handle, code, again_at }]);
    assert!(pair.up().is_empty());
    let wakeup = pair.client.wakeup().expect("a wait");
    assert_eq!(wakeup, again_at);
    pair.client.handle_timeout(wakeup);
    assert_eq!(pair.client.wakeup(), None);
    assert_eq!(pair.up().len(), 2);
}

#[test]
fn a_full_backfill_leaves_credit_for_live_readings_and_for_alarms() {
    let mut pair = Pair::new();
    let handle = |pair: &mut Pair, device, lane| {
        let descriptor = samples::descriptor(device, ECG, 1);
        pair.client.open_stream(lane, descriptor, Sequence(0)).expect("a new stream")
    };
    let streams = [("old", Lane::Backfill), ("live", Lane::Live), ("alarm", Lane::Control)];
    let handles = streams.map(|(device, lane)| handle(&mut pair, device, lane));
    pair.up();
    pair.server.set_credit(Credit { bytes: 1 << 20, frames: 16 });
    handles.iter().for_each(|handle| pair.server.open_stream(*handle, Sequence(0)));
    pair.down();
    for (handle, total) in handles.into_iter().zip([8, 14, 16]) {
        push(&mut pair, handle, 20);
        pair.up();
        assert_eq!(pair.client.under_way().frames, total);
    }
}

#[test]
fn no_credit_means_that_nothing_is_sent() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    pair.server.set_credit(Credit::default());
    pair.down();
    push(&mut pair, handle, 1);
    assert!(pair.up().is_empty());
    pair.server.set_credit(Credit { bytes: 100, frames: 1 });
    pair.down();
    assert_eq!(pair.up().len(), 1);
}

#[test]
fn an_operation_is_answered_by_its_receipt_and_lost_with_the_connection() {
    let mut pair = Pair::new();
    let request = pair.client.submit(samples::operation()).expect("room");
    let operation = samples::operation();
    assert_eq!(pair.up(), [ServerEvent::Operation { request, operation }]);
    let digest = samples::operation().digest();
    let operations = vec![OperationItem { position: Position(4), time: now(), digest }];
    let items = Items { operations, ..Items::default() };
    let holder = Holder::gateway(&samples::gateway());
    pair.server.acknowledge(receipt_of([1; 32], holder, items));
    let applied = ClientEvent::OperationApplied { request, position: Position(4), time: now() };
    assert_eq!(pair.down()[1], applied);
    let request = pair.client.submit(samples::operation()).expect("room");
    pair.client.disconnected();
    assert_eq!(pair.client.poll_event(), Some(ClientEvent::RequestLost { request }));
}

/// Asks for access, answers and releases `frames` of the two frames it then claims.
fn access(permitted: bool, receipted: bool, released: u64) -> Vec<ClientEvent> {
    let mut pair = Pair::new();
    let request =
        pair.client.request_access(samples::signed_request(), wire::Page::FIRST).expect("room");
    assert!(matches!(pair.up()[..], [ServerEvent::Access { .. }]));
    let (digest, position, time) = (samples::signed_request().digest(), Position(2), now());
    let accesses = vec![AccessItem { position, time, digest, permitted: receipted }];
    let items = Items { accesses, ..Items::default() };
    let holder = Holder::gateway(&samples::gateway());
    pair.server.acknowledge(receipt_of([1; 32], holder, items));
    let answer = AccessAnswer { request, digest, group: 1, position, time, permitted };
    pair.server.answer_access(answer);
    for index in 0..released {
        let stream = samples::descriptor("monitor-1", ECG, 1).name();
        let frame = samples::frame(0, index + 1, 2);
        let position = Position(index + 1);
        let sent = pair.server.release_frame(Released { request, index, position, stream, frame });
        sent.expect("room");
    }
    if permitted {
        pair.server.end_release(ReleaseEnd { request, frames: 2, more: true, partly: 3 });
    }
    pair.down()
}

#[test]
fn a_permitted_access_brings_the_stored_frames_and_an_end() {
    let events = access(true, true, 2);
    assert!(matches!(events[1], ClientEvent::AccessAnswered(AccessAnswer { permitted: true, .. })));
    let frame = |event: &ClientEvent| match event {
        ClientEvent::Released(released) => Some(released.frame.clone()),
        _ => None,
    };
    let frames: Vec<_> = events.iter().filter_map(frame).collect();
    assert_eq!(frames, [samples::frame(0, 1, 2), samples::frame(0, 2, 2)]);
    let Some(ClientEvent::ReleaseEnded { frames: 2, more: true, partly: 3, .. }) = events.last()
    else {
        panic!("{events:?}")
    };
}

#[test]
fn a_refused_access_says_so_and_no_more() {
    let events = access(false, false, 0);
    assert_eq!(events.len(), 2);
    assert!(matches!(
        events[1],
        ClientEvent::AccessAnswered(AccessAnswer { permitted: false, .. })
    ));
}

#[test]
fn an_answer_against_its_receipt_or_with_frames_missing_is_a_violation() {
    for events in [access(true, false, 2), access(true, true, 1)] {
        let violation = Violation::Answer;
        let found = events.iter().find(|event| matches!(event, ClientEvent::Violation { .. }));
        let expected = ClientEvent::Violation { violation, evidence: None };
        assert_eq!(found, Some(&expected));
    }
}

#[test]
fn released_data_waits_while_the_peer_does_not_read() {
    let mut pair = Pair::new();
    let request =
        pair.client.request_access(samples::signed_request(), wire::Page::FIRST).expect("room");
    pair.up();
    let stream = samples::descriptor("monitor-1", ECG, 1).name();
    let frame = samples::frame(0, 1, 4000);
    let mut index = 0;
    let full = loop {
        let (position, stream, frame) = (Position(1), stream.clone(), frame.clone());
        let released = Released { request, index, position, stream, frame };
        match pair.server.release_frame(released) {
            Ok(()) => index += 1,
            Err(full) => break full,
        }
    };
    assert!(index > 3 && full.found < ServerLimits::default().outgoing_bytes_max);
    assert!(!pair.server.is_closed());
}

#[test]
fn a_server_message_on_another_lane_is_a_violation() {
    for message in samples::server_messages() {
        let large = matches!(
            message,
            ServerMessage::AccessAnswer(_)
                | ServerMessage::Released(_)
                | ServerMessage::ReleaseEnd(_)
        );
        let right = if large { Lane::Backfill } else { Lane::Control };
        for lane in Lane::ALL.into_iter().filter(|lane| *lane != right) {
            let mut pair = Pair::new();
            pair.client.handle_bytes(lane, &message.encode(), now());
            let (violation, evidence) = (Violation::Protocol, None);
            let expected = ClientEvent::Violation { violation, evidence };
            assert_eq!(pair.client.poll_event(), Some(expected), "{message:?} on {lane:?}");
        }
    }
}

#[test]
fn an_ended_stream_leaves_after_its_last_receipt() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 1);
    pair.down();
    pair.up();
    pair.client.end_stream(handle).expect("open");
    assert!(pair.client.push(handle, &samples::readings(0, 1)).is_err());
    assert!(pair.up().is_empty());
    pair.server.acknowledge(receipt_for(1, 1));
    assert_eq!(pair.down().last(), Some(&ClientEvent::StreamEnded { handle }));
    assert_eq!(pair.up(), [ServerEvent::StreamEnded { handle }]);
}

#[test]
fn a_client_holds_no_more_than_its_limit() {
    let (mut pair, handle) = Pair::with_stream(0, 0);
    let readings = samples::readings(0, 4000);
    let mut pushed = 0;
    let full = loop {
        match pair.client.push(handle, &readings) {
            Ok(_) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, ClientError::Full { .. }));
    assert!(pushed > 100 && pair.client.held_bytes() <= ClientLimits::default().held_bytes_max);
}
