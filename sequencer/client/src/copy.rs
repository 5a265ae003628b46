//! The wallet's copy of a record against the record that settled batches hold.
//!
//! A copy changes by receipts alone, so it is what the node promised. Every difference is explained
//! by a signed operation of a settled batch (another device, a wallet that was restored), or by
//! operations that no batch has yet; what neither explains is listed. Of a copy that is ahead, all
//! that operations after the last window cannot have changed is compared.

use model::{ChainScope, Millis, Record, Rule};
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
    /// The copy has operations that no batch has, and is else the settled record.
    Ahead {
        /// How many.
        operations: u32,
        /// In what they made it differ, by name: no value of a record.
        differences: Vec<String>,
        /// Whether receipts show which operations they are, and that they lead to the copy. Else
        /// nobody but the copy itself says so.
        receipted: bool,
    },
    /// Nothing that was signed leads from the copy to the settled record, or back.
    Unexplained {
        /// In what they differ, by name: no value of a record.
        differences: Vec<String>,
    },
}

/// What settled batches say of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettledRecord<'a> {
    /// The record after the last batch.
    pub record: &'a Record,
    /// Its operations in all batches, by time.
    pub operations: &'a [SeenOperation],
    /// Operations on it that receipts promise behind the last batch, by position.
    pub later: &'a [SeenOperation],
    /// End of the last batch's window: whatever no batch has is of this time or later.
    pub until: Millis,
}

/// Compares a copy with what is settled of its record.
pub fn compare_copy(scope: ChainScope, copy: &Record, settled: SettledRecord<'_>) -> CopyFound {
    let SettledRecord { record, operations, .. } = settled;
    if copy == record {
        return CopyFound::Equal;
    }
    if let Some(operations) = copy.nonce.checked_sub(record.nonce).filter(|more| *more > 0) {
        let changes = changes(copy, settled);
        let explained = changes.iter().filter(|change| change.may_be_later).count();
        // Every operation changes one thing, so that more changes than operations are a fork.
        if explained == changes.len() && explained <= operations as usize {
            let differences = changes.into_iter().map(|change| change.name).collect();
            let receipted = is_receipted(scope, copy, settled);
            return CopyFound::Ahead { operations, differences, receipted };
        }
        let unexplained = changes.into_iter().filter(|change| {
            // Of too many nobody can say which is the one that was forked.
            explained > operations as usize || !change.may_be_later
        });
        return CopyFound::Unexplained {
            differences: unexplained.map(|change| change.name).collect(),
        };
    }
    let missing: Vec<_> = operations.iter().filter(|one| is_after(copy, one)).cloned().collect();
    if replay(scope, copy, &missing).as_ref() == Some(record) {
        return CopyFound::Behind { operations: missing };
    }
    let names = changes(copy, settled).into_iter().map(|change| change.name);
    let nonce = (copy.nonce != record.nonce).then(|| "number of operations".to_owned());
    CopyFound::Unexplained { differences: names.chain(nonce).collect() }
}

/// Whether operations that receipts promise lead from the settled record to the copy.
fn is_receipted(scope: ChainScope, copy: &Record, settled: SettledRecord<'_>) -> bool {
    let SettledRecord { record, later, .. } = settled;
    // What the copy does not have yet may have been receipted as well.
    let had = |one: &&SeenOperation| is_after(record, one) && one.operation.nonce < copy.nonce;
    let later: Vec<_> = later.iter().filter(had).cloned().collect();
    replay(scope, record, &later).as_ref() == Some(copy)
}

/// A part of a record in which the copy differs from the settled one.
struct Change {
    name: String,
    /// Whether an operation of after the last window can have changed it so.
    may_be_later: bool,
}

/// Everything in which a copy differs but for the number of operations.
fn changes(copy: &Record, settled: SettledRecord<'_>) -> Vec<Change> {
    let SettledRecord { record, until, .. } = settled;
    let change = |name: &str, differ: bool, may_be_later| {
        differ.then(|| Change { name: name.to_owned(), may_be_later })
    };
    let stopped = record.is_open() && copy.closed_at >= until;
    let parts = [
        change("key", copy.key_hash != record.key_hash, false),
        change("view key", copy.view_key != record.view_key, false),
        change("salt", copy.salt != record.salt, false),
        change("time of the stop", copy.closed_at != record.closed_at, stopped),
    ];
    let slots = rule_slot::all().filter_map(|slot| {
        let (copied, stored) = (copy.rule(slot), record.rule(slot));
        let may_be_later = copied.is_some_and(|rule| may_be_later(rule, stored, until));
        change(&rule_slot::name(slot), copied != stored, may_be_later)
    });
    parts.into_iter().flatten().chain(slots).collect()
}

/// Whether a rule was written at or after a time, or is the one before ended by then: a rule begins
/// no sooner than it is written (C1.15), and a revocation changes its end alone (C1.20).
fn may_be_later(copied: &Rule, stored: Option<&Rule>, time: Millis) -> bool {
    let until = copied.access.until;
    let revoked = stored.is_some_and(|stored| {
        let ended = Rule { access: stored.access.ended_at(until), ..*stored };
        time <= until && until < stored.access.until && ended == *copied
    });
    copied.access.from >= time || revoked
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

    /// A copy of the record after some operations, against batches that hold others.
    fn compared(copied: &[SeenOperation], settled: &[SeenOperation]) -> CopyFound {
        let record = after(settled);
        // The window of the last batch ends right behind its last operation.
        let until = settled.last().map_or(at(0), |last| last.t_op.plus(1));
        let settled = SettledRecord { record: &record, operations: settled, later: &[], until };
        compare_copy(SCOPE, &after(copied), settled)
    }

    fn signed(nonce: u32, action: Action) -> SeenOperation {
        let mut seen = permit(nonce, 0);
        seen.operation.action = action;
        seen
    }

    #[test]
    fn operations_of_another_device_explain_what_a_copy_lacks() {
        let all = [permit(0, 0), permit(1, 1), permit(2, 2)];
        let behind = CopyFound::Behind { operations: all[1..].to_vec() };
        assert_eq!(compared(&all[..1], &all), behind);
        assert_eq!(compared(&all, &all), CopyFound::Equal);
    }

    #[test]
    fn a_copy_ahead_is_the_settled_record_and_what_came_later() {
        let mut all = vec![permit(0, 0), permit(1, 1), permit(2, 2)];
        let rule = *after(&all).rule(RuleSlot::Permit(0)).unwrap();
        all.push(signed(3, Action::Revoke { slot: RuleSlot::Permit(0), rule }));
        all.push(signed(4, Action::Stop));
        for settled in 1..all.len() {
            let expected = (all.len() - settled) as u32;
            let found = compared(&all, &all[..settled]);
            let CopyFound::Ahead { operations, receipted: false, .. } = found else {
                panic!("{found:?}")
            };
            assert_eq!(operations, expected);
        }
    }

    #[test]
    fn receipts_show_what_a_copy_has_more_or_nobody_does() {
        let all = [permit(0, 0), permit(1, 1), permit(2, 2), permit(3, 3)];
        let (copy, record) = (after(&all[..3]), after(&all[..1]));
        let receipted = |later: &[SeenOperation]| {
            let settled =
                SettledRecord { record: &record, operations: &all[..1], later, until: at(2) };
            match compare_copy(SCOPE, &copy, settled) {
                CopyFound::Ahead { operations: 2, differences, receipted } => {
                    assert_eq!(differences, ["permit:1", "permit:2"]);
                    receipted
                }
                other => panic!("expected a copy ahead, found {other:?}"),
            }
        };
        assert!(receipted(&all[1..3]));
        assert!(receipted(&all), "others than those that are missing say nothing");
        assert!(!receipted(&[]) && !receipted(&all[1..2]) && !receipted(&all[2..3]));
        assert!(!receipted(&[permit(1, 5), permit(2, 2)]));
    }

    #[test]
    fn a_copy_ahead_of_another_history_is_a_fork() {
        let unexplained =
            |copied: &[SeenOperation], settled: &[SeenOperation]| match compared(copied, settled) {
                CopyFound::Unexplained { differences } => differences,
                other => panic!("expected a fork, found {other:?}"),
            };
        // The node gave a receipt for permit 1 and settled permit 5 under the same number; then one
        // more operation followed, so that the copy counts more.
        let copied = [permit(0, 0), permit(1, 1), permit(2, 2)];
        let settled = [permit(0, 0), permit(1, 5)];
        assert_eq!(unexplained(&copied, &settled), ["permit:1", "permit:5"]);
        // The same slot with another rule.
        let mut other = permit(1, 1);
        let mut narrow = rule();
        narrow.purposes = model::Purpose::Treatment.only();
        other.operation.action = Action::Write { slot: RuleSlot::Permit(1), rule: narrow };
        assert_eq!(unexplained(&copied, &[permit(0, 0), other]), ["permit:1"]);
        // A stop that was settled ends every record.
        assert_eq!(
            unexplained(&copied, &[permit(0, 0), signed(1, Action::Stop)]),
            ["time of the stop", "permit:1"]
        );
        // More changes than operations.
        let late = |nonce, slot| SeenOperation { t_op: at(50), ..permit(nonce, slot) };
        let two = [permit(0, 0), late(1, 1), SeenOperation { t_op: at(51), ..late(2, 2) }];
        let one = [
            permit(0, 0),
            signed(
                1,
                Action::Revoke {
                    slot: RuleSlot::Permit(0),
                    rule: *after(&copied[..1]).rule(RuleSlot::Permit(0)).unwrap(),
                },
            ),
        ];
        assert_eq!(unexplained(&two, &one), ["permit:0", "permit:1", "permit:2"]);
    }

    #[test]
    fn what_no_operation_explains_is_listed_by_name() {
        // The operator settled another operation of the same number than the one it gave a receipt
        // for.
        let (promised, all) = ([permit(0, 0), permit(1, 1)], [permit(0, 0), permit(1, 5)]);
        let differences = vec!["permit:1".to_owned(), "permit:5".to_owned()];
        assert_eq!(compared(&promised, &all), CopyFound::Unexplained { differences });
        let record = after(&all);
        let (operations, later) = (&all[..1], &[][..]);
        let settled = SettledRecord { record: &record, operations, later, until: at(9) };
        let withheld = compare_copy(SCOPE, &after(&all[..1]), settled);
        assert!(matches!(withheld, CopyFound::Unexplained { .. }));
    }
}
