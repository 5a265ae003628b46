//! Makes runs of the simulation by seed and names each that fails; plays scenarios.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use files::Audience;
use loadgen::html::{Origin, page};
use model::with_causes;
use sim::{Datagrams, HOSPITAL, Options, Planted, Report, Scenario, play, run};

/// Longest scenario that is read, bytes.
const SCENARIO_BYTES_MAX: u64 = 1 << 20;

/// Makes runs of the node's ingest and its gateways in a simulated network. The same seed is the
/// same run, to the last datagram.
///
/// Ends with 0 if every run went well, with 1 if one did not: its seed stands on stderr, and
/// `--seed N --trace` makes it again.
#[derive(Parser, Debug)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    seeds: Seeds,
}

#[derive(clap::Args, Debug)]
struct Seeds {
    /// How many seeds, beginning with --first.
    #[arg(long, default_value_t = 20, conflicts_with = "seed")]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    first: u64,
    /// This seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Gateways of each run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    gateways: u16,
    /// Prints what happened in each run, line by line.
    #[arg(long)]
    trace: bool,
    /// With --trace: also each datagram, to see where two runs part.
    #[arg(long, requires = "trace")]
    datagrams: bool,
    /// Has the node's disk say that it synced what it did not: the runs must fail.
    #[arg(long)]
    lying_disk: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Plays a scenario of many gateways; without a file the hospital of ten thousand.
    Play {
        /// The scenario, in TOML.
        file: Option<PathBuf>,
        /// One object instead of lines.
        #[arg(long)]
        json: bool,
        /// Writes latency and throughput as one HTML file with charts, as of a load run.
        #[arg(long)]
        html: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    files::close_to_others();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Play { file, json, html }) => play_file(file, json, html),
        None => run_seeds(&arguments.seeds),
    }
}

fn run_seeds(asked: &Seeds) -> anyhow::Result<ExitCode> {
    let seeds = match asked.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => asked.first..asked.first.saturating_add(asked.seeds),
    };
    let planted = if asked.lying_disk { Planted::LyingDisk } else { Planted::Nothing };
    let datagrams = if asked.datagrams { Datagrams::Listed } else { Datagrams::Hashed };
    let (begun, mut out) = (Instant::now(), std::io::stdout().lock());
    let (mut went_well, mut failed) = (0, Vec::new());
    for seed in seeds {
        let options = Options { seed, gateways: usize::from(asked.gateways), planted, datagrams };
        let (trace, said) = match run(&options) {
            Ok(outcome) => {
                went_well += 1;
                (outcome.trace, format!("seed {seed}: {}", outcome.held))
            }
            Err(found) => {
                failed.push(seed);
                eprintln!("FAILED: {}", with_causes(&found));
                (found.trace, format!("seed {seed}: failed"))
            }
        };
        if asked.trace {
            write!(out, "{trace}")?;
        }
        writeln!(out, "{said}")?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    writeln!(out, "{went_well} runs went well, {} failed, {seconds:.1} s", failed.len())?;
    let Some(first) = failed.first() else { return Ok(ExitCode::SUCCESS) };
    eprintln!("again with: cargo run --release -p sim -- --trace --seed {first}");
    Ok(ExitCode::FAILURE)
}

fn play_file(file: Option<PathBuf>, json: bool, html: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let read = |path: PathBuf| files::read(&path, SCENARIO_BYTES_MAX, Audience::Public);
    let text = file.map(read).transpose()?.map(String::from_utf8).transpose()?;
    let scenario = Scenario::parse(text.as_deref().unwrap_or(HOSPITAL))?;
    let report = play(&scenario)?;
    if let Some(to) = html {
        let versions = format!("sim {}, simulated time", env!("CARGO_PKG_VERSION"));
        let origin = Origin::of_this_program("none: a simulation".to_owned());
        let page = page(&report.load, &Origin { versions, ..origin });
        files::replace(&to, &[page.as_bytes()], Audience::Owner)?;
    }
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        false => write_report(&mut out, &report)?,
    }
    report.missed.iter().for_each(|missed| eprintln!("MISSED: {missed}"));
    Ok(if report.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write_report(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let Report { scenario, gateways, frames, receipts, windows, load, most, .. } = report;
    let ms = |us: u64| us / 1_000;
    writeln!(out, "{scenario}: {gateways} gateways, {frames} frames, {receipts} receipts")?;
    writeln!(out, "windows       {windows} closed, each can be proven")?;
    writeln!(
        out,
        "receipt after p50 {} ms, p99 {} ms, most {} ms; {:.0} readings a second over {:.0} s",
        ms(load.latency.p50_us),
        ms(load.latency.p99_us),
        ms(load.latency.max_us),
        load.readings_acknowledged as f64 / load.seconds.max(1.0),
        load.seconds
    )?;
    writeln!(out, "well          {} ms after the last event", report.well_after_ms)?;
    writeln!(
        out,
        "most          {} sessions, {} handshakes, {} items before the writer, {} frames without a \
         receipt",
        most.sessions, most.handshakes, most.waiting_items, most.backlog_frames
    )?;
    writeln!(out, "turned away   {}, gave way {}", most.turned_away, most.gave_way)?;
    writeln!(out, "memory        {} MiB, node and gateways together", most.memory_mib)
}
