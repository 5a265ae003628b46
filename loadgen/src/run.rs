//! One run: connect, open, stream, drain, report.

mod alarm;
mod link;
mod sender;
mod timebase;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use client::{
    Connection, ConnectionConfig, ConnectionError, Deployment, Identity, IdentityError, StreamError,
};
use model::{ExitCode, with_causes};
use thiserror::Error;
use tokio::sync::{Barrier, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use wire::{
    ClientError, ClientName, Codec, Descriptor, Frame, HEADER_BYTES, Lane, Period, RAW_ROW_BYTES,
    Role, SignedReceipt, StopReason, StreamKey, StreamName,
};
use world::Recording;

use crate::assignments::Assignment;
use crate::exit;
use crate::flight::{Arrival, InFlight, lock};
use crate::hgrm::percentile_text;
use crate::laying::Laying;
use crate::ledger::{LedgerError, LedgerWriter};
use crate::pace::{Pace, Rate};
use crate::recorder::{Event, Live, Recorder, StreamLabel, Totals};
use crate::report::{Latency, Report, cpu_seconds, load_average};
use crate::source::Source;
use crate::timeline::Seen;
use alarm::AlarmClock;
use link::{Link, Timetable};
use sender::{Backlog, Sender, StreamEnd};
use timebase::Timebase;

pub use link::Outage;

/// Most frames in flight over all streams.
pub const IN_FLIGHT_MAX: usize = 65_536;

/// Time between readings on a grid at the highest rate: so short that none lies in the future,
/// which a node refuses.
const SHORTEST_PERIOD_NS: u64 = 10;
/// How often it is looked what the connections counted.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Everything about a run. Memory: about `in_flight_max` frames of 32 + 16 x `frame_readings`
/// bytes, twice, what [`ConnectionConfig`] says for each gateway, and what
/// [`crate::BINS_MAX`] says for the run over time.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// Where the node listens (UDP).
    pub node: SocketAddr,
    /// Name in the node's certificate.
    pub server_name: String,
    /// Who sends what.
    pub assignments: Vec<Assignment>,
    /// How fast.
    pub rate: Rate,
    /// How long frames are sent for.
    pub duration: Duration,
    /// Readings of a frame, 1 to [`Frame::RAW_READINGS_MAX`].
    pub frame_readings: usize,
    /// How readings lie in frames. Of a grid, times are on one; else they are as irregular as a
    /// clock's.
    pub laying: Laying,
    /// Most frames without a receipt over all streams, 1 to [`IN_FLIGHT_MAX`]. Reached: sending
    /// waits, and the wait counts into the latency of what is due.
    pub in_flight_max: usize,
    /// How gateways come and go.
    pub habits: Habits,
    /// How long the last receipts are waited for.
    pub drain: Duration,
    /// How long a lost connection is tried for, and a stream that the node does not open yet.
    pub retry_for: Duration,
    /// A new file for what is acknowledged.
    pub ledger: Option<PathBuf>,
    /// A folder for the receipts themselves, one folder for each gateway below it.
    pub receipts: Option<PathBuf>,
}

/// How gateways come and go. The default: all begin at once, with nothing behind them, and stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Habits {
    /// From the first gateway's first frame to the last one's, evenly.
    pub start_spread: Duration,
    /// Frames of each stream that were collected before the begin and are due at it; not at the
    /// highest rate, which has no due times.
    pub backlog_frames: u64,
    /// When the link to the node is down.
    pub outage: Option<Outage>,
}

/// Why a run did not begin, or found nothing that it can vouch for.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A number outside its range.
    #[error("expected {what} from 1 to {limit}, found {found}")]
    Range {
        /// Of what.
        what: &'static str,
        /// Largest allowed.
        limit: usize,
        /// Number found.
        found: usize,
    },
    /// An identity folder cannot be used.
    #[error("the identity {folder} cannot be used")]
    Identity {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: IdentityError,
    },
    /// Only gateways send readings.
    #[error("expected the identity of a gateway in {folder}, found another role")]
    Role {
        /// Which.
        folder: PathBuf,
    },
    /// A gateway does not get in.
    #[error("the gateway of {folder} cannot connect")]
    Connect {
        /// Its identity.
        folder: PathBuf,
        /// Why not.
        source: ConnectionError,
    },
    /// A link that can be cut has no socket.
    #[error("expected a free UDP port of this machine for each link that is to fail")]
    Link(#[source] std::io::Error),
    /// The system starts no thread for the times at which frames are due.
    #[error("expected the system to start one more thread")]
    Alarms(#[source] std::io::Error),
    /// The ledger cannot be made or written.
    #[error("the run has no ledger")]
    Ledger(#[from] LedgerError),
    /// The recorder is gone: a bug of this program.
    #[error("expected the recorder to run to the end")]
    Recorder(#[from] tokio::task::JoinError),
}

impl LoadError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::of_error(self, |cause| match cause.downcast_ref() {
            Some(LoadError::Connect { .. }) => Some(ExitCode::Unavailable),
            Some(LoadError::Range { .. } | LoadError::Role { .. }) => Some(ExitCode::Usage),
            // What stands below says it.
            Some(LoadError::Link(_) | LoadError::Alarms(_)) => Some(ExitCode::Failed),
            Some(LoadError::Identity { .. } | LoadError::Ledger(_) | LoadError::Recorder(_))
            | None => exit::known(cause),
        })
    }
}

/// A connected gateway.
struct Gateway {
    name: String,
    connection: Connection,
    flight: Arc<Mutex<InFlight>>,
    /// In the order in which they connected.
    number: usize,
    /// Its way to the node, if that fails now and then.
    link: Option<Link>,
}

/// The streams of a run.
#[derive(Default)]
struct Streams {
    opened: Vec<Opened>,
    /// Of all, by their numbers.
    labels: Vec<StreamLabel>,
    /// Of those that the node refused.
    ends: Vec<StreamEnd>,
}

/// A stream that the node takes.
struct Opened {
    /// Number in the run, in the order of the assignments.
    number: usize,
    key: StreamKey,
    name: StreamName,
    stream: client::Stream,
    flight: Arc<Mutex<InFlight>>,
    /// When it begins, after the run.
    later: Duration,
}

/// Streams the recordings and waits for the receipts. `live` shows how far it is; `stop` set to
/// true ends sending early. Must be called within a tokio runtime with IO and time.
///
/// # Errors
/// [`LoadError`]. Refused streams and lost connections after the begin are findings in the report.
pub async fn run(
    config: &LoadConfig,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
) -> Result<Report, LoadError> {
    run_beside(config, live, stop, &Barrier::new(1)).await
}

/// As [`run`], beginning to send when as many others as the barrier counts are ready to.
pub(crate) async fn run_beside(
    config: &LoadConfig,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
    ready: &Barrier,
) -> Result<Report, LoadError> {
    check(config)?;
    // Made before anything is sent: a run that cannot write down what it sees proves nothing.
    let ledger = config.ledger.as_deref().map(LedgerWriter::create).transpose()?;
    let (events, received) = mpsc::channel();
    let permits = Arc::new(Semaphore::new(config.in_flight_max));
    let begun = Arc::new(OnceLock::new());
    let (time, permits_of_load) = (Timebase::start(), permits.clone());
    let alarms = AlarmClock::start().map_err(LoadError::Alarms)?;
    let load = Load { config, time, alarms, events, permits: permits_of_load, begun };
    let gateways = load.connect().await?;
    let Streams { opened, labels, mut ends } = load.open(&gateways).await;
    // A ledger that cannot be written any further ends the run like a signal does.
    let failed = stop.clone();
    // Only now, so that no stream is behind because others were still opening.
    ready.wait().await;
    let begin = load.time.elapsed();
    load.begun.get_or_init(Instant::now);
    let recorder = Recorder { events: received, ledger, labels, begin, permits, live, failed };
    let recording = tokio::task::spawn_blocking(move || recorder.record());
    load.tell(ends.iter().map(StreamEnd::seen));

    let mut tasks = JoinSet::new();
    for one in opened {
        tasks.spawn(load.sender(one, begin).run(stop.subscribe()));
    }
    let (mut ticks, mut counted) = (interval(LOOK_EVERY), Seen::default());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = tasks.join_next() => {
                let Some(end) = ended.transpose()? else { break };
                load.tell([end.seen()]);
                ends.push(end);
            }
            _ = ticks.tick() => load.look(&gateways, &mut counted),
        }
    }
    load.look(&gateways, &mut counted);
    // Before the connections close: their counts go with them.
    let mut report = load.report(&gateways, &ends);
    for gateway in gateways.into_values() {
        gateway.connection.close().await;
    }
    // The recorder may be gone only if it panicked, which the next line reports.
    let _ = load.events.send(Event::End);
    let (totals, error) = recording.await?;
    if let Some(error) = error {
        return Err(error.into());
    }
    report.interrupted = *stop.borrow();
    // What was due after a signal was not meant to be sent any more.
    if report.interrupted {
        report.frames_behind = 0;
    }
    Ok(with_totals(report, &totals, begin))
}

impl LoadConfig {
    /// How many gateways connect.
    fn gateways(&self) -> usize {
        let folders: BTreeSet<_> = self.assignments.iter().map(|one| &one.identity).collect();
        folders.len()
    }
}

fn check(config: &LoadConfig) -> Result<(), LoadError> {
    let range = |what, limit, found| match (1..=limit).contains(&found) {
        true => Ok(()),
        false => Err(LoadError::Range { what, limit, found }),
    };
    range("readings of a frame", Frame::RAW_READINGS_MAX, config.frame_readings)?;
    range("frames in flight", IN_FLIGHT_MAX, config.in_flight_max)
}

/// A run under way.
struct Load<'a> {
    config: &'a LoadConfig,
    time: Timebase,
    alarms: AlarmClock,
    events: mpsc::Sender<Event>,
    /// One for each frame that may still be sent without a receipt.
    permits: Arc<Semaphore>,
    /// When sending began, for links that fail after it.
    begun: Arc<OnceLock<Instant>>,
}

impl Load<'_> {
    async fn connect(&self) -> Result<BTreeMap<PathBuf, Gateway>, LoadError> {
        let mut gateways = BTreeMap::new();
        for Assignment { identity: folder, .. } in &self.config.assignments {
            if gateways.contains_key(folder) {
                continue;
            }
            let flight = Arc::new(Mutex::new(InFlight::default()));
            let number = gateways.len();
            let link = self.link(number).await?;
            let address = link.as_ref().map_or(self.config.node, |link| link.address);
            let mut settings = self.settings(folder, flight.clone())?;
            settings.address = address;
            let name = settings.identity.name().to_owned();
            let connection = Connection::connect(settings).await;
            let wrong = |source| LoadError::Connect { folder: folder.clone(), source };
            let connection = connection.map_err(wrong)?;
            let gateway = Gateway { name, connection, flight, number, link };
            gateways.insert(folder.clone(), gateway);
        }
        Ok(gateways)
    }

    /// The way to the node of gateway `number`, if it is one that fails.
    async fn link(&self, number: usize) -> Result<Option<Link>, LoadError> {
        let Some(outage) = self.config.habits.outage else { return Ok(None) };
        let later = self.share(outage.stagger, number);
        let timetable = Timetable { outage, later, begun: Arc::clone(&self.begun) };
        let link = Link::open(self.config.node, timetable).await;
        Ok(Some(link.map_err(LoadError::Link)?))
    }

    /// The even share of a spread that gateway `number` has.
    fn share(&self, spread: Duration, number: usize) -> Duration {
        let gateways = self.config.gateways().max(1);
        let share = spread.as_nanos() * number as u128 / gateways as u128;
        Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
    }

    fn settings(
        &self,
        folder: &Path,
        flight: Arc<Mutex<InFlight>>,
    ) -> Result<ConnectionConfig, LoadError> {
        let config = self.config;
        let wrong = |source| LoadError::Identity { folder: folder.to_owned(), source };
        let identity = Identity::load(folder).map_err(wrong)?;
        let deployment = Deployment::load(folder).map_err(wrong)?;
        if identity.role() != Role::Gateway {
            return Err(LoadError::Role { folder: folder.to_owned() });
        }
        let own = config.receipts.as_ref().map(|receipts| receipts.join(identity.name()));
        let mut settings =
            ConnectionConfig::new(config.node, &*config.server_name, identity, deployment);
        settings.name = ClientName::new("vitals-loadgen").expect("14 printable characters");
        (settings.receipts, settings.codec) = (own, Some(config.laying.codec()));
        settings.limits.block_frames_max = config.laying.block_frames_max();
        (settings.waits.retry_for, settings.waits.open) = (config.retry_for, config.retry_for);
        // What is in flight is bounded here, over all gateways; a connection shall never be the
        // bound. One frame more, since a frame is held a little longer than its permit.
        let frame_bytes = HEADER_BYTES + RAW_ROW_BYTES * config.frame_readings;
        settings.limits.held_bytes_max = frame_bytes * (config.in_flight_max + 1);
        let streams = config.assignments.iter().filter(|one| one.identity == folder).count();
        settings.limits.streams_max = settings.limits.streams_max.max(streams);
        let (time, events) = (self.time, self.events.clone());
        settings.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            // Timed here and not by the recorder: its queue is no part of a frame's latency.
            let arrived = time.elapsed();
            let arrival = Arrival { arrived, at: time.wall_time(arrived) };
            let frames = lock(&flight).acknowledge(&receipt.receipt, arrival);
            // Nobody listens any more only after the run has been reported.
            let _ = events.send(Event::Acknowledged(frames));
        }));
        Ok(settings)
    }

    /// Opens every stream. One that is refused is an end, not an error: the others go on.
    async fn open(&self, gateways: &BTreeMap<PathBuf, Gateway>) -> Streams {
        let mut streams = Streams::default();
        for (number, Assignment { identity, key }) in self.config.assignments.iter().enumerate() {
            let Gateway { name: gateway, connection, flight, number: place, .. } =
                &gateways[identity];
            let later = self.share(self.config.habits.start_spread, *place);
            let outcome = async {
                let epoch = connection.epoch(key)?;
                let nanos = self.period_ns(self.recording(number, key));
                let period = nanos.map(|nanos| Period::new(nanos, 1)).transpose();
                let period = period.map_err(ClientError::from)?;
                let descriptor = Descriptor { key: key.clone(), period, epoch };
                let name = descriptor.name();
                lock(flight).open(name.clone(), number);
                Ok::<_, StreamError>((name, connection.open_stream(Lane::Live, descriptor).await?))
            };
            let mut epoch = 0;
            match outcome.await {
                Ok((name, stream)) => {
                    epoch = name.epoch.0;
                    let (key, flight) = (key.clone(), flight.clone());
                    streams.opened.push(Opened { number, key, name, stream, flight, later });
                }
                Err(error) => streams.ends.push(StreamEnd::of_refusal(error)),
            }
            // Also of a refused one, so that a stream's number is its place in the list.
            let label = StreamLabel { gateway: gateway.clone(), key: key.clone(), epoch };
            streams.labels.push(label);
        }
        streams
    }

    /// What a stream plays.
    fn recording(&self, number: usize, key: &StreamKey) -> &'static Recording {
        let of_signal = world::recordings().iter().filter(|one| one.signal.code == key.signal);
        let leads: Vec<_> = of_signal.collect();
        // The assignments were checked to name only signals with a recording.
        leads[number % leads.len()]
    }

    /// The time between the readings of a stream on a grid: as a device measures, or as short as
    /// the rate asks.
    fn period_ns(&self, recording: &Recording) -> Option<u64> {
        let streams = self.config.assignments.len() as u64;
        let shortest = match self.config.rate {
            Rate::Max => SHORTEST_PERIOD_NS,
            Rate::Natural => recording.period_ns,
            Rate::PerSecond(rate) => streams.saturating_mul(1_000_000_000) / rate.get(),
        };
        let period = recording.period_ns.min(shortest).max(1);
        (self.config.laying.codec() == Codec::GRID).then_some(period)
    }

    fn sender(&self, opened: Opened, begin: Duration) -> Sender {
        let config = self.config;
        let Opened { number, key, name, stream, flight, later } = opened;
        let recording = self.recording(number, &key);
        // Streams begin at different places of the recording, a prime apart, so that few
        // send the same values at a time.
        let begin = begin + later;
        let period_ns = self.period_ns(recording);
        let backlog = self.backlog(period_ns.unwrap_or(recording.period_ns));
        let first = self.time.device_time_before(begin, backlog.length());
        let source = Source::new(recording, number * 7919, first).on_grid(period_ns);
        Sender {
            stream,
            name,
            flight,
            source,
            pace: self.pace(number, recording).behind(backlog.frames),
            permits: self.permits.clone(),
            time: self.time,
            alarm: self.alarms.alarm(),
            begin,
            // The one that begins last sends for a shorter time: all end together.
            end: begin + config.duration.saturating_sub(later),
            frame_readings: config.frame_readings,
            backlog,
            drain: config.drain,
            sent: 0,
        }
    }

    fn pace(&self, number: usize, recording: &Recording) -> Pace {
        let (config, streams) = (self.config, self.config.assignments.len());
        match config.rate {
            Rate::Max => Pace::max(),
            Rate::Natural => {
                Pace::natural(recording.period_ns, config.frame_readings, number, streams)
            }
            Rate::PerSecond(rate) => Pace::shared(rate, config.frame_readings, number, streams),
        }
    }

    /// What a stream has behind it. At the highest rate nothing is due, so nothing is late.
    fn backlog(&self, period_ns: u64) -> Backlog {
        let nanos = period_ns.saturating_mul(self.config.frame_readings as u64);
        let frames = match self.config.rate {
            Rate::Max => 0,
            Rate::Natural | Rate::PerSecond(_) => self.config.habits.backlog_frames,
        };
        Backlog { frames, frame: Duration::from_nanos(nanos) }
    }

    /// Readings a second that are due over all streams; none at the highest rate.
    fn offered(&self) -> Option<u64> {
        match self.config.rate {
            Rate::Max => None,
            Rate::PerSecond(rate) => Some(rate.get()),
            Rate::Natural => {
                let streams = self.config.assignments.iter().enumerate();
                let periods = streams
                    .map(|(number, one)| u128::from(self.recording(number, &one.key).period_ns));
                // In thousandths, so that rounding of each does not show in the sum.
                let sum: u128 = periods.map(|period| 1_000_000_000_000 / period.max(1)).sum();
                Some(u64::try_from(sum / 1000).unwrap_or(u64::MAX))
            }
        }
    }

    /// Tells the recorder what was seen by now.
    fn tell(&self, seen: impl IntoIterator<Item = Seen>) {
        for one in seen.into_iter().filter(|one| !one.is_none()) {
            // Nobody listens any more only after the run has been reported.
            let _ = self.events.send(Event::Seen(self.time.elapsed(), one));
        }
    }

    /// Tells what the connections counted since the last look: their counts have no times.
    fn look(&self, gateways: &BTreeMap<PathBuf, Gateway>, counted: &mut Seen) {
        let mut now = Seen::default();
        for counts in gateways.values().map(|one| one.connection.counts()) {
            now.delays += counts.frames_delayed + counts.streams_delayed;
            now.reconnects += counts.reconnects;
        }
        let (delays, reconnects) =
            (now.delays - counted.delays, now.reconnects - counted.reconnects);
        self.tell([Seen { delays, reconnects, refused: 0 }]);
        *counted = now;
    }

    fn report(&self, gateways: &BTreeMap<PathBuf, Gateway>, ends: &[StreamEnd]) -> Report {
        let config = self.config;
        let counts: Vec<_> = gateways.values().map(|one| one.connection.counts()).collect();
        // Of one for all: every socket of this machine is granted the same.
        let short = gateways.values().find_map(|one| one.connection.udp_buffers().short());
        let mut report = Report {
            udp_buffers_short: short.map(|short| short.to_string()),
            offered_readings_per_second: self.offered(),
            frame_readings: config.frame_readings,
            gateways: gateways.len(),
            streams: config.assignments.len(),
            frames_delayed: counts.iter().map(|counts| counts.frames_delayed).sum(),
            streams_delayed: counts.iter().map(|counts| counts.streams_delayed).sum(),
            receipts: counts.iter().map(|counts| counts.receipts).sum(),
            reconnects: counts.iter().map(|counts| counts.reconnects).sum(),
            datagrams_cut: gateways
                .values()
                .filter_map(|one| one.link.as_ref())
                .map(Link::cut)
                .sum(),
            bytes_acknowledged: counts.iter().map(|counts| counts.bytes_receipted).sum(),
            frames_sent: ends.iter().map(|end| end.sent).sum(),
            frames_behind: ends.iter().map(|end| end.behind).sum(),
            ..Report::default()
        };
        for end in ends {
            match &end.why {
                Some(StreamError::Stopped { why: StopReason::Refused(code) }) => {
                    let code = format!("{code:?}");
                    *report.refused_frames.entry(code.clone()).or_default() += end.unacknowledged;
                    *report.refused_streams.entry(code).or_default() += 1;
                    // Not unacknowledged too: a frame without consent is rightly not durable.
                    continue;
                }
                Some(why) => *report.failures.entry(with_causes(why)).or_default() += 1,
                None => {}
            }
            report.frames_unacknowledged += end.unacknowledged;
        }
        report
    }
}

fn with_totals(report: Report, totals: &Totals, begin: Duration) -> Report {
    Report {
        seconds: totals.last.saturating_sub(begin).as_secs_f64(),
        frames_acknowledged: totals.frames,
        readings_acknowledged: totals.readings,
        latency: Latency::of(&totals.latency),
        series: totals.timeline.series(),
        distribution: percentile_text(&totals.latency),
        cpu_seconds: cpu_seconds(),
        load_average: load_average(),
        ..report
    }
}
