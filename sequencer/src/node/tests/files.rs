//! A node with too many windows to keep, and with damaged files.

use std::path::PathBuf;

use model::BatchNumber;

use super::get;
use super::support::{Site, check_settled, close_and_settle};
use crate::folder::store::tests::exchange_row;
use crate::node::*;
use crate::stages::prove::Progress;

/// The paths of both files of a batch.
fn files(site: &Site, number: u64) -> [PathBuf; 2] {
    let folder = site.layout.store().join(format!("batches/{number:06}"));
    ["public.bin", "private.bin"].map(|name| folder.join(name))
}

/// Flips one bit; gives back what was there.
fn damage(path: &PathBuf) -> Vec<u8> {
    let before = std::fs::read(path).unwrap();
    let mut bytes = before.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_find_no_room_are_read_back_and_none_is_missing() {
    let mut site = Site::new().await;
    site.config.deliver.windows_max = 1;
    let (node, edge) = site.start().await;
    for sequence in 1..=6 {
        node.submit(site.frame(sequence)).await.unwrap();
        node.submit(Item::Close).await.unwrap();
    }
    let last = close_and_settle(&node).await;
    assert_eq!(last, 7);
    check_settled(&edge, node.store(), last).await;
    assert!(node.watched().metrics().windows_read_back_total.get() > 0);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_backlog_is_taken_in_parts() {
    let mut site = Site::new().await;
    let mut desk = site.desk();
    for sequence in 1..=5 {
        desk.submit(site.frame(sequence));
        desk.submit(Item::Close);
    }
    drop(desk);
    site.config.deliver.windows_max = 2;
    let (node, edge) = site.start().await;
    let last = close_and_settle(&node).await;
    assert_eq!(last, 6);
    check_settled(&edge, node.store(), last).await;
    assert!(node.watched().metrics().windows_read_back_total.get() >= 3);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_files_of_settled_batches_are_made_anew_to_the_byte() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    for sequence in 1..=2 {
        node.submit(site.frame(sequence)).await.unwrap();
        close_and_settle(&node).await;
    }
    node.stop().await.unwrap();
    // Public and private of the second; of the first the private one is gone.
    let [public, private] = files(&site, 2);
    let before = [damage(&public), damage(&private)];
    let [_, gone] = files(&site, 1);
    let first = std::fs::read(&gone).unwrap();
    std::fs::remove_file(&gone).unwrap();

    let (node, _) = site.start().await;
    node.watched().follow_scrubs().wait_for(|rounds| *rounds > 0).await.unwrap();
    assert_eq!(node.watched().metrics().batch_files_mended_total.get(), 3);
    assert_eq!([public, private].map(|path| std::fs::read(path).unwrap()), before);
    assert_eq!(std::fs::read(gone).unwrap(), first);
    assert_eq!(node.watched().metrics().batch_files_damaged.get(), 0);
    assert!(get(&node, "/batches/2").await.unwrap_or_default().is_empty(), "binary, as served");
    node.stop().await.unwrap();
}

/// Closes two windows and waits until both are batches that nobody settles.
async fn assemble_two(node: &Node, site: &Site) {
    let mut progress = node.watched().progress();
    for sequence in 1..=2 {
        node.submit(site.frame(sequence)).await.unwrap();
        node.submit(Item::Close).await.unwrap();
    }
    let assembled = Some(Progress::Assembled { number: 2 });
    progress.wait_for(|progress| *progress == assembled).await.unwrap();
}

/// Waits for a round of the scrub that begins after now.
async fn wait_for_scrub(node: &Node) {
    let mut rounds = node.watched().follow_scrubs();
    let seen = *rounds.borrow_and_update();
    // The one under way may be past what the test did.
    rounds.wait_for(|rounds| *rounds > seen + 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_that_is_not_sent_is_proven_again_while_the_node_runs() {
    let mut site = Site::new().await;
    site.config.store.scrub_every_ms = 1_000;
    let (node, _) = site.start().await;
    // The settler: what is assembled stays.
    node.tasks[0].abort();
    assemble_two(&node, &site).await;
    let [public, private] = files(&site, 1);
    let header_hash = node.store().batch(BatchNumber(1)).unwrap().unwrap().header_hash;
    let before = damage(&public);
    std::fs::remove_file(&private).unwrap();
    wait_for_scrub(&node).await;
    assert_eq!(node.store().damaged_files(BatchNumber(1)).unwrap(), Some(vec![]));
    assert!(std::fs::read(&public).unwrap() != before, "other proofs");
    let row = node.store().batch(BatchNumber(1)).unwrap().unwrap();
    assert_eq!(row.header_hash, header_hash, "of the same statement");
    node.stop().await.unwrap();

    let (node, edge) = site.start().await;
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_that_is_sent_gets_its_own_proofs_from_the_outbox() {
    let mut site = Site::new().await;
    site.config.store.scrub_every_ms = 1_000;
    // Signed and written, and taken by no chain.
    let fee_wei_max = std::mem::replace(&mut site.config.settle.fee_wei_max, 1);
    let (node, _) = site.start().await;
    assemble_two(&node, &site).await;
    while !node.store().outbox_pending().unwrap().iter().any(|(_, row)| row.carries(BatchNumber(1)))
    {
        wait_for_scrub(&node).await;
    }
    let [public, private] = files(&site, 1);
    let before = [damage(&public), damage(&private)];
    wait_for_scrub(&node).await;
    assert!([public, private].map(|path| std::fs::read(path).unwrap()) == before);
    node.stop().await.unwrap();

    site.config.settle.fee_wei_max = fee_wei_max;
    let (node, edge) = site.start().await;
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_named_and_the_files_of_the_others_are_mended() {
    let mut site = Site::new().await;
    site.config.store.scrub_every_ms = 1_000;
    let (node, _) = site.start().await;
    for sequence in 1..=3 {
        node.submit(site.frame(sequence)).await.unwrap();
        close_and_settle(&node).await;
    }
    node.stop().await.unwrap();
    let row = exchange_row(&Store::open(&site.layout.store()).unwrap(), 1, &[1, 2, 3]);
    let [_, private] = files(&site, 3);
    let whole = damage(&private);

    let (node, _) = site.start().await;
    node.watched().follow_scrubs().wait_for(|rounds| *rounds > 0).await.unwrap();
    assert_eq!(std::fs::read(private).unwrap(), whole);
    let readyz = get(&node, "/readyz").await.unwrap();
    assert!(readyz.contains("\"stage\":\"scrub\"") && readyz.contains("store-fails"), "{readyz}");
    let metrics = get(&node, "/metrics").await.unwrap();
    let line = "vitals_stage_degraded{cause=\"store-fails\",stage=\"scrub\"} 1";
    assert!(metrics.contains(line), "expected {line}");
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    exchange_row(node.store(), 1, &row);
    wait_for_scrub(&node).await;
    assert!(node.watched().degraded().stages().is_empty());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_that_waits_is_proven_again_at_a_start() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    node.submit(Item::Close).await.unwrap();
    // The settler ends at once, the batcher when it is done.
    node.stop().await.unwrap();
    let [public, _] = files(&site, 1);
    if Store::open(&site.layout.store()).unwrap().last_settled().unwrap().0 == 0 {
        damage(&public);
    }
    let (node, edge) = site.start().await;
    node.wait_until_settled(1).await.unwrap();
    check_settled(&edge, node.store(), 1).await;
    node.stop().await.unwrap();
}
