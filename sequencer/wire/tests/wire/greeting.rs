//! How a session begins and ends: hello, welcome, the newest receipt, goodbye.

use model::RejectCode;
use wire::*;

use crate::machines::*;
use crate::samples;

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
    client.restore_receipt(&kept.sign(&samples::key())).expect("its own");
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
    let refused = client.restore_receipt(&forged);
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
fn another_deployment_is_not_greeted() {
    let mut client = ClientSession::new(ClientConfig {
        scope: samples::scope(),
        signer: Address([0; 20]),
        holder: Holder::gateway(&samples::gateway()),
        name: ClientName::new("test").expect("short"),
        codec: None,
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
