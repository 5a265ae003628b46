//! Backs a node up, while it runs or stopped, and restores the backup.
//!
//! **What fits what.** A row of the store names groups of the journal and blocks of the chain, and
//! a settled batch groups of the journal; nothing names what is above it. So their ends are chosen
//! in this order: the rows of the store, of one commit; how long the embedded chain's journal is;
//! where the journal ends ([`Pin`]). A copy is then at most *behind* in the store, which is what
//! each crash leaves as well: a start proves again what is closed and not stored. All of it is
//! copied after that and up to there, whatever the node goes on to write.
//!
//! Files of the journal that were left never change, and of the last one what lies before its
//! durable end does not: they are read beside the node, which is asked for the pin and for a copy
//! of its rows and nothing else. How fast, [`Pace`] says, so that ingest keeps its disk.

mod copies;
mod error;
mod pin;
mod restore;
mod take;
mod verify;

pub use copies::{Pace, Progress};
pub use error::{BackupError, RestoreError};
pub use pin::{JournalEnd, Pin, Stopped};
pub use restore::{RestoreTerms, RestoredFolder, restore};
pub use take::{LeftOut, Prepared, Source, Taken, Terms};
pub use verify::{Verified, VerifyError};

pub(super) use pin::Pinner;
