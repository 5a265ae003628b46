//! What a command says at its end: text for people, one object for programs, and an exit code.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use client::batches::FetchError;
use client::erasure::ErasureError;
use client::erasure_door::ErasureDoorError;
use client::hand_in::HandInError;
use client::headers::HeadersError;
use client::party::PartyError;
use client::promised::PromisedError;
use client::{
    CompareError, ConnectionError, IdentityError, KeyError, LayoutsError, RequestError,
    RequestIdentityError, SpoolError, StreamError, WalletError,
};
use model::calendar::CalendarError;
use model::{ExitCode, IdError, MaskError, RejectCode, TimeError, escape, escape_lines};
use recordings::recording::RecordingError;
use recordings::text::LineError;
use recordings::unit::UnknownUnit;
use recordings::{UnknownFormat, ZoneError};
use serde_json::{Value, json};
use statement::batch::FileError;
use statement::fingerprint::OtherDeployment;
use wire::DecodeError;

/// The end of a command that ran.
pub(crate) struct Report {
    /// Text for people, without the last line break.
    pub(crate) text: String,
    /// The object for programs; holds its `schema`.
    pub(crate) json: Value,
    /// How the program ends.
    pub(crate) exit: ExitCode,
    /// What is done once it was shown.
    pub(crate) after: Option<Box<dyn FnOnce()>>,
}

/// A command's end, or why it could not run.
pub(crate) type Outcome = Result<Report, anyhow::Error>;

impl Report {
    /// Done.
    pub(crate) fn success(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::Ok, after: None }
    }

    /// What was checked holds, and what the check is for was not compared.
    pub(crate) fn not_compared(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::NotCompared, after: None }
    }

    /// Refused, or a check that does not hold.
    pub(crate) fn failure(text: String, json: Value) -> Report {
        Report { text, json, exit: ExitCode::Failed, after: None }
    }
}

/// The command line asks for what cannot be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The name of the node's host leads nowhere, because it is wrong or not there yet: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("expected an address of {place}, found that its host is not known here: check --node")]
pub(crate) struct UnknownHost {
    /// What --node says.
    pub(crate) place: String,
    /// What the system says.
    pub(crate) source: std::io::Error,
}

/// Another program signs with the key: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected nobody else to sign with this key, found a program that does ({} is locked): try again \
     when it has ended",
    path.display()
)]
pub(crate) struct KeyInUse {
    /// What is locked.
    pub(crate) path: PathBuf,
}

/// The user stopped it: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {kept}")]
pub(crate) struct Interrupted {
    /// What became of what has no receipt, and how to go on.
    pub(crate) kept: Unfinished,
}

/// What a stream that ended early leaves.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// In words, with how to go on.
    pub(crate) said: String,
    /// Frames without a receipt.
    pub(crate) frames: u64,
    /// Readings in them.
    pub(crate) readings: u64,
    /// Readings that were read and are in no frame, at least.
    pub(crate) lost: u64,
    /// The folder that keeps the frames; without one nothing does.
    pub(crate) state: Option<PathBuf>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

/// Prints a report.
pub(crate) fn show(report: Report, json: bool) -> ExitCode {
    // Names, files and a node's words may stand in the text; what they hold must not act on a
    // terminal. What could begin a line of its own was escaped where it was taken in.
    let text = if json { report.json.to_string() } else { escape_lines(&report.text) };
    // A reader that has gone away, as in a pipe to head, is no failure of the command.
    let mut stdout = std::io::stdout();
    let shown = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    // It hears it another time, though.
    if let Some(after) = report.after.filter(|_| shown.is_ok()) {
        after();
    }
    report.exit
}

/// Prints why a command could not run, causes included, to standard error.
pub(crate) fn fail(error: &anyhow::Error, json: bool) -> ExitCode {
    let text = match json {
        true => error_object(error).to_string(),
        false => format!("vitals: {}", causes(error).join(": ")),
    };
    let _ = writeln!(std::io::stderr(), "{text}");
    exit_code(error)
}

fn causes(error: &anyhow::Error) -> Vec<String> {
    error.chain().map(|cause| escape(&cause.to_string())).collect()
}

/// The object of an error, for programs.
pub(crate) fn error_object(error: &anyhow::Error) -> Value {
    let exit = exit_code(error).number();
    let mut object = json!({ "schema": "vitals-error-1", "error": causes(error), "exit": exit });
    let interrupted = error.downcast_ref::<Interrupted>().map(|one| &one.kept);
    if let Some(left) = interrupted.or_else(|| error.downcast_ref()) {
        let Unfinished { frames, readings, lost, state, .. } = left;
        let (frames_kept, readings_kept) = match state {
            Some(_) => (*frames, *readings),
            None => (0, 0),
        };
        object["frames_without_receipt"] = (*frames).into();
        object["readings_without_receipt"] = (*readings).into();
        object["frames_kept"] = frames_kept.into();
        object["readings_kept"] = readings_kept.into();
        object["readings_lost"] = (*lost).into();
        object["kept_in"] = state.as_ref().map(|state| state.display().to_string()).into();
    }
    object
}

/// What is not reachable may be there later; what is given wrongly is named below; all else was
/// tried and failed. Decided by the cause and not where the error arises: the same error means the
/// same to a script, whichever command met it.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    // Of several, the outermost: a connection that was given up holds the last attempt's error,
    // which says less about whether to try again. A refused request is not among them, because it
    // may have failed with its connection, which stands below it.
    ExitCode::of_error(error.as_ref(), |cause| {
        // The files are well-formed, and a comparison that was asked for does not hold.
        if cause.is::<OtherDeployment>() {
            return Some(ExitCode::Failed);
        }
        if cause.is::<Interrupted>() {
            return Some(ExitCode::Interrupted);
        }
        if cause.is::<UnknownHost>() || cause.is::<KeyInUse>() {
            return Some(ExitCode::Unavailable);
        }
        // A file that is there and not the header's is a finding, not a slip of the command line.
        if let Some(error) = cause.downcast_ref::<CompareError>() {
            return Some(match error {
                CompareError::Fetch(error) => fetch_exit_code(error),
                _ => ExitCode::Failed,
            });
        }
        if let Some(error) = cause.downcast_ref::<FetchError>() {
            return Some(fetch_exit_code(error));
        }
        if let Some(error) = cause.downcast_ref::<HandInError>() {
            return Some(hand_in_exit_code(error));
        }
        if let Some(error) = cause.downcast_ref::<ErasureDoorError>() {
            return Some(erasure_exit_code(error));
        }
        if let Some(error) = cause.downcast_ref::<ConnectionError>() {
            return Some(connection_exit_code(error));
        }
        if let Some(StreamError::Postponed { .. }) = cause.downcast_ref() {
            return Some(ExitCode::Unavailable);
        }
        // The node cannot now, and the same bytes may succeed later.
        if let Some(RequestError::Rejected { code: RejectCode::Busy | RejectCode::Unavailable }) =
            cause.downcast_ref()
        {
            return Some(ExitCode::Unavailable);
        }
        // Every file that a command opens is named on its line or stands beside one that is.
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return Some(ExitCode::of_named_file(error.kind()));
        }
        is_given_wrongly(cause).then_some(ExitCode::Usage)
    })
}

/// Of a request to erase over HTTP.
fn erasure_exit_code(error: &ErasureDoorError) -> ExitCode {
    match error {
        ErasureDoorError::Unavailable { .. } | ErasureDoorError::Busy { .. } => {
            ExitCode::Unavailable
        }
        ErasureDoorError::Request(_) => ExitCode::Usage,
        ErasureDoorError::Refused { .. }
        | ErasureDoorError::Malformed { .. }
        | ErasureDoorError::Receipt { .. }
        | ErasureDoorError::OtherReceipt { .. } => ExitCode::Failed,
    }
}

/// Of an operation over HTTP.
fn hand_in_exit_code(error: &HandInError) -> ExitCode {
    match error {
        HandInError::Unavailable { .. } | HandInError::Busy { .. } => ExitCode::Unavailable,
        HandInError::Address | HandInError::NoTls { .. } => ExitCode::Usage,
        HandInError::Unknown { .. }
        | HandInError::Length(_)
        | HandInError::Refused { .. }
        | HandInError::NoReceipt { .. }
        | HandInError::Receipt { .. }
        | HandInError::OtherReceipt { .. } => ExitCode::Failed,
    }
}

/// Whether a word of the command line, or the content of a file that it names, is wrong. What the
/// system said of a file stands below these errors, and decides.
fn is_given_wrongly(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<KeyError>() {
        return !matches!(error, KeyError::File { .. } | KeyError::Randomness(_));
    }
    if let Some(error) = cause.downcast_ref::<WalletError>() {
        return !matches!(error, WalletError::File { .. });
    }
    if let Some(error) = cause.downcast_ref::<ErasureError>() {
        return !matches!(error, ErasureError::Wallet(WalletError::File { .. }));
    }
    if let Some(error) = cause.downcast_ref::<IdentityError>() {
        return !matches!(error, IdentityError::File { .. });
    }
    if let Some(error) = cause.downcast_ref::<RequestIdentityError>() {
        return !matches!(error, RequestIdentityError::Randomness);
    }
    if let Some(error) = cause.downcast_ref::<HeadersError>() {
        return !matches!(error, HeadersError::File { .. });
    }
    if let Some(error) = cause.downcast_ref::<LayoutsError>() {
        return !matches!(error, LayoutsError::File { .. });
    }
    // A connection's error shares it with everybody who waits.
    let shared = cause.downcast_ref::<Arc<SpoolError>>().map(Arc::as_ref);
    if let Some(error) = shared.or_else(|| cause.downcast_ref()) {
        return !matches!(error, SpoolError::File { .. } | SpoolError::Unsynced { .. });
    }
    if let Some(error) = cause.downcast_ref::<PromisedError>() {
        return !matches!(error, PromisedError::File { .. });
    }
    cause.is::<Usage>()
        || cause.is::<PartyError>()
        || cause.is::<LineError>()
        || cause.is::<UnknownUnit>()
        || cause.is::<RecordingError>()
        || cause.is::<UnknownFormat>()
        || cause.is::<IdError>()
        || cause.is::<MaskError>()
        || cause.is::<TimeError>()
        || cause.is::<CalendarError>()
        || cause.is::<ZoneError>()
        || cause.is::<DecodeError>()
        || cause.is::<FileError>()
        || cause.is::<pcf::NotJson>()
        || cause.is::<pcf::NamesError>()
        || cause.is::<pcf::WriteError>()
}

fn connection_exit_code(error: &ConnectionError) -> ExitCode {
    match error {
        ConnectionError::GaveUp { .. } => ExitCode::Unavailable,
        error if error.is_passing() => ExitCode::Unavailable,
        ConnectionError::Tls(_) | ConnectionError::Dial(_) => ExitCode::Usage,
        _ => ExitCode::Failed,
    }
}

/// A file that is withheld is no slip of the command line, and an address that is none is one.
fn fetch_exit_code(error: &FetchError) -> ExitCode {
    match error {
        FetchError::Address | FetchError::NoFolder(_) | FetchError::NoTls { .. } => ExitCode::Usage,
        FetchError::Unavailable { .. } | FetchError::Busy { .. } | FetchError::Status { .. } => {
            ExitCode::Unavailable
        }
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
        let refused = |code| RequestError::Rejected { code };
        assert_eq!(code(refused(RejectCode::Signature).into()), ExitCode::Failed);
        assert_eq!(code(refused(RejectCode::Unavailable).into()), ExitCode::Unavailable);
        assert_eq!(code(Usage("no".to_owned()).into()), ExitCode::Usage);
        assert_eq!(code(FetchError::Address.into()), ExitCode::Usage);
        let interrupted = Interrupted { kept: unfinished(None) };
        assert_eq!(code(interrupted.into()), ExitCode::Interrupted);
    }

    fn unfinished(state: Option<PathBuf>) -> Unfinished {
        let said = "the rest is kept".to_owned();
        Unfinished { said, frames: 2, readings: 15, lost: 4, state }
    }

    #[test]
    fn a_program_reads_what_a_stream_that_ended_early_leaves() {
        let interrupted = Interrupted { kept: unfinished(Some("state".into())) };
        let given_up = anyhow::anyhow!("no answer").context(unfinished(None));
        let objects = [interrupted.into(), given_up].map(|error| error_object(&error));
        for (object, kept, folder) in
            [(&objects[0], 15, json!("state")), (&objects[1], 0, json!(null))]
        {
            assert_eq!(object["readings_without_receipt"], 15);
            assert_eq!((&object["readings_kept"], &object["kept_in"]), (&json!(kept), &folder));
            assert_eq!(object["readings_lost"], 4);
        }
        assert_eq!(objects[1]["error"], json!(["the rest is kept", "no answer"]));
        assert!(error_object(&anyhow::anyhow!("else")).get("readings_kept").is_none());
    }

    #[test]
    fn what_is_given_wrongly_is_named_and_all_else_failed() {
        let code = |error: anyhow::Error| exit_code(&error.context("somewhere"));
        for wrong in [
            KeyError::Format.into(),
            WalletError::NoSlot.into(),
            IdentityError::Subject.into(),
            HeadersError::Deployment.into(),
            model::PatientIndex::new(u32::MAX).unwrap_err().into(),
            model::Category::from_name("soul").unwrap_err().into(),
            client::party::actor("nobody").unwrap_err().into(),
            wire::ClientName::new("").unwrap_err().into(),
            StreamError::Spool(Arc::new(SpoolError::Held { path: "a.lock".into() })).into(),
        ] {
            let text = format!("{wrong:#}");
            assert_eq!(code(wrong), ExitCode::Usage, "{text}");
        }
        let file =
            |kind: std::io::ErrorKind| KeyError::File { path: "a".into(), source: kind.into() };
        assert_eq!(code(file(std::io::ErrorKind::NotFound).into()), ExitCode::Usage);
        assert_eq!(code(file(std::io::ErrorKind::StorageFull).into()), ExitCode::Failed);
        assert_eq!(code(anyhow::anyhow!("a thread is gone")), ExitCode::Failed);
        assert_eq!(code(std::fmt::Error.into()), ExitCode::Failed);
    }
}
