//! How long a whole node takes to start behind so many frames of one reading, from the journal's
//! first entry on and from a snapshot; and what freezing the ledger's state costs the writer. No
//! criterion: a start cannot be repeated a hundred times, and what is asked is one number.
//!
//! ```console
//! $ VITALS_BENCH_FRAMES=1000000,10000000 cargo bench -p benches --bench restart -- start
//! $ VITALS_BENCH_PATIENTS=10000 cargo bench -p benches --bench restart -- freeze
//! ```

// The tests beside the node use the rest of it.
#[allow(dead_code)]
#[path = "../../sequencer/tests/support.rs"]
mod support;
#[allow(dead_code)]
mod ward;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use benches::machine;
use journal::Admission as _;
// The support of the node's tests, which is compiled in here, names it.
use l1_contracts as _;
use model::BatchNumber;
use sequencer::node::recover::recover;
use sequencer::stages::ledger::{Answer, LedgerAdmission};

use support::{Nowhere, Site};
use ward::Ward;

/// Frames of a group: one holder sends them all, and has no more in one receipt.
const GROUP: u64 = wire::limits::RECEIPT_ITEMS_MAX as u64;
const STARTS: usize = 5;
/// States that are frozen, each behind some frames.
const FREEZES: usize = 50;

fn variable(name: &str, default: &str) -> Vec<u64> {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let number = |text: &str| text.trim().parse().expect("numbers with commas between them");
    text.split(',').map(number).collect()
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    eprintln!("{}", machine());
    if wanted("freeze") {
        variable("VITALS_BENCH_PATIENTS", "1000").into_iter().for_each(freeze);
    }
    if wanted("start") {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        for frames in variable("VITALS_BENCH_FRAMES", "100000") {
            runtime.block_on(start(frames));
        }
    }
    eprintln!("{}", machine());
}

/// Median and most of what was measured.
fn told(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    format!("{:.2?} (most {:.2?})", took[took.len() / 2], took[took.len() - 1])
}

/// A patient for each stream, all of one gateway: the dearest case for the frame behind it.
fn freeze(patients: u64) {
    let disk = std::env::var_os("VITALS_BENCH_DIR");
    let disk: PathBuf = disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).into();
    let mut ward = Ward::open(&disk, patients as u32, 1);
    let (mut froze, mut behind, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (key, frame) in ward.cast.frames(ward.cast.streams(), 1) {
        let item = ward.cast.item(key, frame);
        assert!(matches!(ward.submit(item), Answer::FrameStored));
    }
    for _ in 0..FREEZES {
        ward.close();
        let began = Instant::now();
        let state = ward.admission.ledger().freeze();
        froze.push(began.elapsed());
        // It is encoded while the writer goes on, which copies what it changes.
        let (key, frame) = ward.cast.frames(1, 1).swap_remove(0);
        let item = ward.cast.item(key, frame);
        let now = ward::now().get();
        let mut group = ward.log.builder(now);
        let began = Instant::now();
        let answer = ward.admission.admit(now, item, &mut group);
        behind.push(began.elapsed());
        assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        let committed = ward.log.append_built(group).expect("a disk with room");
        ward.admission.committed(&committed);
        bytes = state.to_bytes().len();
    }
    println!(
        "freeze: {patients} patients, a state of {bytes} bytes: {} on the writer thread; the \
         frame behind it {}",
        told(froze),
        told(behind)
    );
}

async fn start(frames: u64) {
    let site = Site::new().await;
    let began = Instant::now();
    fill(&site, frames);
    eprintln!("{frames} frames in {:.1?}", began.elapsed());
    // What filling took is no node's: nothing makes snapshots meanwhile.
    fs::write("/proc/self/clear_refs", "5").expect("a Linux");
    let first = start_once(&site).await;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        took.push(start_once(&site).await);
    }
    println!(
        "start: {frames} frames, {} MiB of journal, {} MiB of snapshots and index: {first:.2?} from \
         the first entry on, {} from a snapshot; {} MiB of memory at most in these",
        mib_of(&site.layout.journal()),
        mib_of(&site.layout.snapshots()),
        told(took),
        peak_mib()
    );
}

/// From nothing to a node that takes frames; then it stops in order, with a snapshot.
async fn start_once(site: &Site) -> Duration {
    let chain = site.chain();
    let began = Instant::now();
    let node = site.start_on(chain).await.expect("a node that starts");
    let took = began.elapsed();
    node.stop().await.expect("a node that stops");
    took
}

/// Frames of one reading, in groups, as admission journals them.
fn fill(site: &Site, frames: u64) {
    let (mut log, _) = site.open_log();
    let recovered = recover(&log, site.ledger_config(), BatchNumber(0)).expect("a new journal");
    let mut admission = LedgerAdmission::new(recovered.ledger, Nowhere, recovered.close_group);
    for first in (1..=frames).step_by(GROUP as usize) {
        // Between two groups: a node has it done by a thread of its own.
        log.make_ahead().expect("a disk with room");
        let now = site.clock.now().get();
        let mut group = log.builder(now);
        for sequence in first..(first + GROUP).min(frames + 1) {
            let answer = admission.admit(now, site.frame(sequence), &mut group);
            assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        }
        let committed = log.append_built(group).expect("a disk with room");
        admission.committed(&committed);
    }
}

fn mib_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder of the node");
    let bytes = entries.map(|entry| entry.and_then(|one| one.metadata()).map_or(0, |it| it.len()));
    bytes.sum::<u64>() >> 20
}

/// The most memory that this process had at once since that was forgotten.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}
