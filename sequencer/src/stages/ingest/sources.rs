//! How much each source may ask for, over all its connections: what keeps a flood from the writer.
//!
//! ```text
//!   operation -> [by its holder] -> signature -> replay? -> [by its patient] -> the writer's queue
//!                stop, revoke, deny: buckets and places of their own, on all three
//! ```
//! Before a signature verifies, only the certificate of the connection says who asks, and the first
//! bucket bounds nothing but the work of looking at signatures. Whoever shares or stole a
//! certificate can empty it, so a connection does not need it for the first stops that come to
//! nothing: those cost the node no more than its handshake did, and no other connection can use
//! them up.
//!
//! After it the patient whose key signed is charged, by certificate once more: what was signed a
//! while ago is in other hands too. What took effect before, or has ended, is answered as what it
//! is, and charged to who sends it alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Action, Clock, Millis, PatientIndex, RejectCode};
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
    names: Buckets<Holder>,
    renewals: Buckets<Holder>,
    /// Operations by who sends them: before the signature verifies.
    sent: ByUrgency<Holder>,
    /// Operations by whose they are and who sends them: after it did.
    signed: ByUrgency<(PatientIndex, Holder)>,
    /// Stops, revocations and denies that a connection may send in vain before its certificate's
    /// rate counts.
    tries: u32,
}

impl AllBuckets {
    fn new(config: &RateConfig) -> AllBuckets {
        let keys_max = config.keys_max;
        AllBuckets {
            opens: Buckets::new(config.opens(), keys_max),
            requests: Buckets::new(config.requests(), keys_max),
            names: Buckets::new(config.names(), keys_max),
            renewals: Buckets::new(config.renewals(), keys_max),
            sent: ByUrgency::new(config.operations(), keys_max),
            signed: ByUrgency::new(config.patient_operations(), keys_max),
            tries: config.connection_tries,
        }
    }
}

/// An operation, and where it came from.
pub(super) struct Asking<'a> {
    pub(super) holder: Holder,
    pub(super) signed: &'a SignedOperation,
    /// Stops, revocations and denies of this connection that came to nothing here.
    pub(super) vain: &'a mut u32,
}

/// Buckets for what can wait, and of the same rate for what protects a patient.
#[derive(Debug)]
pub(super) struct ByUrgency<K> {
    ordinary: Buckets<K>,
    protecting: Buckets<K>,
}

impl<K: Ord> ByUrgency<K> {
    pub(super) fn new(rate: Rate, keys_max: usize) -> ByUrgency<K> {
        let buckets = || Buckets::new(rate, keys_max);
        ByUrgency { ordinary: buckets(), protecting: buckets() }
    }

    pub(super) fn of(&mut self, urgency: Urgency) -> &mut Buckets<K> {
        match urgency {
            Urgency::Ordinary => &mut self.ordinary,
            Urgency::Protecting => &mut self.protecting,
        }
    }
}

impl Sources {
    pub(super) fn new(config: &RateConfig) -> Sources {
        Sources { buckets: Mutex::new(AllBuckets::new(config)) }
    }

    /// Begins anew with other rates: every bucket is full.
    pub(super) fn set_rates(&self, config: &RateConfig) {
        *self.buckets() = AllBuckets::new(config);
    }

    /// Whether a gateway may open one more stream now.
    pub(super) fn may_open(&self, holder: Holder, clock: &dyn Clock) -> bool {
        self.buckets().opens.take(holder, clock.now())
    }

    /// Whether a practitioner may ask to read once more now.
    pub(super) fn may_request(&self, holder: Holder, clock: &dyn Clock) -> bool {
        self.buckets().requests.take(holder, clock.now())
    }

    /// Whether a wallet or operator may ask about so many names now. Each name is charged, so that
    /// no form of the question guesses faster than another.
    pub(super) fn may_ask_names(&self, holder: Holder, names: usize, clock: &dyn Clock) -> bool {
        let (mut buckets, now) = (self.buckets(), clock.now());
        (0..names).all(|_| buckets.names.take(holder, now))
    }

    /// Whether somebody may ask for a certificate, or after it, once more now.
    pub(super) fn may_renew(&self, holder: Holder, clock: &dyn Clock) -> bool {
        self.buckets().renewals.take(holder, clock.now())
    }

    /// Looks at an operation before it takes a place of the writer's queue.
    ///
    /// # Errors
    /// What the peer is told: Busy if its certificate, or the patient, asks too often; Signature if
    /// the key that may do this did not sign it; Nonce or Validity if it comes again after it took
    /// effect or ended. An index without a record is answered as a wrong
    /// signature is, after the same work.
    pub(super) fn examine(
        &self,
        asking: Asking<'_>,
        view: &LedgerView,
        clock: &dyn Clock,
    ) -> Result<Urgency, RejectCode> {
        let Asking { holder, signed, vain } = asking;
        let urgency = Urgency::of(&signed.operation.action);
        let protects = urgency == Urgency::Protecting;
        let is_free = protects && *vain < self.buckets().tries;
        if !is_free && !self.buckets().sent.of(urgency).take(holder, clock.now()) {
            return Err(RejectCode::Busy);
        }
        let outcome = check_signed(signed, view, clock.now()).and_then(|()| {
            let key = (signed.operation.patient, holder);
            let taken = self.buckets().signed.of(urgency).take(key, clock.now());
            taken.then_some(urgency).ok_or(RejectCode::Busy)
        });
        if protects && outcome.is_err() {
            *vain = vain.saturating_add(1);
        }
        outcome
    }

    /// Plain numbers: a panic elsewhere leaves none of them half changed.
    fn buckets(&self) -> MutexGuard<'_, AllBuckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the key that may do this signed it, and it can still take effect.
fn check_signed(
    signed: &SignedOperation,
    view: &LedgerView,
    now: Millis,
) -> Result<(), RejectCode> {
    let (operation, scope) = (&signed.operation, view.operation_scope());
    let record = view.owner(operation.patient);
    let owner = match &operation.action {
        Action::Enrol { .. } => Some(scope.registrar_key_hash),
        _ => record.map(|record| field::from_word(&record.key_hash)),
    };
    // Both, whatever the first says: how long an answer takes tells nothing either.
    let verifies = signed.verify(scope.sig_domain);
    let owns = owner == Some(signed.signer.hash());
    if !(verifies && owns) {
        return Err(RejectCode::Signature);
    }
    // Only now, or strangers would learn who is enrolled. A later nonce may follow one that is on
    // its way; an earlier one took effect, and nonces only grow.
    if record.is_some_and(|record| operation.nonce < record.nonce) {
        return Err(RejectCode::Nonce);
    }
    // By the journal, after which whatever comes next is stamped, and by the clock: where the
    // journal is ahead of it, the ledger says what can be done.
    if operation.valid_until <= view.last_time().min(now) {
        return Err(RejectCode::Validity);
    }
    Ok(())
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
