//! Of what the transport holds already, live readings go before backfill: counted in frames as they
//! come to the node, not in time.

use std::net::SocketAddr;
use std::sync::Arc;

use model::Sequence;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::yield_now;
use wire::Lane;

use crate::node::{Behaviour, Node, descriptor, reading};

/// Readings of a frame: sixteen bytes each, so that a frame is some 32 KB.
const READINGS: usize = 2_000;
/// Frames that wait when live ones come.
const BACKFILL: u64 = 12;
const LIVE: u64 = 4;
/// Of what a client sends before it is acknowledged for the first time, QUIC has some 12 KB.
const HELD_BYTES: usize = 9_000;

/// A path on which nothing of the client gets through while it is held; what was held comes in its
/// order afterwards.
struct Path {
    address: SocketAddr,
    hold: watch::Sender<bool>,
    held: watch::Receiver<usize>,
}

impl Path {
    async fn to(node: SocketAddr) -> Path {
        let [near, far] =
            [UdpSocket::bind("127.0.0.1:0").await, UdpSocket::bind("127.0.0.1:0").await]
                .map(|socket| socket.expect("a socket"));
        far.connect(node).await.expect("a local address");
        let address = near.local_addr().expect("bound");
        let (hold, mut holds) = watch::channel(false);
        let (told, held) = watch::channel(0);
        let near = Arc::new(near);
        tokio::spawn(async move {
            let (mut client, mut waiting) = (None, Vec::new());
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        client = Some(from);
                        if *holds.borrow() {
                            waiting.push(up[..length].to_vec());
                            told.send_modify(|bytes| *bytes += length);
                        } else {
                            drop(far.send(&up[..length]).await);
                        }
                    }
                    Ok(length) = far.recv(&mut down) => {
                        if let Some(client) = client {
                            drop(near.send_to(&down[..length], client).await);
                        }
                    }
                    changed = holds.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        for datagram in waiting.drain(..) {
                            drop(far.send(&datagram).await);
                        }
                    }
                }
            }
        });
        Path { address, hold, held }
    }
}

#[tokio::test]
async fn live_readings_pass_the_backfill_that_the_transport_holds() {
    let node = Node::start(Behaviour::default());
    let mut path = Path::to(node.address).await;
    let connection = node.connect_as(|config| config.address = path.address).await;
    let connection = connection.expect("connected");
    let backfill = connection.open_stream(Lane::Backfill, descriptor(1)).await.expect("opened");
    let live = connection.open_stream(Lane::Live, descriptor(2)).await.expect("opened");
    path.hold.send_replace(true);
    let readings = vec![reading(72); READINGS];
    for _ in 0..BACKFILL {
        backfill.send(&readings).await.expect("taken");
    }
    // All that may be under way is, and it is backfill.
    path.held.wait_for(|held| *held >= HELD_BYTES).await.expect("the path lives");
    for _ in 0..LIVE {
        live.send(&readings).await.expect("taken");
    }
    // All on one thread, so that who lets the others go on finds that the transport has these, too:
    // it takes four tasks that wake each other.
    for _ in 0..16 {
        yield_now().await;
    }
    path.hold.send_replace(false);
    backfill.wait_for_receipt(Sequence(BACKFILL)).await.expect("a receipt");
    live.wait_for_receipt(Sequence(LIVE)).await.expect("a receipt");
    let log = node.log();
    let mut stored: Vec<_> = log
        .frames
        .iter()
        .flat_map(|(stream, frames)| frames.values().map(move |(_, at, _)| (*at, stream.epoch.0)))
        .collect();
    stored.sort();
    let order: Vec<u16> = stored.into_iter().map(|(_, epoch)| epoch).collect();
    assert_eq!(order.len() as u64, BACKFILL + LIVE);
    let last_live = order.iter().rposition(|epoch| *epoch == 2).expect("live frames");
    let first_live = order.iter().position(|epoch| *epoch == 2).expect("live frames");
    let between = order[first_live..last_live].iter().filter(|epoch| **epoch == 1).count();
    // Turn about, there would be as many of the one as of the other. One may be half under way.
    assert!(between <= 1, "{between} frames of backfill between live ones: {order:?}");
    assert!(last_live + 1 < order.len(), "all of the backfill was under way: {order:?}");
}
