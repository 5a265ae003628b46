//! `sequencer drill`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use model::ExitCode;
use sequencer::demo::drill::{DrillOptions, drill as play};

use super::outcome::{Failure, Outcome, failed, log_to_stderr, runtime};

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
    match outcome {
        Some(Ok(report)) if json => {
            println!("{}", serde_json::to_string(&report).map_err(failed)?);
            Ok(())
        }
        Some(Ok(report)) => {
            println!("{}\nDRILL OK", report.summary());
            Ok(())
        }
        Some(Err(error)) => {
            let line = format!("DRILL FAILED at {error}");
            // Stdout is for the one object: who parses it must find it or nothing.
            if json {
                eprintln!("{line}");
            } else {
                println!("{line}");
            }
            Err(failed(anyhow!("the drill failed")))
        }
        None => Err(Failure { code: ExitCode::Interrupted, error: anyhow!("interrupted") }),
    }
}
