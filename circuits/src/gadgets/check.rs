//! What the tests of every gadget ask.

use crate::builder::{Assignment, Builder, R1cs, matrices, witness};

/// Runs `circuit` both ways, asks that the runs agree and that every row holds, and counts the
/// columns that can change alone.
pub(crate) fn check(circuit: impl Fn(&mut Builder)) -> (R1cs, Assignment, usize) {
    let (r1cs, assignment) = matrices(&circuit);
    assert!(witness(&circuit) == assignment, "both runs assign and multiply alike");
    assert_eq!(r1cs.is_satisfied(&assignment), Ok(()));
    let movable = r1cs.movable_columns(&assignment).len();
    (r1cs, assignment, movable)
}

/// Runs `circuit` both ways, asks that the runs agree and that a row is violated, and names its
/// rule.
pub(crate) fn rejected(circuit: impl Fn(&mut Builder)) -> &'static str {
    let (r1cs, assignment) = matrices(&circuit);
    assert!(witness(&circuit) == assignment, "both runs assign and multiply alike");
    r1cs.violated_rule(&assignment).expect("a violated row")
}
