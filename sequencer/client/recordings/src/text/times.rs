//! When readings were taken: as their lines say, or at a steady rate.

use model::calendar::{CalendarError, Instant, Written};

use super::fault::Fault;
use crate::period::{self, Period};
use crate::{Decimal, Zone};

/// What a number in a column of times counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl TimeUnit {
    /// Powers of ten below a second.
    fn decimals(self) -> u32 {
        match self {
            TimeUnit::Seconds => 0,
            TimeUnit::Milliseconds => 3,
            TimeUnit::Microseconds => 6,
            TimeUnit::Nanoseconds => 9,
        }
    }
}

impl std::str::FromStr for TimeUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeUnit, String> {
        match text {
            "s" => Ok(TimeUnit::Seconds),
            "ms" => Ok(TimeUnit::Milliseconds),
            "us" => Ok(TimeUnit::Microseconds),
            "ns" => Ok(TimeUnit::Nanoseconds),
            _ => Err("expected s, ms, us or ns".to_owned()),
        }
    }
}

/// Where times come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Times {
    /// Each line says.
    InLines {
        /// What numbers count; `None` takes none but milliseconds of thirteen digits.
        unit: Option<TimeUnit>,
        /// Since when numbers count; `None` from 1970.
        since: Option<Instant>,
        /// Where a time of day without a zone was written.
        zone: Option<Zone>,
        /// Whether a time before 2000 is taken as it stands.
        allow_before: bool,
    },
    /// The first at a time, the others at a fixed distance.
    Steady {
        /// Time of the first.
        start: Instant,
        /// Distance.
        period: Period,
    },
}

impl Default for Times {
    fn default() -> Times {
        Times::InLines { unit: None, since: None, zone: None, allow_before: false }
    }
}

/// Microseconds from 1900 to 1970 and to 2000.
const UNIX_EPOCH_US: u64 = 2_208_988_800_000_000;
const PLAUSIBLE_US: u64 = UNIX_EPOCH_US + 946_684_800_000_000;

impl Times {
    /// The time of a field.
    pub(super) fn read(&self, text: &str) -> Result<Instant, Fault> {
        let Times::InLines { unit, since, zone, allow_before } = self else {
            return Err(Fault::NoTime);
        };
        let at = match unit {
            Some(unit) => read_number(text, *unit, *since)?,
            None => read_written(text, zone.as_ref())?,
        };
        if at.micros() < PLAUSIBLE_US && !allow_before {
            let year = model::calendar::year_of(at);
            return Err(Fault::Early { year });
        }
        Ok(at)
    }
}

/// A count of units since 1970, or since a time.
fn read_number(text: &str, unit: TimeUnit, since: Option<Instant>) -> Result<Instant, Fault> {
    let number: Decimal = text.parse().map_err(|_| CalendarError::Time)?;
    let begin = since.map_or(UNIX_EPOCH_US, Instant::micros);
    let micros = number.floor_micros(unit.decimals()).ok_or(CalendarError::Beyond)?;
    let micros = begin.checked_add_signed(micros).ok_or(CalendarError::Beyond)?;
    Ok(Instant::from_micros(micros)?)
}

fn read_written(text: &str, zone: Option<&Zone>) -> Result<Instant, Fault> {
    let is_number = text.parse::<Decimal>().is_ok();
    match Written::parse(text) {
        Ok(Written::Instant(at)) => Ok(at),
        Ok(Written::Local(local)) => match zone {
            Some(zone) => Ok(zone.place(local)?),
            None => Err(Fault::NoZone),
        },
        // A recording must mean the same whenever it is read, and a slow pipe would shift it.
        Ok(Written::Now) => Err(CalendarError::Time.into()),
        Ok(Written::Whole { .. }) => Err(CalendarError::NoClock { what: "day or year" }.into()),
        Err(_) if is_number => Err(Fault::TimeNumber { likely: likely(text) }),
        Err(error) => Err(error.into()),
    }
}

/// What a number of so many digits counts since 1970, were it a time of these years.
fn likely(text: &str) -> &'static str {
    match text.split(['.', ',']).next().map_or(0, str::len) {
        // Eight may be a day that does not exist.
        8 if text.starts_with("19") || text.starts_with("20") => "",
        // A FIT device counts from 1990, or while it has no time from when it was switched on.
        8 | 9 => " (of a device's own timer? then --elapsed-since, for FIT 1989-12-31T00:00:00Z)",
        10 => " (of seconds since 1970, by its digits)",
        16 => " (of microseconds since 1970, by its digits)",
        19 => " (of nanoseconds since 1970, by its digits)",
        1..=7 => " (of a device's own timer? then --elapsed-since)",
        _ => "",
    }
}

/// Whether a header's field is a time and the line no header.
pub(super) fn is_time(text: &str) -> bool {
    // `now` is a word like any other here.
    matches!(
        Written::parse(text),
        Ok(Written::Instant(_) | Written::Local(_) | Written::Whole { .. })
    )
}

/// The time of a row at a steady rate.
pub(super) fn at_row(start: Instant, period: Period, row: u64) -> Result<Instant, Fault> {
    period.after(start, row).ok_or(Fault::TooMany)
}

/// Refuses what lies further ahead of the clock than a node would wait for.
pub(super) fn check_ahead(at: Instant, now: Instant) -> Result<Instant, Fault> {
    period::ahead_s(at, now).map_or(Ok(at), |seconds| Err(Fault::Ahead { seconds }))
}
