//! One proof from files to files: what `prover prove` does.
//!
//! A [`Job`] is a witness file that was read, multiplied with the circuit's matrices and found to
//! satisfy them. Only then is a key looked for, since making one is what takes long.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ark_bn254::Fr;
use circuits::builder::{Assignment, R1cs};
use files::Audience;
use statement::proof::Proof;

use crate::export::{self, WtnsError};
use crate::{Blinding, Choice, Engine, ProveError, ProvingKey, qap};

/// An assignment that satisfies its circuit. Takes 32 bytes a column and 96 a constraint, zeroised
/// when dropped, as every assignment is.
pub struct Job {
    assignment: Assignment,
}

impl Job {
    /// Reads a `.wtns` file and multiplies it with the matrices.
    ///
    /// # Errors
    /// [`JobError`]: the file is not the circuit's, or what it assigns breaks a rule, which is
    /// named.
    pub fn read(r1cs: &R1cs, wtns: &[u8]) -> Result<Self, JobError> {
        // The file must have as many columns as the circuit, so that the split below is in bounds.
        let values = export::read_wtns(wtns, r1cs.instances + r1cs.witnesses)?;
        let (instance, witness) = values.split_at(r1cs.instances);
        // A file with another number here would scale every row and satisfy them all the same.
        if instance[0] != Fr::from(1) {
            return Err(JobError::Constant);
        }
        Self::from_columns(r1cs, &instance[1..], witness)
    }

    /// Multiplies the values of all columns but the constant one with the matrices.
    ///
    /// # Errors
    /// [`JobError`]: there are more or fewer than the circuit has, or what they assign breaks a
    /// rule, which is named.
    pub fn from_columns(r1cs: &R1cs, inputs: &[Fr], witness: &[Fr]) -> Result<Self, JobError> {
        let lengths = [
            ("public columns", r1cs.instances - 1, inputs.len()),
            ("private columns", r1cs.witnesses, witness.len()),
        ];
        for (what, expected, found) in lengths {
            if expected != found {
                return Err(JobError::Length { what, expected, found });
            }
        }
        let instance = [&[Fr::from(1)], inputs].concat();
        let [az, bz, cz] = r1cs.products(&instance, witness);
        let witness = witness.to_vec();
        // From here on the products are an assignment's, which zeroises them on the way out of an
        // error too.
        let job = Self { assignment: Assignment { instance, witness, az, bz, cz } };
        let Assignment { az, bz, cz, .. } = &job.assignment;
        match qap::first_violation(az, bz, cz) {
            Some(row) => Err(JobError::Violated { rule: r1cs.rules[row], row }),
            None => Ok(job),
        }
    }

    /// Proves under `key`. The proof was verified before it is returned.
    ///
    /// # Errors
    /// [`ProveError`], among others if the key is another circuit's.
    pub fn prove(&self, key: Arc<ProvingKey>, blinding: &Blinding) -> Result<Proven, ProveError> {
        // The engine compares the key's sizes with the assignment's, and lets no proof out that
        // fails.
        let engine = Choice::Auto.open(key).expect("there is an engine for every processor");
        self.prove_with(&*engine, blinding)
    }

    /// Proves with an engine that is open already.
    ///
    /// # Errors
    /// As [`Job::prove`].
    pub fn prove_with(
        &self,
        engine: &dyn Engine,
        blinding: &Blinding,
    ) -> Result<Proven, ProveError> {
        let proof = engine.prove(&self.assignment, blinding)?;
        Ok(Proven { proof, inputs: self.assignment.instance[1..].to_vec() })
    }
}

/// A verified proof with its public inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The proof.
    pub proof: Proof,
    /// The public inputs without the constant one.
    pub inputs: Vec<Fr>,
}

impl Proven {
    /// The files of [`Proven::write`]: what snarkjs reads, and the proof's 256 bytes as the
    /// contracts take them.
    pub const FILES: [&str; 3] = ["proof.json", "public.json", "proof.bin"];

    /// Writes the proof into `folder`, which is made if it is not there. Files of these names are
    /// replaced.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        files::make_folder(folder, Audience::Public)?;
        let contents = [
            export::proof_json(&self.proof).to_string().into_bytes(),
            export::public_json(&self.inputs).to_string().into_bytes(),
            self.proof.encode().to_vec(),
        ];
        // A proof says nothing of its witness.
        let mut files = Self::FILES.iter().zip(contents);
        files.try_for_each(|(name, bytes)| {
            files::replace(&folder.join(name), &[&bytes], Audience::Public)
        })
    }
}

/// Why a witness file is not proven. No value of it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The file is damaged or of another circuit.
    #[error("the witness file is refused")]
    Wtns(#[from] WtnsError),
    /// The first public column is the constant one.
    #[error("expected the constant one in column 0 of the witness file")]
    Constant,
    /// There are more or fewer columns than the circuit has.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// Which columns.
        what: &'static str,
        /// The circuit's number.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// The values break a constraint.
    #[error("{} is violated, at constraint {row}", owner(rule))]
    Violated {
        /// The rule of the circuit's SPEC.md that owns the first broken row; empty outside of
        /// rules.
        rule: &'static str,
        /// The row.
        row: usize,
    },
}

fn owner(rule: &str) -> String {
    if rule.is_empty() {
        "a constraint outside of rules".to_owned()
    } else {
        format!("rule {rule}")
    }
}
