//! Poseidon over BN254's scalar field with circomlib's parameters, for 1 to 16 inputs.
//!
//! The state is one capacity word, which holds the domain tag, and the inputs; the hash is the
//! first word after the permutation. With the tag 0 it equals circomlib's `Poseidon(n)`, otherwise
//! `PoseidonEx(n, 1)` with that initial state.

mod grain;
mod matrix;
mod parameters;

pub use parameters::{FULL_ROUNDS, PARTIAL_ROUNDS, Parameters, WIDTH_MAX, WIDTH_MIN, parameters};

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use matrix::dot;

/// The work of an S-box: what its circuit must assign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FifthPower {
    /// The input of the S-box.
    pub base: Fr,
    /// Its square.
    pub square: Fr,
    /// Its fourth power.
    pub fourth: Fr,
    /// The output.
    pub fifth: Fr,
}

impl FifthPower {
    /// The powers of `base`.
    pub fn of(base: Fr) -> Self {
        let square = base.square();
        let fourth = square.square();
        Self { base, square, fourth, fifth: fourth * base }
    }
}

/// Hashes 1 to 16 `inputs` under `tag`.
///
/// # Panics
/// If there is no input or there are more than 16.
pub fn hash(tag: Fr, inputs: &[Fr]) -> Fr {
    permute(tag, inputs, |_| ())
}

/// Hashes as [`hash`] does and shows every S-box to `observe`, round by round, word by word:
/// `8 * width + partial_rounds` of them, the first of which has the tag.
///
/// # Panics
/// If there is no input or there are more than 16.
pub fn hash_observed(tag: Fr, inputs: &[Fr], observe: impl FnMut(&FifthPower)) -> Fr {
    permute(tag, inputs, observe)
}

/// The words of a state; those beyond the width are zero and unused.
type State = [Fr; WIDTH_MAX];

fn permute(tag: Fr, inputs: &[Fr], mut observe: impl FnMut(&FifthPower)) -> Fr {
    let parameters = parameters(inputs.len() + 1);
    let (width, half) = (parameters.width, FULL_ROUNDS / 2);
    let last = half + parameters.partial_rounds;
    // Of the largest size, on the stack: hashing is the hot path of the tree and of every witness.
    let mut state: State = [Fr::ZERO; WIDTH_MAX];
    state[0] = tag;
    state[1..width].copy_from_slice(inputs);
    for round in 0..half {
        // The last full round before the partial ones also changes the basis for them.
        let matrix = match round + 1 == half {
            true => &parameters.sparse.before,
            false => &parameters.matrix,
        };
        add(&mut state, &parameters.constants[round]);
        full_round(&mut state, matrix, &mut observe);
    }
    partial_rounds(&mut state, parameters, &mut observe);
    for round in last..last + half {
        // Those of the first round here came in with the last partial round.
        if round > last {
            add(&mut state, &parameters.constants[round]);
        }
        full_round(&mut state, &parameters.matrix, &mut observe);
    }
    state[0]
}

fn full_round(state: &mut State, matrix: &[Vec<Fr>], observe: &mut impl FnMut(&FifthPower)) {
    // A second array, since every new word needs all of the old ones.
    let mut boxed = [Fr::ZERO; WIDTH_MAX];
    for (word, out) in state.iter().zip(&mut boxed).take(matrix.len()) {
        let powers = FifthPower::of(*word);
        observe(&powers);
        *out = powers.fifth;
    }
    for (row, word) in matrix.iter().zip(state) {
        *word = dot(row, &boxed[..row.len()]);
    }
}

/// Leaves the state ready for the S-boxes of the next full round: its constants are already in.
fn partial_rounds(
    state: &mut State,
    parameters: &Parameters,
    observe: &mut impl FnMut(&FifthPower),
) {
    let sparse = &parameters.sparse;
    state[0] += sparse.first;
    for ((row, column), offset) in sparse.rows.iter().zip(&sparse.columns).zip(&sparse.offsets) {
        let powers = FifthPower::of(state[0]);
        observe(&powers);
        let boxed = powers.fifth;
        state[0] = boxed;
        let first = dot(row, &state[..row.len()]) + offset;
        for (word, factor) in state[1..].iter_mut().zip(column) {
            *word += boxed * factor;
        }
        state[0] = first;
    }
    add(&mut state[1..], &sparse.after);
}

fn add(state: &mut [Fr], constants: &[Fr]) {
    state.iter_mut().zip(constants).for_each(|(word, constant)| *word += constant);
}

#[cfg(test)]
mod tests;
