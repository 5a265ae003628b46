//! The circuits' shapes with their keys and engines.

use std::path::Path;
use std::sync::Arc;

use circuits::builder::Assignment;
use circuits::shapes::{Capacity, SHAPES, Shape, Statement, WrongShape};
use l1_contracts::KeyWords;
use prover::keys::StoreError;
use prover::{
    Blinding, Choice, Engine, KeyStore, MissingFeatures, ProveError, ProvingKey, Setup, TableError,
    TableReport, TableTerms,
};
use rand::rngs::StdRng;
use statement::proof::Proof;
use statement::scope::Circuit;
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
    /// For each shape that a chunk of claims may have; never none.
    claims: Vec<ShapeEngine>,
    capacities: Capacities,
}

/// Which engines are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Name of a shape of C1.
    pub operations: &'a str,
    /// Names of shapes of C2, at least one. Their order does not matter.
    pub claims: &'a [&'a str],
    /// Which keys.
    pub setup: Setup,
    /// What proves.
    pub engine: Choice,
}

impl Wanted<'static> {
    /// The small shapes of tests and benches.
    pub const TEST: Self = Self {
        operations: "c1-test",
        claims: &["c2-test", "c2-test-1"],
        setup: Setup::DevInsecure,
        engine: Choice::Auto,
    };
}

impl Wanted<'_> {
    /// The shapes of both circuits, those of claims in the order of the table.
    ///
    /// # Errors
    /// [`ProverKeysError::Shape`] for a name of no such shape.
    pub(crate) fn shapes(&self) -> Result<(&'static Shape, Vec<&'static Shape>), ProverKeysError> {
        let named = |circuit: Circuit, name: &str| {
            // The capacity and not the name says of which circuit a shape is.
            let shape = Shape::named(name).filter(|shape| shape.circuit() == circuit);
            let circuit = if circuit == Circuit::C1 { "C1" } else { "C2" };
            shape.ok_or_else(|| ProverKeysError::Shape { circuit, found: name.to_owned() })
        };
        let operations = named(Circuit::C1, self.operations)?;
        for name in self.claims {
            named(Circuit::C2, name)?;
        }
        // One order, so that whoever lays a window out again comes to the same chunks.
        let claims: Vec<_> =
            SHAPES.iter().filter(|shape| self.claims.contains(&shape.name)).collect();
        Ok((operations, claims))
    }
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
    /// Opens the keys of the shapes below `folder`. Development keys are made if they are not there
    /// (about 10 CPU seconds each at 2^17), a ceremony's are there or an error. `begin` is told the
    /// shape before each.
    ///
    /// # Errors
    /// [`ProverKeysError`].
    pub fn open(
        folder: &Path,
        wanted: Wanted<'_>,
        mut begin: impl FnMut(&'static str),
    ) -> Result<ProverKeys, ProverKeysError> {
        let (c1, c2) = wanted.shapes()?;
        let capacities = Capacities::of_shapes(c1, &c2);
        let none = || ProverKeysError::Shape { circuit: "C2", found: "none".to_owned() };
        let capacities = capacities.ok_or_else(none)?;
        let store = KeyStore::new(folder);
        let mut engine = |shape: &'static Shape| {
            begin(shape.name);
            // The matrices serve for the key alone and are dropped with it: an assignment is made
            // without them.
            let key = store.open(wanted.setup, &shape.matrices());
            let key = key.map_err(|source| ProverKeysError::Key { shape: shape.name, source })?;
            let engine = wanted.engine.open(Arc::new(key))?;
            Ok::<_, ProverKeysError>(ShapeEngine { shape, engine })
        };
        let operations = engine(c1)?;
        let claims = c2.into_iter().map(engine).collect::<Result<_, _>>()?;
        Ok(ProverKeys { operations, claims, capacities })
    }

    /// Puts others before all engines.
    #[cfg(test)]
    pub(crate) fn behind(self, engine: impl Fn(Box<dyn Engine>) -> Box<dyn Engine>) -> Self {
        let put = |one: ShapeEngine| ShapeEngine { engine: engine(one.engine), ..one };
        let ProverKeys { operations, claims, capacities } = self;
        let (operations, claims) = (put(operations), claims.into_iter().map(put).collect());
        ProverKeys { operations, claims, capacities }
    }

    /// What the chunks of each circuit hold.
    pub fn capacities(&self) -> &Capacities {
        &self.capacities
    }

    /// The verifying keys as they are deployed.
    pub fn key_words(&self) -> Vec<KeyWords> {
        let entry = |one: &ShapeEngine| {
            let words = one.engine.key().verifying_key().key_words();
            let circuit = one.shape.circuit() as u8;
            KeyWords { shape: one.shape.name.to_owned(), circuit, words }
        };
        self.all().map(entry).collect()
    }

    /// Whether some key is a development key, under which anybody can forge.
    pub fn are_dev_insecure(&self) -> bool {
        // One is enough: a batch with chunks of several is worth what the weakest key is.
        self.all().any(|one| one.engine.key().verifying_key().is_dev_insecure())
    }

    /// Name of the engine that proves operations; that of claims is the same at production shapes.
    pub fn engine_name(&self) -> &'static str {
        self.operations.engine.name()
    }

    /// Constraints of each shape, by its name: that of C1, then those of C2.
    pub fn constraints(&self) -> Vec<(&'static str, usize)> {
        self.all().map(|one| (one.shape.name, one.engine.key().constraints())).collect()
    }

    /// Gets the tables of each shape of at least `rows_min` rows that makes proofs faster, those of
    /// claims first, as far as `bytes_max` goes for all together. `told` is given each shape with
    /// what came of it.
    pub fn add_tables(
        &self,
        terms: &TableTerms<'_>,
        rows_min: usize,
        mut told: impl FnMut(&'static str, Result<TableReport, TableError>),
    ) {
        let mut room = terms.bytes_max;
        for one in self.claims.iter().chain([&self.operations]) {
            if one.engine.key().constraints() < rows_min || !(terms.go_on)() {
                continue;
            }
            let result = one.engine.add_tables(&TableTerms { bytes_max: room, ..*terms });
            room -= one.engine.table_bytes().min(room);
            told(one.shape.name, result);
        }
    }

    /// Bytes of the tables in use.
    pub fn table_bytes(&self) -> usize {
        self.all().map(|one| one.engine.table_bytes()).sum()
    }

    fn all(&self) -> impl Iterator<Item = &ShapeEngine> {
        std::iter::once(&self.operations).chain(&self.claims)
    }

    /// The engine of the shape that a chunk is of. A chunk of no shape here gets the first of its
    /// circuit, which refuses to assign it.
    pub(super) fn engine_of(&self, statement: Statement<'_>) -> &ShapeEngine {
        let capacity = statement.capacity();
        let first = match capacity {
            Capacity::Operations(_) => &self.operations,
            Capacity::Claims(_) => &self.claims[0],
        };
        self.all().find(|one| one.shape.capacity == capacity).unwrap_or(first)
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
        let tables = self.engine.table_bytes();
        let proof = self.engine.prove(assignment, &Blinding::draw(entropy));
        if self.engine.table_bytes() < tables {
            let shape = self.shape.name;
            tracing::error!(shape, "a table was false: its files are removed, none is used now");
        }
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
