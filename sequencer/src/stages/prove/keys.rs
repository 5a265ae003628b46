//! The two circuits with their keys and engines.

use std::path::Path;
use std::sync::Arc;

use circuits::builder::Assignment;
use circuits::shapes::{Capacity, Shape, Statement, WrongShape};
use l1_contracts::KeyWords;
use prover::keys::StoreError;
use prover::{Blinding, Choice, Engine, KeyStore, MissingFeatures, ProveError, ProvingKey};
use rand::rngs::StdRng;
use statement::proof::Proof;
use thiserror::Error;

use crate::stages::batch::ProvenChunk;
use crate::window::Capacities;

/// One shape with its engine.
pub(super) struct ShapeEngine {
    pub(super) shape: &'static Shape,
    engine: Box<dyn Engine>,
}

/// Engines for C1 and C2.
pub struct ProverKeys {
    operations: ShapeEngine,
    claims: ShapeEngine,
    capacities: Capacities,
}

/// Which engines are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Name of a shape of C1.
    pub operations: &'a str,
    /// Name of a shape of C2.
    pub claims: &'a str,
    /// What proves.
    pub engine: Choice,
}

impl Wanted<'static> {
    /// The small shapes of tests and benches.
    pub const TEST: Self = Self { operations: "c1-test", claims: "c2-test", engine: Choice::Auto };
}

/// Why there are no keys, or no proof.
#[derive(Debug, Error)]
pub enum ProverKeysError {
    /// No such shape, or one of the other circuit.
    #[error("expected the name of a {circuit} shape (see `prover shapes`), found {found}")]
    Shape {
        /// C1 or C2.
        circuit: &'static str,
        /// Name found.
        found: String,
    },
    /// The key cannot be read or made.
    #[error("the proving key of shape {shape} cannot be had")]
    Key {
        /// Which shape.
        shape: &'static str,
        /// Why.
        source: StoreError,
    },
    /// The engine asked for does not run here.
    #[error("`prover.engine` asks for the accelerated engine (see `prover engines`)")]
    Engine(#[from] MissingFeatures),
    /// The chunk is not of the shape.
    #[error("the chunk does not fit its shape")]
    Chunk(#[from] WrongShape),
    /// The chunk does not satisfy the circuit, although its native twin accepts it.
    #[error("constraint {row} of shape {shape} does not hold (of rule {rule})")]
    Violated {
        /// Which shape.
        shape: &'static str,
        /// Its row.
        row: usize,
        /// The rule that owns it; empty outside of rules.
        rule: &'static str,
    },
    /// There is no proof.
    #[error("the chunk cannot be proven")]
    Prove(#[from] ProveError),
}

impl ProverKeys {
    /// Opens the development keys of two shapes below `folder`, making those that are not there
    /// (about 10 CPU seconds each at 2^17). `begin` is told the shape before each.
    ///
    /// # Errors
    /// [`ProverKeysError`].
    pub fn open(
        folder: &Path,
        wanted: Wanted<'_>,
        mut begin: impl FnMut(&'static str),
    ) -> Result<ProverKeys, ProverKeysError> {
        let shape = |circuit, name: &str| {
            let found = name.to_owned();
            Shape::named(name).ok_or(ProverKeysError::Shape { circuit, found })
        };
        let Wanted { operations, claims, engine: choice } = wanted;
        let (c1, c2) = (shape("C1", operations)?, shape("C2", claims)?);
        // The capacity and not the name says of which circuit a shape is.
        let capacities = match (c1.capacity, c2.capacity) {
            (Capacity::Operations(operations), Capacity::Claims(claims)) => {
                Capacities { operations, claims }
            }
            (Capacity::Operations(_), _) => {
                let found = claims.to_owned();
                return Err(ProverKeysError::Shape { circuit: "C2", found });
            }
            _ => {
                let found = operations.to_owned();
                return Err(ProverKeysError::Shape { circuit: "C1", found });
            }
        };
        let store = KeyStore::new(folder);
        let mut engine = |shape: &'static Shape| {
            begin(shape.name);
            // The matrices serve for the key alone and are dropped with it: an assignment is made
            // without them.
            let key = store.open_or_make(&shape.matrices());
            let key = key.map_err(|source| ProverKeysError::Key { shape: shape.name, source })?;
            let engine = choice.open(Arc::new(key))?;
            Ok::<_, ProverKeysError>(ShapeEngine { shape, engine })
        };
        Ok(ProverKeys { operations: engine(c1)?, claims: engine(c2)?, capacities })
    }

    /// Puts others before both engines.
    #[cfg(test)]
    pub(crate) fn behind(mut self, engine: impl Fn(Box<dyn Engine>) -> Box<dyn Engine>) -> Self {
        (self.operations.engine, self.claims.engine) =
            (engine(self.operations.engine), engine(self.claims.engine));
        self
    }

    /// What one chunk of each circuit holds.
    pub fn capacities(&self) -> Capacities {
        self.capacities
    }

    /// Both verifying keys as they are deployed.
    pub fn key_words(&self) -> Vec<KeyWords> {
        let entry = |one: &ShapeEngine, circuit| {
            let words = one.engine.key().verifying_key().key_words();
            KeyWords { shape: one.shape.name.to_owned(), circuit, words }
        };
        vec![entry(&self.operations, 1), entry(&self.claims, 2)]
    }

    /// Whether the keys are development keys, under which anybody can forge.
    pub fn are_dev_insecure(&self) -> bool {
        // Either is enough: a batch with chunks of both circuits is worth what the weaker key is.
        let both = [&self.operations, &self.claims];
        both.iter().any(|one| one.engine.key().verifying_key().is_dev_insecure())
    }

    /// Name of the engine that proves claims; the other circuit's is the same at production shapes.
    pub fn engine_name(&self) -> &'static str {
        self.claims.engine.name()
    }

    /// Constraints of the C1 and C2 shape.
    pub fn constraints(&self) -> (usize, usize) {
        (self.operations.engine.key().constraints(), self.claims.engine.key().constraints())
    }

    /// The engine of the shape that a chunk is of.
    pub(super) fn engine_of(&self, statement: Statement<'_>) -> &ShapeEngine {
        match statement {
            Statement::C1(..) => &self.operations,
            Statement::C2(..) => &self.claims,
        }
    }

    /// Proves one chunk that its native twin has checked. The proof is verified before it returns.
    ///
    /// # Errors
    /// [`ProverKeysError`] if the chunk is not of the shape or does not satisfy the circuit.
    pub fn prove(
        &self,
        statement: Statement<'_>,
        entropy: &mut StdRng,
    ) -> Result<ProvenChunk, ProverKeysError> {
        let one = self.engine_of(statement);
        let proof = one.prove(&one.shape.assign(statement)?, entropy)?;
        Ok(ProvenChunk { key_id: one.key().verifying_key().id(), proof: proof.encode() })
    }
}

impl ShapeEngine {
    /// What it proves under. Its id is for the contract, which looks the key up by it; the circuit
    /// follows from the chunk's place.
    pub(super) fn key(&self) -> &ProvingKey {
        self.engine.key()
    }

    /// Proves that the assignment of a chunk satisfies the circuit.
    pub(super) fn prove(
        &self,
        assignment: &Assignment,
        entropy: &mut StdRng,
    ) -> Result<Proof, ProverKeysError> {
        let proof = self.engine.prove(assignment, &Blinding::draw(entropy));
        proof.map_err(|error| match error {
            ProveError::Violated { row } => {
                // Made for this line of the log alone: the rule is what tells where to look.
                let rules = self.shape.matrices().rules;
                let rule = rules.get(row).copied().unwrap_or("");
                ProverKeysError::Violated { shape: self.shape.name, row, rule }
            }
            error => ProverKeysError::Prove(error),
        })
    }
}
