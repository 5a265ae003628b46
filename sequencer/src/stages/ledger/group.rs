//! An entry of the journal, decoded, with its place.

use model::{Millis, Position};
use wire::Entry;

/// One entry of a group.
#[derive(Clone, Debug)]
pub struct GroupEntry {
    /// Where it stands.
    pub position: Position,
    /// When it was appended.
    pub time: Millis,
    /// What it says.
    pub entry: Entry,
}

impl GroupEntry {
    /// As `wire::receipts_of_group` takes it.
    pub fn placed(&self) -> (Position, Millis, &Entry) {
        (self.position, self.time, &self.entry)
    }
}
