//! The program is killed while it takes frames, proves and settles. What it gave a receipt for is
//! there, where the receipt says, once and in order; and the chain settles every batch once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Connection, ConnectionConfig, Deployment, Identity, Stream};
use model::{BatchNumber, Clock, Position, Sequence, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sequencer::node::recover::recover;
use sequencer::stages::deliver::ReceiptHub;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use wire::{Descriptor, DeviceTime, Entry, Holder, Lane, Reading, SignedReceipt};

use crate::support::{Site, check_settled, close_and_settle, gateway, stream_key};

const SEED: u64 = 1;

/// How often it is killed: five times at each run of the tests, by command as often as somebody has
/// time for, and with another seed:
/// ```text
/// VITALS_KILLS=250 VITALS_KILL_SEED=2 cargo test --release -p sequencer --test main kill:: \
///     -- --nocapture
/// ```
fn kills() -> u64 {
    from_environment("VITALS_KILLS").unwrap_or(5)
}

fn seed() -> u64 {
    from_environment("VITALS_KILL_SEED").unwrap_or(SEED)
}

fn from_environment(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// How many values there are.
const VALUES: u64 = 20_000;

/// Frames that may wait for their receipt: enough that every kill loses some.
const IN_FLIGHT: u64 = 16;
/// Windows are this short, so that kills fall into proving and settling too.
const CLOSE_AFTER_MS: u64 = 200;

/// `sequencer run` as a process of its own.
pub(crate) struct Program {
    child: Child,
    pub(crate) ingest: SocketAddr,
    pub(crate) http: SocketAddr,
    /// Kept open, or the program could not print.
    _stdout: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it and waits until it says where it is.
    pub(crate) async fn start(site: &Site) -> Program {
        let log = site.beside("stderr.log");
        let stderr = std::fs::File::options().append(true).create(true).open(&log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sequencer"))
            .arg("run")
            .arg("--config")
            .arg(site.layout.config())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let address = |before: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let (Some(ingest), Some(http)) = (address("ingest "), address("http://")) else {
            panic!("expected addresses, found {line:?}: {}", std::fs::read_to_string(log).unwrap())
        };
        Program { child, ingest, http, _stdout: stdout }
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends it a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it still runs").to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }

    /// SIGTERM; it must end by itself and without an error.
    pub(crate) async fn terminate(mut self) {
        self.signal("-TERM").await;
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// A gateway that keeps what has no receipt in a folder, and every receipt it ever got.
pub(crate) struct Gateway<'a> {
    pub(crate) site: &'a Site,
    pub(crate) receipts: Arc<Mutex<Vec<SignedReceipt>>>,
}

impl Gateway<'_> {
    /// Connects as a new process would; counts the receipts of this connection.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> (Connection, Stream, watch::Receiver<u64>) {
        self.connect_by(self.config(address)).await
    }

    /// As which it connects.
    pub(crate) fn config(&self, address: SocketAddr) -> ConnectionConfig {
        let folder = self.site.identity();
        let identity = Identity::load(&folder).unwrap();
        let deployment = Deployment::load(&folder).unwrap();
        let config = ConnectionConfig::new(address, "localhost", identity, deployment);
        ConnectionConfig { state: Some(self.site.beside("state")), ..config }
    }

    /// As [`Self::connect`], with a configuration that was added to.
    pub(crate) async fn connect_by(
        &self,
        mut config: ConnectionConfig,
    ) -> (Connection, Stream, watch::Receiver<u64>) {
        let (count, counted) = watch::channel(0);
        let receipts = self.receipts.clone();
        config.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            receipts.lock().unwrap().push(receipt.clone());
            count.send_modify(|count| *count += 1);
        }));
        let connection = Connection::connect(config).await.unwrap();
        let key = stream_key();
        let epoch = connection.epoch(&key).unwrap();
        let descriptor = Descriptor { key, period: None, epoch };
        let stream = connection.open_stream(Lane::Live, descriptor).await.unwrap();
        (connection, stream, counted)
    }
}

/// What a frame says: its own sequence, so that none can stand for another of the last thousands.
/// Within what the signal may show, however often the node is killed.
fn value(sequence: Sequence) -> i32 {
    (sequence.0 % VALUES) as i32
}

/// Sends one frame after the other, for as long as anybody polls it.
pub(crate) async fn send_on(stream: &Stream) -> Infallible {
    loop {
        let at = DeviceTime::from_millis(SystemClock.now());
        let reading = Reading::new(at, value(stream.next_sequence()));
        let sent = stream.send(&[reading]).await.unwrap();
        stream.wait_for_receipt(Sequence(sent.0.saturating_sub(IN_FLIGHT))).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// A stall is a failure, not a hang. Some fifteen seconds are usual, two for each kill beyond.
fn stalled_after() -> Duration {
    Duration::from_secs(300 + 30 * kills())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_keeps_every_promise_and_settles_every_batch_once() {
    let story = tokio::time::timeout(stalled_after(), killed_again_and_again());
    story.await.expect("a receipt, a start or a settlement never came");
}

async fn killed_again_and_again() {
    println!("seed {}", seed());
    let mut random = StdRng::seed_from_u64(seed());
    let mut site = Site::new().await;
    let unhurried = site.config.clone();
    site.config.batch.close_after_ms = CLOSE_AFTER_MS;
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
    let gateway = Gateway { site: &site, receipts: Arc::default() };
    for _ in 0..kills() {
        let program = Program::start(&site).await;
        let (_connection, stream, mut count) = gateway.connect(program.ingest).await;
        let receipts = random.gen_range(1..=100);
        tokio::select! {
            never = send_on(&stream) => match never {},
            reached = count.wait_for(|count| *count >= receipts) => drop(reached.unwrap()),
        }
        program.kill().await;
    }
    let program = Program::start(&site).await;
    let (connection, stream, _) = gateway.connect(program.ingest).await;
    let last = stream.next_sequence().0 - 1;
    stream.flush().await.unwrap();
    assert_eq!(stream.last_receipted().0, last);
    connection.close().await;
    program.terminate().await;
    let receipts = std::mem::take(&mut *gateway.receipts.lock().unwrap());

    site.config = unhurried;
    let batches = settle_all(&site).await;
    println!("{last} frames, {} receipts, {batches} batches", receipts.len());
    assert!(batches > 1, "the program closed windows itself");
    check_journal(&site, &receipts, last, batches);
}

/// Closes what is open, and waits until the chain has everything.
async fn settle_all(site: &Site) -> u64 {
    let (node, edge) = site.start().await;
    let batches = close_and_settle(&node).await;
    check_settled(&edge, node.store(), batches).await;
    node.stop().await.unwrap();
    batches
}

fn check_journal(site: &Site, receipts: &[SignedReceipt], last: u64, batches: u64) {
    let (log, recovery) = site.open_log();
    assert_eq!(recovery.cut_bytes, 0, "a graceful stop leaves nothing torn");
    let mut stored: BTreeMap<u64, u64> = BTreeMap::new();
    for (position, entry) in site.entries(&log) {
        let Entry::Frame(frame) = entry else { continue };
        let sequence = frame.sequence();
        assert_eq!(sequence.0, stored.len() as u64 + 1, "in order, none missing, none twice");
        let readings = frame.frame().readings(frame.key.signal().unwrap()).unwrap();
        assert_eq!(readings[0].value, Some(value(sequence)));
        stored.insert(sequence.0, position);
    }
    assert_eq!(stored.len() as u64, last);
    check_receipts(site, &site.hub(&log), receipts, &stored);
    let recovered = recover(&log, site.ledger_config(), BatchNumber(batches)).unwrap();
    assert_eq!((recovered.backlog.len(), recovered.entries), (0, log.head().position));
}

/// Every receipt says where frames stand, all frames have one, and each can be built again.
fn check_receipts(
    site: &Site,
    hub: &ReceiptHub,
    receipts: &[SignedReceipt],
    stored: &BTreeMap<u64, u64>,
) {
    let signer = wire::Address(site.deployment.receipt_signer.into_array());
    let mut covered = vec![false; stored.len()];
    for receipt in receipts {
        assert_eq!(receipt.verify(signer), Ok(()));
        for item in &receipt.receipt.items().frames {
            let (first, last) = (item.sequences.0.0, item.sequences.1.0);
            assert_eq!(stored[&first], item.positions.0.0);
            assert_eq!(stored[&last], item.positions.1.0);
            covered[first as usize - 1..last as usize].fill(true);
            let again =
                hub.receipt_at(Position(stored[&first]), Holder::gateway(&gateway())).unwrap();
            assert_eq!(again.to_bytes(), receipt.to_bytes());
        }
    }
    assert!(covered.iter().all(|covered| *covered), "every frame has a receipt");
}
