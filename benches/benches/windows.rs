//! Closed windows of claims through the proving service, as a node has them proven: from the close
//! to the assembled batch. No criterion: a window of production shapes takes seconds, and what is
//! asked is how much the machine did meanwhile.
//!
//! ```console
//! $ VITALS_BENCH_SHAPES=c2-17,c2-17-2,c2-17-1 VITALS_BENCH_PATIENTS=96 VITALS_BENCH_DEVICES=4 \
//!       cargo bench -p benches --bench windows
//! ```

mod ward;

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::{cpu_time, machine};
use prover::{Choice, Priority, Setup, TABLE_ROWS_MIN, TableTerms};
use rand::Rng;
use rand::rngs::OsRng;
use sequencer::guard::{Failures, Guard};
use sequencer::metrics::Metrics;
use sequencer::stages::batch::{BatchBinding, assemble};
use sequencer::stages::ledger::Answer;
use sequencer::stages::prove::jobs::{Around, ProvingService, start_workers};
use sequencer::stages::prove::{Planner, ProverKeys, Wanted, groups_of};
use sequencer::window::ClosedWindow;

use ward::{Ward, chain};

/// Frames a stream has in a window; a claim stands for all of them.
const FRAMES: usize = 4;
const FRAME_READINGS: usize = 256;

/// What is measured.
struct Setting {
    /// Shapes of claims.
    shapes: Vec<String>,
    patients: u32,
    /// Claims of each patient in each window.
    devices: u32,
    windows: usize,
    /// Proofs at once, each on a thread of its own.
    workers: usize,
    table_bytes_max: usize,
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, found {text:?}"))
}

impl Setting {
    fn read() -> Setting {
        let shapes = std::env::var("VITALS_BENCH_SHAPES").unwrap_or_else(|_| "c2-test".to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Setting {
            shapes: shapes.split(',').map(|name| name.trim().to_owned()).collect(),
            patients: variable("VITALS_BENCH_PATIENTS", 4),
            devices: variable("VITALS_BENCH_DEVICES", 1),
            windows: variable("VITALS_BENCH_WINDOWS", 5),
            workers: variable("VITALS_BENCH_WORKERS", cores),
            table_bytes_max: variable("VITALS_BENCH_TABLE_BYTES_MAX", 0),
        }
    }
}

fn disk() -> PathBuf {
    let disk = std::env::var_os("VITALS_BENCH_DIR");
    disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).into()
}

/// The most memory that this process had at once, MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// The same keys again at the next run: they take some ten CPU seconds each.
fn open_keys(setting: &Setting, keys: &std::path::Path) -> Arc<ProverKeys> {
    let claims: Vec<&str> = setting.shapes.iter().map(String::as_str).collect();
    let setup = Setup::DevInsecure;
    let wanted = Wanted { operations: "c1-test", claims: &claims, setup, engine: Choice::Auto };
    let opened = ProverKeys::open(keys, wanted, |shape| eprintln!("key of {shape}"));
    let opened = opened.expect("shapes of claims, and a folder to write in");
    let terms = TableTerms { folder: keys, bytes_max: setting.table_bytes_max, go_on: &|| true };
    opened.add_tables(&terms, TABLE_ROWS_MIN, |shape, result| {
        let report = result.expect("a folder to write in");
        eprintln!("tables of {shape}: {} of {} MiB", report.bytes >> 20, report.bytes_wanted >> 20);
    });
    Arc::new(opened)
}

fn start_service(setting: &Setting) -> Arc<ProvingService> {
    let around = Around { metrics: Metrics::new(), tell: Box::new(|_| ()) };
    let service = ProvingService::new(setting.workers, 1, around);
    let seed = || Ok::<[u8; 32], io::Error>(OsRng.r#gen());
    let threads = start_workers(&service, &Guard::new(Failures::new()), Priority::Normal, seed);
    // They end with the process.
    std::mem::forget(threads.expect("threads"));
    service
}

/// What one window took.
struct Took {
    wall: Duration,
    cpu: Duration,
}

/// A window in which every stream sent.
fn next_window(ward: &mut Ward) -> ClosedWindow {
    for (key, bytes) in ward.cast.frames(FRAMES * ward.cast.streams(), FRAME_READINGS) {
        let item = ward.cast.item(key, bytes);
        assert!(matches!(ward.submit(item), Answer::FrameStored));
    }
    ward.receipts.try_iter().for_each(drop);
    ward.close()
}

fn main() {
    let setting = Setting::read();
    eprintln!("{}", machine());
    let folder = disk().join("windows-keys");
    let keys = open_keys(&setting, &folder);
    let mut ward = Ward::open(&disk(), setting.patients, setting.devices);
    let binding = BatchBinding {
        scope: chain(),
        operations: ward.operation_scope(),
        key_version: model::BatchHeader::KEY_VERSION,
        edge_secret: [3; 32],
    };
    let service = start_service(&setting);
    let planner = Planner { binding, keys, service };
    // The enrolments and permits are of no interest here.
    let mut after = ward.close().group;
    let mut all = Vec::new();
    for number in 1..=setting.windows {
        let window = next_window(&mut ward);
        let (began, before) = (Instant::now(), cpu_time());
        let planned = planner.plan(&window).expect("admission lets nothing pass that cannot be");
        let proven = planned.wait(&|| true).expect("honest chunks");
        let groups = groups_of(&ward.log.reader(), after, &window).expect("a log that is whole");
        let batch = black_box(assemble(&proven, [0; 32], &planner.binding, groups));
        let took = Took { wall: began.elapsed(), cpu: cpu_time() - before };
        after = window.group;
        let (chunks, places) = (proven.plan.claims.len(), proven.plan.claim_places());
        drop(batch);
        println!(
            "window {number}: {} claims in {chunks} chunks, {} places ({:.0} % filled); wall {:.2} \
             s, CPU {:.2} s, {:.0} claims/s, wall / (CPU / {}) {:.2}; peak {} MiB",
            places.taken,
            places.all,
            100.0 * places.taken as f64 / places.all as f64,
            took.wall.as_secs_f64(),
            took.cpu.as_secs_f64(),
            places.taken as f64 / took.wall.as_secs_f64(),
            setting.workers,
            took.wall.as_secs_f64() * setting.workers as f64 / took.cpu.as_secs_f64(),
            peak_mib(),
        );
        all.push((places.taken, took));
    }
    all.sort_by_key(|(_, took)| took.wall);
    let (claims, median) = &all[all.len() / 2];
    let rate = *claims as f64 / median.wall.as_secs_f64();
    println!("median of {}: {:.2} s, {rate:.0} claims/s", all.len(), median.wall.as_secs_f64());
    eprintln!("{}", machine());
}
