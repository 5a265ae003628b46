//! `sequencer drill`.

use std::path::PathBuf;

use clap::Args;
use sequencer::demo::drill::{DrillOptions, drill as play};

use super::log::log_to_stderr;
use super::outcome::{Outcome, runtime, tell_played};

#[derive(Args)]
pub(crate) struct DrillArgs {
    /// Seed of the cast.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// An empty or new folder, which is kept [default: one in the system's folder for temporary
    /// files, removed at the end].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print lines to stderr and end with one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Plays, and says `DRILL OK` or `DRILL FAILED at <step>: <expected>, <found>`.
pub(crate) fn drill(args: DrillArgs) -> Outcome {
    log_to_stderr("error")?;
    let DrillArgs { seed, dir, json } = args;
    let options = DrillOptions { dir, seed, json };
    let outcome = runtime()?.block_on(async {
        tokio::select! {
            outcome = play(&options) => Some(outcome),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    tell_played("drill", outcome, json, |report| format!("{}\n", report.summary()))
}
