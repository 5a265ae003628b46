//! Hunts for missing rows: private values that can change alone, and directions in which they can
//! move together. (Public ones may change: a row without a write does not read t0, and the contract
//! owns it.)

use super::case::*;
use crate::nullity::{nullity, nullity_without};
use circuits::builder::Assignment;
use model::{Action, RuleSlot};
use statement::c1::Chunk;

/// A row of each kind.
fn rows() -> [(&'static str, Chunk); 5] {
    let revocation = Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() };
    let mut idle = Case::stop().chunk();
    idle.rows.clear();
    [
        ("enrol", Case::new(None, enrolment()).chunk()),
        ("permit", Case::permit(permit()).chunk()),
        ("revoke", Case::on_record(revocation).chunk()),
        ("stop", Case::stop().chunk()),
        ("padding", idle),
    ]
}

/// The assignment of a row of each kind.
pub(crate) fn honest() -> Vec<Assignment> {
    rows().iter().map(|(_, chunk)| accepted(chunk).1).collect()
}

/// On each kind of row, what may change alone is known: the hint of the inverse of an argument word
/// that is zero ([`circuits::builder::Builder::is_zero`]), which nothing else reads.
#[test]
fn no_private_value_can_change_alone_but_the_inverse_of_an_absent_word() {
    for ((name, chunk), free) in rows().into_iter().zip([0, 0, 0, 2, 2]) {
        let (_, assignment) = accepted(&chunk);
        let movable = single().movable_columns(&assignment);
        let private = movable.iter().filter(|column| **column as usize >= single().instances);
        let rules: Vec<&str> = private.map(|column| rule_of(*column)).collect();
        assert_eq!(rules, vec!["C1.19"; free], "{name}");
    }
}

/// The rule of the first row that reads a column.
fn rule_of(column: u32) -> &'static str {
    let r1cs = single();
    let reads = |row: usize| {
        [&r1cs.a, &r1cs.b, &r1cs.c].iter().any(|m| m[row].iter().any(|term| term.1 == column))
    };
    (0..r1cs.rules.len()).find(|row| reads(*row)).map_or("none", |row| r1cs.rules[row])
}

/// What the statement leaves to the prover: 56 siblings on the path, the signer's eighth and `R8`
/// on their curves, the salt of the leaf, and of the record whatever the row does not read; less
/// the equations that a row ends in.
const SIBLINGS: usize = 56;
const POINTS_AND_SALT: usize = 3;
/// Key hash, nonce, salt, view key; 14 rules of three words.
const RECORD: usize = 4 + 42;
/// Both roots, the operations root, the key's hash, the challenge's bits, the sum of points.
const EQUATIONS: usize = 6;

#[test]
fn private_values_move_together_only_as_the_statement_leaves_them() {
    let hidden = SIBLINGS + POINTS_AND_SALT;
    let expected = [
        // Three words that the record repeats.
        hidden + 3 - EQUATIONS,
        // Actor and source; the packed word in the slot is taken to bits.
        hidden + RECORD - 1 + 2 - EQUATIONS,
        // The words are those in the slot.
        hidden + RECORD - 1 - EQUATIONS,
        // Two hints of inverses.
        hidden + RECORD + 2 - EQUATIONS,
        // They too, and the closing time; nothing is asked but the challenge's bits.
        hidden + RECORD + 2 + 1 - 1,
    ];
    for ((name, _), (assignment, expected)) in rows().iter().zip(honest().into_iter().zip(expected))
    {
        assert_eq!(nullity(single(), &assignment), expected, "{name}");
    }
}

#[test]
fn a_forgotten_row_shows_as_one_more_direction() {
    let (_, assignment) = accepted(&Case::permit(permit()).chunk());
    let whole = nullity(single(), &assignment);
    let first = |rule: &str| single().rules.iter().position(|own| *own == rule);
    let last = |rule: &str| single().rules.iter().rposition(|own| *own == rule);
    let forgotten = [
        last("C1.8"),
        last("C1.4"),
        last("C1.9"),
        last("C1.10"),
        first("C1.14"),
        first("C1.22"),
        last("C1.27"),
    ];
    for row in forgotten.map(|row| row.expect("a row of the rule")) {
        let found = nullity_without(single(), &assignment, row);
        assert_eq!(found, whole + 1, "row {row} of {}", single().rules[row]);
    }
}
