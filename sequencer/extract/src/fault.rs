//! What does not agree in a file that left the rollup.

use thiserror::Error;

/// The first thing that does not agree. Nothing of the patient stands in it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}, {part}: expected {expected}, found {found}")]
pub struct Fault {
    /// Which line, from 1; 0 of the file as a whole.
    pub line: usize,
    /// What of it.
    pub part: &'static str,
    /// What was expected there.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Fault {
    pub(crate) fn new(
        line: usize,
        part: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Fault {
        Fault { line, part, expected: expected.into(), found: found.into() }
    }

    /// Compares two numbers of which the first is expected.
    pub(crate) fn count(
        line: usize,
        part: &'static str,
        [expected, found]: [u64; 2],
    ) -> Result<(), Fault> {
        if expected == found {
            return Ok(());
        }
        Err(Fault::new(line, part, expected.to_string(), found.to_string()))
    }
}

/// What a file cannot be made of.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ExtractError {
    /// An opening names a place that the public file does not have.
    #[error("batch {batch}: expected {what} in the public file at the place of the opening")]
    Place {
        /// Which batch.
        batch: u64,
        /// What should stand there.
        what: &'static str,
    },
    /// An operation of an opening does not decode.
    #[error("batch {batch}: expected a signed operation in the opening, found other bytes")]
    Operation {
        /// Which batch.
        batch: u64,
    },
    /// Released frames are of somebody else.
    #[error("expected released frames of this patient and deployment, found others")]
    Frames,
    /// Nothing concerns the patient.
    #[error("expected a batch that concerns the patient, found none: there is no record to write")]
    Nothing,
    /// A line cannot be written.
    #[error("a line cannot be written: {0}")]
    Line(String),
}
