//! C2: every claim of a chunk is covered by its patient's record, or is counted as excluded.
//!
//! The twin of `statement::c2::check`; rules are those of SPEC.md section 10. [`circuit`] makes
//! three passes: the order of slots and positions, which runs through the whole chunk (`order`);
//! the slots, which depend on nothing but their place in that order (`slot`, `deny`, `row`) and are
//! assigned in parallel; and the totals.
//!
//! What shapes the rows: a slot pays for its record, path and denies once, a claim only for itself.
//! Denies are compared with the slot's *hull* as far as time goes, and with each claim as far as
//! anything else goes, all four in the same products. Numbers with a range are made from their
//! bits, so that the range costs no row beside them.

mod deny;
mod order;
mod parts;
mod row;
mod slot;

use crate::builder::{Builder, Num};
use crate::claim::root16;
use crate::gadgets::tree;
use ark_bn254::Fr;
use parts::{Public, Shared};
use row::SlotTotals;
use statement::c2::Chunk;
use statement::domain::Domain;
use statement::inputs::C2Inputs;
use statement::tree::CAP;

/// Makes the rows of C2 for the capacity of `chunk` and assigns `chunk` and `inputs` to them.
///
/// A chunk that does not fulfil the statement is assigned all the same and violates a row of the
/// rule that does not hold. Slots beyond the capacity, and claims beyond that of a slot, are
/// ignored: the native check refuses such a chunk before.
pub fn circuit(b: &mut Builder, inputs: &C2Inputs, chunk: &Chunk) {
    let public = Public::alloc(b, inputs);
    let domain = b.rule("C2.23", |b| {
        // The chunk's own domain makes the tags; with another in the inputs this rule fails, and
        // not theirs.
        let domain = b.alloc(chunk.domain);
        b.enforce_equal(&domain, &public.domain);
        domain
    });
    // Every slot reads the cap, so that its path is two levels shorter and its root is hashed once.
    let cap = b.rule("C2.1", |b| alloc_cap(b, &chunk.cap, &public.root));
    let places = order::enforce(b, chunk, &public);
    let shared = Shared { chunk, public: &public, domain: &domain, cap: &cap };
    // By capacity and not by the chunk's slots: padding has the same rows.
    let numbers: Vec<usize> = (0..chunk.capacity.slots).collect();
    let slots = b.each(&numbers, |b, number| slot::enforce(b, &shared, *number, &places[*number]));
    enforce_totals(b, &public, &slots);
}

/// C2.1: 3,619 rows.
fn alloc_cap(b: &mut Builder, values: &[Fr; CAP], root: &Num) -> [Num; CAP] {
    let cap = values.map(|node| b.alloc(node));
    let found = tree::cap_root(b, &cap);
    b.enforce_equal(&found, root);
    cap
}

fn enforce_totals(b: &mut Builder, public: &Public, slots: &[SlotTotals]) {
    b.rule("C2.17", |b| {
        let leaves: Vec<Num> = slots.iter().flat_map(|slot| slot.leaves.clone()).collect();
        let root = root16(b, Domain::ClaimsNode, &leaves);
        b.enforce_equal(&root, &public.claims_root);
    });
    b.rule("C2.18", |b| {
        for (kind, total) in public.kinds.iter().enumerate() {
            let counted = Num::sum(slots.iter().map(|slot| &slot.kinds[kind]));
            b.enforce_equal(&counted, total);
        }
    });
    b.rule("C2.19", |b| {
        let counted = Num::sum(slots.iter().map(|slot| &slot.excluded));
        b.enforce_equal(&counted, &public.excluded);
    });
}
