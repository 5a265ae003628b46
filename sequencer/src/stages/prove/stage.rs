//! Turns closed windows into assembled batches.

use std::sync::Arc;

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
use crate::window::{Assembled, ClosedWindow};

/// What a batcher continues from.
#[derive(Clone)]
pub struct BatcherConfig {
    /// What every batch is bound to.
    pub binding: BatchBinding,
    /// The batch before the first that it makes.
    pub last: LastBatch,
    /// From the operating system: it blinds the proofs.
    pub seed: [u8; 32],
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
    fn store(&mut self, batch: Assembled) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Tells of a step.
    fn tell(&mut self, progress: Progress);
}

/// Why a window cannot become a batch. Fatal: order is forced, so nothing later can settle.
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
    #[error("a chunk of batch {number} cannot be proven")]
    Prove {
        /// Which batch.
        number: u64,
        /// Why.
        source: ProverKeysError,
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

/// The stage. Fed window by window; keeps the last header's hash, which the next header names.
pub struct Batcher {
    binding: BatchBinding,
    keys: Arc<ProverKeys>,
    journal: Reader<FileMedium>,
    sink: Box<dyn BatchSink>,
    last: LastBatch,
    entropy: StdRng,
}

impl Batcher {
    /// Continues after the last batch.
    pub fn new(
        config: BatcherConfig,
        keys: Arc<ProverKeys>,
        journal: Reader<FileMedium>,
        sink: Box<dyn BatchSink>,
    ) -> Batcher {
        let BatcherConfig { binding, last, seed } = config;
        // A generator fit for keys, seeded once: no two proofs of this process share their
        // blinding.
        Batcher { binding, keys, journal, sink, last, entropy: StdRng::from_seed(seed) }
    }

    /// Lays out, proves, assembles and stores the next window.
    ///
    /// # Errors
    /// [`BatcherError`]; nothing is stored then.
    pub fn make_batch(&mut self, window: &ClosedWindow) -> Result<(), BatcherError> {
        let number = window.contents.number.0;
        // A window that found no room in the queue is missing here. It is in the journal, and only
        // a restart reads it from there.
        let expected = self.last.number.0 + 1;
        if number != expected {
            return Err(BatcherError::Order { expected, found: number });
        }
        // Before any proof: the plan checks every rule natively and names the one that is broken.
        let plan = plan(&window.contents, &self.binding, self.keys.capacities());
        let plan = plan.map_err(|source| BatcherError::Plan { number, source })?;
        let (operations, claims) = (plan.operations.len(), plan.claims.len());
        self.sink.tell(Progress::Planned { number, operations, claims });
        let proven = self.prove(window, plan)?;
        let groups = self.read_groups(window)?;
        let previous = self.last.header_hash;
        let assembled = assemble(&proven, previous, self.binding.key_version, groups);
        let header_hash = scope::header_hash(&assembled.public.header);
        let stored = self.sink.store(assembled);
        stored.map_err(|source| BatcherError::Store { number, source })?;
        // Only when it is stored: a batch is named by the next header and must be found then.
        self.last = LastBatch { number: window.contents.number, header_hash, group: window.group };
        self.sink.tell(Progress::Assembled { number });
        Ok(())
    }

    fn prove(
        &mut self,
        window: &ClosedWindow,
        plan: BatchPlan,
    ) -> Result<ProvenBatch, BatcherError> {
        let number = window.contents.number.0;
        let mut one = |circuit, statement: Statement<'_>| {
            // For progress and metrics only: no decision hangs on it, so the clock is not injected.
            let begun = std::time::Instant::now();
            let proven = self.keys.prove(statement, &mut self.entropy);
            let proven = proven.map_err(|source| BatcherError::Prove { number, source })?;
            let millis = begun.elapsed().as_millis() as u64;
            self.sink.tell(Progress::Proven { number, circuit, millis });
            Ok::<_, BatcherError>(proven)
        };
        // One after the other: a proof takes all cores already, and its memory is the node's peak.
        let mut operation_proofs = Vec::with_capacity(plan.operations.len());
        for (chunk, inputs) in &plan.operations {
            operation_proofs.push(one(Circuit::C1, Statement::C1(inputs, chunk))?);
        }
        let mut claim_proofs = Vec::with_capacity(plan.claims.len());
        for (chunk, inputs) in &plan.claims {
            claim_proofs.push(one(Circuit::C2, Statement::C2(inputs, chunk))?);
        }
        let contents = window.contents.as_ref().clone();
        Ok(ProvenBatch { contents, plan, operation_proofs, claim_proofs })
    }

    /// The journal groups after the previous close, up to the one that holds this close.
    fn read_groups(&self, window: &ClosedWindow) -> Result<BatchGroups, ReadError> {
        let mut groups = Vec::new();
        // Read back rather than remembered: what the header commits to is what the disk holds.
        let mut last = self.last.group;
        // From the group after the last close, so that each group stands in exactly one batch; over
        // numbers that were given up.
        while let Some(number) = self.journal.group_after(last).filter(|n| *n <= window.group) {
            let group = self.journal.group(number)?;
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
}
