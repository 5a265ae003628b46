//! The codes of JSON-RPC errors and the words of refused transactions, for people.

/// A code that a JSON-RPC error of this chain can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcCode {
    /// The error's `code`.
    pub code: i64,
    /// What the chain says with it.
    pub meaning: &'static str,
    /// What to do about it, in one sentence.
    pub remedy: &'static str,
}

pub(crate) const PARSE: RpcCode = RpcCode {
    code: -32700,
    meaning: "The request is not JSON.",
    remedy: "Send one JSON object, or an array of them, as the body of a POST.",
};

pub(crate) const REQUEST: RpcCode = RpcCode {
    code: -32600,
    meaning: "The request is JSON, but not a JSON-RPC 2.0 request.",
    remedy: "Send jsonrpc \"2.0\", an id, a method and parameters by position.",
};

pub(crate) const METHOD: RpcCode = RpcCode {
    code: -32601,
    meaning: "This chain has no such method.",
    remedy: "Use a method that the page of the devchain crate lists, or run another node.",
};

pub(crate) const PARAMS: RpcCode = RpcCode {
    code: -32602,
    meaning: "A parameter is missing or of another type.",
    remedy: "Correct the parameter that the message counts, from 0.",
};

pub(crate) const INTERNAL: RpcCode = RpcCode {
    code: -32603,
    meaning: "The block could not be written to the journal, or the program has a fault.",
    remedy: "Free disk space and start the program again; report what the message says if the disk \
             is sound.",
};

pub(crate) const REVERTED: RpcCode = RpcCode {
    code: 3,
    meaning: "The contract reverted; the error's data is what it said.",
    remedy: "Look the data's first four bytes up among the contract's errors.",
};

pub(crate) const REFUSED: RpcCode = RpcCode {
    code: -32000,
    meaning: "The transaction was refused and is in no block, or a call stopped in the EVM.",
    remedy: "Correct the transaction as the message says, and send it again.",
};

pub(crate) const BLOCK: RpcCode = RpcCode {
    code: -32001,
    meaning: "There is no block of this number or hash.",
    remedy: "Ask for a block up to the head; blocks of a development chain can also be removed.",
};

pub(crate) const LIMIT: RpcCode = RpcCode {
    code: -32005,
    meaning: "The request is beyond a limit of this chain.",
    remedy: "Ask for less at a time, or again when fewer requests are running.",
};

/// Every code of a JSON-RPC error of this chain.
pub const CODES: &[RpcCode] =
    &[PARSE, REQUEST, METHOD, PARAMS, INTERNAL, REVERTED, REFUSED, BLOCK, LIMIT];

/// How the message of a refused transaction (code -32000) begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalText {
    /// The first words of the message.
    pub begin: &'static str,
    /// What to do about it, in one sentence.
    pub remedy: &'static str,
}

const fn refusal(begin: &'static str, remedy: &'static str) -> RefusalText {
    RefusalText { begin, remedy }
}

/// Every beginning of the message of a refused transaction, one a variant of
/// [`TxRefused`](crate::TxRefused) in its order.
pub const REFUSALS: &[RefusalText] = &[
    refusal("transaction decoding failed", "Send a signed transaction of type 0, 1 or 2."),
    refusal("invalid sender", "Sign the transaction again."),
    refusal("oversized data", "Split the transaction."),
    refusal("transaction type not supported", "Send a transaction of type 0, 1 or 2."),
    refusal("invalid chain id for signer", "Sign for the chain id that the message expects."),
    refusal(
        "nonce too low",
        "Look whether the transaction was mined, else sign with the next nonce.",
    ),
    refusal("nonce too high", "Send the transactions before it first: nothing waits here."),
    refusal("max fee per gas less than block base fee", "Raise the fee cap above the base fee."),
    refusal("insufficient funds for gas * price + value", "Fund the sender."),
    refusal("transaction underpriced", "Send it again: a test asked for this refusal."),
    refusal("invalid transaction", "Correct what the EVM's words name."),
    refusal("chain full", "Begin a new chain, or raise its limit of blocks."),
];
