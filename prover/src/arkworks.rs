//! The bridge to ark-groth16, for comparing with it: its setup and prover take a circuit as code.

use ark_bn254::Fr;
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};

use circuits::builder::{Assignment, R1cs, Row};

/// Plays matrices back as a circuit: the same columns and rows in the same order.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    /// The matrices.
    pub r1cs: &'a R1cs,
    /// The values; setup needs none.
    pub assignment: Option<&'a Assignment>,
}

impl ConstraintSynthesizer<Fr> for Replay<'_> {
    fn generate_constraints(self, system: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let missing = || SynthesisError::AssignmentMissing;
        // Public columns first: ark-groth16 numbers them so, and keys must come out the same.
        let mut columns = vec![Variable::One];
        for at in 1..self.r1cs.instances {
            let value = || self.assignment.map(|z| z.instance[at]).ok_or_else(missing);
            columns.push(system.new_input_variable(value)?);
        }
        for at in 0..self.r1cs.witnesses {
            let value = || self.assignment.map(|z| z.witness[at]).ok_or_else(missing);
            columns.push(system.new_witness_variable(value)?);
        }
        let terms = |row: &Row| {
            let term = |(k, column): &(Fr, u32)| (*k, columns[*column as usize]);
            LinearCombination(row.iter().map(term).collect())
        };
        for ((a, b), c) in self.r1cs.a.iter().zip(&self.r1cs.b).zip(&self.r1cs.c) {
            system.enforce_r1cs_constraint(|| terms(a), || terms(b), || terms(c))?;
        }
        Ok(())
    }
}
