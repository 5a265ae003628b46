//! Plays a scenario: every group beside the others, from one begin to one end.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use model::ExitCode;
use thiserror::Error;
use tokio::sync::{Barrier, watch};
use tokio::task::{JoinError, JoinSet};

use super::cast::{Cast, CastError};
use super::outcome::{GroupOutcome, HostileOutcome, Outcome};
use super::part::Part;
use super::script::{Group, Scenario};
use crate::assignments::Assignment;
use crate::dial::DialError;
use crate::exit;
use crate::hostile::{Attack, HostileReport};
use crate::pace::Rate;
use crate::recorder::Live;
use crate::report::{Report, cpu_seconds, load_average};
use crate::run::{LoadConfig, LoadError, run_beside};

/// Where a scenario is played, and by whom.
#[derive(Clone, Debug)]
pub struct PlayConfig {
    /// What is played.
    pub scenario: Scenario,
    /// Where the node listens (UDP).
    pub node: SocketAddr,
    /// Name in the node's certificate.
    pub server_name: String,
    /// Who may send what; dealt to the groups in this order.
    pub assignments: Vec<Assignment>,
    /// Which gateways of each group: others play the other parts at the same time.
    pub part: Part,
}

/// Why a scenario was not played to its end.
#[derive(Debug, Error)]
pub enum PlayError {
    /// The assignments do not reach.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// An honest group has no run.
    #[error("group {group} has no run")]
    Load {
        /// Which.
        group: String,
        /// Why not.
        source: LoadError,
    },
    /// A hostile group sends nothing.
    #[error("group {group} sends nothing")]
    Hostile {
        /// Which.
        group: String,
        /// Why not.
        source: DialError,
    },
    /// A group's task is gone: a bug of this program.
    #[error("expected every group to run to its end")]
    Gone(#[from] JoinError),
}

impl PlayError {
    /// How the program ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            PlayError::Cast(_) => ExitCode::Usage,
            PlayError::Load { source, .. } => source.exit_code(),
            PlayError::Hostile { source, .. } => ExitCode::of_error(source, exit::known),
            PlayError::Gone(_) => ExitCode::Failed,
        }
    }
}

/// Plays a scenario. `live` shows how far it is; `stop` set to true ends it early. Must be called
/// within a tokio runtime with IO and time.
///
/// # Errors
/// [`PlayError`]. What the node does after the begin is in the outcome.
pub async fn play(
    config: &PlayConfig,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
) -> Result<Outcome, PlayError> {
    let PlayConfig { scenario, .. } = config;
    let cast = Cast::deal(scenario, &config.assignments, config.part)?;
    let groups = scenario.gateways.len() + scenario.hostile.len();
    // One begin for all: whoever is hostile keeps nobody from connecting who measures.
    let ready = Arc::new(Barrier::new(groups));
    let over = watch::Sender::new(false);
    let (mut honest, mut hostile) = (JoinSet::new(), JoinSet::new());
    for (number, (group, assignments)) in scenario.gateways.iter().zip(cast.honest).enumerate() {
        let (load, ready) = (load_of(config, group, assignments), Arc::clone(&ready));
        let (live, stop, name) = (Arc::clone(&live), stop.clone(), group.name.clone());
        honest.spawn(async move {
            let report = run_beside(&load, live, stop, &ready).await;
            let wrong = |source| PlayError::Load { group: name, source };
            report.map_err(wrong).map(|report| Numbered { number, report })
        });
    }
    for (number, (group, culprits)) in scenario.hostile.iter().zip(cast.hostile).enumerate() {
        let (node, server_name) = (config.node, config.server_name.clone());
        let (behaviour, connections) = (group.behaviour, group.connections);
        let attack = Attack { node, server_name, behaviour, culprits, connections };
        let (ready, over, name) = (Arc::clone(&ready), over.subscribe(), group.name.clone());
        hostile.spawn(async move {
            let report = attack.run(&ready, over).await;
            let wrong = |source| PlayError::Hostile { group: name, source };
            report.map_err(wrong).map(|report| Numbered { number, report })
        });
    }
    gather(Playing { honest, hostile, over }, scenario).await
}

/// A group's place among its kind, and what came of it.
struct Numbered<T> {
    number: usize,
    report: T,
}

type Tasks<T> = JoinSet<Result<Numbered<T>, PlayError>>;

struct Playing {
    honest: Tasks<Report>,
    hostile: Tasks<HostileReport>,
    /// Ends the hostile groups.
    over: watch::Sender<bool>,
}

/// Waits for every group. The first error ends all: a group that does not begin would keep the
/// others waiting for it.
async fn gather(playing: Playing, scenario: &Scenario) -> Result<Outcome, PlayError> {
    let Playing { mut honest, mut hostile, over } = playing;
    let (mut reports, mut met) = (Vec::new(), Vec::new());
    while !honest.is_empty() {
        tokio::select! {
            Some(ended) = honest.join_next() => reports.push(ended??),
            // One that ends before it is told to did not begin.
            Some(ended) = hostile.join_next() => met.push(ended??),
        }
    }
    over.send_replace(true);
    while let Some(ended) = hostile.join_next().await {
        met.push(ended??);
    }
    reports.sort_by_key(|one| one.number);
    met.sort_by_key(|one| one.number);
    let groups = scenario.gateways.iter().zip(reports);
    let groups = groups.map(|(group, one)| GroupOutcome::of(group, one.report));
    let hostile = scenario.hostile.iter().zip(met);
    let hostile = hostile.map(|(group, one)| HostileOutcome::of(group, one.report));
    Ok(Outcome {
        scenario: scenario.name.clone(),
        groups: groups.collect(),
        hostile: hostile.collect(),
        cpu_seconds: cpu_seconds(),
        load_average: load_average(),
    })
}

fn load_of(config: &PlayConfig, group: &Group, assignments: Vec<Assignment>) -> LoadConfig {
    let PlayConfig { scenario, .. } = config;
    LoadConfig {
        node: config.node,
        server_name: config.server_name.clone(),
        assignments,
        rate: share(config.part, group.rate),
        duration: scenario.duration,
        frame_readings: group.readings,
        laying: group.laying,
        in_flight_max: config.part.share(group.in_flight as u64) as usize,
        habits: group.habits,
        drain: scenario.drain,
        // Longer than the scenario: a gateway that the node lost for its end is a finding.
        retry_for: scenario.duration.saturating_add(scenario.drain),
        ledger: None,
        receipts: None,
    }
}

/// A group's rate is that of all its gateways.
fn share(part: Part, rate: Rate) -> Rate {
    match rate {
        Rate::Max | Rate::Natural => rate,
        Rate::PerSecond(all) => {
            Rate::PerSecond(NonZeroU64::new(part.share(all.get())).unwrap_or(all))
        }
    }
}
