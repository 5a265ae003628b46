//! A journal that lost its end, a machine that was rolled back whole, and what an operator does.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use client::{Connection, ConnectionConfig, ConnectionError, Deployment, Identity};
use model::{BatchNumber, EpochNumber, RejectCode};
use sequencer::node::loss::{LossError, LossTerms, Offline, Shown};
use sequencer::node::{Node, NodeError};
use sequencer::stages::ingest::AdmitError;
use statement::batch::PublicFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wire::{Descriptor, DeviceTime, Lane, Reading, Reason, SignedReceipt};

use crate::support::{Site, check_settled, close_and_settle, stream_key, used};

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    files::make_folder(to, files::Audience::Owner).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// The node takes nothing in and says why, everywhere; `words` are among what it says.
pub(crate) async fn check_held(site: &Site, node: &Node, words: &str) {
    let refused = node.submit(site.frame(99)).await;
    assert!(matches!(refused, Err(NodeError::Admit(AdmitError::Held))), "{refused:?}");
    assert_eq!(AdmitError::Held.code(), RejectCode::History);
    for path in ["/readyz", "/healthz"] {
        let (status, answer) = get(node.endpoints().http, path).await;
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains(r#""error":"history""#) && answer.contains(words), "{answer}");
    }
}

pub(crate) async fn offline(site: &Site) -> Offline {
    Offline::open(site.layout.clone(), site.chain(), &site.config.settle).await.unwrap()
}

pub(crate) fn terms() -> LossTerms<'static> {
    let reason = Reason::new("the disk was replaced").unwrap();
    LossTerms { reason, receipts: None, shown: Shown::Required }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lost_its_end_is_held_and_nothing_of_it_changes() {
    let site = Site::new().await;
    let (journal, early) = (site.journal_file(), site.beside("early.log"));
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    std::fs::copy(&journal, &early).unwrap();
    for sequence in 2..=4 {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    drop(edge);
    node.stop().await.unwrap();
    let whole = std::fs::read(&journal).unwrap();
    std::fs::copy(&early, &journal).unwrap();

    let witness = std::fs::read(site.layout.witness()).unwrap();
    let (node, edge) = site.start().await;
    check_held(&site, &node, "the witness beside the journal names group").await;
    let held = node.watched().hold().held().unwrap();
    let (last, lost) = (held.head.group, held.remembered.group.unwrap());
    let missing = format!("groups {} to {lost}", last + 1);
    assert_eq!(lost - last, 3);
    check_held(&site, &node, &missing).await;
    drop(edge);
    node.stop().await.unwrap();
    assert_eq!(std::fs::read(site.layout.witness()).unwrap(), witness, "it still remembers");
    let found = std::fs::read(&journal).unwrap();
    let kept = std::fs::read(&early).unwrap();
    // But for the durable mark of the last group, which the copy may lack.
    let end = used(&found).len() - 8;
    assert_eq!(found[..end], kept[..end]);

    // The whole copy in its place is all that it takes.
    std::fs::write(&journal, whole).unwrap();
    let (node, edge) = site.start().await;
    node.submit(site.frame(5)).await.unwrap();
    assert_eq!(close_and_settle(&node).await, 1);
    check_settled(&edge, node.store(), 1).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settled_groups_that_are_missing_cannot_be_given_up() {
    let site = Site::new().await;
    let (journal, early) = (site.journal_file(), site.beside("early.log"));
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    std::fs::copy(&journal, &early).unwrap();
    node.submit(site.frame(2)).await.unwrap();
    close_and_settle(&node).await;
    drop(edge);
    node.stop().await.unwrap();
    std::fs::copy(&early, &journal).unwrap();
    // Without the witness too: contract and store remember.
    std::fs::remove_file(site.layout.witness()).unwrap();

    let (node, edge) = site.start().await;
    check_held(&site, &node, "the contract's last settled header names").await;
    drop(edge);
    node.stop().await.unwrap();
    let before = std::fs::read(&journal).unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    assert!(matches!(refused, Err(LossError::Settled(_))), "{refused:?}");
    assert_eq!(std::fs::read(&journal).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_of_another_journal_and_a_damaged_one_stop_the_start() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    drop(edge);
    node.stop().await.unwrap();
    let path = site.layout.witness();
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, whole.replace("\"term\": 0", "\"term\": 1")).unwrap();
    let error = site.start_error().await.to_string();
    assert!(error.contains("found a damaged one"), "{error}");
    let other = Site::new().await;
    let (node, edge) = other.start().await;
    drop(edge);
    node.stop().await.unwrap();
    std::fs::copy(other.layout.witness(), &path).unwrap();
    let error = site.start_error().await.to_string();
    assert!(error.contains("found another's"), "{error}");
    // Before the first witness there is none to compare with.
    std::fs::remove_file(&path).unwrap();
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
}

/// The gateway of a site, with a state folder that outlives the node's.
pub(crate) struct Gateway<'a> {
    pub(crate) site: &'a Site,
    pub(crate) receipts: Arc<Mutex<Vec<SignedReceipt>>>,
}

impl Gateway<'_> {
    pub(crate) async fn connect(&self, node: &Node) -> Result<Connection, ConnectionError> {
        self.connect_from(node, "state").await
    }

    /// With a state folder of this name, as another gateway of the same holder would have one.
    pub(crate) async fn connect_from(
        &self,
        node: &Node,
        state: &str,
    ) -> Result<Connection, ConnectionError> {
        let folder = self.site.identity();
        let identity = Identity::load(&folder).unwrap();
        let deployment = Deployment::load(&folder).unwrap();
        let address = node.endpoints().ingest;
        let mut config = ConnectionConfig::new(address, "localhost", identity, deployment);
        config.state = Some(self.site.beside(state));
        let receipts = Arc::clone(&self.receipts);
        config.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            receipts.lock().unwrap().push(receipt.clone());
        }));
        Connection::connect(config).await
    }

    pub(crate) async fn send(&self, connection: &Connection, epoch: u16, frames: i32) {
        let (key, epoch) = (stream_key(), EpochNumber(epoch));
        let descriptor = Descriptor { key, period: None, epoch };
        let stream = connection.open_stream(Lane::Live, descriptor).await.unwrap();
        for value in 0..frames {
            let at = DeviceTime::from_millis(self.site.clock.now());
            stream.send(&[Reading::new(at, value)]).await.unwrap();
        }
        stream.end().await.unwrap();
    }

    /// A run of the node in which it streams these epochs.
    async fn stream_once(&self, epochs: &[u16]) {
        let (node, edge) = self.site.start().await;
        drop(edge);
        let connection = self.connect(&node).await.unwrap();
        for epoch in epochs {
            self.send(&connection, *epoch, 2).await;
        }
        connection.close().await;
        node.stop().await.unwrap();
    }

    pub(crate) fn newest(&self) -> SignedReceipt {
        self.receipts.lock().unwrap().last().unwrap().clone()
    }
}

/// Streams, takes a snapshot, streams on, and puts the snapshot in the place of all that the
/// machine has. Gives the last group that the snapshot holds a receipt of.
async fn roll_back_after_a_story(gateway: &Gateway<'_>) -> u64 {
    let (site, snapshot) = (gateway.site, gateway.site.beside("snapshot"));
    gateway.stream_once(&[1]).await;
    copy_folder(site.layout.folder(), &snapshot);
    let kept = gateway.newest().receipt.group.group;
    gateway.stream_once(&[2, 3]).await;
    std::fs::remove_dir_all(site.layout.folder()).unwrap();
    copy_folder(&snapshot, site.layout.folder());
    kept
}

/// Whoever shows a receipt of these groups is told of the loss and goes on.
async fn check_older_are_welcomed(gateway: &Gateway<'_>, node: &Node, groups: Range<u64>) {
    let receipts = gateway.receipts.lock().unwrap().clone();
    let mut welcomed = 0;
    for older in receipts.iter().filter(|one| groups.contains(&one.receipt.group.group)) {
        let state = format!("state-{}", older.receipt.group.group);
        let folder = gateway.site.beside(&state);
        files::make_folder(&folder, files::Audience::Owner).unwrap();
        let path = folder.join("newest.receipt");
        files::replace(&path, &[&older.to_bytes()], files::Audience::Owner).unwrap();
        let connection = gateway.connect_from(node, &state).await.unwrap();
        assert_eq!(connection.counts().losses_accepted, 1);
        connection.close().await;
        welcomed += 1;
    }
    assert!(welcomed > 0 && node.watched().hold().held().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_was_rolled_back_whole_is_held_by_the_first_receipt_it_is_shown() {
    let site = Site::new().await;
    let gateway = Gateway { site: &site, receipts: Arc::default() };
    let kept = roll_back_after_a_story(&gateway).await;
    let lost = gateway.newest();

    // Nothing on the machine remembers. It goes on, and begins a second story.
    let (node, edge) = site.start().await;
    node.submit(site.frame(3)).await.unwrap();
    assert!(node.watched().hold().held().is_none());
    let told = gateway.connect(&node).await.map(drop);
    let code = RejectCode::History;
    assert!(matches!(told, Err(ConnectionError::Closed { code: c }) if c == code), "{told:?}");
    let words = hex::encode(lost.receipt.group.journal_hash);
    check_held(&site, &node, &words).await;
    drop(edge);
    node.stop().await.unwrap();

    // The receipt is kept: a restart is held before anybody connects.
    assert_eq!(std::fs::read_dir(site.layout.evidence()).unwrap().count(), 1);
    let (node, edge) = site.start().await;
    check_held(&site, &node, &words).await;
    drop(edge);
    node.stop().await.unwrap();

    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!((accepted.gap.term, accepted.lacked.len(), accepted.batches), (1, 1, None));
    assert_eq!(accepted.gap.lost.group, 1, "nothing is settled that both stories would share");
    assert!(accepted.gap.known.group >= lost.receipt.group.group);
    assert!(accepted.place.group >= accepted.gap.known.group + (1 << 20));

    // Who held the receipt is told, and goes on in the new term.
    let (node, edge) = site.start().await;
    let connection = gateway.connect(&node).await.unwrap();
    assert_eq!((connection.counts().term, connection.counts().losses_accepted), (1, 1));
    gateway.send(&connection, 4, 2).await;
    connection.close().await;
    // Others of the lost story come later, with older receipts than the one that was shown, of
    // numbers that the journal gave a second time: they are given up as well.
    check_older_are_welcomed(&gateway, &node, kept + 1..lost.receipt.group.group).await;
    let newest = gateway.newest().receipt.group;
    assert_eq!(newest.term, 1);
    assert!(newest.group > accepted.place.group);
    // The window that holds the gap closed at the first item behind it, because it spans more
    // numbers of groups than a window may; it is proven and settled as any other.
    assert_eq!(close_and_settle(&node).await, 2);
    check_settled(&edge, node.store(), 2).await;
    let file = node.store().public_bytes(BatchNumber(1)).unwrap().unwrap();
    let groups = PublicFile::from_bytes(&file).unwrap().groups;
    let jumps = groups.windows(2).filter(|pair| pair[1].number > pair[0].number + 1);
    assert_eq!(jumps.count(), 1);
    drop(edge);
    node.stop().await.unwrap();
    let (node, edge) = site.start().await;
    assert!(node.watched().hold().held().is_none(), "the kept receipt is of an earlier term");
    drop(edge);
    node.stop().await.unwrap();
}
