//! How the batcher would lay a window out: proofs by shape, and places that stay empty.

use std::collections::BTreeMap;

use circuits::shapes::{Capacity, Shape};
use model::{Claim, PatientIndex, Record};
use statement::c2::{self, PackError};

use crate::window::{Capacities, WindowContents};

/// The shapes that a candidate proves with.
#[derive(Clone, Debug)]
pub(super) struct Shapes {
    pub(super) operations: &'static Shape,
    pub(super) claims: Vec<&'static Shape>,
    pub(super) capacities: Capacities,
}

impl Shapes {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static Shape> {
        std::iter::once(self.operations).chain(self.claims.iter().copied())
    }
}

/// What a window becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Proofs of operations.
    pub(super) operations: usize,
    /// Proofs of claims by shape.
    pub(super) claims: BTreeMap<&'static str, usize>,
    /// Places for claims in these.
    pub(super) places: usize,
    /// Those that hold one.
    pub(super) taken: usize,
}

impl Layout {
    /// Of the windows of all copies, closed together. The mix is the batcher's own.
    ///
    /// # Errors
    /// [`PackError`] for claims that no chunk holds, which admission takes none of.
    pub(super) fn of(windows: &[WindowContents], shapes: &Shapes) -> Result<Layout, PackError> {
        let operations: usize = windows.iter().map(|window| window.operations.len()).sum();
        let chunks = operations.div_ceil(shapes.capacities.operations);
        let mut layout = Layout { operations: chunks, ..Layout::default() };
        let (claims, records) = claims_of(windows);
        let record = |patient: PatientIndex| records.get(&patient).copied();
        for packed in c2::mix(&claims, record, &shapes.capacities.claims)? {
            let is_of = |shape: &&&Shape| shape.capacity == Capacity::Claims(packed.capacity);
            if let Some(shape) = shapes.claims.iter().find(is_of) {
                *layout.claims.entry(shape.name).or_default() += 1;
            }
            layout.places += packed.capacity.places();
            layout.taken += packed.taken;
        }
        Ok(layout)
    }
}

/// All claims in the order of a batch, and the records of their patients. Patients of several
/// copies are told apart by numbers of this window alone: only that they differ counts.
fn claims_of(windows: &[WindowContents]) -> (Vec<Claim>, BTreeMap<PatientIndex, &Record>) {
    let (mut claims, mut records) = (Vec::new(), BTreeMap::new());
    let mut next = 0;
    for window in windows {
        let mut before = None;
        for claim in &window.claims {
            if before != Some(claim.patient) {
                (before, next) = (Some(claim.patient), next + 1);
            }
            let patient = PatientIndex::new(next);
            let patient = patient.expect("a window holds fewer claims than there are indices");
            if let Some(state) = window.patients.get(&claim.patient) {
                records.insert(patient, &state.record);
            }
            claims.push(Claim { patient, ..claim.clone() });
        }
    }
    (claims, records)
}
