//! What is wrong with a line. A value is a patient's and stands in no error.

use model::calendar::CalendarError;
use thiserror::Error;

use super::columns::ColumnError;
use super::lines::LINE_BYTES_MAX;
use crate::ZoneError;
use crate::value::ValueFault;

/// A line that is no reading.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}: {fault}")]
pub struct LineError {
    /// From 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// More text than any line of readings has.
    #[error("expected at most {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// UTF-16, or no text at all.
    #[error("expected text in UTF-8, found zero bytes: save it as UTF-8")]
    NotText,
    /// Quotes within a field, or a field over several lines.
    #[error("expected quotes around whole fields")]
    Quotes,
    /// Another number of fields than the first row.
    #[error("expected {expected} fields, found {found}: say what separates them with --delimiter")]
    Fields {
        /// Of the first row.
        expected: usize,
        /// Of this.
        found: usize,
    },
    /// Columns cannot be told.
    #[error(transparent)]
    Columns(#[from] ColumnError),
    /// No column of times, and no rate.
    #[error("expected a time: say how far apart readings are with --rate-hz or --period")]
    NoTime,
    /// The time does not read.
    #[error(transparent)]
    Time(#[from] CalendarError),
    /// A number, and nothing says of what.
    #[error(
        "expected a time with date and zone, found a number{likely}: say with --time-unit s, ms, \
         us, ns"
    )]
    TimeNumber {
        /// What it would be now.
        likely: &'static str,
    },
    /// A time of day without a zone.
    #[error("expected a zone behind the time, as Z or +02:00, found none: say with --zone")]
    NoZone,
    /// The zone's clocks do not show it once.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Before anybody streamed readings.
    #[error(
        "expected a time after 2000-01-01, found one of {year}: another --time-unit? (a device's \
         own timer: --elapsed-since; as it stands: --allow-before)"
    )]
    Early {
        /// Its year.
        year: u64,
    },
    /// Ahead of the clock.
    #[error("expected a time that has been, found one {seconds} s ahead of this machine's clock")]
    Ahead {
        /// How far.
        seconds: u64,
    },
    /// The rate runs past the last time.
    #[error("expected fewer readings than there is time for")]
    TooMany,
    /// The value does not read.
    #[error("expected a number in {unit}, or a word for no value as off, nan or -")]
    Value {
        /// Unit of the signal.
        unit: &'static str,
    },
    /// The value is no reading.
    #[error(transparent)]
    NoReading(#[from] ValueFault),
}

impl Fault {
    /// Whether it is the whole file's and not this line's: no later line can be read either.
    pub fn is_final(&self) -> bool {
        matches!(self, Fault::NotText | Fault::Columns(_) | Fault::NoTime | Fault::TooMany)
    }
}
