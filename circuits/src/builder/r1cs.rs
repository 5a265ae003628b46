//! The result of a run.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField};
use rayon::prelude::*;
use std::panic::Location;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One sparse row: coefficients and columns, sorted by column, no coefficient zero.
pub type Row = Vec<(Fr, u32)>;

/// The matrices of a circuit: `A z * B z = C z`, row by row.
///
/// Column 0 is the constant one, then come the public inputs, then the private values.
#[derive(Clone, PartialEq, Eq)]
pub struct R1cs {
    /// Public columns, the constant one included.
    pub instances: usize,
    /// Private columns.
    pub witnesses: usize,
    /// Left factors.
    pub a: Vec<Row>,
    /// Right factors.
    pub b: Vec<Row>,
    /// Products.
    pub c: Vec<Row>,
    /// The rule that owns each row; empty outside of rules. Not part of [`R1cs::hash`].
    pub rules: Vec<&'static str>,
    /// The line that enforces each row, which tells the rows of a rule apart. Not part of
    /// [`R1cs::hash`].
    pub places: Vec<&'static Location<'static>>,
}

/// Values for every column, with their products with the matrices. All but the public columns are
/// zeroised when it is dropped, whoever holds it last.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The constant one and the public inputs.
    pub instance: Vec<Fr>,
    /// The private values.
    pub witness: Vec<Fr>,
    /// `A z`.
    pub az: Vec<Fr>,
    /// `B z`.
    pub bz: Vec<Fr>,
    /// `C z`.
    pub cz: Vec<Fr>,
}

impl Assignment {
    /// The first row whose stored products violate it; the columns are not read.
    pub fn first_violated(&self) -> Option<usize> {
        let mut rows = self.az.iter().zip(&self.bz).zip(&self.cz);
        rows.position(|((a, b), c)| *a * b != *c)
    }
}

impl Zeroize for Assignment {
    fn zeroize(&mut self) {
        // The public columns stay: they are published with the proof.
        let Self { instance: _, witness, az, bz, cz } = self;
        [witness, az, bz, cz].into_iter().for_each(Zeroize::zeroize);
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Assignment {}

impl R1cs {
    /// Whether the columns of `assignment` satisfy every row; its stored products are not read.
    ///
    /// # Errors
    /// The first violated row; [`R1cs::rules`] tells whose it is.
    ///
    /// # Panics
    /// If the assignment has another number of columns.
    pub fn is_satisfied(&self, assignment: &Assignment) -> Result<(), usize> {
        let [az, bz, cz] = self.products(&assignment.instance, &assignment.witness);
        let mut rows = az.iter().zip(&bz).zip(&cz);
        rows.position(|((a, b), c)| *a * b != *c).map_or(Ok(()), Err)
    }

    /// The rule that owns the first row which `assignment` violates.
    ///
    /// # Panics
    /// If the assignment has another number of columns.
    pub fn violated_rule(&self, assignment: &Assignment) -> Option<&'static str> {
        self.is_satisfied(assignment).err().map(|row| self.rules[row])
    }

    /// `A z`, `B z` and `C z`.
    ///
    /// # Panics
    /// If there are too few or too many values.
    pub fn products(&self, instance: &[Fr], witness: &[Fr]) -> [Vec<Fr>; 3] {
        assert_eq!(instance.len(), self.instances, "one value for each public column");
        assert_eq!(witness.len(), self.witnesses, "one value for each private column");
        let value = |column: u32| {
            let column = column as usize;
            *instance.get(column).unwrap_or_else(|| &witness[column - self.instances])
        };
        [&self.a, &self.b, &self.c].map(|rows| {
            let product = |row: &Row| {
                row.iter().fold(Fr::ZERO, |sum, (factor, column)| sum + value(*column) * factor)
            };
            rows.par_iter().map(product).collect()
        })
    }

    /// The circuit's name: BLAKE3 over sizes and rows.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("vitals r1cs v2");
        // The field first: the same rows over another one are another circuit.
        hasher.update(&Fr::MODULUS.to_bytes_le());
        for size in [self.instances, self.witnesses, self.a.len()] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        // Each row with its length, so that no two systems give the hasher the same bytes. Rules
        // are not hashed: another name for one makes no other key.
        for row in [&self.a, &self.b, &self.c].into_iter().flatten() {
            hasher.update(&(row.len() as u64).to_le_bytes());
            for (factor, column) in row {
                hasher.update(&factor.into_bigint().to_bytes_le());
                hasher.update(&column.to_le_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// Terms in all three matrices.
    pub fn density(&self) -> usize {
        [&self.a, &self.b, &self.c].into_iter().flatten().map(Vec::len).sum()
    }
}
