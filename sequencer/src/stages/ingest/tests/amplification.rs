//! What a forged sender address gets out of the node: less than was sent, since a peer proves its
//! address first; three times that (RFC 9000, section 8.1) and at most one datagram more where the
//! operator saves the first ones a round trip. Counted at raw sockets, which answer nothing.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::places::{check_stop_gets_in, first_datagram, start};
use super::support::Node;
use crate::stages::ingest::IngestConfig;

/// A transport that may send at all sends a whole datagram, so the one that crosses the limit goes
/// (quinn-proto 0.11, `poll_transmit`). The largest that it sends before it knows a path.
const LAST_DATAGRAM: usize = 1200;

/// As a forger whose victims are addresses of this machine: nobody reads an answer but the test.
fn victim(last: u8) -> UdpSocket {
    let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Sizes of the datagrams that came. All of them are here once the server's endpoint is idle: on
/// loopback none is on its way.
fn received(socket: &UdpSocket) -> Vec<usize> {
    let (mut sizes, mut bytes) = (Vec::new(), [0; 65_535]);
    loop {
        match socket.recv(&mut bytes) {
            Ok(size) => sizes.push(size),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sizes,
            Err(error) => panic!("expected a datagram or none, found {error}"),
        }
    }
}

fn send(from: &UdpSocket, node: &Node) -> usize {
    let datagram = first_datagram(node);
    assert_eq!(from.send_to(&datagram, node.address).unwrap(), datagram.len());
    datagram.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_retry_it_brings_three_times_its_bytes_and_at_most_one_datagram_more() {
    // So short that the test need not wait, and long enough for the whole answer and for one that
    // is sent again.
    let (handshake_timeout_ms, retry_from_handshakes) = (2_000, 1);
    let config =
        IngestConfig { handshake_timeout_ms, retry_from_handshakes, ..IngestConfig::default() };
    let (mut node, mut seen) = start(config).await;
    let victim = victim(1);
    let sent = send(&victim, &node);
    seen.wait_for(|seen| seen.ended == 1).await.unwrap();
    node.stop_server().await;
    let sizes = received(&victim);
    let all: usize = sizes.iter().sum();
    // It was answered with more than it sent, so there was something to bound.
    assert!(all > sent, "{sizes:?} for {sent}");
    assert!(all < 3 * sent + LAST_DATAGRAM, "{sizes:?} for {sent}");
    // And all but the one that crossed it lie within the limit.
    let before: usize = sizes[..sizes.len() - 1].iter().sum();
    assert!(before < 3 * sent, "{sizes:?} for {sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_not_proven_brings_less_than_it_sent_and_no_handshake() {
    let (mut node, mut seen) = start(IngestConfig::default()).await;
    let victim = victim(1);
    let sent = send(&victim, &node);
    seen.wait_for(|seen| seen.retries == 1).await.unwrap();
    node.stop_server().await;
    let sizes = received(&victim);
    assert_eq!(sizes.len(), 1, "{sizes:?}");
    assert!(sizes[0] < sent / 4, "{sizes:?} for {sent}");
    let seen = *seen.borrow();
    assert_eq!((seen.under_way, seen.ended), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_with_many_forged_addresses_stays_bounded_and_keeps_nobody_out() {
    let (retry_from, addresses) = (16, 200);
    let config = IngestConfig { retry_from_handshakes: retry_from, ..IngestConfig::default() };
    let (mut node, mut seen) = start(config).await;
    let victims: Vec<_> = (1..=addresses).map(victim).collect();
    let mut sent = vec![0; victims.len()];
    let rounds = 5;
    for round in 0..rounds {
        for (number, victim) in victims.iter().enumerate() {
            sent[number] += send(victim, &node);
            let all = round * victims.len() + number + 1;
            // A few at a time, so that the socket's buffer holds them all.
            seen.wait_for(|seen| seen.under_way + seen.retries >= all).await.unwrap();
        }
    }
    let now = *seen.borrow();
    assert_eq!(now.under_way, retry_from, "who proves nothing gets no further");
    assert_eq!(now.retries, rounds * victims.len() - retry_from);
    check_stop_gets_in(&mut node).await;
    node.stop_server().await;
    let mut in_all = 0;
    for (victim, sent) in victims.iter().zip(&sent) {
        let sizes = received(victim);
        let all: usize = sizes.iter().sum();
        assert!(all < 3 * sent + LAST_DATAGRAM, "{sizes:?} for {sent}");
        in_all += all;
    }
    // The more ask, the less each brings: nearly all were answered by a retry.
    let sent: usize = sent.iter().sum();
    assert!(in_all < sent / 2, "{in_all} for {sent}");
}
