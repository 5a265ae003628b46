//! A node that is told of workers elsewhere, without a server that knows them.

use std::net::TcpListener;

use jobs::WorkersSecret;
use sequencer::node::NodeError;

use crate::support::{Site, check_settled, close_and_settle};

/// A site whose queue is at an address where nobody listens.
async fn site() -> Site {
    let mut site = Site::new().await;
    // Free a moment ago, and nobody else's for as long as a test takes.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.config.prover.jobs = format!("nats://{free}");
    site.config.prover.workers_key = WorkersSecret::draw().public().to_string();
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_queue_is_away_proves_alone() {
    let site = site().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let last = close_and_settle(&node).await;
    check_settled(&edge, node.store(), last).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_none_keeps_the_node_down_and_is_named() {
    let mut site = site().await;
    let login = site.layout.folder().join("login");
    files::create(&login, b"no colon", files::Audience::Owner).unwrap();
    site.config.prover.jobs_login = Some(login.clone());
    let error = site.start_error().await;
    assert!(matches!(&error, NodeError::Login(_)), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(&login.display().to_string()), "{source}");
    assert!(!source.contains("no colon"), "{source}");
}
