//! A record as a leaf of the record tree (SPEC.md section 4).
//!
//! The rules are hashed in two groups beside the identity, so that each permutation is filled. C2
//! takes the identity as an opaque word and hashes three times: 1,791 constraints.

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Record, RuleSlot};

use crate::domain::Domain;
use crate::field::{from_u64, from_word};
use crate::poseidon;

/// Permits that `group_a` holds; the others stand in `group_b`.
pub const GROUP_A_PERMITS: u8 = 5;

/// Everything but the rules and what opens claims: keys, nonce and what recovery will need.
pub fn identity(record: &Record) -> Fr {
    let words = [
        from_word(&record.key_hash),
        from_u64(u64::from(record.nonce)),
        from_word(&record.guardians),
        from_word(&record.stop_authority),
        from_word(&record.replaced_authority),
        from_word(&record.recovery_key),
        from_word(&record.recovery_state),
        from_u64(record.forced_at.get()),
        from_word(&record.salt),
    ];
    poseidon::hash(Domain::Identity.tag(), &words)
}

/// `group_a` and `group_b`: the permits and policies with view key and closing time.
pub fn groups(record: &Record) -> [Fr; 2] {
    let mut a = rules(record, (0..GROUP_A_PERMITS).map(RuleSlot::Permit));
    a.push(from_word(&record.view_key));
    let permits = (GROUP_A_PERMITS..8).map(RuleSlot::Permit);
    let mut b = rules(record, permits.chain((0..2).map(RuleSlot::Policy)));
    b.push(from_u64(record.closed_at.get()));
    [poseidon::hash(Domain::RuleGroupA.tag(), &a), poseidon::hash(Domain::RuleGroupB.tag(), &b)]
}

/// The leaf that stands for `record` in the tree.
pub fn leaf(record: &Record) -> Fr {
    let mut words = vec![identity(record)];
    words.extend(groups(record));
    words.extend(rules(record, (0..4).map(RuleSlot::Deny)));
    poseidon::hash(Domain::RecordLeaf.tag(), &words)
}

/// The three words of the rule in `slot`; zeros if the slot is empty.
pub fn rule_words(record: &Record, slot: RuleSlot) -> [Fr; 3] {
    record.rule(slot).map_or([Fr::ZERO; 3], |rule| rule.words().map(|word| from_word(&word)))
}

fn rules(record: &Record, slots: impl Iterator<Item = RuleSlot>) -> Vec<Fr> {
    slots.flat_map(|slot| rule_words(record, slot)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation;
    use crate::vectors::{cases, element, elements, interval, millis, number, records, word};
    use model::{Categories, ClaimKinds, Labels, Party, Purposes, Rule};
    use serde_json::Value;

    fn rule(value: &Value) -> Option<Rule> {
        let bits = |name: &str| number(&value[name]);
        let party = |name: &str| Party::from_word(word(&value[name])).unwrap();
        (!value.is_null()).then(|| Rule {
            actor: party("actor"),
            source: party("source"),
            categories: Categories::from_bits(bits("categories")).unwrap(),
            purposes: Purposes::from_bits(bits("purposes")).unwrap(),
            kinds: ClaimKinds::from_bits(bits("kinds")).unwrap(),
            labels: Labels::from_bits(bits("labels")).unwrap(),
            access: interval(&value["access"]),
            data: interval(&value["data"]),
        })
    }

    fn record(value: &Value) -> Record {
        let rules: Vec<_> = cases(&value["rules"]).iter().map(rule).collect();
        let word = |name: &str| word(&value[name]);
        Record {
            key_hash: word("key_hash"),
            nonce: number(&value["nonce"]) as u32,
            guardians: word("guardians"),
            stop_authority: word("stop_authority"),
            replaced_authority: word("replaced_authority"),
            recovery_key: word("recovery_key"),
            recovery_state: word("recovery_state"),
            forced_at: millis(&value["forced_at"]),
            salt: word("salt"),
            view_key: word("view_key"),
            closed_at: millis(&value["closed_at"]),
            rules: rules.try_into().expect("fourteen slots"),
        }
    }

    #[test]
    fn every_hash_of_a_record_equals_the_vector() {
        for case in cases(&records()["records"]) {
            let record = record(&case["record"]);
            assert_eq!(identity(&record), element(&case["identity"]));
            let [a, b] = ["group_a", "group_b"].map(|name| element(&case[name]));
            assert_eq!(groups(&record), [a, b]);
            assert_eq!(leaf(&record), element(&case["leaf"]));
            let hashes = elements(&case["rule_hashes"]);
            let rules = record.rules.iter().zip(hashes);
            for (rule, hash) in rules.filter_map(|(rule, hash)| rule.as_ref().zip(Some(hash))) {
                assert_eq!(operation::argument(&rule.words()), hash);
            }
        }
    }
}
