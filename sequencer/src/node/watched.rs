//! What everybody may report to and look at while the node runs: counts, progress, the first
//! failure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use model::{Clock, Millis, calendar};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::degraded::Degraded;
use super::desk::Desk;
use super::erasure_list::ErasureList;
use super::orders::{InForce, Orders, Since};
use super::pulse::Pulse;
use super::recent_rejects::RecentRejects;
use super::under_way::UnderWay;
use crate::clock::Disagreement;
use crate::doors::codes::{self, Unserved};
use crate::doors::http::{Health, StageHealth, Unready};
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
    /// Looks of the upkeep at the stages.
    looks: watch::Sender<u64>,
    pulse: Pulse,
    under_way: UnderWay,
    desk: Desk,
    rejects: RecentRejects,
    orders: Orders,
    erasure_list: ErasureList,
    /// What is noted here is of its times.
    clock: Arc<dyn Clock>,
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
    pub fn new(metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Watched {
        let (failures, progress) = (Failures::new(), watch::Sender::new(None));
        let degraded = Degraded::new(metrics.clone());
        let (totals, conditions, hold) =
            (Arc::default(), watch::Sender::default(), Hold::default());
        let (scrubs, starting) = (watch::Sender::default(), watch::Sender::default());
        let (archive_rounds, looks) = (watch::Sender::default(), watch::Sender::default());
        let plan_errors = watch::Sender::default();
        let orders = Orders::new(metrics.clone());
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
            looks,
            pulse: Pulse::default(),
            under_way: UnderWay::default(),
            desk: Desk::default(),
            rejects: RecentRejects::default(),
            orders,
            erasure_list: ErasureList::default(),
            clock,
        }
    }

    /// Who asks to be erased, and who is, as the desk lists it.
    pub(super) fn erasure_list(&self) -> &ErasureList {
        &self.erasure_list
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
        self.under_way.step(&progress);
        // How far proofs are is counted above; who follows the stage waits for what it gets done.
        if !matches!(progress, Progress::Begun { .. }) {
            self.progress.send_replace(Some(progress));
        }
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

    /// The figures of the last hours.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What was rejected last.
    pub fn recent_rejects(&self) -> &RecentRejects {
        &self.rejects
    }

    /// What operators ordered that is in force.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The open window, and the proofs of those behind it.
    pub(super) fn under_way(&self) -> &UnderWay {
        &self.under_way
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

    fn reasons(&self) -> Vec<Unready> {
        if let Some(Starting { entries_done, entries_all }) = self.starting() {
            let detail = json!({
                "stage": Stage::Journal.name(),
                "entries_done": entries_done,
                "entries_all": entries_all,
            });
            // Nothing else is known yet.
            return vec![Unready::new(&codes::STARTING, detail)];
        }
        // What keeps something out first. Whatever is taken in is taken in, and only what becomes
        // of it waits: why it waits before how much does.
        let InForce { paused, draining, .. } = self.orders.in_force();
        let draining = draining.as_ref().map(|since| ordered(&codes::DRAINING, since));
        let paused = paused.as_ref().map(|since| ordered(&codes::PAUSED, since));
        let kept_out = self.conditions().reasons().into_iter().chain(draining);
        kept_out.chain(self.damage()).chain(paused).chain(self.delays()).collect()
    }

    fn stages(&self) -> Vec<StageHealth> {
        let (now, degraded) = (Instant::now(), self.degraded.stages());
        let failed = self.failure().map(|failure| failure.stage);
        let one = |stage: Stage| {
            let cause = degraded.get(&stage).map(|cause| cause.name());
            let is_door = stage == Stage::Http;
            let state = match cause {
                _ if failed == Some(stage) => "failed",
                _ if self.starting().is_some() && !is_door => "starting",
                _ if self.contradiction().is_some() && stage.takes_in() => "held",
                Some(_) => "degraded",
                None => "runs",
            };
            let (queue, progress) = (self.queue(stage), self.progress_of(stage));
            StageHealth {
                stage: stage.name(),
                state,
                cause,
                queue_holds: queue.as_ref().map(|queue| queue.holds),
                queue_items: queue.as_ref().map(|queue| queue.items),
                queue_items_max: queue.and_then(|queue| queue.items_max),
                progress_in: progress.map(|(what, _)| what),
                progress_count: progress.map(|(_, count)| count),
                progress_seconds_ago: self
                    .pulse
                    .moved_ago(stage, now)
                    .map(|ago| ago.as_millis() as f64 / 1000.0),
            }
        };
        Stage::ALL.into_iter().map(one).collect()
    }
}

/// What an operator ordered. Since when, and not by whom: health may be asked from elsewhere.
fn ordered(code: &'static Unserved, since: &Since) -> Unready {
    let since = calendar::Utc(Millis::from_unix_ms(since.since_unix_ms)).to_string();
    Unready::new(code, json!({ "since": since }))
}

/// What waits before a stage.
struct Queue {
    holds: &'static str,
    items: i64,
    items_max: Option<i64>,
}

impl Watched {
    fn damage(&self) -> Option<Unready> {
        let files = self.metrics.batch_files_damaged.get();
        (files > 0).then(|| Unready::new(&codes::FILES_DAMAGED, json!({ "files": files })))
    }

    /// What keeps batches from the chain, but for the chain itself, which whoever asks knows.
    fn delays(&self) -> Vec<Unready> {
        let degraded = self.degraded.stages().into_iter();
        let degraded: Vec<Value> = degraded
            .map(|(stage, cause)| json!({ "stage": stage.name(), "cause": cause.name() }))
            .collect();
        let mut delays = Vec::new();
        if !degraded.is_empty() {
            delays.push(Unready::new(&codes::STAGE_DEGRADED, Value::Array(degraded)));
        }
        let metrics = &self.metrics;
        // A chain that does not answer says why.
        if metrics.settle_lagging.get() == 1 && metrics.chain_reachable.get() == 1 {
            let (batches, seconds) =
                (metrics.settle_lag_batches.get(), metrics.settle_lag_seconds.get());
            let detail = json!({ "batches": batches, "oldest_seconds": seconds.floor() });
            delays.push(Unready::new(&codes::SETTLEMENT_LAGS, detail));
        }
        delays
    }

    fn queue(&self, stage: Stage) -> Option<Queue> {
        let metrics = &self.metrics;
        let (holds, items, items_max) = match stage {
            Stage::Ingest => {
                let most = metrics.ingest_connections_max.get();
                ("connections", metrics.ingest_connections.get(), Some(most))
            }
            Stage::Journal => {
                let most = metrics.journal_queue_items_max.get();
                ("items", metrics.journal_queue_items.get(), Some(most))
            }
            Stage::Receipts => {
                let most = metrics.receipt_groups_max.get();
                ("groups", metrics.receipt_groups_waiting.get(), Some(most))
            }
            // What finds no room waits in the journal, and is read back.
            Stage::Proving => {
                ("windows", metrics.prove_queue.get(), Some(metrics.prove_queue_max.get()))
            }
            // They wait in the store, which no number bounds.
            Stage::Settlement => ("batches", metrics.settle_lag_batches.get(), None),
            Stage::Archive => ("files", metrics.archive_waiting_files.get(), None),
            Stage::Notices => ("notices", metrics.notices_waiting.get(), None),
            Stage::Windows
            | Stage::Http
            | Stage::Admin
            | Stage::BaseChain
            | Stage::Upkeep
            | Stage::Scrub => return None,
        };
        Some(Queue { holds, items, items_max })
    }

    /// What a stage's progress is counted in, and how far it is in this run.
    fn progress_of(&self, stage: Stage) -> Option<(&'static str, u64)> {
        let metrics = &self.metrics;
        Some(match stage {
            Stage::Ingest => {
                let came = metrics.ingest_connections_total.get();
                ("connections, frames and operations", came + self.taken_in())
            }
            Stage::Journal => ("groups", metrics.journal_groups_total.get()),
            Stage::Receipts => ("receipts", metrics.receipts_total.get()),
            Stage::Windows => ("windows", metrics.batch_closed.get().try_into().unwrap_or(0)),
            Stage::Proving => {
                let batches = metrics.batches_assembled_total.get();
                ("proofs and batches", self.totals().proofs + batches)
            }
            Stage::Settlement => ("batches", metrics.batches_settled_total.get()),
            Stage::Upkeep => ("looks", *self.looks.borrow()),
            Stage::Scrub => ("rounds", *self.scrubs.borrow()),
            Stage::Archive => ("rounds", *self.archive_rounds.borrow()),
            Stage::Notices => {
                let tried = metrics.notices_told_total.get() + metrics.notices_failures_total.get();
                ("batches and attempts", metrics.notices_batches_total.get() + tried)
            }
            Stage::Http | Stage::Admin | Stage::BaseChain => return None,
        })
    }

    fn taken_in(&self) -> u64 {
        let metrics = &self.metrics;
        let frames = metrics.ingest_frames_total.get() + metrics.ingest_duplicates_total.get();
        frames + metrics.operations_total.get()
    }

    /// Takes notice of how far every stage is.
    pub(super) fn look_at_stages(&self) {
        self.looks.send_modify(|looks| *looks += 1);
        let counts = Stage::ALL.into_iter().filter_map(|stage| {
            let (_, count) = self.progress_of(stage)?;
            Some((stage, count))
        });
        self.pulse.look(Instant::now(), counts);
    }
}

impl Conditions {
    /// What they keep out, and why.
    fn reasons(self) -> Vec<Unready> {
        let mut reasons = Vec::new();
        if let Some(Disagreement { wall, unset, distance_ms, believed_in_ms }) = self.disagreement {
            let detail = json!({
                "wall_clock": calendar::Utc(wall).to_string(),
                "boot_time_clock": calendar::Utc(unset).to_string(),
                "distance_ms": distance_ms,
                "believed_in_seconds": believed_in_ms.div_ceil(1000),
            });
            reasons.push(Unready::new(&codes::CLOCK_DISAGREES, detail));
        }
        if let Some(until) = self.journal_ahead_until {
            let detail = json!({ "until": calendar::Utc(until).to_string() });
            reasons.push(Unready::new(&codes::JOURNAL_AHEAD, detail));
        }
        if let Some(free_bytes) = self.low_bytes {
            reasons.push(Unready::new(&codes::DISK_LOW, json!({ "free_bytes": free_bytes })));
        }
        if self.no_new_keys {
            reasons.push(Unready::new(&codes::NO_NEW_KEYS, json!({})));
        }
        reasons
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
            Observed::FramesStored { frames, readings, bytes } => {
                self.metrics.ingest_frames_total.inc_by(frames);
                self.metrics.ingest_readings_total.inc_by(readings);
                self.metrics.ingest_bytes_total.inc_by(bytes);
            }
            Observed::FrameAgain => self.metrics.ingest_duplicates_total.inc(),
            Observed::Rejected { code, peer } => {
                self.metrics.count_reject(code);
                self.rejects.note(code, peer, self.clock.now());
            }
            Observed::RefusedBy(rule) => self.metrics.count_refusal(rule),
            Observed::OperationApplied => self.metrics.operations_total.inc(),
            Observed::AccessDecided { kind, permitted } => {
                let granted = [AccessOutcome::Refused, AccessOutcome::Granted];
                self.metrics.count_access(kind, granted[usize::from(permitted)]);
            }
            Observed::ReceiptSent => self.metrics.receipts_total.inc(),
            Observed::FrameReceipted { took } => {
                self.metrics.receipt_seconds.observe(took.as_secs_f64());
            }
            Observed::Withdrawn { signed_at, time } => {
                self.metrics.note_withdrawal(signed_at, time);
            }
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
