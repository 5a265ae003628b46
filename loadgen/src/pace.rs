//! When frames are due.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Readings a second over all streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    /// As fast as receipts come.
    Max,
    /// This many, whether or not the node keeps up.
    PerSecond(NonZeroU64),
}

/// An argument that says no rate or duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// Not a rate.
    #[error("expected `max` or readings a second such as 50000, 250k or 4M, found `{found}`")]
    Rate {
        /// What stood there.
        found: String,
    },
    /// Not a duration.
    #[error("expected a duration such as 500ms, 10s or 5m, above zero, found `{found}`")]
    Duration {
        /// What stood there.
        found: String,
    },
}

impl FromStr for Rate {
    type Err = ArgumentError;

    fn from_str(text: &str) -> Result<Rate, ArgumentError> {
        if text == "max" {
            return Ok(Rate::Max);
        }
        // Whole numbers only: "1.5M" is better typed as 1500k than rounded somewhere.
        let (digits, unit) = match text.strip_suffix('k') {
            Some(digits) => (digits, 1_000),
            None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
        };
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        let found = || ArgumentError::Rate { found: text.to_owned() };
        number.and_then(NonZeroU64::new).map(Rate::PerSecond).ok_or_else(found)
    }
}

/// A duration with its unit, `ms`, `s` or `m`.
///
/// # Errors
/// [`ArgumentError::Duration`]; a duration is never zero.
pub fn parse_duration(text: &str) -> Result<Duration, ArgumentError> {
    let (digits, unit) = match text.strip_suffix("ms") {
        // Before the suffix `s`, which it ends with too.
        Some(digits) => (digits, 1),
        None => match text.strip_suffix('m') {
            Some(digits) => (digits, 60_000),
            None => (text.strip_suffix('s').unwrap_or("no unit"), 1000),
        },
    };
    let ms = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let found = || ArgumentError::Duration { found: text.to_owned() };
    ms.filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(found)
}

/// When the frames of one stream are due: the streams of a run take turns, and all of them together
/// send at the set rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: Rate,
    frame_readings: u64,
    streams: u64,
    stream: u64,
}

impl Pace {
    /// Of the stream with number `stream` among `streams`.
    pub(crate) fn new(rate: Rate, frame_readings: usize, stream: usize, streams: usize) -> Pace {
        let (stream, streams) = (stream as u64, streams as u64);
        Pace { rate, frame_readings: frame_readings as u64, streams, stream }
    }

    /// When the stream's frame `number`, from 0, is due after the begin: when its last reading
    /// would have been measured. `None` at the highest rate: now.
    pub(crate) fn due(&self, number: u64) -> Option<Duration> {
        let Rate::PerSecond(rate) = self.rate else {
            return None;
        };
        // From the begin and not from the frame before: one that is sent late delays no other.
        // 128 bits, since hours of turns times a billion exceed 64.
        let turn = u128::from(number) * u128::from(self.streams) + u128::from(self.stream) + 1;
        let nanos = turn * u128::from(self.frame_readings) * 1_000_000_000 / u128::from(rate.get());
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// How many frames of the stream are due before `end`; 0 at the highest rate.
    pub(crate) fn due_before(&self, end: Duration) -> u64 {
        let Rate::PerSecond(rate) = self.rate else {
            return 0;
        };
        // Turns n with floor(n * readings * 10^9 / rate) < end, of which every `streams`th is ours.
        let per_turn = u128::from(self.frame_readings) * 1_000_000_000;
        let turns = (end.as_nanos() * u128::from(rate.get())).div_ceil(per_turn).saturating_sub(1);
        let (first, streams) = (u128::from(self.stream) + 1, u128::from(self.streams));
        let ours = if turns < first { 0 } else { (turns - first) / streams + 1 };
        u64::try_from(ours).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u64) -> Rate {
        Rate::PerSecond(NonZeroU64::new(per_second).unwrap())
    }

    #[test]
    fn streams_take_turns_and_send_the_set_rate_together() {
        let end = Duration::from_millis(777);
        for streams in [1, 3, 16] {
            let paces: Vec<_> =
                (0..streams).map(|stream| Pace::new(rate(100_003), 256, stream, streams)).collect();
            let mut all: Vec<Duration> = Vec::new();
            for pace in &paces {
                let due = (0..).map(|number| pace.due(number).unwrap());
                let before: Vec<_> = due.take_while(|due| *due < end).collect();
                assert_eq!(before.len() as u64, pace.due_before(end));
                all.extend(before);
            }
            all.sort();
            assert_eq!(all.len(), 100_003 * 777 / 256 / 1000);
            let gap = Duration::from_nanos(256 * 1_000_000_000 / 100_003);
            for (n, pair) in all.windows(2).enumerate() {
                let between = pair[1] - pair[0];
                assert!(between.abs_diff(gap) <= Duration::from_nanos(1), "frame {n}: {between:?}");
            }
        }
    }

    #[test]
    fn what_is_due_does_not_depend_on_what_was_sent() {
        let pace = Pace::new(rate(256), 256, 0, 1);
        assert_eq!(pace.due(0), Some(Duration::from_secs(1)));
        assert_eq!(pace.due(9), Some(Duration::from_secs(10)));
        assert_eq!(pace.due_before(Duration::from_secs(10)), 9);
        assert_eq!(Pace::new(Rate::Max, 256, 0, 1).due(9), None);
    }

    #[test]
    fn rates_and_durations_have_units_and_are_never_zero() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("250k".parse(), Ok(rate(250_000)));
        assert_eq!("4M".parse(), Ok(rate(4_000_000)));
        assert_eq!("17".parse(), Ok(rate(17)));
        for wrong in ["", "0", "k", "1.5M", "-1", "99999999999999999999", "fast"] {
            let found = wrong.parse::<Rate>().unwrap_err().to_string();
            assert!(found.contains("such as 50000"), "{found}");
        }
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "0s", "s", "ms", "1h", "-1s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
