//! Stages that do not get on, and a node that goes on collecting.

use std::net::SocketAddr;

use sequencer::guard::Stage;
use sequencer::node::{Node, NodeError};
use sequencer::stages::ledger::{Answer, Item};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Site, check_settled};

/// Status and body of a GET.
pub(crate) async fn get(node: &Node, path: &str) -> (u16, String) {
    get_from(node.endpoints().http, path).await
}

/// The same of a node that runs elsewhere.
pub(crate) async fn get_from(http: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn stores_frame(node: &Node, site: &Site, sequence: u64) {
    let answer = node.submit(site.frame(sequence)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
}

fn is_store_fails(found: &Result<(), NodeError>) -> bool {
    matches!(found, Err(NodeError::Degraded { stage: Stage::Proving, cause: "store-fails" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_stored_takes_no_collection_down_and_settles_once_it_can() {
    let mut site = Site::new().await;
    (site.config.prover.retry_first_ms, site.config.prover.retry_max_ms) = (20, 20);
    // Most of the windows below find no room, and are read from the journal.
    site.config.deliver.windows_max = 1;
    let batches = site.layout.store().join("batches");
    let (node, edge) = site.start().await;
    // A file where the first batch's folder should be made.
    files::make_folder(&batches, files::Audience::Owner).unwrap();
    let obstacle = batches.join("000001");
    std::fs::write(&obstacle, "").unwrap();
    stores_frame(&node, &site, 1).await;
    node.submit(Item::Close).await.unwrap();
    let found = node.wait_until_settled(1).await;
    assert!(is_store_fails(&found), "{found:?}");
    // Collection goes on, also over further windows.
    for sequence in 2..=6 {
        stores_frame(&node, &site, sequence).await;
        node.submit(Item::Close).await.unwrap();
    }
    assert_eq!(node.watched().failure(), None);
    assert_eq!(get(&node, "/healthz").await.0, 200);
    let (status, body) = get(&node, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("stage-degraded") && body.contains("store-fails"), "{body}");
    let proofs = node.watched().totals().proofs;
    std::fs::remove_file(&obstacle).unwrap();
    // Nothing but this cause is waited out.
    let mut settled = node.wait_until_settled(2).await;
    while is_store_fails(&settled) {
        settled = node.wait_until_settled(2).await;
    }
    settled.unwrap();
    node.submit(Item::Close).await.unwrap();
    node.wait_until_settled(7).await.unwrap();
    check_settled(&edge, node.store(), 7).await;
    assert!(proofs > 0, "the batch was proven once and kept");
    assert_eq!(get(&node, "/readyz").await.0, 200);
    drop(edge);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_degraded_node_stops_without_waiting_and_settles_the_rest_after_its_next_start() {
    let site = Site::new().await;
    let batches = site.layout.store().join("batches");
    let (node, edge) = site.start().await;
    files::make_folder(&batches, files::Audience::Owner).unwrap();
    let obstacle = batches.join("000001");
    std::fs::write(&obstacle, "").unwrap();
    stores_frame(&node, &site, 1).await;
    node.submit(Item::Close).await.unwrap();
    let found = node.wait_until_settled(1).await;
    assert!(is_store_fails(&found), "{found:?}");
    stores_frame(&node, &site, 2).await;
    node.submit(Item::Close).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();

    std::fs::remove_file(&obstacle).unwrap();
    let (node, edge) = site.start().await;
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    drop(edge);
    node.stop().await.unwrap();
}
