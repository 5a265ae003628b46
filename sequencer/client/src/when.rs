//! Times as people write them: RFC 3339, a date, or milliseconds since 1970; and lengths of time.

use std::fmt;

use model::Millis;
use thiserror::Error;

const DAY_MS: u64 = 86_400_000;
/// Days from 1900-01-01 to 1970-01-01.
const UNIX_EPOCH_DAYS: u64 = 25_567;
/// First year that is not read; 44 bits end in it.
const YEAR_LIMIT: u64 = 2457;

/// Text that is no time.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WhenError {
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
/// # Errors
/// [`WhenError`] that says which forms are read.
pub fn parse(text: &str, now: Millis) -> Result<Millis, WhenError> {
    if text == "now" {
        return Ok(now);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let unix_ms = text.parse().map_err(|_| WhenError::Time)?;
        return Ok(Millis::from_unix_ms(unix_ms));
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let day_ms = days(date)? * DAY_MS;
    let at = match time {
        None => Some(day_ms),
        Some(time) => of_day(time)?.add_to(day_ms),
    };
    let at = at.and_then(|at| Millis::new(at).ok());
    at.ok_or(WhenError::Field { what: "time", found: 0 })
}

/// Milliseconds of a length of time as `90s`, `30m`, `24h` or `7d`.
///
/// # Errors
/// [`WhenError::Length`].
pub fn parse_length(text: &str) -> Result<u64, WhenError> {
    let (number, unit) =
        text.split_at_checked(text.len().saturating_sub(1)).ok_or(WhenError::Length)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        _ => return Err(WhenError::Length),
    };
    let number: u64 = number.parse().map_err(|_| WhenError::Length)?;
    number.checked_mul(unit_ms).ok_or(WhenError::Length)
}

/// A time in UTC, as RFC 3339 with milliseconds; the unbounded ends in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Utc(pub Millis);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Millis::UNBOUNDED_PAST => f.write_str("the beginning"),
            Millis::UNBOUNDED_FUTURE => f.write_str("for ever"),
            at => {
                let (days, ms) = (at.get() / DAY_MS, at.get() % DAY_MS);
                let (year, month, day) = date_of(days);
                let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
                write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")?;
                write!(f, ":{:02}.{:03}Z", ms / 1000 % 60, ms % 1000)
            }
        }
    }
}

/// Milliseconds of a day and what a zone takes off or adds.
struct OfDay {
    ms: u64,
    offset_ms: i64,
}

impl OfDay {
    fn add_to(&self, day_ms: u64) -> Option<u64> {
        (day_ms + self.ms).checked_add_signed(-self.offset_ms)
    }
}

/// `HH:MM[:SS[.fff]]` and `Z` or `+HH:MM`.
fn of_day(text: &str) -> Result<OfDay, WhenError> {
    let (clock, offset_ms) = match text.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = text.rfind(['+', '-']).ok_or(WhenError::Time)?;
            let (hours, minutes) = text[at + 1..].split_once(':').ok_or(WhenError::Time)?;
            let ms = field("hour", hours, 2, 24)? * 3_600_000
                + field("minute", minutes, 2, 60)? * 60_000;
            (&text[..at], if text[at..].starts_with('-') { -(ms as i64) } else { ms as i64 })
        }
    };
    let mut parts = clock.splitn(3, ':');
    let hour = field("hour", parts.next().unwrap_or_default(), 2, 24)?;
    let minute = field("minute", parts.next().ok_or(WhenError::Time)?, 2, 60)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(second) => match second.split_once('.') {
            None => (field("second", second, 2, 60)?, 0),
            Some((second, fraction)) => (field("second", second, 2, 60)?, thousandths(fraction)?),
        },
    };
    Ok(OfDay { ms: hour * 3_600_000 + minute * 60_000 + second * 1000 + fraction, offset_ms })
}

/// The first three digits of a fraction; more are cut off, as the conversion to `Millis` floors.
fn thousandths(text: &str) -> Result<u64, WhenError> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WhenError::Time);
    }
    let digits = text.bytes().chain([b'0'; 2]).take(3);
    Ok(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Days since 1900-01-01 of `YYYY-MM-DD`.
fn days(text: &str) -> Result<u64, WhenError> {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().ok_or(WhenError::Time);
    let (year, month, day) = (part()?, part()?, part()?);
    let year = field("year", year, 4, YEAR_LIMIT)?;
    let month = field("month", month, 2, 13)?;
    let day = field("day", day, 2, 32)?;
    let wrong = |what, found| Err(WhenError::Field { what, found });
    if year < 1900 {
        return wrong("year", year);
    }
    if month == 0 {
        return wrong("month", month);
    }
    let days = days_before(year, month) + day.saturating_sub(1);
    if date_of(days) != (year, month, day) {
        return wrong("day", day);
    }
    Ok(days)
}

fn field(what: &'static str, text: &str, digits: usize, limit: u64) -> Result<u64, WhenError> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WhenError::Time);
    }
    let found = text.parse().map_err(|_| WhenError::Time)?;
    if found < limit { Ok(found) } else { Err(WhenError::Field { what, found }) }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1900-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1900..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    years + (1..month).map(|month| month_days(year, month)).sum::<u64>()
}

/// Year, month and day of a number of days since 1900-01-01.
fn date_of(mut days: u64) -> (u64, u64, u64) {
    let (mut year, mut month) = (1900, 1);
    while days >= if is_leap(year) { 366 } else { 365 } {
        days -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

const _: () = assert!(UNIX_EPOCH_DAYS * DAY_MS == 2_208_988_800_000);

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
            assert_eq!(parse(text, now), Ok(instant), "{text}");
        }
        assert_eq!(parse("now", now), Ok(now));
        assert_eq!(parse("1970-01-01", now), Ok(unix(0)));
        assert_eq!(parse("2024-02-29T00:00Z", now), parse("2024-02-29", now));
        assert_eq!(Utc(instant).to_string(), "2026-05-01T08:30:00.250Z");
    }

    #[test]
    fn days_that_do_not_exist_and_other_text_are_refused() {
        let now = unix(0);
        for text in ["2025-02-29", "2025-13-01", "2025-00-01", "2025-04-31", "2025-01-00"] {
            assert!(matches!(parse(text, now), Err(WhenError::Field { .. })), "{text}");
        }
        for text in ["", "yesterday", "2025-1-01", "2025-01-01T10", "2025-01-01T10:00:00", "-5"] {
            assert_eq!(parse(text, now), Err(WhenError::Time), "{text}");
        }
        assert!(parse("1900-01-01T00:00:00+02:00", now).is_err());
    }

    #[test]
    fn text_of_every_day_reads_back() {
        for day in (0..203_000).step_by(97) {
            let at = Millis::new(day * DAY_MS + 86_399_999).unwrap();
            assert_eq!(parse(&Utc(at).to_string(), at), Ok(at));
        }
    }

    #[test]
    fn lengths_have_one_unit() {
        assert_eq!(parse_length("24h"), Ok(DAY_MS));
        assert_eq!(parse_length("90s"), Ok(90_000));
        for text in ["", "h", "24", "1w", "-1h", "1.5h", "99999999999999999999d"] {
            assert_eq!(parse_length(text), Err(WhenError::Length), "{text}");
        }
    }
}
