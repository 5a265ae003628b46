//! What the settler holds, and what a round of it says.

use std::sync::Arc;

use alloy::signers::local::PrivateKeySigner;
use l1_contracts::Edge;
use model::{Clock, Millis};
use tokio::sync::watch;

use super::config::SettleConfig;
use super::error::SettleError;
use super::plan::{Action, Doubted};
use crate::folder::store::Store;
use crate::metrics::Metrics;
use crate::stages::standing::Standing;

/// What one round did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// This was done; look again at once.
    Did(Action),
    /// Nothing to do before this time, unless something is assembled or the chain moves.
    Wait(Millis),
}

/// What a settler is made of.
pub struct SettlerParts {
    /// The contract on the base chain.
    pub edge: Edge,
    /// Batches and outbox.
    pub store: Arc<Store>,
    /// The account that the contract lets settle.
    pub signer: PrivateKeySigner,
    /// Limits and waits.
    pub config: SettleConfig,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Where it says how it stands.
    pub standing: Arc<dyn Standing>,
}

/// What the chain's node said of fees when it did not take the open row's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Underpriced {
    /// It has none of this nonce, and these are too low for it.
    Fees,
    /// It has another transaction of this nonce, and these are too close to that one's.
    Replacement,
}

/// A transaction that was mined and failed, and what follows from it.
pub(super) struct FailedBefore {
    /// How many in a row.
    pub(super) count: u32,
    /// What the contract had settled then: once it gets on, this is over.
    pub(super) settled: u64,
    /// Until when nothing is built: each costs gas.
    pub(super) until: Millis,
}

/// The stage. Everything that must survive a crash is in the store.
pub struct Settler {
    pub(super) edge: Edge,
    pub(super) store: Arc<Store>,
    pub(super) signer: PrivateKeySigner,
    pub(super) config: SettleConfig,
    /// Where limits and waits change, if they do.
    pub(super) changes: Option<watch::Receiver<SettleConfig>>,
    /// Whether an operator has paused settling, if anybody can.
    pub(super) paused: Option<watch::Receiver<bool>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) standing: Arc<dyn Standing>,
    /// Nonce whose bytes this settler sent last.
    pub(super) sent: Option<u64>,
    /// Nonce whose fees the node refused.
    pub(super) underpriced: Option<(u64, Underpriced)>,
    /// Set while the open row offers the most that is configured, and it does not do.
    pub(super) fee_limit: Option<SettleError>,
    /// Whether the chain's node did not take what it was sent last.
    pub(super) not_taken: bool,
    /// Rounds that failed since the last that did not.
    pub(super) failures: u32,
    /// Set while the last transaction was mined and failed.
    pub(super) failed: Option<FailedBefore>,
    /// What the looks up to now doubt without pause.
    pub(super) doubt: Option<Doubted>,
    /// Whether the chain's node takes no block by its hash.
    pub(super) pins_by_number: bool,
    /// Whether so much waits, or for so long, that the alarm is on.
    pub(super) lags: bool,
    /// What kept the last batches from the chain, for the alarm.
    pub(super) last_trouble: Option<String>,
}

impl Settler {
    /// A settler that has sent nothing yet; what was sent before a crash it finds on the chain.
    pub fn new(parts: SettlerParts) -> Settler {
        let SettlerParts { edge, store, signer, config, metrics, clock, standing } = parts;
        Settler {
            edge,
            store,
            signer,
            config,
            changes: None,
            paused: None,
            metrics,
            clock,
            standing,
            sent: None,
            underpriced: None,
            fee_limit: None,
            not_taken: false,
            failures: 0,
            failed: None,
            doubt: None,
            pins_by_number: false,
            lags: false,
            last_trouble: None,
        }
    }
    /// Takes limits and waits from here, also those that change while it runs.
    pub fn following(mut self, mut changes: watch::Receiver<SettleConfig>) -> Settler {
        self.config = changes.borrow_and_update().clone();
        Settler { changes: Some(changes), ..self }
    }

    /// Brings nothing to the chain while this is true.
    pub fn paused_by(self, paused: watch::Receiver<bool>) -> Settler {
        Settler { paused: Some(paused), ..self }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.as_ref().is_some_and(|paused| *paused.borrow())
    }
}
