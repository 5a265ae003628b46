//! Poseidon in `3 (8 t + R_P) - 3` rows for `t` words with a constant tag.
//!
//! Only S-boxes cost rows, three each; the one on the capacity word is a constant. The input of a
//! partial round's S-box is one combination of the S-box outputs of the last full round and of the
//! partial rounds before it, with coefficients that depend on the width alone: they are computed
//! once and copied. A witness run takes all powers from the native hash and combines nothing.

use crate::builder::{Builder, Num};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use statement::poseidon::{self, FULL_ROUNDS, FifthPower, Parameters, WIDTH_MAX, WIDTH_MIN};
use std::sync::OnceLock;

/// Hashes 1 to 16 `inputs` under the constant `tag`. Inputs that are constants cost fewer rows.
///
/// # Panics
/// If there is no input or there are more than 16.
pub fn hash(b: &mut Builder, tag: Fr, inputs: &[Num]) -> Num {
    let values: Vec<Fr> = inputs.iter().map(Num::value).collect();
    // No row asks about what is the same in every run.
    if inputs.iter().all(Num::is_constant) {
        return Num::constant(poseidon::hash(tag, &values));
    }
    if b.is_witness_run() {
        return assign(b, tag, inputs, &values);
    }
    let mut known = Vec::new();
    let output = poseidon::hash_observed(tag, &values, |powers| known.push(powers.base));
    let width = inputs.len() + 1;
    let parameters = poseidon::parameters(width);
    let last = FULL_ROUNDS / 2 + parameters.partial_rounds;
    // The inputs of the first round stand in the circuit already.
    let mut known = known.into_iter().skip(width);
    let mut boxed = first_round(b, tag, inputs, &parameters.constants[0]);
    for round in 1..FULL_ROUNDS / 2 {
        boxed = full_round(b, parameters, round, &boxed, &mut known);
    }
    boxed = partial_rounds(b, template(width), boxed, &mut known);
    for round in last + 1..last + FULL_ROUNDS / 2 {
        boxed = full_round(b, parameters, round, &boxed, &mut known);
    }
    combine(output, Fr::ZERO, &parameters.matrix[0], &boxed)
}

/// The columns of [`hash`] from its native twin, which is much cheaper than evaluating each
/// combination.
fn assign(b: &mut Builder, tag: Fr, inputs: &[Num], values: &[Fr]) -> Num {
    let mut boxes = 0..;
    let output = poseidon::hash_observed(tag, values, |powers| {
        // The first round has the tag, which is the same in every run, and then the inputs.
        let is_constant = match boxes.next() {
            None | Some(0) => true,
            Some(number) => inputs.get(number - 1).is_some_and(Num::is_constant),
        };
        if !is_constant {
            b.take_fifth_power(powers);
        }
    });
    Num::untracked(output)
}

fn first_round(b: &mut Builder, tag: Fr, inputs: &[Num], constants: &[Fr]) -> Vec<Num> {
    let tag = Num::constant(tag);
    let words = std::iter::once(&tag).chain(inputs);
    words.zip(constants).map(|(word, c)| sbox(b, &(word + Num::constant(*c)))).collect()
}

fn full_round(
    b: &mut Builder,
    parameters: &Parameters,
    round: usize,
    boxed: &[Num],
    known: &mut impl Iterator<Item = Fr>,
) -> Vec<Num> {
    let rows = parameters.constants[round].iter().zip(&parameters.matrix);
    rows.map(|(constant, row)| {
        let word = combine(next(known), *constant, row, boxed);
        sbox(b, &word)
    })
    .collect()
}

/// From the outputs of the last S-boxes before to those of the first full round after.
fn partial_rounds(
    b: &mut Builder,
    template: &Template,
    mut boxed: Vec<Num>,
    known: &mut impl Iterator<Item = Fr>,
) -> Vec<Num> {
    for (constant, row) in &template.inputs {
        let word = combine(next(known), *constant, row, &boxed);
        boxed.push(sbox(b, &word));
    }
    let words = template.after.iter();
    words
        .map(|(constant, row)| {
            let word = combine(next(known), *constant, row, &boxed);
            sbox(b, &word)
        })
        .collect()
}

fn next(known: &mut impl Iterator<Item = Fr>) -> Fr {
    known.next().expect("the native trace has an input for every S-box")
}

fn combine(value: Fr, constant: Fr, row: &[Fr], boxed: &[Num]) -> Num {
    debug_assert_eq!(row.len(), boxed.len());
    let terms = row.iter().copied().zip(boxed);
    let combination = Num::combination(terms) + Num::constant(constant);
    // Asked where the combination is at hand; a witness run takes the native twin's word for it.
    assert_eq!(combination.value(), value, "the twin's value is that of the combination");
    combination
}

fn sbox(b: &mut Builder, x: &Num) -> Num {
    if x.is_constant() {
        return Num::constant(FifthPower::of(x.value()).fifth);
    }
    let square = b.product(x, x);
    let fourth = b.product(&square, &square);
    b.product(&fourth, x)
}

/// A constant and the coefficients of S-box outputs.
type Combination = (Fr, Vec<Fr>);

struct Template {
    /// The S-box input of each partial round.
    inputs: Vec<Combination>,
    /// The words of the next full round, constants included.
    after: Vec<Combination>,
}

fn template(width: usize) -> &'static Template {
    static TABLE: [OnceLock<Template>; WIDTH_MAX - WIDTH_MIN + 1] =
        [const { OnceLock::new() }; WIDTH_MAX - WIDTH_MIN + 1];
    TABLE[width - WIDTH_MIN].get_or_init(|| Template::derive(poseidon::parameters(width)))
}

impl Template {
    /// Follows the state through the partial rounds as combinations: of the outputs of the S-boxes
    /// before, and of one more S-box output each round. Some 10^6 products for the widest state,
    /// once.
    fn derive(parameters: &Parameters) -> Self {
        let matrix = &parameters.matrix;
        let constants = &parameters.constants[FULL_ROUNDS / 2..];
        let mut words: Vec<Combination> =
            matrix.iter().zip(&constants[0]).map(|(row, c)| (*c, row.clone())).collect();
        let mut inputs = Vec::with_capacity(parameters.partial_rounds);
        for next in &constants[1..=parameters.partial_rounds] {
            inputs.push(words[0].clone());
            let places = words[0].1.len() + 1;
            let mut output = vec![Fr::ZERO; places];
            output[places - 1] = Fr::ONE;
            // After its S-box the first word is a new column and no combination of those before.
            words[0] = (Fr::ZERO, output);
            words[1..].iter_mut().for_each(|word| word.1.push(Fr::ZERO));
            words = matrix.iter().zip(next).map(|(row, c)| mix(row, *c, &words)).collect();
        }
        Self { inputs, after: words }
    }
}

fn mix(row: &[Fr], constant: Fr, words: &[Combination]) -> Combination {
    let mut mixed = (constant, vec![Fr::ZERO; words[0].1.len()]);
    for (factor, (constant, coefficients)) in row.iter().zip(words) {
        mixed.0 += *factor * constant;
        let pairs = mixed.1.iter_mut().zip(coefficients);
        pairs.filter(|(_, c)| **c != Fr::ZERO).for_each(|(sum, c)| *sum += *factor * c);
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::check::{check, rejected};
    use ark_std::{UniformRand, rand::SeedableRng, rand::rngs::StdRng};
    use statement::poseidon::PARTIAL_ROUNDS;

    /// Rows by number of inputs, from 1.
    const ROWS: [usize; 16] =
        [213, 240, 261, 297, 321, 354, 381, 402, 417, 459, 465, 504, 543, 537, 573, 609];

    #[test]
    fn every_width_equals_its_twin_in_the_pinned_number_of_rows() {
        let mut rng = StdRng::seed_from_u64(1);
        for arity in 1..=16 {
            let values: Vec<Fr> = (0..arity).map(|_| Fr::rand(&mut rng)).collect();
            let tag = Fr::from(arity as u64 % 3);
            let (r1cs, _, movable) = check(|b| {
                let inputs: Vec<Num> = values.iter().map(|value| b.alloc(*value)).collect();
                let output = hash(b, tag, &inputs);
                let public = b.input(poseidon::hash(tag, &values));
                b.enforce_equal(&output, &public);
            });
            assert_eq!(r1cs.a.len(), ROWS[arity - 1] + 1);
            assert_eq!(ROWS[arity - 1], 3 * (8 * (arity + 1) + PARTIAL_ROUNDS[arity - 1]) - 3);
            assert_eq!(movable, 0);
        }
    }

    #[test]
    fn constant_inputs_save_their_first_s_box_and_change_no_value() {
        let values = [5u64, 6, 7].map(Fr::from);
        let (r1cs, _, movable) = check(|b| {
            let inputs = [Num::constant(values[0]), b.alloc(values[1]), Num::constant(values[2])];
            let output = hash(b, Fr::ONE, &inputs);
            b.enforce_equal(&output, &Num::constant(poseidon::hash(Fr::ONE, &values)));
            let constants = values.map(Num::constant);
            assert!(hash(b, Fr::ONE, &constants).is_constant());
        });
        assert_eq!((r1cs.a.len(), movable), (ROWS[2] - 6 + 1, 0));
    }

    #[test]
    fn another_output_is_rejected() {
        rejected(|b| {
            let input = b.alloc(Fr::ONE);
            let output = hash(b, Fr::ZERO, &[input]);
            let wrong = b.alloc(poseidon::hash(Fr::ONE, &[Fr::ONE]));
            b.enforce_equal(&output, &wrong);
        });
    }
}
