//! Bindings generated from the committed artefacts.

#![allow(missing_docs, reason = "generated from the ABI; the NatSpec is in ISettlement.sol")]
#![allow(clippy::too_many_arguments, reason = "generated from the ABI")]

use alloy::primitives::{B256, keccak256};
use alloy::sol;

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Settlement,
    "artifacts/Settlement.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    KeyCode,
    "artifacts/KeyCode.json"
);

/// keccak256 of the creation code of the settlement contract in the committed artefact.
pub fn bytecode_hash() -> B256 {
    keccak256(&Settlement::BYTECODE)
}
