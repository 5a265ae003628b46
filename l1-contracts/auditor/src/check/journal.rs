//! The journal groups of a batch: in order, hashed one into the next, and up to the one that holds
//! the close. Where the operator accepted a loss, numbers and positions jump, and that is counted.

use model::BatchHeader;
use statement::batch::GroupSummary;
use statement::journal::journal_hash;

use super::parts::{BatchContext, Tail, within};
use crate::broken::{Broken, Item, equal};

/// By how much numbers of groups and positions may jump at a loss: less than a batch may advance.
const JUMP_MAX: u64 = (1 << 28) - 1;

/// The last group, and how often numbers were given up before a group.
pub(super) struct Groups {
    pub(super) tail: Option<Tail>,
    pub(super) gaps: u64,
}

pub(super) fn check(of: BatchContext<'_>, groups: &[GroupSummary]) -> Result<Groups, Broken> {
    let BatchContext { previous, header, .. } = of;
    let (mut tail, mut gaps) = (previous.tail, 0);
    let mut hash = previous.journal_hash;
    for (index, group) in groups.iter().enumerate() {
        gaps += u64::from(check_place(header, tail, index, group)?);
        hash = journal_hash(&hash, group);
        tail = Some(Tail { group: group.number, last: group.last });
    }
    equal(within(header), Item::Journal("hash after the groups"), &header.journal_hash, &hash)?;
    check_close(header, groups, tail)?;
    Ok(Groups { tail, gaps })
}

/// A group follows the one before it, at once or after a gap, and its positions count upwards;
/// whether there is a gap.
fn check_place(
    header: &BatchHeader,
    tail: Option<Tail>,
    index: usize,
    group: &GroupSummary,
) -> Result<bool, Broken> {
    let item = |part| Item::Group { index, part };
    let batch = within(header);
    let mut gap = false;
    // Without the predecessor's file its last group is unknown; the hash covers the rest.
    if let Some(tail) = tail {
        // Saturating: these are numbers of the file, and the greatest must be no panic.
        let (number, first) = (tail.group.saturating_add(1), tail.last.0.saturating_add(1));
        // A loss gives up numbers and positions together. One that jumps alone is none: a group
        // holds an entry, so entries were left out or groups renamed.
        let jumps = |next: u64, found: u64| found > next && found - next <= JUMP_MAX;
        gap = jumps(number, group.number) && jumps(first, group.first.0);
        if !gap {
            equal(batch, item("number"), &number, &group.number)?;
            equal(batch, item("first position"), &first, &group.first.0)?;
        }
    }
    if group.last < group.first {
        let expected = format!("at least the first position {}", group.first.0);
        let found = group.last.0.to_string();
        return Err(Broken::inside(header.number, item("last position"), expected, found));
    }
    Ok(gap)
}

/// The close is in the last group; without a group of its own, in the last one of before.
fn check_close(
    header: &BatchHeader,
    groups: &[GroupSummary],
    tail: Option<Tail>,
) -> Result<(), Broken> {
    let close = header.journal_position;
    let first = groups.last().map_or(0, |group| group.first.0);
    // Without a group, and without the file before, nothing says where the last one ends.
    let last = tail.map_or(u64::MAX, |tail| tail.last.0);
    // Not only the last position: entries of the next window may share the group.
    if (first..=last).contains(&close.0) {
        return Ok(());
    }
    let item = Item::Journal("last group");
    let expected = format!("a group that holds the close at position {}", close.0);
    Err(Broken::inside(header.number, item, expected, format!("positions {first} to {last}")))
}
