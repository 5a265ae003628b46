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

/// The chains on which the contract accepts development keys, whose proofs anybody can forge.
pub const DEVELOPMENT_CHAINS: [u64; 3] = [31_337, 1337, 31_338];

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;

    use super::*;

    #[test]
    fn constants_of_the_contract_are_those_of_the_programs() {
        let lint = include_str!("../contracts/KeyLint.sol");
        let chains = DEVELOPMENT_CHAINS.map(|id| match id {
            10_000.. => format!("chainId == {}_{:03}", id / 1000, id % 1000),
            _ => format!("chainId == {id}"),
        });
        assert!(lint.contains(&chains.join(" || ")), "{chains:?}");

        let settlement = include_str!("../contracts/Settlement.sol");
        let constant = |name: &str| {
            let (_, rest) = settlement.split_once(&format!("constant {name} =")).expect(name);
            rest.split(';').next().expect("a part before any").trim().to_owned()
        };
        let empty = statement::field::to_word(&statement::tree::EMPTY_ROOT);
        assert_eq!(constant("EMPTY_ROOT"), empty.to_hex());
        assert_eq!(constant("VERSION"), model::BatchHeader::VERSION.to_string());
        assert_eq!(constant("VERSION"), model::BatchHeader::KEY_VERSION.to_string());
        let step = U256::from(model::limits::BATCH_ENTRIES_MAX);
        assert_eq!(constant("JOURNAL_STEP_LIMIT"), "2 ** 28");
        assert_eq!(step, U256::from(2).pow(U256::from(28)));
    }
}
