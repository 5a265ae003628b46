//! How it stands around the ledger, as a decision sees it.

use model::Millis;

use crate::clock::Disagreement;

/// How it stands around the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The latest that it may be: what ends is judged by it. The writer's time is the earliest.
    pub latest: Millis,
    /// The latest time that an operation may be stamped with, if its signature is that young.
    pub stamp_max: Millis,
    /// The clocks, if they are too far apart to stamp anything.
    pub disagreement: Option<Disagreement>,
    /// How far the last entry may be ahead of `latest`, milliseconds.
    pub ahead_ms_max: u64,
    /// Whether the disk has room for what may be large.
    pub has_room: bool,
    /// Whether the node is drained: nothing new is taken in but what takes rights away.
    pub draining: bool,
}

impl Surroundings {
    /// Whether a last entry of this time is of one that has not come, whichever clock is right.
    pub(super) fn is_ahead(&self, last: Millis) -> bool {
        last.since(self.latest) > self.ahead_ms_max
    }
}
