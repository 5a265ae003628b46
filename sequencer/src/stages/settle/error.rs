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
    #[error(
        "expected the transaction of nonce {nonce} to settle, it was mined and settled nothing: \
         {reason}; its batches are simulated and sent anew under another nonce"
    )]
    Failed {
        /// The account's nonce.
        nonce: u64,
        /// The contract's error, decoded, or what else is known.
        reason: String,
    },
    /// The chain settled another batch under a number of ours.
    #[error("expected the chain to have settled our batch {number}, found another header")]
    Diverged {
        /// The number.
        number: u64,
    },
    /// The contract counts batches as settled, and the chain's node shows no events of them.
    #[error(
        "expected the events of batches {first} to {last} in the receipt of nonce {nonce} or among \
         the contract's logs, found others or none: asked again"
    )]
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
    /// A transaction was replaced as often as is configured, and none of all is mined.
    #[error(
        "the transaction of nonce {nonce} is not mined after {max} replacements, which is \
         `settle.replacements_max`: its offer rises only as far as the chain itself asks, up to \
         `settle.fee_wei_max`, and else the last one is sent again"
    )]
    ReplacementLimit {
        /// The account's nonce.
        nonce: u64,
        /// Most replacements.
        max: usize,
    },
    /// The block that was looked at is another one by now.
    #[error("block {number} changed while it was looked at: looked at again")]
    Moved {
        /// Its number.
        number: u64,
    },
    /// What the looks say contradicts what is recorded, and another thing each time.
    #[error(
        "expected the chain's node to say the same of the outbox for {doubt_ms} ms, which is \
         `settle.doubt_ms`, and each look says something else: ask again, or ask another node"
    )]
    Unsteady {
        /// How long it must say so.
        doubt_ms: u64,
    },
    /// What the contract remembers cannot be compared with the journal.
    #[error("the contract's last settled header cannot be compared with the journal")]
    Uncompared(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The journal does not serve what the contract's memory is compared with.
    #[error("the journal cannot be compared with what the contract remembers")]
    Journal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The chain did not answer in time.
    #[error("the base chain took longer than a round may")]
    Deadline,
}

impl SettleError {
    /// Whether the node was started with another's key: no wait ever mends that.
    pub fn ends_node(&self) -> bool {
        matches!(self, SettleError::OtherKey { .. })
    }

    /// The code with which the chain's node answers, if it is an answer.
    pub(super) fn rpc_code(&self) -> Option<i64> {
        match self {
            SettleError::Chain(EdgeError::Transport(error)) => {
                error.as_error_resp().map(|answer| answer.code)
            }
            _ => None,
        }
    }

    /// Whether the next of several nodes may answer otherwise: who does not answer takes long, and
    /// who counts questions counts these as well.
    pub(super) fn is_worth_asking_again(&self) -> bool {
        const LIMIT_EXCEEDED: i64 = -32005;
        !self.is_unreachable() && self.rpc_code() != Some(LIMIT_EXCEEDED)
    }

    /// Whether the chain did not answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            SettleError::Deadline => true,
            SettleError::Chain(EdgeError::Transport(error)) => error.as_error_resp().is_none(),
            _ => false,
        }
    }

    /// Why the stage does not get on.
    pub fn cause(&self) -> Cause {
        match self {
            SettleError::FeeLimit { .. } | SettleError::ReplacementLimit { .. } => Cause::FeeLimit,
            SettleError::Journal(_) => Cause::JournalUnreadable,
            SettleError::NotTaken { .. } => Cause::NotTaken,
            SettleError::Chain(error) if error.contradicts_deployment() => Cause::OtherChain,
            SettleError::Chain(_)
            | SettleError::Deadline
            | SettleError::Moved { .. }
            | SettleError::NotSettled { .. }
            | SettleError::Unsteady { .. }
            | SettleError::Uncompared(_) => Cause::ChainFails,
            SettleError::Diverged { .. } => Cause::Diverged,
            SettleError::Store(_) | SettleError::Batch { .. } | SettleError::Outbox { .. } => {
                Cause::StoreFails
            }
            SettleError::Refused { .. }
            | SettleError::OtherKey { .. }
            | SettleError::Failed { .. }
            | SettleError::TooDear { .. }
            | SettleError::Sign(_) => Cause::Refused,
        }
    }

    /// Whether trying again can help without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            SettleError::Chain(error) => !error.contradicts_deployment(),
            SettleError::NotTaken { .. }
            | SettleError::FeeLimit { .. }
            | SettleError::ReplacementLimit { .. }
            | SettleError::NotSettled { .. }
            | SettleError::Moved { .. }
            | SettleError::Unsteady { .. }
            | SettleError::Uncompared(_)
            | SettleError::Deadline => true,
            // The next round reads the new ones, or another nonce.
            SettleError::Store(error) => {
                matches!(error, StoreError::OtherProofs { .. } | StoreError::NonceTaken { .. })
            }
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
