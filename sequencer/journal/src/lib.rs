//! The durable log: the one order of everything the node accepts.
//!
//! ```text
//!   submit -> [three lanes] -> admit (consent, in order) -> group -> write -> sync -> answers
//!                                   \________ one writer thread, no timer ________/
//! ```
//!
//! * [`Log`] appends groups of typed entries and returns only after the medium synced them.
//! * [`Reader`] serves committed entries; what fails a check is an error, never data.
//! * [`Writer`] is the one thread that appends: a group is what arrived during the last sync.
//! * [`Medium`] is the storage below, files by name; [`FileMedium`] is a folder, [`fault`] the
//!   hostile one.
//!
//! The bytes, and what is assumed of the medium, are written in `docs/journal.md`. Bodies are
//! opaque: nothing here knows a frame or an operation, so recovery tools and benches need neither
//! server nor prover.
//!
//! ```
//! use journal::{Entry, EntryKind, Genesis, Log, fault, fault::FaultMedium};
//!
//! let genesis = Genesis { log_id: [7; 16], journal_hash: [0; 32] };
//! let (mut log, _) = Log::open(FaultMedium::default(), genesis, fault::salts())?;
//! let committed = log.append(&[Entry::new(EntryKind::FRAME, 3_900_000_000_000, "opaque")])?;
//! assert_eq!((committed.first, committed.last), (1, 1));
//! assert_eq!(log.read(1)?.body, "opaque");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archived;
mod build;
mod direct;
mod entry;
mod error;
pub mod fault;
mod fetch;
mod file;
mod folder;
mod head;
mod index;
mod index_file;
mod lane;
mod limits;
mod log;
mod medium;
mod prepare;
mod put_away;
mod queue;
mod read;
mod record;
mod recover;
mod scan;
mod spare;
mod view;
mod writer;

pub use build::GroupBuilder;
pub use entry::{Entry, EntryKind};
pub use error::{
    AppendError, Corruption, DurableEvidence, EntryError, FIRST_VERSION, Failure, Fault, FileFault,
    JumpError, NotTaken, OpenError, ReadError,
};
pub use fetch::{Archive, ArchivedFile, FetchError};
pub use file::is_one_file;
pub use folder::{FileMedium, MediumError};
pub use head::{Head, Place};
pub use index::GivenUp;
pub use lane::{BACKFILL_BYTES_MAX, Lane, Places};
pub use limits::{
    ENTRY_BYTES_MAX, FILE_BYTES_MAX, FileNumber, GROUP_BYTES_MAX, GROUP_ENTRIES_MAX, GroupNumber,
    ITEM_BYTES_MAX, ITEM_ENTRIES_MAX, JUMPS_MAX, MILLIS_MAX, Millis, Position,
};
pub use log::{Committed, Log, Salts};
pub use medium::{FileLengths, FileName, Medium};
pub use prepare::FileCounts;
pub use put_away::{PutAwayError, SealedFile};
pub use read::{Entries, Group, InGroup, Placement, Reader};
pub use record::{Genesis, GroupSummary, journal_hash};
pub use recover::Recovery;
pub use view::{FolderView, ViewEnd};
pub use writer::{
    Admission, SteppedWriter, SubmitAllError, SubmitError, Submitter, Writer, WriterConfig,
    WriterStopped,
};
