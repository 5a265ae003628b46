//! Requests to erase as the desk lists them: who asks since when, what each waits for, and what was
//! carried out. All of it is asked of memory, but for how far batches are settled.

use std::cmp::Reverse;
use std::sync::{Arc, PoisonError, RwLock};

use bodies::{BodyKeys, Remains};
use model::{Clock as _, Millis, PatientIndex, with_causes};
use serde_json::{Value, json};
use wire::SignedErasure;

use super::erasing::{is_settled, open_requests, settled_until};
use crate::clock::NodeClock;
use crate::folder::erasure_requests::ErasureRequests;
use crate::folder::store::Store;
use crate::stages::ledger::{Erasures, LedgerView, Tombstone};

/// Rows of either list at most: the requests that wait longest, and what was erased last. How many
/// there are is of all.
const ROWS_MAX: usize = 100;

/// The list, while the node runs. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct ErasureList(Arc<RwLock<Option<Arc<Sources>>>>);

/// What it is made of.
pub(super) struct Sources {
    pub(super) view: LedgerView,
    pub(super) store: Arc<Store>,
    pub(super) keys: BodyKeys,
    pub(super) requests: ErasureRequests,
    pub(super) clock: Arc<NodeClock>,
}

impl ErasureList {
    /// From now on there is one.
    pub(super) fn open(&self, sources: Sources) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sources));
    }

    /// From now on there is none: whoever still watches a node that stopped would keep store and
    /// keys open, which the next start is to find free.
    pub(super) fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What waits and what is done; none while the node starts or stops.
    pub(super) fn tell(&self) -> Value {
        let sources = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        sources.map_or(Value::Null, |sources| sources.tell())
    }
}

impl Sources {
    fn tell(&self) -> Value {
        let (erasures, now) = (self.view.erasures(), self.clock.now());
        let mut waiting = open_requests(&self.requests, &erasures, now);
        waiting.sort_by_key(|signed| signed.request.requested_at);
        let mut erased: Vec<_> = erasures.tombstones().collect();
        erased.sort_by_key(|(_, tombstone)| Reverse(tombstone.position));
        let counts = (waiting.len(), erased.len());
        waiting.truncate(ROWS_MAX);
        erased.truncate(ROWS_MAX);
        let settled = self.settled(&waiting);
        let requests = waiting.iter().map(|signed| self.asked(signed, &erasures, settled));
        let done = erased.iter().map(|(patient, tombstone)| {
            done(*patient, tombstone, self.keys.remains(*patient, now))
        });
        json!({
            "waiting": counts.0,
            "erased": counts.1,
            "requests": requests.collect::<Vec<_>>(),
            "done": done.collect::<Vec<_>>(),
        })
    }

    /// Until when batches are settled; none where nobody asks, or the store does not answer.
    fn settled(&self, waiting: &[SignedErasure]) -> Option<Millis> {
        if waiting.is_empty() {
            return None;
        }
        let settled = settled_until(&self.store).inspect_err(|error| {
            let cause = with_causes(error);
            tracing::warn!(cause, "what requests to erase wait for cannot be told");
        });
        settled.ok()
    }

    /// One that waits: for the chain, for a hold to be cleared, or for the operator.
    fn asked(&self, signed: &SignedErasure, erasures: &Erasures, settled: Option<Millis>) -> Value {
        let request = signed.request;
        let mut row = json!({
            "patient": request.patient.get(),
            "requested_at_unix_ms": request.requested_at.unix_ms(),
            "valid_until_unix_ms": request.valid_until.unix_ms(),
        });
        let stopped = self.view.owner(request.patient).map(|owner| owner.closed_at);
        row["state"] = match (erasures.hold(request.patient), stopped.zip(settled)) {
            (Some(hold), _) => {
                row["since_unix_ms"] = hold.since.unix_ms().into();
                row["reason"] = hold.reason.as_str().into();
                row["who"] = hold.who.as_str().into();
                "held"
            }
            (None, Some((stopped, settled))) if !is_settled(stopped, settled) => {
                row["stopped_unix_ms"] = stopped.unix_ms().into();
                let is_any = settled != Millis::UNBOUNDED_PAST;
                row["settled_unix_ms"] = is_any.then_some(settled.unix_ms()).into();
                "unsettled"
            }
            (None, Some(_)) => "ready",
            (None, None) => "unknown",
        }
        .into();
        row
    }
}

/// One that was carried out. Where keys are left the node destroys them once it can.
fn done(patient: PatientIndex, tombstone: &Tombstone, remains: Option<Remains>) -> Value {
    json!({
        "patient": patient.get(),
        "at_unix_ms": tombstone.time.unix_ms(),
        "position": tombstone.position.0,
        "keys_destroyed": remains.is_some(),
        "copies_until_unix_ms": remains.and_then(|left| left.copies_until).map(Millis::unix_ms),
    })
}
