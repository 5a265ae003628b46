//! Fills the slots of a chunk: the batcher's side of the hull.

use model::{Claim, PatientIndex, Record, Rule, Uncovered};
use thiserror::Error;

use super::check::is_open_through;
use super::chunk::Capacity;
use super::covers::{covers, meets_but_for_time};
use super::hull::Hull;

/// A patient slot to be: claims of one patient that one hull can stand for.
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
/// full, and where with one more claim some deny would neither miss the hull nor be off every claim
/// for another reason than time. Greedy is optimal here, because a part of a provable slot is
/// provable.
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
        // Equal is out of order too: a position belongs to one claim.
        if order <= last {
            return Err(PackError::Unsorted { claim: at });
        }
        last = order;
        let record = record(claim.patient);
        // By the claim's own times: whether it is covered must not depend on who shares its slot.
        let excluded = match covers(record, claim) {
            // Covered, and provably so: what the check of a whole chunk asks beside must not be
            // found where only the whole window could be refused.
            Ok(_) => !record.is_some_and(|record| is_open_through(record, claim)),
            // Also an excluded claim is proven to be well-formed and to belong to a record.
            Err(uncovered @ (Uncovered::NoRecord | Uncovered::Malformed)) => {
                let sentence = uncovered.sentence();
                return Err(PackError::NotProvable { claim: at, sentence });
            }
            Err(_) => true,
        };
        // Nothing asks denies about an excluded slot, so that its claims need no common hull.
        let fits = |slot: &PackedSlot| {
            slot.patient == claim.patient
                && slot.excluded == excluded
                && slot.claims.len() < capacity.claims_per_slot
                && (excluded || record.is_some_and(|record| keeps_off_denies(record, slot, claim)))
        };
        // Only the last slot is tried: claims of a patient must stay in the order of positions.
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

/// Whether with `claim` every deny misses the hull of the slot, or is off each of its claims
/// whatever the time.
fn keeps_off_denies(record: &Record, slot: &PackedSlot, claim: &Claim) -> bool {
    let all = || slot.claims.iter().chain([claim]);
    // Never none, as `claim` is one of them.
    let Some(hull) = Hull::of_claims(all()) else { return false };
    // One of the two for all claims: time is compared with the hull alone, so a deny cannot be off
    // one claim by time and off the next by its actor.
    let is_off =
        |deny: &Rule| hull.misses(deny) || !all().any(|claim| meets_but_for_time(deny, claim));
    record.denies().all(|(_, deny)| is_off(deny))
}
