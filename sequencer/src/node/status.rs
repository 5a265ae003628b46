//! What a running node says of itself on its operator's socket: `sequencer status`.

use model::{Clock as _, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::desk::{Figures, RejectCount};
use super::endpoints::Endpoints;
use super::orders::InForce;
use super::recent_rejects::RecentReject;
use super::upkeep::Around;
use super::watched::Watched;
use crate::doors::admin::Tell;
use crate::doors::codes::{CHAIN_UNREACHABLE, HISTORY, STAGE_FAILED};
use crate::doors::http::{Health as _, StageHealth};
use crate::forecast::PlanErrors;
use crate::stages::ledger::LedgerView;

/// The node as it stands at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Name and version of the format.
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// Where it is reached, and which deployment it serves.
    pub endpoints: Endpoints,
    /// Time since it started, milliseconds.
    pub running_ms: u64,
    /// Whether everything is taken in and gets on, as `/readyz` says.
    pub ready: bool,
    /// Why not: the code of [`crate::doors::codes`].
    pub not_ready: Option<String>,
    /// Every stage, in the order of a frame's way.
    pub stages: Vec<StageStatus>,
    /// How far batches are.
    pub batches: Batches,
    /// Open connections.
    pub connections: i64,
    /// Enrolled patients.
    pub patients: usize,
    /// Patients who handed in a request to erase that waits for the operator.
    #[serde(default)]
    pub erasure_requests: usize,
    /// How far a plan is from what happened; none without `[plan] expected` and in the first hour.
    #[serde(default)]
    pub plan: Option<PlanErrors>,
    /// Certificates that are asked for or should be.
    #[serde(default)]
    pub certificates: Certificates,
    /// Free bytes under the node's folder, its journal and its store: the least of these.
    pub free_bytes: u64,
    /// Those that frames leave to everything else (`journal.reserve_bytes`).
    pub reserve_bytes: u64,
    /// How far the wall clock is ahead of what the boot-time clock says, milliseconds.
    pub clock_ahead_ms: i64,
    /// Whether the base chain answered last.
    pub chain_reachable: bool,
    /// What the settling account holds, in the chain's smallest unit, as seen last; none before.
    /// Decimal text in JSON, whose numbers end far below.
    #[serde(with = "decimal")]
    pub balance_wei: Option<u128>,
    /// What operators ordered that is in force: a pause, a drain, keys that are set by hand.
    #[serde(default)]
    pub in_force: InForce,
    /// Withdrawals that are in force and not on the chain yet.
    #[serde(default)]
    pub withdrawals_unsettled: i64,
    /// What an operator watches, as `GET /desk` tells it; none in the first seconds.
    #[serde(default)]
    pub figures: Option<Figures>,
    /// What was rejected in this run, by reason; none in the first seconds.
    #[serde(default)]
    pub rejects: Vec<RejectCount>,
    /// What was rejected last and who was told, the newest first.
    #[serde(default)]
    pub recent_rejects: Vec<RecentReject>,
}

/// How one stage stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageStatus {
    /// Which.
    pub stage: String,
    /// `starting`, `runs`, `degraded`, `held` or `failed`.
    pub state: String,
    /// Why it does not get on.
    pub cause: Option<String>,
}

/// Certificates that somebody has to look after, as they were counted last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// Beyond two thirds of their life and not renewed.
    pub ending: i64,
    /// Asked for, and waiting for `sequencer identity renew --all`.
    pub waiting: i64,
}

/// How far batches are: closed, then proven and assembled, then settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batches {
    /// The last window that is closed.
    pub closed: u64,
    /// Closed windows that wait in memory to be proven.
    pub waiting_to_be_proven: i64,
    /// The last batch that is proven, assembled and stored.
    pub assembled: u64,
    /// The last batch that the chain settled.
    pub settled: u64,
    /// Settling transactions that are not final yet.
    pub outbox: i64,
    /// Closed and not settled.
    pub backlog: u64,
}

/// An amount as decimal text.
mod decimal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        amount: &Option<u128>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<u128>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

impl NodeStatus {
    /// Name and version of the format.
    pub const SCHEMA: &str = "vitals-status-1";
}

/// Where the status is taken from.
pub(super) struct Teller {
    watched: Watched,
    view: LedgerView,
    around: Around,
    started: Millis,
    endpoints: Endpoints,
}

impl Tell for Teller {
    fn status(&self) -> Value {
        serde_json::to_value(self.take()).expect("a status is plain data")
    }
}

impl Teller {
    /// Of a node that starts now.
    pub(super) fn new(
        watched: &Watched,
        view: &LedgerView,
        around: &Around,
        endpoints: &Endpoints,
    ) -> Teller {
        let (watched, view, around) = (watched.clone(), view.clone(), around.clone());
        let started = around.clock.now();
        Teller { watched, view, around, started, endpoints: endpoints.clone() }
    }

    fn take(&self) -> NodeStatus {
        let metrics = self.watched.metrics();
        let ledger = self.view.status();
        let not_ready = self.not_ready();
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let closed = ledger.window.0.saturating_sub(1);
        let settled = number(metrics.batch_settled.get());
        NodeStatus {
            schema: NodeStatus::SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            endpoints: self.endpoints.clone(),
            running_ms: self.around.clock.now().since(self.started),
            ready: not_ready.is_none(),
            not_ready,
            stages: self.stages(),
            batches: Batches {
                closed,
                waiting_to_be_proven: metrics.prove_queue.get(),
                assembled: number(metrics.batch_assembled.get()),
                settled,
                outbox: metrics.outbox_pending.get(),
                backlog: closed.saturating_sub(settled),
            },
            connections: metrics.ingest_connections.get(),
            patients: ledger.records,
            erasure_requests: self.around.requests.count(self.around.clock.now()),
            plan: self.watched.plan_errors(),
            certificates: Certificates {
                ending: metrics.certificates_ending.get(),
                waiting: metrics.renewals_waiting.get(),
            },
            free_bytes: self.around.reserve.free_bytes(),
            reserve_bytes: self.around.reserve.reserve_bytes(),
            clock_ahead_ms: (metrics.clock_disagreement_seconds.get() * 1000.0) as i64,
            chain_reachable: metrics.chain_reachable.get() == 1,
            balance_wei: metrics.balance_wei(),
            in_force: self.watched.orders().in_force(),
            withdrawals_unsettled: metrics.withdrawals_unsettled.get(),
            figures: self.watched.desk().last(),
            rejects: self.watched.desk().rejects(),
            recent_rejects: self.watched.recent_rejects().tell(),
        }
    }

    /// In the order of `/readyz`.
    fn not_ready(&self) -> Option<String> {
        let found = if self.watched.failed_stage().is_some() {
            STAGE_FAILED.code
        } else if self.watched.contradiction().is_some() {
            HISTORY.code
        } else if let Some(unready) = self.watched.reasons().first() {
            unready.answer.code
        } else if self.watched.metrics().chain_reachable.get() != 1 {
            CHAIN_UNREACHABLE.code
        } else {
            return None;
        };
        Some(found.to_owned())
    }

    fn stages(&self) -> Vec<StageStatus> {
        let one = |StageHealth { stage, state, cause, .. }: StageHealth| StageStatus {
            stage: stage.to_owned(),
            state: state.to_owned(),
            cause: cause.map(str::to_owned),
        };
        self.watched.stages().into_iter().map(one).collect()
    }
}
