//! Times as people write and read them, and lengths of time. The only calendar of the workspace.
//!
//! It is written out rather than taken from a crate because 44 bits end in 2457 and begin in 1900,
//! and because a wallet that links nothing else must print the times that its patient signs. Zones
//! by name are not known here: what a text does not say stays open ([`Written`]).

use std::fmt;

use crate::Millis;

use self::date::{DAY_MS, Date, HOUR_MS, MINUTE_MS, SECOND_MS};
pub use self::error::CalendarError;
pub use self::written::{Instant, Local, Written, read_offset};

mod date;
mod error;
mod written;

/// A text that is one instant wherever and whenever it is read: with its zone, and not `now`.
///
/// ```
/// use model::calendar;
///
/// let read = calendar::parse_instant("2026-05-01T10:30+02:00")?;
/// assert_eq!(calendar::Utc(read.millis()).to_string(), "2026-05-01T08:30:00.000Z");
/// assert!(calendar::parse_instant("2026-05-01T10:30").is_err());
/// # Ok::<(), calendar::CalendarError>(())
/// ```
///
/// # Errors
/// [`CalendarError`] that says which forms are read, or what is missing.
pub fn parse_instant(text: &str) -> Result<Instant, CalendarError> {
    match Written::parse(text)? {
        Written::Instant(at) => Ok(at),
        Written::Now => Err(CalendarError::Time),
        Written::Local(_) => Err(CalendarError::NoZone),
        Written::Whole { begin, end } => {
            let days = (end.micros() - begin.micros()) / (DAY_MS * 1000);
            let what = if days == 1 {
                "day"
            } else if days > 31 {
                "year"
            } else {
                "month"
            };
            Err(CalendarError::NoClock { what })
        }
    }
}

/// The year of an instant, in UTC.
pub fn year_of(at: Instant) -> u64 {
    Date::of_days(at.micros() / (DAY_MS * 1000)).year
}

/// Milliseconds of a length of time as `90s`, `30m`, `24h` or `7d`.
///
/// # Errors
/// [`CalendarError::Length`].
pub fn parse_length(text: &str) -> Result<u64, CalendarError> {
    // By bytes: if the last one lies within a character there is no such unit.
    let (number, unit) =
        text.split_at_checked(text.len().saturating_sub(1)).ok_or(CalendarError::Length)?;
    let unit_ms = match unit {
        "s" => SECOND_MS,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        _ => return Err(CalendarError::Length),
    };
    // Checked before parsing, which would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CalendarError::Length);
    }
    let number: u64 = number.parse().map_err(|_| CalendarError::Length)?;
    number.checked_mul(unit_ms).ok_or(CalendarError::Length)
}

/// A time in UTC, as RFC 3339 with milliseconds; the unbounded ends in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Utc(pub Millis);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // In words: as dates they would read as if somebody had chosen that day.
            Millis::UNBOUNDED_PAST => f.write_str("the beginning"),
            Millis::UNBOUNDED_FUTURE => f.write_str("for ever"),
            at => {
                let (days, ms) = (at.get() / DAY_MS, at.get() % DAY_MS);
                let Date { year, month, day } = Date::of_days(days);
                let (hour, minute) = (ms / HOUR_MS, ms / MINUTE_MS % 60);
                write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")?;
                write!(f, ":{:02}.{:03}Z", ms / SECOND_MS % 60, ms % SECOND_MS)
            }
        }
    }
}

#[cfg(test)]
mod tests;
