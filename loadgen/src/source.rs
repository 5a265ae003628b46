//! What a stream sends: a recording in a loop, with times that advance and never run ahead.

use wire::{DeviceTime, Reading};
use world::Recording;

/// A recording played for ever.
///
/// Values are the recording's. Times are its own rhythm as long as the wall clock allows; when more
/// readings are sent than a device would measure, they are moved together so that none lies in the
/// future, which a node refuses.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    recording: &'static Recording,
    next: usize,
    /// First microsecond after everything played, since 1900.
    end_micros: u64,
}

impl Source {
    /// Plays from sample `first` (modulo the length); no reading is earlier than `begin`.
    pub(crate) fn new(recording: &'static Recording, first: usize, begin: DeviceTime) -> Source {
        let next = first % recording.samples.len().max(1);
        Source { recording, next, end_micros: begin.micros() }
    }

    /// The next `count` readings, measured up to `now`.
    pub(crate) fn frame(&mut self, now: DeviceTime, count: usize) -> Vec<Reading> {
        let natural = (self.recording.period_ns / 1000).saturating_mul(count as u64);
        // Never before the end of the last frame: the times of a stream do not go back.
        let now = now.micros().max(self.end_micros);
        let start = self.end_micros.max(now.saturating_sub(natural));
        let span = now - start;
        let readings = (0..count).map(|index| {
            let after = u128::from(span) * index as u128 / count as u128;
            let at = DeviceTime::from_micros(start + after as u64);
            // Between two device times, so it is one.
            let at = at.expect("a time before another device time");
            Reading::new(at, self.recording.samples[(self.next + index) % self.len()])
        });
        let readings = readings.collect();
        self.next = (self.next + count) % self.len();
        self.end_micros = now;
        readings
    }

    fn len(&self) -> usize {
        self.recording.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 4_000_000_000_000_000;

    fn at(micros: u64) -> DeviceTime {
        DeviceTime::from_micros(BEGIN + micros).unwrap()
    }

    fn ecg() -> &'static Recording {
        world::recording("ecg").unwrap()
    }

    #[test]
    fn readings_keep_the_recordings_rhythm_while_the_clock_allows() {
        let mut source = Source::new(ecg(), 0, at(0));
        let frame = source.frame(at(10_000_000), 360);
        let gap = frame[1].at.micros() - frame[0].at.micros();
        assert_eq!(gap, 2777, "360 Hz");
        assert!(frame[359].at < at(10_000_000) && frame[0].at >= at(9_000_000));
    }

    #[test]
    fn times_advance_and_never_run_ahead_of_the_clock() {
        let mut source = Source::new(ecg(), 5, at(0));
        let mut last = at(0);
        for (step, count) in [(10, 256), (10, 256), (500, 1), (400, 256), (90_000_000, 7)] {
            for reading in source.frame(at(step), count) {
                assert!(reading.at >= last && reading.at <= at(step.max(500)));
                last = reading.at;
            }
        }
    }

    #[test]
    fn values_are_the_recordings_in_a_loop() {
        let samples = &ecg().samples;
        let mut source = Source::new(ecg(), samples.len() - 2, at(0));
        let values: Vec<_> = source.frame(at(9), 4).iter().map(|r| r.value.unwrap()).collect();
        let tail = samples[samples.len() - 2..].iter();
        let expected: Vec<_> = tail.chain(&samples[..2]).copied().collect();
        assert_eq!(values, expected);
        assert_eq!(source.frame(at(9), 1)[0].value, Some(samples[2]));
    }
}
