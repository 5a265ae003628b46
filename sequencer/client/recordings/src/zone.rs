//! Zones: an offset from UTC, or a name of the IANA database.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use model::Millis;
use model::calendar::{CalendarError, Instant, Local, Utc, read_offset};
use thiserror::Error;

/// Seconds from 1900 to 1970.
const UNIX_EPOCH_S: i64 = 2_208_988_800;

/// Where clocks show what a text says.
///
/// The database of names is part of the program, so that one text is one instant on every machine.
///
/// ```
/// use model::calendar::Written;
/// use recordings::Zone;
///
/// let Written::Local(noon) = Written::parse("2026-07-01T12:00")? else { panic!("no zone") };
/// let berlin: Zone = "Europe/Berlin".parse()?;
/// assert_eq!(berlin.place(noon)?, model::calendar::parse_instant("2026-07-01T10:00Z")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Zone {
    /// So many seconds ahead of UTC.
    Offset(i32),
    /// A place, whose offset changes.
    Named(TimeZone),
}

/// A zone that there is not, or a time that its clocks do not show once.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ZoneError {
    /// Neither an offset nor a name.
    #[error("expected UTC, an offset as +02:00, or a name as Europe/Berlin, found another zone")]
    Unknown,
    /// Clocks were put forward over it.
    #[error(
        "expected a time that clocks in {zone} show, found one that they leave out when they are \
         put forward: write it with its offset, as +02:00"
    )]
    Skipped {
        /// The zone.
        zone: String,
    },
    /// Clocks were put back over it.
    #[error(
        "expected a time that clocks in {zone} show once, found one that they show twice when \
         they are put back: write it with its offset, as +02:00"
    )]
    Repeated {
        /// The zone.
        zone: String,
    },
    /// Out of range.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone::Offset(0);

    /// The instant at which clocks of this zone show a time.
    ///
    /// # Errors
    /// [`ZoneError`] where they show it never or twice: which was meant is in no file.
    pub fn place(&self, local: Local) -> Result<Instant, ZoneError> {
        match (self, self.offsets(local)?) {
            (Zone::Offset(ahead_s), _) => Ok(local.at_offset(*ahead_s)?),
            (_, AmbiguousOffset::Unambiguous { offset }) => Ok(local.at_offset(offset.seconds())?),
            (_, AmbiguousOffset::Gap { .. }) => Err(ZoneError::Skipped { zone: self.to_string() }),
            (_, AmbiguousOffset::Fold { .. }) => {
                Err(ZoneError::Repeated { zone: self.to_string() })
            }
        }
    }

    /// The first instant of a day, month or year. Where clocks are put forward at midnight, it is
    /// the first that they show; where they are put back over it, the earlier.
    ///
    /// # Errors
    /// [`ZoneError::Calendar`] out of range.
    pub fn place_begin(&self, local: Local) -> Result<Instant, ZoneError> {
        let ahead_s = match (self, self.offsets(local)?) {
            (Zone::Offset(ahead_s), _) => *ahead_s,
            (_, AmbiguousOffset::Unambiguous { offset }) => offset.seconds(),
            // With the offset before the gap midnight is the instant at which the gap begins.
            (_, AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. }) => {
                before.seconds()
            }
        };
        Ok(local.at_offset(ahead_s)?)
    }

    fn offsets(&self, local: Local) -> Result<AmbiguousOffset, ZoneError> {
        let Zone::Named(zone) = self else {
            return Ok(AmbiguousOffset::Unambiguous { offset: jiff::tz::Offset::UTC });
        };
        let since = SignedDuration::from_micros(local.micros() as i64);
        let shown: DateTime = date(1900, 1, 1)
            .at(0, 0, 0, 0)
            .checked_add(since)
            .map_err(|_| CalendarError::Beyond)?;
        Ok(zone.to_ambiguous_timestamp(shown).offset())
    }

    /// An instant as clocks of this zone show it, to the millisecond, with their offset: a text
    /// that reads back. Where they were ahead of UTC by a part of a minute, which no text of a time
    /// can say, it is shown in UTC.
    pub fn show(&self, at: Instant) -> String {
        let ahead_s = match self {
            Zone::Offset(ahead_s) => *ahead_s,
            Zone::Named(zone) => {
                let unix_s = (at.micros() / 1_000_000) as i64 - UNIX_EPOCH_S;
                // Every instant of this calendar is one of jiff's, whose years end in 9999.
                let offset = Timestamp::from_second(unix_s).map(|unix| zone.to_offset(unix));
                offset.map_or(0, |offset| offset.seconds())
            }
        };
        let ahead_s = if ahead_s % 60 == 0 { ahead_s } else { 0 };
        // As UTC would print the time that the clocks show. At both ends of the range that is
        // none, and UTC itself is printed.
        let shown = at.micros().checked_add_signed(i64::from(ahead_s) * 1_000_000);
        let shown = shown.and_then(|shown| Instant::from_micros(shown).ok());
        let utc = || Utc(at.millis()).to_string();
        let Some(shown) = shown.filter(|shown| shown.millis() != Millis::UNBOUNDED_PAST) else {
            return utc();
        };
        let text = Utc(shown.millis()).to_string();
        let text = text.strip_suffix('Z').unwrap_or(&text);
        format!("{}{}", text.strip_suffix(".000").unwrap_or(text), offset_text(ahead_s))
    }
}

fn offset_text(ahead_s: i32) -> String {
    if ahead_s == 0 {
        return "Z".into();
    }
    let (sign, minutes) = (if ahead_s < 0 { '-' } else { '+' }, ahead_s.unsigned_abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        if matches!(text, "UTC" | "utc" | "Z" | "z" | "GMT") {
            return Ok(Zone::UTC);
        }
        if text.starts_with(['+', '-']) {
            return read_offset(text).map(Zone::Offset).map_err(|_| ZoneError::Unknown);
        }
        TimeZone::get(text).map(Zone::Named).map_err(|_| ZoneError::Unknown)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Offset(0) => f.write_str("UTC"),
            Zone::Offset(ahead_s) => f.write_str(&offset_text(*ahead_s)),
            Zone::Named(zone) => f.write_str(zone.iana_name().unwrap_or("a zone without a name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::calendar::{Written, parse_instant};

    fn local(text: &str) -> Local {
        match Written::parse(text).unwrap() {
            Written::Local(local) => local,
            Written::Whole { begin, .. } => begin,
            other => panic!("{other:?}"),
        }
    }

    fn zone(text: &str) -> Zone {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_follows_the_season_and_an_offset_does_not() {
        let place = |name: &str, text: &str| zone(name).place(local(text)).unwrap();
        let instant = |text| parse_instant(text).unwrap();
        let (summer, winter) = ("2026-07-01T12:00", "2026-01-01T12:00");
        assert_eq!(place("Europe/Berlin", summer), instant("2026-07-01T10:00Z"));
        assert_eq!(place("Europe/Berlin", winter), instant("2026-01-01T11:00Z"));
        assert_eq!(place("+02:00", winter), instant("2026-01-01T10:00Z"));
        assert_eq!(place("-0330", winter), instant("2026-01-01T15:30Z"));
        assert_eq!(place("UTC", winter), instant("2026-01-01T12:00Z"));
        let shown = zone("Europe/Berlin").show(instant("2026-07-01T10:00Z"));
        assert_eq!(shown, "2026-07-01T12:00:00+02:00");
    }

    #[test]
    fn what_a_zone_shows_reads_back() {
        let names = ["UTC", "+14:00", "-12:00", "+05:45", "Europe/Berlin", "Africa/Monrovia"];
        for name in names {
            let zone = zone(name);
            for at in (1..200).map(|n| n * 88_000_000_000_000 + n * 1_000).chain([1000, 3_600_000])
            {
                let at = Instant::from_micros(at).unwrap_or(Instant::LAST);
                let shown = zone.show(at);
                let read = parse_instant(&shown).map(Instant::millis);
                assert_eq!(read, Ok(at.millis()), "{name}: {shown}");
            }
        }
        let monrovia = zone("Africa/Monrovia");
        // Its clocks were 44 minutes and 30 seconds behind.
        assert_eq!(monrovia.show(instant_of("1950-01-01T00:00Z")), "1950-01-01T00:00:00Z");
        let late = instant_of("2456-12-31T23:59:59.999Z");
        assert_eq!(zone("+02:00").show(late), "2456-12-31T23:59:59.999Z");
    }

    fn instant_of(text: &str) -> Instant {
        parse_instant(text).unwrap()
    }

    #[test]
    fn an_hour_that_is_shown_twice_or_never_is_refused() {
        let berlin = zone("Europe/Berlin");
        let twice = berlin.place(local("2026-10-25T02:30"));
        assert!(matches!(twice, Err(ZoneError::Repeated { .. })), "{twice:?}");
        let never = berlin.place(local("2026-03-29T02:30"));
        assert!(matches!(never, Err(ZoneError::Skipped { .. })), "{never:?}");
        assert!(never.unwrap_err().to_string().contains("Europe/Berlin"));
    }

    #[test]
    fn a_day_begins_even_where_its_midnight_is_left_out() {
        // Lebanon puts its clocks forward at midnight.
        let beirut = zone("Asia/Beirut");
        let begin = beirut.place_begin(local("2026-03-29")).unwrap();
        assert_eq!(beirut.show(begin), "2026-03-29T01:00:00+03:00");
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in ["", "local", "Mars/Olympus", "+2", "+25:00", "CEST?", "+02:00:00"] {
            assert_eq!(text.parse::<Zone>(), Err(ZoneError::Unknown), "{text}");
        }
    }
}
