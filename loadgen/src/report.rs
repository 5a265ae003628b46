//! What a run found, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::ExitCode;
use serde::Serialize;

use crate::histogram::Histogram;
use crate::timeline::Series;

/// The result of a run. Rates are acknowledged work over the time from the first stream's begin to
/// the last receipt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Readings a second that were asked for; none at the highest rate.
    pub offered_readings_per_second: Option<u64>,
    /// Readings of a frame.
    pub frame_readings: usize,
    /// Gateways that connected.
    pub gateways: usize,
    /// Streams of all gateways.
    pub streams: usize,
    /// From the begin to the last receipt, seconds.
    pub seconds: f64,
    /// Frames handed to the client.
    pub frames_sent: u64,
    /// Frames with a verified receipt.
    pub frames_acknowledged: u64,
    /// Frames sent that have none, refused ones left out.
    pub frames_unacknowledged: u64,
    /// Frames that were due in time and never sent, because too many had no receipt.
    pub frames_behind: u64,
    /// Times that the node asked for frames again.
    pub frames_delayed: u64,
    /// Times that the node did not open a stream yet and was asked again.
    pub streams_delayed: u64,
    /// Readings in acknowledged frames.
    pub readings_acknowledged: u64,
    /// Bytes of acknowledged frames.
    pub bytes_acknowledged: u64,
    /// Latency of acknowledgements.
    pub latency: Latency,
    /// The run over time.
    pub series: Series,
    /// All latencies as HdrHistogram's percentile distribution, milliseconds (`--hdr`).
    #[serde(skip)]
    pub distribution: String,
    /// Streams that the node refused, by its code.
    pub refused_streams: BTreeMap<String, u64>,
    /// Frames of refused streams that have no receipt, by the same codes.
    pub refused_frames: BTreeMap<String, u64>,
    /// Streams that ended for another reason, by what it was.
    pub failures: BTreeMap<String, u64>,
    /// Receipts verified.
    pub receipts: u64,
    /// Connections after the first of each gateway.
    pub reconnects: u64,
    /// Datagrams that were dropped on links while they were down, both ways.
    pub datagrams_cut: u64,
    /// What is to be said of UDP buffers that the system grants smaller than they were asked for;
    /// none where they are as large.
    pub udp_buffers_short: Option<String>,
    /// Processor seconds of this program, both modes; none where there is no /proc.
    pub cpu_seconds: Option<f64>,
    /// Load average of the machine over the last minute, at the end; none where there is no /proc.
    pub load_average: Option<f64>,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
}

/// Microseconds from the intended send time to the verified receipt, rounded up; quantiles by at
/// most one part in 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Latency {
    /// Half are not above this.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
    /// The longest, exactly.
    pub max_us: u64,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram) -> Latency {
        Latency {
            p50_us: histogram.per_mille(500),
            p90_us: histogram.per_mille(900),
            p99_us: histogram.per_mille(990),
            p999_us: histogram.per_mille(999),
            max_us: histogram.max(),
        }
    }
}

impl Report {
    /// [`ExitCode::Ok`] if something was acknowledged, nothing sent lacks a receipt, and no stream
    /// was refused or failed. Being behind is a finding, not a failure.
    pub fn exit_code(&self) -> ExitCode {
        // An interrupted run says so whatever it found: it was not asked the whole question.
        let clean = self.refused_streams.is_empty() && self.failures.is_empty();
        if self.interrupted {
            ExitCode::Interrupted
        } else if clean && self.frames_unacknowledged == 0 && self.frames_acknowledged > 0 {
            ExitCode::Ok
        } else {
            ExitCode::Failed
        }
    }

    /// Per second, 0 without time.
    fn rate(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    pub(crate) fn readings_per_second(&self) -> f64 {
        self.rate(self.readings_acknowledged)
    }

    /// Lines for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<16} {value}");
        };
        let offered = self.offered_readings_per_second;
        let offered = offered.map_or("as fast as receipts come".into(), |rate| {
            format!("{rate} readings/s, open loop")
        });
        line("offered", offered);
        let (gateways, streams) = (self.gateways, self.streams);
        let size = self.frame_readings;
        line("streams", format!("{streams} of {gateways} gateways, {size} readings a frame"));
        line("durable", "yes: every figure is about frames with a verified receipt".into());
        line("acknowledged", self.rates());
        line("latency", self.latencies());
        line("frames", self.frames());
        let (receipts, reconnects) = (self.receipts, self.reconnects);
        line("connections", format!("{receipts} receipts, {reconnects} reconnects"));
        if self.datagrams_cut > 0 {
            line("links", format!("{} datagrams dropped while down", self.datagrams_cut));
        }
        for (code, streams) in &self.refused_streams {
            let frames = self.refused_frames.get(code).copied().unwrap_or_default();
            line("refused", format!("{streams} streams, {frames} frames: {code}"));
        }
        for (why, streams) in &self.failures {
            line("failed", format!("{streams} streams: {why}"));
        }
        if let Some(short) = &self.udp_buffers_short {
            line("buffers", short.clone());
        }
        let number = |value: Option<f64>| value.map_or("unknown".into(), |v| format!("{v:.2}"));
        let (cpu, load) = (number(self.cpu_seconds), number(self.load_average));
        line("machine", format!("{cpu} s CPU in this program, load average {load}"));
        text
    }

    pub(crate) fn rates(&self) -> String {
        format!(
            "{:.0} readings/s, {:.0} frames/s, {:.2} MB/s over {:.2} s",
            self.rate(self.readings_acknowledged),
            self.rate(self.frames_acknowledged),
            self.rate(self.bytes_acknowledged) / 1e6,
            self.seconds,
        )
    }

    pub(crate) fn latencies(&self) -> String {
        let ms = |us: u64| us as f64 / 1000.0;
        let Latency { p50_us, p90_us, p99_us, p999_us, max_us } = self.latency;
        format!(
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            ms(p50_us),
            ms(p90_us),
            ms(p99_us),
            ms(p999_us),
            ms(max_us),
        )
    }

    pub(crate) fn frames(&self) -> String {
        format!(
            "{} sent, {} acknowledged, {} without a receipt, {} due and not sent, {} delays, {} of \
             streams that were to open",
            self.frames_sent,
            self.frames_acknowledged,
            self.frames_unacknowledged,
            self.frames_behind,
            self.frames_delayed + self.streams_delayed,
            self.streams_delayed,
        )
    }
}

/// Processor seconds of this process so far.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // User and system time are the 14th and 15th fields, in hundredths of a second; the second
    // field is the program's name and may hold spaces.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / 100.0)
}

/// The machine's load average over a minute.
pub(crate) fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            offered_readings_per_second: Some(1000),
            frame_readings: 100,
            gateways: 1,
            streams: 2,
            seconds: 2.0,
            frames_sent: 20,
            frames_acknowledged: 20,
            readings_acknowledged: 2000,
            bytes_acknowledged: 32_640,
            latency: Latency { p50_us: 1500, p90_us: 2, p99_us: 3, p999_us: 4, max_us: 5 },
            ..Report::default()
        }
    }

    #[test]
    fn the_exit_code_says_whether_everything_sent_was_acknowledged() {
        assert_eq!(report().exit_code(), ExitCode::Ok);
        let lost = Report { frames_unacknowledged: 1, ..report() };
        assert_eq!(lost.exit_code(), ExitCode::Failed);
        let refused_streams = BTreeMap::from([("NotPermitted".to_owned(), 1)]);
        assert_eq!(Report { refused_streams, ..report() }.exit_code(), ExitCode::Failed);
        let idle = Report { frames_acknowledged: 0, ..report() };
        assert_eq!(idle.exit_code(), ExitCode::Failed);
        assert_eq!(Report { interrupted: true, ..report() }.exit_code(), ExitCode::Interrupted);
    }

    #[test]
    fn the_text_holds_rates_latencies_and_refusals() {
        let refused_streams = BTreeMap::from([("NotPermitted".to_owned(), 3)]);
        let refused_frames = BTreeMap::from([("NotPermitted".to_owned(), 8)]);
        let text = Report { refused_streams, refused_frames, ..report() }.text();
        assert!(text.contains("1000 readings/s, 10 frames/s, 0.02 MB/s"), "{text}");
        assert!(text.contains("p50 1.50 ms"), "{text}");
        assert!(text.contains("3 streams, 8 frames: NotPermitted"), "{text}");
    }
}
