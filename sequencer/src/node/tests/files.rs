//! A node with too many windows to keep, and with damaged files.

use std::path::PathBuf;
use std::time::Duration;

use super::get;
use super::support::{Site, check_settled, close_and_settle};
use crate::node::*;

/// Looks that a test waits for at most; more than a busy machine needs.
const LOOKS_MAX: usize = 600;

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
    for _ in 0..LOOKS_MAX {
        if node.watched().metrics().batch_files_mended_total.get() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!([public, private].map(|path| std::fs::read(path).unwrap()), before);
    assert_eq!(std::fs::read(gone).unwrap(), first);
    assert_eq!(node.watched().metrics().batch_files_damaged.get(), 0);
    assert!(get(&node, "/batches/2").await.unwrap_or_default().is_empty(), "binary, as served");
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
