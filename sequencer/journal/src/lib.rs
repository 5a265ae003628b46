//! The durable log: the one order of everything the node accepts.
//!
//! ```text
//!   submit -> [bounded queue] -> admit (consent, in order) -> group -> write -> sync -> answers
//!                                   \________ one writer thread, no timer ________/
//! ```
//!
//! * [`Log`] appends groups of typed entries and returns only after the medium synced them.
//! * [`Reader`] serves committed entries; what fails a check is an error, never data.
//! * [`Writer`] is the one thread that appends: a group is what arrived during the last sync.
//! * [`Medium`] is the storage below; [`FileMedium`] is the real one, [`fault`] the hostile one.
//!
//! The bytes, and what is assumed of the medium, are written in `docs/journal.md`. Bodies are
//! opaque: nothing here knows a frame or an operation, so recovery tools and benches need neither
//! server nor prover.
//!
//! ```
//! use journal::{Entry, Genesis, EntryKind, Log, fault::FaultMedium};
//!
//! let genesis = Genesis { log_id: [7; 16], journal_hash: [0; 32] };
//! let (mut log, _) = Log::open(FaultMedium::default(), genesis)?;
//! let committed = log.append(&[Entry::new(EntryKind::FRAME, 3_900_000_000_000, "opaque")])?;
//! assert_eq!((committed.first, committed.last), (1, 1));
//! assert_eq!(log.read(1)?.body, "opaque");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod entry;
mod error;
pub mod fault;
mod log;
mod medium;
mod queue;
mod read;
mod record;
mod recover;
mod writer;

pub use build::GroupBuilder;
pub use entry::{Entry, EntryKind};
pub use error::{AppendError, Corruption, EntryError, Evidence, Fault, OpenError, ReadError};
pub use log::{Committed, Head, Log};
pub use medium::{FileMedium, Medium, MediumError};
pub use read::{Entries, Group, Reader};
pub use record::{Genesis, journal_hash};
pub use recover::Recovery;
pub use writer::{
    Admission, Failure, NotTaken, SubmitError, Submitter, Writer, WriterConfig, WriterStopped,
};

/// Milliseconds since 1900-01-01T00:00:00Z; valid append times are `1..=MILLIS_MAX`.
pub type Millis = u64;
/// Index of an entry over the whole log, from 1; an acknowledged one never names anything else.
pub type Position = u64;
/// Number of a group over the whole log, from 1.
pub type GroupNumber = u64;

/// Largest append time: 44 bits, less the value that means "unbounded".
pub const MILLIS_MAX: Millis = (1 << 44) - 2;
/// Most bytes one entry takes in a group, its 16-byte header included.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Most bytes of contiguous entries in one group.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Most entries in one group.
pub const GROUP_ENTRIES_MAX: usize = 65_536;
/// Most entry bytes that one submitted item may become (see [`Admission`]).
pub const ITEM_BYTES_MAX: usize = 2 << 20;
/// Most entries that one submitted item may become (see [`Admission`]).
pub const ITEM_ENTRIES_MAX: usize = 4_096;
