//! What a command ends with, and what every command needs to begin.

use std::fmt;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use l1_contracts::Deployment;
use model::{ExitCode, escape_lines};
use sequencer::doors::admin::AdminError;
use sequencer::doors::config::ConfigError;
use sequencer::folder::layout::Layout;
use serde::Serialize;
use statement::fingerprint::Fingerprint;

/// What a command ends with.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was asked, and what the shell is told.
pub(super) struct Failure {
    pub(super) code: ExitCode,
    pub(super) error: anyhow::Error,
}

/// It was tried and did not succeed; a cause that says more decides.
pub(super) fn failed<E: Into<anyhow::Error>>(error: E) -> Failure {
    let error = error.into();
    let code = ExitCode::of_error(error.as_ref(), |cause| {
        if cause.is::<ConfigError>() {
            return Some(ExitCode::Usage);
        }
        match cause.downcast_ref::<AdminError>()? {
            AdminError::Socket { .. } | AdminError::NoAnswer | AdminError::Late { .. } => {
                Some(ExitCode::Unavailable)
            }
            AdminError::Malformed(_) | AdminError::Refused(_) => Some(ExitCode::Failed),
        }
    });
    Failure { code, error }
}

/// The command line, or a file that it names, is wrong.
pub(super) fn usage<E: Into<anyhow::Error>>(error: E) -> Failure {
    Failure { code: ExitCode::Usage, error: error.into() }
}

/// Something that the command needs is not there.
pub(super) fn unavailable<E: Into<anyhow::Error>>(error: E) -> Failure {
    Failure { code: ExitCode::Unavailable, error: error.into() }
}

/// How a play ended: its report, or where it failed; none where it was interrupted.
pub(super) type Played<R, E> = Option<Result<R, E>>;

/// Says how a play ended: one JSON object, or what `said` makes of the report and `NAME OK`; else
/// `NAME FAILED at <step>: <expected>, <found>`.
pub(super) fn tell_played<R: Serialize, E: fmt::Display>(
    name: &str,
    played: Played<R, E>,
    json: bool,
    said: impl FnOnce(&R) -> String,
) -> Outcome {
    match played {
        Some(Ok(report)) if json => {
            println!("{}", serde_json::to_string(&report).map_err(failed)?);
            Ok(())
        }
        Some(Ok(report)) => {
            println!("{}{} OK", said(&report), name.to_uppercase());
            Ok(())
        }
        Some(Err(error)) => {
            let line = format!("{} FAILED at {error}", name.to_uppercase());
            // Stdout is for the one object: who parses it must find it or nothing.
            if json {
                eprintln!("{line}");
            } else {
                println!("{line}");
            }
            Err(failed(anyhow!("the {name} failed")))
        }
        None => Err(Failure { code: ExitCode::Interrupted, error: anyhow!("interrupted") }),
    }
}

/// Which node.
#[derive(Args)]
pub(super) struct NodeFolder {
    /// The node's folder.
    #[arg(long, default_value = "node")]
    pub(super) dir: PathBuf,
}

/// Which node, and how its answer is printed.
#[derive(Args)]
pub(super) struct Asked {
    #[command(flatten)]
    pub(super) node: NodeFolder,
    /// Print one JSON object with a schema instead of text.
    #[arg(long)]
    pub(super) json: bool,
}

impl Asked {
    /// Prints an answer; names in it must not act on a terminal.
    pub(super) fn print(&self, text: &str, json: &serde_json::Value) {
        match self.json {
            true => println!("{json}"),
            false if text.is_empty() => {}
            false => println!("{}", escape_lines(text)),
        }
    }
}

/// Which deployment is meant.
#[derive(Args)]
pub(super) struct Expected {
    /// The deployment's fingerprint, as it was written down when it was made: a folder with another
    /// one is refused.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Fingerprint>,
}

impl Expected {
    /// Holds a node's deployment file against it.
    pub(super) fn check(&self, layout: &Layout) -> Outcome {
        let Some(expected) = self.fingerprint else { return Ok(()) };
        let deployment = Deployment::read(&layout.deployment()).map_err(failed)?;
        deployment.fingerprint.expect(expected).map_err(failed)
    }
}

pub(super) fn runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)
}

#[cfg(test)]
mod tests {
    use sequencer::node::NodeError;

    use super::*;

    #[test]
    fn what_nobody_knows_failed_and_known_causes_decide() {
        let code = |error: anyhow::Error| failed(error.context("starting")).code;
        assert_eq!(code(anyhow::anyhow!("no thread")), ExitCode::Failed);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(code(NodeError::System(full).into()), ExitCode::Failed);
        assert_eq!(code(AdminError::NoAnswer.into()), ExitCode::Unavailable);
        let waited = std::time::Duration::from_secs(1);
        assert_eq!(code(AdminError::Late { waited }.into()), ExitCode::Unavailable);
        assert_eq!(code(AdminError::Refused("no".into()).into()), ExitCode::Failed);
    }
}
