//! Three lanes before the writer: what waits on one is in order, and none holds up a more urgent
//! one.
//!
//! Both rules are of counts alone. *Places*: each lane has some of its own, and takes of the shared
//! ones as long as all own places of the others stay free for them; what is reserved stands apart
//! from both. *Turns*: a group takes the lanes one after the other, most urgent first; each leaves
//! room for one item of every lane that waits behind it, and backfill has a bounded part of a
//! group.

use std::fmt;

use crate::{GROUP_BYTES_MAX, GROUP_ENTRIES_MAX, ITEM_BYTES_MAX, ITEM_ENTRIES_MAX};

/// Bytes of backfill after which a group takes no more of it. What comes while a group of backfill
/// alone is written waits for so much, and one item, at most; and written in groups of so much,
/// backfill costs hardly more than in larger ones.
pub const BACKFILL_BYTES_MAX: usize = 1 << 20;

/// What an item waits on; the most urgent first. The names are those of the wire's lanes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Alarms, operations, requests, and what the node itself asks for.
    Control = 0,
    /// What is measured now.
    Live = 1,
    /// What was measured earlier.
    Backfill = 2,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Lane; 3] = [Lane::Control, Lane::Live, Lane::Backfill];

    /// Places that no other lane takes, of so many that are not reserved: an eighth for control and
    /// for backfill, three eighths for live, and one at least. The rest, three eighths, is for
    /// whoever comes.
    pub fn own_places(self, items_max: usize) -> usize {
        let eighths = match self {
            Lane::Control | Lane::Backfill => 1,
            Lane::Live => 3,
        };
        (items_max / 8 * eighths).max(1)
    }

    /// How many items may wait on this lane beside so many on each, of so many places and of these
    /// `reserved` ones besides.
    pub(crate) fn places(self, waiting: Waiting, common: usize, reserved: usize) -> usize {
        let others = Lane::ALL.into_iter().filter(|other| *other != self);
        let kept: usize = others.map(|other| waiting.on(other).max(other.own_places(common))).sum();
        // What is reserved is part of no lane's own: else the others would leave less of it.
        (common + reserved).saturating_sub(kept).max(self.own_places(common))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lane::Control => "control",
            Lane::Live => "live",
            Lane::Backfill => "backfill",
        })
    }
}

/// Which places an item may take, whatever its lane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Places {
    /// Those of its lane, and what the lanes share.
    Common,
    /// The reserved ones as well.
    Reserved,
}

/// How many items wait on each lane.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Waiting(pub(crate) [usize; 3]);

impl Waiting {
    pub(crate) fn on(self, lane: Lane) -> usize {
        self.0[lane as usize]
    }

    pub(crate) fn sum(self) -> usize {
        self.0.iter().sum()
    }

    /// Lanes less urgent than this one on which something waits.
    fn lanes_behind(self, lane: Lane) -> usize {
        self.0[lane as usize + 1..].iter().filter(|items| **items > 0).count()
    }
}

/// How much a group holds, or a lane's part of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Filled {
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
}

/// One lane's turn in a group.
pub(crate) struct Turn {
    lane: Lane,
    /// What the group held before it.
    before: Filled,
    /// Lanes that wait behind it: there is room for a largest item of each.
    lanes_behind: usize,
}

impl Turn {
    /// The turn of a lane in a group that holds so much, for which so many items wait.
    pub(crate) fn new(lane: Lane, waiting: Waiting, before: Filled) -> Turn {
        Turn { lane, before, lanes_behind: waiting.lanes_behind(lane) }
    }

    /// Whether the group, which holds so much by now, takes one more item of the lane.
    pub(crate) fn takes_one(&self, group: Filled) -> bool {
        let is_within = match self.lane {
            Lane::Backfill => group.bytes - self.before.bytes < BACKFILL_BYTES_MAX,
            Lane::Control | Lane::Live => true,
        };
        // For the largest ones: what an item becomes is known only once it is admitted, and then it
        // cannot be taken back, because the admission has it in its state.
        let items = 1 + self.lanes_behind;
        is_within
            && group.bytes + items * ITEM_BYTES_MAX <= GROUP_BYTES_MAX
            && group.entries + items * ITEM_ENTRIES_MAX <= GROUP_ENTRIES_MAX
    }
}
