//! `vitals stream`: from lines of text to receipts.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use client::readings::{LINE_BYTES_MAX, Lines, Timing};
use client::{Connection, ConnectionConfig, Counts, Delay, Delayed};
use model::calendar::Utc;
use model::{DeviceId, Millis, PatientIndex, Signal, signal_by_name};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wire::{Descriptor, Frame, Lane, Period, Reading, StreamKey};

use crate::consent::parse_patient;
use crate::node::{Node, Standing, now, parse_when, runtime};
use crate::report::{Interrupted, Outcome, Report, Usage};

/// Readings between the thread that reads lines and the connection.
const QUEUE_READINGS: usize = 4096;

/// How long a delay of frames is not told again.
const REPEAT_MS: u64 = 60_000;

/// Stream readings from lines of text until each has a receipt
///
/// For a bedside gateway, or anything that can write lines.
///
/// A line is `time,value`: time as RFC 3339 or milliseconds since 1970, value in the signal's unit,
/// or `off` while the sensor is off. With --rate-hz a line is only a value; the readings of a file
/// then end now, those of standard input begin now, unless --start says otherwise.
///
///   vitals stream --device monitor-1 --patient 7 --signal ecg --rate-hz 360 \
///       --node HOST:PORT --identity DIR ecg.csv
///   my-monitor | vitals stream --stdin --device monitor-1 --patient 7 --signal heart-rate \
///       --state state --node HOST:PORT --identity DIR
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Stream {
    #[command(flatten)]
    node: Node,
    /// The registered device that measures
    #[arg(long, value_name = "NAME")]
    device: String,
    /// Of whom
    #[arg(long, value_name = "N", value_parser = parse_patient)]
    patient: PatientIndex,
    /// What, as ecg, spo2, heart-rate
    #[arg(long, value_name = "SIGNAL", value_parser = signal_by_name)]
    signal: &'static Signal,
    /// Lines from standard input
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    stdin: bool,
    /// Lines from a file
    #[arg(value_name = "FILE.csv")]
    file: Option<PathBuf>,
    /// Readings a second, at most three decimals; lines then hold only values
    #[arg(long, value_name = "HZ", value_parser = parse_rate)]
    rate_hz: Option<u64>,
    /// Time of the first reading, with --rate-hz
    #[arg(long, value_name = "TIME", value_parser = parse_when, requires = "rate_hz")]
    start: Option<Millis>,
    /// Send as backlog behind live readings
    #[arg(long)]
    backfill: bool,
    /// Most readings in a frame
    #[arg(long, value_name = "N", default_value = "256",
          value_parser = clap::value_parser!(u16).range(1..=Frame::RAW_READINGS_MAX as i64))]
    frame_readings: u16,
    /// Longest wait for a frame to fill, milliseconds
    #[arg(long, value_name = "MS", default_value = "250")]
    frame_ms: u64,
    /// Folder that keeps what has no receipt over a restart
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Readings in 1000 seconds.
fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong = || "expected a rate above 0 with at most three decimals".to_owned();
    // By digits: a float would place the readings of some rates a little wrong, more each hour.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= 1_000_000).ok_or_else(wrong)?;
    let fraction: u64 = format!("{fraction:0<3}").parse().map_err(|_| wrong())?;
    let rate = whole * 1000 + fraction;
    if digits && rate > 0 { Ok(rate) } else { Err(wrong()) }
}

type Source = Box<dyn Read + Send>;

impl Stream {
    pub(crate) fn run(self) -> Outcome {
        let lines = Lines::new(self.signal, self.find_timing()?);
        let source: Source = match &self.file {
            Some(path) => Box::new(File::open(path).with_context(|| path.display().to_string())?),
            None => Box::new(std::io::stdin()),
        };
        let runtime = runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = self.stream(source, lines) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
            }
        });
        // A thread that waits for standard input ends with the process, not with the runtime.
        runtime.shutdown_background();
        let (counts, standing) = outcome?;
        Ok(standing.tell(report(counts)))
    }

    fn find_timing(&self) -> anyhow::Result<Timing> {
        let Some(per_1000_s) = self.rate_hz else {
            return Ok(Timing::InLines);
        };
        // A file was recorded before now, and readings from the future are refused.
        let start = match (self.start, &self.file) {
            (Some(start), _) => start,
            (None, None) => now(),
            (None, Some(path)) => {
                // Read twice: when the recording began follows from how many values it has.
                let file = File::open(path).with_context(|| path.display().to_string())?;
                let after_ms = count_readings(BufReader::new(file))? * 1_000_000 / per_1000_s;
                Millis::new(now().get().saturating_sub(after_ms))?
            }
        };
        Ok(Timing::Rate { start, per_1000_s })
    }

    async fn stream(&self, source: Source, lines: Lines) -> anyhow::Result<(Counts, Standing)> {
        let told = Mutex::new(None);
        let on_delay = move |delay: &Delay| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if is_worth_telling(told.as_ref(), delay) {
                eprintln!("vitals: {}", delay_sentence(delay));
                *told = Some(delay.clone());
            }
        };
        let (state, on_delay) = (self.state.clone(), Some(Arc::new(on_delay) as _));
        let mut config = ConnectionConfig { state, on_delay, ..self.node.config()? };
        if self.state.is_some() {
            // Its own: several streams of one gateway are several sessions.
            config.newest = None;
        }
        let connection = Connection::connect(config).await?;
        let key = StreamKey {
            device: DeviceId::new(&self.device)?,
            patient: self.patient,
            signal: self.signal.code,
        };
        let epoch = connection.epoch(&key)?;
        let descriptor = Descriptor { key, period: self.find_period()?, epoch };
        let lane = if self.backfill { Lane::Backfill } else { Lane::Live };
        let stream = connection.open_stream(lane, descriptor).await?;
        // Bounded: a large file would else be read into memory while the node takes its time.
        let (sender, mut readings) = mpsc::channel(QUEUE_READINGS);
        // Reading a pipe blocks, and the connection has to go on meanwhile.
        tokio::task::spawn_blocking(move || read_lines(source, lines, &sender));
        let mut waiting = None;
        while let Some(frame) = self.next_frame(&mut readings, &mut waiting).await? {
            stream.send(&frame).await?;
        }
        stream.end().await?;
        let (counts, standing) = (connection.counts(), Standing::of(&self.node, &connection)?);
        connection.close().await;
        Ok((counts, standing))
    }

    fn find_period(&self) -> anyhow::Result<Option<Period>> {
        let Some(per_1000_s) = self.rate_hz else {
            return Ok(None);
        };
        let per_1000_s = u32::try_from(per_1000_s)?;
        Ok(Some(Period::new(1_000_000_000_000, per_1000_s)?))
    }

    /// As many readings as fill a frame, or came in time, or do not go back in time.
    async fn next_frame(
        &self,
        readings: &mut mpsc::Receiver<anyhow::Result<Reading>>,
        waiting: &mut Option<Reading>,
    ) -> anyhow::Result<Option<Vec<Reading>>> {
        let first = match waiting.take() {
            Some(first) => first,
            None => match readings.recv().await {
                Some(first) => first?,
                None => return Ok(None),
            },
        };
        // From the first reading on, so that none waits longer, however slowly others follow.
        let deadline = Instant::now() + Duration::from_millis(self.frame_ms);
        let (mut last, mut frame) = (first.at, vec![first]);
        while frame.len() < usize::from(self.frame_readings) {
            let Ok(Some(next)) = timeout_at(deadline, readings.recv()).await else { break };
            let next = next?;
            // Times within a frame never go back; a later reading with an earlier time begins one.
            if next.at < last {
                *waiting = Some(next);
                break;
            }
            last = next.at;
            frame.push(next);
        }
        Ok(Some(frame))
    }
}

/// A node that is short of something asks for frames again every second: of those, one in a minute
/// is told. Openings are told each, since their pauses grow.
fn is_worth_telling(told: Option<&Delay>, delay: &Delay) -> bool {
    let repeats = |told: &Delay| {
        let same = (told.what, told.code) == (Delayed::Frames, delay.code);
        same && delay.again_at.since(told.again_at) < REPEAT_MS
    };
    delay.what == Delayed::Opening || !told.is_some_and(repeats)
}

fn delay_sentence(delay: &Delay) -> String {
    let Delay { what, code, again_at, .. } = delay;
    let what = match what {
        Delayed::Opening => "does not open the stream yet",
        Delayed::Frames => "asks for frames again",
    };
    let (meaning, number) = (code.meaning(), code.number());
    format!(
        "the node {what}: {meaning} (code {number}); nothing is lost, tried again at {}",
        Utc(*again_at)
    )
}

/// Reads lines until the end, the first that is no reading, or until nobody listens.
fn read_lines(source: Source, mut lines: Lines, sender: &mpsc::Sender<anyhow::Result<Reading>>) {
    let mut source = BufReader::new(source);
    let mut text = String::new();
    loop {
        let reading = match next_line(&mut source, &mut text) {
            Ok(false) => return,
            Ok(true) => lines.read(&text).map_err(Into::into),
            Err(error) => Err(error),
        };
        // Passed over, a bad line would be a reading that is missing and nobody knows of.
        let ended = reading.is_err();
        if let Some(reading) = reading.transpose()
            && sender.blocking_send(reading).is_err()
        {
            return;
        }
        if ended {
            return;
        }
    }
}

/// The next line, cut where it is longer than any reading. `false` at the end.
fn next_line(source: &mut impl BufRead, text: &mut String) -> anyhow::Result<bool> {
    text.clear();
    let mut limited = source.take(LINE_BYTES_MAX as u64 + 2);
    let count = limited.read_line(text).context("reading lines")?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(count > 0)
}

/// Lines that hold a value.
fn count_readings(mut source: impl BufRead) -> anyhow::Result<u64> {
    let (mut text, mut count) = (String::new(), 0);
    while next_line(&mut source, &mut text)? {
        if text.len() > LINE_BYTES_MAX {
            return Err(Usage(format!("expected lines of at most {LINE_BYTES_MAX} bytes")).into());
        }
        let line = text.trim();
        count += u64::from(!line.is_empty() && !line.starts_with('#') && line != "value");
    }
    Ok(count)
}

fn report(counts: Counts) -> Report {
    let Counts { frames_sent, readings_sent, frames_receipted, receipts, reconnects, .. } = counts;
    let json = json!({
        "schema": "vitals-stream-1", "frames": frames_sent, "readings": readings_sent,
        "frames_receipted": frames_receipted, "receipts": receipts,
        "frames_delayed": counts.frames_delayed, "streams_delayed": counts.streams_delayed,
        "reconnects": reconnects,
    });
    let text = format!(
        "{readings_sent} readings in {frames_sent} frames; {frames_receipted} frames are durable \
         by {receipts} verified receipts; {reconnects} reconnects"
    );
    Report::success(text, json)
}

#[cfg(test)]
mod tests {
    use model::{EpochNumber, RejectCode};

    use super::*;

    #[test]
    fn openings_are_told_each_and_frames_once_a_minute_and_for_each_reason() {
        let device = DeviceId::new("m-1").unwrap();
        let delay = |what, code, second: u64| Delay {
            stream: wire::StreamName { device: device.clone(), signal: 1, epoch: EpochNumber(1) },
            what,
            code,
            again_at: Millis::new(1000 * second).unwrap(),
        };
        let (frames, opening) = (Delayed::Frames, Delayed::Opening);
        let (busy, unavailable) = (RejectCode::Busy, RejectCode::Unavailable);
        let told = delay(frames, busy, 1);
        let is_told = |next| is_worth_telling(Some(&told), &next);
        assert!(is_worth_telling(None, &told) && is_told(delay(opening, busy, 2)));
        assert!(is_told(delay(frames, unavailable, 2)) && is_told(delay(frames, busy, 61)));
        assert!(!is_told(delay(frames, busy, 2)));
        let text = delay_sentence(&delay(opening, unavailable, 1000));
        assert!(text.contains("the node cannot store now (code 17)"), "{text}");
        assert!(text.contains("tried again at 1900-01-01T00:16:40"), "{text}");
    }

    #[test]
    fn rates_are_exact_to_a_thousandth() {
        assert_eq!(parse_rate("360"), Ok(360_000));
        assert_eq!(parse_rate("62.5"), Ok(62_500));
        assert_eq!(parse_rate("0.017"), Ok(17));
        for bad in ["0", "", "-1", "1.2345", "fast", "1.x", "0.000"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_not_collected() {
        let mut source = std::io::Cursor::new("9".repeat(1000) + "\n97\n");
        let mut text = String::new();
        assert!(next_line(&mut source, &mut text).unwrap());
        assert_eq!(text.len(), LINE_BYTES_MAX + 2);
        assert!(count_readings(std::io::Cursor::new("value\n97\n# no\n\n98\n")).unwrap() == 2);
    }
}
