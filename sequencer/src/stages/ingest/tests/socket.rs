//! The socket: its buffers are those that are configured, what was granted is told, and datagrams
//! are as long as the path and both ends allow.

use std::sync::{Arc, Mutex};

use super::support::{Node, readings};
use crate::stages::ingest::{IngestConfig, Observe, Observed};

#[derive(Default)]
struct Told(Mutex<Vec<udp::Buffers>>);

impl Observe for Told {
    fn observe(&self, what: Observed) {
        if let Observed::SocketOpened(buffers) = what {
            self.0.lock().unwrap().push(buffers);
        }
    }
}

#[tokio::test]
async fn the_socket_asks_for_what_is_configured_and_says_once_what_it_was_granted() {
    // As little as any system grants.
    let bytes = 64 << 10;
    let config = IngestConfig { udp_buffer_bytes: bytes, ..IngestConfig::default() };
    let told = Arc::new(Told::default());
    let node = Node::start_with(config, told.clone()).await;
    node.gateway().await.welcomed().await;
    let asked = bytes as usize;
    assert_eq!(*told.0.lock().unwrap(), [udp::Buffers { asked, receive: asked, send: asked }]);
}

/// The longest datagram that a gateway found to arrive, once it is this long or after some frames.
async fn longest_datagram(config: IngestConfig, wanted: u16) -> u16 {
    // As many round trips as a search by halves needs many times over.
    const FRAMES: u64 = 200;
    let node = Node::start_with(config, Arc::new(Told::default())).await;
    let mut gateway = node.gateway().await.welcomed().await;
    let handle = gateway.open().await;
    for sequence in 1..=FRAMES {
        gateway.session.push(handle, &readings(1)).unwrap();
        gateway.durable(sequence).await;
        if gateway.connection.stats().path.current_mtu >= wanted {
            break;
        }
    }
    gateway.connection.stats().path.current_mtu
}

#[tokio::test]
async fn datagrams_grow_to_what_both_ends_take_where_the_path_carries_them() {
    let most = udp::DATAGRAM_BYTES_MAX;
    let found = longest_datagram(IngestConfig::default(), most - 100).await;
    // A search by halves ends some bytes below what there is.
    assert!((most - 100..=most).contains(&found), "found {found}");
    let config = IngestConfig { datagram_bytes_max: 1_300, ..IngestConfig::default() };
    let found = longest_datagram(config, most).await;
    assert!((1_200..=1_300).contains(&found), "found {found}");
}
