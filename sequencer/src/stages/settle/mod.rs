//! Brings assembled batches to the base chain, in order and once.
//!
//! [`next`] decides, [`Settler`] looks and acts. One round reads the outbox, the account, the
//! contract and the receipts of every transaction that is not final, takes one action and begins
//! again:
//!
//! ```text
//! build  simulate, sign, write to the outbox     mined    receipt found: record where and how late
//! send   the written bytes, as often as needed   final    its block is final: done
//! ```
//!
//! Invariants:
//! * Bytes are in the outbox before they are sent, and every hash ever sent for a nonce is kept.
//! * One transaction at a time is unmined; the contract's counter says what is settled (I2).
//! * Lateness is recorded and never an error. A window that is not over for the chain is waited
//!   for.
//! * What the contract refuses is not tried again: the stage ends and says why.
//! * It never makes or changes a batch, and holds no other key than that of the settling account.

mod act;
mod error;
mod fees;
mod look;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use l1_contracts::Edge;
use model::{Clock, Millis};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

pub use error::SettleError;
pub use plan::{Action, Found, Row, View, next};

use crate::folder::store::Store;
use crate::metrics::Metrics;

/// How the settler behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleConfig {
    /// Most batches in one transaction. Default 8. Memory: their public files at once, up to 64 MiB
    /// each, usually some KiB.
    pub batches_max: usize,
    /// How long a sent transaction is waited for before it is sent again or replaced, milliseconds.
    /// Default 48,000: four blocks.
    pub resend_after_ms: u64,
    /// How often the chain is asked, milliseconds. Default 2,000.
    pub poll_ms: u64,
    /// Most transactions that are mined and not final; more wait. Default 64.
    pub pending_max: usize,
    /// Most replacements of one transaction, each at least 12.5 % dearer. Default 20: tenfold.
    pub replacements_max: usize,
    /// Highest fee offered for a unit of gas, wei. Default 1,000 gwei. Beyond it the settler waits.
    pub fee_wei_max: u128,
    /// Most gas of one transaction. Default 16,000,000, below the limit of EIP-7825.
    pub gas_max: u64,
    /// Longest round. Default one minute.
    pub round_max: Duration,
    /// First pause after a failure; it doubles with each further one. Default 1 s.
    pub retry_first: Duration,
    /// Longest pause after failures. Default 1 minute.
    pub retry_max: Duration,
}

impl Default for SettleConfig {
    fn default() -> SettleConfig {
        SettleConfig {
            batches_max: 8,
            resend_after_ms: 48_000,
            poll_ms: 2_000,
            pending_max: 64,
            replacements_max: 20,
            fee_wei_max: 1_000_000_000_000,
            gas_max: 16_000_000,
            round_max: Duration::from_secs(60),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
        }
    }
}

/// What one round did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// This was done; look again at once.
    Did(Action),
    /// Nothing to do before this time, unless something is assembled or the chain moves.
    Wait(Millis),
}

/// The stage. Everything that must survive a crash is in the store.
pub struct Settler {
    edge: Edge,
    store: Arc<Store>,
    signer: PrivateKeySigner,
    config: SettleConfig,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Nonce whose bytes this settler sent last.
    sent: Option<u64>,
    /// Nonce whose fees the node refused.
    underpriced: Option<u64>,
}

impl Settler {
    /// A settler for the edge's contract; `signer` is the account that the contract lets settle.
    pub fn new(
        edge: Edge,
        store: Arc<Store>,
        signer: PrivateKeySigner,
        config: SettleConfig,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Settler {
        Settler { edge, store, signer, config, metrics, clock, sent: None, underpriced: None }
    }

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
        let (expected, found) = (self.edge.deployment().sequencer, self.signer.address());
        if expected != found {
            return Err(SettleError::OtherKey { expected, found });
        }
        let mut failures = 0;
        loop {
            let round = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                round = timeout(self.config.round_max, self.step()) => round,
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
                    (self.pause(until), true)
                }
                Err(error) if error.is_transient() => {
                    failures += 1;
                    self.metrics.settle_retries_total.inc();
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, failures, "settling failed and is tried again");
                    (backoff(&self.config, failures), false)
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
        let action = next(&view, &self.config);
        self.act(&view, action).await
    }

    fn pause(&self, until: Millis) -> Duration {
        Duration::from_millis(until.since(self.clock.now()).clamp(1, self.config.poll_ms))
    }
}

fn backoff(config: &SettleConfig, failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(30));
    config.retry_first.saturating_mul(doubled).min(config.retry_max)
}
