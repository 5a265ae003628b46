//! Times as people write and read them: RFC 3339, a date, or milliseconds since 1970; and lengths
//! of time. The only calendar of the workspace.
//!
//! It is written out rather than taken from a crate because 44 bits end in 2457 and begin in 1900,
//! and because a wallet that links nothing else must print the times that its patient signs.

use std::fmt;

use thiserror::Error;

use crate::Millis;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Years that are read: times count from the first, and the last is the last that 44 bits hold
/// whole. They end in the middle of 2457, of which times are printed all the same.
const YEARS: std::ops::RangeInclusive<u64> = 1900..=2456;

/// Text that is no time, or no length of time.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CalendarError {
    /// No form fits.
    #[error(
        "expected a time as 2026-05-01T08:30:00Z, 2026-05-01T10:30:00+02:00, 2026-05-01, now, or \
         milliseconds since 1970, found something else"
    )]
    Time,
    /// A field is beyond its range.
    #[error("expected a {what} that exists from 1900 to 2456, found {found}")]
    Field {
        /// Which field.
        what: &'static str,
        /// Value found.
        found: u64,
    },
    /// No form of a length of time fits.
    #[error("expected a length of time as 90s, 30m, 24h or 7d, found something else")]
    Length,
}

/// A time as text. `now` stands for the given instant.
///
/// ```
/// use model::{Millis, calendar};
///
/// let now = Millis::from_unix_ms(0);
/// let read = calendar::parse_time("2026-05-01T10:30+02:00", now)?;
/// assert_eq!(calendar::Utc(read).to_string(), "2026-05-01T08:30:00.000Z");
/// # Ok::<(), calendar::CalendarError>(())
/// ```
///
/// # Errors
/// [`CalendarError`] that says which forms are read.
pub fn parse_time(text: &str, now: Millis) -> Result<Millis, CalendarError> {
    if text == "now" {
        return Ok(now);
    }
    // Digits alone are never a date: a date has dashes.
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let unix_ms = text.parse().map_err(|_| CalendarError::Time)?;
        // Since 1970, unlike all times inside: that is what other programs print.
        return Ok(Millis::from_unix_ms(unix_ms));
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let day_ms = read_date(date)?.days() * DAY_MS;
    let at = match time {
        // A date alone begins in UTC: in a local zone it would be another instant on another
        // machine.
        None => Some(day_ms),
        Some(time) => read_time_of_day(time)?.add_to(day_ms),
    };
    // A zone may move the first and the last day out of the range that a time has.
    let at = at.and_then(|at| Millis::new(at).ok());
    // Every field is sound by itself, so there is no one value to show.
    at.ok_or(CalendarError::Field { what: "time", found: 0 })
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

/// A day of the Gregorian calendar, not before 1900.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Date {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
}

impl Date {
    /// The day that comes `days` after 1900-01-01.
    fn of_days(mut days: u64) -> Date {
        // Counted, not computed: no formula to trust, and 557 years are nothing to count.
        let (mut year, mut month) = (*YEARS.start(), 1);
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Date { year, month, day: days + 1 }
    }

    /// Days from 1900-01-01 to this one.
    fn days(self) -> u64 {
        let years: u64 = (*YEARS.start()..self.year).map(days_of_year).sum();
        let months: u64 = (1..self.month).map(|month| days_of_month(self.year, month)).sum();
        years + months + self.day - 1
    }
}

fn is_leap(year: u64) -> bool {
    // Both exceptions are within the range: 1900 and 2100 are no leap years, 2000 is one.
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `YYYY-MM-DD`.
fn read_date(text: &str) -> Result<Date, CalendarError> {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().ok_or(CalendarError::Time);
    let (year, month, day) = (part()?, part()?, part()?);
    let year = read_field("year", year, 4, *YEARS.end())?;
    let month = read_field("month", month, 2, 12)?;
    let day = read_field("day", day, 2, 31)?;
    let refuse = |what, found| Err(CalendarError::Field { what, found });
    // `read_field` has compared with the greatest values only. The day is last: how many there are
    // depends on a month that exists.
    if year < *YEARS.start() {
        return refuse("year", year);
    }
    if month == 0 {
        return refuse("month", month);
    }
    if day == 0 || day > days_of_month(year, month) {
        return refuse("day", day);
    }
    Ok(Date { year, month, day })
}

/// Milliseconds of a day, and what its zone is ahead of UTC.
struct TimeOfDay {
    ms: u64,
    ahead_ms: i64,
}

impl TimeOfDay {
    fn add_to(&self, day_ms: u64) -> Option<u64> {
        // Subtracted: a clock that is ahead of UTC shows the same hour earlier.
        (day_ms + self.ms).checked_add_signed(-self.ahead_ms)
    }
}

/// `HH:MM[:SS[.fff]]` and `Z` or `+HH:MM`.
fn read_time_of_day(text: &str) -> Result<TimeOfDay, CalendarError> {
    // A time of day without a zone would mean another instant on another machine.
    let (clock, ahead_ms) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            // From the back, where a zone stands; a clock has no sign.
            let at = text.rfind(['+', '-']).ok_or(CalendarError::Time)?;
            let (hours, minutes) = text[at + 1..].split_once(':').ok_or(CalendarError::Time)?;
            let ms = read_field("hour", hours, 2, 23)? * HOUR_MS
                + read_field("minute", minutes, 2, 59)? * MINUTE_MS;
            (&text[..at], if text[at..].starts_with('-') { -(ms as i64) } else { ms as i64 })
        }
    };
    let mut parts = clock.splitn(3, ':');
    let hour = read_field("hour", parts.next().unwrap_or_default(), 2, 23)?;
    let minute = read_field("minute", parts.next().ok_or(CalendarError::Time)?, 2, 59)?;
    // No 60: a leap second has no number of its own in Unix time, from which all times come.
    let read_second = |text| read_field("second", text, 2, 59);
    let (second, fraction_ms) = match parts.next() {
        None => (0, 0),
        Some(second) => match second.split_once('.') {
            None => (read_second(second)?, 0),
            Some((second, fraction)) => (read_second(second)?, read_thousandths(fraction)?),
        },
    };
    let ms = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + fraction_ms;
    Ok(TimeOfDay { ms, ahead_ms })
}

/// The first three digits of a fraction; more are cut off, as the conversion to `Millis` floors.
fn read_thousandths(text: &str) -> Result<u64, CalendarError> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CalendarError::Time);
    }
    // Filled up behind: `.5` is half a second and not five thousandths.
    let digits = text.bytes().chain([b'0'; 2]).take(3);
    Ok(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// A number of exactly so many digits, at most `max`.
fn read_field(
    what: &'static str,
    text: &str,
    digits: usize,
    max: u64,
) -> Result<u64, CalendarError> {
    // Checked before parsing, which would take a sign.
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CalendarError::Time);
    }
    let found = text.parse().map_err(|_| CalendarError::Time)?;
    if found <= max { Ok(found) } else { Err(CalendarError::Field { what, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(ms: u64) -> Millis {
        Millis::from_unix_ms(ms)
    }

    #[test]
    fn every_form_of_one_instant_is_read() {
        let now = unix(5);
        let instant = unix(1_777_624_200_250);
        for text in [
            "2026-05-01T08:30:00.25Z",
            "2026-05-01t08:30:00.2509z",
            "2026-05-01 10:30:00.250+02:00",
            "2026-04-30T20:30:00.250-12:00",
            "1777624200250",
        ] {
            assert_eq!(parse_time(text, now), Ok(instant), "{text}");
        }
        assert_eq!(parse_time("now", now), Ok(now));
        assert_eq!(parse_time("1970-01-01", now), Ok(unix(0)));
        assert_eq!(parse_time("2024-02-29T00:00Z", now), parse_time("2024-02-29", now));
    }

    #[test]
    fn times_are_printed_in_utc_and_the_ends_in_words() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_777_624_200_250, "2026-05-01T08:30:00.250Z"),
            (1_795_339_801_000, "2026-11-22T09:30:01.000Z"),
        ] {
            assert_eq!(Utc(unix(unix_ms)).to_string(), text);
        }
        assert_eq!(Utc(Millis::new(1).unwrap()).to_string(), "1900-01-01T00:00:00.001Z");
        assert_eq!(Utc(Millis::UNBOUNDED_PAST).to_string(), "the beginning");
        assert_eq!(Utc(Millis::UNBOUNDED_FUTURE).to_string(), "for ever");
    }

    #[test]
    fn days_that_do_not_exist_and_other_text_are_refused() {
        let now = unix(0);
        for text in ["2025-02-29", "2025-13-01", "2025-00-01", "2025-04-31", "2025-01-00"] {
            assert!(matches!(parse_time(text, now), Err(CalendarError::Field { .. })), "{text}");
        }
        for text in ["", "yesterday", "2025-1-01", "2025-01-01T10", "2025-01-01T10:00:00", "-5"] {
            assert_eq!(parse_time(text, now), Err(CalendarError::Time), "{text}");
        }
        assert!(parse_time("1900-01-01T00:00:00+02:00", now).is_err());
        assert!(parse_time("1899-12-31", now).is_err());
        assert!(parse_time("2457-01-01", now).is_err());
    }

    #[test]
    fn text_of_every_day_reads_back() {
        for day in (0..203_000).step_by(97) {
            let at = Millis::new(day * DAY_MS + 86_399_999).unwrap();
            assert_eq!(parse_time(&Utc(at).to_string(), at), Ok(at));
        }
    }

    #[test]
    fn lengths_have_one_unit() {
        assert_eq!(parse_length("24h"), Ok(DAY_MS));
        assert_eq!(parse_length("90s"), Ok(90_000));
        for text in ["", "h", "24", "1w", "-1h", "1.5h", "99999999999999999999d"] {
            assert_eq!(parse_length(text), Err(CalendarError::Length), "{text}");
        }
    }
}
