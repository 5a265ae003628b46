//! One run: a node, its gateways and the network between them, from the setup over the faults of
//! its seed to the point at which everything must be well again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::fault::{Cut, FaultMedium};
use model::{Position, with_causes};
use rand::Rng;
use sequencer::folder::snapshots::fault::{Disks, FaultySnapshots};
use sequencer::stages::ingest::IngestConfig;
use sequencer::stages::rows::CircuitRows;
use turmoil::Sim;

use crate::cast::Cast;
use crate::chain::ChainSite;
use crate::check::{Ending, Held, Violation, check_settled};
use crate::clock::SimulatedClock;
use crate::dice;
use crate::faults::{Cause, ChainTrouble, Crash, Fault, HEALED_MS, Timed, Weather, weather};
use crate::fold::WINDOW_MS;
use crate::gateway::{GatewaySite, Orders};
use crate::lock::lock;
use crate::network::HostMachine;
use crate::node::{NODE, NodeSite, PORT, QUEUE_ITEMS_MAX, SiteParts};
use crate::options::{Datagrams, Failed, Options, Outcome, Planted, Why};
use crate::planted;
use crate::promises::Promises;
use crate::trace::{Trace, Traffic};
use crate::wallet::{WalletSite, changes};

/// How long a tick of the network is, milliseconds: no way is shorter.
const TICK_MS: u64 = 1;

/// By when all must be well after the last fault, milliseconds.
const WELL_AFTER_MS: u64 = 45_000;

/// Entries between two snapshots: some of them in each run.
const SNAPSHOT_EVERY: u64 = 60;

/// How often it is asked what the chain settled, milliseconds.
const SETTLED_LOOK_MS: u64 = 250;

/// How long the node is given to meet the call at which its disk shall fail, milliseconds.
const CALL_WITHIN_MS: u64 = 1_500;

/// How long a program whose disk failed takes to end, milliseconds.
const ENDS_AFTER_MS: u64 = 200;

/// Makes a run.
///
/// # Errors
/// [`Failed`] with the seed, and what does not hold.
pub fn run(options: &Options) -> Result<Outcome, Failed> {
    let trace = Arc::new(Mutex::new(Trace::default()));
    let traffic = match options.datagrams {
        Datagrams::Hashed => Traffic::default(),
        Datagrams::Listed => Traffic::listed(),
    };
    let traffic = Arc::new(Mutex::new(traffic));
    let outcome = Run::new(options, &trace, &traffic).and_then(Run::finish);
    let text = std::mem::take(&mut *lock(&trace)).into_text() + &lock(&traffic).take_lines();
    match outcome {
        Ok(held) => Ok(Outcome { trace: text, held }),
        Err(why) => Err(Failed { seed: options.seed, trace: text, why }),
    }
}

struct Run<'a> {
    seed: u64,
    planted: Planted,
    sim: Sim<'a>,
    node: Arc<NodeSite>,
    chain: Arc<ChainSite>,
    gateways: Vec<Arc<GatewaySite>>,
    wallets: Vec<Arc<WalletSite>>,
    traffic: Arc<Mutex<Traffic>>,
    trace: Arc<Mutex<Trace>>,
    faults: Vec<Timed>,
    /// What comes later because of a fault.
    due: Vec<(u64, Due)>,
    /// How the disk is found again after the call that is awaited, and when it is given up.
    awaited: Option<Awaited>,
    crashes: u64,
    /// The spools.
    _folder: tempfile::TempDir,
}

/// What is due at some time.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// With the call of its disk at which the power fails once more.
    StartNode(Option<u64>),
    StartGateway(usize),
}

/// How long the node is down, and what comes then.
#[derive(Clone, Copy, Debug)]
struct Down {
    ms: u64,
    again: Option<u64>,
}

/// A call of the node's disk that shall fail.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// What becomes of what was not synced.
    cut: Cut,
    /// Whether the program ends by itself, and so a little later.
    ends: bool,
    then: Down,
    until_ms: u64,
}

impl<'a> Run<'a> {
    fn new(
        options: &Options,
        trace: &Arc<Mutex<Trace>>,
        traffic: &Arc<Mutex<Traffic>>,
    ) -> Result<Run<'a>, Why> {
        let Options { seed, gateways, planted, .. } = *options;
        let folder = spool_folder()?;
        let weather = weather(seed, gateways);
        let mut sim = network(seed, &weather);
        let cast = Arc::new(Cast::of_seed(seed, gateways)?);
        let promises = Arc::new(Promises::of(gateways));
        let journal = match planted {
            Planted::LyingDisk => FaultMedium::default().lying(),
            _ => FaultMedium::default(),
        };
        let chain = Arc::new(ChainSite::new()?);
        let node = NodeSite::new(SiteParts {
            seed,
            machine: HostMachine::new(seed, NODE, PORT, traffic),
            disks: Disks::of(journal, FaultySnapshots::default()),
            snapshot_every: SNAPSHOT_EVERY,
            chain: Some(chain.clone()),
            issues: planted != Planted::NoCertificates,
            cast: cast.clone(),
            promises: promises.clone(),
            trace: trace.clone(),
            folder: folder.path().join("node"),
            limits: IngestConfig::default(),
            observe: Arc::new(()),
            rows: Arc::new(CircuitRows),
        })?;
        let node = Arc::new(node);
        add_node(&mut sim, &node);
        let (trace_of, traffic_of) = (trace.clone(), traffic.clone());
        let world = World { seed, cast, promises, trace: trace_of, traffic: traffic_of };
        let (mut sites, mut wallets) = (Vec::new(), Vec::new());
        for number in 0..gateways {
            let site = world.gateway(number, folder.path(), planted)?;
            add_gateway(&mut sim, &site);
            sites.push(site);
            let wallet = world.wallet(number, &node);
            add_wallet(&mut sim, &wallet);
            wallets.push(wallet);
        }
        lock(trace)
            .say(format!("weather: {:?} ms, {} %", weather.latency_ms, weather.loss_percent));
        Ok(Run {
            seed,
            planted,
            sim,
            node,
            chain,
            gateways: sites,
            wallets,
            traffic: traffic.clone(),
            trace: trace.clone(),
            faults: weather.faults,
            due: Vec::new(),
            awaited: None,
            crashes: 0,
            _folder: folder,
        })
    }

    fn finish(mut self) -> Result<Held, Why> {
        self.faults.reverse();
        while self.now_ms() < HEALED_MS {
            self.step()?;
            while self.faults.last().is_some_and(|next| next.at_ms <= self.now_ms()) {
                if let Some(next) = self.faults.pop() {
                    self.strike(next.fault);
                }
            }
        }
        self.heal();
        let well_by = self.now_ms() + WELL_AFTER_MS;
        while self.unfinished() > 0 {
            self.step()?;
            if self.now_ms() > well_by {
                return Err(self.stuck().into());
            }
        }
        // The window in which the last frame is ends in its time.
        let settled_by = well_by + 2 * WINDOW_MS;
        let acknowledged = self.node.promises.last_position();
        while self.settled()? < acknowledged {
            if self.now_ms() > settled_by {
                let (settled, after_s) = (self.settled()?.0, WELL_AFTER_MS / 1_000);
                let position = acknowledged.0;
                return Err(Violation::Unsettled { position, settled, after_s }.into());
            }
            let look = self.now_ms() + SETTLED_LOOK_MS;
            while self.now_ms() < look {
                self.step()?;
            }
        }
        self.end()
    }

    /// Up to which position of the journal everything is settled.
    fn settled(&self) -> Result<Position, Why> {
        let settled = self.chain.settled()?;
        Ok(settled.last().map_or(Position(0), |batch| batch.header.journal_position))
    }

    fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    fn say(&self, what: impl AsRef<str>) {
        lock(&self.trace).say_at(self.now_ms(), what);
    }

    fn unfinished(&self) -> usize {
        let finished = |one: &&Arc<GatewaySite>| one.orders.finished.load(Ordering::SeqCst);
        let waiting = self.gateways.len() - self.gateways.iter().filter(finished).count();
        let done = |one: &&Arc<WalletSite>| one.finished.load(Ordering::SeqCst);
        waiting + self.wallets.len() - self.wallets.iter().filter(done).count()
    }

    /// What keeps those from an end who are not done.
    fn stuck(&self) -> Violation {
        match self.gateways.iter().position(|one| one.is_due()) {
            Some(gateway) => Violation::NotRenewed { gateway },
            None => {
                let (waiting, after_s) = (self.unfinished(), WELL_AFTER_MS / 1_000);
                Violation::Stuck { waiting, after_s }
            }
        }
    }

    /// A tick, and whatever follows of what happened in it.
    fn step(&mut self) -> Result<(), Why> {
        self.sim.step().map_err(|error| Why::Network(error.to_string()))?;
        if let Some(violation) = self.node.violation() {
            return Err(violation.into());
        }
        self.look_at_disk();
        let now = self.now_ms();
        let all = std::mem::take(&mut self.due);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.0 <= now);
        self.due = later;
        for (_, due) in due {
            match due {
                Due::StartNode(again) => self.start_node(again),
                Due::StartGateway(number) => {
                    self.say(format!("{} starts", GatewaySite::name(number)));
                    self.sim.bounce(GatewaySite::name(number));
                }
            }
        }
        Ok(())
    }

    /// Takes the node down once the call that was awaited has come, or will not.
    fn look_at_disk(&mut self) {
        let (Some(awaited), now) = (self.awaited.as_mut(), self.sim.elapsed().as_millis() as u64)
        else {
            return;
        };
        if self.node.has_failed() && awaited.ends {
            (awaited.ends, awaited.until_ms) = (false, now + ENDS_AFTER_MS);
        }
        let gone = self.node.has_failed() && !self.node.machine.is_on();
        if !gone && now < awaited.until_ms {
            return;
        }
        let Awaited { cut, then, .. } = *awaited;
        self.awaited = None;
        self.take_down(Some(cut), then);
    }

    fn start_node(&mut self, again: Option<u64>) {
        if let Some(call) = again {
            self.node.cut_power_at(call);
            let (then, until_ms) = (Down { ms: 100, again: None }, self.now_ms() + CALL_WITHIN_MS);
            self.awaited = Some(Awaited { cut: Cut::Tear, ends: false, then, until_ms });
        }
        if self.planted == Planted::OtherState
            && planted::other_state(&self.node.disks().snapshots, &self.node.config)
        {
            self.say("planted: a snapshot of another state");
        }
        self.sim.bounce(NODE);
    }

    fn take_down(&mut self, cut: Option<Cut>, then: Down) {
        self.crashes += 1;
        self.node.machine.switch(false);
        self.sim.crash(NODE);
        let disks = self.node.disks();
        // A program that was killed leaves the system's cache as it is.
        let disks = match cut {
            Some(cut) => self.disks(disks.after_power_cut(cut, self.seed ^ (self.crashes << 33))),
            None => disks,
        };
        self.node.replace_disks(disks);
        self.say(format!("node: down for {} ms, {cut:?}", then.ms));
        let at = self.now_ms() + then.ms;
        self.due.push((at, Due::StartNode(then.again)));
    }

    /// What is left behind a power cut is on the same disk: one that lies goes on to.
    fn disks(&self, left: Disks) -> Disks {
        match self.planted {
            Planted::LyingDisk => Disks { journal: left.journal.lying(), ..left },
            _ => left,
        }
    }

    fn is_node_up(&self) -> bool {
        !self.due.iter().any(|(_, due)| matches!(due, Due::StartNode(_)))
    }

    fn strike(&mut self, fault: Fault) {
        self.say(fault.to_string());
        let name = GatewaySite::name;
        match fault {
            Fault::Partition { gateway } => self.sim.partition(name(gateway), NODE),
            Fault::OneWay { gateway, to_node: true } => {
                self.sim.partition_oneway(name(gateway), NODE);
            }
            Fault::OneWay { gateway, to_node: false } => {
                self.sim.partition_oneway(NODE, name(gateway));
            }
            Fault::Repair { gateway } => self.sim.repair(name(gateway), NODE),
            Fault::Loss { percent } => self.sim.set_fail_rate(f64::from(percent) / 100.0),
            Fault::Crash(crash) => self.strike_node(crash),
            Fault::NodeDisk { ms } => self.node.machine.slow_disk(ms),
            Fault::GatewayDisk { gateway, ms } => self.gateways[gateway].machine.slow_disk(ms),
            Fault::Bounce { gateway, down_ms } => {
                let at = self.now_ms() + down_ms;
                self.sim.crash(name(gateway));
                self.due.push((at, Due::StartGateway(gateway)));
            }
            Fault::Chain(trouble) => self.strike_chain(trouble),
            Fault::Move { gateway } => {
                self.gateways[gateway].orders.move_on.store(true, Ordering::SeqCst);
            }
        }
    }

    fn strike_chain(&self, trouble: ChainTrouble) {
        match trouble {
            ChainTrouble::Silent => self.chain.answer(false),
            ChainTrouble::Answers => self.chain.answer(true),
            ChainTrouble::Loses { transactions } => self.chain.lose(transactions),
            ChainTrouble::TakesBack { blocks } => {
                let taken = self.chain.take_back(blocks);
                self.say(format!("chain: {} blocks taken back", taken.unwrap_or(0)));
            }
        }
    }

    fn strike_node(&mut self, crash: Crash) {
        // One at a time: a node that is down has no disk that could fail.
        if !self.is_node_up() || self.awaited.is_some() {
            return;
        }
        let Crash { cause, down_ms, again } = crash;
        let (then, until_ms) = (Down { ms: down_ms, again }, self.now_ms() + CALL_WITHIN_MS);
        match cause {
            Cause::Kill => self.take_down(None, then),
            Cause::PowerCut { call, cut } => {
                self.node.cut_power_at(call);
                self.awaited = Some(Awaited { cut, ends: false, then, until_ms });
            }
            Cause::DiskError { call } => {
                self.node.disks().power.fail_at(call);
                // What the failed sync dropped is lost for good, and the rest is there.
                self.awaited = Some(Awaited { cut: Cut::Keep, ends: true, then, until_ms });
            }
        }
    }

    /// Ends every fault.
    fn heal(&mut self) {
        self.say("healed");
        self.faults.clear();
        if let Some(awaited) = self.awaited.take() {
            self.take_down(Some(awaited.cut), Down { ms: 0, again: None });
        }
        self.due.iter_mut().for_each(|(_, due)| {
            if let Due::StartNode(again) = due {
                *again = None;
            }
        });
        self.sim.set_fail_rate(0.0);
        for (number, gateway) in self.gateways.iter().enumerate() {
            self.sim.repair(GatewaySite::name(number), NODE);
            gateway.machine.slow_disk(0);
            gateway.orders.finish.store(true, Ordering::SeqCst);
        }
        self.node.machine.slow_disk(0);
        self.chain.answer(true);
        self.chain.lose(0);
    }

    /// The power fails once more, and what is found behind it is held against what was promised.
    fn end(self) -> Result<Held, Why> {
        self.check_bounds()?;
        let NodeSite { cast, promises, config, .. } = &*self.node;
        let log = self.node.log_after_power_cut();
        let log = log.map_err(|error| Violation::NotOpened(with_causes(&error)))?;
        let held = Ending { cast, promises, config }.check(&log)?;
        if self.planted == Planted::BrokenFinality {
            let taken = self.chain.break_finality();
            self.say(format!("planted: {taken} blocks taken back"));
        }
        let settled = self.chain.settled()?;
        check_settled(&settled, &held.windows, promises.last_position())?;
        let head = log.head();
        let journal = hex::encode(&head.journal_hash[..8]);
        let held = Held {
            settled: settled.len() as u64,
            starts_from_snapshot: self.node.seen().from_snapshot,
            ..held.counted
        };
        self.say(format!("{held}, {} groups, journal {journal}", head.group));
        self.say(lock(&self.traffic).summary());
        Ok(held)
    }

    fn check_bounds(&self) -> Result<(), Violation> {
        let seen = self.node.seen();
        let limits = client_limits();
        let held = |one: &Arc<GatewaySite>| one.orders.held_bytes.load(Ordering::SeqCst) as u64;
        let held = self.gateways.iter().map(held).max().unwrap_or(0);
        let bounds = [
            ("items before the writer", QUEUE_ITEMS_MAX as u64, seen.waiting as u64),
            ("bytes without a receipt in a client's memory", limits, held),
        ];
        for (what, most, found) in bounds {
            if found > most {
                return Err(Violation::Unbounded { what, most, found });
            }
        }
        self.say(format!(
            "{} starts, {} of them from one of {} snapshots, {} waited, {held} bytes held",
            seen.starts, seen.from_snapshot, seen.snapshots, seen.waiting
        ));
        Ok(())
    }
}

fn client_limits() -> u64 {
    wire::ClientLimits::default().held_bytes_max as u64
}

/// A folder for spools, in memory where the system has such a place: their syncs are real.
pub(crate) fn spool_folder() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return Ok(folder);
    }
    tempfile::tempdir()
}

fn network<'a>(seed: u64, weather: &Weather) -> Sim<'a> {
    let (least, most) = weather.latency_ms;
    turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(3_600))
        .tick_duration(Duration::from_millis(TICK_MS))
        .min_message_latency(Duration::from_millis(least))
        .max_message_latency(Duration::from_millis(most))
        .fail_rate(f64::from(weather.loss_percent) / 100.0)
        .repair_rate(f64::from(weather.repair_percent) / 100.0)
        .udp_capacity(4_096)
        .build()
}

fn add_node(sim: &mut Sim<'_>, node: &Arc<NodeSite>) {
    let node = Arc::clone(node);
    sim.host(NODE, move || {
        let node = Arc::clone(&node);
        async move { match node.run().await {} }
    });
}

fn add_wallet(sim: &mut Sim<'_>, site: &Arc<WalletSite>) {
    let site = Arc::clone(site);
    sim.host(WalletSite::name(site.number), move || {
        let site = Arc::clone(&site);
        async move { match site.run().await {} }
    });
}

fn add_gateway(sim: &mut Sim<'_>, gateway: &Arc<GatewaySite>) {
    let gateway = Arc::clone(gateway);
    sim.host(GatewaySite::name(gateway.number), move || {
        let gateway = Arc::clone(&gateway);
        async move { match gateway.run().await {} }
    });
}

/// What all gateways share.
struct World {
    seed: u64,
    cast: Arc<Cast>,
    promises: Arc<Promises>,
    trace: Arc<Mutex<Trace>>,
    traffic: Arc<Mutex<Traffic>>,
}

impl World {
    fn gateway(
        &self,
        number: usize,
        folder: &Path,
        planted: Planted,
    ) -> Result<Arc<GatewaySite>, Why> {
        let name = GatewaySite::name(number);
        let identity = folder.join(format!("identity of {name}"));
        self.cast.write_identity(&self.cast.gateways[number], &identity)?;
        let mut dice = dice::dice(self.seed, &format!("pace of {name}"));
        Ok(Arc::new(GatewaySite {
            machine: Arc::new(HostMachine::new(self.seed, &name, 0, &self.traffic)),
            number,
            cast: self.cast.clone(),
            promises: self.promises.clone(),
            trace: self.trace.clone(),
            folder: folder.join(&name),
            identity: Some(identity),
            clock: SimulatedClock { ahead_ms: dice.gen_range(0..2_000) },
            pace: Duration::from_millis(dice.gen_range(40..400)),
            begin: Duration::from_millis(500 + dice.gen_range(0..1_000)),
            after: None,
            repeats: planted == Planted::Repetition && number == 0,
            orders: Orders::default(),
        }))
    }

    fn wallet(&self, number: usize, node: &Arc<NodeSite>) -> Arc<WalletSite> {
        let name = WalletSite::name(number);
        Arc::new(WalletSite {
            machine: Arc::new(HostMachine::new(self.seed, &name, 0, &self.traffic)),
            number,
            cast: self.cast.clone(),
            promises: self.promises.clone(),
            trace: self.trace.clone(),
            node: node.clone(),
            planned: changes(self.seed, number),
            finished: AtomicBool::new(false),
        })
    }
}
