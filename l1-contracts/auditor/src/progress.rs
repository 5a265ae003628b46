//! Where an audit is, for whoever waits for it.

use l1_contracts::Wait;

use crate::headers::SavedBatch;

/// What an audit does, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Searches blocks for events.
    Blocks,
    /// Reads the times of batches.
    Headers,
    /// Checks public files with their proofs.
    Batches,
}

/// Is told how far an audit is.
pub trait Progress: Send + Sync {
    /// The step has come to `done` of `of`.
    fn at(&self, step: Step, done: u64, of: u64);
    /// A busy node is waited for.
    fn waits(&self, wait: &Wait);
    /// One more batch is verified; `so_far` gives what an audit that ends here would leave for the
    /// next one. It copies all headers: for whoever keeps them from time to time.
    fn verified(&self, _so_far: &dyn Fn() -> Vec<SavedBatch>) {}
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn at(&self, _step: Step, _done: u64, _of: u64) {}
    fn waits(&self, _wait: &Wait) {}
}
