//! A small circuit with its assignment, for the tests of this crate.

use ark_bn254::Fr;
use circuits::builder::{Assignment, Builder, Num, R1cs, matrices};

/// A ladder `w[i+1] = w[i] * (w[i] + i)` of `rows - 2` rungs with the public inputs `w[0] + w[1]`
/// and `w[last]`. The last column does not occur in B.
pub(crate) fn ladder(rows: usize, seed: u64) -> (R1cs, Assignment) {
    matrices(|builder| build(builder, rows - 2, Fr::from(seed)))
}

fn build(builder: &mut Builder, rungs: usize, first: Fr) {
    let mut values = vec![first];
    for rung in 0..rungs {
        values.push(values[rung] * (values[rung] + Fr::from(rung as u64)));
    }
    let sum = builder.input(values[0] + values[1]);
    let last = builder.input(values[rungs]);
    let w: Vec<Num> = values.into_iter().map(|value| builder.alloc(value)).collect();
    for rung in 0..rungs {
        builder.enforce(&w[rung], &(&w[rung] + &Num::from(rung as u64)), &w[rung + 1]);
    }
    builder.enforce(&(&w[0] + &w[1]), &Num::one(), &sum);
    builder.enforce(&w[rungs], &Num::one(), &last);
}
