//! What happened when: a run cut into at most [`BINS_MAX`] parts of one length.

use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;

/// Most parts of a run. A longer run has wider ones: first of a second, then of two, four and so
/// on. Memory: 30 KiB each, 18 MiB in all.
pub const BINS_MAX: usize = 600;

/// A run over time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Series {
    /// Length of each part. The last one may be longer than the run.
    pub bin_seconds: u64,
    /// The parts, without a hole from the begin.
    pub bins: Vec<SeriesBin>,
}

/// What came within one part of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SeriesBin {
    /// When it begins, seconds after the begin.
    pub second: u64,
    /// Frames whose receipts came.
    pub frames: u64,
    /// Readings in them.
    pub readings: u64,
    /// Latency of these frames, half of them not above it; 0 if none came, here and below.
    pub p50_us: u64,
    /// 99 % of them.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Times that the node asked for frames again or did not open a stream yet.
    pub delays: u64,
    /// Connections made again.
    pub reconnects: u64,
    /// Streams that the node stopped.
    pub refused: u64,
}

/// What is counted besides acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) delays: u64,
    pub(crate) reconnects: u64,
    pub(crate) refused: u64,
}

/// Collects a [`Series`].
pub(crate) struct Timeline {
    bin_seconds: u64,
    bins: Vec<Bin>,
}

#[derive(Default)]
struct Bin {
    latency: Histogram,
    readings: u64,
    seen: Seen,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline { bin_seconds: 1, bins: Vec::new() }
    }
}

impl Timeline {
    /// A frame whose receipt came `at` after the begin.
    pub(crate) fn acknowledge(&mut self, at: Duration, readings: u64, latency_us: u64) {
        let bin = self.bin(at);
        bin.latency.record(latency_us);
        bin.readings += readings;
    }

    /// What was seen since the last time, `at` after the begin.
    pub(crate) fn see(&mut self, at: Duration, seen: Seen) {
        self.bin(at).seen.add(seen);
    }

    /// What was collected.
    pub(crate) fn series(&self) -> Series {
        let bin_seconds = self.bin_seconds;
        let bins = self.bins.iter().zip(0..).map(|(bin, index)| SeriesBin {
            second: index * bin_seconds,
            frames: bin.latency.total(),
            readings: bin.readings,
            p50_us: bin.latency.per_mille(500),
            p99_us: bin.latency.per_mille(990),
            max_us: bin.latency.max(),
            delays: bin.seen.delays,
            reconnects: bin.seen.reconnects,
            refused: bin.seen.refused,
        });
        Series { bin_seconds, bins: bins.collect() }
    }

    fn bin(&mut self, at: Duration) -> &mut Bin {
        while at.as_secs() / self.bin_seconds >= BINS_MAX as u64 {
            self.widen();
        }
        let index = (at.as_secs() / self.bin_seconds) as usize;
        if self.bins.len() <= index {
            self.bins.resize_with(index + 1, Bin::default);
        }
        &mut self.bins[index]
    }

    /// Makes one part of each two.
    fn widen(&mut self) {
        let mut bins = std::mem::take(&mut self.bins).into_iter();
        while let Some(mut bin) = bins.next() {
            if let Some(Bin { latency, readings, seen }) = bins.next() {
                bin.latency.add(&latency);
                bin.readings += readings;
                bin.seen.add(seen);
            }
            self.bins.push(bin);
        }
        self.bin_seconds *= 2;
    }
}

impl Seen {
    /// Whether there is anything to tell.
    pub(crate) fn is_none(self) -> bool {
        self == Seen::default()
    }

    fn add(&mut self, other: Seen) {
        self.delays += other.delays;
        self.reconnects += other.reconnects;
        self.refused += other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_what_came_in_it_and_a_quiet_one_nothing() {
        let mut timeline = Timeline::default();
        for (ms, latency) in [(0, 10), (999, 30), (2000, 50)] {
            timeline.acknowledge(Duration::from_millis(ms), 8, latency);
        }
        timeline.see(Duration::from_millis(2500), Seen { delays: 3, reconnects: 1, refused: 2 });
        let Series { bin_seconds, bins } = timeline.series();
        assert_eq!((bin_seconds, bins.len()), (1, 3));
        let of = |bin: &SeriesBin| (bin.second, bin.frames, bin.readings, bin.p50_us, bin.max_us);
        assert_eq!(of(&bins[0]), (0, 2, 16, 10, 30));
        assert_eq!(bins[1], SeriesBin { second: 1, ..SeriesBin::default() });
        assert_eq!(of(&bins[2]), (2, 1, 8, 50, 50));
        assert_eq!((bins[2].delays, bins[2].reconnects, bins[2].refused), (3, 1, 2));
    }

    #[test]
    fn a_long_run_has_wider_parts_and_loses_nothing() {
        let mut timeline = Timeline::default();
        for second in 0..100_000 {
            timeline.acknowledge(Duration::from_secs(second), 1, second);
        }
        let Series { bin_seconds, bins } = timeline.series();
        assert_eq!(bin_seconds, 256, "100,000 s in at most 600 parts");
        assert_eq!(bins.len(), 391);
        assert_eq!(bins.iter().map(|bin| bin.frames).sum::<u64>(), 100_000);
        assert!(bins.iter().all(|bin| bin.max_us / 256 == bin.second / 256));
    }
}
