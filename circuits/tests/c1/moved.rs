//! Rules broken by a prover who moves a cell and makes good what follows: of the whole row only the
//! rows that tie the cell are left to object.

use super::case::*;
use crate::repair::{Change, repaired};
use ark_bn254::Fr;
use model::{Interval, Rule, RuleSlot};
use statement::c1::check;

#[test]
fn c1_15_a_rule_begins_at_the_later_of_two_times_and_at_no_third() {
    let case = Case::on_record(write(RuleSlot::Permit(1), permit()));
    let r1cs = single();
    // Later than signed and than written, or before it is written.
    for (begin, delay) in [(at(7_000), 5_000i64), (at(1_500), -500)] {
        let mut after = unchecked(case.old.as_ref(), &case.operation, case.t_op);
        let access = Interval { from: begin, ..permit().access };
        after.rules[1] = Some(Rule { access, ..permit() });
        let mut chunk = case.chunk();
        chunk.rows[0].root_out = root_with(&after);
        assert_eq!(check(&chunk).expect_err("another start").rule.number, 10);
        let honest = assignment(&claimed(&chunk), &chunk);
        let cell = (0..r1cs.a.len())
            .find(|row| r1cs.rules[*row] == "C1.15" && r1cs.c[*row].len() == 1)
            .map(|row| r1cs.c[row][0].1 as usize - r1cs.instances)
            .expect("the delay");
        let moved = honest.witness[cell] + Fr::from(delay);
        let change = Change { cells: vec![(cell, moved)], claimed: vec![] };
        assert_eq!(all_violated(&repaired(r1cs, honest, &change)), ["C1.15"], "{delay} ms");
    }
}
