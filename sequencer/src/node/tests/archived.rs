//! Whoever reads what has left for the archive gets it as it was, byte for byte, or is told why
//! not: gateways and doctors over QUIC, patients and auditors over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use auditor::check::{Coverage, NamedOpening};
use auditor::headers::SavedBatch;
use auditor::{Options, Place, Quiet, Report, Source, Verdict, audit};
use client::batches::{BatchFiles, Batches, FetchError};
use client::log::{Audited, Before, Seen, Viewer, check};
use client::{
    Connection, ConnectionConfig, ConnectionError, Delay, Delayed, Deployment, Identity,
    RequestError, Stream, read_layouts,
};
use model::{
    BatchNumber, Clock as _, EpochNumber, RejectCode, Sequence, StreamHandle, SystemClock,
};
use statement::batch::PatientOpening;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use wire::{
    AccessKind, Descriptor, DeviceTime, Frame, FramePlace, Lane, Page, Reading, Reason, Released,
    SignedReceipt,
};

use super::archive::{site, wait_for_round};
use super::doctor;
use super::support::{Site, close_and_settle, patient, stream_key};
use crate::disk::FileSystems;
use crate::folder::store::StoreError;
use crate::node::archived::ArchiveOf;
use crate::node::backup::{self, Pace, Prepared, RestoreTerms, Stopped, Terms, restore};
use crate::node::*;

/// A gateway with a state folder, which hears of receipts and delays.
struct Gateway {
    connection: Connection,
    stream: Stream,
    receipts: Arc<Mutex<Vec<SignedReceipt>>>,
    delays: mpsc::UnboundedReceiver<Delay>,
}

impl Gateway {
    async fn connect(site: &Site, node: &Node, state: &Path) -> Gateway {
        let folder = site.identity();
        let identity = Identity::load(&folder).unwrap();
        let deployment = Deployment::load(&folder).unwrap();
        let address = node.endpoints().ingest;
        let mut config = ConnectionConfig::new(address, "localhost", identity, deployment);
        config.state = Some(state.to_owned());
        (config.limits.retry_after_ms, config.limits.reopen_after_ms_max) = (10, 40);
        let (sender, delays) = mpsc::unbounded_channel();
        config.on_delay = Some(Arc::new(move |delay: &Delay| drop(sender.send(delay.clone()))));
        let receipts: Arc<Mutex<Vec<SignedReceipt>>> = Arc::default();
        let heard = receipts.clone();
        config.on_receipt =
            Some(Arc::new(move |one: &SignedReceipt| heard.lock().unwrap().push(one.clone())));
        let connection = Connection::connect(config).await.unwrap();
        let epoch = connection.epoch(&stream_key()).unwrap();
        let descriptor = Descriptor { key: stream_key(), period: None, epoch };
        let stream = connection.open_stream(Lane::Live, descriptor).await.unwrap();
        Gateway { connection, stream, receipts, delays }
    }

    async fn send(&self) -> Sequence {
        let at = DeviceTime::from_millis(SystemClock.now());
        self.stream.send(&[Reading::new(at, 72)]).await.unwrap()
    }

    fn last_receipt(&self) -> SignedReceipt {
        self.receipts.lock().unwrap().last().expect("a receipt").clone()
    }
}

fn copy(from: &Path, to: &Path) {
    files::make_folder(to, files::Audience::Owner).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(std::fs::copy(&path, &to).unwrap()),
        }
    }
}

/// A state folder of a gateway that has no receipt of its second frame, and the receipt that it got
/// for it later.
async fn forgetful(site: &mut Site, node: Node) -> (Node, PathBuf, SignedReceipt) {
    let (state, before) = (site.beside("state"), site.beside("state before"));
    let gateway = Gateway::connect(site, &node, &state).await;
    assert_eq!(gateway.send().await, Sequence(1));
    gateway.stream.flush().await.unwrap();
    // At the same address again, as a node has it.
    site.config.ingest.listen = node.endpoints().ingest;
    node.stop().await.unwrap();
    assert_eq!(gateway.send().await, Sequence(2));
    copy(&state, &before);
    let (node, _) = site.start().await;
    gateway.stream.flush().await.unwrap();
    let receipt = gateway.last_receipt();
    gateway.connection.close().await;
    (node, before, receipt)
}

/// A node of which the first files and batches are in the archive alone.
struct Left {
    site: Site,
    node: Node,
    /// What a gateway has that never heard of this receipt.
    state: PathBuf,
    receipt: SignedReceipt,
    released: Vec<Released>,
    /// What the auditor leaves of the settled batches, and the patient's log of them.
    kept: Vec<SavedBatch>,
    log: Vec<Seen>,
}

fn ordinary(site: &Site, nonce: u64) -> wire::SignedAccessRequest {
    doctor::request(site, nonce, AccessKind::Access { reason: Reason::new("").unwrap() })
}

/// Everything that a request releases, whatever request it is.
async fn read(site: &Site, connection: &Connection, nonce: u64) -> Vec<Released> {
    let pages = doctor::read_pages(connection, &ordinary(site, nonce)).await;
    let same = |one: Released| Released { request: wire::RequestId(0), index: 0, ..one };
    pages.into_iter().flatten().map(same).collect()
}

/// A frame of sixty kilobytes, of another epoch than the gateway's.
fn large_frame(site: &Site, sequence: u64) -> Item {
    let Item::Frame { gateway, key, measured, .. } = site.large_frame(sequence) else {
        unreachable!("the site makes frames")
    };
    let (handle, epoch) = (StreamHandle(1), EpochNumber(9));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    let (signal, at) = (key.signal().unwrap(), DeviceTime::from_millis(measured.from));
    let frame = Frame::encode_raw(place, signal, &vec![Reading::new(at, 72); 3_800]).unwrap();
    Item::Frame { gateway, key, frame, measured }
}

async fn left() -> Left {
    let mut site = site().await;
    let (node, _) = site.start().await;
    doctor::permit(&mut site, &node).await;
    let (node, state, receipt) = forgetful(&mut site, node).await;
    let doctor = doctor::connect(&site, &node).await;
    let mut sequence = 1..;
    let mut submit = async |frames: usize| {
        for sequence in sequence.by_ref().take(frames) {
            node.submit(large_frame(&site, sequence)).await.unwrap();
        }
    };
    submit(30).await;
    let released = read(&site, &doctor, 1).await;
    close_and_settle(&node).await;
    submit(20).await;
    close_and_settle(&node).await;
    submit(30).await;
    close_and_settle(&node).await;
    let report = audited(&site, &node, None).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    let kept = report.kept;
    let log = log_of(&site, &node, &kept).await.unwrap();
    let metrics = node.watched().metrics().clone();
    while metrics.archive_put_away_total.get() < 2
        || metrics.archive_batches_put_away_total.get() == 0
    {
        wait_for_round(&node).await;
    }
    doctor.close().await;
    // With what it has fetched meanwhile, if a batch had left before the auditor read it.
    node.stop().await.unwrap();
    let (node, _) = site.start().await;
    Left { site, node, state, receipt, released, kept, log }
}

fn http(node: &Node) -> String {
    format!("http://{}", node.endpoints().http)
}

async fn fetch(node: &Node, number: u64) -> Result<BatchFiles, FetchError> {
    let batches = Batches::parse(&http(node)).unwrap();
    let fetched = spawn_blocking(move || batches.fetch(BatchNumber(number), &|_| ()));
    fetched.await.unwrap()
}

/// What an auditor says, with these openings, of all patients.
async fn audited(site: &Site, node: &Node, openings: Option<Vec<NamedOpening>>) -> Report {
    let data = Source::parse(&http(node)).unwrap();
    let rpc = node.endpoints().rpc.parse().unwrap();
    let place = Place { rpc: &rpc, deployment: &site.deployment, data: &data };
    let coverage = if openings.is_some() { Coverage::All } else { Coverage::Some };
    let options = Options { openings, coverage, ..Options::default() };
    audit(place, &options, Arc::new(Quiet)).await
}

/// The patient's log of these batches, as `vitals log` reads it.
async fn log_of(site: &Site, node: &Node, kept: &[SavedBatch]) -> Result<Vec<Seen>, FetchError> {
    let viewer = Viewer {
        scope: site.deployment.scope(),
        layouts: read_layouts(site.layout.folder()).unwrap(),
        patient: stream_key().patient,
        view_key: patient().view_key(),
    };
    let (mut log, mut before) = (Vec::<Seen>::new(), Before::Known(None));
    for SavedBatch { header, edges, .. } in kept {
        let files = fetch(node, header.number.0).await?;
        let seen = check(&viewer, &Audited { header, edges }, &files, before).unwrap();
        before = seen.after.clone();
        log.push(seen);
    }
    Ok(log)
}

impl Left {
    /// Everybody is told that the archive does not give it, and gets nothing instead.
    async fn check_refused(&self, gateway: &mut Gateway, nonce: u64) {
        let Left { site, node, kept, .. } = self;
        while gateway.delays.try_recv().is_ok() {}
        let delay = gateway.delays.recv().await.expect("a delay");
        assert_eq!((delay.what, delay.code), (Delayed::Frames, RejectCode::Unavailable));
        let doctor = doctor::reconnect(site, node).await;
        let refused = doctor.access(ordinary(site, nonce), Page::FIRST).await.unwrap_err();
        let code = RejectCode::Unavailable;
        let closed = RequestError::Connection(ConnectionError::Closed { code });
        let unknown = matches!(refused, RequestError::Unknown);
        assert!(unknown || refused.to_string() == closed.to_string(), "{refused:?}");
        drop(doctor);
        let error = model::with_causes(&fetch(node, 1).await.err().expect("no file"));
        assert!(error.contains("503"), "{error}");
        assert!(log_of(site, node, kept).await.is_err());
        // The last one is here, and asks nothing of the archive.
        let last = kept.last().expect("a batch").header.number;
        fetch(node, last.0).await.unwrap();
        let ready = super::get(node, "/readyz").await.unwrap();
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    }

    /// Everybody gets what there was before.
    async fn check_read(&self, nonce: u64) {
        let Left { site, node, released, kept, log, .. } = self;
        let doctor = doctor::reconnect(site, node).await;
        let found = read(site, &doctor, nonce).await;
        assert!(!released.is_empty() && found[..released.len()] == released[..]);
        doctor.close().await;
        assert!(log_of(site, node, kept).await.unwrap() == *log);
        let opened = log.iter().flat_map(|seen| seen.opening.as_deref()).cloned();
        let named = |opening: PatientOpening| NamedOpening { name: "patient".into(), opening };
        let openings: Vec<_> = opened.map(named).collect();
        let count = openings.len() as u64;
        let report = audited(site, node, Some(openings)).await;
        assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
        assert_eq!((report.openings, report.batches), (count, kept.len() as u64));
    }
}

fn flip_every_object(archive: &Path) {
    for folder in ["journal", "batches"] {
        for entry in std::fs::read_dir(archive.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_is_read_as_before_by_everybody_or_refused_by_name_and_again_later() {
    let left = left().await;
    let (place, away) = (left.site.beside("archive"), left.site.beside("away"));
    let public = left.site.layout.store().join("batches/000001/public.bin");
    assert!(!left.site.journal_file().exists() && !public.exists());
    // In the place of the folder stands a file: nothing answers there.
    std::fs::rename(&place, &away).unwrap();
    std::fs::write(&place, "no folder").unwrap();
    let mut gateway = Gateway::connect(&left.site, &left.node, &left.state).await;
    left.check_refused(&mut gateway, 11).await;
    // The auditor waits some seconds for a file that may come.
    let report = audited(&left.site, &left.node, None).await;
    let said = report.text(auditor::Colour::Plain);
    assert_eq!(report.verdict, Verdict::Unavailable, "{said}");
    // Before it is there again: the gateway never ceases to ask.
    flip_every_object(&away);
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&away, &place).unwrap();
    left.check_refused(&mut gateway, 12).await;
    flip_every_object(&place);
    // The same receipt, to the byte, without the gateway's doing.
    gateway.stream.flush().await.unwrap();
    assert_eq!(gateway.last_receipt(), left.receipt);
    gateway.connection.close().await;
    left.check_read(13).await;
    left.node.stop().await.unwrap();
}

/// A backup of a node that has everything here relies on nothing.
fn check_whole_backup(site: &Site) {
    let (to, space) = (site.beside("whole"), FileSystems::of([site.layout.folder().to_owned()]));
    let (layout, now, pace) = (&site.layout, site.clock.now(), Pace::new(None));
    let terms = Terms { layout, to: &to, secrets_to: None, pace, space: &space, now };
    let source = backup::Source::Stopped(Box::new(Stopped::open(layout).unwrap()));
    let taken = Prepared::new(terms).unwrap().take(source, &mut |_| ()).unwrap();
    assert!(taken.relies_on.is_empty() && taken.relies_on_batches.is_empty(), "{taken:?}");
    assert!(to.join("node/store/batches/000001/public.bin").is_file());
}

/// A backup relies on what the archive has alone, and is read with it.
fn check_backup(site: &Site, is_answered: bool) {
    let name = |what| site.beside(&format!("{what} {is_answered}"));
    let [to, secrets, restored] = ["backup", "secrets", "restored"].map(name);
    let space = FileSystems::of([site.layout.folder().to_owned()]);
    let terms = Terms {
        layout: &site.layout,
        to: &to,
        secrets_to: Some(&secrets),
        pace: Pace::new(None),
        space: &space,
        now: site.clock.now(),
    };
    let source = backup::Source::Stopped(Box::new(Stopped::open(&site.layout).unwrap()));
    let taken = Prepared::new(terms).unwrap().take(source, &mut |_| ()).unwrap();
    assert!(!taken.relies_on.is_empty() && !taken.relies_on_batches.is_empty());
    assert!(taken.left_out.iter().all(|one| !one.name.ends_with("public.bin")), "{taken:?}");
    let layout = Layout::new(&restored);
    let (from, secrets, layout) = (&*to, Some(&*secrets), &layout);
    let terms = RestoreTerms { from, secrets, layout, verify: true, space: &space };
    let done = restore(&terms, &mut |_| ());
    assert_eq!(done.is_ok(), is_answered, "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_left_are_no_damage_at_a_start_and_are_fetched_back_by_command() {
    let left = left().await;
    let Left { site, node, kept, log, .. } = left;
    node.stop().await.unwrap();
    // Neither the archive nor a proof is asked for by a start.
    let (place, away) = (site.beside("archive"), site.beside("away"));
    std::fs::rename(&place, &away).unwrap();
    let (node, _) = site.start().await;
    let metrics = node.watched().metrics().clone();
    let mut scrubs = node.watched().follow_scrubs();
    scrubs.wait_for(|scrubs| *scrubs > 0).await.unwrap();
    assert_eq!((metrics.batch_files_damaged.get(), metrics.batch_files_mended_total.get()), (0, 0));
    let missing = node.store().public_bytes(BatchNumber(1)).unwrap_err();
    assert!(matches!(missing, StoreError::Archived { number: 1, .. }), "{missing}");
    node.stop().await.unwrap();
    std::fs::remove_dir_all(&place).ok();
    check_backup(&site, false);
    // Made where there was none.
    std::fs::remove_dir_all(&place).ok();
    std::fs::rename(&away, &place).unwrap();
    check_backup(&site, true);
    let archive = ArchiveOf::open(&site.layout).unwrap();
    let fetched = archive.bring_back(None).await.unwrap();
    let batches = fetched.iter().filter(|one| one.path.ends_with("public.bin")).count();
    assert!(batches >= 1 && batches < fetched.len(), "{fetched:?}");
    // Without the archive from now on: nothing stands for what is here, which is copied, read and,
    // where it is damaged, made anew.
    std::fs::remove_dir_all(&place).unwrap();
    let mut site = site;
    site.config.archive.url = "off".into();
    let public = site.layout.store().join("batches/000001/public.bin");
    assert!(public.exists() && !public.with_extension("archived").exists());
    check_whole_backup(&site);
    let mut bytes = std::fs::read(&public).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&public, &bytes).unwrap();
    let (node, _) = site.start().await;
    node.watched().follow_scrubs().wait_for(|scrubs| *scrubs > 0).await.unwrap();
    assert_eq!(node.watched().metrics().batch_files_mended_total.get(), 1);
    assert!(log_of(&site, &node, &kept).await.unwrap() == log);
    node.stop().await.unwrap();
}
