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

/// A hash together with what its circuit must assign.
pub struct Trace {
    /// The hash.
    pub output: Fr,
    /// The input of every S-box, round by round, word by word: `8 * width + partial_rounds`.
    pub sbox_inputs: Vec<Fr>,
}

/// Hashes 1 to 16 `inputs` under `tag`.
///
/// # Panics
/// If there is no input or there are more than 16.
pub fn hash(tag: Fr, inputs: &[Fr]) -> Fr {
    permute(tag, inputs, |_| ())
}

/// Hashes as [`hash`] does and reports the input of every S-box.
///
/// # Panics
/// If there is no input or there are more than 16.
pub fn trace(tag: Fr, inputs: &[Fr]) -> Trace {
    let parameters = parameters(inputs.len() + 1);
    let boxes = FULL_ROUNDS * parameters.width + parameters.partial_rounds;
    let mut sbox_inputs = Vec::with_capacity(boxes);
    let output = permute(tag, inputs, |input| sbox_inputs.push(input));
    Trace { output, sbox_inputs }
}

/// The words of a state; those beyond the width are zero and unused.
type State = [Fr; WIDTH_MAX];

fn permute(tag: Fr, inputs: &[Fr], mut observe: impl FnMut(Fr)) -> Fr {
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

fn full_round(state: &mut State, matrix: &[Vec<Fr>], observe: &mut impl FnMut(Fr)) {
    // A second array, since every new word needs all of the old ones.
    let mut boxed = [Fr::ZERO; WIDTH_MAX];
    for (word, out) in state.iter().zip(&mut boxed).take(matrix.len()) {
        observe(*word);
        *out = sbox(word);
    }
    for (row, word) in matrix.iter().zip(state) {
        *word = dot(row, &boxed[..row.len()]);
    }
}

/// Leaves the state ready for the S-boxes of the next full round: its constants are already in.
fn partial_rounds(state: &mut State, parameters: &Parameters, observe: &mut impl FnMut(Fr)) {
    let sparse = &parameters.sparse;
    state[0] += sparse.first;
    for ((row, column), offset) in sparse.rows.iter().zip(&sparse.columns).zip(&sparse.offsets) {
        observe(state[0]);
        let boxed = sbox(&state[0]);
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

fn sbox(x: &Fr) -> Fr {
    x.square().square() * x
}

#[cfg(test)]
mod tests;
