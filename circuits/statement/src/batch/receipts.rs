//! Whether a receipt's group is one of a settled batch.
//!
//! A receipt names a journal group and the journal hash after it. A batch's public file lists its
//! groups, and its header commits to the hash after the last of them. So whoever has both can tell
//! whether the journal that was receipted is the one that was settled: a node that keeps two
//! journals shows one of them to the holder of a receipt and settles the other.

use std::collections::BTreeMap;

use model::BatchHeader;
use thiserror::Error;

use super::GroupSummary;
use crate::journal::journal_hash;

/// A journal group as a receipt names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiptedGroup {
    /// Number of the group.
    pub group: u64,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
}

/// What a settled batch says of a receipted group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inclusion {
    /// The batch holds the group, with that hash.
    Included,
    /// The batch holds a group of that number with another hash: the node signed one journal and
    /// settled another, and these two hashes are the evidence.
    OtherHash {
        /// The receipt's.
        receipted: [u8; 32],
        /// The settled one.
        settled: [u8; 32],
    },
    /// The batch holds no group of that number.
    NotInBatch,
}

/// The groups of one batch, each with the journal hash after it, found to end in the header's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettledGroups {
    hashes: BTreeMap<u64, [u8; 32]>,
}

/// Groups that are not those of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GroupsError {
    /// The hashes do not end where the header says.
    #[error("expected groups that end in the journal hash of the header, found other groups")]
    OtherJournal {
        /// Of the header.
        expected: [u8; 32],
        /// After the last group.
        found: [u8; 32],
    },
    /// A number comes twice or backwards: one receipt could be shown to be in two places.
    #[error("expected groups in ascending order, found group {found} after group {before}")]
    Order {
        /// The number before.
        before: u64,
        /// The number found.
        found: u64,
    },
}

impl SettledGroups {
    /// Folds the groups of a batch from `previous`, the journal hash of the batch before (of the
    /// first one [`crate::journal::genesis`]), to that of `header`.
    ///
    /// # Errors
    /// [`GroupsError`] if they do not lead there.
    pub fn fold(
        previous: &[u8; 32],
        header: &BatchHeader,
        groups: &[GroupSummary],
    ) -> Result<SettledGroups, GroupsError> {
        let (mut hash, mut hashes) = (*previous, BTreeMap::new());
        for group in groups {
            let last = hashes.last_key_value().map(|(number, _)| *number);
            if let Some(before) = last.filter(|before| group.number <= *before) {
                return Err(GroupsError::Order { before, found: group.number });
            }
            hash = journal_hash(&hash, group);
            hashes.insert(group.number, hash);
        }
        let expected = header.journal_hash;
        if hash == expected {
            Ok(SettledGroups { hashes })
        } else {
            Err(GroupsError::OtherJournal { expected, found: hash })
        }
    }

    /// What these groups say of a receipted one.
    pub fn inclusion(&self, of: ReceiptedGroup) -> Inclusion {
        let ReceiptedGroup { group, journal_hash: receipted } = of;
        match self.hashes.get(&group) {
            None => Inclusion::NotInBatch,
            Some(settled) if *settled == receipted => Inclusion::Included,
            Some(settled) => Inclusion::OtherHash { receipted, settled: *settled },
        }
    }

    /// First and last number; `None` of a batch without a group of its own.
    pub fn numbers(&self) -> Option<(u64, u64)> {
        let (first, _) = self.hashes.first_key_value()?;
        let (last, _) = self.hashes.last_key_value()?;
        Some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use model::{BatchNumber, DataSource, Millis, Position, Window, Word};

    use super::*;

    fn header(journal_hash: [u8; 32]) -> BatchHeader {
        BatchHeader {
            number: BatchNumber(1),
            previous: [1; 32],
            window: Window::new(Millis::new(1000).unwrap(), Millis::new(2000).unwrap()).unwrap(),
            root_in: Word::from_u64(5),
            root_out: Word::from_u64(5),
            forced_first: 0,
            forced_count: 0,
            forced_outcomes: [0; 32],
            operations_root: [0; 32],
            claims_root: [0; 32],
            operations: 0,
            enrolments: 0,
            access: 0,
            collect: 0,
            break_glass: 0,
            excluded: 0,
            data_root: [0; 32],
            journal_position: Position(9),
            journal_hash,
            registry_root: [0; 32],
            data_source: DataSource::Operator,
            ciphertext_hash: [0; 32],
            ciphertext_length: 0,
            key_version: 2,
        }
    }

    fn group(number: u64, content: u8) -> GroupSummary {
        let (first, last) = (Position(number * 10), Position(number * 10 + 9));
        GroupSummary { number, first, last, content: [content; 32] }
    }

    const BEFORE: [u8; 32] = [7; 32];

    /// Each group with the hash after it.
    fn hashes(groups: &[GroupSummary]) -> Vec<ReceiptedGroup> {
        let mut hash = BEFORE;
        let after = groups.iter().map(|group| {
            hash = journal_hash(&hash, group);
            ReceiptedGroup { group: group.number, journal_hash: hash }
        });
        after.collect()
    }

    #[test]
    fn a_receipt_of_a_settled_group_is_included_and_of_a_forked_one_is_evidence() {
        let settled = [group(4, 1), group(5, 2), group(6, 3)];
        let honest = hashes(&settled);
        let header = header(honest[2].journal_hash);
        let groups = SettledGroups::fold(&BEFORE, &header, &settled).unwrap();
        assert_eq!(groups.numbers(), Some((4, 6)));
        for receipt in &honest {
            assert_eq!(groups.inclusion(*receipt), Inclusion::Included);
        }
        // The node receipted another fifth group than it settled: all from there on differ.
        let forked = hashes(&[group(4, 1), group(5, 9), group(6, 3)]);
        assert_eq!(groups.inclusion(forked[0]), Inclusion::Included);
        for (receipt, honest) in forked[1..].iter().zip(&honest[1..]) {
            let (receipted, settled) = (receipt.journal_hash, honest.journal_hash);
            let expected = Inclusion::OtherHash { receipted, settled };
            assert_eq!(groups.inclusion(*receipt), expected);
        }
        let other = ReceiptedGroup { group: 7, ..honest[2] };
        assert_eq!(groups.inclusion(other), Inclusion::NotInBatch);
    }

    #[test]
    fn groups_that_do_not_lead_to_the_header_say_nothing() {
        let settled = [group(4, 1), group(5, 2)];
        let end = hashes(&settled)[1].journal_hash;
        let fold = |groups: &[GroupSummary]| SettledGroups::fold(&BEFORE, &header(end), groups);
        assert!(fold(&settled).is_ok());
        let changed = [group(4, 1), group(5, 3)];
        assert!(matches!(fold(&changed), Err(GroupsError::OtherJournal { .. })));
        assert!(matches!(fold(&settled[..1]), Err(GroupsError::OtherJournal { .. })));
        let turned = [group(5, 2), group(4, 1)];
        assert_eq!(fold(&turned), Err(GroupsError::Order { before: 5, found: 4 }));
        assert_eq!(
            fold(&[group(4, 1), group(4, 1)]),
            Err(GroupsError::Order { before: 4, found: 4 })
        );
        // A batch without a group of its own keeps the hash of the one before.
        let empty = SettledGroups::fold(&end, &header(end), &[]).unwrap();
        assert_eq!(empty.numbers(), None);
    }
}
