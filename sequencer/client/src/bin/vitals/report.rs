//! What a command says at its end: text for people, one object for programs, and an exit code.

use std::io::Write;

use client::batches::FetchError;
use client::{CompareError, ConnectionError, RequestError, StreamError};
use model::{ExitCode, escape, escape_lines};
use serde_json::{Value, json};
use statement::fingerprint::OtherDeployment;

/// The end of a command that ran.
pub(crate) struct Report {
    /// Text for people, without the last line break.
    pub(crate) text: String,
    /// The object for programs; holds its `schema`.
    pub(crate) json: Value,
    /// How the program ends.
    pub(crate) exit: ExitCode,
}

/// A command's end, or why it could not run.
pub(crate) type Outcome = Result<Report, anyhow::Error>;

impl Report {
    /// Done.
    pub(crate) fn success(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::Ok }
    }

    /// What was checked holds, and what the check is for was not compared.
    pub(crate) fn not_compared(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::NotCompared }
    }

    /// Refused, or a check that does not hold.
    pub(crate) fn failure(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::Failed }
    }
}

/// The command line asks for what cannot be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The user stopped it: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: what has no receipt is sent again from the state folder, if there is one")]
pub(crate) struct Interrupted;

/// Prints a report.
pub(crate) fn show(report: &Report, json: bool) -> ExitCode {
    // Names, files and a node's words may stand in the text; what they hold must not act on a
    // terminal. What could begin a line of its own was escaped where it was taken in.
    let text = if json { report.json.to_string() } else { escape_lines(&report.text) };
    // A reader that has gone away, as in a pipe to head, is no failure of the command.
    let _ = writeln!(std::io::stdout(), "{text}");
    report.exit
}

/// Prints why a command could not run, causes included, to standard error.
pub(crate) fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let exit = exit_code(error);
    let causes: Vec<_> = error.chain().map(|cause| escape(&cause.to_string())).collect();
    let text = match json {
        true => {
            let exit = exit.number();
            json!({ "schema": "vitals-error-1", "error": causes, "exit": exit }).to_string()
        }
        false => format!("vitals: {}", causes.join(": ")),
    };
    let _ = writeln!(std::io::stderr(), "{text}");
    exit
}

/// What is not reachable may be there later; what a node refuses was tried; all else is given
/// wrongly. Decided by the cause and not where the error arises: the same error means the same to a
/// script, whichever command met it.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        // The files are well-formed, and a comparison that was asked for does not hold.
        if cause.is::<OtherDeployment>() {
            return ExitCode::Failed;
        }
        if cause.is::<Interrupted>() {
            return ExitCode::Interrupted;
        }
        // A file that is there and not the header's is a finding, not a slip of the command line.
        if let Some(error) = cause.downcast_ref::<CompareError>() {
            return match error {
                CompareError::Fetch(_) => ExitCode::Unavailable,
                _ => ExitCode::Failed,
            };
        }
        if let Some(FetchError::Unavailable { .. } | FetchError::Status { .. }) =
            cause.downcast_ref()
        {
            return ExitCode::Unavailable;
        }
        // The first one on the way to the root: a connection that was given up holds the last
        // attempt's error, which says less about whether to try again.
        if let Some(error) = cause.downcast_ref::<ConnectionError>() {
            return connection_exit_code(error);
        }
    }
    // Only after all causes: a request may fail because its connection did.
    let tried = error.chain().any(|cause| cause.is::<RequestError>() || cause.is::<StreamError>());
    if tried { ExitCode::Failed } else { ExitCode::Usage }
}

fn connection_exit_code(error: &ConnectionError) -> ExitCode {
    match error {
        ConnectionError::GaveUp { .. } => ExitCode::Unavailable,
        error if error.is_passing() => ExitCode::Unavailable,
        ConnectionError::Tls(_) | ConnectionError::Dial(_) => ExitCode::Usage,
        _ => ExitCode::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn exit_codes_tell_unreachable_refused_and_wrong_apart() {
        let address = "127.0.0.1:1".parse().unwrap();
        let silent = ConnectionError::NoAnswer { address, waited: Duration::from_secs(1) };
        let code = |error: anyhow::Error| exit_code(&error.context("connecting"));
        assert_eq!(code(silent.into()), ExitCode::Unavailable);
        let refused = RequestError::Rejected { code: model::RejectCode::Signature };
        assert_eq!(code(refused.into()), ExitCode::Failed);
        assert_eq!(code(Usage("no".to_owned()).into()), ExitCode::Usage);
        assert_eq!(code(FetchError::Address.into()), ExitCode::Usage);
        assert_eq!(code(Interrupted.into()), ExitCode::Interrupted);
    }
}
