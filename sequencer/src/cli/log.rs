//! The log on stderr: what is logged, and how.

use std::io::IsTerminal as _;
use std::panic;
use std::sync::{Arc, OnceLock};

use model::{SystemClock, escape_lines};
use sequencer::doors::config::LogSection;
use sequencer::doors::log::JsonLog;
use sequencer::node::SetLevel;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::outcome::{Outcome, failed, usage};

/// Whether this process writes JSON to stderr: said once, where the log begins.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// What is logged, to be changed while the program runs.
#[derive(Clone)]
pub(super) struct LogLevel {
    filter: reload::Handle<Targets, Registry>,
    /// `RUST_LOG` is set: it is read before the configuration.
    is_given: bool,
}

impl LogLevel {
    /// Logs by this level from now on, unless `RUST_LOG` says another one.
    pub(super) fn set(&self, level: &str) -> Outcome {
        if self.is_given {
            tracing::debug!("RUST_LOG is set, so that log.level says nothing");
            return Ok(());
        }
        self.filter.reload(targets(level)?).map_err(failed)
    }
}

impl SetLevel for LogLevel {
    fn refuses(&self) -> Option<&'static str> {
        self.is_given.then_some("RUST_LOG is set, which is read before log.level")
    }

    fn set(&self, level: &str) {
        if let Err(failure) = LogLevel::set(self, level) {
            let error = escape_lines(&format!("{:#}", failure.error));
            tracing::error!(error, "the log's level stays as it was");
        }
    }
}

/// Levels by module and nothing else of `RUST_LOG`'s language, which would cost a crate of regular
/// expressions.
fn targets(filter: &str) -> Outcome<Targets> {
    filter.parse::<Targets>().map_err(|error| {
        usage(anyhow::Error::new(error).context(format!(
            "expected levels as `info,sequencer::stages=debug` in RUST_LOG, found {filter:?}"
        )))
    })
}

/// The log on stderr as lines for eyes, filtered by `RUST_LOG`, or by `level` without one.
pub(super) fn log_to_stderr(level: &str) -> Outcome<LogLevel> {
    log_as(&LogSection { level: level.into(), ..LogSection::default() })
}

/// The same, as it is configured.
pub(super) fn log_as(section: &LogSection) -> Outcome<LogLevel> {
    let given = std::env::var("RUST_LOG").ok().filter(|given| !given.is_empty());
    let targets = targets(given.as_deref().unwrap_or(&section.level))?;
    let (targets, filter) = reload::Layer::new(targets);
    let is_json = section.format == "json";
    let log: Box<dyn Layer<Registry> + Send + Sync> = match is_json {
        true => JsonLog::new(std::io::stderr, Arc::new(SystemClock)).boxed(),
        false => {
            let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
            // Colours are for eyes: a file or a journal of the system would keep them as noise.
            log.with_ansi(std::io::stderr().is_terminal()).boxed()
        }
    };
    tracing_subscriber::registry().with(log.with_filter(targets)).init();
    if is_json {
        // Rust's own lines of a panic are no JSON. Wherever it is caught says more.
        panic::set_hook(Box::new(|what| {
            let what = what.to_string();
            tracing::error!(what, "a thread panicked");
        }));
    }
    // Once a process; a second one would find the log begun.
    IS_JSON.get_or_init(|| is_json);
    Ok(LogLevel { filter, is_given: given.is_some() })
}

/// Says something on stderr that no level hides: as it is, or as a line of the log where that is
/// JSON.
pub(super) fn say(line: &str) {
    // Quoted files and words of other programs must not act on a terminal.
    let line = escape_lines(line);
    match IS_JSON.get() {
        Some(true) => {
            let log = JsonLog::new(std::io::stderr, Arc::new(SystemClock));
            let told = tracing_subscriber::registry().with(log);
            tracing::subscriber::with_default(told, || tracing::info!("{line}"));
        }
        _ => eprintln!("{line}"),
    }
}
