//! The socket: its buffers are those that are configured, and what was granted is told.

use std::sync::{Arc, Mutex};

use super::support::Node;
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
