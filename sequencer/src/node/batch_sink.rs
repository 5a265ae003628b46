//! Where assembled batches go: into the store, and on to the settler.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::Clock;
use tokio::sync::{Notify, watch};

use super::watched::Watched;
use crate::folder::store::{Store, StoreError};
use crate::stages::prove::{BatchSink, Progress};
use crate::window::Assembled;

/// Pause before a batch that found no room on the disk is stored again. Whoever makes room takes
/// longer, and a batch may wait: it is proven.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Stores assembled batches and wakes the settler.
pub(super) struct StoringSink {
    pub(super) store: Arc<Store>,
    /// Wakes the settler.
    pub(super) wake: Arc<Notify>,
    /// True once the node stops: nothing is waited for then.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) watched: Watched,
    pub(super) clock: Arc<dyn Clock>,
}

impl StoringSink {
    /// Saves a batch; waits for room if the disk is full while its files are written.
    fn save(&self, batch: &Assembled) -> Result<(), StoreError> {
        let mut is_told = false;
        loop {
            match self.store.save_batch(batch, self.clock.now()) {
                Err(error) if error.is_full_disk() && !*self.stop.borrow() => {
                    // Once: it is the disk's state, not that of each attempt.
                    if !std::mem::replace(&mut is_told, true) {
                        let (number, error) = (batch.public.header.number.0, &error as &dyn Error);
                        tracing::warn!(number, error, "a batch waits for room on the disk");
                    }
                    // Nobody wakes it: a thread that is woken early only tries early.
                    thread::park_timeout(FULL_PAUSE);
                }
                saved => return saved.map(drop),
            }
        }
    }
}

impl BatchSink for StoringSink {
    fn store(&mut self, batch: &Assembled) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.save(batch)?;
        let metrics = self.watched.metrics();
        metrics.batches_assembled_total.inc();
        metrics.batch_assembled.set(batch.public.header.number.0 as i64);
        // Only after it is stored: the settler looks into the store and would sleep again.
        self.wake.notify_one();
        Ok(())
    }

    fn tell(&mut self, progress: Progress) {
        self.watched.step(progress);
    }
}
