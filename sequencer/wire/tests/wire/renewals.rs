//! Certificates that are asked for over the connection of the one before: what is asked, and what
//! is no answer.

use model::RejectCode;
use wire::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_REQUEST_BYTES_MAX};
use wire::*;

use crate::machines::*;
use crate::samples;

#[test]
fn a_request_has_a_byte_and_no_more_than_the_limit() {
    let of = |bytes: usize| RenewalRequest::new(vec![7; bytes]);
    assert!(of(1).is_ok() && of(CERTIFICATE_REQUEST_BYTES_MAX).is_ok());
    assert_eq!(of(0).expect_err("nothing").code(), RejectCode::Malformed);
    assert_eq!(
        of(CERTIFICATE_REQUEST_BYTES_MAX + 1).expect_err("long").code(),
        RejectCode::TooLarge
    );
}

#[test]
fn a_request_that_does_not_decode_closes_the_session() {
    let whole = ClientMessage::Renewal { request: RequestId(1), asked: samples::renewal_request() };
    let whole = whole.encode().to_vec();
    let with = |length: u32, body: &[u8]| {
        let mut bytes = whole[..HEADER_BYTES + 8].to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(body);
        let all = (bytes.len() as u32).to_le_bytes();
        bytes[..4].copy_from_slice(&all);
        bytes
    };
    assert_eq!(with(5, &whole[HEADER_BYTES + 12..]), whole, "as it should be");
    let long = CERTIFICATE_REQUEST_BYTES_MAX + 1;
    for (why, bytes, code) in [
        ("nothing", with(0, &[]), RejectCode::Malformed),
        ("too long", with(long as u32, &vec![1; long]), RejectCode::TooLarge),
        ("shorter than it says", with(3, &[1, 2]), RejectCode::Malformed),
        ("longer than it says", with(1, &[1, 2]), RejectCode::Malformed),
    ] {
        let mut server = ready(ServerLimits::default());
        server.handle_bytes(Lane::Control, &bytes, now());
        assert_eq!(said(&mut server).last(), Some(&ServerMessage::Closing { code }), "{why}");
    }
}

#[test]
fn a_request_waits_and_is_asked_again_until_there_is_a_certificate_or_a_rejection() {
    let mut pair = Pair::new();
    let (asked, issued) = (samples::renewal_request(), vec![9; CERTIFICATE_BYTES_MAX]);
    for certificate in [None, Some(issued.into())] {
        let request = pair.client.ask_renewal(asked.clone()).expect("spoken");
        assert_eq!(pair.up(), [ServerEvent::Renewal { request, asked: asked.clone() }]);
        pair.server.answer_renewal(request, certificate.clone());
        let answer = RenewalAnswer { request, certificate };
        assert_eq!(pair.down(), [ClientEvent::RenewalAnswered(answer)]);
    }
    let request = pair.client.ask_renewal(asked).expect("spoken");
    pair.up();
    pair.server.reject_request(request, RejectCode::Validity);
    let rejected = ClientEvent::RequestRejected { request, code: RejectCode::Validity };
    assert_eq!(pair.down(), [rejected]);
}

#[test]
fn a_certificate_that_nobody_asked_for_is_a_violation() {
    let mut pair = Pair::new();
    let request = pair.client.ask_names(samples::names_question()).expect("spoken");
    pair.up();
    pair.server.answer_renewal(request, Some(vec![1].into()));
    let (violation, evidence) = (Violation::Protocol, None);
    assert_eq!(pair.down()[0], ClientEvent::Violation { violation, evidence });
}

#[test]
fn a_server_of_before_is_asked_for_no_certificate() {
    let mut client = new_client();
    client.connected();
    let welcome = welcome(Features::RAW.and(Features::SPOKEN));
    client.handle_bytes(Lane::Control, &welcome.encode(), now());
    let refused = client.ask_renewal(samples::renewal_request());
    assert!(matches!(refused, Err(ClientError::NotSpoken { .. })), "{refused:?}");
    assert!(client.is_open(), "everything else goes on");
}
