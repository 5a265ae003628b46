//! A node that starts from snapshots: the same state as from the journal's first entry on, whatever
//! became of them.

use std::sync::atomic::{AtomicU64, Ordering};

use journal::fault::Cut;
use journal::{Admission as _, Committed, FileMedium, Head, Log, Reader};
use model::BatchNumber;
use prometheus::{IntCounter, IntGauge};
use statement::journal::genesis;

use super::support::{Desk, Nowhere, Site, check_settled, close_and_settle};
use super::{get, get_at};
use crate::disk::tests::FakeDisk;
use crate::folder::snapshots::fault::FaultySnapshots;
use crate::folder::snapshots::{Binding, FolderMedium, INDEX, SnapshotMedium};
use crate::guard::{Failures, Guard, Stage};
use crate::node::frame_index::IndexSays;
use crate::node::recover::{Recovery, absorb_next, recover};
use crate::node::snapshots::{SnapshotSays, Snapshots};
use crate::node::snapshotter::{Pace, SnapshotThread, SnapshotWriter, Told, WhileAbsorbing};
use crate::node::*;
use crate::stages::ledger::{Answer, FrameNodes, KeepState as _, Kept, Ledger, LedgerAdmission};

/// Frames of the backlog that is absorbed: more than nodes of the index hold, and long enough that
/// the journal grows by as much as several snapshots are long.
const FRAMES: u64 = 300;
const WINDOW: u64 = 40;

pub(super) fn told() -> Told {
    let gauge = |name| IntGauge::new(name, "test").unwrap();
    let failures = IntCounter::new("failures", "test").unwrap();
    Told { position: gauge("position"), bytes: gauge("bytes"), failures }
}

/// How many snapshots a node's folder has.
fn snapshots_of(site: &Site) -> u64 {
    let folder = std::fs::read_dir(site.layout.snapshots()).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".snapshot")).count() as u64
}

fn binding(log: &Log<FileMedium>, site: &Site) -> Binding {
    Binding { genesis: genesis(site.deployment.scope()), log_id: log.reader().log_id() }
}

/// The state behind the journal's last entry, made from its first on.
fn whole_state(log: &Log<FileMedium>, site: &Site, snapshots: &Snapshots) -> Vec<u8> {
    state_behind(&log.reader(), log.head().position, snapshots.first(&site.ledger_config(), false))
}

fn state_behind(journal: &Reader<FileMedium>, position: u64, mut ledger: Ledger) -> Vec<u8> {
    let mut entries = journal.iter_from(1);
    while let Some(found) = entries.next() {
        let (found, entry) = found.unwrap();
        if found > position {
            break;
        }
        absorb_next(&mut ledger, Position(found), &entry, entries.in_group()).unwrap();
    }
    ledger.freeze().to_bytes()
}

/// What a start finds: where it begins, and the state behind the last entry.
struct Started {
    from: u64,
    state: Vec<u8>,
    backlog: Vec<u64>,
    /// Snapshots that could not be written.
    failures: u64,
}

/// A start on this medium of snapshots, which writes one every `every` entries.
fn start(site: &Site, log: &Log<FileMedium>, medium: &FaultySnapshots, every: u64) -> Started {
    start_on(site, log, Arc::new(medium.clone()), Pace::of(every))
}

fn start_on(
    site: &Site,
    log: &Log<FileMedium>,
    medium: Arc<dyn SnapshotMedium>,
    pace: Pace,
) -> Started {
    start_asking(site, log, (medium, pace), |_| true)
}

/// As [`start_on`], with snapshots for which `room` says yes.
fn start_asking(
    site: &Site,
    log: &Log<FileMedium>,
    (medium, pace): (Arc<dyn SnapshotMedium>, Pace),
    room: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> Started {
    let snapshots = Snapshots::on(medium, binding(log, site)).unwrap();
    let config = site.ledger_config();
    let recovery = Recovery {
        log,
        config: &config,
        snapshots: &snapshots,
        assembled: BatchNumber(0),
        assembled_group: Some(0),
        windows_max: 100,
        indexed: true,
    };
    let begun = recovery.start().unwrap();
    let from = begun.position();
    let store = Arc::new(Store::open(&site.beside("other store")).unwrap());
    let told = told();
    let mut writer =
        SnapshotWriter::new(snapshots.clone(), config.seal.clone(), store, told.clone())
            .asking(room);
    writer.started_from(from).unwrap();
    let mut absorbing = WhileAbsorbing::new(log.reader(), &mut writer, pace);
    let recovered =
        recovery.absorb(begun, &mut |ledger, done| absorbing.look(ledger, done)).unwrap();
    let backlog = recovered.backlog.iter().map(|window| window.contents.number.0).collect();
    let state = recovered.ledger.freeze().to_bytes();
    Started { from, state, backlog, failures: told.failures.get() }
}

/// A journal with frames, closes and what else a node's first hour has.
async fn journal() -> (Site, Log<FileMedium>) {
    let site = Site::new().await;
    let mut desk = site.desk();
    for sequence in 1..=FRAMES {
        desk.submit(site.frame(sequence));
        if sequence % WINDOW == 0 {
            desk.submit(Item::Close);
        }
    }
    drop::<Desk>(desk);
    let (log, _) = site.open_log();
    (site, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_from_any_snapshot_finds_the_state_that_the_whole_journal_makes() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    let first = start(&site, &log, &medium, 25);
    let closed: Vec<u64> = (1..=FRAMES / WINDOW).collect();
    assert_eq!((first.from, &first.backlog), (0, &closed));
    let snapshots = Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    assert!(first.state == whole_state(&log, &site, &snapshots));
    let groups = snapshots.files().groups().unwrap();
    assert_eq!(groups.len(), 3, "the last two, and the one before the first close");

    // From each of them; a damaged one is passed over, at last to the first entry. What a start
    // passes over it removes, so that each is on a copy.
    let started = |damage: &dyn Fn(&FaultySnapshots)| {
        let copy = medium.copy();
        damage(&copy);
        let started = start(&site, &log, &copy, u64::MAX);
        assert!(started.state == first.state, "from {}", started.from);
        started
    };
    let again = started(&|_| ());
    assert!(again.from > first.from);
    assert!(again.backlog.is_empty(), "windows that closed before are read back");
    let (name, mut from) = (|group: &u64| format!("{group:016x}.snapshot"), again.from);
    for count in 1..=groups.len() {
        let damaged = &groups[..count];
        let next =
            started(&|copy| damaged.iter().for_each(|one| copy.flip(&name(one), 200).unwrap()));
        assert!(next.from < from, "from {}", next.from);
        from = next.from;
    }
    assert_eq!(from, 0);
    // One of a later version is another version, and none is taken without the index beside it.
    assert!(started(&|copy| copy.flip(&name(&groups[0]), 9).unwrap()).from < again.from);
    assert_eq!(started(&|copy| copy.flip(INDEX, 20).unwrap()).from, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_written_is_not_tried_behind_every_group() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    medium.power().off_at(1);
    let Started { failures, .. } = start(&site, &log, &medium, 30);
    let entries = log.head().position;
    assert!((2..=entries / 30).contains(&failures), "{failures} tries in {entries} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_the_journal_count_while_it_is_absorbed() {
    let (site, log) = journal().await;
    let heads = |pace: Pace| {
        let medium = FaultySnapshots::default();
        start_on(&site, &log, Arc::new(medium.clone()), pace);
        let files = Snapshots::on(Arc::new(medium), binding(&log, &site)).unwrap();
        let groups = files.files().groups().unwrap();
        groups.iter().map(|group| files.files().head(*group).unwrap()).collect::<Vec<_>>()
    };
    let never = Pace { every_entries: u64::MAX, every_bytes: u64::MAX };
    assert!(heads(never).is_empty());
    let found = heads(Pace { every_bytes: 6_000, ..never });
    assert!(found.len() >= 2, "{found:?}");
    // Between the last two the journal grew by as much, and by as much as the one before is long.
    let frame = log.read(log.head().position).unwrap().body.len() as u64;
    let grown = frame * (found[0].position - found[1].position);
    assert!(grown + 2 * frame >= 6_000 && grown < 12_000, "{grown} bytes");
    let often = heads(Pace { every_bytes: 1, ..never });
    let grown = frame * (often[0].position - often[1].position);
    assert!(grown + 2 * frame >= often[1].body_bytes, "{grown} bytes: {often:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_for_which_there_is_no_room_is_not_written_and_the_state_is_the_same() {
    let (site, log) = journal().await;
    let (medium, asked) = (FaultySnapshots::default(), Arc::new(AtomicU64::new(0)));
    let counted = asked.clone();
    let room = move |bytes| {
        counted.fetch_max(bytes, Ordering::SeqCst);
        false
    };
    let started = start_asking(&site, &log, (Arc::new(medium.clone()), Pace::of(30)), room);
    let snapshots = Snapshots::on(Arc::new(medium), binding(&log, &site)).unwrap();
    assert!(started.state == whole_state(&log, &site, &snapshots));
    assert!(started.failures >= 2 && snapshots.files().groups().unwrap().is_empty());
    // The index that waits with it is asked for, too.
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked > started.state.len() as u64 / 2, "asked for {asked} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_at_its_reserve_stops_without_a_snapshot() {
    let mut site = Site::new().await;
    let disk = Arc::new(FakeDisk(AtomicU64::new(1 << 40)));
    site.space = Some(disk.clone());
    for (sequence, free, more) in [(1, 0, 0), (2, 1 << 40, 1)] {
        disk.0.store(1 << 40, Ordering::SeqCst);
        let (node, _) = site.start().await;
        let before = snapshots_of(&site);
        node.submit(site.frame(sequence)).await.unwrap();
        disk.0.store(free, Ordering::SeqCst);
        let mut looks = node.watched().follow_conditions();
        looks.changed().await.unwrap();
        looks.changed().await.unwrap();
        let metrics = node.watched().metrics().clone();
        node.stop().await.unwrap();
        assert_eq!(metrics.snapshot_failures_total.get(), 1 - more, "{free} bytes free");
        assert_eq!(snapshots_of(&site), before + more, "{free} bytes free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_snapshot_is_written_is_told_and_what_stands_stands() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    let whole = start(&site, &log, &medium, 60);
    let (config, before) = (site.ledger_config(), medium.names().unwrap());
    let snapshots = Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    let recovered = recover(&log, config.clone(), BatchNumber(0)).unwrap();
    let store = Arc::new(Store::open(&site.beside("third store")).unwrap());
    let writer = SnapshotWriter::new(snapshots, config.seal, store, told());
    let writer = writer.asking(|_| panic!("the test breaks the snapshot"));
    let failures = Failures::new();
    let (nodes, guard) = (FrameNodes::in_memory(), Guard::new(failures.clone()));
    let thread = SnapshotThread::start(writer, nodes, &guard).unwrap();
    let Head { group, position: last, journal_hash, .. } = log.head();
    let ranges = std::iter::once(0..1_000).collect();
    let committed = Committed { group, first: 1, last, journal_hash, ranges };
    let kept = Kept { ledger: &recovered.ledger, committed: &committed, close_group: 0 };
    thread.keeper(Pace::of(1)).look(kept);
    let mut failed = failures.follow();
    let failure = failed.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(failure.stage, Stage::Upkeep);
    assert!(failure.detail.contains("the test breaks the snapshot"), "{}", failure.detail);
    // A stop waits for nobody who is gone.
    thread.stop(None);
    assert_eq!(medium.names().unwrap(), before);
    assert!(start(&site, &log, &medium, u64::MAX).state == whole.state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_an_index_whose_sync_failed_no_snapshot_stands() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    // One call alone; later ones succeed, and what it was to make durable is not.
    medium.fail_sync_once(INDEX);
    let whole = start(&site, &log, &medium, 30);
    for cut in [Cut::Drop, Cut::Keep] {
        let again = start(&site, &log, &medium.after_power_cut(cut, 0), u64::MAX);
        assert!(again.from == 0 && again.state == whole.state, "{cut:?}: from {}", again.from);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_cut_off_at_any_write_goes_on_with_what_was_durable() {
    let (site, log) = journal().await;
    let counted = FaultySnapshots::default();
    let whole = start(&site, &log, &counted, 60);
    let calls = counted.power().calls();
    let mut begun = std::collections::BTreeSet::new();
    // Those that make the index are over by then.
    for at in 1..=calls - 4 {
        for cut in Cut::ALL {
            let medium = FaultySnapshots::default();
            Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
            medium.power().off_at(at);
            // It goes on without: what cannot be kept is absorbed again.
            assert!(start(&site, &log, &medium, 60).state == whole.state, "call {at}");
            let again = start(&site, &log, &medium.after_power_cut(cut, at), u64::MAX);
            assert!(again.state == whole.state, "call {at}, {cut:?}");
            begun.insert(again.from);
        }
    }
    assert!(begun.len() >= 3, "from {begun:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_journal_that_lost_its_end_or_went_on_otherwise_is_passed_over() {
    let site = Site::new().await;
    let frames = |desk: &mut Desk, sequences: std::ops::RangeInclusive<u64>| {
        sequences.for_each(|sequence| drop(desk.submit(site.frame(sequence))));
    };
    frames(&mut site.desk(), 1..=80);
    let (journal, early) = (site.layout.journal(), site.beside("early"));
    files::make_folder(&early, files::Audience::Owner).unwrap();
    for entry in std::fs::read_dir(&journal).unwrap() {
        let from = entry.unwrap();
        std::fs::copy(from.path(), early.join(from.file_name())).unwrap();
    }
    frames(&mut site.desk(), 81..=400);
    let medium = FaultySnapshots::default();
    let (log, _) = site.open_log();
    start(&site, &log, &medium, 100);
    assert!(start(&site, &log, &medium, u64::MAX).from > 100);
    drop(log);

    // The copy comes back, which ends before each of them.
    std::fs::rename(&journal, site.beside("whole")).unwrap();
    std::fs::rename(&early, &journal).unwrap();
    let expect_passed_over = || {
        let (log, _) = site.open_log();
        let copy = medium.copy();
        let started = start(&site, &log, &copy, u64::MAX);
        let snapshots = Snapshots::on(Arc::new(copy), binding(&log, &site)).unwrap();
        assert_eq!(started.from, 0);
        assert!(started.state == whole_state(&log, &site, &snapshots));
    };
    expect_passed_over();
    // And goes on otherwise, beyond where they stand.
    frames(&mut site.desk(), 81..=410);
    expect_passed_over();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_from_what_it_wrote_at_its_stop_and_knows_every_frame() {
    let mut site = Site::new().await;
    site.config.journal.snapshot_every_entries = 30;
    let (node, _) = site.start().await;
    for sequence in 1..=100 {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    close_and_settle(&node).await;
    let ready = get(&node, "/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    node.stop().await.unwrap();

    let (log, _) = site.open_log();
    let snapshots = Snapshots::open(&site.layout.snapshots(), binding(&log, &site)).unwrap();
    let config = site.ledger_config();
    let whole = recover(&log, config.clone(), BatchNumber(0)).unwrap();
    assert_eq!(whole.entries, log.head().position);
    let recovery = Recovery {
        log: &log,
        config: &config,
        snapshots: &snapshots,
        assembled: BatchNumber(1),
        assembled_group: None,
        windows_max: 1,
        indexed: true,
    };
    let begun = recovery.start().unwrap();
    assert_eq!(begun.position(), log.head().position, "nothing is left to absorb");
    let recovered = recovery.absorb(begun, &mut |_, _| panic!("an entry")).unwrap();
    assert!(recovered.ledger.freeze().to_bytes() == whole_state(&log, &site, &snapshots));
    assert_eq!(recovered.close_group, whole.close_group);
    assert_eq!(recovered.assembled_group, whole.close_group);
    drop((log, recovered, snapshots));
    let full = survey::survey_full(&site.layout).unwrap();
    assert!(full.snapshots.len() == 2, "{full:?}");
    assert!(full.snapshots.iter().all(|(_, says)| *says == SnapshotSays::Same), "{full:?}");
    check_damaged_index(&site, full.index);

    let (node, edge) = site.start().await;
    for sequence in [1, 64, 65, 100] {
        let answer = node.submit(site.frame(sequence)).await.unwrap();
        let Answer::FrameDuplicate { place, .. } = answer else { panic!("frame {sequence}") };
        let Entry::Frame(stored) = node.entry(place.find().unwrap()).unwrap() else {
            panic!("no frame")
        };
        assert_eq!(stored.frame().sequence().0, sequence);
    }
    node.submit(site.frame(101)).await.unwrap();
    let last = close_and_settle(&node).await;
    check_settled(&edge, node.store(), last).await;
    node.stop().await.unwrap();
}

/// Any byte of the index that is another one, or is missing, is named; and only that.
fn check_damaged_index(site: &Site, whole: IndexSays) {
    let path = site.layout.snapshots().join(INDEX);
    let bytes = std::fs::read(&path).unwrap();
    assert!(
        bytes.len() > Binding::INDEX_BYTES
            && whole == IndexSays::Same { bytes: bytes.len() as u64 }
    );
    let says = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        survey::survey_full(&site.layout).unwrap().index
    };
    for at in [0, 63, 64, 100, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(says(&damaged), IndexSays::Differs { offset: at as u64 });
    }
    assert_eq!(says(&bytes[..80]), IndexSays::Differs { offset: 80 });
    assert_eq!(says(&[]), IndexSays::Differs { offset: 0 });
    // Behind where the last snapshot refers to it there may be anything.
    assert_eq!(says(&[&bytes[..], b"more"].concat()), whole);
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_readyz_says_of_a_start_names_stage_and_entries() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.watched().set_starting(Some(Starting { entries_done: 4096, entries_all: 9000 }));
    let answer = get(&node, "/readyz").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"starting\""), "{answer}");
    for part in ["\"stage\":\"journal\"", "\"entries_done\":4096", "\"entries_all\":9000"] {
        assert!(answer.contains(part), "expected {part} in {answer}");
    }
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    node.watched().set_starting(None);
    node.stop().await.unwrap();
}

/// Frames that a start absorbs for long enough that somebody can ask meanwhile; and how often it is
/// started until somebody did, on a machine that has other things to do.
const LONG: u64 = 50_000;
const STARTS_MAX: usize = 8;

/// What `/readyz` says of a start: entries that are done, and all.
fn progress(answer: &str) -> Option<[u64; 2]> {
    let number = |key: &str| {
        let (_, rest) = answer.split_once(key)?;
        rest.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok()
    };
    Some([number("\"entries_done\":")?, number("\"entries_all\":")?])
}

/// Starts the node, and asks it without a pause how far it is.
async fn start_and_ask(site: &Site) -> (Node, Vec<[u64; 2]>) {
    let listening = site.listen_on(site.chain()).await.unwrap();
    // Known before the start is over, and nobody else's.
    let address = listening.http();
    let start = listening.start();
    tokio::pin!(start);
    let mut told = Vec::new();
    loop {
        let answer = tokio::select! {
            node = &mut start => return (node.unwrap(), told),
            answer = get_at(address, "/readyz") => answer,
        };
        // It is absorbed, and the rest begins.
        let Some(ready) = answer.filter(|ready| ready.contains("\"starting\"")) else { continue };
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains("\"stage\":\"journal\""), "{ready}");
        if let Some(health) = get_at(address, "/healthz").await {
            assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        }
        told.extend(progress(&ready));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_long_journal_is_absorbed_readyz_says_how_far_it_is() {
    let site = Site::new().await;
    let entries = fill(&site, LONG);
    for _ in 0..STARTS_MAX {
        let (node, told) = start_and_ask(&site).await;
        assert!(told.is_sorted(), "{told:?}");
        node.stop().await.unwrap();
        let between = |[done, all]: &[u64; 2]| *done > 0 && done < all && *all >= entries;
        if told.iter().any(between) {
            return;
        }
        // From the first entry on once more.
        std::fs::remove_dir_all(site.layout.snapshots()).unwrap();
    }
    panic!("expected somebody to be told how far a start is, {STARTS_MAX} times");
}

/// Appends so many frames of one reading to the site's journal; gives the entries that it has.
fn fill(site: &Site, frames: u64) -> u64 {
    let (mut log, _) = site.open_log();
    let recovered = recover(&log, site.ledger_config(), BatchNumber(0)).unwrap();
    let mut admission = LedgerAdmission::new(recovered.ledger, Nowhere, recovered.close_group);
    for first in (1..=frames).step_by(500) {
        let now = site.clock.now().get();
        let mut group = log.builder(now);
        for sequence in first..(first + 500).min(frames + 1) {
            let answer = admission.admit(now, site.frame(sequence), &mut group);
            assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        }
        let committed = log.append_built(group).unwrap();
        admission.committed(&committed);
    }
    log.head().position
}

/// Bytes of memory that this process has.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * status.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
}

/// How many frames of one reading: a million by `VITALS_RESTART_FRAMES=1000000`, whose output says
/// what a start takes then.
fn restart_frames() -> u64 {
    std::env::var("VITALS_RESTART_FRAMES").map_or(3_000, |frames| frames.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_absorbs_no_more_however_many_frames_there_are() {
    let (site, frames) = (Site::new().await, restart_frames());
    fill(&site, frames);
    let (log, _) = site.open_log();
    let medium = || Arc::new(FolderMedium::open(&site.layout.snapshots()).unwrap());
    let timed = |every: u64| {
        let (began, before) = (std::time::Instant::now(), resident_bytes());
        let started = start_on(&site, &log, medium(), Pace::of(every));
        let grown = resident_bytes().saturating_sub(before);
        (started, began.elapsed(), grown)
    };
    let every = 250_000.min(frames / 3);
    let (whole, took, _) = timed(every);
    let (again, took_again, grown) = timed(u64::MAX);
    let absorbed = log.head().position - again.from;
    let index = medium().len(INDEX).unwrap();
    println!(
        "{frames} frames: {took:.1?} from the first entry on, {took_again:.1?} from a snapshot \
         {absorbed} entries before the end; {grown} bytes of memory more; {index} bytes of index"
    );
    assert!(again.state == whole.state && absorbed <= every + 500, "{absorbed} entries");
}
