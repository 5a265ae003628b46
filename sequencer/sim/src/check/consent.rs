//! Who permits what, as the simplest possible reader of a journal understands it: every rule of the
//! cast is about all that its patient's device measures, so that it is there or not.

use std::collections::{BTreeMap, BTreeSet};

use model::{Action, Operation, PatientIndex, RuleSlot};

/// The consent of every patient, as operation after operation makes it.
#[derive(Debug, Default)]
pub(super) struct Consents(BTreeMap<PatientIndex, Consent>);

/// That of one.
#[derive(Debug, Default)]
struct Consent {
    permits: BTreeSet<RuleSlot>,
    denies: BTreeSet<RuleSlot>,
    stopped: bool,
}

impl Consents {
    /// What an operation of the journal changes.
    pub(super) fn take(&mut self, operation: &Operation) {
        let consent = self.0.entry(operation.patient).or_default();
        match operation.action {
            Action::Enrol { .. } => {}
            Action::Write { slot: slot @ RuleSlot::Permit(_), .. } => {
                consent.permits.insert(slot);
            }
            Action::Write { slot: slot @ RuleSlot::Deny(_), .. } => {
                consent.denies.insert(slot);
            }
            // Of breaking the glass nobody makes use here.
            Action::Write { slot: RuleSlot::Policy(_), .. } => {}
            Action::Revoke { slot, .. } => {
                consent.permits.remove(&slot);
                consent.denies.remove(&slot);
            }
            Action::Stop => consent.stopped = true,
        }
    }

    /// Whether the patient's device may be read now.
    pub(super) fn permit(&self, patient: PatientIndex) -> bool {
        let permits = |consent: &Consent| {
            !consent.stopped && consent.denies.is_empty() && !consent.permits.is_empty()
        };
        self.0.get(&patient).is_some_and(permits)
    }
}
