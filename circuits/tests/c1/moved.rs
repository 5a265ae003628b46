//! Rules broken by a prover who moves a cell and makes good what follows: of the whole row only the
//! rows that tie the cell are left to object.

use super::case::*;
use crate::repair::{Change, repaired};
use ark_bn254::Fr;
use circuits::builder::witness;
use circuits::c1::{Values, assign};
use model::{Action, Interval, Operation, Record, Rule, RuleSlot};
use statement::c1::{Chunk, check};
use statement::domain::Domain;
use statement::operation::{self, HEAD_SIGNED_AT, HEAD_SLOT, HEAD_VALID_UNTIL};
use statement::{eddsa, poseidon};

/// The private value that the row `number` of those of `rule` which make one makes.
fn product_of(rule: &str, number: usize) -> usize {
    let r1cs = single();
    let mut rows = (0..r1cs.a.len()).filter(|row| r1cs.rules[*row] == rule);
    let row = rows.by_ref().filter(|row| r1cs.c[*row].len() == 1).nth(number);
    r1cs.c[row.expect("such a row")][0].1 as usize - r1cs.instances
}

/// The chunk of `case` that ends with `after` on record.
fn ending(case: &Case, after: &Record) -> Chunk {
    let mut chunk = case.chunk();
    chunk.rows[0].root_out = root_with(after);
    chunk
}

/// Asserts that exactly one row is violated once the prover of `chunk` moved these cells, and that
/// it is one of `C1.rule`.
fn refused_by(rule: u8, chunk: &Chunk, cells: Vec<(usize, Fr)>) {
    let honest = assignment(&claimed(chunk), chunk);
    let moved = repaired(single(), honest, &Change { cells, claimed: vec![] });
    assert_eq!(all_violated(&moved), [format!("C1.{rule}")]);
}

fn after(case: &Case, change: impl FnOnce(&mut Record)) -> Record {
    let mut after = unchecked(case.old.as_ref(), &case.operation, case.t_op);
    change(&mut after);
    after
}

#[test]
fn c1_1_no_time_passes_in_padding() {
    let mut idle = Case::stop().chunk();
    idle.rows.clear();
    let mut inputs = claimed(&idle);
    inputs.time_out = at(1);
    let mut values = Values::of(&idle);
    values.rows[0].valid_until += Fr::from(1u8);
    assert_eq!(all_violated(&witness(|b| assign(b, &inputs, &values))), ["C1.1"]);
}

/// The rules violated if `operation` is signed as if it named the slot `signed`, and laid out for
/// the slot `laid`.
fn with_slots(operation: &Operation, old: &Record, signed: u64, laid: usize) -> Vec<&'static str> {
    let mut case = Case::on_record(operation.action.clone());
    case.old = Some(old.clone());
    let number = |value: u64, bit: u32| Fr::from(u128::from(value) << bit);
    let head = number(operation.kind() as u64, 0)
        + number(signed, HEAD_SLOT)
        + number(operation.signed_at.get(), HEAD_SIGNED_AT)
        + number(operation.valid_until.get(), HEAD_VALID_UNTIL);
    let argument = operation::argument(&operation.argument_words());
    let index = Fr::from(operation.patient.get());
    let parts = [case.signed_domain, index, operation.nonce.into(), head, argument];
    let message = poseidon::hash(Domain::Operation.tag(), &parts);
    let mut after = Record { nonce: old.nonce + 1, ..old.clone() };
    let Action::Write { rule, .. } = operation.action else { unreachable!("a write") };
    let access = Interval { from: rule.access.from.max(case.t_op), ..rule.access };
    after.rules[laid] = Some(Rule { access, ..rule });
    let chunk = ending(&case, &after);
    let mut inputs = claimed(&chunk);
    let row = &chunk.rows[0];
    let leaf = operation::leaf(message, row.t_op, row.op_salt);
    inputs.operations_root = statement::claim::root16(Domain::OperationsNode, &[leaf]);
    let mut values = Values::of(&chunk);
    values.rows[0].signature = eddsa::sign(&case.key, message);
    values.rows[0].slot = Some(laid);
    all_violated(&witness(|b| assign(b, &inputs, &values)))
}

#[test]
fn c1_13_a_rule_is_signed_for_a_slot_of_its_kind() {
    let mut old = record();
    old.rules = [None; RuleSlot::COUNT];
    let of = |action: Action| Case::on_record(action).operation;
    let signed = [
        (of(write(RuleSlot::Permit(1), permit())), 8),
        (of(write(RuleSlot::Deny(1), permit())), 0),
        (of(write(RuleSlot::Deny(1), permit())), 12),
        (of(write(RuleSlot::Policy(1), policy())), 3),
    ];
    for (operation, slot) in signed {
        let found = with_slots(&operation, &old, slot, slot as usize);
        assert_eq!(found, ["C1.13"], "slot {slot}");
    }
    let operation = of(write(RuleSlot::Permit(0), permit()));
    assert_eq!(with_slots(&operation, &old, 0, 0), Vec::<&str>::new());
}

#[test]
fn c1_13_a_stop_changes_no_slot() {
    // Slot 0 adds nothing to the head that was signed; its permit would be gone.
    let case = Case::stop();
    let chunk = ending(&case, &after(&case, |record| record.rules[0] = None));
    let mut values = Values::of(&chunk);
    values.rows[0].slot = Some(0);
    assert_eq!(all_violated(&witness(|b| assign(b, &claimed(&chunk), &values))), ["C1.13"]);
}

#[test]
fn c1_15_a_rule_begins_at_the_later_of_two_times_and_at_no_third() {
    let case = Case::on_record(write(RuleSlot::Permit(1), permit()));
    // Later than signed and than written, or before it is written.
    for (begin, delay) in [(at(7_000), 5_000i64), (at(1_500), -500)] {
        let access = Interval { from: begin, ..permit().access };
        let rule = Rule { access, ..permit() };
        let chunk = ending(&case, &after(&case, |record| record.rules[1] = Some(rule)));
        assert_eq!(check(&chunk).expect_err("another start").rule.number, 10);
        let cell = product_of("C1.15", 0);
        let honest = assignment(&claimed(&chunk), &chunk).witness[cell];
        refused_by(15, &chunk, vec![(cell, honest + Fr::from(delay))]);
    }
    // Late twice: the bit that says so is no bit.
    let late = case.t_op.since(permit().access.from);
    let access = Interval { from: case.t_op.plus(late), ..permit().access };
    let rule = Rule { access, ..permit() };
    let chunk = ending(&case, &after(&case, |record| record.rules[1] = Some(rule)));
    let r1cs = single();
    let row = (0..r1cs.a.len()).find(|row| r1cs.rules[*row] == "C1.15").expect("the bit");
    let is_late = r1cs.b[row][0].1 as usize - r1cs.instances;
    refused_by(15, &chunk, vec![(is_late, Fr::from(2u8))]);
}

#[test]
fn c1_16_no_other_length_stands_for_that_of_a_period() {
    let empty = Interval { from: at(9_000), until: at(9_000) };
    let rules = [Rule { access: empty, ..permit() }, Rule { data: empty, ..permit() }];
    for (number, rule) in rules.into_iter().enumerate() {
        let case = Case::permit(rule);
        let chunk = case.chunk();
        assert_eq!(check(&chunk).expect_err("an empty period").rule.number, 16);
        refused_by(16, &chunk, vec![(product_of("C1.16", number), Fr::from(0u8))]);
    }
}

#[test]
fn c1_17_no_other_end_stands_for_that_of_the_rule_in_the_slot() {
    let case = Case::on_record(write(RuleSlot::Permit(0), permit()));
    let chunk = case.chunk();
    assert_eq!(check(&chunk).expect_err("a live rule").rule.number, 17);
    refused_by(17, &chunk, vec![(product_of("C1.17", 0), Fr::from(0u8))]);
}

#[test]
fn c1_21_a_rule_ends_when_it_is_revoked_and_not_between() {
    let case = Case::on_record(Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() });
    // One millisecond earlier than signed, which is long after the revocation.
    let until = permit().access.until.get() - 1;
    let access = permit().access.ended_at(model::Millis::new(until).expect("44 bits"));
    let rule = Rule { access, ..permit() };
    let chunk = ending(&case, &after(&case, |record| record.rules[0] = Some(rule)));
    assert_eq!(check(&chunk).expect_err("another end").rule.number, 10);
    refused_by(21, &chunk, vec![(product_of("C1.21", 0), Fr::from(1u8))]);
}
