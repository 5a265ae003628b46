//! The chain: a circuit without meaning that is like those of a rollup, at any size.
//!
//! Each link decomposes two numbers of 64 bits, hashes them, climbs a Merkle path of 16 levels from
//! there and hashes the root into a chain: 4624 rows, almost all of a Poseidon-like permutation.
//! About one column in thirty is a bit, and two in three occur in B.
//!
//! Columns, rows and values are those of the sketch of a prover that this project began with, so
//! that it can be measured with the same key.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, UniformRand};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use circuits::builder::{Builder, Num};

/// Rows of one link.
pub(crate) const LINK_ROWS: usize = 4624;

/// Rows of the domain that links do not fill: the public columns need some.
const RESERVED: usize = 8;

const LEVELS: usize = 16;
const FULL_ROUNDS: usize = 4;
const PARTIAL_ROUNDS: usize = 57;

/// More terms than this are made a column: longer sums would make the matrices dense.
const TERMS_MAX: usize = 24;

/// Links that fit a domain of 2 to `log2` rows.
pub(crate) fn links(log2: u32) -> usize {
    ((1 << log2) - RESERVED) / LINK_ROWS
}

/// Adds `links` links behind the one public input.
pub(crate) fn build(b: &mut Builder, links: usize) {
    let permutation = Permutation::new();
    let mut rng = StdRng::seed_from_u64(42);
    let mut chain = b.input(Fr::from(1234));
    for _ in 0..links {
        let (left, right) = (u64::rand(&mut rng), u64::rand(&mut rng));
        let [left, right] =
            [left, right].map(|number| Num::combination(powers(&bits(b, number, 64))));
        let mut node = permutation.hash(b, &left, &right);
        let path = u64::rand(&mut rng);
        for goes_left in bits(b, path, LEVELS) {
            let sibling = b.alloc(Fr::rand(&mut rng));
            let moved = multiply(b, &goes_left, &(&sibling - &node));
            node = permutation.hash(b, &(&node + &moved), &(&sibling - &moved));
        }
        chain = permutation.hash(b, &chain, &node);
    }
}

/// The `width` lowest bits of a number, each confined by a row.
fn bits(b: &mut Builder, number: u64, width: usize) -> Vec<Num> {
    let bit = |at| {
        let bit = b.alloc(Fr::from(number >> at & 1));
        b.enforce(&bit, &(Num::one() - &bit), &Num::zero());
        bit
    };
    (0..width).map(bit).collect()
}

fn powers(bits: &[Num]) -> impl Iterator<Item = (Fr, &Num)> {
    std::iter::successors(Some(Fr::ONE), |power| Some(power.double())).zip(bits)
}

/// A row even where a factor is constant, unlike [`Builder::product`].
fn multiply(b: &mut Builder, left: &Num, right: &Num) -> Num {
    let product = b.alloc(left.value() * right.value());
    b.enforce(left, right, &product);
    product
}

/// A sum made a column.
fn keep(b: &mut Builder, sum: &Num) -> Num {
    let column = b.alloc(sum.value());
    b.enforce(sum, &Num::one(), &column);
    column
}

fn fifth_power(b: &mut Builder, num: &Num) -> Num {
    let second = multiply(b, num, num);
    let fourth = multiply(b, &second, &second);
    multiply(b, &fourth, num)
}

/// Poseidon in all but its constants, which are drawn at random.
struct Permutation {
    rounds: Vec<[Fr; 3]>,
    mix: [[Fr; 3]; 3],
}

impl Permutation {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let mut constants = |_| [(); 3].map(|()| Fr::rand(&mut rng));
        let rounds = (0..2 * FULL_ROUNDS + PARTIAL_ROUNDS).map(&mut constants).collect();
        // A Cauchy matrix: each of its square parts can be inverted.
        let cell = |at: u64| Fr::from(at).inverse().expect("3 to 7 are not zero");
        Self { rounds, mix: [0, 1, 2].map(|i| [3, 4, 5].map(|j| cell(i + j))) }
    }

    fn hash(&self, b: &mut Builder, left: &Num, right: &Num) -> Num {
        let mut state = [Num::zero(), left.clone(), right.clone()];
        // Columns in each number of the state. Counted and not asked for: a run for a witness
        // knows no columns, and both runs must keep sums in the same places.
        let mut columns = 0;
        for (round, constants) in self.rounds.iter().enumerate() {
            let full = !(FULL_ROUNDS..FULL_ROUNDS + PARTIAL_ROUNDS).contains(&round);
            for (num, constant) in state.iter_mut().zip(constants) {
                *num = &*num + &Num::constant(*constant);
            }
            for num in &mut state[..if full { 3 } else { 1 }] {
                *num = fifth_power(b, num);
            }
            state = self.mix.map(|row| Num::combination(row.into_iter().zip(&state)));
            // All sums have the same columns; a partial round adds one, and leaves a constant.
            columns = if full { 3 } else { columns + 1 };
            if !full && columns + 1 > TERMS_MAX {
                for num in &mut state[1..] {
                    *num = keep(b, num);
                }
                columns = 2;
            }
        }
        keep(b, &state[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use circuits::builder::{matrices, witness};

    #[test]
    fn a_link_has_as_many_rows_as_it_says_and_holds() {
        let (r1cs, assignment) = matrices(|b| build(b, 2));
        assert_eq!(r1cs.a.len(), 2 * LINK_ROWS);
        assert_eq!(r1cs.is_satisfied(&assignment), Ok(()));
        let again = witness(|b| build(b, 2));
        assert!(again == assignment, "a run for the witness makes the same columns");
    }

    /// Of the sketch, by its own count at 2^16.
    #[test]
    fn rows_columns_and_terms_are_those_of_the_sketch() {
        let (r1cs, assignment) = matrices(|b| build(b, links(16)));
        assert_eq!((r1cs.a.len(), r1cs.instances + r1cs.witnesses), (64_736, 64_962));
        let thousands = |rows: &[circuits::builder::Row]| {
            (rows.iter().map(Vec::len).sum::<usize>() + 500) / 1000
        };
        assert_eq!([&r1cs.a, &r1cs.b, &r1cs.c].map(|rows| thousands(rows)), [297, 482, 63]);
        let all = assignment.instance.iter().chain(&assignment.witness);
        assert_eq!(all.filter(|value| **value * *value == **value).count(), 2140);
    }
}
