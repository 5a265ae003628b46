//! Which patients and positions the slots stand for: C2.3, C2.4, C2.21.
//!
//! A slot without an active claim is padding: it repeats the patient before it (or index 0), takes
//! over the last position, and hence leaves the order as it is.

use super::parts::{Public, alloc_in_range};
use crate::builder::{Bit, Builder, Num};
use crate::claim::edge;
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::PatientIndex;
use statement::c2::{Chunk, Edge};

/// Bits of the step from one position to the next: no batch holds more entries.
const STEP_BITS: usize = 28;

/// What a slot stands for.
pub(super) struct Place {
    /// Bits of the patient's index, the lowest first.
    pub(super) index_bits: Vec<Bit>,
    /// The patient's index.
    pub(super) index: Num,
    /// Whether each claim is there; the first says whether the slot is.
    pub(super) active: Vec<Bit>,
    /// Of each claim; of padding, that of the claim before.
    pub(super) positions: Vec<Num>,
}

/// Where the slots before ended.
struct Last {
    /// Whether there was one before.
    known: Bit,
    index: Num,
    position: Num,
}

/// Orders all slots of the chunk between its two edges.
pub(super) fn enforce(b: &mut Builder, chunk: &Chunk, public: &Public) -> Vec<Place> {
    let mut last = b.rule("C2.21", |b| open_edge_in(b, chunk.edge_in.as_ref(), &public.edge_in));
    let mut places = Vec::with_capacity(chunk.capacity.slots);
    for number in 0..chunk.capacity.slots {
        let place = place(b, chunk, number, &last, public);
        let position = place.positions.last().unwrap_or(&last.position).clone();
        // Also after padding, which repeats the index and hence hands on the position that it took
        // over.
        last = Last { known: Bit::constant(true), index: place.index.clone(), position };
        places.push(place);
    }
    b.rule("C2.21", |b| {
        let salt = b.alloc(chunk.edge_salt);
        let found = edge(b, &last.index, &last.position, &salt);
        b.enforce_equal(&found, &public.edge_out);
    });
    places
}

/// Opens the edge before the chunk; 0 says that there is none. Index and position need no range:
/// the proof of the chunk before gave them one, and a hash has one opening.
fn open_edge_in(b: &mut Builder, opening: Option<&Edge>, word: &Num) -> Last {
    let value = |of: fn(&Edge) -> Fr| opening.map_or(Fr::ZERO, of);
    let index = b.alloc(value(|edge| Fr::from(edge.patient.get())));
    let position = b.alloc(value(|edge| Fr::from(edge.position.0)));
    let salt = b.alloc(value(|edge| edge.salt));
    let known = b.bit(opening.is_some());
    let hash = edge(b, &index, &position, &salt);
    // A word other than 0 must be opened, and 0 cannot be: nothing hashes to it. The position needs
    // no second row, because without an edge nothing continues from it.
    b.enforce(known.num(), &hash, word);
    // Without an edge everybody follows index 0.
    b.enforce_zero_if(&known.not(), &index);
    Last { known, index, position }
}

fn place(b: &mut Builder, chunk: &Chunk, number: usize, last: &Last, public: &Public) -> Place {
    let slot = chunk.slots.get(number);
    let claims = slot.map_or(&[][..], |slot| &slot.claims);
    let index = slot.map_or(last.index.value(), |slot| Fr::from(slot.patient.get()));
    let active = b.rule("C2.18", |b| {
        let mut active = vec![b.bit(!claims.is_empty())];
        for at in 1..chunk.capacity.claims_per_slot {
            active.push(b.bit_within(at < claims.len(), &active[at - 1]));
        }
        active
    });
    let width = PatientIndex::BITS as usize;
    let (index_bits, index, continued) = b.rule("C2.3", |b| {
        let index_bits = b.private_bits(index, width);
        let index = Num::pack(&index_bits);
        let step = &index - &last.index;
        b.range(&step, width);
        // Padding repeats the index, so that it neither skips a patient nor comes between two
        // slots.
        b.enforce_zero_if(&active[0].not(), &step);
        let same = b.is_zero(&step);
        (index_bits, index, b.and(&same, &last.known))
    });
    let positions = b.rule("C2.4", |b| {
        // Each patient's positions begin at the batch's own and not at the patient's before: they
        // ascend for one patient, while patients follow by index.
        let mut position = b.select(&continued, &last.position, &public.position_in);
        let mut positions = Vec::with_capacity(active.len());
        for (at, active) in active.iter().enumerate() {
            let next = &position + active.num();
            let value = claims.get(at).map_or(next.value(), |claim| Fr::from(claim.position.0));
            // Beyond the next position, so that equal ones do not fit: positions strictly ascend.
            let step = alloc_in_range(b, value - next.value(), STEP_BITS);
            b.enforce_zero_if(&active.not(), &step);
            position = next + step;
            positions.push(position.clone());
        }
        b.range(&(&public.position_out - &position), STEP_BITS);
        positions
    });
    Place { index_bits, index, active, positions }
}
