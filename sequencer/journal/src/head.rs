//! The end of what is committed, from which the next group goes on.

use crate::{GroupNumber, Millis, Position};

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
    /// Bytes of the medium in use.
    pub end: u64,
}
