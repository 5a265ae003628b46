//! The chain over journal groups that a header's journal hash ends (SPEC.md section 8).
//!
//! Each group's hash is keccak256 over five words, so that a contract could follow it: the hash
//! before, the group's number, its first and last position, and blake3 of its entries. The chain of
//! a deployment begins at [`genesis`], so that no journal can be passed off as another's.

use model::{ChainScope, Word};
use sha3::{Digest as _, Keccak256};

use crate::batch::GroupSummary;

/// What stands for the hash before the first group of a deployment:
/// `keccak256(abi.encode(keccak256("vitals journal v1"), chain id, contract))`.
pub fn genesis(scope: ChainScope) -> [u8; 32] {
    let label = Keccak256::digest(b"vitals journal v1").into();
    let mut contract = [0; 32];
    contract[12..].copy_from_slice(&scope.contract);
    keccak(&[label, number(scope.chain_id), contract])
}

/// The journal hash after `group`, `previous` being the one before it.
pub fn journal_hash(previous: &[u8; 32], group: &GroupSummary) -> [u8; 32] {
    // Taken apart whole, so that a new field of a group cannot be left out of the hash.
    let GroupSummary { number: group_number, first, last, content } = group;
    keccak(&[*previous, number(*group_number), number(first.0), number(last.0), *content])
}

fn keccak(words: &[[u8; 32]]) -> [u8; 32] {
    Keccak256::digest(words.as_flattened()).into()
}

fn number(value: u64) -> [u8; 32] {
    Word::from_u64(value).to_bytes()
}

#[cfg(test)]
mod tests {
    use model::Position;

    use super::*;

    fn group(number: u64, first: u64, last: u64, content: u8) -> GroupSummary {
        let (first, last) = (Position(first), Position(last));
        GroupSummary { number, first, last, content: [content; 32] }
    }

    #[test]
    fn genesis_and_groups_hash_as_an_independent_keccak_computes() {
        let scope = ChainScope { chain_id: 31_337, contract: [0x5e; 20] };
        let first = journal_hash(&genesis(scope), &group(1, 1, 64, 0x22));
        let second = journal_hash(&first, &group(2, 65, 65, 0x33));
        let found = [genesis(scope), first, second].map(hex::encode);
        assert_eq!(found, EXPECTED);
    }

    #[test]
    fn a_group_hashes_as_in_the_journal_format() {
        let found = journal_hash(&[0x11; 32], &group(7, 100, 163, 0x22));
        let expected = "ffd21f0046f45367421585294871a7a959f43a08fc401e0e19c5d170c28784a4";
        assert_eq!(hex::encode(found), expected);
    }

    #[test]
    fn another_chain_or_contract_has_another_genesis() {
        let scope = ChainScope { chain_id: 1, contract: [1; 20] };
        assert_ne!(genesis(scope), genesis(ChainScope { chain_id: 2, ..scope }));
        assert_ne!(genesis(scope), genesis(ChainScope { contract: [2; 20], ..scope }));
    }

    /// Computed with js-sha3.
    const EXPECTED: [&str; 3] = [
        "6ff3f89a909ccbd5c7078acf939ff60af961428e69396a30f1fe8eb248ed1d86",
        "cbf733da32b94a19aff70005b02b0e89a331ab6cb55d6a99676aa38fbcaf5025",
        "8b89590f72a713a4d7fef7ee21480310d8a3c80e0449f6601238df6e114377f8",
    ];
}
