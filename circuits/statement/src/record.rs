//! A record as a leaf of the record tree (SPEC.md section 4).
//!
//! The rules are hashed in two *halves* beside the identity, so that each permutation is filled. C2
//! takes the identity as an opaque word and hashes three times: 1,791 constraints. SPEC.md and the
//! vectors call the halves `group_a` and `group_b`.

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use model::{Record, Rule, RuleSlot, layout};

use crate::domain::Domain;
use crate::field::{from_u64, from_word};
use crate::poseidon;

/// Everything but the rules and what opens claims: keys, nonce and what recovery will need.
pub fn identity(record: &Record) -> Fr {
    // What no claim reads, so that C2 takes this hash as it is and never opens it.
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

/// Both halves: the permits and policies, with the view key and the closing time.
pub fn halves(record: &Record) -> [Fr; 2] {
    let mut first = rules(record, layout::FIRST_HALF);
    first.push(from_word(&record.view_key));
    let mut second = rules(record, layout::SECOND_HALF.chain(layout::POLICY_SLOTS));
    second.push(from_u64(record.closed_at.get()));
    [
        poseidon::hash(Domain::RuleGroupA.tag(), &first),
        poseidon::hash(Domain::RuleGroupB.tag(), &second),
    ]
}

/// The leaf that stands for `record` in the tree.
pub fn leaf(record: &Record) -> Fr {
    let mut words = vec![identity(record)];
    words.extend(halves(record));
    // The denies stand in the leaf itself: its hash has room for exactly their twelve words.
    words.extend(rules(record, layout::DENY_SLOTS));
    poseidon::hash(Domain::RecordLeaf.tag(), &words)
}

/// The words of the rules by slot number; three zeros for an empty slot.
pub fn rule_words(record: &Record) -> [[Fr; 3]; RuleSlot::COUNT] {
    let words = |rule: &Rule| rule.words().map(|word| from_word(&word));
    record.rules.each_ref().map(|rule| rule.as_ref().map_or([Fr::ZERO; 3], words))
}

fn rules(record: &Record, slots: impl Iterator<Item = usize>) -> Vec<Fr> {
    let words = rule_words(record);
    slots.flat_map(|slot| words[slot]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation;
    use crate::vectors::{cases, element, elements, interval, millis, number, records, word};
    use model::{Categories, ClaimKinds, Labels, Party, Purposes};
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
            assert_eq!(halves(&record), [a, b]);
            assert_eq!(leaf(&record), element(&case["leaf"]));
            let hashes = elements(&case["rule_hashes"]);
            let rules = record.rules.iter().zip(hashes);
            for (rule, hash) in rules.filter_map(|(rule, hash)| rule.as_ref().zip(Some(hash))) {
                assert_eq!(operation::argument(&rule.words()), hash);
            }
        }
    }
}
