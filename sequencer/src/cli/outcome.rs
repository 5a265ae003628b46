//! What a command ends with, and what every command needs to begin.

use model::ExitCode;

/// What a command ends with: an exit code, and why if it is not 0.
pub(super) type Outcome = Result<(), (ExitCode, anyhow::Error)>;

/// The log on stderr; `RUST_LOG`-like filters are not read: level info, errors with stages.
pub(super) fn log_to_stderr(level: tracing::Level) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    log.with_target(false).init();
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, (ExitCode, anyhow::Error)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| (ExitCode::Unavailable, error.into()))
}

pub(super) fn failed<E: Into<anyhow::Error>>(error: E) -> (ExitCode, anyhow::Error) {
    (ExitCode::Failed, error.into())
}

pub(super) fn usage<E: Into<anyhow::Error>>(error: E) -> (ExitCode, anyhow::Error) {
    (ExitCode::Usage, error.into())
}
