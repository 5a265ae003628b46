//! Requests to read that their key did not sign: answered on the connection, not by the writer.

use model::{Category, RejectCode};
use wire::{ClientEvent, Role, SignedAccessRequest};

use super::support::{Node, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_its_key_did_not_sign_is_refused_while_the_writer_is_held_up() {
    let node = Node::start().await;
    let mut doctor = node.client(Role::Practitioner, "dr").await.welcomed().await;
    let before = node.journal.head();
    let held = node.hold_writer();
    let (good, other) = (request(1, Category::Ecg), request(2, Category::Ecg));
    // A signature of another request, and bytes that are neither key nor signature.
    for (public_key, signature) in [
        (good.public_key, other.signature),
        ([0xff; 32], good.signature),
        (good.public_key, [0; 64]),
    ] {
        let forged = SignedAccessRequest::new(good.request().clone(), public_key, signature);
        let asked = doctor.session.request_access(forged.unwrap(), wire::Page::FIRST).unwrap();
        let code = doctor.until(|event| match event {
            ClientEvent::RequestRejected { request, code } if *request == asked => Some(*code),
            _ => None,
        });
        assert_eq!(code.await, RejectCode::Signature);
    }
    drop(held);
    // It left nothing: the nonce is free.
    assert_eq!(node.journal.head(), before);
    let asked = doctor.session.request_access(good, wire::Page::FIRST).unwrap();
    let permitted = doctor.until(|event| match event {
        ClientEvent::AccessAnswered(answer) if answer.request == asked => Some(answer.permitted),
        _ => None,
    });
    assert!(permitted.await);
}
