//! `sequencer demo`.

use std::path::PathBuf;

use clap::Args;
use sequencer::demo::{DemoOptions, demo as play};

use super::log::log_to_stderr;
use super::outcome::{Outcome, runtime, tell_played};

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Leave everything running at the end and print commands to look around with.
    #[arg(long)]
    keep: bool,
    /// Seed of the cast: the same seed makes the same patients, keys and devices.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// An empty or new folder for node, identities and batches [default: `demo` beside the
    /// program, replaced at each run].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print lines to stderr and end with one JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Plays, and says `DEMO OK` or `DEMO FAILED at <step>: <expected>, <found>`.
pub(crate) fn demo(args: DemoArgs) -> Outcome {
    log_to_stderr("warn")?;
    let DemoArgs { keep, seed, dir, json } = args;
    let options = DemoOptions { dir, seed, keep, json };
    let runtime = runtime()?;
    let interrupted = async {
        drop(tokio::signal::ctrl_c().await);
    };
    let outcome = runtime.block_on(async {
        // A node that is kept running is stopped by the demo itself, which says so.
        tokio::select! {
            outcome = play(&options) => Some(outcome),
            () = interrupted, if !keep => None,
        }
    });
    tell_played("demo", outcome, json, |_| String::new())
}
