//! A scenario of very many gateways against one node: what waits, for how long, and whether the
//! node's limits hold. Gateways share hosts; each has its own connection, spool and certificate.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use files::Audience;
use journal::fault::FaultMedium;
use model::with_causes;
use rand::Rng;
use sequencer::folder::snapshots::fault::{Disks, FaultySnapshots};
use sequencer::stages::ingest::{IngestConfig, Observe, Observed};
use sequencer::stages::rows::{Evaluate, NotProvable, OperationRow};
use serde::Serialize;
use turmoil::Sim;

use crate::cast::Cast;
use crate::check::{Ending, Held, Violation};
use crate::clock::SimulatedClock;
use crate::dice;
use crate::fold::WINDOW_MS;
use crate::gateway::{GatewaySite, Orders};
use crate::load::{self, Facts};
use crate::network::HostMachine;
use crate::node::{NODE, NodeSite, PORT, SiteParts};
use crate::options::Why;
use crate::promises::Promises;
use crate::run::spool_folder;
use crate::scenario::{Event, Scenario};
use crate::trace::{Trace, Traffic};

/// Entries between two snapshots: that of a node's defaults.
const SNAPSHOT_EVERY: u64 = 250_000;

/// A tick of the network, milliseconds.
const TICK_MS: u64 = 1;

/// What a play showed. Seconds and milliseconds are those of the simulation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Name and version of the format.
    pub schema: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// Gateways.
    pub gateways: usize,
    /// Frames that the journal holds.
    pub frames: u64,
    /// Receipts that gateways have.
    pub receipts: u64,
    /// Windows that closed.
    pub windows: u64,
    /// Latencies and rates, as of a load run: from a frame's measuring to its receipt.
    pub load: loadgen::Report,
    /// After the last event, until everything had a receipt, milliseconds.
    pub well_after_ms: u64,
    /// Most of each at any time.
    pub most: Most,
    /// Second by second.
    pub series: Vec<Second>,
    /// What was expected and is not so.
    pub missed: Vec<String>,
}

/// The most of each that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Most {
    /// Sessions.
    pub sessions: u64,
    /// Handshakes under way.
    pub handshakes: u64,
    /// Items before the writer.
    pub waiting_items: u64,
    /// Frames without a receipt, over all gateways.
    pub backlog_frames: u64,
    /// Entitled peers that were turned away, in all.
    pub turned_away: u64,
    /// Handshakes and connections that gave way to others, in all.
    pub gave_way: u64,
    /// Memory of the program that plays all of it, node and gateways, MiB; 0 where the system does
    /// not say.
    pub memory_mib: u64,
}

/// One second of a play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// Which.
    pub at_s: u64,
    /// Sessions at its end.
    pub sessions: u64,
    /// Frames without a receipt at its end.
    pub backlog_frames: u64,
}

/// Plays a scenario.
///
/// # Errors
/// [`Why`] if an invariant does not hold; what a scenario expects and misses is in its report.
pub fn play(scenario: &Scenario) -> Result<Report, Why> {
    Play::new(scenario)?.finish()
}

struct Play<'a> {
    scenario: Scenario,
    sim: Sim<'a>,
    node: Arc<NodeSite>,
    gateways: Vec<Arc<GatewaySite>>,
    counted: Arc<Counted>,
    due: Vec<(u64, Step)>,
    most: Most,
    series: Vec<Second>,
    _folder: tempfile::TempDir,
}

/// One step of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Kill,
    Start,
    Cut(usize),
    Join(usize),
    Disk(u64),
}

/// What ingest counts, over all runs of the node.
#[derive(Debug, Default)]
struct Counted {
    sessions: AtomicI64,
    handshakes: AtomicI64,
    handshakes_most: AtomicI64,
    turned_away: AtomicU64,
    gave_way: AtomicU64,
}

impl Observe for Counted {
    fn observe(&self, what: Observed) {
        let add = |to: &AtomicI64, more| to.fetch_add(more, Ordering::SeqCst) + more;
        match what {
            Observed::SessionOpened(_) => _ = add(&self.sessions, 1),
            Observed::SessionClosed(..) => _ = add(&self.sessions, -1),
            Observed::HandshakeBegun => {
                let now = add(&self.handshakes, 1);
                self.handshakes_most.fetch_max(now, Ordering::SeqCst);
            }
            Observed::HandshakeEnded => _ = add(&self.handshakes, -1),
            Observed::ConnectionTurnedAway => _ = self.turned_away.fetch_add(1, Ordering::SeqCst),
            Observed::HandshakeGaveWay | Observed::ConnectionGaveWay => {
                self.gave_way.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// Believes the native twin: the circuit of forty thousand operations is another test's.
#[derive(Clone, Copy, Debug)]
struct TwinAlone;

impl Evaluate for TwinAlone {
    fn evaluate(&self, _: &OperationRow) -> Result<(), NotProvable> {
        Ok(())
    }
}

impl<'a> Play<'a> {
    fn new(scenario: &Scenario) -> Result<Play<'a>, Why> {
        let (seed, folder) = (scenario.seed, spool_folder()?);
        let mut sim = network(scenario);
        let cast = Arc::new(Cast::new(scenario.gateways)?);
        let promises = Arc::new(Promises::of(scenario.gateways));
        let trace = Arc::new(Mutex::new(Trace::silent()));
        let traffic = Arc::new(Mutex::new(Traffic::default()));
        let counted = Arc::new(Counted::default());
        let limits = IngestConfig {
            connections_max: scenario.node.connections_max,
            handshakes_max: scenario.node.handshakes_max,
            ..IngestConfig::default()
        };
        let node = Arc::new(NodeSite::new(SiteParts {
            seed,
            machine: HostMachine::new(seed, NODE, PORT, &traffic),
            disks: Disks::of(FaultMedium::default(), FaultySnapshots::default()),
            snapshot_every: SNAPSHOT_EVERY,
            chain: None,
            issues: false,
            cast: cast.clone(),
            promises: promises.clone(),
            trace: trace.clone(),
            folder: folder.path().join("node"),
            limits,
            observe: counted.clone(),
            rows: Arc::new(TwinAlone),
        })?);
        node.machine.slow_disk(scenario.node.disk_ms);
        add_node(&mut sim, &node);
        let world = World { scenario, folder: folder.path(), node: &node, traffic: &traffic };
        let mut gateways = Vec::with_capacity(scenario.gateways);
        for network in 0..scenario.networks {
            let sites = world.gateways_of(network);
            add_network(&mut sim, network, sites.clone());
            gateways.extend(sites);
        }
        let due = steps(scenario);
        let (scenario, most, series) = (scenario.clone(), Most::default(), Vec::new());
        Ok(Play { scenario, sim, node, gateways, counted, due, most, series, _folder: folder })
    }

    fn finish(mut self) -> Result<Report, Why> {
        // From here on the seconds of the scenario count: the node knows everybody.
        while self.node.seen().ready_at_ms.is_none() {
            self.step()?;
        }
        let begun_ms = self.now_ms();
        let over_ms = begun_ms + self.scenario.over_s() * 1_000;
        while self.now_ms() < over_ms {
            self.step()?;
            self.look(begun_ms);
        }
        let finish = |one: &Arc<GatewaySite>| one.orders.finish.store(true, Ordering::SeqCst);
        self.gateways.iter().for_each(finish);
        let well_by = over_ms + self.scenario.expect.well_after_s * 1_000;
        while self.unfinished() > 0 && self.now_ms() < well_by {
            self.step()?;
            self.look(begun_ms);
        }
        if self.unfinished() > 0 {
            let (waiting, after_s) = (self.unfinished(), self.scenario.expect.well_after_s);
            return Err(Violation::Stuck { waiting, after_s }.into());
        }
        let well_after_ms = self.now_ms() - over_ms;
        let closed_by = self.now_ms() + 2 * WINDOW_MS;
        while self.now_ms() < closed_by {
            self.step()?;
        }
        let held = self.end()?;
        Ok(self.report(held, well_after_ms))
    }

    fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    fn unfinished(&self) -> usize {
        let open = |one: &&Arc<GatewaySite>| !one.orders.finished.load(Ordering::SeqCst);
        self.gateways.iter().filter(open).count()
    }

    fn step(&mut self) -> Result<(), Why> {
        self.sim.step().map_err(|error| Why::Network(error.to_string()))?;
        match self.node.violation() {
            Some(violation) => Err(violation.into()),
            None => Ok(()),
        }
    }

    /// Does what is due, and writes down each second.
    fn look(&mut self, begun_ms: u64) {
        let since_ms = self.now_ms() - begun_ms;
        let all = std::mem::take(&mut self.due);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.0 <= since_ms);
        self.due = later;
        due.into_iter().for_each(|(_, step)| self.take(step));
        if !since_ms.is_multiple_of(1_000) {
            return;
        }
        let sessions = self.counted.sessions.load(Ordering::SeqCst).max(0) as u64;
        let backlog_frames = self.node.promises.backlog();
        self.most.sessions = self.most.sessions.max(sessions);
        self.most.backlog_frames = self.most.backlog_frames.max(backlog_frames);
        self.series.push(Second { at_s: since_ms / 1_000, sessions, backlog_frames });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Kill => {
                self.node.machine.switch(false);
                self.sim.crash(NODE);
                // Their tasks went with the host.
                self.counted.sessions.store(0, Ordering::SeqCst);
                self.counted.handshakes.store(0, Ordering::SeqCst);
            }
            Step::Start => self.sim.bounce(NODE),
            Step::Cut(network) => self.sim.partition(network_name(network), NODE),
            Step::Join(network) => self.sim.repair(network_name(network), NODE),
            Step::Disk(ms) => self.node.machine.slow_disk(ms),
        }
    }

    fn end(&self) -> Result<Held, Why> {
        let NodeSite { cast, promises, config, .. } = &*self.node;
        let log = self.node.log_after_power_cut();
        let log = log.map_err(|error| Violation::NotOpened(with_causes(&error)))?;
        Ok(Ending { cast, promises, config }.check(&log)?.counted)
    }

    fn report(self, held: Held, well_after_ms: u64) -> Report {
        let Play { scenario, node, gateways, counted, mut most, series, .. } = self;
        let reconnects = |one: &Arc<GatewaySite>| one.orders.reconnects.load(Ordering::SeqCst);
        let facts = Facts {
            begun_ms: node.seen().ready_at_ms.unwrap_or(0),
            gateways: scenario.gateways,
            frames_sent: node.promises.frames(),
            receipts: held.receipts,
            reconnects: gateways.iter().map(reconnects).sum(),
        };
        let load = load::report(&node.promises.acknowledged(), facts);
        most.handshakes = counted.handshakes_most.load(Ordering::SeqCst).max(0) as u64;
        most.waiting_items = node.seen().waiting as u64;
        most.turned_away = counted.turned_away.load(Ordering::SeqCst);
        most.gave_way = counted.gave_way.load(Ordering::SeqCst);
        most.memory_mib = memory_mib();
        let expected = [
            ("turned away", scenario.expect.turned_away_max, most.turned_away),
            ("items before the writer", scenario.expect.waiting_items_max, most.waiting_items),
            ("sessions", scenario.node.connections_max as u64, most.sessions),
            ("handshakes", scenario.node.handshakes_max as u64, most.handshakes),
        ];
        let missed = expected.into_iter().filter(|(_, at_most, found)| found > at_most);
        let say =
            |(what, at_most, found)| format!("expected at most {at_most} {what}, found {found}");
        Report {
            schema: "vitals-simulated-scenario-2",
            scenario: scenario.name,
            gateways: scenario.gateways,
            frames: held.frames,
            receipts: held.receipts,
            windows: held.windows,
            load,
            well_after_ms,
            most,
            series,
            missed: missed.map(say).collect(),
        }
    }
}

/// The most that this program ever had, as Linux says it.
fn memory_mib() -> u64 {
    let status = files::read(Path::new("/proc/self/status"), 1 << 16, Audience::Public);
    let status = String::from_utf8(status.unwrap_or_default()).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// The steps of all events, with the milliseconds at which they are due.
fn steps(scenario: &Scenario) -> Vec<(u64, Step)> {
    let each = |event: &Event| match *event {
        Event::RestartNode { at_s, down_ms } => {
            [(at_s * 1_000, Step::Kill), (at_s * 1_000 + down_ms, Step::Start)]
        }
        Event::CutNetwork { at_s, network, for_s } => {
            [(at_s * 1_000, Step::Cut(network)), ((at_s + for_s) * 1_000, Step::Join(network))]
        }
        Event::SlowDisk { at_s, ms, for_s } => [
            (at_s * 1_000, Step::Disk(ms)),
            ((at_s + for_s) * 1_000, Step::Disk(scenario.node.disk_ms)),
        ],
    };
    scenario.events.iter().flat_map(each).collect()
}

fn network<'a>(scenario: &Scenario) -> Sim<'a> {
    let [shortest, longest] = scenario.network.latency_ms;
    turmoil::Builder::new()
        .rng_seed(scenario.seed)
        .simulation_duration(Duration::from_secs(24 * 3_600))
        .tick_duration(Duration::from_millis(TICK_MS))
        .min_message_latency(Duration::from_millis(shortest))
        .max_message_latency(Duration::from_millis(longest))
        .fail_rate(f64::from(scenario.network.loss_percent) / 100.0)
        .repair_rate(1.0)
        // Of one socket: as many as 4 MiB hold.
        .udp_capacity(4_096)
        .build()
}

fn network_name(number: usize) -> String {
    format!("network-{number}")
}

fn add_node(sim: &mut Sim<'_>, node: &Arc<NodeSite>) {
    let node = Arc::clone(node);
    sim.host(NODE, move || {
        let node = Arc::clone(&node);
        async move { match node.run().await {} }
    });
}

fn add_network(sim: &mut Sim<'_>, number: usize, sites: Vec<Arc<GatewaySite>>) {
    sim.host(network_name(number), move || {
        let sites = sites.clone();
        async move {
            for site in sites {
                tokio::spawn(site.run());
            }
            std::future::pending().await
        }
    });
}

/// What gateways are made of.
struct World<'a> {
    scenario: &'a Scenario,
    folder: &'a Path,
    node: &'a Arc<NodeSite>,
    traffic: &'a Arc<Mutex<Traffic>>,
}

impl World<'_> {
    /// Those behind one network, which share its machine.
    fn gateways_of(&self, network: usize) -> Vec<Arc<GatewaySite>> {
        let Scenario { seed, gateways, networks, .. } = *self.scenario;
        let name = network_name(network);
        let machine = Arc::new(HostMachine::new(seed, &name, 0, self.traffic));
        let mut dice = dice::dice(seed, &format!("pace of {name}"));
        let begin_ms = self.scenario.connect_over_s * 1_000;
        let site = |number| {
            Arc::new(GatewaySite {
                machine: machine.clone(),
                number,
                cast: self.node.cast.clone(),
                promises: self.node.promises.clone(),
                trace: self.node.trace.clone(),
                folder: self.folder.join(format!("gateway-{number}")),
                identity: None,
                clock: SimulatedClock::default(),
                pace: Duration::from_secs(self.scenario.frame_every_s),
                begin: Duration::from_millis(dice.gen_range(0..begin_ms)),
                after: Some(Arc::clone(self.node)),
                repeats: false,
                orders: Orders::default(),
            })
        };
        (network..gateways).step_by(networks).map(site).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_begin_and_end_in_their_time() {
        let scenario = Scenario::parse(crate::scenario::HOSPITAL).unwrap();
        let steps = steps(&scenario);
        let expected = [
            (50_000, Step::Kill),
            (52_000, Step::Start),
            (65_000, Step::Cut(7)),
            (75_000, Step::Join(7)),
            (80_000, Step::Disk(200)),
            (85_000, Step::Disk(2)),
        ];
        assert_eq!(steps, expected);
    }
}
