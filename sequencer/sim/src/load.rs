//! A play as a load run is reported: the same figures and charts, in the time of the simulation.

use loadgen::{Latency, Report, Series, SeriesBin};

use crate::promises::Acknowledged;
use crate::source::FRAME_READINGS;

/// What a play knows beside its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// When gateways began to come on, milliseconds.
    pub(crate) begun_ms: u64,
    pub(crate) gateways: usize,
    pub(crate) frames_sent: u64,
    pub(crate) receipts: u64,
    pub(crate) reconnects: u64,
}

/// The report of frames in the order of their receipts.
pub(crate) fn report(frames: &[Acknowledged], facts: Facts) -> Report {
    let last = frames.iter().map(|one| one.at_ms).max().unwrap_or(facts.begun_ms);
    let acknowledged = frames.len() as u64;
    let of = frames.iter().map(|one| one.delay_ms).collect();
    Report {
        frame_readings: FRAME_READINGS as usize,
        gateways: facts.gateways,
        streams: facts.gateways,
        seconds: last.saturating_sub(facts.begun_ms) as f64 / 1_000.0,
        frames_sent: facts.frames_sent,
        frames_acknowledged: acknowledged,
        frames_unacknowledged: facts.frames_sent.saturating_sub(acknowledged),
        readings_acknowledged: acknowledged * FRAME_READINGS,
        latency: Sorted::of(of).latency(),
        series: series(frames, facts.begun_ms),
        receipts: facts.receipts,
        reconnects: facts.reconnects,
        ..Report::default()
    }
}

/// Second by second.
fn series(frames: &[Acknowledged], begun_ms: u64) -> Series {
    let second = |one: &Acknowledged| one.at_ms.saturating_sub(begun_ms) / 1_000;
    let seconds = frames.iter().map(second).max().map_or(0, |last| last + 1);
    let mut delays = vec![Vec::new(); seconds as usize];
    for one in frames {
        delays[second(one) as usize].push(one.delay_ms);
    }
    let bins = (0..).zip(delays).map(|(second, delays)| {
        let (frames, latency) = (delays.len() as u64, Sorted::of(delays).latency());
        let Latency { p50_us, p99_us, max_us, .. } = latency;
        let readings = frames * FRAME_READINGS;
        SeriesBin { second, frames, readings, p50_us, p99_us, max_us, ..SeriesBin::default() }
    });
    Series { bin_seconds: 1, bins: bins.collect() }
}

/// Delays in milliseconds, ascending.
struct Sorted(Vec<u64>);

impl Sorted {
    fn of(mut delays: Vec<u64>) -> Sorted {
        delays.sort_unstable();
        Sorted(delays)
    }

    fn latency(&self) -> Latency {
        let at = |per_mille: usize| {
            let place = (self.0.len() * per_mille).div_ceil(1_000).saturating_sub(1);
            self.0.get(place).copied().unwrap_or(0) * 1_000
        };
        Latency {
            p50_us: at(500),
            p90_us: at(900),
            p99_us: at(990),
            p999_us: at(999),
            max_us: at(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_list_and_seconds_have_their_own() {
        let frame = |number: u64| Acknowledged { at_ms: 5_000 + number * 10, delay_ms: number };
        let frames: Vec<_> = (1..=200).rev().map(frame).collect();
        let facts =
            Facts { begun_ms: 5_000, gateways: 3, frames_sent: 201, receipts: 7, reconnects: 2 };
        let report = report(&frames, facts);
        let Latency { p50_us, p90_us, p99_us, p999_us, max_us } = report.latency;
        assert_eq!([p50_us, p90_us, p99_us], [100_000, 180_000, 198_000]);
        assert_eq!([p999_us, max_us], [200_000, 200_000]);
        assert_eq!((report.seconds, report.frames_unacknowledged), (2.0, 1));
        let bins = &report.series.bins;
        let found: Vec<_> = bins.iter().map(|bin| (bin.second, bin.frames, bin.max_us)).collect();
        assert_eq!(found, [(0, 99, 99_000), (1, 100, 199_000), (2, 1, 200_000)]);
        let nothing = super::report(&[], facts);
        assert_eq!((nothing.latency, nothing.series.bins.len()), (Latency::default(), 0));
    }
}
