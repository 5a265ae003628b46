//! How far the contract is behind what is assembled, and the alarm about it.

use std::time::Duration;

use model::{BatchNumber, Millis};

use super::config::SettleConfig;
use super::settler::Settler;
use crate::folder::store::{Store, StoreError};

/// What is assembled and not settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lag {
    /// How many batches.
    batches: u64,
    /// How long the oldest waits since it could have been settled, milliseconds.
    oldest_ms: u64,
}

impl Lag {
    fn of(store: &Store, now: Millis) -> Result<Lag, StoreError> {
        let settled = store.last_settled()?.0;
        let last = store.last_assembled()?.map_or(0, |(number, _)| number.0);
        let oldest = store.assembled_from(BatchNumber(settled + 1), 1)?;
        // A batch may be assembled before its window is over for the chain.
        let since = |t1: Millis, assembled: Millis| now.since(t1.max(assembled));
        let oldest_ms = oldest.first().map_or(0, |(_, row)| since(row.t1, row.assembled_at));
        Ok(Lag { batches: last.saturating_sub(settled), oldest_ms })
    }

    fn is_too_far(self, config: &SettleConfig) -> bool {
        self.batches >= config.alarm_batches || self.oldest_ms >= config.alarm_after_ms
    }
}

impl Settler {
    /// Measures the lag, whether or not the chain answers, and says when it becomes too large and
    /// when it is small again.
    pub(super) fn watch_lag(&mut self) {
        // A store that does not answer degrades the stage in the same round.
        let Ok(lag) = Lag::of(&self.store, self.clock.now()) else { return };
        let Lag { batches, oldest_ms } = lag;
        self.metrics.settle_lag_batches.set(i64::try_from(batches).unwrap_or(i64::MAX));
        let seconds = Duration::from_millis(oldest_ms).as_secs_f64();
        self.metrics.settle_lag_seconds.set(seconds);
        if batches == 0 {
            // Whatever it was, it is over.
            self.last_trouble = None;
        }
        let (before, lags) = (self.lags, lag.is_too_far(&self.config));
        self.lags = lags;
        self.metrics.settle_lagging.set(i64::from(lags));
        match (before, lags) {
            (false, true) => {
                let reason =
                    self.last_trouble.as_deref().unwrap_or("none was met: look at `/readyz`");
                tracing::error!(
                    batches,
                    oldest_seconds = seconds.floor(),
                    reason,
                    "settlement lags behind: collection and proving go on"
                );
            }
            (true, false) => tracing::info!(batches, "settlement has caught up"),
            _ => {}
        }
    }
}
