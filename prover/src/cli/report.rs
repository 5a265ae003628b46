//! What commands answer: reports, failures with their exit codes, and the files they begin with.

use std::fmt::{self, Write};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::{Value, json};

/// What a command found, for people and for programs.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// A command that did not succeed.
pub(crate) enum Failure {
    /// The answer is no.
    Refused(anyhow::Error),
    /// There is no answer, because something outside is missing.
    Unavailable(anyhow::Error),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Unavailable(_) => 3,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "schema": "prover.failure.v1", "code": self.code(), "error": self.to_string() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(cause) | Self::Unavailable(cause)) = self;
        write!(f, "{cause:#}")
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Opens a file of which parts are read, or says that there is no answer without it.
pub(crate) fn open_file(path: &Path) -> Result<BufReader<File>, Failure> {
    let named = |error| anyhow::Error::new(error).context(path.display().to_string());
    File::open(path).map(BufReader::new).map_err(|error| Failure::Unavailable(named(error)))
}

/// Reads a file, or says that there is no answer without it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let named = |error| anyhow::Error::new(error).context(path.display().to_string());
    std::fs::read(path).map_err(|error| Failure::Unavailable(named(error)))
}

pub(crate) fn read_json(path: &Path) -> Result<Value, Failure> {
    let bytes = read(path)?;
    let named = |error| anyhow::Error::new(error).context(path.display().to_string());
    serde_json::from_slice(&bytes).map_err(|error| Failure::Refused(named(error)))
}

/// Lines of `name  value` for people.
pub(crate) fn lines(fields: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<14}{value}");
    }
    text.truncate(text.trim_end().len());
    text
}
