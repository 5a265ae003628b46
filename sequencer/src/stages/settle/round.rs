//! Rounds: look, decide, act, and wait between them.

use std::sync::Arc;
use std::time::Duration;

use model::Millis;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::error::SettleError;
use super::plan::{Action, next_action};
use super::settler::{Settler, Step};
use crate::folder::store::OutboxState;
use crate::stages::standing::Cause;

/// What follows a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// The next one, at once.
    Round,
    /// The next one after this long, or when a batch is assembled.
    Wait(Duration),
    /// The next one after this long. A batch that is assembled does not cut it short: it would skip
    /// the pause that spares the chain.
    Pause(Duration),
}

impl Settler {
    /// Settles until `stop` is true or its sender is gone. `wake` says that a batch was assembled.
    /// Stopping takes effect at once: every round can be cut anywhere.
    ///
    /// What fails is tried again: soon, if the chain or its node may have recovered by then, and
    /// slowly, if somebody has to mend something. The
    /// [`Standing`](crate::stages::standing::Standing) says which.
    ///
    /// # Errors
    /// [`SettleError::OtherKey`]: no trouble of the chain ends it.
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
            let (pause, wakes) = match self.conclude(round)? {
                Next::Round => continue,
                Next::Wait(pause) => (pause, true),
                Next::Pause(pause) => (pause, false),
            };
            tokio::select! {
                // In this order, so that a run can be made again.
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = wake.notified(), if wakes => (),
                () = self.pause(pause) => (),
            }
        }
    }

    /// Waits so long, or until limits and waits are others, or settling is paused or goes on: who
    /// changes them does it for what is waited for. They change here alone, so that those of a
    /// round hold until its end.
    pub(super) async fn pause(&mut self, length: Duration) {
        let changed = async {
            if let Some(changes) = &mut self.changes
                && changes.changed().await.is_ok()
            {
                return changes.borrow_and_update().clone();
            }
            // Nobody changes them, or nobody any more.
            std::future::pending().await
        };
        let resumed = async {
            if let Some(paused) = &mut self.paused
                && paused.changed().await.is_ok()
            {
                return;
            }
            // As above: nobody can pause, or nobody any more.
            std::future::pending().await
        };
        tokio::select! {
            biased;
            changed = changed => self.config = changed,
            () = resumed => {}
            () = sleep(length) => {}
        }
    }

    /// Waits until `check` finds the chain to be the one that is meant: for a node that started
    /// without it. What fails is told and tried again as a round is.
    pub async fn wait_for_chain<F>(&mut self, check: impl Fn() -> F)
    where
        F: Future<Output = Result<(), SettleError>>,
    {
        loop {
            self.watch_lag();
            let checked = timeout(self.config.round_max(), check()).await;
            let checked = checked.unwrap_or(Err(SettleError::Deadline));
            let answers = checked.as_ref().err().is_none_or(|error| !error.is_unreachable());
            self.metrics.chain_reachable.set(i64::from(answers));
            let Err(error) = checked else {
                self.failures = 0;
                return;
            };
            let pause = self.pause_after(error);
            self.pause(pause).await;
        }
    }

    /// Looks, decides and does one thing.
    ///
    /// # Errors
    /// [`SettleError`]; what was begun is found by the next round.
    pub async fn step(&mut self) -> Result<Step, SettleError> {
        self.watch_lag();
        self.metrics.settle_fee_max_wei.set(self.config.fee_wei_max as f64);
        let view = self.look().await;
        let answers = view.as_ref().err().is_none_or(|error| !error.is_unreachable());
        self.metrics.chain_reachable.set(i64::from(answers));
        let view = view?;
        // Both are of the open row alone: mined or given up, it is behind them.
        let is_open = |state| matches!(state, OutboxState::Built | OutboxState::Sent { .. });
        if !view.rows.iter().any(|row| is_open(row.state)) {
            self.set_fee_limit(None);
            self.not_taken = false;
        }
        let action = next_action(&view, &self.config);
        // Asked behind the look, which takes a while: what is sent after a pause was answered is
        // what was under way before.
        let action = match self.is_paused() {
            true => action.while_paused(view.now, &self.config),
            false => action,
        };
        if !matches!(action, Action::Recheck(_)) {
            self.doubt = None;
        }
        self.act(&view, action).await
    }

    /// What follows a round, told to whoever looks.
    ///
    /// # Errors
    /// The round's, if it ends the node.
    pub(super) fn conclude(
        &mut self,
        round: Result<Step, SettleError>,
    ) -> Result<Next, SettleError> {
        let error = match round {
            Ok(step) => {
                self.failures = 0;
                match &self.fee_limit {
                    // The round went well because it only waits: for fees to fall.
                    Some(limit) => self.standing.degrade(limit.cause(), limit),
                    // Other fees are signed and not sent yet: only the node says if they will do.
                    None if self.not_taken => (),
                    // Given up, and not settled otherwise yet.
                    None if self.failed.is_some() => (),
                    None => self.standing.recover(),
                }
                return Ok(match step {
                    Step::Did(_) => Next::Round,
                    Step::Wait(until) => Next::Wait(self.pause_until(until)),
                });
            }
            Err(error) if error.ends_node() => return Err(error),
            Err(error) => error,
        };
        Ok(Next::Pause(self.pause_after(error)))
    }

    /// Tells what failed, and how long to wait after it.
    fn pause_after(&mut self, error: SettleError) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.last_trouble = Some(model::with_causes(&error));
        self.metrics.settle_retries_total.inc();
        if !error.is_transient() {
            self.standing.degrade(error.cause(), &error);
            return self.config.refused_pause(self.failures);
        }
        // The chain's node says in its own words what it refuses.
        let (failures, causes) = (self.failures, model::with_causes(&error));
        tracing::warn!(error = causes, failures, "settling failed and is tried again");
        let why = self.fee_limit.as_ref().unwrap_or(&error);
        // Where some of several nodes are behind, one look fails now and then, and the next does
        // not.
        let once = why.cause() == Cause::ChainFails && self.failures == 1;
        // A chain that does not answer has a metric and a line of its own.
        if !error.is_unreachable() && !once {
            self.standing.degrade(why.cause(), why);
        }
        self.config.pause_after(self.failures)
    }

    pub(super) fn pause_until(&self, until: Millis) -> Duration {
        Duration::from_millis(until.since(self.clock.now()).clamp(1, self.config.poll_ms))
    }
}
