//! A time on a command line or in a document: read first, placed when zone and clock are known.

use std::str::FromStr;

use model::Millis;
use model::calendar::{CalendarError, Written};

use crate::{Zone, ZoneError};

/// A time as somebody wrote it, to be placed as the begin or the end of a period.
///
/// A date as an end includes that day, as FHIR has it (`Period.end`): `2027-12-31` ends where the
/// first of January begins.
///
/// ```
/// use model::Millis;
/// use recordings::{When, Zone};
///
/// let (now, day) = (Millis::from_unix_ms(0), "2027-12-31".parse::<When>()?);
/// assert_eq!(day.begin(&Zone::UTC, now)?.unix_ms(), 1_830_211_200_000);
/// assert_eq!(day.end(&Zone::UTC, now)?.unix_ms(), 1_830_297_600_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When(pub Written);

impl FromStr for When {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<When, CalendarError> {
        Written::parse(text).map(When)
    }
}

impl When {
    /// The first instant of what is written.
    ///
    /// # Errors
    /// [`ZoneError`] where the zone's clocks do not show it once.
    pub fn begin(&self, zone: &Zone, now: Millis) -> Result<Millis, ZoneError> {
        Ok(match self.0 {
            Written::Now => now,
            Written::Instant(at) => at.millis(),
            Written::Local(local) => zone.place(local)?.millis(),
            Written::Whole { begin, .. } => zone.place_begin(begin)?.millis(),
        })
    }

    /// The first instant after what is written: of a day, the begin of the next one.
    ///
    /// # Errors
    /// As [`When::begin`].
    pub fn end(&self, zone: &Zone, now: Millis) -> Result<Millis, ZoneError> {
        match self.0 {
            Written::Whole { end, .. } => Ok(zone.place_begin(end)?.millis()),
            _ => self.begin(zone, now),
        }
    }

    /// Whether it is a whole day, month or year, so that an end includes it.
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Written::Whole { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::calendar::Utc;

    fn period(from: &str, until: &str, zone: &str) -> String {
        let zone: Zone = zone.parse().unwrap();
        let now = Millis::from_unix_ms(1_777_624_200_250);
        let at = |text: &str| text.parse::<When>().unwrap();
        let (from, until) = (at(from).begin(&zone, now), at(until).end(&zone, now));
        format!("{} {}", Utc(from.unwrap()), Utc(until.unwrap()))
    }

    #[test]
    fn a_date_as_an_end_includes_its_day_in_the_zone_that_is_said() {
        for (from, until, zone, expected) in [
            ("2026", "2026", "UTC", "2026-01-01T00:00:00.000Z 2027-01-01T00:00:00.000Z"),
            ("2026-02", "2026-02", "+02:00", "2026-01-31T22:00:00.000Z 2026-02-28T22:00:00.000Z"),
            (
                "2026-03-29",
                "2026-03-29",
                "Europe/Berlin",
                "2026-03-28T23:00:00.000Z 2026-03-29T22:00:00.000Z",
            ),
            (
                "now",
                "2026-05-01T12:00Z",
                "UTC",
                "2026-05-01T08:30:00.250Z 2026-05-01T12:00:00.000Z",
            ),
        ] {
            assert_eq!(period(from, until, zone), expected);
        }
    }

    #[test]
    fn a_year_is_never_so_many_milliseconds() {
        let now = Millis::from_unix_ms(0);
        let year: When = "2025".parse().unwrap();
        assert_eq!(year.begin(&Zone::UTC, now).unwrap().unix_ms(), 1_735_689_600_000);
    }
}
