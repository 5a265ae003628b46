//! The index of stored frames is damaged on the disk, in every kind of node, or lost its end or its
//! begin: the scrub makes it anew, and says so where it cannot.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use super::around::wait_for;
use super::support::Site;
use crate::folder::snapshots::{Binding, INDEX};
use crate::node::*;

/// More than sixty-four nodes of sixty-four hold: a stream's list of places and a patient's list of
/// frames have a node of the next level each.
const FRAMES: u64 = 64 * 64 + 10;
/// Nodes of both lists.
const NODES: u64 = 2 * (64 + 1);
/// Every node is longer.
const STEP: usize = 40;

/// A stopped node whose snapshot refers to an index, and the bytes of that.
async fn indexed() -> (Site, Vec<u8>) {
    let site = Site::new().await;
    let mut desk = site.desk();
    for sequence in 1..=FRAMES {
        desk.submit(site.frame(sequence));
    }
    drop(desk);
    let (node, _) = site.start().await;
    wait_for_scrub(&node).await;
    let found = node.watched().metrics().frame_index_mended_total.get();
    assert_eq!(found, 0, "nothing was damaged");
    node.stop().await.unwrap();
    let bytes = std::fs::read(site.layout.snapshots().join(INDEX)).unwrap();
    assert!(bytes.len() > Binding::INDEX_BYTES + NODES as usize * STEP, "{}", bytes.len());
    (site, bytes)
}

/// Waits for the first round of a node that was started.
async fn wait_for_scrub(node: &Node) {
    node.watched().follow_scrubs().wait_for(|scrubs| *scrubs > 0).await.unwrap();
}

/// Changes bytes of the index where it is.
fn write(site: &Site, bytes: &[u8]) {
    let path = site.layout.snapshots().join(INDEX);
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, 0).unwrap();
}

fn read(site: &Site, length: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(site.layout.snapshots().join(INDEX)).unwrap();
    bytes.truncate(length);
    bytes
}

/// Every node has a byte that is another one.
fn damaged(whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes.iter_mut().skip(Binding::INDEX_BYTES + 1).step_by(STEP).for_each(|byte| *byte ^= 1);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_damaged_node_is_made_anew_while_the_node_runs_or_told() {
    let (mut site, whole) = indexed().await;
    write(&site, &damaged(&whole));
    let (node, _) = site.start().await;
    wait_for_scrub(&node).await;
    let metrics = node.watched().metrics().clone();
    assert_eq!(metrics.frame_index_mended_total.get(), NODES);
    assert_eq!(metrics.frame_index_damaged.get(), 0);
    assert!(read(&site, whole.len()) == whole, "to the byte");
    let ready = super::get(&node, "/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    // By the upper nodes.
    let Answer::FrameDuplicate { place, .. } = node.submit(site.frame(7)).await.unwrap() else {
        panic!("expected a frame that is stored")
    };
    place.find().unwrap();
    node.stop().await.unwrap();

    // An entry that the nodes are made of is damaged as well, after the start.
    site.config.store.scrub_every_ms = 1_000;
    let path = site.journal_file();
    let bytes = std::fs::read(&path).unwrap();
    let (middle, file) = (bytes.len() / 8, OpenOptions::new().write(true).open(&path).unwrap());
    let (node, _) = site.start().await;
    file.write_all_at(&[bytes[middle] ^ 1], middle as u64).unwrap();
    write(&site, &damaged(&whole));
    wait_for(&node, "/readyz", "index-damaged").await;
    assert!(node.watched().metrics().frame_index_damaged.get() > 0);
    file.write_all_at(&bytes[middle..=middle], middle as u64).unwrap();
    wait_for(&node, "/readyz", "200 OK").await;
    assert!(read(&site, whole.len()) == whole, "to the byte");
    assert_eq!(node.watched().metrics().frame_index_damaged.get(), 0);
    node.stop().await.unwrap();
}

/// As a file system leaves it that was mended beside the node: nothing that is there has another
/// byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lost_its_end_or_its_begin_while_the_node_runs_is_made_whole() {
    let (mut site, whole) = indexed().await;
    site.config.store.scrub_every_ms = 1_000;
    let (node, _) = site.start().await;
    let metrics = node.watched().metrics().clone();
    // A byte less; nearly all of it, its first bytes among them.
    let mut mended = 0;
    for length in [whole.len() - 1, 7] {
        let path = site.layout.snapshots().join(INDEX);
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(length as u64).unwrap();
        // One that ends behind it began behind it, too, or the one before did.
        let mut scrubs = node.watched().follow_scrubs();
        let now = *scrubs.borrow_and_update();
        scrubs.wait_for(|scrubs| *scrubs > now + 1).await.unwrap();
        assert!(read(&site, whole.len()) == whole, "cut to {length}");
        let before = std::mem::replace(&mut mended, metrics.frame_index_mended_total.get());
        assert!(mended > before, "cut to {length}");
        assert_eq!(metrics.frame_index_damaged.get(), 0, "cut to {length}");
    }
    node.stop().await.unwrap();
    // A start finds it as it left it.
    let (node, _) = site.start().await;
    wait_for_scrub(&node).await;
    assert_eq!(node.watched().metrics().frame_index_mended_total.get(), 0);
    node.stop().await.unwrap();
}
