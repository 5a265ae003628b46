//! Turns closed windows into assembled batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use circuits::shapes::Statement;
use journal::{FileMedium, ReadError, Reader};
use model::{BatchNumber, Position};
use rand::SeedableRng;
use rand::rngs::StdRng;
use statement::batch::GroupSummary;
use statement::scope::{self, Circuit};
use thiserror::Error;

use super::{ProverKeys, ProverKeysError};
use crate::stages::batch::{
    BatchBinding, BatchGroups, BatchPlan, PlanError, ProvenBatch, assemble, plan,
};
use crate::window::{Assembled, Capacities, ClosedWindow};

/// What a batcher continues from.
#[derive(Clone)]
pub struct BatcherConfig {
    /// What every batch is bound to.
    pub binding: BatchBinding,
    /// The batch before the first that it makes.
    pub last: LastBatch,
}

/// The last batch that is assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBatch {
    /// Its number; 0 before the first.
    pub number: BatchNumber,
    /// Hash of its header; the genesis hash before the first.
    pub header_hash: [u8; 32],
    /// Journal group that holds its close; 0 before the first.
    pub group: u64,
}

/// A step of the stage, for progress bars and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A batch is laid out.
    Planned {
        /// Which.
        number: u64,
        /// C1 chunks to prove.
        operations: usize,
        /// C2 chunks to prove.
        claims: usize,
    },
    /// A chunk is proven.
    Proven {
        /// Which batch.
        number: u64,
        /// Of which statement.
        circuit: Circuit,
        /// How long it took, milliseconds.
        millis: u64,
    },
    /// The batch is assembled and stored.
    Assembled {
        /// Which.
        number: u64,
    },
}

/// Where assembled batches go and progress is told.
pub trait BatchSink: Send + 'static {
    /// Stores a batch so that a restart finds it. Called in order of numbers.
    ///
    /// # Errors
    /// Whatever keeps it from being stored; the stage stops.
    fn store(&mut self, batch: &Assembled) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Tells of a step.
    fn tell(&mut self, progress: Progress);
}

/// Why a window did not become a batch. Order is forced, so nothing later can settle before it.
/// Nothing is changed by the attempt: the same window can be tried again.
#[derive(Debug, Error)]
pub enum BatcherError {
    /// A window out of order.
    #[error("expected window {expected}, found {found}")]
    Order {
        /// Number expected.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// The window does not fulfil the statements.
    #[error("window {number} cannot be laid out")]
    Plan {
        /// Which.
        number: u64,
        /// Why.
        source: PlanError,
    },
    /// A chunk was not proven.
    #[error("chunk {chunk} of {circuit} of batch {number} cannot be proven")]
    Prove {
        /// Which batch.
        number: u64,
        /// C1 or C2.
        circuit: &'static str,
        /// Number of the chunk among those of its circuit.
        chunk: usize,
        /// Why.
        source: ProverKeysError,
    },
    /// Who asked for the proofs wants no more of them.
    #[error("the proofs of batch {number} were not finished, because the node stops")]
    Stopped {
        /// Which batch.
        number: u64,
    },
    /// The journal cannot be read.
    #[error("the journal groups of the batch cannot be read")]
    Journal(#[from] ReadError),
    /// The batch cannot be stored.
    #[error("batch {number} cannot be stored")]
    Store {
        /// Which.
        number: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Proves the chunks of a window. A node has one: a proof takes all cores already, and its memory
/// is the node's peak.
pub struct ChunkProver {
    keys: Arc<ProverKeys>,
    entropy: StdRng,
}

impl ChunkProver {
    /// Proves under `keys`; `seed` comes from the operating system and blinds the proofs.
    pub fn new(keys: Arc<ProverKeys>, seed: [u8; 32]) -> Arc<Mutex<ChunkProver>> {
        // A generator fit for keys, seeded once: no two proofs of this process share their
        // blinding.
        let entropy = StdRng::from_seed(seed);
        Arc::new(Mutex::new(ChunkProver { keys, entropy }))
    }

    /// Proves every chunk of the window's plan, for as long as `go_on` says so before each: a chunk
    /// that is begun is finished.
    ///
    /// # Errors
    /// [`BatcherError::Prove`] for the first that cannot be, [`BatcherError::Stopped`].
    pub fn prove(
        &mut self,
        window: &ClosedWindow,
        plan: BatchPlan,
        tell: &mut dyn FnMut(Progress),
        go_on: &dyn Fn() -> bool,
    ) -> Result<ProvenBatch, BatcherError> {
        let number = window.contents.number.0;
        let mut one = |circuit, chunk, statement: Statement<'_>| {
            if !go_on() {
                return Err(BatcherError::Stopped { number });
            }
            // For progress and metrics only: no decision hangs on it, so the clock is not injected.
            let begun = std::time::Instant::now();
            let proven = self.keys.prove(statement, &mut self.entropy);
            let proven = proven.map_err(|source| {
                let circuit = if circuit == Circuit::C1 { "C1" } else { "C2" };
                BatcherError::Prove { number, circuit, chunk, source }
            })?;
            let millis = begun.elapsed().as_millis() as u64;
            tell(Progress::Proven { number, circuit, millis });
            Ok::<_, BatcherError>(proven)
        };
        let mut operation_proofs = Vec::with_capacity(plan.operations.len());
        for (number, (chunk, inputs)) in plan.operations.iter().enumerate() {
            operation_proofs.push(one(Circuit::C1, number, Statement::C1(inputs, chunk))?);
        }
        let mut claim_proofs = Vec::with_capacity(plan.claims.len());
        for (number, (chunk, inputs)) in plan.claims.iter().enumerate() {
            claim_proofs.push(one(Circuit::C2, number, Statement::C2(inputs, chunk))?);
        }
        let contents = window.contents.as_ref().clone();
        Ok(ProvenBatch { contents, plan, operation_proofs, claim_proofs })
    }
}

/// Makes batches, one window after the other. A trait so that the loop around it is tested with one
/// that fails when a test says so.
pub trait MakeBatch {
    /// Lays out, proves, assembles and stores the next window.
    ///
    /// # Errors
    /// [`BatcherError`]; nothing is stored then, and the same window can be tried again.
    fn make_batch(&mut self, window: &ClosedWindow) -> Result<(), BatcherError>;
}

/// The stage. Fed window by window; keeps the last header's hash, which the next header names.
pub struct Batcher {
    binding: BatchBinding,
    capacities: Capacities,
    prover: Arc<Mutex<ChunkProver>>,
    journal: Reader<FileMedium>,
    sink: Box<dyn BatchSink>,
    last: LastBatch,
    /// A batch that is proven and could not be stored: proving it again costs minutes.
    unstored: Option<Unstored>,
}

/// A batch before it is stored, and what the next one continues from.
struct Unstored {
    batch: Assembled,
    last: LastBatch,
}

impl Batcher {
    /// Continues after the last batch.
    pub fn new(
        config: BatcherConfig,
        prover: Arc<Mutex<ChunkProver>>,
        journal: Reader<FileMedium>,
        sink: Box<dyn BatchSink>,
    ) -> Batcher {
        let BatcherConfig { binding, last } = config;
        let capacities = lock(&prover).keys.capacities();
        Batcher { binding, capacities, prover, journal, sink, last, unstored: None }
    }

    /// Lays out, proves and assembles the next window.
    fn assemble(&mut self, window: &ClosedWindow) -> Result<Unstored, BatcherError> {
        let number = window.contents.number.0;
        // Whoever feeds it reads back from the journal what found no room in the queue.
        let expected = self.last.number.0 + 1;
        if number != expected {
            return Err(BatcherError::Order { expected, found: number });
        }
        // Before any proof: the plan checks every rule natively and names the one that is broken.
        let plan = plan(&window.contents, &self.binding, self.capacities);
        let plan = plan.map_err(|source| BatcherError::Plan { number, source })?;
        let (operations, claims) = (plan.operations.len(), plan.claims.len());
        self.sink.tell(Progress::Planned { number, operations, claims });
        let sink = &mut self.sink;
        let mut tell = |progress| sink.tell(progress);
        // A stop waits for it: what is closed is proven before the node ends.
        let proven = lock(&self.prover).prove(window, plan, &mut tell, &|| true)?;
        let groups = groups_of(&self.journal, self.last.group, window)?;
        let previous = self.last.header_hash;
        let batch = assemble(&proven, previous, &self.binding, groups);
        let header_hash = scope::header_hash(&batch.public.header);
        let number = window.contents.number;
        Ok(Unstored { batch, last: LastBatch { number, header_hash, group: window.group } })
    }

    fn store(&mut self, unstored: Unstored) -> Result<(), BatcherError> {
        let number = unstored.last.number.0;
        if let Err(source) = self.sink.store(&unstored.batch) {
            self.unstored = Some(unstored);
            return Err(BatcherError::Store { number, source });
        }
        // Only when it is stored: a batch is named by the next header and must be found then.
        self.last = unstored.last;
        self.sink.tell(Progress::Assembled { number });
        Ok(())
    }
}

/// A panic in a proof ends the stage, and leaves nothing here that is half done.
fn lock(prover: &Mutex<ChunkProver>) -> MutexGuard<'_, ChunkProver> {
    prover.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The journal groups after group `after`, which holds the close before, up to the one that holds
/// this window's.
///
/// # Errors
/// [`ReadError`] if the journal does not serve one of them.
pub fn groups_of(
    journal: &Reader<FileMedium>,
    after: u64,
    window: &ClosedWindow,
) -> Result<BatchGroups, ReadError> {
    let mut groups = Vec::new();
    // Read back rather than remembered: what the header commits to is what the disk holds.
    let mut last = after;
    // From the group after the last close, so that each group stands in exactly one batch; over
    // numbers that were given up.
    while let Some(number) = journal.group_after(last).filter(|number| *number <= window.group) {
        let group = journal.group(number)?;
        last = number;
        groups.push(GroupSummary {
            number,
            first: Position(group.first),
            last: Position(group.last),
            content: group.digest,
        });
    }
    Ok(BatchGroups { journal_hash: window.journal_hash, groups })
}

impl MakeBatch for Batcher {
    fn make_batch(&mut self, window: &ClosedWindow) -> Result<(), BatcherError> {
        let unstored = match self.unstored.take() {
            Some(kept) if kept.last.number == window.contents.number => kept,
            _ => self.assemble(window)?,
        };
        self.store(unstored)
    }
}
