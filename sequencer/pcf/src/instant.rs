//! FHIR dates as instants. A FHIR time of day has its zone; a date has none: whoever reads the
//! document says in which it holds, or it is refused.

use model::Millis;
use model::calendar::{Instant, Local, Written};

/// Where a day begins: a zone, as far as dates need one.
pub trait PlaceDay {
    /// The first instant of a day, month or year; nothing out of range.
    fn begin_of(&self, day: Local) -> Option<Instant>;
}

/// Days of UTC.
#[derive(Clone, Copy, Debug)]
pub struct InUtc;

impl PlaceDay for InUtc {
    fn begin_of(&self, day: Local) -> Option<Instant> {
        day.at_offset(0).ok()
    }
}

/// A text that is no instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoInstant {
    /// It is a date, and nobody said in which zone.
    Zone,
    /// It is no FHIR date or time.
    Form,
}

/// The first instant of what is written.
pub(crate) fn begin(text: &str, zone: Option<&dyn PlaceDay>) -> Result<Millis, NoInstant> {
    match parse(text)? {
        Written::Whole { begin, .. } => place(begin, zone),
        Written::Instant(at) => Ok(at.millis()),
        Written::Now | Written::Local(_) => Err(NoInstant::Form),
    }
}

/// The first instant after what is written. The end of a FHIR period is inclusive to its precision:
/// 2022-12-31 ends with that day, and 12:00:00 with that second.
pub(crate) fn end(text: &str, zone: Option<&dyn PlaceDay>) -> Result<Millis, NoInstant> {
    match parse(text)? {
        Written::Whole { end, .. } => place(end, zone),
        Written::Instant(at) => {
            let precision_ms = if text.as_bytes().get(FRACTION) == Some(&b'.') { 1 } else { 1000 };
            Ok(at.millis().plus(precision_ms))
        }
        Written::Now | Written::Local(_) => Err(NoInstant::Form),
    }
}

fn place(day: Local, zone: Option<&dyn PlaceDay>) -> Result<Millis, NoInstant> {
    let at = zone.ok_or(NoInstant::Zone)?.begin_of(day);
    at.map(Instant::millis).ok_or(NoInstant::Form)
}

/// Where the fraction of a second begins in `2026-05-01T08:30:00.000Z`.
const FRACTION: usize = 19;

/// Of the forms that are read here elsewhere, those that FHIR has.
fn parse(text: &str) -> Result<Written, NoInstant> {
    let bytes = text.as_bytes();
    let has = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let is_date = match bytes.len() {
        4 => true,
        7 => has(4, b'-'),
        10 => has(4, b'-') && has(7, b'-'),
        _ => has(4, b'-') && has(7, b'-') && has(10, b'T') && has(13, b':') && has(16, b':'),
    };
    // The calendar reads digits of any date as a year only where there are four.
    Written::parse(text).ok().filter(|_| is_date).ok_or(NoInstant::Form)
}

#[cfg(test)]
mod tests {
    use model::calendar::Utc;

    use super::*;

    #[test]
    fn an_end_includes_what_it_names_to_its_precision() {
        for (text, expected) in [
            ("2022", "2023-01-01T00:00:00.000Z"),
            ("2022-02", "2022-03-01T00:00:00.000Z"),
            ("2022-12-31", "2023-01-01T00:00:00.000Z"),
            ("2022-12-31T12:00:00+01:00", "2022-12-31T11:00:01.000Z"),
            ("2022-12-31T12:00:00.250Z", "2022-12-31T12:00:00.251Z"),
        ] {
            let read = end(text, Some(&InUtc)).map(|at| Utc(at).to_string());
            assert_eq!(read, Ok(expected.to_owned()));
        }
        let begin = begin("2022-12-31T12:00:00+01:00", None).unwrap();
        assert_eq!(Utc(begin).to_string(), "2022-12-31T11:00:00.000Z");
    }

    #[test]
    fn a_date_without_a_zone_is_no_instant() {
        assert_eq!(begin("2022-12-31", None), Err(NoInstant::Zone));
        assert_eq!(end("2022", None), Err(NoInstant::Zone));
    }

    #[test]
    fn what_is_no_time_of_fhir_is_refused() {
        for text in [
            "",
            "now",
            "1777624200000",
            "20221231",
            "2022-12-31T12:00Z",
            "2022-12-31 12:00:00Z",
            "2022-12-31T12:00:00",
            "9999-12-31",
            "2022-13-01",
            "31.12.2022",
            "1899",
        ] {
            let read = (begin(text, Some(&InUtc)), end(text, Some(&InUtc)));
            assert_eq!(read, (Err(NoInstant::Form), Err(NoInstant::Form)), "{text}");
        }
    }
}
