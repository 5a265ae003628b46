//! A lean R1CS builder.
//!
//! A circuit is a function over a [`Builder`]. [`matrices`] runs it once to learn its rows, for key
//! generation and audits; [`witness`] runs it for each proof and records only the assignment and
//! its products with the three matrices, so that proving neither keeps nor multiplies matrices.
//!
//! Both runs must have one structure: a circuit never branches on a value, only on sizes and on
//! [`Num::is_constant`], which is the same in both. Each run of [`matrices`] takes the values of an
//! example; they do not enter the rows.
//!
//! Every row belongs to the rule that was open when it was enforced ([`Builder::rule`]), so that a
//! violated row can be named.

mod audit;
mod logic;
mod num;
mod r1cs;

pub use num::{Bit, Num};
pub use r1cs::{Assignment, R1cs, Row};

use ark_bn254::Fr;
use ark_ff::Field;
use rayon::prelude::*;
use statement::poseidon::FifthPower;
use std::panic::Location;
use zeroize::Zeroize;

/// The state of a run.
pub struct Builder {
    /// The constant one, then the public inputs.
    instance: Vec<Fr>,
    witness: Vec<Fr>,
    rows: Rows,
    rule: &'static str,
}

enum Rows {
    Matrices { a: Vec<Row>, b: Vec<Row>, c: Vec<Row>, owners: Vec<Owner> },
    Products { az: Vec<Fr>, bz: Vec<Fr>, cz: Vec<Fr> },
}

/// The rule of a row and the line that enforces it.
type Owner = (&'static str, &'static Location<'static>);

/// The rows of `circuit` and the assignment that it made.
pub fn matrices(circuit: impl FnOnce(&mut Builder)) -> (R1cs, Assignment) {
    let rows = Rows::Matrices { a: vec![], b: vec![], c: vec![], owners: vec![] };
    let mut builder = Builder::new(rows);
    circuit(&mut builder);
    let Rows::Matrices { a, b, c, owners } = builder.rows else { unreachable!("set above") };
    let (instances, witnesses) = (builder.instance.len(), builder.witness.len());
    // Only here, because a circuit may allocate inputs and private values in any order.
    let [a, b, c] = [a, b, c].map(|rows| num::place_witness_columns(rows, instances));
    let (rules, places) = owners.into_iter().unzip();
    let r1cs = R1cs { instances, witnesses, a, b, c, rules, places };
    // By the matrices and not from the run: this is what a witness run is compared with.
    let [az, bz, cz] = r1cs.products(&builder.instance, &builder.witness);
    (r1cs, Assignment { instance: builder.instance, witness: builder.witness, az, bz, cz })
}

/// The assignment of `circuit` and its products with the matrices, without the matrices.
pub fn witness(circuit: impl FnOnce(&mut Builder)) -> Assignment {
    witness_within(Room::default(), circuit)
}

/// How much a witness run reserves before it begins: 96 bytes a row and 32 a private value. A run
/// that outgrows it is right all the same, but slower, and leaves values in memory that it gave
/// back unwiped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Rows.
    pub rows: usize,
    /// Private values.
    pub witnesses: usize,
}

/// As [`witness`], in memory that is reserved at once.
pub fn witness_within(room: Room, circuit: impl FnOnce(&mut Builder)) -> Assignment {
    let mut builder = Builder::products(room);
    circuit(&mut builder);
    let Rows::Products { az, bz, cz } = builder.rows else { unreachable!("set above") };
    Assignment { instance: builder.instance, witness: builder.witness, az, bz, cz }
}

impl Builder {
    fn new(rows: Rows) -> Self {
        Self { instance: vec![Fr::ONE], witness: vec![], rows, rule: "" }
    }

    fn products(room: Room) -> Self {
        let [az, bz, cz] = [(); 3].map(|()| Vec::with_capacity(room.rows));
        let witness = Vec::with_capacity(room.witnesses);
        Self { witness, ..Self::new(Rows::Products { az, bz, cz }) }
    }

    /// What is reserved and not used yet.
    fn room(&self) -> Room {
        let Rows::Products { az, .. } = &self.rows else { return Room::default() };
        let witness = &self.witness;
        Room { rows: az.capacity() - az.len(), witnesses: witness.capacity() - witness.len() }
    }

    /// Allocates a public input. The verifier gives its value, so nothing bounds it here.
    pub fn input(&mut self, value: Fr) -> Num {
        let column = u32::try_from(self.instance.len()).expect("fewer than 2^31 inputs");
        self.instance.push(value);
        self.new_num(value, column)
    }

    /// Allocates a private value. Nothing bounds it until rows do.
    pub fn alloc(&mut self, value: Fr) -> Num {
        let column = num::witness_column(self.witness.len());
        self.witness.push(value);
        self.new_num(value, column)
    }

    fn new_num(&self, value: Fr, column: u32) -> Num {
        match self.rows {
            Rows::Matrices { .. } => Num::variable(value, column),
            Rows::Products { .. } => Num::untracked(value),
        }
    }

    /// Enforces `left * right = product`. The row belongs to the rule that is open, and to the line
    /// that calls this or one of the functions that enforce for their caller.
    #[track_caller]
    pub fn enforce(&mut self, left: &Num, right: &Num, product: &Num) {
        match &mut self.rows {
            Rows::Matrices { a, b, c, owners } => {
                a.push(left.row());
                b.push(right.row());
                c.push(product.row());
                owners.push((self.rule, Location::caller()));
            }
            // The rows are the same in every run, so that a proof needs their values alone.
            Rows::Products { az, bz, cz } => {
                az.push(left.value());
                bz.push(right.value());
                cz.push(product.value());
            }
        }
    }

    /// Runs `part` with its rows owned by the rule `name`.
    pub fn rule<T>(&mut self, name: &'static str, part: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.rule, name);
        let result = part(self);
        // Put back and not cleared: rules nest, and the outer one owns what follows.
        self.rule = outer;
        result
    }

    /// Runs `part` for each item in turn. A witness run that has several cores takes the items in
    /// parallel, so a part gets nothing from the one before it and allocates no public input;
    /// numbers made outside may be read.
    ///
    /// # Panics
    /// If a part allocates a public input.
    pub fn each<I: Sync, T: Send>(
        &mut self,
        items: &[I],
        part: impl Fn(&mut Self, &I) -> T + Sync,
    ) -> Vec<T> {
        // One after the other: columns are numbered in the order in which they are allocated, and
        // the rows are learnt once. On one core too: parts made apart would only be copied.
        if matches!(self.rows, Rows::Matrices { .. }) || rayon::current_num_threads() == 1 {
            let inputs = self.instance.len();
            let results = items.iter().map(|item| part(self, item)).collect();
            assert_eq!(self.instance.len(), inputs, "a parallel part allocates no public input");
            return results;
        }
        // A witness run knows no column numbers, so that parts are made apart and put one behind
        // the other: the same order as above.
        let all = self.room();
        // Parts are of about one size and make most of what is left.
        let each = items.len().max(1);
        let room = Room { rows: all.rows / each, witnesses: all.witnesses / each };
        let parts: Vec<(Self, T)> = items
            .par_iter()
            .map(|item| {
                let mut builder = Self::products(room);
                let result = part(&mut builder, item);
                (builder, result)
            })
            .collect();
        parts.into_iter().map(|(part, result)| self.append(part, result)).collect()
    }

    /// Copies rather than moves: a part's own buffers held a patient's values and are wiped here.
    fn append<T>(&mut self, mut part: Self, result: T) -> T {
        assert_eq!(part.instance.len(), 1, "a parallel part allocates no public input");
        let (Rows::Products { az, bz, cz }, Rows::Products { az: a, bz: b, cz: c }) =
            (&mut self.rows, &mut part.rows)
        else {
            unreachable!("parts are witness runs")
        };
        for (all, part) in [(&mut self.witness, &mut part.witness), (az, a), (bz, b), (cz, c)] {
            all.extend_from_slice(part);
            part.zeroize();
        }
        result
    }

    /// Whether values alone are asked for. A gadget that has them from its native twin then gives
    /// them as they are; the rows that a matrix run makes of it say if one is wrong.
    pub(crate) fn is_witness_run(&self) -> bool {
        matches!(self.rows, Rows::Products { .. })
    }

    /// What [`Builder::product`] does three times to raise a number to its fifth power, of powers
    /// that are known.
    ///
    /// # Panics
    /// If rows are learnt: these need the numbers.
    pub(crate) fn take_fifth_power(&mut self, of: &FifthPower) {
        let Rows::Products { az, bz, cz } = &mut self.rows else {
            panic!("only a witness run takes values without their rows")
        };
        let FifthPower { base, square, fourth, fifth } = *of;
        az.extend_from_slice(&[base, square, fourth]);
        bz.extend_from_slice(&[base, square, base]);
        cz.extend_from_slice(&[square, fourth, fifth]);
        self.witness.extend_from_slice(&[square, fourth, fifth]);
    }
}

#[cfg(test)]
mod tests;
