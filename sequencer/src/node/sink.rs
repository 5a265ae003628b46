//! Small connections between stages: where batches go, what is counted, what failed.

use std::error::Error;
use std::sync::Arc;
use std::sync::Mutex;

use model::Clock;
use statement::scope::Circuit;
use tokio::sync::{Notify, watch};

use crate::folder::store::Store;
use crate::metrics::{AccessOutcome, Metrics};
use crate::stages::ingest::{Observe, Observed};
use crate::stages::prove::{BatchSink, Progress};
use crate::window::Assembled;

/// The first failure of any stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFailure {
    /// Which stage.
    pub stage: &'static str,
    /// Why, with causes.
    pub detail: String,
}

/// What everybody may report to and look at: metrics, progress, the first failure.
#[derive(Clone)]
pub struct Watched {
    metrics: Arc<Metrics>,
    failure: watch::Sender<Option<StageFailure>>,
    progress: watch::Sender<Option<Progress>>,
    totals: Arc<Mutex<Totals>>,
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
        Watched { metrics, failure, progress, totals: Arc::default() }
    }

    /// Reports a failure; the first one stays.
    pub fn fail(&self, stage: &'static str, error: &dyn Error) {
        let detail = chain(error);
        tracing::error!(stage, detail, "a stage failed");
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

    /// Proofs so far.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

impl crate::doors::http::Health for Watched {
    fn failed_stage(&self) -> Option<&'static str> {
        self.failure().map(|failure| failure.stage)
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
            Observed::Rejected(code) => self.metrics.rejected(code),
            Observed::Refused(rule) => self.metrics.refused(rule),
            Observed::OperationApplied => self.metrics.operations_total.inc(),
            Observed::AccessDecided { kind, permitted } => {
                let granted = [AccessOutcome::Refused, AccessOutcome::Granted];
                self.metrics.accessed(kind, granted[usize::from(permitted)]);
            }
            Observed::ReceiptSent => self.metrics.receipts_total.inc(),
            Observed::ConnectionRefused => self.metrics.ingest_connections_refused_total.inc(),
            Observed::SessionPanicked => self.metrics.ingest_panics_total.inc(),
            Observed::FrameReleased => self.metrics.released_frames_total.inc(),
            Observed::RetrySent => {}
        }
    }
}

/// Stores assembled batches and wakes the settler.
pub struct NodeSink {
    store: Arc<Store>,
    wake: Arc<Notify>,
    watched: Watched,
    clock: Arc<dyn Clock>,
}

impl NodeSink {
    /// A sink to this store.
    pub fn new(
        store: Arc<Store>,
        wake: Arc<Notify>,
        watched: Watched,
        clock: Arc<dyn Clock>,
    ) -> NodeSink {
        NodeSink { store, wake, watched, clock }
    }
}

impl BatchSink for NodeSink {
    fn assembled(&mut self, batch: Assembled) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.store.save_batch(&batch, self.clock.now())?;
        let metrics = &self.watched.metrics;
        metrics.batches_assembled_total.inc();
        metrics.batch_assembled.set(batch.public.header.number.0 as i64);
        self.wake.notify_one();
        Ok(())
    }

    fn progress(&mut self, progress: Progress) {
        if let Progress::Proven { circuit, millis, .. } = progress {
            let circuit = if circuit == 1 { Circuit::C1 } else { Circuit::C2 };
            self.watched.metrics.proved(circuit, millis as f64 / 1000.0);
            let mut totals = self.watched.totals.lock().unwrap_or_else(|e| e.into_inner());
            totals.proofs += 1;
            totals.prove_ms += millis;
        }
        self.watched.progress.send_replace(Some(progress));
    }
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
