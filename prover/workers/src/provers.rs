//! What a worker proves with: matrices, keys and engines, opened when a job first asks for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use circuits::builder::R1cs;
use circuits::shapes::Shape;
use jobs::{Columns, FailedBecause, JobHead, Outcome};
use prover::job::Job;
use prover::{Blinding, Choice, Engine, KeyStore, Setup, TABLE_ROWS_MIN, TableTerms};
use rand::rngs::OsRng;

/// Makes the proof of a job. Blocks for as long as that takes; may panic, which fails the job
/// alone.
pub trait Prove: Send + Sync + 'static {
    /// The proof, or why there is none.
    fn prove(&self, head: &JobHead, columns: &Columns) -> Outcome;
}

/// The real ones. Each shape that jobs ask for takes its matrices (about 140 MiB at 2^17), its key
/// and its engine, for as long as the program runs, and its tables as far as they may go.
pub struct Provers {
    config: ProversConfig,
    circuits: Mutex<BTreeMap<&'static str, Arc<Circuit>>>,
    tables: Arc<Tables>,
}

/// With what keys, and how, proofs are made.
#[derive(Clone, Debug)]
pub struct ProversConfig {
    /// Folder of the keys and of their tables.
    pub keys: PathBuf,
    /// Which keys.
    pub setup: Setup,
    /// What proves.
    pub engine: Choice,
    /// Memory that tables of all shapes may have; none are made for 0.
    pub table_bytes_max: usize,
}

impl ProversConfig {
    /// Development keys in a folder, without tables.
    pub fn dev_insecure(keys: impl Into<PathBuf>) -> ProversConfig {
        let (setup, engine) = (Setup::DevInsecure, Choice::Auto);
        ProversConfig { keys: keys.into(), setup, engine, table_bytes_max: 0 }
    }
}

/// A shape with all that its proofs need.
struct Circuit {
    r1cs: R1cs,
    hash: [u8; 32],
    engine: Box<dyn Engine>,
}

/// Gets the tables of one shape after the other.
struct Tables {
    folder: PathBuf,
    /// Bytes that further tables may have; locked while some are got.
    room: Mutex<usize>,
}

impl Tables {
    /// Blocks for some ten CPU seconds where they must be made.
    fn add(&self, circuit: &Circuit, shape: &'static str) {
        // A panic in between has taken no room that it did not use.
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if *room == 0 || circuit.r1cs.a.len() < TABLE_ROWS_MIN {
            return;
        }
        let terms = TableTerms { folder: &self.folder, bytes_max: *room, go_on: &|| true };
        let result = circuit.engine.add_tables(&terms);
        let bytes = circuit.engine.table_bytes();
        *room -= bytes.min(*room);
        match result {
            Ok(report) => tracing::info!(shape, bytes, wanted = report.bytes_wanted, "tables"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(shape, error, "proofs are made without some tables");
            }
        }
    }
}

impl Provers {
    /// Nothing is opened before a job asks for it.
    pub fn new(config: ProversConfig) -> Provers {
        let room = Mutex::new(config.table_bytes_max);
        let tables = Arc::new(Tables { folder: config.keys.clone(), room });
        Provers { config, circuits: Mutex::default(), tables }
    }

    fn circuit(&self, head: &JobHead) -> Result<Arc<Circuit>, FailedBecause> {
        let shape = Shape::named(head.shape.as_str()).ok_or(FailedBecause::Circuit)?;
        // Held while a key is opened or made: a second job of the shape waits for the first one's.
        // A panic in between has added nothing.
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(circuit) = circuits.get(shape.name) {
            return Ok(circuit.clone());
        }
        tracing::info!(shape = shape.name, "learning the matrices and opening the key");
        let r1cs = shape.matrices();
        let hash = r1cs.hash();
        // Before a key is made for it, which takes minutes and would be another circuit's.
        if hash != head.circuit_hash {
            return Err(FailedBecause::Circuit);
        }
        let opened =
            KeyStore::new(&self.config.keys).open(self.config.setup, &r1cs).map_err(|error| {
                tracing::error!(shape = shape.name, %error, "no proving key");
                FailedBecause::Key
            });
        let engine = self.config.engine.open(Arc::new(opened?)).map_err(|error| {
            tracing::error!(%error, "the engine asked for does not run here");
            FailedBecause::Engine
        })?;
        let circuit = Arc::new(Circuit { r1cs, hash, engine });
        circuits.insert(shape.name, circuit.clone());
        // The first proofs are made without. The thread ends with the program: a file of tables is
        // there whole or not at all.
        let (tables, given) = (self.tables.clone(), circuit.clone());
        thread::spawn(move || tables.add(&given, shape.name));
        Ok(circuit)
    }

    fn proof(&self, head: &JobHead, columns: &Columns) -> Result<Outcome, FailedBecause> {
        let begun = Instant::now();
        let circuit = self.circuit(head)?;
        if circuit.hash != head.circuit_hash {
            return Err(FailedBecause::Circuit);
        }
        if circuit.engine.key().verifying_key().id() != head.key_id {
            return Err(FailedBecause::Key);
        }
        let job = Job::from_columns(&circuit.r1cs, &columns.public, &columns.private);
        let job = job.map_err(|error| {
            tracing::warn!(shape = %head.shape, %error, "the columns are refused");
            FailedBecause::Violated
        })?;
        let multiplied = begun.elapsed();
        // From the operating system: who can guess the blinding can test guesses of the witness.
        let proven = job.prove_with(&*circuit.engine, &Blinding::draw(&mut OsRng));
        let proven = proven.map_err(|error| {
            tracing::error!(shape = %head.shape, %error, "no proof");
            FailedBecause::Engine
        })?;
        let (all, before) = (begun.elapsed().as_millis(), multiplied.as_millis());
        tracing::info!(shape = %head.shape, attempt = head.lease.attempt, ms = %all,
            before_proving_ms = %before, engine = circuit.engine.name(), "proven");
        let took_ms = u32::try_from(all).unwrap_or(u32::MAX);
        Ok(Outcome::Proven { proof: Box::new(proven.proof.encode()), took_ms })
    }
}

impl Prove for Provers {
    fn prove(&self, head: &JobHead, columns: &Columns) -> Outcome {
        self.proof(head, columns).unwrap_or_else(Outcome::Failed)
    }
}
