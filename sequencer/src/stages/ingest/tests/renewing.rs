//! The client that gateways run renews its certificate by itself, against this server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::{Connection, ConnectionConfig, ConnectionError, Deployment, Identity, Renewal, Waits};
use model::{Clock as _, Interval, Millis, Sequence};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wire::{Entry, Lane, Role};

use super::client::hand_out;
use super::renewals::{issue_all, register};
use super::support::{Node, close_code, descriptor, dial, now, readings};
use crate::folder::authority::Issued;
use crate::folder::request::CertificateRequest;
use crate::stages::ingest::IngestConfig;

/// How long the first certificate lives, by the clock that node and client share.
const LIFE_MS: u64 = 600_000;

/// A gateway with its identity's folder.
struct Gateway {
    root: tempfile::TempDir,
    issued: Issued,
}

impl Gateway {
    async fn new(node: &Node) -> Gateway {
        let valid =
            Interval { from: Millis::new(now().get() - 1000).unwrap(), until: now().plus(LIFE_MS) };
        let issued = node.authority.issue_client(Role::Gateway, "gateway", valid).unwrap();
        register(node, issued.fingerprint(), valid).await;
        let gateway = Gateway { root: tempfile::tempdir().unwrap(), issued };
        hand_out(node, &gateway.issued, &gateway.folder());
        gateway
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("identity")
    }

    /// A connection that renews, and the steps that it tells.
    async fn connect(
        &self,
        node: &Node,
    ) -> Result<(Connection, UnboundedReceiver<Renewal>), ConnectionError> {
        self.connect_waiting(node, Waits::default()).await
    }

    async fn connect_waiting(
        &self,
        node: &Node,
        waits: Waits,
    ) -> Result<(Connection, UnboundedReceiver<Renewal>), ConnectionError> {
        let identity = Identity::load(&self.folder()).unwrap();
        let deployment = Deployment::load(&self.folder()).unwrap();
        let (tell, told) = unbounded_channel();
        let mut config = ConnectionConfig::new(node.address, "localhost", identity, deployment);
        config.identity_folder = Some(self.folder());
        config.renew_every = Some(Duration::from_millis(5));
        config.on_renewal = Some(Arc::new(move |step: &Renewal| drop(tell.send(step.clone()))));
        config.clock = node.clock.clone();
        config.waits = waits;
        Connection::connect(config).await.map(|connection| (connection, told))
    }
}

/// Waits for a step; others are passed over.
async fn until(told: &mut UnboundedReceiver<Renewal>, wanted: fn(&Renewal) -> bool) -> Renewal {
    loop {
        let step = told.recv().await.expect("the connection goes on");
        if wanted(&step) {
            return step;
        }
    }
}

fn is_asked(step: &Renewal) -> bool {
    matches!(step, Renewal::Asked { .. })
}

fn is_renewed(step: &Renewal) -> bool {
    matches!(step, Renewal::Renewed { .. })
}

/// Sequences of all frames of the journal, in its order.
fn stored(node: &Node) -> Vec<u64> {
    let sequences = node.entries().into_iter().filter_map(|entry| match entry {
        Entry::Frame(entry) => Some(entry.frame().sequence().0),
        _ => None,
    });
    sequences.collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn a_stream_goes_over_to_its_renewed_certificate_and_no_frame_is_lost_or_doubled() {
    let node = Node::start().await;
    let gateway = Gateway::new(&node).await;
    let folder = gateway.folder();
    let before = (bytes(&folder.join("cert.pem")), bytes(&folder.join("key.pem")));
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    let stream = connection.open_stream(Lane::Live, descriptor()).await.unwrap();
    let mut sent = 0;
    let mut send = async |frames: u64| {
        for _ in 0..frames {
            sent += 1;
            stream.send(&readings(sent as i32)).await.unwrap();
        }
        sent
    };
    let last = send(5).await;
    stream.wait_for_receipt(Sequence(last)).await.unwrap();
    assert!(told.try_recv().is_err(), "it is young");

    // The half of its life is over, and two thirds are not.
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    let last = send(20).await;
    stream.wait_for_receipt(Sequence(last)).await.unwrap();
    assert_eq!(issue_all(&node), 1);
    // Frames are on their way all the while.
    let renewed = async { until(&mut told, is_renewed).await };
    tokio::pin!(renewed);
    let step = loop {
        tokio::select! {
            biased;
            step = &mut renewed => break step,
            _ = send(1) => tokio::task::yield_now().await,
        }
    };
    let Renewal::Renewed { until: ends } = step else { unreachable!("that was waited for") };
    assert!(ends > now().plus(LIFE_MS));
    // That is told before the streams go over, which another task does.
    while connection.counts().renewals == 0 {
        send(1).await;
        tokio::task::yield_now().await;
    }
    let last = send(200).await;
    stream.flush().await.unwrap();
    let counts = connection.counts();
    assert_eq!((counts.renewals, counts.reconnects), (1, 0), "{counts:?}");
    assert_eq!(stored(&node), (1..=last).collect::<Vec<_>>());

    let renewed = Identity::load(&folder).unwrap();
    assert_eq!(renewed.valid().until, ends);
    assert!(!folder.join("renewal.pem").exists());
    let after = (bytes(&folder.join("cert.pem")), bytes(&folder.join("key.pem")));
    assert_eq!(before, after, "what the operator handed out stays");
    let old = dial(node.address, &gateway.issued).await.unwrap();
    assert_eq!(close_code(&old.1).await, Some(model::RejectCode::Identity));
    connection.close().await;
    let (again, _) = gateway.connect(&node).await.unwrap();
    assert_eq!(again.counts().reconnects, 0, "the folder's is the new one");
}

#[tokio::test]
async fn a_program_that_ended_before_the_new_certificate_was_its_own_finds_it() {
    let node = Node::start().await;
    let gateway = Gateway::new(&node).await;
    let folder = gateway.folder();
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    issue_all(&node);
    until(&mut told, is_renewed).await;
    drop(connection);
    // As if it had ended when the node had welcomed it, and before it was told.
    std::fs::rename(folder.join("renewed.pem"), folder.join("renewal.pem")).unwrap();
    let old = Identity::load(&folder).unwrap();
    assert!(old.valid().until < now().plus(2 * LIFE_MS));
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    assert_eq!(connection.counts().reconnects, 1, "the old one is refused, and then it finds it");
    until(&mut told, is_renewed).await;
    assert!(folder.join("renewed.pem").exists() && !folder.join("renewal.pem").exists());
}

#[tokio::test]
async fn a_certificate_that_the_node_forgot_is_asked_for_again_and_the_old_one_goes_on() {
    let node = Node::start().await;
    let gateway = Gateway::new(&node).await;
    let pending = gateway.folder().join("renewal.pem");
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    drop(connection);
    // Issued by the operator for a node that began anew since, and knows nothing of it.
    let waiting = node.renewals.waiting(&node.view, node.clock.now());
    let request = CertificateRequest::check(&waiting[0].request).unwrap();
    let valid = Interval { from: now(), until: now().plus(5 * LIFE_MS) };
    let issued = node.authority.sign_request(&request, Role::Gateway, "gateway", valid).unwrap();
    let written = gateway.root.path().join("written");
    issued.write(&written).unwrap();
    let both = [bytes(&pending), bytes(&written.join("cert.pem"))].concat();
    std::fs::write(&pending, both).unwrap();

    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    until(&mut told, |step| matches!(step, Renewal::Failed(_))).await;
    until(&mut told, is_asked).await;
    assert_eq!(connection.counts().reconnects, 0, "the old one goes on");
    issue_all(&node);
    until(&mut told, is_renewed).await;
    assert_eq!(connection.counts().reconnects, 0);
}

#[tokio::test]
async fn a_certificate_that_somebody_else_renewed_is_found_before_it_is_refused() {
    let node = Node::start().await;
    let gateway = Gateway::new(&node).await;
    let (first, mut told) = gateway.connect(&node).await.unwrap();
    let (second, mut also_told) = gateway.connect(&node).await.unwrap();
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    until(&mut also_told, is_asked).await;
    // Both use one file, so it is one request; whichever was written last is asked again.
    assert_eq!(issue_all(&node), 1);
    let (mut done, mut also_done) = (false, false);
    while !(done && also_done) {
        tokio::select! {
            step = told.recv() => done |= step.is_some_and(|step| is_renewed(&step)),
            step = also_told.recv() => also_done |= step.is_some_and(|step| is_renewed(&step)),
        }
        // The other's request may have been written over meanwhile: then it asks again.
        issue_all(&node);
    }
    for connection in [first, second] {
        assert_eq!(connection.end_reason().map(|why| why.to_string()), None);
        connection.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_goes_on_though_the_old_connection_is_closed_before_it_went_over() {
    let limits = IngestConfig::default();
    let config = IngestConfig { identity_check_ms: 100, renewal_drain_ms: 60_000, ..limits };
    let node = Node::start_with(config, Arc::new(())).await;
    let gateway = Gateway::new(&node).await;
    // As long as the writer is held nothing is acknowledged, so that it cannot go over.
    let waits = Waits { drain: Duration::from_secs(600), ..Waits::default() };
    assert!(waits.renewal.is_zero());
    let (connection, mut told) = gateway.connect_waiting(&node, waits).await.unwrap();
    let stream = connection.open_stream(Lane::Live, descriptor()).await.unwrap();
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    issue_all(&node);
    until(&mut told, is_renewed).await;
    let held = node.hold_writer();
    for value in 1..=5 {
        stream.send(&readings(value)).await.unwrap();
    }
    node.clock.advance(60_000);
    let over = loop {
        let counts = connection.counts();
        if connection.end_reason().is_some() || counts.reconnects + counts.renewals > 0 {
            break counts;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(connection.end_reason().map(|why| why.to_string()), None);
    assert_eq!((over.reconnects, over.renewals), (1, 0), "the node closed the old one");
    drop(held);
    stream.flush().await.unwrap();
    assert_eq!(stored(&node), (1..=5).collect::<Vec<_>>());
    assert_eq!(connection.end_reason().map(|why| why.to_string()), None);
}

#[tokio::test]
async fn a_key_that_was_made_beside_a_replaced_certificate_is_not_certified() {
    let node = Node::start().await;
    let gateway = Gateway::new(&node).await;
    let pending = gateway.folder().join("renewal.pem");
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    node.clock.advance(LIFE_MS / 2);
    until(&mut told, is_asked).await;
    let feared = bytes(&pending);
    drop(connection);
    // The folder was feared stolen: the operator gave another one, and its files were put there.
    let valid = Interval { from: now(), until: now().plus(4 * LIFE_MS) };
    let by_hand = node.authority.issue_client(Role::Gateway, "gateway", valid).unwrap();
    register(&node, by_hand.fingerprint(), valid).await;
    let written = gateway.root.path().join("by-hand");
    hand_out(&node, &by_hand, &written);
    for file in ["cert.pem", "key.pem"] {
        std::fs::copy(written.join(file), gateway.folder().join(file)).unwrap();
    }
    let (connection, mut told) = gateway.connect(&node).await.unwrap();
    node.clock.advance(2 * LIFE_MS);
    until(&mut told, is_asked).await;
    let request = |text: &[u8]| {
        let text = String::from_utf8(text.to_vec()).unwrap();
        text[text.find("-----BEGIN CERTIFICATE REQUEST").unwrap()..].to_owned()
    };
    assert_ne!(request(&feared), request(&bytes(&pending)));
    let waiting = node.renewals.waiting(&node.view, node.clock.now());
    assert_eq!((waiting.len(), waiting[0].replaces), (1, by_hand.fingerprint()));
    issue_all(&node);
    until(&mut told, is_renewed).await;
    assert_eq!(connection.counts().reconnects, 0);
}
