//! What everybody may report to and look at while the node runs: counts, progress, the first
//! failure.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Millis, calendar};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::degraded::Degraded;
use crate::clock::Disagreement;
use crate::doors::codes;
use crate::doors::http::{Health, Unready};
use crate::forecast::{Compared, PlanErrors};
use crate::guard::{Failures, Stage, StageFailure};
use crate::history::{Contradiction, Hold};
use crate::metrics::{AccessOutcome, Metrics};
use crate::stages::ingest::{Observe, Observed};
use crate::stages::prove::Progress;

/// What everybody may report to and look at: metrics, progress, the first failure.
#[derive(Clone)]
pub struct Watched {
    metrics: Arc<Metrics>,
    failures: Failures,
    progress: watch::Sender<Option<Progress>>,
    totals: Arc<Mutex<Totals>>,
    degraded: Degraded,
    conditions: watch::Sender<Conditions>,
    scrubs: watch::Sender<u64>,
    archive_rounds: watch::Sender<u64>,
    hold: Hold,
    starting: watch::Sender<Option<Starting>>,
    plan_errors: watch::Sender<Option<PlanErrors>>,
}

/// How far the journal is absorbed while the node starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starting {
    /// Entries that are.
    pub entries_done: u64,
    /// Entries behind the snapshot that the start is from, all of them.
    pub entries_all: u64,
}

/// What keeps the node from taking everything in, as far as it is not a failed stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The clocks, if they are too far apart.
    pub disagreement: Option<Disagreement>,
    /// Until when the journal's last time is ahead of the clock.
    pub journal_ahead_until: Option<Millis>,
    /// Bytes that are free, if that is less than the reserve.
    pub low_bytes: Option<u64>,
    /// Whether the last key of readings that was needed could not be made.
    pub no_new_keys: bool,
}

/// Proofs made since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Proofs of C1 and C2.
    pub proofs: u64,
    /// Milliseconds spent proving.
    pub prove_ms: u64,
}

impl Watched {
    /// Nothing failed yet.
    pub fn new(metrics: Arc<Metrics>) -> Watched {
        let (failures, progress) = (Failures::new(), watch::Sender::new(None));
        let degraded = Degraded::new(metrics.clone());
        let (totals, conditions, hold) =
            (Arc::default(), watch::Sender::default(), Hold::default());
        let (scrubs, starting) = (watch::Sender::default(), watch::Sender::default());
        let (archive_rounds, plan_errors) = (watch::Sender::default(), watch::Sender::default());
        Watched {
            metrics,
            failures,
            progress,
            totals,
            degraded,
            conditions,
            scrubs,
            archive_rounds,
            hold,
            starting,
            plan_errors,
        }
    }

    /// What holds the node, once somebody showed what the journal lacks.
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// How far a plan is from what happened, if there is one and it can be told.
    pub fn plan_errors(&self) -> Option<PlanErrors> {
        *self.plan_errors.borrow()
    }

    pub(super) fn set_plan_errors(&self, errors: Option<PlanErrors>) {
        let error = |of: fn(&PlanErrors) -> &Compared| {
            let permille = errors.as_ref().and_then(|errors| of(errors).error_permille);
            permille.map_or(f64::NAN, |permille| permille as f64 / 1000.0)
        };
        let Metrics { plan_error_batches, plan_error_proofs, plan_error_gas, .. } = &*self.metrics;
        plan_error_batches.set(error(|errors| &errors.batches));
        plan_error_proofs.set(error(|errors| &errors.proofs));
        plan_error_gas.set(error(|errors| &errors.gas));
        self.plan_errors.send_replace(errors);
    }

    /// How far the journal is absorbed, while the node starts.
    pub fn starting(&self) -> Option<Starting> {
        *self.starting.borrow()
    }

    /// Follows it.
    pub(super) fn follow_starting(&self) -> watch::Receiver<Option<Starting>> {
        self.starting.subscribe()
    }

    pub(super) fn set_starting(&self, starting: Option<Starting>) {
        self.starting.send_replace(starting);
    }

    /// Where failures are reported.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// The first failure, if there is one.
    pub fn failure(&self) -> Option<StageFailure> {
        self.failures.first()
    }

    /// Follows the proving stage.
    pub fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }

    /// Takes notice of a step of the proving stage.
    pub(super) fn step(&self, progress: Progress) {
        // Of a batch without claims nothing is said: the ratio is that of the last one with some.
        if let Progress::Planned { places, .. } = progress
            && let Some(ratio) = places.padding_ratio()
        {
            self.metrics.prove_padding_ratio.set(ratio);
        }
        if let Progress::Proven { circuit, millis, .. } = progress {
            self.metrics.count_proof(circuit, millis as f64 / 1000.0);
            // Two sums of plain numbers: a panic cannot leave them half changed.
            let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.proofs += 1;
            totals.prove_ms += millis;
        }
        self.progress.send_replace(Some(progress));
    }

    /// Proofs so far.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stages that run and do not get on.
    pub fn degraded(&self) -> &Degraded {
        &self.degraded
    }

    /// What keeps the node from taking everything in now.
    pub fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// Follows them: each look is a change, also where it finds what the one before found.
    pub fn follow_conditions(&self) -> watch::Receiver<Conditions> {
        self.conditions.subscribe()
    }

    pub(super) fn set_conditions(&self, conditions: Conditions) {
        self.conditions.send_replace(conditions);
    }

    /// Follows how many rounds the scrub has ended.
    pub fn follow_scrubs(&self) -> watch::Receiver<u64> {
        self.scrubs.subscribe()
    }

    pub(super) fn count_scrub(&self) {
        self.scrubs.send_modify(|rounds| *rounds += 1);
    }

    /// Follows how many rounds of the archive have ended.
    pub fn follow_archive_rounds(&self) -> watch::Receiver<u64> {
        self.archive_rounds.subscribe()
    }

    pub(super) fn count_archive_round(&self) {
        self.archive_rounds.send_modify(|rounds| *rounds += 1);
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl Health for Watched {
    fn failed_stage(&self) -> Option<&'static str> {
        self.failure().map(|failure| failure.stage.name())
    }

    fn contradiction(&self) -> Option<Contradiction> {
        self.hold.held()
    }

    fn unready(&self) -> Option<Unready> {
        if let Some(Starting { entries_done, entries_all }) = self.starting() {
            let detail = json!({
                "stage": Stage::Journal.name(),
                "entries_done": entries_done,
                "entries_all": entries_all,
            });
            return Some(Unready { answer: &codes::STARTING, detail });
        }
        let conditions = self.conditions();
        if let Some(Disagreement { wall, unset, distance_ms, believed_in_ms }) =
            conditions.disagreement
        {
            let detail = json!({
                "wall_clock": calendar::Utc(wall).to_string(),
                "boot_time_clock": calendar::Utc(unset).to_string(),
                "distance_ms": distance_ms,
                "believed_in_seconds": believed_in_ms.div_ceil(1000),
            });
            return Some(Unready { answer: &codes::CLOCK_DISAGREES, detail });
        }
        if let Some(until) = conditions.journal_ahead_until {
            let detail = json!({ "until": calendar::Utc(until).to_string() });
            return Some(Unready { answer: &codes::JOURNAL_AHEAD, detail });
        }
        if let Some(free_bytes) = conditions.low_bytes {
            let detail = json!({ "free_bytes": free_bytes });
            return Some(Unready { answer: &codes::DISK_LOW, detail });
        }
        if conditions.no_new_keys {
            return Some(Unready { answer: &codes::NO_NEW_KEYS, detail: json!({}) });
        }
        let files = self.metrics.batch_files_damaged.get();
        if files > 0 {
            let detail = json!({ "files": files });
            return Some(Unready { answer: &codes::FILES_DAMAGED, detail });
        }
        // Last: whatever is taken in is taken in, and only what becomes of it waits. Why it waits
        // before how much does.
        let degraded = self.degraded.stages().into_iter();
        let degraded: Vec<Value> = degraded
            .map(|(stage, cause)| json!({ "stage": stage.name(), "cause": cause.name() }))
            .collect();
        if !degraded.is_empty() {
            let answer = &codes::STAGE_DEGRADED;
            return Some(Unready { answer, detail: Value::Array(degraded) });
        }
        if self.metrics.chain_reachable.get() != 1 {
            // Who asks is told of the chain instead.
            return None;
        }
        let (batches, seconds) =
            (self.metrics.settle_lag_batches.get(), self.metrics.settle_lag_seconds.get());
        let detail = json!({ "batches": batches, "oldest_seconds": seconds.floor() });
        let answer = &codes::SETTLEMENT_LAGS;
        (self.metrics.settle_lagging.get() == 1).then_some(Unready { answer, detail })
    }
}

impl Observe for Watched {
    fn observe(&self, what: Observed) {
        match what {
            Observed::SocketOpened(buffers) => self.metrics.set_udp_buffers(&buffers),
            Observed::SessionOpened(_) => {
                self.metrics.ingest_connections.inc();
                self.metrics.ingest_connections_total.inc();
            }
            Observed::SessionClosed(..) => self.metrics.ingest_connections.dec(),
            Observed::FrameStored { readings, bytes } => {
                self.metrics.ingest_frames_total.inc();
                self.metrics.ingest_readings_total.inc_by(u64::from(readings));
                self.metrics.ingest_bytes_total.inc_by(u64::from(bytes));
            }
            Observed::FrameAgain => self.metrics.ingest_duplicates_total.inc(),
            Observed::Rejected(code) => self.metrics.count_reject(code),
            Observed::RefusedBy(rule) => self.metrics.count_refusal(rule),
            Observed::OperationApplied => self.metrics.operations_total.inc(),
            Observed::AccessDecided { kind, permitted } => {
                let granted = [AccessOutcome::Refused, AccessOutcome::Granted];
                self.metrics.count_access(kind, granted[usize::from(permitted)]);
            }
            Observed::ReceiptSent => self.metrics.receipts_total.inc(),
            Observed::ConnectionTurnedAway => self.metrics.ingest_connections_refused_total.inc(),
            Observed::SessionPanicked => self.metrics.ingest_panics_total.inc(),
            Observed::Renewal(step) => self.metrics.count_renewal(step),
            Observed::NameAsked { known } => self.metrics.count_name(known),
            Observed::FrameReleased => self.metrics.released_frames_total.inc(),
            Observed::RetrySent => self.metrics.ingest_retries_total.inc(),
            Observed::HandshakeBegun => self.metrics.ingest_handshakes.inc(),
            Observed::HandshakeEnded => self.metrics.ingest_handshakes.dec(),
            Observed::HandshakeGaveWay => self.metrics.ingest_handshakes_gave_way_total.inc(),
            Observed::ConnectionGaveWay => self.metrics.ingest_connections_gave_way_total.inc(),
        }
    }
}
