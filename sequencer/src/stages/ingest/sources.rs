//! How much each source may ask for, over all its connections: what keeps a flood from the writer.
//!
//! ```text
//!   operation -> [by its holder] -> signature -> [by its patient] -> the writer's queue
//!                stop, revoke, deny: buckets and places of their own, on all three
//! ```
//! Before a signature verifies, only the certificate of the connection says who asks; after it, the
//! patient whose key signed. So a stranger can use up neither what another certificate nor what a
//! patient may do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Action, Clock, PatientIndex, RejectCode};
use statement::field;
use statement::operation::SignedOperation;
use wire::Holder;

use super::buckets::{Buckets, Rate};
use super::config::RateConfig;
use crate::stages::ledger::LedgerView;
use crate::stages::rows::Urgency;

/// The buckets of all sources.
#[derive(Debug)]
pub(super) struct Sources {
    buckets: Mutex<AllBuckets>,
}

#[derive(Debug)]
struct AllBuckets {
    opens: Buckets<Holder>,
    requests: Buckets<Holder>,
    /// Operations by who sends them: before the signature verifies.
    sent: ByUrgency<Holder>,
    /// Operations by whose they are: after it did.
    signed: ByUrgency<PatientIndex>,
}

/// Buckets for what can wait, and of the same rate for what protects a patient.
#[derive(Debug)]
struct ByUrgency<K> {
    ordinary: Buckets<K>,
    protecting: Buckets<K>,
}

impl<K: Ord> ByUrgency<K> {
    fn new(rate: Rate, keys_max: usize) -> ByUrgency<K> {
        let buckets = || Buckets::new(rate, keys_max);
        ByUrgency { ordinary: buckets(), protecting: buckets() }
    }

    fn of(&mut self, urgency: Urgency) -> &mut Buckets<K> {
        match urgency {
            Urgency::Ordinary => &mut self.ordinary,
            Urgency::Protecting => &mut self.protecting,
        }
    }
}

impl Sources {
    pub(super) fn new(config: &RateConfig) -> Sources {
        let keys_max = config.keys_max;
        let buckets = AllBuckets {
            opens: Buckets::new(config.opens(), keys_max),
            requests: Buckets::new(config.requests(), keys_max),
            sent: ByUrgency::new(config.operations(), keys_max),
            signed: ByUrgency::new(config.patient_operations(), keys_max),
        };
        Sources { buckets: Mutex::new(buckets) }
    }

    /// Whether a gateway may open one more stream now.
    pub(super) fn may_open(&self, holder: Holder, clock: &dyn Clock) -> bool {
        self.buckets().opens.take(holder, clock.now())
    }

    /// Whether a practitioner may ask to read once more now.
    pub(super) fn may_request(&self, holder: Holder, clock: &dyn Clock) -> bool {
        self.buckets().requests.take(holder, clock.now())
    }

    /// Looks at an operation before it takes a place of the writer's queue.
    ///
    /// # Errors
    /// What the peer is told: Busy if its certificate, or the patient, asks too often; Malformed,
    /// or Signature if the key that may do this did not sign it. An index without a record is
    /// answered as a wrong signature is, after the same work.
    pub(super) fn examine(
        &self,
        holder: Holder,
        operation: &wire::SignedOperation,
        view: &LedgerView,
        clock: &dyn Clock,
    ) -> Result<Urgency, RejectCode> {
        let signed =
            SignedOperation::from_bytes(operation.as_bytes()).map_err(|_| RejectCode::Malformed)?;
        let urgency = Urgency::of(&signed.operation.action);
        let busy = |taken: bool| taken.then_some(()).ok_or(RejectCode::Busy);
        busy(self.buckets().sent.of(urgency).take(holder, clock.now()))?;
        let (patient, scope) = (signed.operation.patient, view.operation_scope());
        let owner = match &signed.operation.action {
            Action::Enrol { .. } => Some(scope.registrar_key_hash),
            _ => view.owner(patient).map(|key_hash| field::from_word(&key_hash)),
        };
        // Both, whatever the first says: how long an answer takes tells nothing either.
        let verifies = signed.verify(scope.sig_domain);
        let owns = owner == Some(signed.signer.hash());
        if !(verifies && owns) {
            return Err(RejectCode::Signature);
        }
        busy(self.buckets().signed.of(urgency).take(patient, clock.now()))?;
        Ok(urgency)
    }

    /// Plain numbers: a panic elsewhere leaves none of them half changed.
    fn buckets(&self) -> MutexGuard<'_, AllBuckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::{ClaimKind, Party, Rule, RuleSlot, Word};

    use super::*;

    #[test]
    fn what_takes_away_from_others_protects_and_nothing_else_does() {
        let rule = Rule::widest(Party::Named(Word::from_u64(1)), ClaimKind::Access.only());
        let slots = [RuleSlot::Permit(0), RuleSlot::Deny(0), RuleSlot::Policy(0)];
        let protects = |action: &Action| Urgency::of(action) == Urgency::Protecting;
        let written = slots.map(|slot| protects(&Action::Write { slot, rule }));
        assert_eq!(written, [false, true, false]);
        let revoked = slots.map(|slot| protects(&Action::Revoke { slot, rule }));
        assert_eq!(revoked, [true, false, true]);
        assert!(protects(&Action::Stop));
    }
}
