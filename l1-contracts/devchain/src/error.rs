use crate::codes;
use alloy::{
    primitives::{Bytes, U256},
    rpc::json_rpc::ErrorPayload,
};
use serde_json::{Value, json, value::to_raw_value};
use std::{io, path::PathBuf};

/// Why a transaction was not taken. The messages begin as those of geth do, because programs
/// that send transactions match on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxRefused {
    /// Not a signed transaction of the wire format (EIP-2718).
    #[error("transaction decoding failed: {0}")]
    Malformed(String),
    /// The signature recovers no account.
    #[error("invalid sender: the signature recovers no account")]
    Signature,
    /// More bytes than a public node relays.
    #[error("oversized data: transaction size {found}, limit {max}")]
    Oversized {
        /// Largest size taken, in bytes.
        max: usize,
        /// Size received, in bytes.
        found: usize,
    },
    /// Blob (3) and set-code (4) transactions are not supported.
    #[error("transaction type not supported: expected 0, 1 or 2, found {0}")]
    Type(u8),
    /// Signed for another chain, or for any.
    #[error("invalid chain id for signer: expected {expected}, found {found:?}")]
    ChainId {
        /// The id of this chain.
        expected: u64,
        /// The id that the transaction signs, if any.
        found: Option<u64>,
    },
    /// Already mined, or overtaken.
    #[error("nonce too low: next nonce {expected}, tx nonce {found}")]
    NonceTooLow {
        /// The next nonce of the account.
        expected: u64,
        /// The nonce of the transaction.
        found: u64,
    },
    /// There is no mempool to wait in.
    #[error("nonce too high: next nonce {expected}, tx nonce {found}")]
    NonceTooHigh {
        /// The next nonce of the account.
        expected: u64,
        /// The nonce of the transaction.
        found: u64,
    },
    /// The fee cap is below the base fee of the next block.
    #[error("max fee per gas less than block base fee: base fee {base_fee_wei} wei, found {found}")]
    FeeTooLow {
        /// Base fee of the next block, wei for a unit of gas.
        base_fee_wei: u64,
        /// Fee cap of the transaction, wei for a unit of gas.
        found: u128,
    },
    /// The balance does not cover the worst case.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")]
    Funds {
        /// Balance of the sender in wei.
        balance: U256,
        /// Largest cost of the transaction in wei.
        cost: U256,
    },
    /// A test asked for this refusal ([`Faults`](crate::Faults)).
    #[error("transaction underpriced")]
    Underpriced,
    /// Any other rule of the EVM, in its words.
    #[error("invalid transaction: {0}")]
    Invalid(String),
    /// The chain holds as many blocks as [`Limits::blocks_max`](crate::Limits) allows.
    #[error("chain full: {max} blocks")]
    Full {
        /// The limit reached.
        max: u64,
    },
}

/// What a JSON-RPC method answers instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// -32700: the request is not JSON.
    #[error("parse error: {0}")]
    Parse(String),
    /// -32600: JSON, but not a JSON-RPC 2.0 request.
    #[error("invalid request: {0}")]
    Request(&'static str),
    /// -32601.
    #[error("method not found: {0}")]
    MethodUnknown(String),
    /// -32602: parameters missing or of another type.
    #[error("invalid params: {0}")]
    Params(String),
    /// 3: execution reverted; the data of the revert is the error's `data`.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// -32000: execution stopped otherwise (out of gas, invalid opcode ...).
    #[error("execution halted: {0}")]
    Halted(String),
    /// -32000.
    #[error(transparent)]
    Refused(#[from] TxRefused),
    /// -32001.
    #[error("header not found: block {0}")]
    BlockUnknown(String),
    /// -32005: a limit of this chain.
    #[error("limit exceeded: {what} at most {max}, found {found}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// The limit.
        max: u64,
        /// What was asked for.
        found: u64,
    },
    /// -32603: the block could not be made durable, so it does not exist.
    #[error("block not written: {0}")]
    Journal(#[source] io::Error),
    /// -32603: an earlier write failed; open the journal anew.
    #[error("journal closed by an earlier write error")]
    JournalClosed,
    /// -32603: a fault of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl RpcError {
    /// The JSON-RPC error code.
    pub fn code(&self) -> i64 {
        let code = match self {
            Self::Parse(_) => codes::PARSE,
            Self::Request(_) => codes::REQUEST,
            Self::MethodUnknown(_) => codes::METHOD,
            Self::Params(_) => codes::PARAMS,
            Self::Reverted(_) => codes::REVERTED,
            Self::Halted(_) | Self::Refused(_) => codes::REFUSED,
            Self::BlockUnknown(_) => codes::BLOCK,
            Self::Limit { .. } => codes::LIMIT,
            Self::Journal(_) | Self::JournalClosed | Self::Internal(_) => codes::INTERNAL,
        };
        code.code
    }

    /// The JSON-RPC error object.
    pub fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code(), "message": self.to_string() });
        if let Self::Reverted(output) = self {
            error["data"] = json!(output);
        }
        error
    }
}

impl From<RpcError> for ErrorPayload {
    fn from(error: RpcError) -> Self {
        let data = match &error {
            RpcError::Reverted(output) => to_raw_value(output).ok(),
            _ => None,
        };
        Self { code: error.code(), message: error.to_string().into(), data }
    }
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The medium failed.
    #[error("journal {path}: cannot {action}")]
    Io {
        /// The journal file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The medium's error.
        source: io::Error,
    },
    /// Another process, or another chain of this one, has the file open.
    #[error("journal {path}: expected to be its only user, found it locked")]
    Busy {
        /// The journal file.
        path: PathBuf,
    },
    /// The file does not begin as a journal does.
    #[error("journal {path}: {reason}")]
    Header {
        /// The journal file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The genesis asked for is larger than a journal may begin with.
    #[error(
        "journal {path}: expected a genesis of at most {max} bytes as JSON, found {found}; fund \
         fewer accounts"
    )]
    GenesisTooLarge {
        /// The journal file.
        path: PathBuf,
        /// Most bytes.
        max: usize,
        /// Bytes asked for.
        found: usize,
    },
    /// The journal belongs to another chain.
    #[error("journal {path}: expected genesis {expected}, found {found}")]
    Genesis {
        /// The journal file.
        path: PathBuf,
        /// The genesis asked for, as JSON.
        expected: String,
        /// The genesis in the file, as JSON.
        found: String,
    },
    /// A record before the end of the file is broken. Nothing was changed.
    #[error("journal {path}: record {record} at byte {offset}: {reason}")]
    Record {
        /// The journal file.
        path: PathBuf,
        /// Number of the record, from 1.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{CODES, REFUSALS};

    #[test]
    fn the_codes_are_those_of_json_rpc_and_geth_each_listed_once() {
        let codes: Vec<i64> = CODES.iter().map(|code| code.code).collect();
        let expected = [-32700, -32600, -32601, -32602, -32603, 3, -32000, -32001, -32005];
        assert_eq!(codes, expected);
    }

    #[test]
    fn a_refusal_begins_with_the_words_that_are_listed_for_it() {
        let (expected, found, max) = (1, 2, 3);
        let refused = [
            TxRefused::Malformed("x".into()),
            TxRefused::Signature,
            TxRefused::Oversized { max: 1, found: 2 },
            TxRefused::Type(3),
            TxRefused::ChainId { expected, found: None },
            TxRefused::NonceTooLow { expected, found },
            TxRefused::NonceTooHigh { expected, found },
            TxRefused::FeeTooLow { base_fee_wei: 1, found: 0 },
            TxRefused::Funds { balance: U256::ZERO, cost: U256::from(1) },
            TxRefused::Underpriced,
            TxRefused::Invalid("x".into()),
            TxRefused::Full { max },
        ];
        assert_eq!(refused.len(), REFUSALS.len());
        for (refused, listed) in refused.iter().zip(REFUSALS) {
            assert!(refused.to_string().starts_with(listed.begin), "{refused}: {listed:?}");
        }
    }
}
