//! Asks both twins about one chunk.

use super::world::ONE;
use crate::repair::{Change, repaired};
pub(super) use crate::trial::violated;
use ark_bn254::Fr;
use circuits::builder::{Assignment, R1cs, matrices, witness};
use circuits::c2::circuit;
use statement::c2::{Capacity, Chunk, check_inputs};
use statement::inputs::C2Inputs;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The matrices for a capacity, made once.
pub(crate) fn rows(capacity: Capacity) -> Arc<R1cs> {
    static MADE: Mutex<BTreeMap<(usize, usize), Arc<R1cs>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("no test fails while it makes matrices");
    let key = (capacity.slots, capacity.claims_per_slot);
    let make = || {
        let mut padding = super::world::plain(1);
        padding.capacity = capacity;
        padding.slots.clear();
        Arc::new(matrices(|b| circuit(b, &padding.inputs(), &padding)).0)
    };
    made.entry(key).or_insert_with(make).clone()
}

/// The assignment of a chunk, good or bad.
pub(super) fn assigned(chunk: &Chunk, inputs: &C2Inputs) -> Assignment {
    witness(|b| circuit(b, inputs, chunk))
}

/// Asserts that the twins accept a chunk, and that both runs of the circuit agree on it.
pub(super) fn accepted(chunk: &Chunk) -> C2Inputs {
    let inputs = statement::c2::check(chunk).expect("the native check accepts");
    assert_eq!(check_inputs(chunk, &inputs), Ok(()));
    let (r1cs, assignment) = (rows(chunk.capacity), assigned(chunk, &inputs));
    assert_eq!(violated(&r1cs, &assignment), Vec::<&str>::new());
    let products = r1cs.products(&assignment.instance, &assignment.witness);
    let made = [&assignment.az, &assignment.bz, &assignment.cz];
    assert!(products.each_ref() == made, "the runs agree");
    inputs
}

/// Asserts that both twins refuse a chunk by `C2.rule`.
pub(super) fn refused(rule: u8, chunk: &Chunk) {
    refused_for(rule, chunk, &chunk.inputs());
}

/// Asserts that both twins refuse a chunk for these public inputs by `C2.rule`.
pub(super) fn refused_for(rule: u8, chunk: &Chunk, inputs: &C2Inputs) {
    let name = format!("C2.{rule}");
    let native = check_inputs(chunk, inputs).expect_err("the native check refuses");
    assert_eq!(native.rule().map(|rule| rule.to_string()), Some(name.clone()));
    let found = violated(&rows(chunk.capacity), &assigned(chunk, inputs));
    assert_eq!(found.first().map(|rule| rule.to_string()), Some(name), "violated: {found:?}");
}

/// Asserts that [`edited`] cells violate exactly `count` rows, all of `C2.rule`.
pub(super) fn refused_cells(rule: u8, count: usize, chunk: &Chunk, cells: &[(usize, Fr)]) {
    let r1cs = rows(chunk.capacity);
    let found = violated(&r1cs, &edited(&r1cs, assigned(chunk, &chunk.inputs()), cells));
    assert_eq!(found, vec![format!("C2.{rule}"); count]);
}

/// An assignment after a prover changed `cells` and made good what follows from them.
pub(super) fn edited(r1cs: &R1cs, assignment: Assignment, cells: &[(usize, Fr)]) -> Assignment {
    repaired(r1cs, assignment, &Change { cells: cells.to_vec(), claimed: vec![] })
}

/// Private cells that rows of `rule` confine to 0 and 1, in order.
pub(super) fn bits(capacity: Capacity, rule: &str) -> Vec<usize> {
    let r1cs = rows(capacity);
    let one = Fr::from(1u8);
    (0..r1cs.a.len())
        .filter(|row| r1cs.rules[*row] == rule && r1cs.c[*row].is_empty())
        .filter_map(|row| match (r1cs.a[row].as_slice(), r1cs.b[row].as_slice()) {
            ([(first, 0), (second, left)], [(factor, right)])
                if left == right && *first == one && *second == -one && *factor == one =>
            {
                Some(*left as usize - r1cs.instances)
            }
            _ => None,
        })
        .collect()
}

/// [`bits`] of the small shape.
pub(super) fn bits_of(rule: &str) -> Vec<usize> {
    bits(ONE, rule)
}
