//! What was signed well and is over, and what shares a certificate: neither keeps a stop out.

use std::sync::Arc;

use model::{Action, ManualClock, RejectCode};
use wire::{Role, SignedOperation};

use super::floods::submit;
use super::support::{Client, Node, junk, now};
use crate::folder::authority::Issued;
use crate::stages::ingest::IngestConfig;

/// A node on whose clock no time passes, so that no bucket fills again, and the certificate of a
/// wallet.
async fn start() -> (Node, Issued) {
    let clock = ManualClock::fixed(now());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let issued = node.registered(Role::Wallet, "patient-app").await;
    (node, issued)
}

async fn wallet(node: &Node, issued: &Issued) -> Client {
    Client::connect(node, issued, Role::Wallet, "patient-app").await.welcomed().await
}

/// Sends the same again and again until it is not looked at any more; how often it was.
async fn flood(client: &mut Client, operation: &SignedOperation, answer: RejectCode) -> usize {
    for times in 0..1000 {
        match submit(client, operation.clone()).await {
            Err(RejectCode::Busy) => return times,
            found => assert_eq!(found, Err(answer)),
        }
    }
    panic!("expected a source that is told busy");
}

#[tokio::test]
async fn a_revocation_replayed_without_end_keeps_no_stop_out_whoever_sends_it() {
    let (mut node, issued) = start().await;
    let mut patient = wallet(&node, &issued).await;
    let revocation = node.revocation(1);
    assert_eq!(submit(&mut patient, revocation.clone()).await, Ok(()));
    let before = node.journal.head();
    // Another's certificate, and the patient's own.
    let mut stranger = node.client(Role::Wallet, "stranger-app").await.welcomed().await;
    let mut thief = wallet(&node, &issued).await;
    let before = before.position.max(node.journal.head().position);
    for source in [&mut stranger, &mut thief] {
        // The first eight of the connection, and all that the certificate may send.
        assert_eq!(flood(source, &revocation, RejectCode::Nonce).await, 8 + 240);
    }
    assert_eq!(node.journal.head().position, before, "a replay is answered only");
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut patient, stop).await, Ok(()), "on the connection that stands");
}

#[tokio::test]
async fn junk_of_one_connection_keeps_no_stop_of_its_certificate_out() {
    let (mut node, issued) = start().await;
    let mut junk_sender = wallet(&node, &issued).await;
    assert_eq!(flood(&mut junk_sender, &junk(7), RejectCode::Signature).await, 8 + 240);
    // Another patient behind the same application, on a connection of its own.
    let mut patient = wallet(&node, &issued).await;
    let mistake = junk(8);
    assert_eq!(submit(&mut patient, mistake).await, Err(RejectCode::Signature));
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut patient, stop).await, Ok(()));
}
