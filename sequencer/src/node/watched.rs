//! What everybody may report to and look at while the node runs: counts, progress, the first
//! failure.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::degraded::Degraded;
use super::failure::{Stage, StageFailure};
use crate::metrics::{AccessOutcome, Metrics};
use crate::stages::ingest::{Observe, Observed};
use crate::stages::prove::Progress;

/// What everybody may report to and look at: metrics, progress, the first failure.
#[derive(Clone)]
pub struct Watched {
    metrics: Arc<Metrics>,
    failure: watch::Sender<Option<StageFailure>>,
    progress: watch::Sender<Option<Progress>>,
    totals: Arc<Mutex<Totals>>,
    degraded: Degraded,
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
        let (failure, progress) = (watch::Sender::new(None), watch::Sender::new(None));
        let degraded = Degraded::new(metrics.clone());
        Watched { metrics, failure, progress, totals: Arc::default(), degraded }
    }

    /// Reports a failure; the first one stays.
    pub fn fail(&self, stage: Stage, error: &dyn Error) {
        let detail = model::with_causes(error);
        tracing::error!(stage = stage.name(), detail, "a stage failed");
        // What fails later is mostly a consequence: a batcher without a journal, for example.
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(StageFailure { stage, detail });
            first
        });
    }

    /// The first failure, if there is one.
    pub fn failure(&self) -> Option<StageFailure> {
        self.failure.borrow().clone()
    }

    /// Follows failures.
    pub fn failures(&self) -> watch::Receiver<Option<StageFailure>> {
        self.failure.subscribe()
    }

    /// Follows the proving stage.
    pub fn progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }

    /// Takes notice of a step of the proving stage.
    pub(super) fn step(&self, progress: Progress) {
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

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl crate::doors::http::Health for Watched {
    fn failed_stage(&self) -> Option<&'static str> {
        self.failure().map(|failure| failure.stage.name())
    }

    fn degraded(&self) -> Vec<(&'static str, &'static str)> {
        let stages = self.degraded.stages().into_iter();
        stages.map(|(stage, cause)| (stage.name(), cause.name())).collect()
    }
}

impl Observe for Watched {
    fn observe(&self, what: Observed) {
        match what {
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
            Observed::FrameReleased => self.metrics.released_frames_total.inc(),
            Observed::RetrySent => {}
        }
    }
}
