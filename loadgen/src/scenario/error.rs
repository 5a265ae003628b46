//! Scenarios that cannot be played. A scenario names no patient, so what is found is quoted.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::script::SCENARIO_BYTES_MAX;

/// Why a scenario is refused.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// There is neither such a file nor such a scenario.
    #[error("expected the readable file {path}, or a scenario that ships ({known})")]
    File {
        /// What was asked for.
        path: PathBuf,
        /// The scenarios that ship.
        known: String,
        /// Why it is no file.
        source: io::Error,
    },
    /// It is longer than a scenario may be.
    #[error("expected a scenario of at most {SCENARIO_BYTES_MAX} bytes, found {file} with more")]
    TooLarge {
        /// Which.
        file: String,
    },
    /// It is not TOML, or has a key or a kind of value that scenarios do not have.
    #[error("{file}, line {line}: {found}")]
    Text {
        /// Which.
        file: String,
        /// From 1.
        line: usize,
        /// What the reader of TOML says, with what it expected.
        found: String,
    },
    /// A value that cannot be.
    #[error("{file}, line {line}: {key}: expected {expected}, found {found}")]
    Value {
        /// Which.
        file: String,
        /// From 1.
        line: usize,
        /// Its key.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Something is missing, or there is too much of it.
    #[error("{file}: expected {expected}, found {found}")]
    Whole {
        /// Which.
        file: String,
        /// What there should be.
        expected: String,
        /// What there is.
        found: String,
    },
}
