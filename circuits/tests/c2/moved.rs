//! Rules broken by a prover who moves a cell and makes good what follows: of the whole chunk only
//! the rows that tie the cell are left to object.

use super::twins::{assigned, bits_of, rows, violated};
use super::world::*;
use crate::repair::{Change, repaired};
use ark_bn254::Fr;
use ark_ff::{Field, PrimeField};
use model::{Claim, ClaimKinds, Interval, Label, Party, Position, Rule, RuleNumber, RuleSlot};
use statement::c2::{Chunk, Edge, check};
use std::collections::BTreeMap;

/// Places of public inputs, in the contract's order.
const CLAIMS_ROOT: usize = 3;
const ACCESS: usize = 4;
const COLLECT: usize = 5;
const EXCLUDED: usize = 7;
const EDGE_OUT: usize = 9;

/// Asserts that `change` of `chunk` leaves exactly `count` rows violated, all of `C2.rule`.
fn refused_by(rule: u8, count: usize, chunk: &Chunk, change: &Change) {
    let r1cs = rows(chunk.capacity);
    let found = violated(&r1cs, &repaired(&r1cs, assigned(chunk, &chunk.inputs()), change));
    assert_eq!(found, vec![format!("C2.{rule}"); count]);
}

/// Asserts that the native twin refuses `chunk` by `C2.rule`.
fn refused_natively(rule: u8, chunk: &Chunk) {
    let refused = check(chunk).expect_err("the statement is false");
    assert_eq!(refused.rule(), Some(RuleNumber::c2(rule)));
}

/// The private values that rows of `rule` in the small shape make as products, in order.
fn products_of(rule: &str) -> Vec<usize> {
    let r1cs = rows(ONE);
    let made = (0..r1cs.a.len()).filter(|row| r1cs.rules[*row] == rule && r1cs.c[*row].len() == 1);
    made.map(|row| r1cs.c[row][0].1 as usize - r1cs.instances).collect()
}

/// The first claim's step from the position before, as bits of the small shape.
fn step_of_first_claim(step: u64) -> Vec<(usize, Fr)> {
    let cells = bits_of("C2.4").into_iter().take(28);
    cells.enumerate().map(|(bit, cell)| (cell, Fr::from(step >> bit & 1))).collect()
}

/// The rule that covers everything, which also stands in where nothing is asked.
fn everything() -> Rule {
    Rule { kinds: ClaimKinds::ALL, actor: Party::Any, access: Interval::ALWAYS, ..rule(DOCTOR) }
}

#[test]
fn c2_3_a_patient_of_the_chunk_before_is_known() {
    // Its positions are to go on from the edge; this claim was proven in the chunk before.
    let mut chunk = plain(1);
    let (patient, salt) = (patient(9), Fr::from(8u8));
    chunk.edge_in = Some(Edge { patient, position: Position(POSITION_IN + 5), salt });
    refused_natively(4, &chunk);
    let continued = *products_of("C2.3").last().expect("whether the patient continues");
    let mut cells = step_of_first_claim(0);
    cells.push((continued, Fr::from(0u8)));
    refused_by(3, 1, &chunk, &Change { cells, claimed: vec![] });
}

#[test]
fn c2_4_positions_begin_at_the_batchs_own() {
    // A claim of the batch before: from a begin that lies lower, its step is a small one.
    let mut chunk = plain(1);
    chunk.slots[0].claims[0].position = Position(POSITION_IN - 5);
    refused_natively(4, &chunk);
    let begin = products_of("C2.4")[0];
    let mut cells = step_of_first_claim(4);
    cells.push((begin, -Fr::from(10u8)));
    refused_by(4, 1, &chunk, &Change { cells, claimed: vec![] });
}

#[test]
fn c2_16_the_time_since_the_last_receipt_is_no_other() {
    let mut chunk = plain(2);
    let mut record = chunk.slots[0].record.clone();
    let claims = chunk.slots.remove(0).claims;
    record.closed_at = at(claims[1].receipt.until.get() - 1);
    let records = BTreeMap::from([(9, record)]);
    let chunk = placed(ONE, &records, vec![(patient(9), false, claims)]);
    refused_natively(16, &chunk);
    // Closed at the very end, says the prover: the bits of the distance are zeros.
    let distance = bits_of("C2.16").into_iter().skip(1);
    let cells = distance.map(|cell| (cell, Fr::from(0u8))).collect();
    refused_by(16, 1, &chunk, &Change { cells, claimed: vec![] });
}

/// The kinds collect and break-glass of each claim of the small shape.
fn kinds() -> Vec<usize> {
    let r1cs = rows(ONE);
    // Rows `kind (kind - allowed) = 0`, of which the access's has more columns.
    let kinds = (0..r1cs.a.len()).filter(|row| {
        r1cs.rules[*row] == "C2.10" && r1cs.a[*row].len() == 1 && r1cs.c[*row].is_empty()
    });
    kinds.map(|row| r1cs.a[row][0].1 as usize - r1cs.instances).collect()
}

#[test]
fn c2_18_a_claim_is_there_once_or_not() {
    // The second claim is there twice: counted as an access and as a collection, its leaf doubled.
    let mut chunk = plain(2);
    chunk.slots[0].excluded = true;
    let active = bits_of("C2.18")[0] + 1;
    let collect_of_second = kinds()[2];
    let cells = vec![(active, Fr::from(2u8)), (collect_of_second, Fr::from(1u8))];
    let claimed = vec![CLAIMS_ROOT, ACCESS, COLLECT, EXCLUDED, EDGE_OUT];
    refused_by(18, 1, &chunk, &Change { cells, claimed: claimed.clone() });

    // So is the only claim of a slot, whose patient continues two positions further on.
    let mut chunk = plain(1);
    chunk.slots[0].excluded = true;
    let (patient, salt) = (patient(9), Fr::from(8u8));
    let position = chunk.slots[0].claims[0].position;
    chunk.edge_in = Some(Edge { patient, position: Position(position.0 - 2), salt });
    chunk.position_in = Position(0);
    let mut cells = step_of_first_claim(0);
    let excluded = excluded_cell();
    cells.extend([active - 1, excluded].map(|cell| (cell, Fr::from(2u8))));
    cells.push((kinds()[0], Fr::from(1u8)));
    refused_by(18, 1, &chunk, &Change { cells, claimed });
}

/// Whether the slot is excluded.
fn excluded_cell() -> usize {
    let r1cs = rows(ONE);
    let row = (0..r1cs.a.len())
        .find(|row| r1cs.rules[*row] == "C2.19" && r1cs.c[*row].is_empty())
        .expect("the row that confines it");
    r1cs.a[row][0].1 as usize - r1cs.instances
}

#[test]
fn c2_19_a_slot_is_not_half_excluded() {
    // Two claims, half excluded each, count as one.
    let chunk = with_rules(&[(RuleSlot::Permit(0), everything())], |_| (), 2);
    let (r1cs, excluded) = (rows(ONE), excluded_cell());
    let half = Fr::from(2u8).inverse().expect("not zero");
    let change = Change { cells: vec![(excluded, half)], claimed: vec![CLAIMS_ROOT, EXCLUDED] };
    refused_by(19, 1, &chunk, &change);
    let moved = repaired(&r1cs, assigned(&chunk, &chunk.inputs()), &change);
    assert_eq!(moved.instance[1 + EXCLUDED].into_bigint(), 1u64.into(), "a count like any other");
}

#[test]
fn c2_19_every_claim_of_a_covered_slot_is_judged() {
    // A deny meets the second claim. It is asked nothing, and the third is asked twice, so that no
    // claim is counted as excluded.
    let deny = Rule { labels: Label::Hiv.only(), ..everything() };
    let rules = [(RuleSlot::Permit(0), everything()), (RuleSlot::Deny(0), deny)];
    let denied = |claim: &mut Claim| {
        if claim.position == Position(POSITION_IN + 2) {
            claim.labels = Label::Hiv.only();
        }
    };
    let chunk = with_rules(&rules, denied, 3);
    refused_natively(15, &chunk);
    let gates = products_of("C2.19");
    let cells = vec![(gates[0], Fr::from(0u8)), (gates[1], Fr::from(2u8))];
    refused_by(19, 2, &chunk, &Change { cells, claimed: vec![] });
}

#[test]
fn c2_21_an_edge_is_opened_as_it_was_committed() {
    // The chunk before ended with patient 12; this one would begin with patient 9 again.
    let (salt, position) = (Fr::from(8u8), Position(POSITION_IN + 5));
    let mut chunk = plain(1);
    chunk.edge_in = Some(Edge { patient: patient(12), position, salt });
    refused_natively(3, &chunk);
    let committed = chunk.inputs().edge_in;
    chunk.edge_in = Some(Edge { patient: patient(0), position, salt });
    let opened = chunk.inputs().edge_in;
    let mut inputs = chunk.inputs();
    inputs.edge_in = committed;
    let r1cs = rows(ONE);
    let violated_by = |cells: Vec<(usize, Fr)>| {
        let change = Change { cells, claimed: vec![CLAIMS_ROOT] };
        violated(&r1cs, &repaired(&r1cs, assigned(&chunk, &inputs), &change))
    };
    assert_eq!(violated_by(vec![]), ["C2.21"]);
    // A bit that is none makes one word of the other.
    let known = bits_of("C2.21")[0];
    let factor = committed * opened.inverse().expect("a hash");
    assert_eq!(violated_by(vec![(known, factor)]), ["C2.21"]);
}
