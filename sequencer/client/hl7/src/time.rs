//! Times as HL7 v2 writes them: `YYYYMMDDHHMM[SS[.S[S[S[S]]]]][+/-ZZZZ]`.

use bridge::Cause;
use model::calendar::Written;

/// Reads a time, with its zone if it has one.
///
/// ```
/// use model::calendar::{Written, parse_instant};
///
/// let at = hl7::read_time("20260501103000.25+0200").expect("a time");
/// assert_eq!(at, Written::Instant(parse_instant("2026-05-01T08:30:00.25Z")?));
/// assert!(matches!(hl7::read_time("202605011030"), Ok(Written::Local(_))));
/// # Ok::<(), model::calendar::CalendarError>(())
/// ```
///
/// # Errors
/// [`Cause::TimeMalformed`] for anything else, above all for a day without its time.
pub fn read_time(text: &str) -> Result<Written, Cause> {
    let wrong = Cause::TimeMalformed { expected: "a time as YYYYMMDDHHMM[SS[.SSSS]][+ZZZZ]" };
    // The component behind it says how exact it is, which the digits say, too.
    let zone = text.find(['+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at_checked(zone).ok_or(wrong.clone())?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_form = matches!(whole.len(), 12 | 14)
        && is_digits(whole)
        && is_digits(fraction)
        && fraction.len() <= 6
        && (whole.len() == 14 && !fraction.is_empty() || clock == whole)
        && (zone.is_empty() || zone.len() == 5 && is_digits(&zone[1..]));
    if !is_form {
        return Err(wrong);
    }
    let (date, time) = whole.split_at(8);
    let point = if fraction.is_empty() { "" } else { "." };
    Written::parse(&format!("{date}T{time}{point}{fraction}{zone}")).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::calendar::parse_instant;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        for (text, expected) in [
            ("20260501083000+0000", "2026-05-01T08:30:00Z"),
            ("20260501083000.1234-0330", "2026-05-01T12:00:00.1234Z"),
            ("202605011030+0200", "2026-05-01T08:30Z"),
        ] {
            let expected = Written::Instant(parse_instant(expected).unwrap());
            assert_eq!(read_time(text), Ok(expected), "{text}");
        }
        assert_eq!(read_time("20260501103000"), Ok(Written::parse("2026-05-01T10:30:00").unwrap()));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "20260501",
            "2026050110",
            "20261301083000",
            "20260501253000",
            "20260501083000.",
            "202605010830.5",
            "20260501083000+2",
            "20260501083000+02:00",
            "2026-05-01T08:30",
            "20260501083000Z",
            "2026050108300\u{661}",
        ] {
            assert!(read_time(text).is_err(), "{text}");
        }
    }
}
