//! The wallet's copy of a record against the record that settled batches hold.
//!
//! A copy changes by receipts alone, so it is what the node promised. Every difference is explained
//! by a signed operation of a settled batch (another device, a wallet that was restored), or by
//! operations that no batch has yet; what neither explains is listed.

use model::{ChainScope, Millis, Record};
use statement::c1::{self, Context};
use statement::{field, scope};

use crate::log::SeenOperation;
use crate::rule_slot;

/// How a copy stands to the settled record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyFound {
    /// They are the same.
    Equal,
    /// The copy lacks operations, which lead from it to the settled record.
    Behind {
        /// Which, by time.
        operations: Vec<SeenOperation>,
    },
    /// The copy has operations that no batch has.
    Ahead {
        /// How many.
        operations: u32,
    },
    /// Nothing that was signed leads from the copy to the settled record.
    Unexplained {
        /// In what they differ, by name: no value of a record.
        differences: Vec<String>,
    },
}

/// Compares a copy with the record after the last batch; `operations` are those of all batches.
pub fn compare_copy(
    scope: ChainScope,
    copy: &Record,
    settled: &Record,
    operations: &[SeenOperation],
) -> CopyFound {
    if copy == settled {
        return CopyFound::Equal;
    }
    // A settled record that another operation gave for the same number can only be ahead as well;
    // which operations the copy has is not known here, receipts tell.
    if copy.nonce > settled.nonce {
        return CopyFound::Ahead { operations: copy.nonce - settled.nonce };
    }
    let missing: Vec<_> = operations.iter().filter(|one| is_after(copy, one)).cloned().collect();
    if replay(scope, copy, &missing).as_ref() == Some(settled) {
        return CopyFound::Behind { operations: missing };
    }
    CopyFound::Unexplained { differences: differences(copy, settled) }
}

/// Whether the record behind the copy took the operation after the copy's last.
fn is_after(copy: &Record, seen: &SeenOperation) -> bool {
    let enrols = matches!(seen.operation.action, model::Action::Enrol { .. });
    // An enrolment makes a record of nonce 0 and does not count; every other operation names the
    // nonce that it met.
    !enrols && seen.operation.nonce >= copy.nonce
}

/// The record that operations make of the copy. Signatures, times and windows were checked when
/// the batches were opened.
fn replay(scope: ChainScope, copy: &Record, operations: &[SeenOperation]) -> Option<Record> {
    let mut record = copy.clone();
    for SeenOperation { operation, t_op, .. } in operations {
        let context = Context {
            sig_domain: scope::sig_domain(scope),
            registrar_key_hash: field::from_word(&model::Word::ZERO),
            t0: *t_op,
            last_time: Millis::UNBOUNDED_PAST,
            t_op: *t_op,
            t1: None,
        };
        record = c1::effect(Some(&record), operation, &context).ok()?;
    }
    Some(record)
}

fn differences(copy: &Record, settled: &Record) -> Vec<String> {
    let parts = [
        ("key", copy.key_hash != settled.key_hash),
        ("view key", copy.view_key != settled.view_key),
        ("salt", copy.salt != settled.salt),
        ("number of operations", copy.nonce != settled.nonce),
        ("time of the stop", copy.closed_at != settled.closed_at),
    ];
    let parts = parts.into_iter().filter(|(_, differ)| *differ).map(|(name, _)| name.to_owned());
    let slots = rule_slot::all().filter(|slot| copy.rule(*slot) != settled.rule(*slot));
    parts.chain(slots.map(rule_slot::name)).collect()
}

#[cfg(test)]
mod tests {
    use model::{Action, ClaimKind, Digest, Operation, Party, PatientIndex, Rule, RuleSlot, Word};

    use super::*;

    const SCOPE: ChainScope = ChainScope { chain_id: 5, contract: [1; 20] };

    fn at(ms: u64) -> Millis {
        Millis::new(1000 + ms).unwrap()
    }

    fn rule() -> Rule {
        Rule::widest(Party::Any, ClaimKind::Access.only())
    }

    fn permit(nonce: u32, slot: u8) -> SeenOperation {
        let operation = Operation {
            patient: PatientIndex::new(3).unwrap(),
            nonce,
            signed_at: at(0),
            valid_until: at(10_000),
            action: Action::Write { slot: RuleSlot::Permit(slot), rule: rule() },
        };
        SeenOperation {
            operation,
            t_op: at(u64::from(nonce) + 1),
            digest: Digest([nonce as u8; 31]),
        }
    }

    fn after(operations: &[SeenOperation]) -> Record {
        let one = Word::from_u64(1);
        replay(SCOPE, &Record::enrolled(one, one, one), operations).unwrap()
    }

    #[test]
    fn operations_of_another_device_explain_what_a_copy_lacks() {
        let all = [permit(0, 0), permit(1, 1), permit(2, 2)];
        let (copy, settled) = (after(&all[..1]), after(&all));
        let found = compare_copy(SCOPE, &copy, &settled, &all);
        assert_eq!(found, CopyFound::Behind { operations: all[1..].to_vec() });
        assert_eq!(compare_copy(SCOPE, &settled, &settled, &all), CopyFound::Equal);
        let ahead = compare_copy(SCOPE, &settled, &copy, &all[..1]);
        assert_eq!(ahead, CopyFound::Ahead { operations: 2 });
    }

    #[test]
    fn what_no_operation_explains_is_listed_by_name() {
        let promised = after(&[permit(0, 0), permit(1, 1)]);
        // The operator settled another operation of the same number than the one it gave a receipt
        // for.
        let all = [permit(0, 0), permit(1, 5)];
        let found = compare_copy(SCOPE, &promised, &after(&all), &all);
        let differences = vec!["permit:1".to_owned(), "permit:5".to_owned()];
        assert_eq!(found, CopyFound::Unexplained { differences });
        let withheld = compare_copy(SCOPE, &after(&all[..1]), &after(&all), &all[..1]);
        assert!(matches!(withheld, CopyFound::Unexplained { .. }));
    }
}
