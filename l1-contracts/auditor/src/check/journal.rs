//! The journal groups of a batch: contiguous, hashed one into the next, and up to the one that
//! holds the close.

use model::BatchHeader;
use statement::batch::GroupSummary;
use statement::journal::journal_hash;

use super::parts::{BatchContext, Tail, within};
use crate::broken::{Broken, Item, equal};

pub(super) fn check(of: BatchContext<'_>, groups: &[GroupSummary]) -> Result<Option<Tail>, Broken> {
    let BatchContext { previous, header, .. } = of;
    let mut tail = previous.tail;
    let mut hash = previous.journal_hash;
    for (index, group) in groups.iter().enumerate() {
        check_place(header, tail, index, group)?;
        hash = journal_hash(&hash, group);
        tail = Some(Tail { group: group.number, last: group.last });
    }
    equal(within(header), Item::Journal("hash after the groups"), &header.journal_hash, &hash)?;
    check_close(header, groups, tail)?;
    Ok(tail)
}

/// A group follows the one before it, and its positions count upwards.
fn check_place(
    header: &BatchHeader,
    tail: Option<Tail>,
    index: usize,
    group: &GroupSummary,
) -> Result<(), Broken> {
    let item = |part| Item::Group { index, part };
    let batch = within(header);
    // Without the predecessor's file its last group is unknown; the hash covers the rest.
    if let Some(tail) = tail {
        // Saturating: these are numbers of the file, and the greatest must be no panic.
        equal(batch, item("number"), &tail.group.saturating_add(1), &group.number)?;
        equal(batch, item("first position"), &tail.last.0.saturating_add(1), &group.first.0)?;
    }
    if group.last < group.first {
        let expected = format!("at least the first position {}", group.first.0);
        let found = group.last.0.to_string();
        return Err(Broken::inside(header.number, item("last position"), expected, found));
    }
    Ok(())
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
