//! The node's two paths without network and chain: frames to signed receipts, and a closed window
//! to an assembled batch. Durable: yes. `VITALS_BENCH_DIR` says on which disk.

mod ward;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use benches::{cpu_time, machine};
use circuits::shapes::Statement;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use journal::{FileMedium, Lane, Writer, WriterConfig};
use model::Position;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sequencer::stages::batch::{BatchBinding, BatchGroups, BatchPlan, ProvenBatch, assemble, plan};
use sequencer::stages::ledger::{Answer, LedgerAdmission};
use sequencer::stages::prove::{ProverKeys, Wanted};
use sequencer::window::{ClosedWindow, OperationScope};
use statement::batch::GroupSummary;
use tempfile::TempDir;
use wire::{Receipt, SigningKey};

use ward::{Cast, Delivery, Ward, chain, now};

const FRAMES: usize = 256;
/// Readings of a frame of the window that is proven, and of each size that is streamed.
const FRAME_READINGS: usize = 256;
const STREAMED_READINGS: [usize; 2] = [256, 1024];
/// Patients who stream, and those of the window that is proven.
const STREAMING: u32 = 8;
const PROVEN: u32 = 2;
const KEY_VERSION: u32 = model::BatchHeader::KEY_VERSION;

fn disk() -> PathBuf {
    let disk = std::env::var_os("VITALS_BENCH_DIR");
    disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).into()
}

/// The ward with its writer thread.
struct Running {
    cast: Cast,
    writer: Writer<FileMedium, LedgerAdmission<Delivery>>,
    receipts: Receiver<Vec<Receipt>>,
    _windows: Receiver<ClosedWindow>,
    _folder: TempDir,
}

/// What some frames took.
struct Took {
    wall: Duration,
    /// Of all threads of this process.
    cpu: Duration,
}

/// Submits frames as sessions do and signs the receipts as delivery does, until every frame has
/// one.
fn stream(running: &mut Running, readings: usize, key: &SigningKey) -> Took {
    let frames = running.cast.frames(FRAMES, readings);
    let (submitter, (stored, answers)) = (running.writer.submitter(), mpsc::channel());
    let (began, before) = (Instant::now(), cpu_time());
    for (stream, bytes) in frames {
        let stored = stored.clone();
        let item = running.cast.item(stream, bytes);
        let reply = move |answer| {
            // The bench waits for every answer, so it listens.
            let _ = stored.send(answer);
        };
        assert!(
            submitter.submit(Lane::Live, item, reply).is_ok(),
            "the queue holds more than one round"
        );
    }
    let mut receipted = 0;
    while receipted < FRAMES as u64 {
        for receipt in running.receipts.recv().expect("the writer runs") {
            let items = receipt.items().frames.iter();
            receipted += items.map(|item| item.sequences.1.0 - item.sequences.0.0 + 1).sum::<u64>();
            black_box(receipt.sign(key));
        }
    }
    let took = Took { wall: began.elapsed(), cpu: cpu_time() - before };
    for answer in answers.iter().take(FRAMES) {
        assert!(matches!(answer, Ok(Answer::FrameStored)), "{answer:?}");
    }
    took
}

fn frames_to_receipts(criterion: &mut Criterion) {
    eprintln!("{}; durable: yes, fdatasync below {}", machine(), disk().display());
    let key = SigningKey::from_slice(&[7; 32]).expect("a key");
    let mut group = criterion.benchmark_group("end_to_end");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for readings in STREAMED_READINGS {
        let each = (FRAMES * readings) as u64;
        group.throughput(Throughput::Elements(each));
        let (mut cpu, mut count) = (Duration::ZERO, 0);
        group.bench_function(format!("frames-to-receipts/{readings}"), |b| {
            b.iter_custom(|rounds| {
                let mut running = start_ward();
                let mut wall = Duration::ZERO;
                for _ in 0..rounds {
                    let took = stream(&mut running, readings, &key);
                    (wall, count) = (wall + took.wall, count + each);
                    cpu += took.cpu;
                }
                wall
            });
        });
        let nanos = cpu.as_nanos() as f64 / count as f64;
        eprintln!("frames of {readings}: {nanos:.1} ns of CPU a reading, all threads");
    }
    group.finish();
}

/// A ward whose writer runs; the receipts of its preparation are taken away.
fn start_ward() -> Running {
    let Ward { cast, log, receipts, windows, admission, _folder } =
        Ward::open(&disk(), STREAMING, 1);
    receipts.try_iter().for_each(drop);
    let writer = Writer::start(log, admission, || now().get(), WriterConfig::default());
    let writer = writer.expect("a thread");
    Running { cast, writer, receipts, _windows: windows, _folder }
}

/// A window with the enrolments, permits and one segment of each patient.
struct Full {
    window: ClosedWindow,
    operations: OperationScope,
    groups: BatchGroups,
}

fn fill_window(disk: &Path) -> Full {
    let mut ward = Ward::open(disk, PROVEN, 1);
    for (key, bytes) in ward.cast.frames(FRAMES, FRAME_READINGS) {
        let item = ward.cast.item(key, bytes);
        assert!(matches!(ward.submit(item), Answer::FrameStored));
    }
    let (window, operations) = (ward.close(), ward.operation_scope());
    let reader = ward.log.reader();
    let header = |number| {
        let group = reader.group(number).expect("a group of this log");
        let (first, last) = (Position(group.first), Position(group.last));
        GroupSummary { number, first, last, content: group.digest }
    };
    let (journal_hash, groups) = (window.journal_hash, (1..=window.group).map(header).collect());
    Full { window, operations, groups: BatchGroups { journal_hash, groups } }
}

fn binding(full: &Full) -> BatchBinding {
    BatchBinding {
        scope: chain(),
        operations: full.operations,
        key_version: KEY_VERSION,
        edge_secret: [3; 32],
    }
}

fn lay_out(full: &Full, keys: &ProverKeys) -> BatchPlan {
    let plan = plan(&full.window.contents, &binding(full), keys.capacities());
    plan.expect("admission lets nothing pass that cannot be proven")
}

fn prove_plan(
    full: &Full,
    plan: BatchPlan,
    keys: &ProverKeys,
    entropy: &mut StdRng,
) -> ProvenBatch {
    let mut prove = |statement| keys.prove(statement, entropy).expect("an honest chunk");
    let operations = plan.operations.iter().map(|(chunk, inputs)| (inputs, chunk));
    let operation_proofs = operations.map(|(i, c)| prove(Statement::C1(i, c))).collect();
    let claims = plan.claims.iter().map(|(chunk, inputs)| (inputs, chunk));
    let claim_proofs = claims.map(|(i, c)| prove(Statement::C2(i, c))).collect();
    let contents = full.window.contents.as_ref().clone();
    ProvenBatch { contents, plan, operation_proofs, claim_proofs }
}

fn window_to_batch(criterion: &mut Criterion) {
    let (full, folder) = (fill_window(&disk()), tempfile::tempdir_in(disk()).expect("a folder"));
    let keys = ProverKeys::open(folder.path(), Wanted::TEST, |_| {});
    let keys = keys.expect("development keys of the test shapes");
    let mut entropy = StdRng::from_entropy();
    let batch = prove_plan(&full, lay_out(&full, &keys), &keys, &mut entropy);
    let (operations, claims) = (batch.operation_proofs.len(), batch.claim_proofs.len());
    eprintln!("a window of {operations} C1 and {claims} C2 chunks of the test shapes");

    let mut group = criterion.benchmark_group("end_to_end");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("plan", |b| b.iter(|| black_box(lay_out(&full, &keys))));
    group.bench_function("assemble", |b| {
        b.iter(|| black_box(assemble(&batch, [0; 32], &binding(&full), full.groups.clone())));
    });
    group.bench_function("window-to-batch", |b| {
        b.iter(|| {
            let batch = prove_plan(&full, lay_out(&full, &keys), &keys, &mut entropy);
            black_box(assemble(&batch, [0; 32], &binding(&full), full.groups.clone()))
        });
    });
    group.finish();
    eprintln!("{}", machine());
}

criterion_group!(benches, frames_to_receipts, window_to_batch);
criterion_main!(benches);
