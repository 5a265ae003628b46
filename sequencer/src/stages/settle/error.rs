use alloy::primitives::Address;
use l1_contracts::EdgeError;
use statement::batch::FileError;
use thiserror::Error;

use crate::folder::store::StoreError;
use crate::stages::standing::Cause;

/// Why a round of the settler failed.
#[derive(Debug, Error)]
pub enum SettleError {
    /// The contract refuses the batch.
    #[error("the settlement contract refuses batches {first} to {last}: {reason}")]
    Refused {
        /// First batch of the transaction.
        first: u64,
        /// Last batch of the transaction.
        last: u64,
        /// The contract's error, decoded.
        reason: String,
    },
    /// The key is not that of the account which the contract lets settle.
    #[error("expected the key of settling account {expected}, found that of {found}")]
    OtherKey {
        /// The deployment's sequencer.
        expected: Address,
        /// The key's account.
        found: Address,
    },
    /// A transaction that succeeded when simulated failed when mined.
    #[error("expected the transaction of nonce {nonce} to settle, it was mined and failed")]
    Failed {
        /// The account's nonce.
        nonce: u64,
    },
    /// The chain settled another batch under a number of ours.
    #[error("expected the chain to have settled our batch {number}, found another header")]
    Diverged {
        /// The number.
        number: u64,
    },
    /// A mined transaction did not settle what it carried.
    #[error("expected the transaction of nonce {nonce} to settle batches {first} to {last}")]
    NotSettled {
        /// The account's nonce.
        nonce: u64,
        /// First batch.
        first: u64,
        /// Last batch.
        last: u64,
    },
    /// One batch costs more than a transaction may.
    #[error("expected batch {number} to settle with at most {max} gas, found {found}")]
    TooDear {
        /// The number.
        number: u64,
        /// Most gas.
        max: u64,
        /// Gas it would take.
        found: u64,
    },
    /// A stored batch is malformed.
    #[error("the stored batch {number} is malformed")]
    Batch {
        /// The number.
        number: u64,
        /// What is wrong.
        source: FileError,
    },
    /// A transaction in the outbox is malformed or of another kind.
    #[error("expected a signed EIP-1559 transaction at nonce {nonce} of the outbox")]
    Outbox {
        /// The account's nonce.
        nonce: u64,
    },
    /// The key refused to sign.
    #[error("the settling transaction cannot be signed")]
    Sign(#[from] alloy::signers::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The chain failed or does not answer.
    #[error("the base chain failed")]
    Chain(#[from] EdgeError),
    /// The chain's node did not take a transaction.
    #[error("the chain's node did not take the transaction of nonce {nonce}: {reason}")]
    NotTaken {
        /// The account's nonce.
        nonce: u64,
        /// Its words.
        reason: String,
    },
    /// Fees are higher than configured.
    #[error("expected to offer at most {max} wei for a unit of gas, {needed} would be needed")]
    FeeLimit {
        /// Highest fee allowed.
        max: u128,
        /// Fee needed.
        needed: u128,
    },
    /// The chain did not answer in time.
    #[error("the base chain took longer than a round may")]
    Deadline,
}

impl SettleError {
    /// Whether collecting is unsafe as well: the chain holds another history than the journal, or
    /// the node was started with another's key.
    pub fn ends_node(&self) -> bool {
        matches!(self, SettleError::Diverged { .. } | SettleError::OtherKey { .. })
    }

    /// Whether the chain did not answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            SettleError::Deadline => true,
            SettleError::Chain(EdgeError::Pending(_)) => true,
            SettleError::Chain(EdgeError::Transport(error)) => error.as_error_resp().is_none(),
            _ => false,
        }
    }

    /// Why the stage does not get on.
    pub fn cause(&self) -> Cause {
        match self {
            SettleError::FeeLimit { .. } => Cause::FeeLimit,
            SettleError::NotTaken { .. } | SettleError::Chain(_) | SettleError::Deadline => {
                Cause::NotTaken
            }
            SettleError::Store(_) | SettleError::Batch { .. } | SettleError::Outbox { .. } => {
                Cause::StoreFails
            }
            SettleError::Refused { .. }
            | SettleError::OtherKey { .. }
            | SettleError::Failed { .. }
            | SettleError::Diverged { .. }
            | SettleError::NotSettled { .. }
            | SettleError::TooDear { .. }
            | SettleError::Sign(_) => Cause::Refused,
        }
    }

    /// Whether trying again can help without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            SettleError::Chain(error) => {
                matches!(error, EdgeError::Transport(_) | EdgeError::Pending(_))
            }
            SettleError::NotTaken { .. } | SettleError::FeeLimit { .. } | SettleError::Deadline => {
                true
            }
            // The next round reads the new ones.
            SettleError::Store(StoreError::OtherProofs { .. }) => true,
            _ => false,
        }
    }
}

/// An error of the provider, as the edge names it.
pub(super) fn transport(
    error: alloy::transports::RpcError<alloy::transports::TransportErrorKind>,
) -> SettleError {
    SettleError::Chain(EdgeError::Transport(error))
}
