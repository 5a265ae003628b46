//! One group on a real file: entries appended, written, `fdatasync`ed. Durable: yes.
//! `VITALS_BENCH_DIR` says on which disk; the build's own folder otherwise.

use std::time::{Duration, Instant};

use benches::machine;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use journal::{EntryKind, FileMedium, Genesis, Log};

const ENTRY_BYTES: usize = 1024;
const ENTRIES: [usize; 3] = [1, 64, 1024];
/// 2026-01-01T00:00:00Z.
const NOW_MS: u64 = 3_976_214_400_000;

fn folder() -> tempfile::TempDir {
    // Not the system's temporary folder: that is often memory, where a sync costs nothing.
    let disk = std::env::var_os("VITALS_BENCH_DIR");
    let disk = disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(disk).expect("a folder to write in")
}

/// Time for `groups` groups on a fresh log.
fn append(groups: u64, entries: usize) -> Duration {
    let folder = folder();
    let medium = FileMedium::open(&folder.path().join("log")).expect("a new file");
    let genesis = Genesis { log_id: *b"journal-commit-1", journal_hash: [0; 32] };
    let (mut log, _) = Log::open(medium, genesis, journal::fault::salts()).expect("an empty log");
    let body = vec![0x5a; ENTRY_BYTES];
    let mut took = Duration::ZERO;
    for _ in 0..groups {
        // Between two groups and not measured: a writer has it done by a thread of its own.
        log.make_ahead().expect("a disk with room");
        let began = Instant::now();
        let mut group = log.builder(NOW_MS);
        for _ in 0..entries {
            group.append(EntryKind::FRAME, &body).expect("room for an entry");
        }
        log.append_built(group).expect("a disk with room");
        took += began.elapsed();
    }
    took
}

fn journal_commit(criterion: &mut Criterion) {
    eprintln!("{}; durable: yes, fdatasync in {:?}", machine(), folder().path());
    let mut group = criterion.benchmark_group("journal_commit");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for entries in ENTRIES {
        group.throughput(Throughput::Bytes((entries * ENTRY_BYTES) as u64));
        group.bench_with_input(BenchmarkId::new("1KiB", entries), &entries, |b, entries| {
            b.iter_custom(|groups| append(groups, *entries));
        });
    }
    group.finish();
    eprintln!("{}", machine());
}

criterion_group!(benches, journal_commit);
criterion_main!(benches);
