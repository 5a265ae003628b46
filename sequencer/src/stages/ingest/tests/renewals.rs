//! Certificates that are asked for over the connection of the one before: who gets one, and what
//! becomes of the one before.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::{Clock as _, Interval, ManualClock, Millis, OrganisationId, RejectCode};
use rcgen::KeyPair;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::timeout;
use wire::{
    ClientEvent, Holder, RegistryChange, RegistryKey, RegistryRecord, RenewalRequest, Role,
};

use super::support::{Client, Node, close_code, dial, gateway_id, hospital, now, tls_of, validity};
use super::{Observe, Observed, streams_on};
use crate::folder::request::CertificateRequest;
use crate::stages::ingest::peer::Peer;
use crate::stages::ingest::{IngestConfig, Issued, RenewalStep, Revoked};
use crate::stages::ledger::Item;

/// Steps that were counted, in order.
#[derive(Default)]
struct Steps(Mutex<Vec<RenewalStep>>);

impl Observe for Steps {
    fn observe(&self, what: Observed) {
        if let Observed::Renewal(step) = what {
            self.0.lock().unwrap().push(step);
        }
    }
}

/// A key and its request.
fn asked() -> (KeyPair, RenewalRequest) {
    let key = KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    (key, RenewalRequest::new(request.der().to_vec()).unwrap())
}

/// Registers the gateway with a certificate that is good for so long.
async fn register_until(node: &Node, until: Millis) {
    register(node, node.gateway.fingerprint(), Interval { from: now(), until }).await;
}

/// Registers the gateway with this certificate.
pub(super) async fn register(node: &Node, fingerprint: [u8; 32], valid: Interval) {
    let (id, organisation) = (gateway_id(), hospital());
    let record = RegistryRecord::Gateway { id, organisation, fingerprint, valid };
    node.change_registry(RegistryChange::Add(record)).await;
}

fn waiting_count(node: &Node) -> usize {
    node.renewals.waiting_count(&node.view, node.clock.now())
}

/// The one gateway with a certificate that was issued and not shown yet.
struct Renewing {
    node: Node,
    old: Client,
    key: KeyPair,
    certificate: Bytes,
}

impl Renewing {
    async fn start() -> Renewing {
        Renewing::start_with(IngestConfig::default()).await
    }

    async fn start_with(config: IngestConfig) -> Renewing {
        let node = Node::start_with(config, Arc::new(())).await;
        register_until(&node, now().plus(600_000)).await;
        node.clock.advance(300_000);
        let mut old = node.gateway().await.welcomed().await;
        let (key, request) = asked();
        ask(&mut old, &request).await.unwrap();
        issue_all(&node);
        let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
        Renewing { node, old, key, certificate }
    }

    /// Who shows the new one.
    fn peer(&self) -> Peer {
        Peer::of_certificate(&self.certificate.as_ref().into()).unwrap()
    }

    fn registered(&self) -> Option<[u8; 32]> {
        let (view, now) = (&self.node.view, self.node.clock.now());
        self.peer().id.registered(view, now).map(|found| found.fingerprint)
    }
}

/// Lets work begin that cannot end yet.
async fn begin(work: &mut (impl Future + Unpin)) {
    tokio::select! {
        biased;
        _ = work => panic!("it waits"),
        () = tokio::task::yield_now() => {}
    }
}

async fn ask(client: &mut Client, asked: &RenewalRequest) -> Result<Option<Bytes>, RejectCode> {
    let request = client.session.ask_renewal(asked.clone()).unwrap();
    client
        .until(|event| match event {
            ClientEvent::RenewalAnswered(answer) if answer.request == request => {
                Some(Ok(answer.certificate.clone()))
            }
            ClientEvent::RequestRejected { request: of, code } if *of == request => {
                Some(Err(*code))
            }
            _ => None,
        })
        .await
}

/// What the operator's command does.
pub(super) fn issue_all(node: &Node) -> usize {
    let waiting = node.renewals.waiting(&node.view, node.clock.now());
    for one in &waiting {
        let request = CertificateRequest::check(&one.request).unwrap();
        let valid = Interval { from: now(), until: validity().until };
        let issued = node.authority.sign_request(&request, one.role, &one.name, valid).unwrap();
        let issued = Issued { der: issued.der().to_vec().into(), at: node.clock.now() };
        node.renewals.issue(one.role, &one.name, issued).unwrap();
    }
    waiting.len()
}

/// A connection that shows the new certificate.
async fn show(node: &Node, key: &KeyPair, certificate: &Bytes) -> Client {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let tls = tls_of(node.authority.certificate_pem(), certificate.to_vec().into(), key);
    Client::connect_with(node, tls, Holder::gateway(&gateway_id())).await
}

#[tokio::test]
async fn a_gateway_renews_over_its_connection_and_the_old_one_drains() {
    let steps = Arc::new(Steps::default());
    let clock = ManualClock::running();
    let node = Node::start_at(IngestConfig::default(), steps.clone(), clock).await;
    register_until(&node, now().plus(600_000)).await;
    let mut old = node.gateway().await.welcomed().await;
    let handle = old.open().await;
    let (key, request) = asked();
    assert_eq!(ask(&mut old, &request).await, Err(RejectCode::Validity), "it is young");
    node.clock.advance(300_000);
    assert_eq!(ask(&mut old, &request).await, Ok(None));
    assert_eq!(ask(&mut old, &request).await, Ok(None), "it waits");
    assert_eq!(issue_all(&node), 1);
    let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
    streams_on(&mut old, handle, 1).await;

    let new = show(&node, &key, &certificate).await.welcomed().await;
    // Everything has changed in the registry, and the one before still has its frames taken.
    node.touch_registry().await;
    streams_on(&mut old, handle, 2).await;
    assert_eq!(ask(&mut old, &request).await, Err(RejectCode::Identity), "but renews nothing");
    let again = dial(node.address, &node.gateway).await.unwrap();
    assert_eq!(close_code(&again.1).await, Some(RejectCode::Identity), "nor comes again");
    node.clock.advance(IngestConfig::default().renewal_drain_ms);
    node.touch_registry().await;
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    assert!(new.connection.close_reason().is_none());
    let counted = steps.0.lock().unwrap().clone();
    use RenewalStep::{Asked, Issued, Refused, Taken};
    assert_eq!(counted, [Refused, Asked, Issued, Taken, Refused]);
}

#[tokio::test]
async fn who_was_revoked_meanwhile_gets_nothing() {
    let node = Node::start().await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut old = node.gateway().await.welcomed().await;
    let (key, request) = asked();
    ask(&mut old, &request).await.unwrap();
    issue_all(&node);
    let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
    node.end_gateway().await;
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    let new = show(&node, &key, &certificate).await;
    assert_eq!(close_code(&new.connection).await, Some(RejectCode::Identity));
    assert!(node.view.registry().gateway(&gateway_id(), node.clock.now()).is_none());
}

#[tokio::test]
async fn a_revocation_does_not_wait_until_the_old_connection_is_drained() {
    let node = Node::start().await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut old = node.gateway().await.welcomed().await;
    let (key, request) = asked();
    ask(&mut old, &request).await.unwrap();
    issue_all(&node);
    let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
    let mut new = show(&node, &key, &certificate).await.welcomed().await;
    node.end_gateway().await;
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    assert_eq!(new.closed().await, Some(RejectCode::Identity));
}

#[tokio::test]
async fn a_certificate_that_the_operator_gave_meanwhile_is_not_replaced() {
    let node = Node::start().await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut old = node.gateway().await.welcomed().await;
    let (key, request) = asked();
    ask(&mut old, &request).await.unwrap();
    issue_all(&node);
    let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
    // The key of the old one is lost, the operator was told, and gave another one.
    let by_hand = node.registered(Role::Gateway, "gateway").await;
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    let new = show(&node, &key, &certificate).await;
    assert_eq!(close_code(&new.connection).await, Some(RejectCode::Identity));
    let registered = node.view.registry();
    let found = registered.gateway(&gateway_id(), node.clock.now()).unwrap().fingerprint;
    assert_eq!(found, by_hand.fingerprint());
}

#[tokio::test]
async fn a_request_that_proves_no_key_or_comes_too_often_is_refused() {
    let clock = ManualClock::fixed(now());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut old = node.gateway().await.welcomed().await;
    let (_, whole) = asked();
    let mut changed = whole.as_bytes().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let changed = RenewalRequest::new(changed).unwrap();
    assert_eq!(ask(&mut old, &changed).await, Err(RejectCode::Signature));
    let junk = RenewalRequest::new(vec![0x30, 0]).unwrap();
    assert_eq!(ask(&mut old, &junk).await, Err(RejectCode::Malformed));
    // No time passes on this clock.
    for _ in 2..30 {
        assert_eq!(ask(&mut old, &whole).await, Ok(None));
    }
    assert_eq!(ask(&mut old, &whole).await, Err(RejectCode::Busy));
    assert_eq!(waiting_count(&node), 1);
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_fingerprint_and_no_other_one_is() {
    let node = Node::start().await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut old = node.gateway().await.welcomed().await;
    let (key, request) = asked();
    ask(&mut old, &request).await.unwrap();
    issue_all(&node);
    let certificate = ask(&mut old, &request).await.unwrap().expect("it is issued");
    let fingerprint = crate::folder::authority::fingerprint_of(&certificate);
    let revoke = async |fingerprint: [u8; 32]| {
        let revoked = node.renewals.revoke(fingerprint, &node.desk, now()).await;
        revoked.map_err(|error| error.to_string())
    };
    // Not shown yet: it is taken back, and the present one goes on.
    assert_eq!(revoke(fingerprint).await, Ok(Revoked::Unused));
    assert!(revoke(fingerprint).await.unwrap_err().contains("expected the fingerprint"));
    let new = show(&node, &key, &certificate).await;
    assert_eq!(close_code(&new.connection).await, Some(RejectCode::Identity));
    assert_eq!(ask(&mut old, &request).await, Ok(None), "the name asks again");

    let other = node.registered(Role::Wallet, "patient-app").await;
    let mut wallet = Client::connect(&node, &other, Role::Wallet, "patient-app").await;
    wallet = wallet.welcomed().await;
    revoke(node.gateway.fingerprint()).await.unwrap();
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    assert_eq!(waiting_count(&node), 0, "what it asked for goes with it");
    assert!(wallet.connection.close_reason().is_none());
    wallet.transmit().await;
    // The name is good for another certificate.
    let another = node.registered(Role::Gateway, "gateway").await;
    let mut client = Client::connect(&node, &another, Role::Gateway, "gateway").await;
    client = client.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    assert!(revoke([9; 32]).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_is_taken_back_while_others_have_their_turn_is_not_registered() {
    let renewing = Renewing::start().await;
    let (node, peer, before) = (&renewing.node, renewing.peer(), renewing.registered());
    let held = node.hold_writer();
    let id = OrganisationId::new("laboratory").unwrap();
    let other = RegistryChange::Add(RegistryRecord::Organisation { id });
    let mut turn = Box::pin(node.desk.change(move |_| Ok(Some(other))));
    begin(&mut turn).await;
    let mut revoked = Box::pin(node.renewals.revoke(peer.fingerprint, &node.desk, now()));
    begin(&mut revoked).await;
    let mut adopted = Box::pin(node.renewals.adopt(&peer, &node.desk, node.clock.now()));
    begin(&mut adopted).await;
    drop(held);
    assert_eq!(revoked.await.unwrap(), Revoked::Unused);
    assert_eq!(adopted.await, Err(RejectCode::Identity));
    assert_eq!(renewing.registered(), before);
}

#[tokio::test]
async fn a_revocation_that_nobody_waits_for_any_more_keeps_its_turn() {
    let renewing = Renewing::start().await;
    let (node, peer) = (&renewing.node, renewing.peer());
    let held = node.hold_writer();
    let end = RegistryChange::End { key: RegistryKey::Gateway(gateway_id()), at: now() };
    let mut operator = Box::pin(node.desk.change(move |_| Ok(Some(end))));
    begin(&mut operator).await;
    drop(operator);
    let mut adopted = Box::pin(node.renewals.adopt(&peer, &node.desk, node.clock.now()));
    begin(&mut adopted).await;
    drop(held);
    assert_eq!(adopted.await, Err(RejectCode::Identity));
    assert_eq!(renewing.registered(), None);
}

#[tokio::test]
async fn a_certificate_that_the_writer_had_no_room_for_is_shown_again() {
    let renewing = Renewing::start().await;
    let (node, peer) = (&renewing.node, renewing.peer());
    let held = node.hold_writer();
    // Until the queue is full for everybody.
    while node.admit.submit_with(Item::CountDue, drop).is_ok() {}
    let adopt = || node.renewals.adopt(&peer, &node.desk, node.clock.now());
    assert_eq!(adopt().await, Err(RejectCode::Busy));
    drop(held);
    // Long after its connections of before would have drained.
    node.clock.advance(120_000);
    waiting_count(node);
    // The writer works the queue off.
    let mut adopted = adopt().await;
    while adopted == Err(RejectCode::Busy) {
        tokio::task::yield_now().await;
        adopted = adopt().await;
    }
    assert_eq!(adopted, Ok(true));
    assert_eq!(renewing.registered(), Some(peer.fingerprint));
}

#[tokio::test]
async fn a_replaced_certificate_drains_no_longer_than_is_said_whatever_the_check() {
    let limits = IngestConfig::default();
    let config = IngestConfig { identity_check_ms: 60_000, renewal_drain_ms: 100, ..limits };
    let Renewing { node, mut old, key, certificate } = Renewing::start_with(config).await;
    let new = show(&node, &key, &certificate).await.welcomed().await;
    // Looks once, and then when the time is over.
    node.touch_registry().await;
    let closed = timeout(Duration::from_secs(30), old.closed()).await;
    assert_eq!(closed, Ok(Some(RejectCode::Identity)));
    assert!(new.connection.close_reason().is_none());
}

#[tokio::test]
async fn a_certificate_that_drains_is_ended_by_its_fingerprint() {
    let Renewing { node, mut old, key, certificate } = Renewing::start().await;
    let mut new = show(&node, &key, &certificate).await.welcomed().await;
    let revoked = node.renewals.revoke(node.gateway.fingerprint(), &node.desk, now()).await;
    assert_eq!(revoked.unwrap(), Revoked::Draining);
    assert_eq!(old.closed().await, Some(RejectCode::Identity));
    let handle = new.open().await;
    streams_on(&mut new, handle, 1).await;
}

#[tokio::test]
async fn a_request_for_another_key_is_counted_and_marked() {
    let steps = Arc::new(Steps::default());
    let node = Node::start_with(IngestConfig::default(), steps.clone()).await;
    register_until(&node, now().plus(600_000)).await;
    node.clock.advance(300_000);
    let mut holder = node.gateway().await.welcomed().await;
    let mut thief = node.gateway().await.welcomed().await;
    let (first, second) = (asked().1, asked().1);
    assert_eq!(ask(&mut holder, &first).await, Ok(None));
    assert_eq!(ask(&mut thief, &second).await, Ok(None));
    let waiting = node.renewals.waiting(&node.view, node.clock.now());
    assert!(waiting.len() == 1 && waiting[0].is_disputed);
    issue_all(&node);
    assert_eq!(ask(&mut holder, &first).await, Err(RejectCode::Busy), "one is issued");
    use RenewalStep::{Asked, Refused, Replaced};
    assert_eq!(*steps.0.lock().unwrap(), [Asked, Replaced, Refused]);
}
