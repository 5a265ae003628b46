//! Appends groups to a log and says how fast this disk makes them durable.
//!
//! `journal-fill FOLDER GROUPS ENTRIES BYTES [acks]` appends GROUPS groups of ENTRIES entries of
//! BYTES bytes each, one sync a group, and prints rates; with `acks` it prints each group's last
//! position and journal hash as soon as it is durable. Exit code 1 if the log fails, 2 for another
//! command line.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use journal::{EntryKind, FileMedium, Genesis, Log, fault};

/// 2026-01-01T00:00:00Z: only a log that is already later than this moves it.
const START_MS: u64 = 3_976_214_400_000;

/// What the command line asks for.
struct Fill {
    path: String,
    groups: usize,
    entries: usize,
    bytes: usize,
    acks: bool,
}

fn main() -> ExitCode {
    files::close_to_others();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(fill) = parse(&args) else {
        eprintln!("usage: journal-fill FOLDER GROUPS ENTRIES BYTES [acks]");
        return ExitCode::from(2);
    };
    match run(fill) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` for what is no such command line.
fn parse(args: &[String]) -> Option<Fill> {
    let (args, acks) = match args {
        [args @ .., last] if args.len() == 4 && last == "acks" => (args, true),
        args => (args, false),
    };
    let [path, groups, entries, bytes] = args else { return None };
    let number = |text: &String| text.parse().ok();
    let (groups, entries, bytes) = (number(groups)?, number(entries)?, number(bytes)?);
    Some(Fill { path: path.clone(), groups, entries, bytes, acks })
}

fn run(fill: Fill) -> Result<(), Box<dyn Error>> {
    let Fill { path, groups, entries, bytes, acks } = fill;
    let genesis = Genesis { log_id: *b"journal-fill-log", journal_hash: [0; 32] };
    let (mut log, recovery) =
        Log::open(FileMedium::open(Path::new(&path))?, genesis, fault::salts())?;
    eprintln!("{recovery:?}");
    let body = vec![0x5a; bytes];
    let mut took = Vec::with_capacity(groups);
    let mut out = std::io::stdout();
    for _ in 0..groups {
        // Between two groups and not measured: a writer has it done by a thread of its own.
        log.make_ahead()?;
        let began = Instant::now();
        let mut group = log.builder(START_MS);
        for _ in 0..entries {
            group.append(EntryKind::FRAME, &body)?;
        }
        let committed = log.append_built(group)?;
        took.push(began.elapsed());
        if acks {
            let tag = u64::from_be_bytes(*committed.journal_hash.first_chunk().ok_or("32 bytes")?);
            writeln!(out, "{} {tag:016x}", committed.last)?;
            out.flush()?;
        }
    }
    report(&mut took, entries, bytes);
    Ok(())
}

fn report(took: &mut [Duration], entries: usize, bytes: usize) {
    took.sort();
    let Some(last) = took.len().checked_sub(1) else { return };
    let total: Duration = took.iter().sum();
    let rate = took.len() as f64 / total.as_secs_f64();
    eprintln!(
        "{rate:.0} groups/s, {:.0} entries/s, {:.1} MB/s, p50 {:?}, p99 {:?}, max {:?}",
        rate * entries as f64,
        rate * (entries * bytes) as f64 / 1e6,
        took[last / 2],
        took[last * 99 / 100],
        took[last],
    );
}
