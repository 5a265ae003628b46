//! Single stories of both session machines.

use model::{Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::samples::{self, ECG};

const HANDLE: StreamHandle = StreamHandle(1);
const STANDING: Standing = Standing { term: 0, head_group: 1 };

fn now() -> Millis {
    samples::at(1 << 20)
}

fn server_with(limits: ServerLimits) -> ServerSession {
    let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
    let mut server = ServerSession::new(ServerConfig { scope, signer, limits });
    for lane in Lane::ALL {
        server.handle_bytes(lane, &lane.preamble(), now());
    }
    server
}

/// A server after the hello.
fn ready(limits: ServerLimits) -> ServerSession {
    let mut server = server_with(limits);
    tell(&mut server, hello());
    assert!(matches!(server.poll_event(), Some(ServerEvent::Hello(_))));
    server.welcome(Vec::new(), STANDING, now());
    said(&mut server);
    server
}

/// A server with one open stream on the live lane.
fn streaming(limits: ServerLimits) -> ServerSession {
    let mut server = ready(limits);
    tell(&mut server, open(1, "monitor-1"));
    assert!(matches!(server.poll_event(), Some(ServerEvent::OpenStream(_))));
    server.open_stream(HANDLE, Sequence(0));
    said(&mut server);
    server
}

fn hello() -> ClientMessage {
    ClientMessage::Hello(Hello::new(ClientName::new("test").expect("short"), false))
}

fn open(handle: u32, device: &str) -> ClientMessage {
    let (handle, descriptor) = (StreamHandle(handle), samples::descriptor(device, ECG, 1));
    ClientMessage::OpenStream(OpenStream { handle, lane: Lane::Live, descriptor })
}

fn tell(server: &mut ServerSession, message: ClientMessage) {
    let lane = if matches!(message, ClientMessage::Frame(_)) { Lane::Live } else { Lane::Control };
    server.handle_bytes(lane, &message.encode(), now());
}

fn give(server: &mut ServerSession, sequence: u64) {
    tell(server, ClientMessage::Frame(samples::frame(1, sequence, 2)));
}

fn said(server: &mut ServerSession) -> Vec<ServerMessage> {
    let all = Lane::ALL.into_iter();
    all.flat_map(|lane| std::iter::from_fn(|| server.poll_transmit(lane)).collect::<Vec<_>>())
        .map(|bytes| ServerMessage::decode(bytes).expect("a server message"))
        .collect()
}

fn heard(server: &mut ServerSession) -> Vec<ServerEvent> {
    std::iter::from_fn(|| server.poll_event()).collect()
}

fn rejected(code: RejectCode, from: u64, count: u32) -> ServerMessage {
    let concern = Concern::Frames { handle: HANDLE, from: Sequence(from) };
    ServerMessage::Reject(Reject { code, concern, count })
}

fn closes_with(server: &mut ServerSession, code: RejectCode) {
    assert_eq!(said(server).last(), Some(&ServerMessage::Closing { code }));
    assert_eq!(heard(server).last(), Some(&ServerEvent::Closed { code: Some(code) }));
    assert!(server.is_closed());
}

#[test]
fn anything_before_the_hello_closes_the_session() {
    // Goodbye is no exception.
    for message in samples::client_messages()
        .into_iter()
        .filter(|message| !matches!(message, ClientMessage::Hello(_)))
    {
        let mut server = server_with(ServerLimits::default());
        tell(&mut server, message);
        closes_with(&mut server, RejectCode::Protocol);
    }
}

#[test]
fn a_second_hello_another_version_and_a_wrong_preamble_close_the_session() {
    let mut server = ready(ServerLimits::default());
    tell(&mut server, hello());
    closes_with(&mut server, RejectCode::Protocol);
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    for wrong in
        [Hello { version: 3, ..current.clone() }, Hello { features: Features(0), ..current }]
    {
        let mut server = server_with(ServerLimits::default());
        tell(&mut server, ClientMessage::Hello(wrong));
        closes_with(&mut server, RejectCode::Version);
    }
    let config = ServerConfig {
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        limits: ServerLimits::default(),
    };
    let mut server = ServerSession::new(config);
    server.handle_bytes(Lane::Live, &Lane::Backfill.preamble(), now());
    closes_with(&mut server, RejectCode::Protocol);
}

#[test]
fn a_hello_of_the_first_version_is_answered_with_closing_version() {
    // As the first version wrote it: it ends with the program's name.
    let mut first = hello().encode().to_vec();
    first.truncate(first.len() - 4);
    let length = (first.len() as u32).to_le_bytes();
    first[..4].copy_from_slice(&length);
    first[32..34].copy_from_slice(&1u16.to_be_bytes());
    let mut server = server_with(ServerLimits::default());
    server.handle_bytes(Lane::Control, &first, now());
    closes_with(&mut server, RejectCode::Version);
}

/// A client that holds the receipt of group 1, of the term given.
fn client_that_holds(term: u32) -> ClientSession {
    let mut client = new_client();
    let mut kept = receipt_for(1, 1).receipt;
    kept.group.term = term;
    client.restore_receipt(&kept.sign(&samples::key()).expect("signed")).expect("its own");
    client.connected();
    client
}

fn welcomed(client: &mut ClientSession, standing: Standing) -> Vec<ClientEvent> {
    let limits = ServerLimits::default();
    let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
    let welcome = ServerMessage::Welcome(Welcome {
        version: PROTOCOL_VERSION,
        features: Features::SPOKEN,
        scope,
        signer,
        standing,
        server_time: now(),
        credit: limits.credit(),
        marks: Vec::new(),
    });
    client.handle_bytes(Lane::Control, &welcome.encode(), now());
    std::iter::from_fn(|| client.poll_event()).collect()
}

#[test]
fn the_newest_receipt_is_shown_with_every_hello() {
    let shown = |client: &mut ClientSession| {
        client.connected();
        let mut server = server_with(ServerLimits::default());
        // The preamble was fed already.
        drop(client.poll_transmit(Lane::Control));
        let bytes = client.poll_transmit(Lane::Control).expect("a hello");
        server.handle_bytes(Lane::Control, &bytes, now());
        match server.poll_event() {
            Some(ServerEvent::Hello(hello)) => {
                hello.newest.map(|newest| newest.receipt.group.group)
            }
            other => panic!("expected a hello, found {other:?}"),
        }
    };
    assert_eq!(shown(&mut new_client()), None);
    assert_eq!(shown(&mut client_that_holds(0)), Some(1));
    let (mut pair, handle) = Pair::with_stream(0, 0);
    push(&mut pair, handle, 1);
    pair.down();
    pair.up();
    pair.server.acknowledge(receipt_for(1, 1));
    pair.down();
    assert_eq!(shown(&mut pair.client), Some(1));
}

#[test]
fn a_kept_receipt_of_another_holder_or_signer_is_not_shown() {
    let mut client = new_client();
    let foreign = receipt_of([1; 32], Holder([7; 32]), items_for(1, 1));
    assert_eq!(client.restore_receipt(&foreign), Err(Violation::Receiver));
    let forged = receipt_for(1, 1).receipt.sign(&SigningKey::from_slice(&[9; 32]).expect("a key"));
    let refused = client.restore_receipt(&forged.expect("signed"));
    assert!(matches!(refused, Err(Violation::Receipt(_))), "{refused:?}");
}

#[test]
fn a_journal_that_ends_before_a_receipt_is_a_violation_unless_a_loss_was_accepted() {
    let behind = Standing { term: 0, head_group: 0 };
    let violation = Violation::Behind { known_term: 0, expected: 1, term: 0, found: 0 };
    let events = welcomed(&mut client_that_holds(0), behind);
    assert!(
        matches!(&events[..], [ClientEvent::Violation { violation: v, .. }, ..] if *v == violation),
        "{events:?}"
    );
    // An earlier term than one that was heard of: an accepted loss is not forgotten either.
    let events = welcomed(&mut client_that_holds(2), Standing { term: 1, head_group: 9 });
    assert!(matches!(events[0], ClientEvent::Violation { .. }), "{events:?}");
    let events = welcomed(&mut client_that_holds(0), Standing { term: 0, head_group: 1 });
    assert!(matches!(events[..], [ClientEvent::Welcomed { .. }]), "{events:?}");
}

#[test]
fn a_loss_that_was_accepted_is_told_once() {
    let standing = Standing { term: 1, head_group: 1 << 20 };
    let mut client = client_that_holds(0);
    let events = welcomed(&mut client, standing);
    let told = ClientEvent::LossAccepted { known: 0, term: 1 };
    assert!(matches!(events[0], ClientEvent::Welcomed { .. }));
    assert_eq!(events[1..], [told]);
    client.connected();
    let events = welcomed(&mut client, standing);
    assert!(matches!(events[..], [ClientEvent::Welcomed { .. }]), "{events:?}");
    // Who never heard of another term has nothing to be told.
    let mut client = new_client();
    client.connected();
    let events = welcomed(&mut client, standing);
    assert!(matches!(events[..], [ClientEvent::Welcomed { .. }]), "{events:?}");
}

#[test]
fn bytes_that_do_not_decode_close_the_session_with_their_code() {
    let mut server = streaming(ServerLimits::default());
    server.handle_bytes(Lane::Control, &[0xff; 64], now());
    closes_with(&mut server, RejectCode::Malformed);
    let mut server = streaming(ServerLimits::default());
    server.handle_bytes(Lane::Live, &[0xff, 0xff, 0xff, 0xff, 0], now());
    closes_with(&mut server, RejectCode::TooLarge);
    let mut server = streaming(ServerLimits::default());
    let mut grid = samples::frame(1, 1, 1).as_bytes().to_vec();
    grid[4] = 3;
    server.handle_bytes(Lane::Live, &grid, now());
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
    let duplicate = ServerEvent::Duplicate { handle: HANDLE, frame: samples::frame(1, 1, 2) };
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
    let duplicate = ServerEvent::Duplicate { handle: HANDLE, frame: other };
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
    assert_eq!(server.unacknowledged(), Credit::default());
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

// ---------------------------------------------------------------------------------------------
// Both sides.

/// A client and a server with a connection that loses nothing.
struct Pair {
    client: ClientSession,
    server: ServerSession,
}

fn new_client() -> ClientSession {
    ClientSession::new(ClientConfig {
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        holder: Holder::gateway(&samples::gateway()),
        name: ClientName::new("test").expect("short"),
        limits: ClientLimits::default(),
    })
}

impl Pair {
    fn new() -> Pair {
        let mut client = new_client();
        client.connected();
        let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
        let limits = ServerLimits::default();
        let server = ServerSession::new(ServerConfig { scope, signer, limits });
        let mut pair = Pair { client, server };
        assert!(matches!(pair.up()[..], [ServerEvent::Hello(_)]));
        pair.server.welcome(Vec::new(), STANDING, now());
        assert!(matches!(pair.down()[..], [ClientEvent::Welcomed { .. }]));
        pair
    }

    fn with_stream(durable: u64, receipted: u64) -> (Pair, StreamHandle) {
        let mut pair = Pair::new();
        let descriptor = samples::descriptor("monitor-1", ECG, 1);
        let handle = pair.client.open_stream(Lane::Live, descriptor, Sequence(receipted));
        let handle = handle.expect("a new stream");
        pair.up();
        pair.server.open_stream(handle, Sequence(durable));
        (pair, handle)
    }

    fn up(&mut self) -> Vec<ServerEvent> {
        for lane in Lane::ALL {
            while let Some(bytes) = self.client.poll_transmit(lane) {
                self.server.handle_bytes(lane, &bytes, now());
            }
        }
        heard(&mut self.server)
    }

    fn down(&mut self) -> Vec<ClientEvent> {
        for lane in Lane::ALL {
            while let Some(bytes) = self.server.poll_transmit(lane) {
                self.client.handle_bytes(lane, &bytes, now());
            }
        }
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }
}

fn items_for(first: u64, last: u64) -> Items {
    let sequences = (Sequence(first), Sequence(last));
    let positions = (Position(first), Position(last));
    let stream = samples::descriptor("monitor-1", ECG, 1).name();
    let frames = vec![FramesItem { stream, sequences, positions, appended: now() }];
    Items { frames, ..Items::default() }
}

fn receipt_of(journal_hash: [u8; 32], holder: Holder, items: Items) -> SignedReceipt {
    let group = GroupIdentity { scope: samples::scope(), group: 1, term: 0, journal_hash };
    let receipt = Receipt::new(group, holder, items).expect("valid items");
    receipt.sign(&samples::key()).expect("signed")
}

fn receipt_for(first: u64, last: u64) -> SignedReceipt {
    receipt_of([1; 32], Holder::gateway(&samples::gateway()), items_for(first, last))
}

fn push(pair: &mut Pair, handle: StreamHandle, count: u64) {
    for i in 0..count {
        pair.client.push(handle, &samples::readings(i, 2)).expect("room");
    }
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
    assert_eq!(pair.server.unacknowledged(), pair.client.under_way());
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
    pair.server.acknowledge(overtaken.sign(&samples::key()).expect("signed"));
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
    let elsewhere = elsewhere.sign(&samples::key()).expect("signed");
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
    let code = RejectCode::Busy;
    assert_eq!(pair.down(), [ClientEvent::Delayed { handle, code }]);
    assert!(pair.up().is_empty());
    let wakeup = pair.client.wakeup().expect("a wait");
    assert_eq!(wakeup, now().plus(1000));
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
    let request = pair.client.request_access(samples::signed_request()).expect("room");
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
        pair.server.end_release(ReleaseEnd { request, frames: 2 });
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
    assert!(matches!(events.last(), Some(ClientEvent::ReleaseEnded { frames: 2, .. })));
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
    let request = pair.client.request_access(samples::signed_request()).expect("room");
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
fn another_deployment_is_not_greeted() {
    let mut client = ClientSession::new(ClientConfig {
        scope: samples::scope(),
        signer: Address([0; 20]),
        holder: Holder::gateway(&samples::gateway()),
        name: ClientName::new("test").expect("short"),
        limits: ClientLimits::default(),
    });
    client.connected();
    let mut server = server_with(ServerLimits::default());
    tell(&mut server, hello());
    server.welcome(Vec::new(), STANDING, now());
    let welcome = server.poll_transmit(Lane::Control).expect("a welcome");
    client.handle_bytes(Lane::Control, &welcome, now());
    let (violation, evidence) = (Violation::Welcome, None);
    assert_eq!(client.poll_event(), Some(ClientEvent::Violation { violation, evidence }));
}

#[test]
fn goodbye_ends_both_sides_without_a_code() {
    let mut pair = Pair::new();
    pair.client.goodbye();
    assert_eq!(pair.up(), [ServerEvent::Closed { code: None }]);
    assert_eq!(pair.down(), [ClientEvent::Closed { code: None }]);
}

#[test]
fn goodbye_may_come_before_the_welcome_and_not_before_the_hello() {
    let mut server = server_with(ServerLimits::default());
    tell(&mut server, hello());
    tell(&mut server, ClientMessage::Goodbye);
    assert_eq!(heard(&mut server).last(), Some(&ServerEvent::Closed { code: None }));
    let mut server = server_with(ServerLimits::default());
    tell(&mut server, ClientMessage::Goodbye);
    closes_with(&mut server, RejectCode::Protocol);
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
