//! Rounds: look, decide, act, and wait between them.

use std::sync::Arc;
use std::time::Duration;

use model::Millis;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::error::SettleError;
use super::plan::next_action;
use super::settler::{Settler, Step};

impl Settler {
    /// Settles until `stop` is true or its sender is gone. `wake` says that a batch was assembled.
    /// Stopping takes effect at once: every round can be cut anywhere.
    ///
    /// # Errors
    /// [`SettleError`] that no repetition can help ([`SettleError::is_transient`] is false).
    pub async fn run(
        mut self,
        wake: Arc<Notify>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), SettleError> {
        // Asked before the first round: the contract takes batches from this account alone.
        let (expected, found) = (self.edge.deployment().sequencer, self.signer.address());
        if expected != found {
            return Err(SettleError::OtherKey { expected, found });
        }
        let mut failures = 0;
        loop {
            let round = tokio::select! {
                // A stop that came during the last round is seen before the next one begins.
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                round = timeout(self.config.round_max(), self.step()) => round,
            };
            let round = round.unwrap_or_else(|_| {
                self.metrics.chain_reachable.set(0);
                Err(SettleError::Deadline)
            });
            let (pause, wakes) = match round {
                Ok(Step::Did(_)) => {
                    failures = 0;
                    continue;
                }
                Ok(Step::Wait(until)) => {
                    failures = 0;
                    // A batch that is assembled meanwhile ends the wait.
                    (self.pause_until(until), true)
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    self.metrics.settle_retries_total.inc();
                    // The chain's node says in its own words what it refuses.
                    let error = model::with_causes(&error);
                    tracing::warn!(error, failures, "settling failed and is tried again");
                    // Not woken by a new batch: each one would skip the pause that spares the
                    // chain.
                    (self.config.pause_after(failures), false)
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = wake.notified(), if wakes => (),
                () = sleep(pause) => (),
            }
        }
    }

    /// Looks, decides and does one thing.
    ///
    /// # Errors
    /// [`SettleError`]; what was begun is found by the next round.
    pub async fn step(&mut self) -> Result<Step, SettleError> {
        let view = self.look().await;
        self.metrics.chain_reachable.set(i64::from(view.is_ok()));
        let view = view?;
        let action = next_action(&view, &self.config);
        self.act(&view, action).await
    }

    fn pause_until(&self, until: Millis) -> Duration {
        Duration::from_millis(until.since(self.clock.now()).clamp(1, self.config.poll_ms))
    }
}
