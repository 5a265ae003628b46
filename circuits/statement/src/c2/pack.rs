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
    /// What the chunk is made for.
    pub capacity: Capacity,
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
    Ok(Judged::judge(claims, record)?.chunk(0, capacity))
}

/// Sorted claims, each with what does not depend on the chunk that it comes into.
pub(super) struct Judged<'a> {
    claims: &'a [Claim],
    verdicts: Vec<Verdict<'a>>,
}

struct Verdict<'a> {
    record: Option<&'a Record>,
    excluded: bool,
}

impl<'a> Judged<'a> {
    /// Judges every claim by its record.
    ///
    /// # Errors
    /// [`PackError`] for the first that no chunk can hold.
    pub(super) fn judge<'r: 'a>(
        claims: &'a [Claim],
        record: impl Fn(PatientIndex) -> Option<&'r Record>,
    ) -> Result<Judged<'a>, PackError> {
        let mut verdicts = Vec::with_capacity(claims.len());
        let mut last = None;
        for (at, claim) in claims.iter().enumerate() {
            let order = Some((claim.patient, claim.position));
            // Equal is out of order too: a position belongs to one claim.
            if order <= last {
                return Err(PackError::Unsorted { claim: at });
            }
            last = order;
            let record = record(claim.patient);
            // By the claim's own times: whether it is covered must not depend on who shares its
            // slot.
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
            verdicts.push(Verdict { record, excluded });
        }
        Ok(Judged { claims, verdicts })
    }

    /// The chunk that begins with claim `first`, as full as it can be.
    pub(super) fn chunk(&self, first: usize, capacity: Capacity) -> Packed {
        let (mut slots, mut begin) = (Vec::with_capacity(capacity.slots), first);
        while begin < self.claims.len() && slots.len() < capacity.slots {
            let end = self.slot_end(begin, capacity);
            slots.push(PackedSlot {
                patient: self.claims[begin].patient,
                excluded: self.verdicts[begin].excluded,
                claims: self.claims[begin..end].to_vec(),
            });
            begin = end;
        }
        Packed { capacity, slots, taken: begin - first }
    }

    /// Where [`Judged::chunk`] ends.
    pub(super) fn chunk_end(&self, first: usize, capacity: Capacity) -> usize {
        let mut end = first;
        for _ in 0..capacity.slots {
            if end < self.claims.len() {
                end = self.slot_end(end, capacity);
            }
        }
        end
    }

    fn slot_end(&self, first: usize, capacity: Capacity) -> usize {
        let last = self.claims.len().min(first + capacity.claims_per_slot);
        // Only the next claim is tried: claims of a patient must stay in the order of positions.
        (first + 1..last).find(|next| !self.joins(first, *next)).unwrap_or(last)
    }

    /// Whether claim `next` can stand in the slot that holds those from `first` up to it.
    fn joins(&self, first: usize, next: usize) -> bool {
        let [slot, one] = [first, next].map(|at| &self.verdicts[at]);
        self.claims[first].patient == self.claims[next].patient
            && slot.excluded == one.excluded
            // Nothing asks denies about an excluded slot, so that its claims need no common hull.
            && (one.excluded
                || one
                    .record
                    .is_some_and(|record| keeps_off_denies(record, &self.claims[first..=next])))
    }
}

/// Whether every deny misses the hull of these claims, or is off each of them whatever the time.
fn keeps_off_denies(record: &Record, claims: &[Claim]) -> bool {
    // Never none: one claim asks to join another.
    let Some(hull) = Hull::of_claims(claims) else { return false };
    // One of the two for all claims: time is compared with the hull alone, so a deny cannot be off
    // one claim by time and off the next by its actor.
    let is_off = |deny: &Rule| {
        hull.misses(deny) || !claims.iter().any(|claim| meets_but_for_time(deny, claim))
    };
    record.denies().all(|(_, deny)| is_off(deny))
}
