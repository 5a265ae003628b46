//! When frames are due.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use model::whole_number;
use thiserror::Error;

/// Readings a second over all streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    /// As fast as receipts come.
    Max,
    /// As devices measure: each stream at its recording's own rate, whether or not the node keeps
    /// up.
    Natural,
    /// This many, whether or not the node keeps up.
    PerSecond(NonZeroU64),
}

/// An argument that says no rate or duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// Not a rate.
    #[error(
        "expected `max`, `natural` or readings a second such as 50000, 250k or 4M, found `{found}`"
    )]
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
        match text {
            "max" => return Ok(Rate::Max),
            "natural" => return Ok(Rate::Natural),
            _ => {}
        }
        // Whole numbers only: "1.5M" is better typed as 1500k than rounded somewhere.
        let (digits, unit) = match text.strip_suffix('k') {
            Some(digits) => (digits, 1_000),
            None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
        };
        let number = whole_number::<u64>(digits).and_then(|number| number.checked_mul(unit));
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
    let ms = whole_number::<u64>(digits).and_then(|number| number.checked_mul(unit));
    let found = || ArgumentError::Duration { found: text.to_owned() };
    ms.filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(found)
}

/// When the frames of one stream are due: the streams of a run take turns, and what was collected
/// before it is due at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Time from one turn to the next; none at the highest rate.
    turn: Option<Turn>,
    streams: u64,
    stream: u64,
    /// Frames that are due at the begin.
    backlog: u64,
}

/// `nanos / parts` nanoseconds: a fraction, since hours of rounded turns would drift.
#[derive(Clone, Copy, Debug)]
struct Turn {
    nanos: u128,
    parts: u128,
}

impl Pace {
    /// As fast as receipts come.
    pub(crate) fn max() -> Pace {
        Pace { turn: None, streams: 1, stream: 0, backlog: 0 }
    }

    /// Of the stream with number `stream` among `streams` that send `rate` readings a second
    /// together.
    pub(crate) fn shared(
        rate: NonZeroU64,
        frame_readings: usize,
        stream: usize,
        streams: usize,
    ) -> Pace {
        let nanos = frame_readings as u128 * 1_000_000_000;
        let turn = Some(Turn { nanos, parts: u128::from(rate.get()) });
        Pace { turn, streams: streams as u64, stream: stream as u64, backlog: 0 }
    }

    /// Of such a stream whose device measures once in `period_ns`. Streams of one period take turns
    /// all the same: devices do not begin at one instant.
    pub(crate) fn natural(
        period_ns: u64,
        frame_readings: usize,
        stream: usize,
        streams: usize,
    ) -> Pace {
        let nanos = frame_readings as u128 * u128::from(period_ns.max(1));
        let turn = Some(Turn { nanos, parts: streams.max(1) as u128 });
        Pace { turn, streams: streams as u64, stream: stream as u64, backlog: 0 }
    }

    /// With so many frames that are due at the begin.
    pub(crate) fn behind(self, backlog: u64) -> Pace {
        Pace { backlog, ..self }
    }

    /// When the stream's frame `number`, from 0, is due after the begin: when its last reading
    /// would have been measured. `None` at the highest rate: now.
    pub(crate) fn due(&self, number: u64) -> Option<Duration> {
        let Turn { nanos, parts } = self.turn?;
        let Some(number) = number.checked_sub(self.backlog) else { return Some(Duration::ZERO) };
        // From the begin and not from the frame before: one that is sent late delays no other.
        // 128 bits, since hours of turns times a billion exceed 64.
        let turn = u128::from(number) * u128::from(self.streams) + u128::from(self.stream) + 1;
        let after = turn * nanos / parts;
        Some(Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX)))
    }

    /// How many frames of the stream are due before `end`; 0 at the highest rate.
    pub(crate) fn due_before(&self, end: Duration) -> u64 {
        let Some(Turn { nanos, parts }) = self.turn else { return 0 };
        // Turns n with floor(n * nanos / parts) < end, of which every `streams`th is ours.
        let turns = (end.as_nanos() * parts).div_ceil(nanos).saturating_sub(1);
        let (first, streams) = (u128::from(self.stream) + 1, u128::from(self.streams));
        let ours = if turns < first { 0 } else { (turns - first) / streams + 1 };
        u64::try_from(ours).unwrap_or(u64::MAX).saturating_add(self.backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(per_second: u64) -> NonZeroU64 {
        NonZeroU64::new(per_second).unwrap()
    }

    fn rate(per_second: u64) -> Rate {
        Rate::PerSecond(number(per_second))
    }

    #[test]
    fn streams_take_turns_and_send_the_set_rate_together() {
        let end = Duration::from_millis(777);
        for streams in [1, 3, 16] {
            let pace = |stream| Pace::shared(number(100_003), 256, stream, streams);
            let paces: Vec<_> = (0..streams).map(pace).collect();
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
        let pace = Pace::shared(number(256), 256, 0, 1);
        assert_eq!(pace.due(0), Some(Duration::from_secs(1)));
        assert_eq!(pace.due(9), Some(Duration::from_secs(10)));
        assert_eq!(pace.due_before(Duration::from_secs(10)), 9);
        assert_eq!(Pace::max().due(9), None);
    }

    #[test]
    fn at_its_own_rate_a_stream_sends_what_its_device_measures() {
        // 250 Hz in frames of half a second, three streams a sixth of a second apart.
        let paces: Vec<_> = (0..3).map(|stream| Pace::natural(4_000_000, 125, stream, 3)).collect();
        let first: Vec<_> = paces.iter().map(|pace| pace.due(0).unwrap().as_micros()).collect();
        assert_eq!(first, [166_666, 333_333, 500_000]);
        for pace in paces {
            let between = pace.due(8).unwrap() - pace.due(7).unwrap();
            assert!(between.abs_diff(Duration::from_millis(500)) <= Duration::from_nanos(1));
            assert_eq!(pace.due_before(Duration::from_micros(10_000_001)), 20);
        }
    }

    #[test]
    fn a_backlog_is_due_at_once_and_delays_nothing_else() {
        let pace = Pace::shared(number(256), 256, 0, 1).behind(5);
        assert_eq!((pace.due(0), pace.due(4)), (Some(Duration::ZERO), Some(Duration::ZERO)));
        assert_eq!(pace.due(5), Some(Duration::from_secs(1)));
        assert_eq!(pace.due_before(Duration::from_secs(10)), 14);
    }

    #[test]
    fn rates_and_durations_have_units_and_are_never_zero() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("natural".parse(), Ok(Rate::Natural));
        assert_eq!("250k".parse(), Ok(rate(250_000)));
        assert_eq!("4M".parse(), Ok(rate(4_000_000)));
        assert_eq!("17".parse(), Ok(rate(17)));
        for wrong in ["", "0", "k", "1.5M", "-1", "+1", "99999999999999999999", "fast"] {
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
