//! A chunk that is to be proven, with the key that it is proven under.

use std::fmt;
use std::sync::Arc;

use ark_bn254::Fr;
use circuits::builder::Assignment;
use circuits::shapes::{Shape, Statement};
use rand::rngs::StdRng;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::VerifyingKey;
use statement::{c1, c2};

use super::names::InputHash;
use super::table::ProofBytes;
use crate::stages::prove::keys::{ProverKeys, ProverKeysError, ShapeEngine};

/// A chunk that its native twin has checked. Takes some KiB for each operation or claim; its
/// assignment, a hundred times as large, is made where it is proven and lives no longer.
pub struct ChunkJob {
    keys: Arc<ProverKeys>,
    chunk: Chunk,
    inputs: Vec<Fr>,
}

enum Chunk {
    C1(C1Inputs, c1::Chunk),
    C2(C2Inputs, c2::Chunk),
}

impl ChunkJob {
    /// The job of a chunk.
    pub fn new(keys: Arc<ProverKeys>, statement: Statement<'_>) -> ChunkJob {
        let chunk = match statement {
            Statement::C1(inputs, chunk) => Chunk::C1(inputs.clone(), chunk.clone()),
            Statement::C2(inputs, chunk) => Chunk::C2(inputs.clone(), chunk.clone()),
        };
        ChunkJob { keys, chunk, inputs: statement.inputs() }
    }

    fn statement(&self) -> Statement<'_> {
        match &self.chunk {
            Chunk::C1(inputs, chunk) => Statement::C1(inputs, chunk),
            Chunk::C2(inputs, chunk) => Statement::C2(inputs, chunk),
        }
    }

    fn engine(&self) -> &ShapeEngine {
        self.keys.engine_of(self.statement())
    }

    /// What it is proven under.
    pub fn verifying_key(&self) -> &VerifyingKey {
        self.engine().key().verifying_key()
    }

    /// keccak256 of the verifying key's words.
    pub fn key_id(&self) -> [u8; 32] {
        self.verifying_key().id()
    }

    /// Which circuit.
    pub fn shape(&self) -> &'static Shape {
        self.engine().shape
    }

    /// Hash of the circuit's matrices.
    pub fn circuit_hash(&self) -> [u8; 32] {
        self.engine().key().circuit_hash()
    }

    /// Constraints of the circuit.
    pub fn constraints(&self) -> usize {
        self.engine().key().constraints()
    }

    /// The public inputs, without the constant one.
    pub fn inputs(&self) -> &[Fr] {
        &self.inputs
    }

    /// Which job it is.
    pub fn input_hash(&self) -> InputHash {
        InputHash::of(&self.key_id(), &self.inputs)
    }

    /// Every column and product: the witness, zeroised when dropped. Hold one at a time.
    ///
    /// # Errors
    /// [`ProverKeysError::Chunk`] if the chunk is not of its shape.
    pub fn assign(&self) -> Result<Assignment, ProverKeysError> {
        Ok(self.shape().assign(self.statement())?)
    }

    /// The proof of its assignment, as the node's own engine makes and verifies it.
    ///
    /// # Errors
    /// [`ProverKeysError`].
    pub fn prove(
        &self,
        assignment: &Assignment,
        entropy: &mut StdRng,
    ) -> Result<ProofBytes, ProverKeysError> {
        Ok(self.engine().prove(assignment, entropy)?.encode())
    }
}

/// Says nothing of a patient.
impl fmt::Debug for ChunkJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a chunk of {}, job {}", self.shape().name, self.input_hash())
    }
}
