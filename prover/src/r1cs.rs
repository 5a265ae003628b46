//! The constraint system as the prover needs it: three sparse matrices, and an assignment with its
//! products.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInteger, PrimeField};

/// One sparse row: coefficients and columns.
pub type Row = Vec<(Fr, u32)>;

/// The matrices of a circuit. Column 0 is the constant one, then the public inputs, then the
/// witnesses.
#[derive(Clone, Debug)]
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
}

impl R1cs {
    /// The circuit's name: blake3 over sizes and rows.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("vitals r1cs v1");
        hasher.update(&Fq::MODULUS.to_bytes_le());
        for n in [self.instances, self.witnesses, self.a.len()] {
            hasher.update(&(n as u64).to_le_bytes());
        }
        for row in [&self.a, &self.b, &self.c].into_iter().flatten() {
            hasher.update(&(row.len() as u64).to_le_bytes());
            for (k, column) in row {
                hasher.update(&k.into_bigint().to_bytes_le());
                hasher.update(&column.to_le_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }
}

/// Values for every column, with the products of the matrices with them.
#[derive(Clone)]
pub struct Assignment {
    /// The constant one and the public inputs.
    pub instance: Vec<Fr>,
    /// The private values.
    pub witness: Vec<Fr>,
    /// A times the assignment.
    pub az: Vec<Fr>,
    /// B times the assignment.
    pub bz: Vec<Fr>,
    /// C times the assignment.
    pub cz: Vec<Fr>,
}
