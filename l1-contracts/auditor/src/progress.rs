//! Where an audit is, for whoever waits for it.

use l1_contracts::Wait;

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
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn at(&self, _step: Step, _done: u64, _of: u64) {}
    fn waits(&self, _wait: &Wait) {}
}
