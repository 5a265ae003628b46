//! The end of what is committed, and the place at which the next group goes on.

use crate::{FileNumber, GroupNumber, Millis, Position};

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Last committed group; 0 before the first.
    pub group: GroupNumber,
    /// Last committed position; 0 before the first.
    pub position: Position,
    /// Journal hash after that group.
    pub journal_hash: [u8; 32],
    /// Append time of the last entry; 0 before the first.
    pub last_time: Millis,
    /// The file that the next group goes into, if it fits.
    pub file: FileNumber,
    /// Bytes of that file in use.
    pub end: u64,
}

/// Where a group stands: its number and the position of its first entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the group.
    pub group: GroupNumber,
    /// Position of its first entry.
    pub position: Position,
}

impl Place {
    /// The place right after `head`.
    pub(crate) fn after(head: &Head) -> Place {
        Place { group: head.group + 1, position: head.position + 1 }
    }
}
