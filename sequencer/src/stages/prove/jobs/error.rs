//! Why a job has no proof, and why an answer is not taken.

use statement::proof::{PointError, VerifyError};
use thiserror::Error;

use super::names::WorkerName;
use super::table::LeaseError;
use crate::guard::UnplannedEnd;
use crate::stages::prove::keys::ProverKeysError;
use prover::ProveError;

/// Why a job was not proven.
#[derive(Debug, Error)]
pub enum JobError {
    /// There is no assignment or no proof of it.
    #[error(transparent)]
    Prover(#[from] ProverKeysError),
    /// The work panicked.
    #[error("the proof was given up")]
    Panicked(#[from] UnplannedEnd),
    /// A worker elsewhere said so.
    #[error("worker {worker} could not prove it: {why}")]
    Told {
        /// Who.
        worker: WorkerName,
        /// In its words.
        why: String,
    },
    /// A worker answered with something else.
    #[error("worker {worker} answered with what is no proof of it")]
    False {
        /// Who.
        worker: WorkerName,
        /// What it is.
        source: Box<AnswerError>,
    },
    /// A worker was not heard of any more.
    #[error("worker {worker} had it and gave no sign of life until its lease was over")]
    Lost {
        /// Who.
        worker: WorkerName,
    },
}

impl JobError {
    /// Whether every worker would find the same: it lies in the chunk and not in who works on it.
    pub(super) fn is_final(&self) -> bool {
        let JobError::Prover(error) = self else { return false };
        match error {
            // Withheld: a core or a memory that miscomputed, which another may not do.
            ProverKeysError::Prove(error) => !matches!(error, ProveError::Withheld(_)),
            _ => true,
        }
    }
}

/// Why an answer is not taken. A closed list: metrics name them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Not under this lease.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The bytes are no proof.
    #[error("expected the {} bytes of a proof, found others", statement::proof::Proof::BYTES)]
    Malformed(#[from] PointError),
    /// It proves something else, or nothing.
    #[error("the proof does not verify against the job's inputs and key")]
    Unverified(#[from] VerifyError),
}

impl AnswerError {
    /// As metrics name it.
    pub const fn name(&self) -> &'static str {
        match self {
            AnswerError::Lease(LeaseError::Late { .. }) => "late",
            AnswerError::Lease(LeaseError::Aborted { .. }) => "aborted",
            AnswerError::Lease(LeaseError::OtherInput { .. }) => "other-input",
            AnswerError::Malformed(_) => "malformed",
            AnswerError::Unverified(_) => "unverified",
        }
    }
}
