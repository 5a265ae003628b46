//! Readings as lines of text, so that any language can feed a gateway over a pipe.
//!
//! A line is `time,value`, or only `value` where a rate gives the times. `time` is RFC 3339 or
//! milliseconds since 1970; `value` is a decimal number in the signal's unit with at most the
//! signal's decimals, or `off` while the sensor is off. Empty lines, lines that begin with `#`, and
//! one first line `time,value` or `value` are passed over.

use model::{Millis, Signal, calendar};
use thiserror::Error;
use wire::{DeviceTime, Reading};

/// Longest line, bytes.
pub const LINE_BYTES_MAX: usize = 256;

/// A line that is no reading. The value is a patient's and stands in no error.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LineError {
    /// More text than any reading has.
    #[error("expected at most {LINE_BYTES_MAX} bytes in line {line}")]
    TooLong {
        /// Number of the line, from 1.
        line: u64,
    },
    /// Another number of fields.
    #[error("expected {expected} in line {line}")]
    Fields {
        /// Number of the line, from 1.
        line: u64,
        /// What a line holds.
        expected: &'static str,
    },
    /// The time does not read.
    #[error("expected RFC 3339 or milliseconds since 1970 as time in line {line}")]
    Time {
        /// Number of the line, from 1.
        line: u64,
    },
    /// The value does not read.
    #[error("expected a number in {unit} with at most {decimals} decimals, or off, in line {line}")]
    Value {
        /// Number of the line, from 1.
        line: u64,
        /// Unit of the signal.
        unit: &'static str,
        /// Decimals of the signal.
        decimals: u8,
    },
    /// The value is beyond what the signal can plausibly have.
    #[error("expected a plausible value in line {line}, found one out of range")]
    Range {
        /// Number of the line, from 1.
        line: u64,
    },
    /// The rate runs past the last expressible time.
    #[error("expected fewer readings than the calendar has room for")]
    TooMany,
}

/// When readings were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    /// Each line says.
    InLines,
    /// The first at a time, the others at a steady rate.
    Rate {
        /// Time of the first.
        start: Millis,
        /// Readings in 1000 seconds: 360 Hz is 360,000.
        per_1000_s: u64,
    },
}

/// Turns lines into readings; holds only how many there were.
#[derive(Debug)]
pub struct Lines {
    signal: &'static Signal,
    timing: Timing,
    line: u64,
    readings: u64,
}

impl Lines {
    /// A reader for one signal.
    pub fn new(signal: &'static Signal, timing: Timing) -> Lines {
        Lines { signal, timing, line: 0, readings: 0 }
    }

    /// The reading of the next line, `None` for one that is passed over.
    ///
    /// # Errors
    /// [`LineError`] with the line's number.
    pub fn read(&mut self, text: &str) -> Result<Option<Reading>, LineError> {
        self.line += 1;
        let line = self.line;
        if text.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong { line });
        }
        let text = text.trim();
        // Only the first line: further down the words would be a broken reading.
        let heading = line == 1 && matches!(text, "time,value" | "value");
        if text.is_empty() || text.starts_with('#') || heading {
            return Ok(None);
        }
        let (at, value) = match self.timing {
            Timing::InLines => {
                let fields = text.split_once(',').filter(|(_, value)| !value.contains(','));
                let expected = "time,value (or give a rate, and only values)";
                let (time, value) = fields.ok_or(LineError::Fields { line, expected })?;
                (self.parse_time(time.trim())?, value.trim())
            }
            Timing::Rate { .. } if text.contains(',') => {
                return Err(LineError::Fields {
                    line,
                    expected: "only a value, since a rate is given",
                });
            }
            Timing::Rate { start, per_1000_s } => (self.place(start, per_1000_s)?, text),
        };
        self.readings += 1;
        // Never a zero: a flat line and a sensor that is off are not the same to a doctor.
        if value == "off" {
            return Ok(Some(Reading::sensor_off(at)));
        }
        let Signal { unit, decimals, min, max, .. } = *self.signal;
        let value = to_integer(value, decimals).ok_or(LineError::Value { line, unit, decimals })?;
        if !(i64::from(min)..=i64::from(max)).contains(&value) {
            return Err(LineError::Range { line });
        }
        // Within the range of two i32.
        Ok(Some(Reading::new(at, value as i32)))
    }

    fn parse_time(&self, text: &str) -> Result<DeviceTime, LineError> {
        let wrong = LineError::Time { line: self.line };
        // A recording must mean the same whenever it is read, and a slow pipe would shift it.
        if text == "now" {
            return Err(wrong);
        }
        let at = calendar::parse_time(text, Millis::UNBOUNDED_PAST).map_err(|_| wrong)?;
        Ok(DeviceTime::from_millis(at))
    }

    /// `start` plus as many periods as there were readings, floored to microseconds.
    fn place(&self, start: Millis, per_1000_s: u64) -> Result<DeviceTime, LineError> {
        // From the start each time: adding a rounded period would drift by seconds a day.
        let after = u128::from(self.readings) * 1_000_000_000 / u128::from(per_1000_s.max(1));
        let micros = DeviceTime::from_millis(start).micros();
        let micros = u64::try_from(after).ok().and_then(|after| micros.checked_add(after));
        micros.and_then(|micros| DeviceTime::from_micros(micros).ok()).ok_or(LineError::TooMany)
    }
}

/// An integer times 10^-decimals, in digits: how a reading's value is written in its signal's unit.
pub fn to_decimal(value: i32, decimals: u8) -> String {
    let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs().to_string());
    let decimals = usize::from(decimals);
    if decimals == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{fraction}")
}

/// A decimal number times 10^decimals; `None` for anything else. By digits, because a float would
/// round some values of some signals.
fn to_integer(text: &str, decimals: u8) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let has_point = digits.contains('.');
    let decimals = usize::from(decimals);
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let right = !whole.is_empty() && whole.len() <= 10 && fraction.len() <= decimals;
    if !all_digits || !right || has_point && fraction.is_empty() {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', decimals - fraction.len());
    let digits = whole.bytes().chain(fraction.bytes()).chain(padding);
    let value = digits.fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::signal_by_code;

    fn spo2() -> &'static Signal {
        signal_by_code(150456).unwrap()
    }

    fn lines(timing: Timing) -> Lines {
        Lines::new(spo2(), timing)
    }

    #[test]
    fn times_and_values_are_read_exactly() {
        let mut lines = lines(Timing::InLines);
        assert_eq!(lines.read("time,value"), Ok(None));
        assert_eq!(lines.read("# a comment"), Ok(None));
        let at = DeviceTime::from_millis(Millis::from_unix_ms(1_777_624_200_250));
        let written = lines.read("2026-05-01T08:30:00.250Z, 97.5\r\n");
        assert_eq!(written, Ok(Some(Reading::new(at, 975))));
        assert_eq!(lines.read("1777624200250,97"), Ok(Some(Reading::new(at, 970))));
        assert_eq!(lines.read("1777624200250,off"), Ok(Some(Reading::sensor_off(at))));
    }

    #[test]
    fn values_are_written_in_their_unit_and_read_back() {
        for (value, decimals, text) in [(975, 1, "97.5"), (-5, 2, "-0.05"), (72, 0, "72")] {
            assert_eq!(to_decimal(value, decimals), text);
            assert_eq!(to_integer(text, decimals), Some(i64::from(value)));
        }
    }

    #[test]
    fn a_rate_places_readings_without_drift() {
        let start = Millis::from_unix_ms(0);
        let mut lines = lines(Timing::Rate { start, per_1000_s: 360_000 });
        let mut last = None;
        for _ in 0..=3600 {
            last = lines.read("97").unwrap();
        }
        let after = last.unwrap().at.micros() - DeviceTime::from_millis(start).micros();
        assert_eq!(after, 10_000_000);
    }

    #[test]
    fn a_line_that_is_no_reading_is_named_by_number_and_not_by_value() {
        let wrong = |text: &str| lines(Timing::InLines).read(text).unwrap_err();
        assert_eq!(wrong("97"), wrong("1,2,3"));
        assert_eq!(wrong("soon,97"), LineError::Time { line: 1 });
        assert_eq!(wrong("now,97"), LineError::Time { line: 1 });
        for value in ["97.55", "97.", ".5", "9e1", "+97", "", "ninety", "99999999999"] {
            let error = wrong(&format!("1777624200250,{value}"));
            assert!(matches!(error, LineError::Value { .. }), "{value}");
        }
        assert_eq!(wrong("1777624200250,100.1"), LineError::Range { line: 1 });
        assert_eq!(wrong(&"9".repeat(300)), LineError::TooLong { line: 1 });
        let start = Millis::from_unix_ms(0);
        let timed = lines(Timing::Rate { start, per_1000_s: 1000 }).read("1777624200250,97");
        assert!(matches!(timed, Err(LineError::Fields { .. })));
    }
}
