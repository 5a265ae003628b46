use super::*;
use crate::vectors::{element, elements, primitives};
use ark_std::{UniformRand, rand::SeedableRng, rand::rngs::StdRng};

#[test]
fn hashes_equal_circomlibjs_for_every_width_and_tag() {
    let vectors = primitives();
    let cases = vectors["poseidon"].as_array().expect("a list");
    assert_eq!(cases.len(), 16 * 8);
    for case in cases {
        let inputs = elements(&case["inputs"]);
        assert_eq!(hash(element(&case["tag"]), &inputs), element(&case["output"]));
    }
}

/// The permutation as the paper states it.
fn hash_as_stated(tag: Fr, inputs: &[Fr]) -> (Fr, Vec<Fr>) {
    let parameters = parameters(inputs.len() + 1);
    let last = FULL_ROUNDS / 2 + parameters.partial_rounds;
    let mut sbox_inputs = Vec::new();
    let mut state = [&[tag], inputs].concat();
    for (round, constants) in parameters.constants.iter().enumerate() {
        add(&mut state, constants);
        let full = round < FULL_ROUNDS / 2 || round >= last;
        for word in &mut state[..if full { parameters.width } else { 1 }] {
            sbox_inputs.push(*word);
            *word = word.pow([5]);
        }
        state = parameters.matrix.iter().map(|row| dot(row, &state)).collect();
    }
    (state[0], sbox_inputs)
}

#[test]
fn the_sparse_rounds_pass_the_s_boxes_of_the_stated_ones() {
    let mut rng = StdRng::seed_from_u64(1);
    for arity in 1..=16 {
        let inputs: Vec<Fr> = (0..arity).map(|_| Fr::rand(&mut rng)).collect();
        let tag = Fr::rand(&mut rng);
        let (stated, boxes) = hash_as_stated(tag, &inputs);
        let mut observed = Vec::new();
        let output = hash_observed(tag, &inputs, |powers| {
            let expected = [1, 2, 4, 5].map(|exponent| powers.base.pow([exponent]));
            assert_eq!([powers.base, powers.square, powers.fourth, powers.fifth], expected);
            observed.push(powers.base);
        });
        assert_eq!(observed, boxes);
        assert_eq!([output, hash(tag, &inputs)], [stated; 2]);
    }
}

#[test]
fn tag_order_and_number_of_inputs_change_the_hash() {
    let [zero, one, two] = [0u8, 1, 2].map(Fr::from);
    let base = hash(zero, &[one, two]);
    for other in [hash(one, &[one, two]), hash(zero, &[two, one]), hash(zero, &[one, two, zero])] {
        assert_ne!(base, other);
    }
}

#[test]
#[should_panic(expected = "Poseidon takes 1 to 16 inputs")]
fn seventeen_inputs_are_refused() {
    hash(Fr::ZERO, &[Fr::ZERO; 17]);
}
