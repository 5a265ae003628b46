//! Fills the slots of a chunk: the batcher's side of the hull.

use model::{Claim, PatientIndex, Record, Uncovered};
use thiserror::Error;

use super::chunk::Capacity;
use super::covers::{covers, refutes};
use super::hull::Hull;

/// A slot to be: claims of one patient that can be judged together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackedSlot {
    /// Whose.
    pub patient: PatientIndex,
    /// Whether the claims are not covered.
    pub excluded: bool,
    /// By ascending position.
    pub claims: Vec<Claim>,
}

/// The slots of one chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed {
    /// In the order of the claims; at most the capacity.
    pub slots: Vec<PackedSlot>,
    /// How many claims the slots hold; the rest belongs to the next chunk.
    pub taken: usize,
}

/// Claims that no chunk can hold. The number is that of the claim in the list given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PackError {
    /// Not sorted.
    #[error("expected claims by ascending patient and position, found claim {claim} out of order")]
    Unsorted {
        /// Which claim.
        claim: usize,
    },
    /// A claim that is not even well-formed, or whose patient has no record, cannot be excluded.
    #[error("expected a well-formed claim of a patient on record, found claim {claim}: {sentence}")]
    NotProvable {
        /// Which claim.
        claim: usize,
        /// What is wrong.
        sentence: &'static str,
    },
}

/// Takes claims, sorted by patient and position, into the slots of one chunk until it is full.
///
/// A slot ends where the patient changes, where covered turns to excluded or back, where it is
/// full, and where with one more claim some deny would neither miss the hull nor be refuted by
/// every claim. Greedy is optimal here, because a part of a provable slot is provable.
///
/// # Errors
/// [`PackError`] for claims that no chunk can hold.
pub fn pack<'r>(
    claims: &[Claim],
    record: impl Fn(PatientIndex) -> Option<&'r Record>,
    capacity: Capacity,
) -> Result<Packed, PackError> {
    let mut slots: Vec<PackedSlot> = Vec::with_capacity(capacity.slots);
    let mut last = None;
    for (at, claim) in claims.iter().enumerate() {
        let order = Some((claim.patient, claim.position));
        if order <= last {
            return Err(PackError::Unsorted { claim: at });
        }
        last = order;
        let record = record(claim.patient);
        let excluded = match covers(record, claim) {
            Ok(_) => false,
            Err(refusal @ (Uncovered::NoRecord | Uncovered::Malformed)) => {
                let sentence = refusal.sentence();
                return Err(PackError::NotProvable { claim: at, sentence });
            }
            Err(_) => true,
        };
        let fits = |slot: &PackedSlot| {
            slot.patient == claim.patient
                && slot.excluded == excluded
                && slot.claims.len() < capacity.claims_per_slot
                && (excluded || record.is_some_and(|record| stay_clear(record, slot, claim)))
        };
        let full = slots.len() == capacity.slots;
        match slots.last_mut() {
            Some(slot) if fits(slot) => slot.claims.push(claim.clone()),
            _ if full => return Ok(Packed { slots, taken: at }),
            _ => {
                let claims = vec![claim.clone()];
                slots.push(PackedSlot { patient: claim.patient, excluded, claims });
            }
        }
    }
    Ok(Packed { slots, taken: claims.len() })
}

/// Whether every deny misses the hull of the slot with `claim`, or is refuted by each claim.
fn stay_clear(record: &Record, slot: &PackedSlot, claim: &Claim) -> bool {
    let all = || slot.claims.iter().chain([claim]);
    Hull::of(all()).is_some_and(|hull| {
        record
            .denies()
            .all(|(_, deny)| hull.misses(deny) || all().all(|claim| refutes(deny, claim).is_some()))
    })
}
