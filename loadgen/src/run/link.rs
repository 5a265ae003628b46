//! A link that fails by a timetable: what a gateway and its node see of a switch that restarts, a
//! wearable out of reach, a lift with steel walls. Datagrams go through a socket of this machine,
//! which drops them while the link is down; neither end is told.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Largest datagram that there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// When the links of a group of gateways are down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// From the begin of sending to the first outage.
    pub after: Duration,
    /// How long each one lasts.
    pub lasts: Duration,
    /// From the begin of one to that of the next, longer than it lasts; none: there is one.
    pub every: Option<Duration>,
    /// From the first gateway's outage to the last one's, evenly; zero: all at once.
    pub stagger: Duration,
}

impl Outage {
    /// Whether the link of a gateway that is `later` than the first is down at a time after the
    /// begin.
    fn is_down(&self, at: Duration, later: Duration) -> bool {
        let Some(since) = at.checked_sub(self.after.saturating_add(later)) else { return false };
        let since = match self.every {
            // A period is never zero: a scenario with one is refused.
            Some(every) => since.as_nanos() % every.as_nanos().max(1),
            None => since.as_nanos(),
        };
        since < self.lasts.as_nanos()
    }
}

/// The outages of one gateway's link.
#[derive(Clone)]
pub(super) struct Timetable {
    pub(super) outage: Outage,
    /// How much later than the first gateway's.
    pub(super) later: Duration,
    /// When sending began. Until then the link is up: whoever cannot connect measures nothing.
    pub(super) begun: Arc<OnceLock<Instant>>,
}

impl Timetable {
    fn is_down(&self) -> bool {
        let begun = self.begun.get();
        begun.is_some_and(|begun| self.outage.is_down(begun.elapsed(), self.later))
    }
}

/// One gateway's way to the node. It ends with its owner.
pub(super) struct Link {
    /// Where the gateway finds the node.
    pub(super) address: SocketAddr,
    cut: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    pub(super) async fn open(node: SocketAddr, timetable: Timetable) -> io::Result<Link> {
        let loopback: SocketAddr = match node {
            SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        let any: SocketAddr = match node {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let (inner, outer) = (UdpSocket::bind(loopback).await?, UdpSocket::bind(any).await?);
        outer.connect(node).await?;
        let (address, cut) = (inner.local_addr()?, Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn(carry(inner, outer, timetable, Arc::clone(&cut)));
        Ok(Link { address, cut, task })
    }

    /// Datagrams that were dropped, both ways.
    pub(super) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Carries datagrams both ways for ever. One that a socket does not take is lost, as on any link.
async fn carry(inner: UdpSocket, outer: UdpSocket, timetable: Timetable, cut: Arc<AtomicU64>) {
    // The gateway may move to another socket: its newest address is the one to answer.
    let mut gateway = None;
    let (mut up, mut down) = (vec![0; DATAGRAM_BYTES_MAX], vec![0; DATAGRAM_BYTES_MAX]);
    loop {
        let delivered = tokio::select! {
            received = inner.recv_from(&mut up) => {
                let Ok((length, from)) = received else { continue };
                gateway = Some(from);
                !timetable.is_down() && outer.send(&up[..length]).await.is_ok()
            }
            received = outer.recv(&mut down) => {
                let (Ok(length), Some(to)) = (received, gateway) else { continue };
                !timetable.is_down() && inner.send_to(&down[..length], to).await.is_ok()
            }
        };
        cut.fetch_add(u64::from(!delivered), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(outage: &Outage, later_ms: u64) -> Vec<u64> {
        let later = Duration::from_millis(later_ms);
        let is_down = |ms: &u64| outage.is_down(Duration::from_millis(*ms), later);
        (0..100).filter(is_down).collect()
    }

    #[test]
    fn a_link_is_down_once_or_again_and_again_and_later_for_later_gateways() {
        let ms = Duration::from_millis;
        let once = Outage { after: ms(10), lasts: ms(3), every: None, stagger: ms(0) };
        assert_eq!(down(&once, 0), [10, 11, 12]);
        assert_eq!(down(&once, 50), [60, 61, 62]);
        let again = Outage { every: Some(ms(40)), ..once };
        assert_eq!(down(&again, 0), [10, 11, 12, 50, 51, 52, 90, 91, 92]);
    }

    #[tokio::test]
    async fn a_link_carries_both_ways_and_drops_while_it_is_down() {
        let node = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at_once = Outage {
            after: Duration::ZERO,
            lasts: Duration::MAX,
            every: None,
            stagger: Duration::ZERO,
        };
        let begun = Arc::new(OnceLock::new());
        let later = Duration::ZERO;
        let timetable = Timetable { outage: at_once, later, begun: Arc::clone(&begun) };
        let link = Link::open(node.local_addr().unwrap(), timetable).await.unwrap();
        let gateway = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        gateway.connect(link.address).await.unwrap();
        let mut bytes = [0; 8];
        gateway.send(b"to").await.unwrap();
        let (length, from) = node.recv_from(&mut bytes).await.unwrap();
        assert_eq!(&bytes[..length], b"to");
        node.send_to(b"fro", from).await.unwrap();
        let length = gateway.recv(&mut bytes).await.unwrap();
        assert_eq!((&bytes[..length], link.cut()), (&b"fro"[..], 0));
        begun.set(Instant::now()).unwrap();
        gateway.send(b"lost").await.unwrap();
        while link.cut() == 0 {
            tokio::task::yield_now().await;
        }
    }
}
