//! The open window: operations and claims since the last close.

use std::collections::BTreeMap;

use model::{BatchNumber, Claim, DeviceId, Millis, PatientIndex, Position, Window, limits};
use statement::batch::SegmentEntry;
use statement::c2;

use super::consent::{AppliedOperation, Consent};
use super::segment::{FrameFacts, OpenSegment};
use crate::batch::{Capacities, PatientState, WindowContents};

/// What one window may hold before it is closed early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Most operations.
    pub operations_max: usize,
    /// Most claims, open segments included.
    pub claims_max: usize,
}

impl WindowLimits {
    /// These limits, lowered to what settles in one batch with chunks of these capacities: at most
    /// [`limits::BATCH_PROOFS_MAX`] proofs, if every claim takes a slot of its own. Three tenths of
    /// the proofs are for operations.
    pub fn fitted(self, capacities: &Capacities) -> WindowLimits {
        let operation_proofs = limits::BATCH_PROOFS_MAX * 3 / 10;
        let claim_proofs = limits::BATCH_PROOFS_MAX - operation_proofs;
        // One item more than the limit may come in before the window is closed.
        let operations = operation_proofs * capacities.operations - 1;
        let claims = claim_proofs * capacities.claims.slots - 1;
        WindowLimits {
            operations_max: self.operations_max.min(operations),
            claims_max: self.claims_max.min(claims),
        }
    }
}

impl Default for WindowLimits {
    fn default() -> WindowLimits {
        WindowLimits { operations_max: 512, claims_max: 4096 }
    }
}

/// Everything since the last close.
#[derive(Clone, Debug)]
pub(super) struct OpenWindow {
    number: BatchNumber,
    t0: Millis,
    position_in: Position,
    root_in: ark_bn254::Fr,
    operations: Vec<AppliedOperation>,
    claims: Vec<Claim>,
    segments: Vec<SegmentEntry>,
    open: BTreeMap<(PatientIndex, DeviceId), OpenSegment>,
}

impl OpenWindow {
    pub(super) fn begin(
        number: BatchNumber,
        t0: Millis,
        position_in: Position,
        consent: &Consent,
    ) -> OpenWindow {
        OpenWindow {
            number,
            t0,
            position_in,
            root_in: consent.root(),
            operations: Vec::new(),
            claims: Vec::new(),
            segments: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    pub(super) fn position_in(&self) -> Position {
        self.position_in
    }

    pub(super) fn number(&self) -> BatchNumber {
        self.number
    }

    pub(super) fn t0(&self) -> Millis {
        self.t0
    }

    /// Whether anything happened that a batch would prove.
    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.claims.is_empty() && self.open.is_empty()
    }

    pub(super) fn is_full(&self, limits: &WindowLimits) -> bool {
        self.operations.len() >= limits.operations_max
            || self.claims.len() + self.open.len() >= limits.claims_max
    }

    /// Takes a frame that is covered by itself: into its device's segment if the grown segment is
    /// still covered by one rule, else into a new one.
    pub(super) fn frame(
        &mut self,
        consent: &Consent,
        device: &DeviceId,
        facts: &FrameFacts,
        frame: &[u8],
    ) {
        let key = (facts.patient, device.clone());
        let record = consent.record(facts.patient);
        if let Some(segment) = self.open.get_mut(&key) {
            let grown = segment.extended(facts);
            let covered = grown.filter(|claim| c2::covers(record, claim).is_ok());
            match covered {
                Some(claim) => return segment.extend(claim, frame),
                None => self.cut(&key),
            }
        }
        self.open.insert(key, OpenSegment::begin(facts, frame));
    }

    /// Takes an operation: the patient's segments end where its record changes.
    pub(super) fn operation(&mut self, applied: AppliedOperation) {
        let patient = applied.signed.operation.patient;
        let keys: Vec<_> = self.open.keys().filter(|(p, _)| *p == patient).cloned().collect();
        keys.iter().for_each(|key| self.cut(key));
        self.operations.push(applied);
    }

    /// Takes the claim of a permitted access.
    pub(super) fn access(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    fn cut(&mut self, key: &(PatientIndex, DeviceId)) {
        if let Some(segment) = self.open.remove(key) {
            let (claim, entry) = segment.cut();
            self.claims.push(claim);
            self.segments.push(entry);
        }
    }

    /// Closes the window at `t1`, which is later than every entry in it.
    ///
    /// # Panics
    /// If the window would be empty or too long: whoever closes keeps to
    /// [`limits::WINDOW_MS_MAX`].
    pub(super) fn close(
        mut self,
        t1: Millis,
        position_out: Position,
        consent: &Consent,
    ) -> WindowContents {
        let keys: Vec<_> = self.open.keys().cloned().collect();
        keys.iter().for_each(|key| self.cut(key));
        self.claims.sort_by_key(|claim| (claim.patient, claim.position));
        let window = Window::new(self.t0, t1).unwrap_or_else(|error| {
            panic!("a window is closed within {} ms: {error}", limits::WINDOW_MS_MAX)
        });
        let concerned = self.claims.iter().map(|claim| claim.patient);
        let changed = self.operations.iter().map(|applied| applied.signed.operation.patient);
        let state = |patient: PatientIndex| {
            let record = consent.record(patient)?.clone();
            Some((patient, PatientState { record, path: consent.tree().path(patient.get()) }))
        };
        WindowContents {
            number: self.number,
            window,
            root_in: self.root_in,
            root_out: consent.root(),
            cap: Box::new(consent.tree().cap()),
            patients: concerned.chain(changed).filter_map(state).collect(),
            operations: self.operations,
            claims: self.claims,
            segments: self.segments,
            position_in: self.position_in,
            position_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use statement::c2::Capacity;

    use super::*;

    fn proofs(limits: WindowLimits, capacities: &Capacities) -> usize {
        // One item more than the limit, every claim in a slot of its own.
        (limits.operations_max + 1).div_ceil(capacities.operations)
            + (limits.claims_max + 1).div_ceil(capacities.claims.slots)
    }

    #[test]
    fn a_full_window_always_settles_in_one_transaction() {
        for (operations, slots) in [(8, 12), (1, 1), (71, 64)] {
            let claims = Capacity { slots, claims_per_slot: 4 };
            let capacities = Capacities { operations, claims };
            let asked = WindowLimits { operations_max: 65_536, claims_max: 65_536 };
            let fitted = asked.fitted(&capacities);
            assert!(proofs(fitted, &capacities) <= limits::BATCH_PROOFS_MAX);
            assert_eq!(fitted.fitted(&capacities), fitted);
        }
    }

    #[test]
    fn limits_below_what_settles_stay_as_they_are() {
        let claims = Capacity { slots: 12, claims_per_slot: 4 };
        let capacities = Capacities { operations: 8, claims };
        let asked = WindowLimits { operations_max: 10, claims_max: 20 };
        assert_eq!(asked.fitted(&capacities), asked);
    }
}
