//! Why a text is no time.

use thiserror::Error;

/// Text that is no time, or no length of time.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CalendarError {
    /// No form fits.
    #[error(
        "expected a time as 2026-05-01T08:30:00Z, 2026-05-01T10:30:00+02:00, 2026-05-01, 2026, or \
         now, found something else"
    )]
    Time,
    /// Digits alone that may be several things.
    #[error(
        "expected a year (4 digits), a date (8), a date and time (14) or milliseconds since 1970 \
         (13), found {found} digits: write the time as 2026-05-01T08:30:00Z"
    )]
    Digits {
        /// How many.
        found: usize,
    },
    /// A date that begins with the day or the month.
    #[error("expected the year first, as 2026-05-01: which of the others is the month differs")]
    YearLast,
    /// A date and time of day, and nothing says where.
    #[error("expected a zone, as Z or +02:00 behind the time, found none")]
    NoZone,
    /// A whole day, month or year where one instant is needed.
    #[error("expected a time of day with its zone, as 2026-05-01T08:30:00Z, found a whole {what}")]
    NoClock {
        /// `day`, `month` or `year`.
        what: &'static str,
    },
    /// A field is beyond its range.
    #[error("expected a {what} {}, found {found}", range(what))]
    Field {
        /// Which field.
        what: &'static str,
        /// Value found.
        found: u64,
    },
    /// A second 60, and nothing says where.
    #[error(
        "expected a zone, as Z or +02:00, behind a second 60, found none: only in UTC is known \
         which minutes have one"
    )]
    LeapWithoutZone,
    /// A second 60 of a minute that has none.
    #[error(
        "expected second 60 only at the end of a June or December in UTC, where leap seconds are, \
         found it elsewhere"
    )]
    NoLeapSecond,
    /// The zone moves a time out of the range.
    #[error("expected a time from 1900 to the end of 2456 in UTC, found one beyond")]
    Beyond,
    /// No form of a length of time fits.
    #[error("expected a length of time as 90s, 30m, 24h or 7d, found something else")]
    Length,
}

/// What a field has to be.
fn range(what: &str) -> &'static str {
    if what == "year" { "from 1900 to 2456" } else { "that exists" }
}
