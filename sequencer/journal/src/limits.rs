//! What is counted, in which unit, and how much of it there may be.

/// Milliseconds since 1900-01-01T00:00:00Z; valid append times are `1..=MILLIS_MAX`.
pub type Millis = u64;
/// Index of an entry over the whole log, from 1; an acknowledged one never names anything else.
pub type Position = u64;
/// Number of a group over the whole log, from 1.
pub type GroupNumber = u64;
/// Number of a file of the log, from 1.
pub type FileNumber = u64;

/// Largest append time: 44 bits, less the value that means "unbounded".
pub const MILLIS_MAX: Millis = (1 << 44) - 2;
/// Largest length that a file is made with.
pub const FILE_BYTES_MAX: u64 = 16 << 30;
/// Most bytes one entry takes in a group, its 16-byte header included.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Most bytes of contiguous entries in one group.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Most entries in one group.
pub const GROUP_ENTRIES_MAX: usize = 65_536;
/// How far the numbers of groups, and how far positions, may jump over the life of a log, each in
/// sum: what an operator may give up after losses. A batch advances by less than 2^28 positions.
pub const JUMPS_MAX: u64 = (1 << 28) - 1;
/// Most entry bytes that one submitted item may become (see [`crate::Admission`]).
pub const ITEM_BYTES_MAX: usize = 2 << 20;
/// Most entries that one submitted item may become (see [`crate::Admission`]).
pub const ITEM_ENTRIES_MAX: usize = 4_096;
