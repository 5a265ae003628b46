//! What a text says of a time, before anything is added that it does not say.
//!
//! A date without a zone is another instant in another place, a year is not a day, and digits alone
//! may be a date, seconds or milliseconds. So reading a text and placing it are two steps: whoever
//! places it says which zone holds, and whether a whole day counts from its begin or to its end.

use super::date::{DAY_MS, Date, FIRST_YEAR, HOUR_MS, MINUTE_MS, SECOND_MS, days_of_month};
use super::error::CalendarError;
use crate::Millis;

/// The last year that is read: the last that 44 bits of milliseconds hold whole.
const LAST_YEAR: u64 = 2456;
/// Days from 1900-01-01 to the end of the last year.
const DAYS: u64 = 203_441;
const SECOND_US: u64 = SECOND_MS * 1000;
const DAY_US: u64 = DAY_MS * 1000;
/// Longest text that is looked at: the longest form has 35 bytes.
const TEXT_BYTES_MAX: usize = 64;

/// A point of time to the microsecond. In range by construction: from 1900 to the end of 2456.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(u64);

impl Instant {
    /// The last microsecond of the last year that is read.
    pub const LAST: Instant = Instant(DAYS * DAY_US - 1);

    /// From microseconds since 1900-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`CalendarError::Beyond`] after the end of 2456, whose times are printed and would not read
    /// back.
    pub fn from_micros(micros: u64) -> Result<Instant, CalendarError> {
        if micros <= Instant::LAST.0 {
            return Ok(Instant(micros));
        }
        Err(CalendarError::Beyond)
    }

    /// Microseconds since 1900-01-01T00:00:00Z.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The millisecond that holds it.
    pub fn millis(self) -> Millis {
        // Below 2^44 ms by construction, so the fallback is unreachable.
        Millis::new(self.0 / 1000).unwrap_or(Millis::UNBOUNDED_FUTURE)
    }
}

/// A date and time of day on the clocks of some place: microseconds since 1900-01-01T00:00 there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Local(u64);

impl Local {
    /// Microseconds since 1900-01-01T00:00 on the same clock.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The instant at which a clock shows this that is so far ahead of UTC.
    ///
    /// # Errors
    /// [`CalendarError::Beyond`] where that is before 1900 or after 2456.
    pub fn at_offset(self, ahead_s: i32) -> Result<Instant, CalendarError> {
        // Subtracted: a clock that is ahead of UTC shows the same hour earlier.
        let ahead_us = i64::from(ahead_s) * SECOND_US as i64;
        let micros = self.0.checked_add_signed(-ahead_us).ok_or(CalendarError::Beyond)?;
        Instant::from_micros(micros)
    }
}

/// A time as somebody wrote it.
///
/// ```
/// use model::calendar::Written;
///
/// let Written::Whole { begin, end } = Written::parse("2025")? else { panic!("a year") };
/// assert_eq!(begin.at_offset(0)?.millis().unix_ms(), 1_735_689_600_000);
/// assert_eq!(end.at_offset(0)?.millis().unix_ms(), 1_767_225_600_000);
/// assert!(Written::parse("1777624200").is_err(), "seconds, or what?");
/// # Ok::<(), model::calendar::CalendarError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// The word `now`.
    Now,
    /// Date, time of day and offset from UTC; or milliseconds since 1970.
    Instant(Instant),
    /// Date and time of day, and no zone.
    Local(Local),
    /// A whole year, month or day, and no zone.
    Whole {
        /// Its first instant.
        begin: Local,
        /// The first after it.
        end: Local,
    },
}

impl Written {
    /// Reads one of the forms of RFC 3339 and ISO 8601, extended or basic: `2026`, `2026-05`,
    /// `2026-05-01`, `20260501`, a date with `T` or a blank and `08:30[:00[.25]]` or `083000`, with
    /// `Z`, ` UTC`, `+02:00`, `+0200`, `+02` or no zone; 13 digits as milliseconds since 1970; or
    /// `now`. Microseconds are kept, what is finer is cut off.
    ///
    /// # Errors
    /// [`CalendarError`] that says what is missing or which field does not exist. Nothing is
    /// guessed: other counts of digits and dates that begin with the day are refused.
    pub fn parse(text: &str) -> Result<Written, CalendarError> {
        if text == "now" {
            return Ok(Written::Now);
        }
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || !text.is_ascii() {
            return Err(CalendarError::Time);
        }
        if is_digits(text) {
            return read_digits(text);
        }
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, time.trim_start()),
            None => return read_date(text).map(Whole::written),
        };
        let day = match read_date(date)? {
            Whole::Day(day) => day,
            // A time of day of a whole month is no time.
            Whole::Year(_) | Whole::Month(..) => return Err(CalendarError::Time),
        };
        let (clock, ahead_s) = split_zone(time)?;
        let clock = read_clock(clock)?;
        let local = Local(day.days() * DAY_US + clock.micros);
        if clock.is_leap {
            return leap_second(local, ahead_s);
        }
        ahead_s.map_or(Ok(Written::Local(local)), |ahead_s| {
            local.at_offset(ahead_s).map(Written::Instant)
        })
    }
}

/// A date, as far as it is written.
#[derive(Clone, Copy)]
enum Whole {
    Year(u64),
    Month(u64, u64),
    Day(Date),
}

impl Whole {
    fn written(self) -> Written {
        let first = |year, month| Date { year, month, day: 1 }.days();
        let (begin, end) = match self {
            Whole::Year(year) => (first(year, 1), first(year + 1, 1)),
            Whole::Month(year, 12) => (first(year, 12), first(year + 1, 1)),
            Whole::Month(year, month) => (first(year, month), first(year, month + 1)),
            Whole::Day(day) => (day.days(), day.days() + 1),
        };
        Written::Whole { begin: Local(begin * DAY_US), end: Local(end * DAY_US) }
    }
}

/// Digits alone. Which they are follows from how many there are, and only where nothing else that
/// people write has as many.
fn read_digits(text: &str) -> Result<Written, CalendarError> {
    match text.len() {
        4 => read_year(text).map(|year| Whole::Year(year).written()),
        8 => read_date(text).map(Whole::written),
        // From 2001 to 2286: a number of seconds has ten digits until 2286, microseconds sixteen.
        13 => {
            let unix_ms = text.parse::<u64>().map_err(|_| CalendarError::Time)?;
            let micros = Millis::from_unix_ms(unix_ms).get() * 1000;
            Instant::from_micros(micros).map(Written::Instant)
        }
        14 => {
            let (date, clock) = text.split_at(8);
            let Whole::Day(day) = read_date(date)? else { return Err(CalendarError::Time) };
            let clock = read_clock(clock)?;
            let local = Local(day.days() * DAY_US + clock.micros);
            if clock.is_leap { leap_second(local, None) } else { Ok(Written::Local(local)) }
        }
        found => Err(CalendarError::Digits { found }),
    }
}

fn read_year(text: &str) -> Result<u64, CalendarError> {
    let year = read_field("year", text, 4, LAST_YEAR)?;
    let refuse = CalendarError::Field { what: "year", found: year };
    if year < FIRST_YEAR { Err(refuse) } else { Ok(year) }
}

/// `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, `YYYY/MM/DD` or `YYYYMMDD`.
fn read_date(text: &str) -> Result<Whole, CalendarError> {
    if text.len() == 8 && is_digits(text) {
        return read_day(&text[..4], &text[4..6], &text[6..]);
    }
    let separator = if text.contains('/') { '/' } else { '-' };
    let mut parts = text.split(separator);
    let year = parts.next().unwrap_or_default();
    // 01/02/2026 is in January or in February, by where it was written.
    if (1..=2).contains(&year.len()) && is_digits(year) {
        return Err(CalendarError::YearLast);
    }
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => read_year(year).map(Whole::Year),
        (Some(month), None, _) => {
            let year = read_year(year)?;
            read_month(month).map(|month| Whole::Month(year, month))
        }
        (Some(month), Some(day), None) => read_day(year, month, day),
        (_, _, Some(_)) => Err(CalendarError::Time),
    }
}

fn read_month(text: &str) -> Result<u64, CalendarError> {
    match read_field("month", text, 2, 12)? {
        0 => Err(CalendarError::Field { what: "month", found: 0 }),
        month => Ok(month),
    }
}

fn read_day(year: &str, month: &str, day: &str) -> Result<Whole, CalendarError> {
    let (year, month) = (read_year(year)?, read_month(month)?);
    let day = read_field("day", day, 2, 31)?;
    // How many there are depends on a month that exists, so the day is last.
    if day == 0 || day > days_of_month(year, month) {
        return Err(CalendarError::Field { what: "day", found: day });
    }
    Ok(Whole::Day(Date { year, month, day }))
}

/// A time of day and, if one is written, how many seconds its zone is ahead of UTC.
fn split_zone(text: &str) -> Result<(&str, Option<i32>), CalendarError> {
    for utc in ["Z", "z", "UTC", "GMT"] {
        if let Some(clock) = text.strip_suffix(utc) {
            return Ok((clock.trim_end(), Some(0)));
        }
    }
    // From the back, where a zone stands; a clock has no sign.
    let Some(at) = text.rfind(['+', '-']) else { return Ok((text, None)) };
    Ok((text[..at].trim_end(), Some(read_offset(&text[at..])?)))
}

/// Seconds of `+HH:MM`, `+HHMM` or `+HH`, behind the sign that says whether ahead of UTC.
///
/// # Errors
/// [`CalendarError`] for anything else.
pub fn read_offset(text: &str) -> Result<i32, CalendarError> {
    let Some(digits) = text.strip_prefix(['+', '-']) else { return Err(CalendarError::Time) };
    if !digits.is_ascii() {
        return Err(CalendarError::Time);
    }
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(fields), _) => fields,
        (None, 2) => (digits, "00"),
        (None, 4) => digits.split_at(2),
        (None, _) => return Err(CalendarError::Time),
    };
    let minutes = read_field("hour", hours, 2, 23)? * 60 + read_field("minute", minutes, 2, 59)?;
    let seconds = (minutes * 60) as i32;
    Ok(if text.starts_with('-') { -seconds } else { seconds })
}

/// A time of day.
struct ClockTime {
    /// Since midnight. Of a leap second, of the second before it.
    micros: u64,
    /// Whether the second was 60.
    is_leap: bool,
}

/// `HH:MM[:SS[.f]]`, `HHMM[SS[.f]]`, with a point or a comma before the fraction.
fn read_clock(text: &str) -> Result<ClockTime, CalendarError> {
    let (whole, fraction_us) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, read_millionths(fraction)?),
        None => (text, 0),
    };
    let (hour, minute, second) = if is_digits(whole) {
        match whole.len() {
            4 => (&whole[..2], &whole[2..], None),
            6 => (&whole[..2], &whole[2..4], Some(&whole[4..])),
            _ => return Err(CalendarError::Time),
        }
    } else {
        let mut parts = whole.splitn(3, ':');
        let mut part = || parts.next();
        let (hour, minute) = (part().unwrap_or_default(), part().ok_or(CalendarError::Time)?);
        (hour, minute, part())
    };
    // Half a minute is no form of RFC 3339, and reads as seconds to most people.
    if second.is_none() && text.len() != whole.len() {
        return Err(CalendarError::Time);
    }
    let hour = read_field("hour", hour, 2, 23)?;
    let minute = read_field("minute", minute, 2, 59)?;
    let second = second.map_or(Ok(0), |second| read_field("second", second, 2, 60))?;
    let is_leap = second == 60;
    let ms = hour * HOUR_MS + minute * MINUTE_MS + second.min(59) * SECOND_MS;
    Ok(ClockTime { micros: ms * 1000 + fraction_us, is_leap })
}

/// A leap second has no number of its own in Unix time, which counts it as the second after it:
/// so it is read. It can only be the last second of a June or December in UTC (ITU-R TF.460).
fn leap_second(before: Local, ahead_s: Option<i32>) -> Result<Written, CalendarError> {
    let Some(ahead_s) = ahead_s else { return Err(CalendarError::LeapWithoutZone) };
    let after = Local(before.0 + SECOND_US).at_offset(ahead_s)?;
    let date = Date::of_days(after.0 / DAY_US);
    let begins_half_year = date.day == 1 && matches!(date.month, 1 | 7);
    if begins_half_year && after.0 % DAY_US < SECOND_US {
        return Ok(Written::Instant(after));
    }
    Err(CalendarError::NoLeapSecond)
}

/// The first six digits of a fraction; more are cut off, as all conversions floor.
fn read_millionths(text: &str) -> Result<u64, CalendarError> {
    if text.is_empty() || text.len() > 9 || !is_digits(text) {
        return Err(CalendarError::Time);
    }
    // Filled up behind: `.5` is half a second and not five millionths.
    let digits = text.bytes().chain([b'0'; 5]).take(6);
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
    if text.len() != digits || !is_digits(text) {
        return Err(CalendarError::Time);
    }
    let found = text.parse().map_err(|_| CalendarError::Time)?;
    if found <= max { Ok(found) } else { Err(CalendarError::Field { what, found }) }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
