//! Questions about names: what is asked, of whom, and what is no answer.

use model::{GatewayId, OperatorId, OrganisationId, RejectCode, WalletId};
use wire::limits::NAMES_ASKED_MAX;
use wire::*;

use crate::machines::*;
use crate::samples;

/// The bytes of a question with this count and these names, whether or not there may be one.
fn raw(count: u8, names: &[(u8, &str)]) -> Vec<u8> {
    let whole = ClientMessage::Names { request: RequestId(1), question: samples::names_question() };
    let mut bytes = whole.encode()[..HEADER_BYTES + 8].to_vec();
    bytes.push(count);
    for (kind, name) in names {
        bytes.extend([*kind, name.len() as u8]);
        bytes.extend(name.as_bytes());
    }
    let length = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes
}

#[test]
fn only_a_few_exact_names_of_those_whom_rules_name_are_asked_about() {
    let ward = || RegistryKey::Organisation(OrganisationId::new("ward-3").expect("a name"));
    assert!(NamesQuestion::new(vec![ward(); NAMES_ASKED_MAX]).is_ok());
    assert!(NamesQuestion::new(vec![ward(); NAMES_ASKED_MAX + 1]).is_err());
    assert!(NamesQuestion::new(Vec::new()).is_err());
    for other in [
        RegistryKey::Gateway(GatewayId::new("gw-01").expect("a name")),
        RegistryKey::Wallet(WalletId::new("anna").expect("a name")),
        RegistryKey::Operator(OperatorId::new("admissions").expect("a name")),
    ] {
        assert!(NamesQuestion::new(vec![ward(), other]).is_err());
    }
}

#[test]
fn a_question_that_does_not_decode_closes_the_session() {
    let ward = (1, "ward-3");
    let mut server = ready(ServerLimits::default());
    server.handle_bytes(Lane::Control, &raw(1, &[ward]), now());
    assert!(matches!(heard(&mut server)[..], [ServerEvent::Names { .. }]), "as it should be");
    for (why, bytes, code) in [
        ("none", raw(0, &[]), RejectCode::Malformed),
        ("too many", raw(5, &[ward; 5]), RejectCode::TooLarge),
        ("fewer than it says", raw(2, &[ward]), RejectCode::Malformed),
        ("more than it says", raw(1, &[ward; 2]), RejectCode::Malformed),
        ("a gateway", raw(1, &[(3, "gw-01")]), RejectCode::Malformed),
        ("a wallet", raw(2, &[ward, (5, "anna")]), RejectCode::Malformed),
        ("no kind", raw(1, &[(7, "ward-3")]), RejectCode::Malformed),
        ("no name", raw(1, &[(2, "Dr X")]), RejectCode::Malformed),
        ("a pattern", raw(1, &[(2, "dr-*")]), RejectCode::Malformed),
        ("nothing of a name", raw(1, &[(2, "")]), RejectCode::Malformed),
    ] {
        let mut server = ready(ServerLimits::default());
        server.handle_bytes(Lane::Control, &bytes, now());
        assert_eq!(said(&mut server).last(), Some(&ServerMessage::Closing { code }), "{why}");
    }
}

#[test]
fn a_question_is_answered_name_by_name_or_rejected() {
    let mut pair = Pair::new();
    let asked = pair.client.ask_names(samples::names_question()).expect("spoken");
    let question = samples::names_question();
    assert_eq!(pair.up(), [ServerEvent::Names { request: asked, question }]);
    pair.server.answer_names(asked, vec![true, false, true]);
    let answer = NamesAnswer { request: asked, known: vec![true, false, true] };
    assert_eq!(pair.down(), [ClientEvent::NamesAnswered(answer)]);
    let asked = pair.client.ask_names(samples::names_question()).expect("spoken");
    pair.up();
    pair.server.reject_request(asked, RejectCode::Busy);
    let rejected = ClientEvent::RequestRejected { request: asked, code: RejectCode::Busy };
    assert_eq!(pair.down(), [rejected]);
}

#[test]
fn an_answer_for_other_names_than_were_asked_is_a_violation() {
    let mut pair = Pair::new();
    let asked = pair.client.ask_names(samples::names_question()).expect("spoken");
    pair.up();
    pair.server.answer_names(asked, vec![true]);
    let (violation, evidence) = (Violation::Answer, None);
    assert_eq!(pair.down()[0], ClientEvent::Violation { violation, evidence });
}

#[test]
fn questions_count_among_the_requests_without_an_answer() {
    let limits = ServerLimits { requests_max: 1, ..ServerLimits::default() };
    let mut pair = Pair::connect(new_client(), limits);
    let first = pair.client.ask_names(samples::names_question()).expect("spoken");
    let second = pair.client.ask_names(samples::names_question()).expect("spoken");
    assert_eq!(pair.up().len(), 1, "one at a time");
    let busy = ClientEvent::RequestRejected { request: second, code: RejectCode::Busy };
    assert_eq!(pair.down(), [busy]);
    pair.server.answer_names(first, vec![true; 3]);
    assert!(matches!(pair.down()[..], [ClientEvent::NamesAnswered(_)]));
    pair.client.ask_names(samples::names_question()).expect("spoken");
    assert_eq!(pair.up().len(), 1, "its place is free again");
}

#[test]
fn a_server_of_before_is_asked_nothing_that_it_does_not_know() {
    let mut client = new_client();
    client.connected();
    let limits = ServerLimits::default();
    let welcome = ServerMessage::Welcome(Welcome {
        version: PROTOCOL_VERSION,
        features: Features::RAW,
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        standing: STANDING,
        server_time: now(),
        credit: limits.credit(),
        marks: Vec::new(),
    });
    client.handle_bytes(Lane::Control, &welcome.encode(), now());
    let refused = client.ask_names(samples::names_question());
    assert!(matches!(refused, Err(ClientError::NotSpoken { .. })), "{refused:?}");
    assert!(client.is_open(), "everything else goes on");
}

#[test]
fn a_client_of_before_is_told_only_what_both_speak() {
    let mut server = server_with(ServerLimits::default());
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    tell(&mut server, ClientMessage::Hello(Hello { features: Features(1 | 1 << 40), ..current }));
    server.welcome(Vec::new(), STANDING, now());
    let [ServerMessage::Welcome(welcome)] = &said(&mut server)[..] else {
        panic!("expected a welcome")
    };
    assert_eq!(welcome.features, Features::RAW);
}
