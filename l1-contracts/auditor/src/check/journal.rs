//! The journal groups of a batch: contiguous, chained, and up to the one that holds the close.

use model::BatchHeader;
use statement::batch::GroupHeader;
use statement::journal::journal_hash;

use super::{Previous, Tail, within};
use crate::broken::{Broken, Item, equal};

pub(super) fn check(
    previous: &Previous,
    header: &BatchHeader,
    groups: &[GroupHeader],
) -> Result<Option<Tail>, Broken> {
    let mut tail = previous.tail;
    let mut hash = previous.journal_hash;
    for (index, group) in groups.iter().enumerate() {
        contiguous(header, tail, index, group)?;
        hash = journal_hash(&hash, group);
        tail = Some(Tail { group: group.number, last: group.last });
    }
    equal(within(header), Item::Journal("hash after the groups"), &header.journal_hash, &hash)?;
    holds_the_close(header, groups, tail)?;
    Ok(tail)
}

fn contiguous(
    header: &BatchHeader,
    tail: Option<Tail>,
    index: usize,
    group: &GroupHeader,
) -> Result<(), Broken> {
    let item = |part| Item::Group { index, part };
    let batch = within(header);
    if let Some(tail) = tail {
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
fn holds_the_close(
    header: &BatchHeader,
    groups: &[GroupHeader],
    tail: Option<Tail>,
) -> Result<(), Broken> {
    let close = header.journal_position;
    let first = groups.last().map_or(0, |group| group.first.0);
    let last = tail.map_or(u64::MAX, |tail| tail.last.0);
    if (first..=last).contains(&close.0) {
        return Ok(());
    }
    let item = Item::Journal("last group");
    let expected = format!("a group that holds the close at position {}", close.0);
    Err(Broken::inside(header.number, item, expected, format!("positions {first} to {last}")))
}
