//! `vitals stream`: from lines of text to receipts.

use std::convert::Infallible;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use client::{
    Backlogs, Connection, ConnectionConfig, ConnectionError, Delay, Loss, Renewal, StreamError,
};
use model::calendar::parse_length;
use model::{DeviceId, PatientIndex, Signal, escape, signal_by_name, signals};
use recordings::decimal::to_decimal;
use recordings::text::{Lines, Period, Reader, Rules, Times};
use recordings::{Format, When};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wire::{Descriptor, Frame, Lane, Layout, Role, StreamKey};

use self::delay::Teller;
use self::feed::{Feed, TextFeed};
use self::frames::{Building, Ended, Sending, SignalGap};
use self::input::{Steady, Survey, TextArgs, open, survey};
use self::keeping::Keeping;
use self::layout::LayoutArgs;
use self::place::Place;
use self::progress::{Progress, View};
use self::reach::{is_away, reach};
use self::samples::{Reading, Samples};
use self::step::{End, OnError};
use crate::node::{Node, Standing, runtime};
use crate::recording::detect;
use crate::report::{Interrupted, Outcome, Report, Unfinished, Usage};

mod delay;
mod feed;
mod frames;
mod input;
mod keeping;
mod layout;
mod place;
mod progress;
mod reach;
mod renewal;
mod samples;
mod step;
mod summary;

/// Readings between the thread that reads lines and the connection.
const QUEUE_READINGS: usize = 4096;
/// How long the lines that were read may take to be kept when the command is to end.
const KEEP_FOR: Duration = Duration::from_secs(2);

/// How long a certificate that is refused on the way may take to be replaced in its folder.
const RENEWAL: Duration = Duration::from_secs(600);

/// How often it is looked whether the certificate is to be renewed, and asked for the next one.
const RENEW_EVERY: Duration = Duration::from_secs(60);

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
    #[arg(long, value_name = "N")]
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
    #[command(flatten)]
    layout: LayoutArgs,
    #[command(flatten)]
    keeping: Keeping,
    /// Send a file from its begin, also what the state folder says was sent
    #[arg(long, requires = "state")]
    again: bool,
    /// How long a node that does not answer is waited for, at the begin and after a loss. With
    /// --state what is read meanwhile is kept there
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, default_value = "1h")]
    wait: u64,
    /// Do not renew the certificate by itself: for an identity of which several machines have
    /// copies, since each one that renewed would have those of the others refused
    #[arg(long)]
    no_renewal: bool,
    /// Say nothing on the way but what goes wrong
    #[arg(long)]
    quiet: bool,
    /// The time between the readings of each signal, in their order: found once, since a recording
    /// is read for it.
    #[arg(skip)]
    periods: Vec<Option<wire::Period>>,
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
    pub(crate) fn run(mut self, json: bool) -> Outcome {
        self.layout.check_readings(self.frame_readings)?;
        // The parser lets them pass beside --stdin: it asks for no file where one would conflict.
        if self.file.is_none() && (self.dry_run || self.end.is_some()) {
            let why = "expected a file with --dry-run or --end: what comes from --stdin is sent as \
                       it comes";
            return Err(Usage(why.to_owned()).into());
        }
        // A look at a file needs no identity.
        if !self.dry_run {
            self.node.check_role(&[Role::Gateway])?;
        }
        let input = self.input()?;
        let found = self.file.as_deref().map(|path| input.survey(path)).transpose()?;
        if let Some(found) = found.as_ref().filter(|_| self.dry_run) {
            return Ok(summary::dry_run(found, &self.signals));
        }
        let said = self.rate_hz.or(self.period);
        let periods = layout::periods(self.file.as_deref(), &self.signals, &self.text, said)?;
        let wire = |period: Option<Period>| period.map(frames::wire_period).transpose();
        self.periods = periods.into_iter().map(wire).collect::<anyhow::Result<_>>()?;
        let of = found.as_ref().map(|found| found.readings);
        let view = match (json, self.quiet) {
            (true, _) => View::Program,
            (false, true) => View::Nobody,
            (false, false) => View::of_stderr(),
        };
        let progress = Arc::new(Progress::new(view, self.keeping.state.clone(), of));
        let runtime = runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = self.stream(input, found.as_ref(), &progress) => outcome,
                never = progress.show() => match never {},
            }
        });
        progress.clear();
        // A thread that waits for standard input ends with the process, not with the runtime.
        runtime.shutdown_background();
        let streamed = outcome?;
        let told = streamed.gaps.clone();
        let report = summary::report(streamed);
        if told.is_empty() {
            return Ok(report);
        }
        Ok(Report { after: Some(Box::new(move || self.forget_gaps(&told))), ..report })
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
        progress: &Arc<Progress>,
    ) -> anyhow::Result<summary::Streamed> {
        let config = self.config(progress)?;
        let (building, backlogs) = (self.building(), self.backlogs()?);
        backlogs.iter().for_each(|backlogs| progress.inherit(backlogs));
        // Bounded: a large file would else be read into memory while the node takes its time.
        let (sender, steps) = mpsc::channel(QUEUE_READINGS);
        let mut feed = self.feed(input, backlogs.as_ref(), progress)?;
        let mut sending = Sending::new(building, backlogs, steps, progress.clone());
        // Reading a pipe blocks, and the connection has to go on meanwhile.
        tokio::task::spawn_blocking(move || feed.run(&sender));
        let delivered = tokio::select! {
            delivered = self.deliver(config, &mut sending, progress) => delivered,
            _ = stopped() => Err(self.interrupt(&mut sending, progress).await),
        };
        let Delivered { connection, refused, gaps } = match delivered {
            Err(error) if is_away(&error) => {
                return Err(self.give_up(error, &mut sending, progress).await);
            }
            delivered => delivered?,
        };
        let (counts, standing) = (connection.counts(), Standing::of(&self.node, &connection)?);
        progress.disconnect();
        connection.close().await;
        let ended = refused.map(Ended::Refused).or(sending.ended());
        let ended = ended.context("streaming ended without a word")?;
        let sent_before = progress.sent_before();
        let before = progress.kept_readings();
        Ok(summary::Streamed {
            counts,
            standing,
            ended,
            of_lines: found.map(|found| found.counts.lines),
            readings: counts.readings_sent + before,
            sent_before,
            state: self.keeping.state.clone(),
            given_up: counts.readings_given_up + progress.given_up(),
            gaps,
        })
    }

    /// The frame of each signal.
    fn building(&self) -> Vec<Building> {
        let is_kept = self.keeping.state.is_some();
        let signals = self.signals.iter();
        let new = |signal| Building::new(signal, is_kept, self.frame_readings, self.frame_ms);
        signals.copied().map(new).collect()
    }

    /// What the state folder keeps of each signal, if there is one.
    fn backlogs(&self) -> anyhow::Result<Option<Backlogs>> {
        let Some(folder) = &self.keeping.state else { return Ok(None) };
        let keys = self.signals.iter().map(|signal| self.key(signal));
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
        let bounds = self.keeping.bounds(self.file.is_some());
        let mut backlogs = Backlogs::open(folder, &keys, bounds)?;
        for (stream, signal) in self.signals.iter().enumerate() {
            let (codec, period) = (self.layout.codec, self.period_of(signal));
            backlogs.lay_out(stream, Layout { codec, period });
        }
        Ok(Some(backlogs))
    }

    /// Waits for the node, collecting meanwhile, and sends everything.
    async fn deliver(
        &self,
        config: ConnectionConfig,
        sending: &mut Sending,
        progress: &Progress,
    ) -> anyhow::Result<Delivered> {
        let wait = Duration::from_millis(self.wait);
        let connection = {
            let reached = reach(&self.node, config, wait, progress);
            tokio::pin!(reached);
            tokio::select! {
                reached = &mut reached => reached?,
                // Everything is read, and there is nothing left but to wait.
                collected = sending.run() => {
                    collected?;
                    reached.await?
                }
            }
        };
        progress.connect(&connection);
        let lane = if self.backfill { Lane::Backfill } else { Lane::Live };
        sending.connect(&connection, lane, |signal| self.descriptor(&connection, signal))?;
        match self.send(sending).await {
            Ok(gaps) => Ok(Delivered { connection, refused: None, gaps }),
            Err(error) => match error.downcast::<StreamError>()? {
                refused @ StreamError::Stopped { .. } => {
                    Ok(Delivered { connection, refused: Some(refused), gaps: Vec::new() })
                }
                other => Err(other.into()),
            },
        }
    }

    /// Sends everything; with what was given up of it.
    async fn send(&self, sending: &mut Sending) -> anyhow::Result<Vec<SignalGap>> {
        let opened: Vec<_> = sending.streams().map(client::Stream::opened).collect();
        let never_opened = async {
            for one in opened {
                one.await?;
            }
            std::future::pending::<Result<Infallible, StreamError>>().await
        };
        tokio::select! {
            sent = sending.run() => sent?,
            // A node that opens no stream is not waited for without end.
            opened = never_opened => match opened? {},
        }
        for stream in sending.streams() {
            stream.flush().await?;
        }
        let gaps = sending.gaps();
        for stream in sending.streams() {
            stream.close()?;
        }
        Ok(gaps)
    }

    /// Somebody was told what was given up.
    fn forget_gaps(&self, told: &[SignalGap]) {
        if let Err(error) = self.try_forget_gaps(told) {
            let why = escape(&error.to_string());
            eprintln!("vitals: what was given up will be told once more: {why}");
        }
    }

    fn try_forget_gaps(&self, told: &[SignalGap]) -> anyhow::Result<()> {
        let Some(mut backlogs) = self.backlogs()? else { return Ok(()) };
        for (index, signal) in self.signals.iter().enumerate() {
            let own = told.iter().filter(|one| one.signal.code == signal.code);
            let own: Vec<_> = own.map(|one| one.gap).collect();
            backlogs.forget_gaps(index, &own)?;
        }
        Ok(())
    }

    /// Why it ended, once everything that was read is kept that can be.
    async fn interrupt(&self, sending: &mut Sending, progress: &Progress) -> anyhow::Error {
        match self.keep_rest(sending).await {
            Ok(lost) => Interrupted { kept: progress.unfinished(lost) }.into(),
            Err(error) => error.context("interrupted, and what was read last is not kept"),
        }
    }

    /// As [`Stream::interrupt`], of a node that is away.
    async fn give_up(
        &self,
        error: anyhow::Error,
        sending: &mut Sending,
        progress: &Progress,
    ) -> anyhow::Error {
        // A connection that ended takes nothing more: then the rest is counted.
        let lost = self.keep_rest(sending).await.unwrap_or_else(|_| sending.leave());
        let left = progress.unfinished(lost);
        let said = format!("gave up waiting for the node; {}", left.said);
        error.context(Unfinished { said, ..left })
    }

    /// Keeps what was read, and counts readings that are not kept.
    async fn keep_rest(&self, sending: &mut Sending) -> anyhow::Result<u64> {
        // Lines of a pipe are not read twice; a file is.
        if self.file.is_some() || self.keeping.state.is_none() {
            return Ok(0);
        }
        match tokio::time::timeout(KEEP_FOR, sending.keep()).await {
            Ok(Err(error)) => Err(error),
            // Out of time or of room, it has left some.
            Ok(Ok(())) | Err(_) => Ok(sending.leave()),
        }
    }

    fn config(&self, progress: &Arc<Progress>) -> anyhow::Result<ConnectionConfig> {
        let teller = Teller::default();
        let shown = progress.clone();
        let on_delay = move |delay: &Delay| {
            if let Some(sentence) = teller.tell(delay) {
                shown.say(&sentence);
            }
        };
        // Its name is looked up for each attempt.
        let mut config = self.node.config(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        config.state_bounds = self.keeping.bounds(self.file.is_some());
        config.codec = self.layout.codec;
        config.encrypt = self.layout.body_key()?;
        let shown = progress.clone();
        let on_loss = move |loss: &Loss| shown.say(&delay::loss_sentence(loss));
        config.on_loss = Some(Arc::new(on_loss) as _);
        let shown = progress.clone();
        config.on_refused = Some(Arc::new(move |why: &ConnectionError| {
            shown.say(&format!(
                "{why}; its folder is read again for {} minutes: put a renewed certificate there \
                 (`sequencer identity renew`)",
                RENEWAL.as_secs() / 60
            ));
        }) as _);
        config.renew_every = (!self.no_renewal).then_some(RENEW_EVERY);
        let (shown, told) = (progress.clone(), Mutex::default());
        config.on_renewal = Some(Arc::new(move |step: &Renewal| {
            if let Some(sentence) = renewal::news(step, &told) {
                shown.say(&sentence);
            }
        }) as _);
        config.waits.renewal = RENEWAL.min(Duration::from_millis(self.wait));
        (config.state, config.on_delay) =
            (self.keeping.state.clone(), Some(Arc::new(on_delay) as _));
        let wait = Duration::from_millis(self.wait);
        (config.waits.retry_for, config.waits.open) = (wait, wait);
        if self.keeping.state.is_some() {
            // Its own: several streams of one gateway are several sessions.
            config.newest = None;
        }
        Ok(config)
    }

    fn key(&self, signal: &'static Signal) -> anyhow::Result<StreamKey> {
        let device = DeviceId::new(&self.device)?;
        Ok(StreamKey { device, patient: self.patient, signal: signal.code })
    }

    /// What reads, from where the file was left before, as the state folder has it.
    fn feed(
        &self,
        input: Input,
        backlogs: Option<&Backlogs>,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Feed> {
        let kept = self.file.as_deref().filter(|_| self.keeping.state.is_some());
        let marks = |index: usize| {
            let stream = backlogs.filter(|_| !self.again).map(|all| &all.streams()[index]);
            stream.map(client::Backlog::marks).unwrap_or_default()
        };
        let marks = (0..self.signals.len()).map(marks);
        let rules = match input {
            Input::Text(rules) => rules,
            Input::Samples(samples) => {
                let places = kept.map(|_| samples.places()).transpose()?;
                let mut after = Vec::new();
                for (place, marks) in places.into_iter().flatten().zip(marks) {
                    after.push(place.after(&marks, &samples.path)?);
                }
                let reading = Reading { places: kept.map(|_| after), on_error: self.on_error };
                return Ok(Feed::Samples { samples, reading, progress: progress.clone() });
            }
        };
        let mut sent = Vec::new();
        for (signal, marks) in self.signals.iter().zip(marks) {
            let found = kept.map(|path| place::find(path, &marks));
            sent.push((*signal, found.transpose()?.flatten()));
        }
        Ok(Feed::Text(Box::new(TextFeed {
            lines: Lines::new(BufReader::new(open(self.file.as_deref())?)),
            reader: Reader::new(rules),
            on_error: self.on_error,
            place: kept.map(Place::begin).transpose()?,
            sent,
            end: End::default(),
            progress: progress.clone(),
        })))
    }

    fn descriptor(
        &self,
        connection: &Connection,
        signal: &'static Signal,
    ) -> anyhow::Result<Descriptor> {
        let key = self.key(signal)?;
        let epoch = connection.epoch(&key)?;
        Ok(Descriptor { key, period: self.period_of(signal), epoch })
    }

    fn period_of(&self, signal: &'static Signal) -> Option<wire::Period> {
        let mut known = self.signals.iter().zip(&self.periods);
        known.find(|(one, _)| one.code == signal.code).and_then(|(_, period)| *period)
    }
}

/// What was sent.
struct Delivered {
    connection: Connection,
    /// Why the node takes no more, if it does not.
    refused: Option<StreamError>,
    gaps: Vec<SignalGap>,
}

/// Until somebody wants the command to end.
async fn stopped() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        drop(tokio::signal::ctrl_c().await);
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
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
