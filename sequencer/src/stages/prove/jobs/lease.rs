//! How workers take and answer jobs, whichever machine they are on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::chunk::ChunkJob;
use super::error::AnswerError;
use super::names::{InputHash, LeaseToken, WorkerName};
use super::table::{LeaseError, Leased, ProofBytes};

/// A chunk with the lease under which a worker has it.
pub type LeasedJob = Leased<Arc<ChunkJob>>;

/// What a worker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Under which lease.
    pub token: LeaseToken,
    /// For which statement.
    pub input_hash: InputHash,
    /// Who made it.
    pub worker: WorkerName,
    /// The proof, not looked at yet.
    pub proof: ProofBytes,
}

/// How workers take and answer jobs. Nothing here waits for more than a lock, but for an answer,
/// which is verified for some milliseconds.
///
/// A worker elsewhere can at worst cost time: a job that it loses, fails or answers falsely comes
/// back and is not given to it again, and the node's own threads prove what nobody else does.
pub trait Jobs: Send + Sync + 'static {
    /// Leases the most urgent job that `worker` has not failed, for so long without a sign of life.
    /// None if there is none now, or the node stops.
    fn lease(&self, worker: &WorkerName, length: Duration) -> Option<LeasedJob>;

    /// A sign of life: the lease begins anew and is `worker`'s from now on, who need not be whom it
    /// was given to: a carrier learns late which machine took a job.
    ///
    /// # Errors
    /// [`LeaseError`]; the worker is to drop the job.
    fn beat(&self, token: LeaseToken, worker: &WorkerName) -> Result<(), LeaseError>;

    /// A proof. The lease must last, before and after the proof is verified against the node's own
    /// inputs; one that does not verify is a failure of the worker.
    ///
    /// # Errors
    /// [`AnswerError`], counted.
    fn answer(&self, answer: Answer) -> Result<(), AnswerError>;

    /// The worker could not: the job is queued for others.
    ///
    /// # Errors
    /// [`LeaseError`].
    fn fail(&self, token: LeaseToken, worker: &WorkerName, why: &str) -> Result<(), LeaseError>;

    /// Given back unharmed, as by a worker that stops: queued again, and nobody failed.
    ///
    /// # Errors
    /// [`LeaseError`].
    fn give_back(&self, token: LeaseToken) -> Result<(), LeaseError>;

    /// Changes with everything that happens to a job, and when the node stops.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether no job is begun any more.
    fn is_stopping(&self) -> bool;
}
