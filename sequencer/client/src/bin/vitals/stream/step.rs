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
    /// A line or sample that is none, at which reading ended, and what stood before it.
    Bad(Bad, Box<End>),
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
    /// Lines or samples passed over, all of them.
    pub(super) skipped_lines: u64,
    /// Why, the first reasons that were met.
    pub(super) skipped: Vec<Skipped>,
    /// Whether the last line had no end.
    pub(super) is_cut: bool,
}

/// Places that were passed over for one reason.
pub(super) struct Skipped {
    pub(super) first: Bad,
    pub(super) count: u64,
}

/// Reasons that are told.
const REASONS_MAX: usize = 10;

impl End {
    /// Counts a place that was passed over.
    pub(super) fn skip(&mut self, bad: Bad) {
        self.skipped_lines += 1;
        if let Some(same) = self.skipped.iter_mut().find(|one| one.first.why == bad.why) {
            same.count += 1;
        } else if self.skipped.len() < REASONS_MAX {
            self.skipped.push(Skipped { first: bad, count: 1 });
        }
    }
}
