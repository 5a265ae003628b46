//! Stories over a real connection.

mod amplification;
mod authentic;
mod blocks;
mod client;
mod door;
mod encrypted;
mod erased;
mod floods;
mod history;
mod idle;
mod lanes;
mod names;
mod places;
mod renewals;
mod renewing;
mod replays;
mod socket;
mod support;
mod timed;
mod together;

use std::sync::Arc;
use std::time::Duration;

use model::{
    Category, GatewayId, Interval, ManualClock, Millis, OperatorId, Position, PractitionerId,
    RejectCode, Sequence, StreamHandle, WalletId,
};
use tokio::time::timeout;
use wire::{
    ClientEvent, ClientMessage, ClientName, Concern, Credit, Entry, Hello, Holder, Lane,
    OpenStream, RegistryKey, Role, ServerMessage, SignedReceipt, StopReason,
};

use super::{IngestConfig, Observe, Observed};
use crate::stages::ledger::Item;
use support::{
    Client, Node, Raw, close_code, descriptor, dial, frame, frame_at, gateway_id, in_columns, now,
    readings, request, validity,
};

fn stopped(event: &ClientEvent) -> Option<StopReason> {
    match event {
        ClientEvent::StreamStopped { why, .. } => Some(*why),
        _ => None,
    }
}

fn refused(code: RejectCode) -> StopReason {
    StopReason::Refused(code)
}

/// A raw connection that said hello, with the credit of its welcome.
async fn raw_welcomed(node: &Node) -> (Raw, Credit) {
    let mut raw = node.raw().await;
    let hello = Hello::new(ClientName::new("raw").unwrap(), false);
    raw.send(Lane::Control, &ClientMessage::Hello(hello).encode()).await;
    match raw.next().await {
        ServerMessage::Welcome(welcome) => (raw, welcome.credit),
        other => panic!("expected a welcome, found {other:?}"),
    }
}

/// A raw connection whose stream 1 is open.
async fn raw_stream(node: &Node) -> Raw {
    let (mut raw, _) = raw_welcomed(node).await;
    let open = OpenStream { handle: StreamHandle(1), lane: Lane::Live, descriptor: descriptor() };
    raw.send(Lane::Control, &ClientMessage::OpenStream(open).encode()).await;
    assert!(matches!(raw.next().await, ServerMessage::StreamOpened { .. }));
    raw
}

/// A gateway that streams on one connection while another one misbehaves.
async fn streams_on(client: &mut Client, handle: StreamHandle, sequence: u64) {
    client.session.push(handle, &readings(sequence as i32)).unwrap();
    client.durable(sequence).await;
}

#[tokio::test]
async fn frames_are_receipted_and_the_same_frames_get_the_same_receipts_again() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    let mut frames = Vec::new();
    for sequence in 1..=3 {
        frames.push(client.session.push(handle, &readings(sequence)).unwrap());
        client.durable(sequence as u64).await;
    }
    assert_eq!(client.receipts.len(), 3);
    let mut again = node.gateway().await;
    let handle = again.session.open_stream(Lane::Backfill, descriptor(), Sequence(0)).unwrap();
    for frame in &frames {
        again.session.restore(handle, frame).unwrap();
    }
    again.durable(3).await;
    assert_eq!(again.receipts, client.receipts);
    let holder = Holder::gateway(&gateway_id());
    for (group, receipt) in &client.receipts {
        let position = node.journal.group(*group).unwrap().first;
        let built = node.hub.receipt_at(Position(position), holder).unwrap();
        assert_eq!(built.to_bytes(), *receipt);
    }
}

#[tokio::test]
async fn a_gateway_with_more_than_its_credit_gets_everything_through() {
    let config = IngestConfig { unacknowledged_bytes_max: 128 << 10, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    let start = readings(1)[0];
    let large = vec![start; 4000];
    for _ in 0..20 {
        client.session.push(handle, &large).unwrap();
    }
    for value in 1..=2000 {
        client.session.push(handle, &readings(value)).unwrap();
    }
    let delayed = client.until(|event| match event {
        ClientEvent::Delayed { code, .. } => Some(Err(*code)),
        ClientEvent::Durable { last: Sequence(2020), .. } => Some(Ok(())),
        _ => None,
    });
    assert_eq!(delayed.await, Ok(()));
}

#[tokio::test]
async fn sessions_share_the_credit_evenly() {
    let config = IngestConfig { credit_frames_total: 40, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let mut sessions = Vec::new();
    for frames in [40, 20, 13, 10, 8, 8] {
        let (raw, credit) = raw_welcomed(&node).await;
        assert_eq!(credit.frames, frames);
        sessions.push(raw);
    }
}

/// Panics where a wallet's session begins.
struct Panics;

impl Observe for Panics {
    fn observe(&self, what: Observed) {
        assert_ne!(what, Observed::SessionOpened(Role::Wallet), "the test breaks a session here");
    }
}

#[tokio::test]
async fn a_panic_in_one_connection_ends_that_connection_only() {
    let node = Node::start_with(IngestConfig::default(), Arc::new(Panics)).await;
    let mut good = node.gateway().await.welcomed().await;
    let handle = good.open().await;
    let mut bad = node.client(Role::Wallet, "patient-app").await;
    bad.transmit().await;
    assert_eq!(close_code(&bad.connection).await, Some(RejectCode::Unavailable));
    streams_on(&mut good, handle, 1).await;
}

#[tokio::test]
async fn a_certificate_that_ends_closes_its_open_connection() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    node.touch_registry().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    node.clock.advance(2 * 86_400_000);
    node.touch_registry().await;
    assert_eq!(client.closed().await, Some(RejectCode::Identity));
}

#[tokio::test]
async fn a_reconnecting_gateway_is_told_what_is_durable() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    let mut again = node.gateway().await;
    let marks = again
        .until(|event| match event {
            ClientEvent::Welcomed { marks, .. } => Some(marks.clone()),
            _ => None,
        })
        .await;
    assert_eq!((marks[0].stream.clone(), marks[0].durable), (descriptor().name(), Sequence(1)));
}

#[tokio::test]
async fn the_same_readings_in_another_codec_are_acknowledged_again() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    let rows = client.session.push(handle, &readings(1)).unwrap();
    client.durable(1).await;
    let before = node.entries();
    let mut other = node.gateway().await;
    let handle = other.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
    let packed = in_columns(&rows);
    assert_ne!(packed.as_bytes(), rows.as_bytes());
    other.session.restore(handle, &packed).unwrap();
    // Whichever comes first: a stream that is stopped would else be waited for without end.
    let outcome = other.until(|event| match event {
        ClientEvent::Durable { last, .. } => Some(Ok(*last)),
        other => stopped(other).map(Err),
    });
    assert_eq!(outcome.await, Ok(Sequence(1)));
    assert_eq!(node.entries(), before, "the stored bytes stay");
}

#[tokio::test]
async fn other_bytes_under_a_stored_identity_are_a_conflict_and_the_stored_ones_stay() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    let before = node.entries();
    let mut other = node.gateway().await;
    let handle = other.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
    other.session.restore(handle, &frame(1, 77)).unwrap();
    assert_eq!(other.until(stopped).await, refused(RejectCode::Conflict));
    let frames = |entries: &[Entry]| {
        entries.iter().filter(|entry| matches!(entry, Entry::Frame(_))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(frames(&node.entries()), frames(&before));
}

#[tokio::test]
async fn a_skipped_sequence_is_a_gap_and_the_stream_goes_on_from_there() {
    let node = Node::start().await;
    let mut raw = raw_stream(&node).await;
    raw.send(Lane::Live, frame(2, 5).as_bytes()).await;
    let ServerMessage::Reject(reject) = raw.next().await else { panic!("expected a reject") };
    let from = Concern::Frames { handle: StreamHandle(1), from: Sequence(1) };
    assert_eq!((reject.code, reject.concern), (RejectCode::Gap, from));
    raw.send(Lane::Live, frame(1, 5).as_bytes()).await;
    assert!(matches!(raw.next().await, ServerMessage::Receipt { .. }));
}

#[tokio::test]
async fn frames_behind_a_rejected_one_are_no_further_rejects_and_come_again() {
    let node = Node::start().await;
    let mut raw = raw_stream(&node).await;
    // The session's clock is ahead of the writer's, so that the writer is the one to reject.
    node.clock.advance(600_000);
    let ahead = now().plus(300_000);
    let early = [(1, ahead), (2, now()), (3, now())];
    let frames: Vec<_> = early.iter().map(|(sequence, at)| frame_at(*sequence, *at)).collect();
    let bytes: Vec<_> = frames.iter().map(|frame| frame.as_bytes().as_ref()).collect();
    raw.send(Lane::Live, &bytes.concat()).await;
    let ServerMessage::Reject(reject) = raw.next().await else { panic!("expected a reject") };
    let from = Concern::Frames { handle: StreamHandle(1), from: Sequence(1) };
    assert_eq!((reject.code, reject.concern, reject.count), (RejectCode::Clock, from, 3));
    let mut durable = 0;
    for sequence in 1..=3 {
        raw.send(Lane::Live, frame(sequence, 5).as_bytes()).await;
    }
    while durable < 3 {
        let message = raw.next().await;
        let ServerMessage::Receipt { receipt, .. } = message else { panic!("found {message:?}") };
        durable = receipt.receipt.items().frames[0].sequences.1.0;
    }
}

#[tokio::test]
async fn a_revoked_consent_stops_the_stream_at_the_next_frame_and_is_journaled() {
    let mut node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    wallet.session.submit(node.revocation(0)).unwrap();
    let applied =
        |event: &ClientEvent| matches!(event, ClientEvent::OperationApplied { .. }).then_some(());
    wallet.until(applied).await;
    client.session.push(handle, &readings(2)).unwrap();
    assert_eq!(client.until(stopped).await, refused(RejectCode::NotPermitted));
    let refusals = node.entries().into_iter().filter_map(|entry| match entry {
        Entry::Refusal(refusal) => Some(refusal.code),
        _ => None,
    });
    assert_eq!(refusals.collect::<Vec<_>>(), [RejectCode::NotPermitted]);
}

/// The second form of a challenge was such a signature: receipted, and never to be proven.
#[tokio::test]
async fn what_the_twin_accepts_and_the_circuit_does_not_is_refused_and_nowhere_journaled() {
    let mut node = Node::start().await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let (before, operation) = (node.entries().len(), node.revocation(0));
    node.diverge();
    wallet.session.submit(operation).unwrap();
    let told = wallet.until(|event| match event {
        ClientEvent::RequestRejected { code, .. } => Some(Ok(*code)),
        ClientEvent::OperationApplied { .. } => Some(Err(())),
        _ => None,
    });
    assert_eq!(told.await, Ok(RejectCode::Operation));
    assert_eq!(node.entries().len(), before, "nothing is journaled, no receipt can be made");
    assert_eq!(node.metrics.operations_unprovable_total.get(), 1);
    // Collection goes on, and so does everything that was promised.
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
}

#[tokio::test]
async fn a_permitted_access_releases_exactly_the_frames_and_a_refused_one_says_only_that() {
    let mut node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    let mut sent = Vec::new();
    for value in 1..=40 {
        sent.push(client.session.push(handle, &readings(value)).unwrap().stored());
    }
    client.durable(40).await;
    let mut doctor = node.client(Role::Practitioner, "dr").await.welcomed().await;
    doctor.session.request_access(request(1, Category::Ecg), wire::Page::FIRST).unwrap();
    let mut released = Vec::new();
    let ended = doctor.until(|event| {
        if let ClientEvent::Released(one) = event {
            released.push(one.frame.clone());
        }
        matches!(event, ClientEvent::ReleaseEnded { .. }).then_some(())
    });
    ended.await;
    assert_eq!(released, sent);
    let revocation = node.revocation(1);
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    wallet.session.submit(revocation).unwrap();
    wallet.until(|e| matches!(e, ClientEvent::OperationApplied { .. }).then_some(())).await;
    doctor.session.request_access(request(2, Category::Ecg), wire::Page::FIRST).unwrap();
    let answer = doctor.until(|event| match event {
        ClientEvent::AccessAnswered(answer) => Some(*answer),
        ClientEvent::Released(_) => panic!("nothing may be released"),
        _ => None,
    });
    assert!(!answer.await.permitted);
}

#[tokio::test]
async fn a_request_that_is_signed_for_another_is_rejected_with_its_code() {
    let node = Node::start().await;
    let mut doctor = node.client(Role::Practitioner, "dr").await.welcomed().await;
    doctor.session.request_access(request(1, Category::Ecg), wire::Page::FIRST).unwrap();
    doctor.until(|e| matches!(e, ClientEvent::ReleaseEnded { .. }).then_some(())).await;
    doctor.session.request_access(request(1, Category::Ecg), wire::Page::FIRST).unwrap();
    let rejected = doctor.until(|event| match event {
        ClientEvent::RequestRejected { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(rejected.await, RejectCode::Nonce);
}

#[tokio::test]
async fn a_certificate_of_another_authority_gets_no_connection() {
    let node = Node::start().await;
    let folder = tempfile::tempdir().unwrap();
    let foreign = crate::folder::authority::Authority::create(folder.path(), validity()).unwrap();
    let issued = foreign.issue_client(Role::Gateway, "gateway", validity()).unwrap();
    // The client trusts the node's authority, so that only its own certificate is wrong.
    let issued = issued.trusting(node.authority.certificate_pem());
    let ended = match dial(node.address, &issued).await {
        Ok((_endpoint, connection)) => connection.closed().await,
        Err(error) => error,
    };
    // In TLS 1.3 the client may think it is connected before the server looks at its certificate.
    assert!(matches!(ended, quinn::ConnectionError::ConnectionClosed(_)), "{ended}");
}

#[tokio::test]
async fn whoever_is_not_registered_is_closed_as_unentitled() {
    let node = Node::start().await;
    node.registered(Role::Wallet, "patient-app").await;
    node.registered(Role::Operator, "admissions").await;
    node.registered(Role::Practitioner, "dr").await;
    for (role, name) in [
        (Role::Gateway, "stranger"),
        // The id is registered with another certificate.
        (Role::Gateway, "gateway"),
        (Role::Practitioner, "stranger"),
        (Role::Practitioner, "dr"),
        (Role::Wallet, "stranger"),
        (Role::Wallet, "patient-app"),
        (Role::Operator, "stranger"),
        (Role::Operator, "admissions"),
    ] {
        let issued = node.issue(role, name);
        let (_endpoint, connection) = dial(node.address, &issued).await.unwrap();
        assert_eq!(close_code(&connection).await, Some(RejectCode::Identity), "{role:?} {name}");
    }
}

#[tokio::test]
async fn a_role_that_does_what_it_may_not_is_told_that_it_is_not_entitled() {
    let mut node = Node::start().await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    wallet.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
    assert_eq!(wallet.closed().await, Some(RejectCode::Identity));
    // Who asks is answered: a connection that ends would leave open whether it took effect.
    let rejected = |event: &ClientEvent| match event {
        ClientEvent::RequestRejected { code, .. } => Some(*code),
        _ => None,
    };
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    wallet.session.request_access(request(1, Category::Ecg), wire::Page::FIRST).unwrap();
    assert_eq!(wallet.until(rejected).await, RejectCode::Identity);
    let mut gateway = node.gateway().await.welcomed().await;
    gateway.session.submit(node.revocation(0)).unwrap();
    assert_eq!(gateway.until(rejected).await, RejectCode::Identity);
}

#[tokio::test]
async fn a_malformed_peer_is_closed_with_its_code_and_disturbs_nobody() {
    let node = Node::start().await;
    let mut good = node.gateway().await.welcomed().await;
    let handle = good.open().await;
    let mut too_large = vec![0xff; 32];
    too_large[4] = 0x20;
    let mut unknown = [0; 32];
    (unknown[0], unknown[4]) = (32, 0x3f);
    let (early, goodbye) = (frame(1, 5), ClientMessage::Goodbye.encode());
    let cases: [(&[u8], RejectCode); 3] = [
        (&unknown, RejectCode::Malformed),
        (&too_large, RejectCode::TooLarge),
        (early.as_bytes(), RejectCode::Protocol),
    ];
    for (sequence, (bytes, code)) in (1..).zip(cases) {
        let mut bad = node.raw().await;
        bad.send(Lane::Control, bytes).await;
        assert_eq!(close_code(&bad.connection).await, Some(code));
        streams_on(&mut good, handle, sequence).await;
    }
    let mut cut = node.raw().await;
    cut.send(Lane::Control, &goodbye[..20]).await;
    cut.cut(Lane::Control);
    assert_eq!(close_code(&cut.connection).await, Some(RejectCode::Protocol));
    streams_on(&mut good, handle, 4).await;
}

#[tokio::test]
async fn a_revoked_gateway_is_closed_at_the_change_of_the_registry() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    node.end_gateway().await;
    assert_eq!(client.closed().await, Some(RejectCode::Identity));
}

#[tokio::test]
async fn whoever_is_revoked_is_closed_and_gets_no_further_connection() {
    // The check beside the notice comes once a minute.
    let config = IngestConfig { identity_check_ms: 60_000, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    for (role, name, key) in [
        (Role::Wallet, "patient-app", RegistryKey::Wallet(WalletId::new("patient-app").unwrap())),
        (Role::Operator, "ops", RegistryKey::Operator(OperatorId::new("ops").unwrap())),
        (Role::Practitioner, "dr", RegistryKey::Practitioner(PractitionerId::new("dr").unwrap())),
        (Role::Gateway, "gw-2", RegistryKey::Gateway(GatewayId::new("gw-2").unwrap())),
    ] {
        let issued = node.registered(role, name).await;
        let mut client = Client::connect(&node, &issued, role, name).await.welcomed().await;
        node.end(key).await;
        // Told by the change itself: that check would be too late.
        let closed = timeout(Duration::from_secs(30), client.closed()).await;
        assert_eq!(closed, Ok(Some(RejectCode::Identity)), "{role:?}");
        let (_endpoint, connection) = dial(node.address, &issued).await.unwrap();
        assert_eq!(close_code(&connection).await, Some(RejectCode::Identity), "{role:?}");
    }
}

#[tokio::test]
async fn whose_registration_ends_is_closed_at_the_next_check_without_a_change_of_the_registry() {
    let config = IngestConfig { identity_check_ms: 100, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let valid = Interval { from: now(), until: now().plus(600_000) };
    renewals::register(&node, node.gateway.fingerprint(), valid).await;
    let mut client = node.gateway().await.welcomed().await;
    node.clock.advance(600_000);
    assert_eq!(client.closed().await, Some(RejectCode::Identity));
}

#[tokio::test]
async fn a_gateway_streams_no_device_of_another_gateway_of_its_organisation() {
    let node = Node::start().await;
    let before = node.entries().len() + 1;
    let mut other = node.client(Role::Gateway, "gateway-2").await.welcomed().await;
    other.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
    assert_eq!(other.until(stopped).await, refused(RejectCode::Stream));
    assert_eq!(node.entries().len(), before, "a refused opening is answered only");
}

#[tokio::test]
async fn a_revoked_gateway_is_closed_also_while_the_clock_is_behind_the_journal() {
    let behind = ManualClock::fixed(Millis::new(now().get() - 3_600_000).unwrap());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), behind).await;
    let mut client = node.gateway().await.welcomed().await;
    node.end_gateway().await;
    assert_eq!(client.closed().await, Some(RejectCode::Identity));
}

#[tokio::test]
async fn when_the_writer_fails_peers_are_told_unavailable() {
    let node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    node.break_writer();
    client.session.push(handle, &readings(2)).unwrap();
    let delayed = client.until(|event| match event {
        ClientEvent::Delayed { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(delayed.await, RejectCode::Unavailable);
    let error = node.admit.submit(Item::Close).await.unwrap_err();
    assert_eq!(error.code(), RejectCode::Unavailable);
}

#[tokio::test]
async fn a_stop_acknowledges_what_is_admitted_and_then_says_unavailable() {
    let mut node = Node::start().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    for value in 2..=400 {
        client.session.push(handle, &readings(value)).unwrap();
    }
    client.transmit().await;
    let (_, code) = tokio::join!(node.stop_server(), client.closed());
    assert_eq!(code, Some(RejectCode::Unavailable));
    let stored = node.entries().iter().filter(|entry| matches!(entry, Entry::Frame(_))).count();
    let receipted = |bytes: &Vec<u8>| {
        let receipt = SignedReceipt::from_bytes(bytes).unwrap().receipt;
        let (first, last) = receipt.items().frames[0].sequences;
        (last.0 - first.0 + 1) as usize
    };
    assert_eq!(client.receipts.values().map(receipted).sum::<usize>(), stored);
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused() {
    let config = IngestConfig { connections_max: 1, ..IngestConfig::default() };
    let node = Node::start_with(config, Arc::new(())).await;
    let mut first = node.gateway().await.welcomed().await;
    let (_endpoint, second) = dial(node.address, &node.gateway).await.unwrap();
    assert_eq!(close_code(&second).await, Some(RejectCode::Busy));
    let handle = first.open().await;
    streams_on(&mut first, handle, 1).await;
}

#[tokio::test]
async fn a_peer_proves_its_address_first_unless_the_operator_saves_it_that() {
    for retry_from_handshakes in [0, 64] {
        let config = IngestConfig { retry_from_handshakes, ..IngestConfig::default() };
        let node = Node::start_with(config, Arc::new(())).await;
        node.gateway().await.welcomed().await;
    }
}

#[tokio::test]
async fn closed_windows_reach_the_batcher_and_a_slow_reader_of_receipts_is_left_out() {
    let mut node = Node::start().await;
    node.admit.submit(Item::Close).await.unwrap();
    let window = node.windows.recv().await.unwrap();
    assert_eq!((window.contents.number.0, window.contents.operations.len()), (1, 3));
    let holder = Holder::gateway(&gateway_id());
    let slow = node.hub.subscribe(holder);
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    for sequence in 1..=slow.max_capacity() as u64 + 1 {
        streams_on(&mut client, handle, sequence).await;
    }
    assert!(slow.is_closed());
    assert_eq!(node.hub.left_out(), 1);
}
