//! A record as a leaf of the record tree, twin of `statement::record`.

use crate::builder::{Builder, Num};
use crate::gadgets::poseidon;
use model::{Record, RuleSlot, layout};
use statement::domain::Domain;
use statement::field::{from_u64, from_word};
use statement::record::rule_words;

/// The words of a rule: actor, source, packed.
pub type RuleWords = [Num; 3];

/// The words of an identity, as C1 opens it. C2 takes the hash as it is.
#[derive(Clone)]
pub struct Identity {
    /// Hash of the patient's key.
    pub key_hash: Num,
    /// Operations since enrolment.
    pub nonce: Num,
    /// Guardians, stop authority, replaced authority, recovery key, recovery state, forced at.
    pub reserved: [Num; 6],
    /// Blinds the leaf.
    pub salt: Num,
}

/// The words that open claims: rules by slot, view key, closing time.
#[derive(Clone)]
pub struct Rules {
    /// By slot number.
    pub rules: [RuleWords; RuleSlot::COUNT],
    /// Opens the patient's claims.
    pub view_key: Num,
    /// When the record was closed.
    pub closed_at: Num,
}

impl Identity {
    /// Allocates the words of `record`. Nothing bounds them until the leaf is opened.
    pub fn alloc(b: &mut Builder, record: &Record) -> Self {
        let reserved = [
            from_word(&record.guardians),
            from_word(&record.stop_authority),
            from_word(&record.replaced_authority),
            from_word(&record.recovery_key),
            from_word(&record.recovery_state),
            from_u64(record.forced_at.get()),
        ];
        Self {
            key_hash: b.alloc(from_word(&record.key_hash)),
            nonce: b.alloc(from_u64(u64::from(record.nonce))),
            reserved: reserved.map(|word| b.alloc(word)),
            salt: b.alloc(from_word(&record.salt)),
        }
    }
}

impl Rules {
    /// Allocates the words of `record`. Nothing bounds them until the leaf is opened.
    pub fn alloc(b: &mut Builder, record: &Record) -> Self {
        Self {
            rules: rule_words(record).map(|rule| rule.map(|word| b.alloc(word))),
            view_key: b.alloc(from_word(&record.view_key)),
            closed_at: b.alloc(from_u64(record.closed_at.get())),
        }
    }
}

/// The hash of the identity: 417 rows.
pub fn identity(b: &mut Builder, identity: &Identity) -> Num {
    let Identity { key_hash, nonce, reserved, salt } = identity;
    let mut words = vec![key_hash.clone(), nonce.clone()];
    words.extend_from_slice(reserved);
    words.push(salt.clone());
    poseidon::hash(b, Domain::Identity.tag(), &words)
}

/// Both halves: the permits and policies, with the view key and the closing time. 1,218 rows.
pub fn halves(b: &mut Builder, rules: &Rules) -> [Num; 2] {
    // Sixteen words each, as many as the widest hash takes: no permutation is left unfilled.
    let mut first = rules.rules[layout::FIRST_HALF].concat();
    first.push(rules.view_key.clone());
    let mut second = rules.rules[layout::SECOND_HALF].concat();
    second.extend(rules.rules[layout::POLICY_SLOTS].concat());
    second.push(rules.closed_at.clone());
    [
        poseidon::hash(b, Domain::RuleGroupA.tag(), &first),
        poseidon::hash(b, Domain::RuleGroupB.tag(), &second),
    ]
}

/// The leaf of the record with this identity: 1,791 rows beside the identity's.
pub fn leaf(b: &mut Builder, identity: &Num, rules: &Rules) -> Num {
    // The identity comes as a hash, which C1 makes of its words and C2 takes from the prover.
    let mut words = vec![identity.clone()];
    words.extend(halves(b, rules));
    words.extend(rules.rules[layout::DENY_SLOTS].concat());
    poseidon::hash(b, Domain::RecordLeaf.tag(), &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::check::check;
    use model::{ClaimKinds, Party, Rule, Word};

    #[test]
    fn the_leaf_equals_its_twin() {
        let mut record =
            Record::enrolled(Word::from_u64(11), Word::from_u64(12), Word::from_u64(13));
        record.nonce = 14;
        for (number, rule) in record.rules.iter_mut().enumerate().step_by(3) {
            *rule = Some(Rule::widest(
                Party::Named(Word::from_u64(100 + number as u64)),
                ClaimKinds::ALL,
            ));
        }
        let (r1cs, _, movable) = check(|b| {
            let (words, rules) = (Identity::alloc(b, &record), Rules::alloc(b, &record));
            let hash = identity(b, &words);
            let leaf = leaf(b, &hash, &rules);
            let public = b.input(statement::record::leaf(&record));
            b.enforce_equal(&leaf, &public);
        });
        assert_eq!((r1cs.a.len(), movable), (417 + 1218 + 573 + 1, 0));
    }
}
