//! What operators ordered of the running node and what is in force of it, for everybody to look at:
//! paused, draining, and keys that hold otherwise than the configuration says.

use std::sync::Arc;

use model::{Millis, calendar};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::folder::paused::Paused;
use crate::folder::who::Who;
use crate::metrics::Metrics;

/// By whom something was ordered, and since when it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Since when, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// By whom, and why.
    pub who: Who,
}

impl Since {
    /// From now on.
    pub(super) fn new(at: Millis, who: &Who) -> Since {
        Since { since_unix_ms: at.unix_ms(), who: who.clone() }
    }

    /// For people.
    pub fn words(&self) -> String {
        let since = calendar::Utc(Millis::from_unix_ms(self.since_unix_ms));
        format!("since {since}, by {}", self.who)
    }
}

/// A key that holds otherwise than the configuration says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedKey {
    /// Sections and key.
    pub key: String,
    /// What the configuration says, as it was read last.
    pub configured: Value,
    /// What was set instead.
    pub tuned: Value,
    /// By whom.
    #[serde(flatten)]
    pub since: Since,
}

/// What is in force now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// Nothing is sent to the chain.
    pub paused: Option<Since>,
    /// Nothing new is taken in but what takes rights away.
    pub draining: Option<Since>,
    /// Keys that hold otherwise than the configuration says, in the order of the file; at most
    /// those that are live.
    pub tuned: Vec<TunedKey>,
}

/// Where it is said and seen. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    in_force: watch::Sender<InForce>,
    /// The same, for the settler, which knows nothing of the rest.
    paused: watch::Sender<bool>,
    metrics: Arc<Metrics>,
}

impl Orders {
    /// Nothing is in force.
    pub(super) fn new(metrics: Arc<Metrics>) -> Orders {
        Orders { in_force: watch::Sender::default(), paused: watch::Sender::new(false), metrics }
    }

    /// What is in force now.
    pub fn in_force(&self) -> InForce {
        self.in_force.borrow().clone()
    }

    /// Whether nothing new is taken in. Asked by the writer for all that comes together.
    pub(super) fn is_draining(&self) -> bool {
        self.in_force.borrow().draining.is_some()
    }

    /// Whether nothing is sent to the chain.
    pub(super) fn follow_paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    pub(super) fn set_paused(&self, paused: Option<Since>) {
        let is_paused = paused.is_some();
        self.in_force.send_modify(|in_force| in_force.paused = paused);
        self.metrics.paused.set(i64::from(is_paused));
        self.paused.send_replace(is_paused);
    }

    pub(super) fn set_draining(&self, draining: Option<Since>) {
        self.metrics.draining.set(i64::from(draining.is_some()));
        self.in_force.send_modify(|in_force| in_force.draining = draining);
    }

    pub(super) fn set_tuned(&self, tuned: Vec<TunedKey>) {
        self.metrics.tuned_keys.set(i64::try_from(tuned.len()).unwrap_or(i64::MAX));
        self.in_force.send_modify(|in_force| in_force.tuned = tuned);
    }

    /// What all limits together may take of memory, now that some are others.
    pub(super) fn set_limits_bytes(&self, bytes: u64) {
        self.metrics.memory_limits_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts an order that was carried out.
    pub(super) fn count(&self, order: &'static str) {
        self.metrics.count_order(order);
    }
}

impl From<&Paused> for Since {
    fn from(paused: &Paused) -> Since {
        Since::new(paused.at, &paused.who)
    }
}
