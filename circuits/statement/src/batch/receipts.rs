//! Whether a receipt's group is one of a settled batch.
//!
//! A receipt names a journal group and the journal hash after it. A batch's public file lists its
//! groups, and its header commits to the hash after the last of them. So whoever has both can tell
//! whether the journal that was receipted is the one that was settled: a node that keeps two
//! journals shows one of them to the holder of a receipt and settles the other.

use std::collections::BTreeMap;

use model::{BatchHeader, Position};
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

/// What is compared of a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipted {
    /// Its group.
    pub group: ReceiptedGroup,
    /// Last journal position that it acknowledges.
    pub last: Position,
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

/// Where a batch's journal begins: what the batch before it, or the genesis, ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalEnd {
    /// Position of the close.
    pub position: Position,
    /// Journal hash after the last group.
    pub hash: [u8; 32],
}

/// Receipts that wait for their groups, which come batch by batch. A receipt is called by its place
/// in the list that it came in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WaitingReceipts {
    by_group: BTreeMap<u64, Vec<Waiting>>,
    /// Position of the close before the first batch that came.
    from: Option<Position>,
    /// The first group that came.
    first_group: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waiting {
    number: usize,
    receipted: Receipted,
}

/// A receipt whose group is in none of the batches that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotFound {
    /// Its position is later than the last of them.
    NotSettled,
    /// Its group is before the first of them.
    NotCompared,
    /// Its position is settled by them: the node signed one journal and settled another.
    Missing,
}

impl WaitingReceipts {
    /// All of a list. Who signed them is checked elsewhere.
    pub fn new(receipts: impl IntoIterator<Item = Receipted>) -> WaitingReceipts {
        let mut waiting = WaitingReceipts::default();
        for (number, receipted) in receipts.into_iter().enumerate() {
            let of_group = waiting.by_group.entry(receipted.group.group).or_default();
            of_group.push(Waiting { number, receipted });
        }
        waiting
    }

    /// What the groups of the next batch say of those that wait for them.
    ///
    /// # Errors
    /// [`GroupsError`] if the groups are not those of the header.
    pub fn take(
        &mut self,
        before: JournalEnd,
        header: &BatchHeader,
        groups: &[GroupSummary],
    ) -> Result<Vec<(usize, Inclusion)>, GroupsError> {
        self.from.get_or_insert(before.position);
        let settled = SettledGroups::fold(&before.hash, header, groups)?;
        let Some((first, last)) = settled.numbers() else { return Ok(Vec::new()) };
        self.first_group.get_or_insert(first);
        let numbers: Vec<u64> = self.by_group.range(first..=last).map(|(n, _)| *n).collect();
        let met = numbers.iter().filter_map(|number| self.by_group.remove(number)).flatten();
        Ok(met.map(|one| (one.number, settled.inclusion(one.receipted.group))).collect())
    }

    /// Those that are left after the last batch, whose close is at this position.
    pub fn conclude(self, last: Position) -> Vec<(usize, NotFound)> {
        let WaitingReceipts { by_group, from, first_group } = self;
        // From the first batch on every group came. Else one that holds the close before may go on
        // behind it, so that its number tells and not the position.
        let all = from == Some(Position(0));
        let find = |one: Waiting| {
            let Receipted { group, last: acknowledged } = one.receipted;
            let not_found = if acknowledged > last {
                NotFound::NotSettled
            } else if !all && first_group.is_none_or(|first| group.group < first) {
                NotFound::NotCompared
            } else {
                NotFound::Missing
            };
            (one.number, not_found)
        };
        by_group.into_values().flatten().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::small;

    fn header(journal_hash: [u8; 32]) -> BatchHeader {
        BatchHeader { journal_hash, ..small::header(1) }
    }

    fn group(number: u64, content: u8) -> GroupSummary {
        small::group(number, [number * 10, number * 10 + 9], content)
    }

    const BEFORE: [u8; 32] = [7; 32];

    /// Each group with the hash after it.
    fn hashes(groups: &[GroupSummary]) -> Vec<ReceiptedGroup> {
        let after = groups.iter().zip(small::hashes(BEFORE, groups));
        let named =
            after.map(|(group, journal_hash)| ReceiptedGroup { group: group.number, journal_hash });
        named.collect()
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

    #[test]
    fn receipts_wait_for_their_groups_and_those_left_are_told_apart() {
        let settled = [group(1, 1), group(2, 2), group(3, 3)];
        let after = hashes(&settled);
        let receipted = |group: ReceiptedGroup, last| Receipted { group, last: Position(last) };
        let forked = ReceiptedGroup { journal_hash: [0xee; 32], ..after[1] };
        let nowhere = |group| ReceiptedGroup { group, journal_hash: [9; 32] };
        let all = [
            receipted(after[0], 12),
            receipted(forked, 25),
            receipted(nowhere(7), 20),
            receipted(nowhere(8), 99),
        ];
        let read = |before: usize, position| {
            let mut waiting = WaitingReceipts::new(all);
            let hash = if before == 0 { BEFORE } else { after[before - 1].journal_hash };
            let before_end = JournalEnd { position: Position(position), hash };
            let header = header(after[2].journal_hash);
            let found = waiting.take(before_end, &header, &settled[before..]).unwrap();
            let mut left = waiting.conclude(Position(39));
            left.sort_by_key(|(number, _)| *number);
            (found, left)
        };
        let (receipted, settled_hash) = (forked.journal_hash, after[1].journal_hash);
        let other = Inclusion::OtherHash { receipted, settled: settled_hash };
        let left = [(2, NotFound::Missing), (3, NotFound::NotSettled)];
        assert_eq!(read(0, 0), (vec![(0, Inclusion::Included), (1, other)], left.to_vec()));
        // From the second group on, the first one's receipt is before all that came.
        let (found, left) = read(1, 19);
        assert_eq!((found, left[0]), (vec![(1, other)], (0, NotFound::NotCompared)));
        let mut waiting = WaitingReceipts::new(all);
        let before = JournalEnd { position: Position(0), hash: [1; 32] };
        let header = header(after[2].journal_hash);
        assert!(waiting.take(before, &header, &settled).is_err());
    }
}
