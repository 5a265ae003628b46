//! A small circuit with its assignment, for the tests of this crate.

use ark_bn254::Fr;
use circuits::builder::{Assignment, Builder, Num, R1cs, matrices};

/// A chain `w[i+1] = w[i] * (w[i] + i)` of `rows - 2` links with the public inputs `w[0] + w[1]`
/// and `w[last]`. The last column does not occur in B.
pub(crate) fn chain(rows: usize, seed: u64) -> (R1cs, Assignment) {
    matrices(|builder| build(builder, rows - 2, Fr::from(seed)))
}

fn build(builder: &mut Builder, links: usize, first: Fr) {
    let mut values = vec![first];
    for link in 0..links {
        values.push(values[link] * (values[link] + Fr::from(link as u64)));
    }
    let sum = builder.input(values[0] + values[1]);
    let last = builder.input(values[links]);
    let w: Vec<Num> = values.into_iter().map(|value| builder.alloc(value)).collect();
    for link in 0..links {
        builder.enforce(&w[link], &(&w[link] + &Num::from(link as u64)), &w[link + 1]);
    }
    builder.enforce(&(&w[0] + &w[1]), &Num::one(), &sum);
    builder.enforce(&w[links], &Num::one(), &last);
}
