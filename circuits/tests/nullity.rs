//! In how many directions the private values can move at once, to first order.
//!
//! Every row `A z * B z = C z` allows the moves `dz` with `(B z) A dz + (A z) B dz = C dz`. The
//! public values stand still. A missing row shows as a direction more than the statement leaves to
//! the prover.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use circuits::builder::{Assignment, R1cs, Row};
use std::collections::BTreeMap;

/// Columns and factors.
type Form = BTreeMap<u32, Fr>;

/// Private columns less the rank of the rows' derivatives.
pub(crate) fn nullity(r1cs: &R1cs, assignment: &Assignment) -> usize {
    nullity_of(r1cs, assignment, |_| true)
}

/// [`nullity`] as if row `missing` had been forgotten.
pub(crate) fn nullity_without(r1cs: &R1cs, assignment: &Assignment, missing: usize) -> usize {
    nullity_of(r1cs, assignment, |row| row != missing)
}

/// [`nullity`] as if there were only the rows that are `kept`.
pub(crate) fn nullity_of(
    r1cs: &R1cs,
    assignment: &Assignment,
    kept: impl Fn(usize) -> bool,
) -> usize {
    let mut solved: Vec<Option<Form>> = vec![None; r1cs.instances + r1cs.witnesses];
    let mut rank = 0;
    for row in (0..r1cs.a.len()).filter(|row| kept(*row)) {
        let (az, bz) = (assignment.az[row], assignment.bz[row]);
        let parts = [(&r1cs.a[row], bz), (&r1cs.b[row], az), (&r1cs.c[row], -Fr::ONE)];
        let form = reduced(&solved, derivative(&parts, r1cs.instances));
        // The newest column: rows come after what they read, so older ones are what is free.
        if let Some((column, factor)) = form.iter().next_back() {
            let inverse = -factor.inverse().expect("zero factors are dropped");
            let rest = form.iter().filter(|term| term.0 != column);
            solved[*column as usize] = Some(rest.map(|(at, by)| (*at, *by * inverse)).collect());
            rank += 1;
        }
    }
    r1cs.witnesses - rank
}

fn derivative(parts: &[(&Row, Fr)], instances: usize) -> Form {
    let mut form = Form::new();
    for (row, scale) in parts.iter().filter(|(_, scale)| *scale != Fr::ZERO) {
        for (factor, column) in row.iter().filter(|term| term.1 as usize >= instances) {
            *form.entry(*column).or_default() += *factor * scale;
        }
    }
    form.retain(|_, factor| *factor != Fr::ZERO);
    form
}

/// The form with every solved column replaced, until none is left.
fn reduced(solved: &[Option<Form>], mut form: Form) -> Form {
    let mut free = Form::new();
    while let Some((column, factor)) = form.pop_last() {
        if factor == Fr::ZERO {
            continue;
        }
        match &solved[column as usize] {
            None => *free.entry(column).or_default() += factor,
            Some(terms) => {
                for (at, by) in terms {
                    *form.entry(*at).or_default() += factor * by;
                }
            }
        }
    }
    free.retain(|_, factor| *factor != Fr::ZERO);
    free
}
