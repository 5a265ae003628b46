//! Why a file is no snapshot.

use std::io;

use thiserror::Error;

/// Largest snapshot: some hundred thousand patients and streams.
pub const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;

/// Why a file is no snapshot to start from.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("it cannot be read")]
    File(#[from] io::Error),
    /// It is shorter or longer than it says, or something else.
    #[error("expected a snapshot of {expected} bytes, found {found}")]
    Length {
        /// As long as its head says, or a head at least.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// It is something else.
    #[error("expected a snapshot, found other first bytes")]
    Magic,
    /// Another version of the program wrote it.
    #[error("expected version {expected}, found version {found}")]
    Version {
        /// The one that is read.
        expected: u32,
        /// The one found.
        found: u32,
    },
    /// It is of another journal.
    #[error("expected a snapshot of this deployment's journal, found another's")]
    Foreign,
    /// A byte of it was changed.
    #[error("expected the hash at its end, found that its bytes have another")]
    Damaged,
    /// It would take of what is kept free for everything that must not stop.
    #[error("expected room for {needed} bytes beside `journal.reserve_bytes`, found less")]
    NoRoom {
        /// Its length, with what of the index is written before it.
        needed: u64,
    },
    /// It would be too large.
    #[error("expected at most {SNAPSHOT_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Its length.
        found: u64,
    },
}
