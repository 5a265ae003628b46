//! Whoever stands in the door keeps no stop out.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use model::{Action, RejectCode};
use quinn_proto::{DatagramEvent, Endpoint, EndpointConfig};
use tokio::sync::watch;
use wire::Role;

use super::floods::submit;
use super::support::{Node, SERVER_NAME, client_tls, close_code, dial};
use crate::stages::ingest::{IngestConfig, Observe, Observed};

/// What happened at the door.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen {
    pub(super) retries: usize,
    pub(super) under_way: usize,
    /// Handshakes that ended, however.
    pub(super) ended: usize,
    handshakes_gave_way: usize,
    connections_gave_way: usize,
}

#[derive(Default)]
struct Door(watch::Sender<Seen>);

impl Observe for Door {
    fn observe(&self, what: Observed) {
        self.0.send_modify(|seen| match what {
            Observed::RetrySent => seen.retries += 1,
            Observed::HandshakeBegun => seen.under_way += 1,
            Observed::HandshakeEnded => {
                seen.under_way -= 1;
                seen.ended += 1;
            }
            Observed::HandshakeGaveWay => seen.handshakes_gave_way += 1,
            Observed::ConnectionGaveWay => seen.connections_gave_way += 1,
            _ => {}
        });
    }
}

pub(super) async fn start(config: IngestConfig) -> (Node, watch::Receiver<Seen>) {
    let door = Arc::new(Door::default());
    let seen = door.0.subscribe();
    (Node::start_with(config, door).await, seen)
}

/// A client that sends and takes a datagram when the test says.
struct ByHand {
    endpoint: Endpoint,
    connection: quinn_proto::Connection,
    socket: UdpSocket,
}

impl ByHand {
    fn new(node: &Node) -> ByHand {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
        let (now, tls) = (Instant::now(), client_tls(&node.gateway));
        let (_, connection) = endpoint.connect(now, tls, node.address, SERVER_NAME).unwrap();
        let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        ByHand { endpoint, connection, socket }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut datagram = Vec::new();
        let transmit = self.connection.poll_transmit(Instant::now(), 1, &mut datagram);
        datagram.truncate(transmit.expect("it has something to say").size);
        datagram
    }

    fn send(&mut self, node: &Node) {
        let datagram = self.next();
        self.socket.send_to(&datagram, node.address).unwrap();
    }

    /// Takes what the node sent, which it has: it said so.
    fn take(&mut self, node: &Node) {
        let mut bytes = [0; 2_000];
        let length = self.socket.recv(&mut bytes).unwrap();
        let (now, datagram) = (Instant::now(), BytesMut::from(&bytes[..length]));
        let event = self.endpoint.handle(now, node.address, None, None, datagram, &mut Vec::new());
        let Some(DatagramEvent::ConnectionEvent(_, event)) = event else {
            panic!("expected an answer to the handshake")
        };
        self.connection.handle_event(event);
    }
}

/// The first datagram of a handshake, from a stranger who never reads an answer.
pub(super) fn first_datagram(node: &Node) -> Vec<u8> {
    ByHand::new(node).next()
}

/// A wallet that was not there before connects and stops everything.
pub(super) async fn check_stop_gets_in(node: &mut Node) {
    let begun = Instant::now();
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut wallet, stop).await, Ok(()));
    // Nobody's time had to run out for it.
    let limit = IngestConfig::default().handshake_timeout();
    assert!(begun.elapsed() < limit / 2, "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_without_end_keep_no_stop_out() {
    for (handshakes_max, retry_from_handshakes) in [(1024, 0), (1024, 64), (8, 64)] {
        let config =
            IngestConfig { handshakes_max, retry_from_handshakes, ..IngestConfig::default() };
        let unproven = config.retry_from_handshakes.min(handshakes_max);
        let (mut node, mut seen) = start(config).await;
        let stranger = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        for sent in 1..=1_200 {
            stranger.send_to(&first_datagram(&node), node.address).unwrap();
            // A few at a time, so that the socket's buffer holds them all.
            let counted = |seen: &Seen| seen.under_way + seen.retries >= sent;
            seen.wait_for(counted).await.unwrap();
        }
        let now = *seen.borrow();
        assert_eq!(now.under_way, unproven, "an address that proves nothing gets no further");
        assert_eq!((now.retries, now.handshakes_gave_way), (1_200 - unproven, 0));
        check_stop_gets_in(&mut node).await;
        // The wallet proved its address; where all places were taken, the stranger's oldest went.
        let gave_way = seen.borrow().handshakes_gave_way;
        assert_eq!(gave_way, usize::from(unproven == handshakes_max));
    }
}

/// The node's certificate is read anew, by SIGHUP, between the proof that was asked of a peer and
/// the one that it gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_of_an_address_that_was_asked_before_the_certificate_was_replaced_is_taken() {
    let (node, mut seen) = start(IngestConfig::default()).await;
    let mut peer = ByHand::new(&node);
    peer.send(&node);
    seen.wait_for(|seen| seen.retries == 1).await.unwrap();
    peer.take(&node);
    node.replace_certificate();
    peer.send(&node);
    let counted = |seen: &Seen| seen.under_way > 0 || seen.retries > 1;
    let now = *seen.wait_for(counted).await.unwrap();
    assert_eq!((now.under_way, now.retries), (1, 1), "the proof is taken, and none asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_connects_without_end_keeps_no_stop_out() {
    let config = IngestConfig { connections_max: 32, ..IngestConfig::default() };
    let per_certificate = config.connections_per_certificate_max;
    let (mut node, mut seen) = start(config).await;
    let mut open = Vec::new();
    for _ in 0..3 * per_certificate {
        open.push(dial(node.address, &node.gateway).await.unwrap());
    }
    let others = 2 * per_certificate;
    seen.wait_for(|seen| seen.connections_gave_way == others).await.unwrap();
    let (_, oldest) = &open[0];
    assert_eq!(close_code(oldest).await, Some(RejectCode::Busy));
    check_stop_gets_in(&mut node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_take_all_they_may_leave_places_to_wallets() {
    let config = IngestConfig { connections_max: 9, ..IngestConfig::default() };
    assert_eq!(config.wallet_connections(), 1);
    let (mut node, _) = start(config).await;
    let mut open = Vec::new();
    for number in 0..8 {
        let name = format!("gateway-{number}");
        open.push(node.client(Role::Gateway, &name).await.welcomed().await);
    }
    let (_endpoint, further) = dial(node.address, &node.gateway).await.unwrap();
    assert_eq!(close_code(&further).await, Some(RejectCode::Busy));
    check_stop_gets_in(&mut node).await;
}
