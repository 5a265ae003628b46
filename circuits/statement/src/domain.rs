//! The one table of domain tags.
//!
//! A tag is the first capacity word of Poseidon, so that hashes of equal width in different roles
//! can never be exchanged; it costs no constraint. The tag 0 is circomlib's plain hash and belongs
//! to the signature challenge alone, because wallets compute that one with circomlibjs.

use ark_bn254::Fr;

/// The role of a hash. The number of each role is part of every root and key hash: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Domain {
    /// The challenge of an EdDSA signature: 0, as circomlibjs has it.
    Eddsa = 0,
    /// Inner node of the record tree.
    TreeNode = 1,
    /// The first permits of a record, with its view key.
    RuleGroupA = 2,
    /// The other permits and the policies of a record, with its closing time.
    RuleGroupB = 3,
    /// A patient's record, as a leaf of the record tree.
    RecordLeaf = 4,
    /// The identity part of a record: key hash, nonce, guardians and what goes with them.
    Identity = 5,
    /// Hash of a public key.
    KeyHash = 6,
    /// The message that a patient, guardian or registrar signs.
    Operation = 7,
    /// An operation, as a leaf of its list.
    OperationLeaf = 8,
    /// The argument words of an operation; of a write or a revocation, one rule.
    Rule = 9,
    /// A claim, as a leaf of its list.
    Claim = 10,
    /// Inner node of a list of claims.
    ClaimsNode = 11,
    /// Inner node of a list of operations.
    OperationsNode = 12,
    /// The tag by which the holder of a view key finds a patient slot.
    SlotTag = 13,
    /// Not used: the tag of a patient slot says how many claims are in it.
    SlotCount = 14,
    /// The edge between two chunks of claims.
    Edge = 15,
    /// Not used: a record holds the view key itself (SPEC.md section 4).
    ViewKey = 16,
    /// The salt of a claim, derived from the view key.
    ClaimSalt = 17,
    /// An actor: practitioner, organisation, care team or device.
    Actor = 18,
    /// Not used: an enrolment's words are hashed as every argument, under [`Domain::Rule`].
    Enrolment = 19,
    /// The set of guardians of a record.
    Guardians = 20,
    /// The public inputs or words of a forced stop.
    ForcedStop = 21,
    /// The fixed starting point of the circuit's curve additions.
    CurveStart = 22,
}

impl Domain {
    /// Every role, in the order of their numbers.
    pub const ALL: [Self; 23] = [
        Self::Eddsa,
        Self::TreeNode,
        Self::RuleGroupA,
        Self::RuleGroupB,
        Self::RecordLeaf,
        Self::Identity,
        Self::KeyHash,
        Self::Operation,
        Self::OperationLeaf,
        Self::Rule,
        Self::Claim,
        Self::ClaimsNode,
        Self::OperationsNode,
        Self::SlotTag,
        Self::SlotCount,
        Self::Edge,
        Self::ViewKey,
        Self::ClaimSalt,
        Self::Actor,
        Self::Enrolment,
        Self::Guardians,
        Self::ForcedStop,
        Self::CurveStart,
    ];

    /// The capacity word of this role.
    pub fn tag(self) -> Fr {
        Fr::from(self as u8)
    }

    /// The capacity word of every node of a list with this many leaves: the role in the lowest 8
    /// bits, the number above. Without it the nodes of a list would be a shorter list with the same
    /// root.
    pub fn tag_of_list(self, leaves: usize) -> Fr {
        Fr::from(self as u128 | (leaves as u128) << 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn tags_are_pairwise_distinct_and_the_table_is_whole() {
        let tags: BTreeSet<Fr> = Domain::ALL.iter().map(|domain| domain.tag()).collect();
        assert_eq!(tags.len(), Domain::ALL.len());
        for (number, domain) in Domain::ALL.iter().enumerate() {
            assert_eq!(*domain as usize, number, "the table lists every number once, in order");
        }
    }

    #[test]
    fn no_tag_of_a_list_is_that_of_another_list_or_of_no_list() {
        let lists = [Domain::ClaimsNode, Domain::OperationsNode]
            .into_iter()
            .flat_map(|domain| (1..600).map(move |leaves| domain.tag_of_list(leaves)));
        let plain = Domain::ALL.iter().map(|domain| domain.tag());
        let tags: BTreeSet<Fr> = lists.chain(plain).collect();
        assert_eq!(tags.len(), 2 * 599 + Domain::ALL.len());
    }

    #[test]
    fn only_the_signature_challenge_has_the_plain_tag() {
        let plain = Domain::ALL.iter().filter(|domain| domain.tag() == Fr::from(0u8));
        assert_eq!(plain.collect::<Vec<_>>(), [&Domain::Eddsa]);
    }
}
