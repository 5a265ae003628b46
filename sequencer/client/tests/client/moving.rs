//! A gateway that changes its address or its certificate while it streams.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{Connection, ConnectionError, Identity, Stream, StreamError};
use model::RejectCode;
use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::Lane;

use crate::node::{Behaviour, Node, descriptor, reading};

async fn open(connection: &Connection, epoch: u16) -> Stream {
    connection.open_stream(Lane::Live, descriptor(epoch)).await.expect("opened")
}

async fn send(stream: &Stream, values: std::ops::Range<i32>) {
    for value in values {
        stream.send(&[reading(value)]).await.expect("sent");
    }
}

fn values(node: &Node) -> Vec<i32> {
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    let signal = crate::node::stream_key().signal().expect("a signal");
    let readings = frames.flat_map(|(frame, ..)| frame.readings(signal).expect("readings"));
    readings.map(|one| one.value.expect("a value")).collect()
}

/// Where the connections that stand come from.
fn peers(node: &Node) -> Vec<SocketAddr> {
    let log = node.log();
    let standing = log.connections.iter().filter(|one| one.close_reason().is_none());
    standing.map(|one| one.remote_address()).collect()
}

/// The certificates that were shown, without repetitions.
fn certificates(node: &Node) -> Vec<Vec<u8>> {
    let log = node.log();
    let shown = log.connections.iter().map(|one| {
        let chain = one.peer_identity().expect("a certificate");
        let chain: Box<Vec<CertificateDer<'_>>> = chain.downcast().expect("certificates");
        chain[0].to_vec()
    });
    let mut shown: Vec<_> = shown.collect();
    shown.dedup();
    shown
}

/// Closes every connection as one whose certificate does not entitle to it.
fn refuse(node: &Node) {
    let code = u32::from(RejectCode::Identity.number());
    node.log().connections.iter().for_each(|one| one.close(code.into(), b"test"));
}

#[tokio::test]
async fn a_connection_follows_its_gateway_to_another_address() {
    let node = Node::start(Behaviour::default());
    let connection = node.connect().await;
    let stream = open(&connection, 1).await;
    send(&stream, 0..20).await;
    stream.flush().await.unwrap();
    let before = peers(&node);
    connection.rebind().unwrap();
    send(&stream, 20..40).await;
    stream.flush().await.unwrap();
    let after = peers(&node);
    assert_eq!((before.len(), after.len()), (1, 1), "one connection");
    assert_ne!(before[0].port(), after[0].port());
    assert_eq!(connection.counts().reconnects, 0);
    assert_eq!(values(&node), (0..40).collect::<Vec<_>>());
}

/// Connects with the identity of a folder, which is read again for as long as `renewal`.
async fn connect(
    node: &Node,
    folder: &Path,
    renewal: Duration,
    told: mpsc::UnboundedSender<String>,
) -> Connection {
    let identity = Identity::load(folder).unwrap();
    let connected = node.connect_as(|config| {
        config.identity = identity;
        config.identity_folder = Some(folder.to_owned());
        (config.waits.renewal, config.waits.retry_most) = (renewal, Duration::from_millis(1));
        config.on_refused = Some(Arc::new(move |why: &ConnectionError| {
            told.send(why.to_string()).expect("somebody listens");
        }));
    });
    connected.await.unwrap()
}

#[tokio::test]
async fn a_refusal_said_before_a_lane_ends_is_why_and_its_certificate_is_shown_once() {
    let refusing = Behaviour { close_on_open: Some(RejectCode::Identity), ..Behaviour::default() };
    let node = Node::start(refusing);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("gw-01");
    node.write_identity(&folder, "gateway", "gw-01");
    let (told, mut refusals) = mpsc::unbounded_channel();
    let connection = connect(&node, &folder, Duration::from_secs(600), told.clone()).await;
    let renewed = async {
        let why = timeout(Duration::from_secs(60), refusals.recv()).await.expect("told in time");
        assert!(why.expect("somebody tells").contains("does not entitle"));
        assert_eq!(node.log().connections.len(), 1);
        node.behave(Behaviour::default());
        node.write_identity(&folder, "gateway", "gw-01");
    };
    let (stream, ()) = tokio::join!(open(&connection, 1), renewed);
    send(&stream, 0..10).await;
    stream.flush().await.unwrap();
    assert_eq!((values(&node).len(), certificates(&node).len()), (10, 2));
    assert_eq!((node.log().connections.len(), connection.counts().reconnects), (2, 1));
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_waited_for_and_a_renewed_one_is_shown() {
    let node = Node::start(Behaviour::default());
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("gw-01");
    node.write_identity(&folder, "gateway", "gw-01");
    let (told, mut refusals) = mpsc::unbounded_channel();
    let connection = connect(&node, &folder, Duration::from_secs(600), told.clone()).await;
    let stream = open(&connection, 1).await;
    send(&stream, 0..20).await;
    refuse(&node);
    // It is told, and frames are taken meanwhile.
    let why = refusals.recv().await.unwrap();
    assert!(why.contains("does not entitle"), "{why}");
    send(&stream, 20..30).await;
    assert_eq!(certificates(&node).len(), 1);
    node.write_identity(&folder, "gateway", "gw-01");
    send(&stream, 30..40).await;
    stream.flush().await.unwrap();
    assert_eq!(values(&node), (0..40).collect::<Vec<_>>());
    assert_eq!(certificates(&node).len(), 2);
    assert_eq!(connection.counts().reconnects, 1);
    drop((stream, connection));

    // Where nobody waits for one, a refusal is the end.
    let connection = connect(&node, &folder, Duration::ZERO, told).await;
    node.behave(Behaviour { silent: true, ..Behaviour::default() });
    let stream = open(&connection, 2).await;
    send(&stream, 0..1).await;
    node.stored(41).await;
    refuse(&node);
    let ended = stream.flush().await.unwrap_err();
    let StreamError::Connection(ConnectionError::Closed { code }) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(code, RejectCode::Identity);
}
