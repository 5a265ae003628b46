//! Where assembled batches go: into the store, and on to the settler.

use std::error::Error;
use std::sync::Arc;

use model::Clock;
use tokio::sync::Notify;

use super::watched::Watched;
use crate::folder::store::Store;
use crate::stages::prove::BatchSink;
use crate::window::Assembled;

/// Stores assembled batches and wakes the settler.
pub(super) struct StoringSink {
    pub(super) store: Arc<Store>,
    /// Wakes the settler.
    pub(super) wake: Arc<Notify>,
    pub(super) watched: Watched,
    pub(super) clock: Arc<dyn Clock>,
}

impl BatchSink for StoringSink {
    fn store(&mut self, batch: &Assembled) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.store.save_batch(batch, self.clock.now())?;
        let metrics = self.watched.metrics();
        metrics.batches_assembled_total.inc();
        metrics.batch_assembled.set(batch.public.header.number.0 as i64);
        // Only after it is stored: the settler looks into the store and would sleep again.
        self.wake.notify_one();
        Ok(())
    }
}
