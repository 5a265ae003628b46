//! A node that starts from snapshots: the same state as from the journal's first entry on, whatever
//! became of them.

use journal::{Admission as _, FileMedium, Log, Reader};
use model::BatchNumber;
use prometheus::{IntCounter, IntGauge};
use statement::journal::genesis;

use super::get;
use super::support::{Desk, Nowhere, Site, check_settled, close_and_settle};
use crate::folder::snapshots::fault::{FaultySnapshots, Left};
use crate::folder::snapshots::{Binding, FolderMedium, INDEX, SnapshotMedium};
use crate::node::recover::{Recovery, absorb_next, recover};
use crate::node::snapshots::{SnapshotSays, Snapshots};
use crate::node::snapshotter::{SnapshotWriter, Told, WhileAbsorbing};
use crate::node::*;
use crate::stages::ledger::{Answer, Ledger, LedgerAdmission};

/// Frames of the backlog that is absorbed: more than a node of the index holds.
const FRAMES: u64 = 150;

fn told() -> Told {
    let gauge = |name| IntGauge::new(name, "test").unwrap();
    let failures = IntCounter::new("failures", "test").unwrap();
    Told { position: gauge("position"), bytes: gauge("bytes"), failures }
}

fn binding(log: &Log<FileMedium>, site: &Site) -> Binding {
    Binding { genesis: genesis(site.deployment.scope()), log_id: log.reader().log_id() }
}

/// The state behind the journal's last entry, made from its first on.
fn whole_state(log: &Log<FileMedium>, site: &Site, snapshots: &Snapshots) -> Vec<u8> {
    state_behind(&log.reader(), log.head().position, snapshots.first(&site.ledger_config(), false))
}

fn state_behind(journal: &Reader<FileMedium>, position: u64, mut ledger: Ledger) -> Vec<u8> {
    for found in journal.iter_from(1).take_while(|found| found.as_ref().unwrap().0 <= position) {
        let (position, entry) = found.unwrap();
        absorb_next(&mut ledger, Position(position), &entry).unwrap();
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
    start_on(site, log, Arc::new(medium.clone()), every)
}

fn start_on(
    site: &Site,
    log: &Log<FileMedium>,
    medium: Arc<dyn SnapshotMedium>,
    every: u64,
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
        SnapshotWriter::new(snapshots.clone(), config.seal.clone(), store, told.clone());
    writer.started_from(from).unwrap();
    let mut absorbing = WhileAbsorbing::new(log.reader(), &mut writer, every);
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
        if sequence % 40 == 0 {
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
    assert_eq!((first.from, &first.backlog[..]), (0, &[1, 2, 3][..]));
    let snapshots = Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    assert!(first.state == whole_state(&log, &site, &snapshots));
    let groups = snapshots.files().groups().unwrap();
    assert_eq!(groups.len(), 3, "the last two, and the one before the first close");

    // From each of them; a damaged one is passed over, at last to the first entry. What a start
    // passes over it removes, so that each is on a copy.
    let started = |damage: &dyn Fn(&FaultySnapshots)| {
        let copy = medium.after_a_power_cut(Left::Content);
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
        let next = started(&|copy| damaged.iter().for_each(|one| copy.flip(&name(one), 200)));
        assert!(next.from < from, "from {}", next.from);
        from = next.from;
    }
    assert_eq!(from, 0);
    // One of a later version is another version, and none is taken without the index beside it.
    assert!(started(&|copy| copy.flip(&name(&groups[0]), 9)).from < again.from);
    assert_eq!(started(&|copy| copy.flip(INDEX, 20)).from, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_written_is_not_tried_behind_every_group() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    medium.fail_at(1);
    let Started { failures, .. } = start(&site, &log, &medium, 30);
    let entries = log.head().position;
    assert!((2..=entries / 30).contains(&failures), "{failures} tries in {entries} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_an_index_whose_sync_failed_no_snapshot_stands() {
    let (site, log) = journal().await;
    let medium = FaultySnapshots::default();
    Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
    // One call alone; later ones succeed, and what it was to make durable is not.
    medium.fail_sync_once(INDEX);
    let whole = start(&site, &log, &medium, 30);
    for left in [Left::None, Left::Content] {
        let again = start(&site, &log, &medium.after_a_power_cut(left), u64::MAX);
        assert!(again.from == 0 && again.state == whole.state, "{left:?}: from {}", again.from);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_cut_off_at_any_write_goes_on_with_what_was_durable() {
    let (site, log) = journal().await;
    let counted = FaultySnapshots::default();
    let whole = start(&site, &log, &counted, 60);
    let calls = counted.calls();
    let mut begun = std::collections::BTreeSet::new();
    // Those that make the index are over by then.
    for at in 1..=calls - 4 {
        for left in [Left::None, Left::Half, Left::Content, Left::Names] {
            let medium = FaultySnapshots::default();
            Snapshots::on(Arc::new(medium.clone()), binding(&log, &site)).unwrap();
            medium.fail_at(at);
            // It goes on without: what cannot be kept is absorbed again.
            assert!(start(&site, &log, &medium, 60).state == whole.state, "call {at}");
            let again = start(&site, &log, &medium.after_a_power_cut(left), u64::MAX);
            assert!(again.state == whole.state, "call {at}, {left:?}");
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
    frames(&mut site.desk(), 81..=150);
    let medium = FaultySnapshots::default();
    let (log, _) = site.open_log();
    start(&site, &log, &medium, 50);
    assert!(start(&site, &log, &medium, u64::MAX).from > 100);
    drop(log);

    // The copy comes back, which ends before each of them.
    std::fs::rename(&journal, site.beside("whole")).unwrap();
    std::fs::rename(&early, &journal).unwrap();
    let expect_passed_over = || {
        let (log, _) = site.open_log();
        let copy = medium.after_a_power_cut(Left::Content);
        let started = start(&site, &log, &copy, u64::MAX);
        let snapshots = Snapshots::on(Arc::new(copy), binding(&log, &site)).unwrap();
        assert_eq!(started.from, 0);
        assert!(started.state == whole_state(&log, &site, &snapshots));
    };
    expect_passed_over();
    // And goes on otherwise, beyond where they stand.
    frames(&mut site.desk(), 81..=160);
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

    let (node, edge) = site.start().await;
    for sequence in [1, 64, 65, 100] {
        let answer = node.submit(site.frame(sequence)).await.unwrap();
        let Answer::FrameDuplicate { place } = answer else { panic!("frame {sequence}") };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_journal_is_absorbed_readyz_says_how_far_it_is() {
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
    drop(admission);
    let medium = || Arc::new(FolderMedium::open(&site.layout.snapshots()).unwrap());
    let timed = |every: u64| {
        let (began, before) = (std::time::Instant::now(), resident_bytes());
        let started = start_on(&site, &log, medium(), every);
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
