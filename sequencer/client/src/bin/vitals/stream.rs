//! `vitals stream`: from lines of text to receipts.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use client::{Connection, ConnectionConfig, Delay, InputMark};
use model::{DeviceId, PatientIndex, Signal, signal_by_name, signals};
use recordings::decimal::to_decimal;
use recordings::text::{Line, Lines, Measured, Period, Reader, Rules, Times};
use recordings::{Format, When};
use tokio::sync::mpsc;
use wire::{Descriptor, Frame, Lane, StreamKey};

use self::delay::Teller;
use self::frames::Building;
use self::input::{Steady, Survey, TextArgs, instant, open, survey};
use self::place::Place;
use self::samples::{ChannelPlace, Samples};
use self::step::{End, OnError, Step, TOLD_ERRORS_MAX};
use crate::consent::parse_patient;
use crate::node::{Node, Standing, now, runtime};
use crate::recording::detect;
use crate::report::{Interrupted, Outcome, Usage};

mod delay;
mod frames;
mod input;
mod place;
mod samples;
mod step;
mod summary;

/// Readings between the thread that reads lines and the connection.
const QUEUE_READINGS: usize = 4096;

/// Stream readings from lines of text until each has a receipt
///
/// For a bedside gateway, or anything that can write lines.
///
/// A line is `time,value`, or a row of a CSV file as it is found: separated by commas, semicolons
/// or tabs, fields quoted or not, with a header or without; # begins a comment. A column is found
/// by its header's name (time, timestamp, date; value, HR, SpO2 ...) or said with --column. A time
/// has its date and zone (2026-05-01T08:30:00Z, 2026-05-01 10:30:00 +0200); without a zone --zone
/// says it, numbers need --time-unit. With --rate-hz or --period a line holds only values: of
/// standard input from now on, of a file from --start on.
///
///   vitals stream --device monitor-1 --patient 7 --signal ecg --unit mV --rate-hz 360 \
///       --start 2026-05-01T08:30:00Z --node HOST:PORT --identity DIR ecg.csv
///   my-monitor | vitals stream --stdin --device monitor-1 --patient 7 --signal heart-rate \
///       --state state --node HOST:PORT --identity DIR
///   vitals stream --device monitor-1 --patient 7 --signal heart-rate --signal spo2 \
///       --column heart-rate=HR --zone Europe/Berlin --dry-run --identity DIR ward.csv
#[derive(Args)]
#[command(verbatim_doc_comment, after_help = signals_help())]
pub(crate) struct Stream {
    #[command(flatten)]
    node: Node,
    /// The registered device that measures
    #[arg(long, value_name = "NAME")]
    device: String,
    /// Of whom
    #[arg(long, value_name = "N", value_parser = parse_patient)]
    patient: PatientIndex,
    /// What, as ecg, spo2, heart-rate; several times for several columns
    #[arg(long = "signal", value_name = "SIGNAL", value_parser = signal_by_name, required = true)]
    signals: Vec<&'static Signal>,
    /// Lines from standard input
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    stdin: bool,
    /// Lines from a file
    #[arg(value_name = "FILE.csv")]
    file: Option<PathBuf>,
    /// Readings a second, as 360, 62.5 or 1/60; lines then hold only values
    #[arg(long, value_name = "HZ", value_parser = Period::from_rate)]
    rate_hz: Option<Period>,
    /// Time between readings, as 60s, 4ms or 1/360
    #[arg(long, value_name = "LENGTH", value_parser = Period::from_length,
          conflicts_with = "rate_hz")]
    period: Option<Period>,
    /// Time of the first reading, with --rate-hz or --period
    #[arg(long, value_name = "TIME")]
    start: Option<When>,
    /// Time of the last reading of a file, instead of --start
    #[arg(long, value_name = "TIME", conflicts_with = "start", requires = "file")]
    end: Option<When>,
    #[command(flatten)]
    text: TextArgs,
    /// What a line that is no reading does
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
    /// Read the file, say what would be sent, and send nothing
    #[arg(long, requires = "file")]
    dry_run: bool,
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
    /// Folder that keeps what has no receipt over a restart, and how far each file was sent: the
    /// same file again sends only what is new
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Send a file from its begin, also what the state folder says was sent
    #[arg(long, requires = "state")]
    again: bool,
}

/// What each signal is, behind the options.
fn signals_help() -> String {
    let mut text = String::from("Signals (unit, range, step):\n");
    for signal in signals() {
        let show = |value| to_decimal(value, signal.decimals);
        text += &format!(
            "  {:<17} {:<7} {} to {} in steps of {}; also {}\n",
            signal.name,
            signal.unit,
            show(signal.min),
            show(signal.max),
            show(1),
            recordings::unit::names(signal)
        );
    }
    text
}

impl Stream {
    pub(crate) fn run(self) -> Outcome {
        let input = self.input()?;
        let found = self.file.as_deref().map(|path| input.survey(path)).transpose()?;
        if let Some(found) = found.as_ref().filter(|_| self.dry_run) {
            return Ok(summary::dry_run(found, &self.signals));
        }
        let runtime = runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = self.stream(input, found.as_ref()) => outcome,
                _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
            }
        });
        // A thread that waits for standard input ends with the process, not with the runtime.
        runtime.shutdown_background();
        Ok(summary::report(outcome?))
    }

    /// What is read: a pipe is text, a file says what it is.
    fn input(&self) -> anyhow::Result<Input> {
        let format = self.file.as_deref().map(detect).transpose()?.unwrap_or(Format::Text);
        let Some(path) = self.file.as_deref().filter(|_| format != Format::Text) else {
            return Ok(Input::Text(self.rules()?));
        };
        if self.rate_hz.or(self.period).is_some() || self.end.is_some() {
            let why = format!("expected no --rate-hz, --period or --end: {format} says its rate");
            return Err(Usage(why).into());
        }
        let rules = self.text.channel_rules(&self.signals, self.start)?;
        Ok(Input::Samples(Samples::new(path, format, &self.text, rules)))
    }

    fn rules(&self) -> anyhow::Result<Rules> {
        let rules = self.text.rules(&self.signals, &self.device)?;
        let Some(period) = self.rate_hz.or(self.period) else {
            if self.start.or(self.end).is_some() {
                let why = "expected --rate-hz or --period beside --start or --end";
                return Err(Usage(why.to_owned()).into());
            }
            return Ok(rules);
        };
        let steady = Steady { period, start: self.start, end: self.end };
        let start = self.text.start(steady, self.file.as_deref(), &rules)?;
        Ok(Rules { times: Times::Steady { start, period }, ..rules })
    }

    async fn stream(
        &self,
        input: Input,
        found: Option<&Survey>,
    ) -> anyhow::Result<summary::Streamed> {
        let teller = Teller::default();
        let on_delay = move |delay: &Delay| teller.tell(delay);
        let (state, on_delay) = (self.state.clone(), Some(Arc::new(on_delay) as _));
        let mut config = ConnectionConfig { state, on_delay, ..self.node.config()? };
        if self.state.is_some() {
            // Its own: several streams of one gateway are several sessions.
            config.newest = None;
        }
        let connection = Connection::connect(config).await?;
        let mut building = Vec::new();
        for signal in &self.signals {
            building.push(self.open(&connection, signal).await?);
        }
        // Bounded: a large file would else be read into memory while the node takes its time.
        let (sender, mut steps) = mpsc::channel(QUEUE_READINGS);
        let mut feed = self.feed(input, &connection)?;
        // Reading a pipe blocks, and the connection has to go on meanwhile.
        tokio::task::spawn_blocking(move || feed.run(&sender));
        let ended = frames::send_all(&mut building, &mut steps).await?;
        for one in building {
            one.stream.end().await?;
        }
        let (counts, standing) = (connection.counts(), Standing::of(&self.node, &connection)?);
        connection.close().await;
        let of_lines = found.map(|found| found.counts.lines);
        Ok(summary::Streamed { counts, standing, ended, of_lines })
    }

    fn key(&self, signal: &'static Signal) -> anyhow::Result<StreamKey> {
        let device = DeviceId::new(&self.device)?;
        Ok(StreamKey { device, patient: self.patient, signal: signal.code })
    }

    /// What reads, from where the file was left before, as the state folder has it.
    fn feed(&self, input: Input, connection: &Connection) -> anyhow::Result<Feed> {
        let kept = self.file.as_deref().filter(|_| self.state.is_some());
        let marks = |signal| match self.again {
            true => Ok(Vec::new()),
            false => anyhow::Ok(connection.input_marks(&self.key(signal)?)?),
        };
        let rules = match input {
            Input::Text(rules) => rules,
            Input::Samples(samples) => {
                let places = kept.map(|_| samples.places()).transpose()?;
                let mut after = Vec::new();
                for (place, signal) in places.into_iter().flatten().zip(&self.signals) {
                    after.push(place.after(&marks(signal)?, &samples.path)?);
                }
                let places = kept.map(|_| after);
                return Ok(Feed::Samples { samples, places, on_error: self.on_error });
            }
        };
        let mut sent = Vec::new();
        for signal in &self.signals {
            let found = kept.map(|path| place::find(path, &marks(signal)?));
            sent.push((*signal, found.transpose()?.flatten()));
        }
        Ok(Feed::Text(Box::new(TextFeed {
            lines: Lines::new(BufReader::new(open(self.file.as_deref())?)),
            reader: Reader::new(rules),
            on_error: self.on_error,
            place: kept.map(Place::begin).transpose()?,
            sent,
            end: End::default(),
        })))
    }

    async fn open(
        &self,
        connection: &Connection,
        signal: &'static Signal,
    ) -> anyhow::Result<Building> {
        let key = self.key(signal)?;
        let epoch = connection.epoch(&key)?;
        let period = self.rate_hz.or(self.period).map(frames::wire_period).transpose()?;
        let descriptor = Descriptor { key, period, epoch };
        let lane = if self.backfill { Lane::Backfill } else { Lane::Live };
        let stream = connection.open_stream(lane, descriptor).await?;
        Ok(Building::new(stream, signal, self.frame_readings, self.frame_ms))
    }
}

/// What is read.
enum Input {
    Text(Rules),
    Samples(Samples),
}

impl Input {
    fn survey(&self, path: &Path) -> anyhow::Result<Survey> {
        match self {
            Input::Text(rules) => survey(path, rules.clone()),
            Input::Samples(samples) => samples.survey(),
        }
    }
}

/// The thread that reads: until the end, the first place that is no reading, or until nobody
/// listens.
enum Feed {
    Text(Box<TextFeed>),
    Samples { samples: Samples, places: Option<Vec<ChannelPlace>>, on_error: OnError },
}

impl Feed {
    fn run(&mut self, sender: &mpsc::Sender<Step>) {
        match self {
            Feed::Text(feed) => feed.run(sender),
            Feed::Samples { samples, places, on_error } => {
                samples.run(places.as_deref(), *on_error, sender);
            }
        }
    }
}

/// Reads lines.
struct TextFeed {
    lines: Lines<BufReader<input::Source>>,
    reader: Reader,
    on_error: OnError,
    /// Of a file whose place is kept.
    place: Option<Place>,
    /// How far each signal was sent before.
    sent: Vec<(&'static Signal, Option<InputMark>)>,
    end: End,
}

impl TextFeed {
    fn run(&mut self, sender: &mpsc::Sender<Step>) {
        let bad = loop {
            let line = match self.lines.read().context("reading lines") {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(error) => break Some(Step::End(Err(error))),
            };
            self.end.is_cut = !line.is_ended;
            match self.reader.read(&line, instant(now())) {
                Ok(readings) => {
                    for step in self.steps(&line, readings) {
                        if sender.blocking_send(step).is_err() {
                            return;
                        }
                    }
                }
                Err(error) if self.on_error == OnError::Skip && !error.fault.is_final() => {
                    self.steps(&line, Vec::new());
                    self.end.skipped_lines += 1;
                    if self.end.skipped.len() < TOLD_ERRORS_MAX {
                        self.end.skipped.push(error.into());
                    }
                }
                // Passed over unasked, a bad line would be a reading that is missing and nobody
                // knows.
                Err(error) => break Some(Step::Bad(error.into())),
            }
        };
        self.end.counts = self.reader.counts();
        // Nobody listens after the connection is lost, and then nobody needs the end.
        let end = std::mem::take(&mut self.end);
        let _ = sender.blocking_send(bad.unwrap_or(Step::End(Ok(end))));
    }

    /// A line's readings that were not sent before, each with the place behind it.
    fn steps(&mut self, line: &Line, readings: Vec<Measured>) -> Vec<Step> {
        let before = self.place.clone();
        self.place.iter_mut().for_each(|place| place.pass(line));
        let mut steps = Vec::new();
        for (signal, sent) in &self.sent {
            let own: Vec<_> =
                readings.iter().filter(|one| one.signal.code == signal.code).collect();
            let was_sent = |taken: usize| {
                sent.is_some_and(|sent| {
                    line.number <= sent.lines
                        || line.number == sent.lines + 1 && taken < sent.taken as usize
                })
            };
            for (taken, measured) in own.iter().enumerate() {
                if was_sent(taken) {
                    self.end.sent_before += 1;
                    continue;
                }
                // Behind the last one the whole line is taken.
                let mark = match taken + 1 == own.len() {
                    true => self.place.as_ref().map(|place| place.mark(0)),
                    false => before.as_ref().map(|place| place.mark(taken as u32 + 1)),
                };
                steps.push(Step::Reading(**measured, mark));
            }
        }
        steps
    }
}
