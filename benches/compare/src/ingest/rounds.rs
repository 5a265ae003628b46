//! Rounds that take turns: what disturbs the machine for a minute disturbs every server alike.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use benches::machine;

use super::bystander::Bystander;
use super::payload::Payload;
use super::report::{Entry, Outcome, Report, Table};
use super::store::{Loaded, Name, Order, Store, Unstarted};
use super::{nats, node, redis};

/// How a table is made.
pub(super) struct Plan {
    pub(super) rounds: usize,
    pub(super) time: Duration,
    pub(super) payloads: Vec<Payload>,
    pub(super) servers: Vec<Name>,
    /// Most messages that wait for their acknowledgement, and most bytes of them.
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: usize,
    pub(super) proving: usize,
    pub(super) programs: PathBuf,
    pub(super) nats_server: PathBuf,
    pub(super) redis_server: PathBuf,
    pub(super) disk: PathBuf,
}

/// Messages in flight at least, however large they are: two pipelines of the peer that takes 64 at
/// a time, so that it can store one while the other comes.
const IN_FLIGHT_MIN: usize = 128;

impl Plan {
    /// How many messages of a kind wait for their acknowledgement, at every server alike.
    fn in_flight_of(&self, payload: Payload) -> anyhow::Result<usize> {
        let most = self.in_flight_bytes / payload.opaque()?.len().max(1);
        Ok(most.clamp(IN_FLIGHT_MIN.min(self.in_flight), self.in_flight))
    }
}

/// Servers that run, in the order in which they have their turn.
struct Running {
    stores: Vec<(Name, Box<dyn Store>)>,
    /// Those that are left out, and why.
    absent: Vec<(Name, Outcome)>,
}

/// Figures of a server for one kind of message.
struct Series {
    server: Name,
    payload: Payload,
    rounds: Vec<Loaded>,
    failed: Option<String>,
}

/// Measures every server with every kind of message.
///
/// # Errors
/// If the prover that is wanted beside them does not prove. What a server does wrong stands in the
/// report.
pub(super) fn run(plan: &Plan) -> anyhow::Result<Report> {
    let disk = std::fs::canonicalize(&plan.disk)
        .with_context(|| format!("the folder {} of --disk", plan.disk.display()))?;
    let before = machine();
    eprintln!("{before}");
    let mut running = start(plan, &disk);
    let bystander = NonZeroUsize::new(plan.proving).map(Bystander::start).transpose()?;
    let mut series = Vec::new();
    for (server, _) in &running.stores {
        let one = |server, payload: &Payload| Series {
            server,
            payload: *payload,
            rounds: Vec::new(),
            failed: None,
        };
        series.extend(plan.payloads.iter().map(|payload| one(*server, payload)));
        if *server == Name::Node && plan.servers.contains(&Name::NodeHalf) {
            series.extend(plan.payloads.iter().map(|payload| one(Name::NodeHalf, payload)));
        }
    }
    for round in 0..plan.rounds {
        for payload in &plan.payloads {
            let in_flight = plan.in_flight_of(*payload)?;
            let turn = Turn { plan, round, payload: *payload, in_flight };
            turn.take(&mut running, &mut series);
        }
        // Another begins.
        if !running.stores.is_empty() {
            running.stores.rotate_left(1);
        }
    }
    let proofs = bystander.map(Bystander::finish).transpose()?;
    let tables = plan.payloads.iter().map(|payload| table(plan, *payload, &running, &series));
    let tables = tables.collect::<anyhow::Result<_>>()?;
    Ok(Report::new(plan, proofs, [before, machine()], tables))
}

fn start(plan: &Plan, disk: &std::path::Path) -> Running {
    let mut running = Running { stores: Vec::new(), absent: Vec::new() };
    for server in Name::ALL.into_iter().filter(|name| plan.servers.contains(name)) {
        let started = match server {
            Name::Node => node::start(&plan.programs, disk),
            Name::Nats => nats::start(&plan.nats_server, disk),
            Name::Redis => redis::start(&plan.redis_server, disk),
            // The same process, at another rate.
            Name::NodeHalf => continue,
        };
        match started {
            Ok(store) => {
                eprintln!("{server}: {}", store.version());
                running.stores.push((server, store));
            }
            Err(Unstarted::Missing(why)) => {
                eprintln!("{server}: skipped: {why}");
                running.absent.push((server, Outcome::Skipped { why }));
            }
            Err(Unstarted::Broken(error)) => {
                let why = format!("{error:#}");
                eprintln!("{server}: failed: {why}");
                running.absent.push((server, Outcome::Failed { why }));
            }
        }
    }
    running
}

/// One kind of message to each server in turn.
struct Turn<'a> {
    plan: &'a Plan,
    round: usize,
    payload: Payload,
    in_flight: usize,
}

impl Turn<'_> {
    /// Whoever fails is out for this kind.
    fn take(&self, running: &mut Running, series: &mut [Series]) {
        let (time, in_flight) = (self.plan.time, self.in_flight);
        for (server, store) in &mut running.stores {
            let order = Order { payload: self.payload, time, in_flight, rate: None };
            let mut load = |server, order| {
                let found = |one: &&mut Series| one.server == server && one.payload == self.payload;
                let one = series.iter_mut().find(found).filter(|one| one.failed.is_none())?;
                self.note(one, store.load(&order))
            };
            let whole = load(*server, order);
            if let (Name::Node, Some(whole)) = (*server, whole) {
                let rate = Some((whole.readings as f64 / whole.seconds / 2.0) as u64);
                load(Name::NodeHalf, Order { rate, ..order });
            }
        }
    }

    fn note(&self, one: &mut Series, loaded: anyhow::Result<Loaded>) -> Option<Loaded> {
        let (payload, server, round) = (self.payload, one.server, self.round + 1);
        match loaded {
            Ok(loaded) => {
                let rate = loaded.readings as f64 / loaded.seconds / 1e6;
                eprintln!("round {round}, {payload}, {server}: {rate:.2} M readings/s");
                one.rounds.push(loaded);
                Some(loaded)
            }
            Err(error) => {
                let why = format!("round {round}: {error:#}");
                eprintln!("{payload}, {server} failed, {why}");
                one.failed = Some(why);
                None
            }
        }
    }
}

fn table(
    plan: &Plan,
    payload: Payload,
    running: &Running,
    series: &[Series],
) -> anyhow::Result<Table> {
    let mut entries = Vec::new();
    for server in &plan.servers {
        let absent = running.absent.iter().find(|(name, _)| name == server);
        let version = || {
            let same =
                |name: &Name| name == server || (*server, *name) == (Name::NodeHalf, Name::Node);
            let store = running.stores.iter().find(|(name, _)| same(name));
            store.map_or("-", |(_, store)| store.version())
        };
        let found = series.iter().find(|one| one.server == *server && one.payload == payload);
        let outcome = match (absent, found) {
            (Some((_, outcome)), _) => outcome.clone(),
            (None, Some(Series { failed: Some(why), .. })) => Outcome::Failed { why: why.clone() },
            (None, Some(one)) => Outcome::measured(version(), &one.rounds),
            (None, None) => Outcome::Skipped { why: "the node is not measured".to_owned() },
        };
        entries.push(Entry { server: *server, outcome });
    }
    Ok(Table::new(payload, plan.in_flight_of(payload)?, entries))
}
