//! The proofs of a batch, read back from the transaction that settles it.

use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider;
use alloy::sol_types::SolCall;

use crate::bindings::{ISettlement, Settlement};
use crate::edge::{Edge, EdgeError};

/// One chunk's proof, as the contract was given it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledProof {
    /// keccak256 of the verifying key's words.
    pub key_id: [u8; 32],
    /// The proof in EIP-197 order.
    pub proof: [u8; 256],
}

/// The proofs of one batch, in the order of its chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledProofs {
    /// Of operations.
    pub operations: Vec<SettledProof>,
    /// Of claims.
    pub claims: Vec<SettledProof>,
}

impl SettledProofs {
    /// The proofs of batch `number` in a signed transaction, sent or not; `None` if it settles no
    /// such batch.
    pub fn of_signed(signed: &[u8], number: u64) -> Option<SettledProofs> {
        let envelope = TxEnvelope::decode_2718(&mut &signed[..]).ok()?;
        proofs_of_calldata(envelope.input(), number)
    }
}

impl Edge {
    /// The proofs of batch `number` in a settling transaction; `None` if the chain's node has no
    /// such transaction any more, or it settles no such batch.
    ///
    /// # Errors
    /// [`EdgeError::Transport`] if nobody answers.
    pub async fn proofs(
        &self,
        transaction: [u8; 32],
        number: u64,
    ) -> Result<Option<SettledProofs>, EdgeError> {
        let found = self.provider().get_transaction_by_hash(B256::from(transaction)).await?;
        let Some(found) = found else { return Ok(None) };
        Ok(proofs_of_calldata(found.input(), number))
    }
}

/// The proofs of batch `number` in the calldata of `settle`.
fn proofs_of_calldata(calldata: &[u8], number: u64) -> Option<SettledProofs> {
    let call = Settlement::settleCall::abi_decode(calldata).ok()?;
    let is_asked_for = |batch: &&ISettlement::Batch| batch.header.number == U256::from(number);
    let batch = call.batches.iter().find(is_asked_for)?;
    let proof = |key_id: B256, words: &[U256; 8]| {
        let mut proof = [0; 256];
        for (word, into) in words.iter().zip(proof.as_chunks_mut::<32>().0) {
            *into = word.to_be_bytes();
        }
        SettledProof { key_id: key_id.0, proof }
    };
    Some(SettledProofs {
        operations: batch.operations.iter().map(|c| proof(c.keyId, &c.proof)).collect(),
        claims: batch.claims.iter().map(|c| proof(c.keyId, &c.proof)).collect(),
    })
}
