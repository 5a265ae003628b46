//! What reading finds: readings, places that are none, and the end.

use clap::ValueEnum;
use client::InputMark;
use recordings::text::{Counts, LineError, Measured};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// Ends the command, once everything before it has its receipt
    Stop,
    /// Is counted and passed over
    Skip,
}

/// What the thread that reads lines has found.
pub(super) enum Step {
    /// A reading, and where its file stands behind it.
    Reading(Measured, Option<InputMark>),
    /// A line or sample that is none, at which reading ended.
    Bad(Bad),
    /// The end, or the source's failure.
    End(anyhow::Result<End>),
}

/// A place in a file that is no reading.
pub(super) struct Bad {
    /// A line with its number, or a sample with its channel.
    pub(super) place: String,
    pub(super) why: String,
}

impl From<LineError> for Bad {
    fn from(error: LineError) -> Bad {
        Bad { place: format!("line {}", error.line), why: error.fault.to_string() }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// What there is to say when all lines are read.
#[derive(Default)]
pub(super) struct End {
    pub(super) counts: Counts,
    /// Lines passed over, the first of them in full.
    pub(super) skipped: Vec<Bad>,
    pub(super) skipped_lines: u64,
    /// Readings that were sent before, with the same state folder.
    pub(super) sent_before: u64,
    /// Whether the last line had no end.
    pub(super) is_cut: bool,
}

/// Errors of lines that are told in full.
pub(super) const TOLD_ERRORS_MAX: usize = 10;
