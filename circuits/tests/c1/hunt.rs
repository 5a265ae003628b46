//! A hunt for private values that can change alone. (Public ones may: a row without a write does not
//! read t0, and the contract owns it.)

use super::case::*;
use model::{Action, RuleSlot};

/// On each kind of row, what may change alone is known: the hint of the inverse of an argument word
/// that is zero ([`circuits::builder::Builder::is_zero`]), which nothing else reads.
#[test]
fn no_private_value_can_change_alone_but_the_inverse_of_an_absent_word() {
    let revocation = Action::Revoke { slot: RuleSlot::Permit(0), rule: permit() };
    let mut idle = Case::stop().chunk();
    idle.rows.clear();
    let rows = [
        ("enrol", Case::new(None, enrolment()).chunk(), 0),
        ("permit", Case::permit(permit()).chunk(), 0),
        ("policy", Case::on_record(write(RuleSlot::Policy(1), policy())).chunk(), 0),
        ("revoke", Case::on_record(revocation).chunk(), 0),
        ("stop", Case::stop().chunk(), 2),
        ("padding", idle, 2),
    ];
    for (name, chunk, free) in rows {
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
