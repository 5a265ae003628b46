//! Stops, starts, and folders that are not as they were left.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use devchain::OpenError as ChainError;
use journal::OpenError;
use sequencer::folder::store::StoreError;
use sequencer::node::setup::{self, SetupError};
use sequencer::node::{Node, NodeError, Provided};
use sequencer::stages::ledger::{Answer, Item};
use sequencer::stages::prove::{ProverKeys, Wanted};

use crate::support::{Site, check_settled, close_and_settle, proving_keys_folder, used};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_proven_and_settled_once_over_several_starts() {
    let site = Site::new().await;
    let mut desk = site.desk();
    for sequence in 1..=3 {
        desk.submit(site.frame(sequence));
    }
    desk.submit(Item::Close);
    // Window 1 is closed and not proven, window 2 is open.
    desk.submit(site.frame(4));
    drop(desk);

    let (node, edge) = site.start().await;
    node.wait_until_settled(1).await.unwrap();
    check_settled(&edge, node.store(), 1).await;
    assert_eq!(node.status().window.0, 2);
    assert!(!node.status().window_is_empty, "frame 4 waits in window 2");
    node.submit(site.frame(5)).await.unwrap();
    node.submit(Item::Close).await.unwrap();
    drop(edge);
    // Window 2 is proven on the way out at the latest; nobody waits for its settlement.
    node.stop().await.unwrap();

    let (node, edge) = site.start().await;
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    drop(edge);
    node.stop().await.unwrap();

    // Nothing is left to do: nothing is proven or settled a second time.
    let (node, edge) = site.start().await;
    assert_eq!(node.watched().totals().proofs, 0);
    assert_eq!(close_and_settle(&node).await, 3, "an empty window settles too");
    assert_eq!(node.watched().totals().proofs, 0);
    check_settled(&edge, node.store(), 3).await;
    let collected: u32 =
        edge.settled_batches().await.unwrap().iter().map(|b| b.header.collect).sum();
    assert_eq!(collected, 2, "one segment in window 1, one in window 2");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_refused() {
    let site = Site::new().await;
    let chain = site.chain();
    let again = setup::open_chain(&site.layout, &site.config, site.clock.clone());
    assert!(matches!(again, Err(SetupError::Chain(ChainError::Busy { .. }))));
    let same = chain.clone();
    let node = site.start_on(chain).await.unwrap();
    match site.start_on(same).await {
        Err(NodeError::Store(StoreError::Busy)) => {}
        Err(error) => panic!("expected a busy store, found {error}"),
        Ok(_) => panic!("expected a busy store, found two nodes"),
    }
    node.submit(site.frame(1)).await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proving_keys_of_another_deployment_are_refused() {
    let site = Site::new().await;
    let mut other = site.deployment.clone();
    let key = other.keys.iter_mut().find(|key| key.circuit == 2).unwrap();
    key.id.0[0] ^= 1;
    let other = other.fingerprinted().unwrap();
    other.write(&site.layout.deployment()).unwrap();
    let error = site.start_error().await;
    assert!(matches!(&error, NodeError::Keys { shape } if shape == "c2-test"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_a_shape_of_its_deployment_is_refused() {
    let site = Site::new().await;
    // Its windows would be laid out otherwise than those that were settled.
    let wanted = Wanted { claims: &["c2-test"], ..Wanted::TEST };
    let keys = ProverKeys::open(&proving_keys_folder(), wanted, |_| {}).unwrap();
    let (keys, clock) = (Arc::new(keys), site.clock.clone());
    let provided = Provided { chain: site.chain(), keys, clock, space: None, poster: None };
    let error = Node::start(site.layout.folder(), &site.config, provided).await.err().unwrap();
    let is_named = matches!(&error, NodeError::KeyNotOpened { shape } if shape == "c2-test-1");
    assert!(is_named, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_deployment_file_is_called_damaged_and_left_as_it_is() {
    let site = Site::new().await;
    let path = site.layout.deployment();
    let whole = std::fs::read_to_string(&path).unwrap();
    let signer = format!("{:?}", site.deployment.receipt_signer);
    let other = whole.replace(&signer.to_lowercase(), &format!("0x{}", "11".repeat(20)));
    assert_ne!(other, whole, "the receipt signer stands in the file");
    for damaged in [&whole[..whole.len() / 2], "", &other] {
        std::fs::write(&path, damaged).unwrap();
        let error = site.start_error().await;
        let said = model::with_causes(&error);
        assert!(matches!(&error, NodeError::Deployment(_)), "{said}");
        assert!(said.contains("deployment.json is damaged"), "{said}");
        assert!(said.contains("do not deploy anew"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *damaged);
    }
    std::fs::remove_file(&path).unwrap();
    let said = site.start_error().await.to_string();
    assert!(said.contains("there is no deployment file"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_and_the_node_goes_on() {
    let site = Site::new().await;
    let mut desk = site.desk();
    desk.submit(site.frame(1));
    // Until a frame reaches into a sector that holds nothing else.
    let (mut sequence, mut last, mut sector) = (1, desk.end(), usize::MAX);
    while sector > desk.end() - 40 {
        (sequence, last) = (sequence + 1, desk.end());
        desk.submit(site.frame(sequence));
        sector = (last + 136).next_multiple_of(512);
    }
    let end = desk.end();
    drop(desk);
    // That sector of its write did not reach the disk.
    let mut torn = std::fs::read(site.journal_file()).unwrap();
    torn[sector..end].fill(0);
    let torn_bytes = used(&torn).len() - last;
    std::fs::write(site.journal_file(), &torn).unwrap();
    let copy = site.beside("copy");
    files::make_folder(&copy, files::Audience::Owner).unwrap();
    let copied = copy.join("00000001.log");
    files::replace(&copied, &[&torn], files::Audience::Owner).unwrap();
    assert_eq!(site.open_log_at(&copy).1.cut_bytes as usize, torn_bytes);

    let (node, edge) = site.start().await;
    assert!(matches!(node.submit(site.frame(sequence)).await.unwrap(), Answer::FrameStored));
    assert!(matches!(node.submit(site.frame(1)).await.unwrap(), Answer::FrameDuplicate { .. }));
    assert_eq!(close_and_settle(&node).await, 1);
    check_settled(&edge, node.store(), 1).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_reported_and_left_as_it_is() {
    let site = Site::new().await;
    let mut desk = site.desk();
    (1..=3).for_each(|sequence| drop(desk.submit(site.frame(sequence))));
    let middle = desk.end() / 2;
    drop(desk);
    let path = site.journal_file();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[middle] ^= 0x10;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&bytes[middle..=middle], middle as u64).unwrap();
    drop(file);
    let error = site.start_error().await;
    assert!(matches!(&error, NodeError::Journal(OpenError::Corrupt(_))), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is cut");
}
