//! Turns closed windows into assembled batches.

use journal::{FileMedium, Medium, ReadError, Reader};
use model::{BatchNumber, Position};
use statement::batch::GroupSummary;
use statement::scope;
use thiserror::Error;

use super::jobs::SetError;
use super::planner::{Planned, Planner};
use super::progress::Progress;
use crate::stages::batch::{BatchGroups, PlanError, assemble};
use crate::window::{Assembled, ClosedWindow};

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

/// Where assembled batches go.
pub trait BatchSink: Send + 'static {
    /// Stores a batch so that a restart finds it. Called in order of numbers.
    ///
    /// # Errors
    /// Whatever keeps it from being stored; the stage stops.
    fn store(&mut self, batch: &Assembled) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
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
    /// A chunk was not proven, or the node stops.
    #[error("batch {number} is not proven")]
    Prove {
        /// Which batch.
        number: u64,
        /// Which chunk, and why.
        source: SetError,
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
    planner: Planner,
    journal: Reader<FileMedium>,
    sink: Box<dyn BatchSink>,
    last: LastBatch,
    /// How far the next window came, so that what is done is not done again.
    under_way: Option<UnderWay>,
}

/// A window that is no stored batch yet.
enum UnderWay {
    /// Laid out; its proofs are made.
    Planned(Planned),
    /// As before, and a chunk of it failed.
    Failed(Planned),
    /// Proven and assembled, and it could not be stored: proving it again costs minutes.
    Unstored(Unstored),
}

/// A batch before it is stored, and what the next one continues from.
struct Unstored {
    batch: Assembled,
    last: LastBatch,
}

impl Batcher {
    /// Continues after the batch `last`.
    pub fn new(
        planner: Planner,
        last: LastBatch,
        journal: Reader<FileMedium>,
        sink: Box<dyn BatchSink>,
    ) -> Batcher {
        Batcher { planner, journal, sink, last, under_way: None }
    }

    /// Takes over the next window as far as it was laid out ahead.
    pub fn take_over(&mut self, planned: Option<Planned>) {
        self.under_way = planned.map(UnderWay::Planned);
    }

    /// What the window was laid out as; it waits for its proofs with the proving service.
    fn planned(&mut self, window: &ClosedWindow) -> Result<Planned, BatcherError> {
        let number = window.contents.number.0;
        // Whoever feeds it reads back from the journal what found no room in the queue.
        let expected = self.last.number.0 + 1;
        if number != expected {
            return Err(BatcherError::Order { expected, found: number });
        }
        match self.under_way.take() {
            Some(UnderWay::Planned(planned)) if planned.number() == number => Ok(planned),
            Some(UnderWay::Failed(planned)) if planned.number() == number => {
                planned.retry();
                Ok(planned)
            }
            // Before any proof: the plan checks every rule natively and names what is broken.
            _ => {
                let planned = self.planner.plan(window);
                planned.map_err(|source| BatcherError::Plan { number, source })
            }
        }
    }

    /// Waits for the proofs of the next window and assembles it.
    fn assemble(&mut self, window: &ClosedWindow) -> Result<Unstored, BatcherError> {
        let planned = self.planned(window)?;
        let number = window.contents.number;
        let proven = match planned.wait(&|| true) {
            Ok(proven) => proven,
            Err(source) => {
                self.under_way = Some(UnderWay::Failed(planned));
                return Err(BatcherError::Prove { number: number.0, source });
            }
        };
        let groups = groups_of(&self.journal, self.last.group, window);
        let groups = match groups {
            Ok(groups) => groups,
            Err(error) => {
                self.under_way = Some(UnderWay::Planned(planned));
                return Err(error.into());
            }
        };
        let previous = self.last.header_hash;
        let batch = assemble(&proven, previous, &self.planner.binding, groups);
        let header_hash = scope::header_hash(&batch.public.header);
        Ok(Unstored { batch, last: LastBatch { number, header_hash, group: window.group } })
    }

    fn store(&mut self, unstored: Unstored) -> Result<(), BatcherError> {
        let number = unstored.last.number.0;
        let excluded = unstored.batch.public.header.excluded;
        if let Err(source) = self.sink.store(&unstored.batch) {
            self.under_way = Some(UnderWay::Unstored(unstored));
            return Err(BatcherError::Store { number, source });
        }
        // Only when it is stored: a batch is named by the next header and must be found then.
        self.last = unstored.last;
        let service = &self.planner.service;
        service.metrics().claims_excluded_total.inc_by(u64::from(excluded));
        service.tell(Progress::Assembled { number });
        Ok(())
    }
}

/// The journal groups after group `after`, which holds the close before, up to the one that holds
/// this window's.
///
/// # Errors
/// [`ReadError`] if the journal does not serve one of them.
pub fn groups_of<M: Medium>(
    journal: &Reader<M>,
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
        let is_kept = |kept: &mut UnderWay| match kept {
            UnderWay::Unstored(unstored) => unstored.last.number == window.contents.number,
            UnderWay::Planned(_) | UnderWay::Failed(_) => false,
        };
        let unstored = match self.under_way.take_if(is_kept) {
            Some(UnderWay::Unstored(unstored)) => unstored,
            _ => self.assemble(window)?,
        };
        self.store(unstored)
    }
}
