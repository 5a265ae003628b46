//! Readings are sealed at rest, under a key a patient and epoch, and the keys stand apart.
//!
//! ```text
//!   frame -> readings sealed in their place in the group -> journal, backups, archives
//!               ^ group key <- key of (patient, epoch) <- key folder <- wrapping key
//!                                         \-> backup: sealed to a recovery key, with an end
//! ```
//!
//! Whoever has a journal, or any copy of it, reads no vital sign without the key folder. A patient
//! is erased by destroying keys: a few bytes in one folder, and not a search through every copy of
//! a log that nobody may change. How the bytes are laid out and why no key meets one nonce twice
//! is written in `docs/at-rest.md` of the node.
//!
//! * [`BodyKeys`] is the key folder, open: it gives keys to the one writer once they are durable,
//!   and destroys them.
//! * [`GroupKey`] seals bodies of one patient in one group of the journal; [`BodyKeys::open_body`]
//!   opens them, or says that the key was destroyed or is not here.
//! * [`RecoveryKey`] is to whom backups of keys are sealed, [`RecoverySecret`] what opens them.
//!
//! Threat note: key, wrapping key and recovery secret stand in no log, error or `Debug`, and are
//! zeroised when dropped. Nothing here names a patient in an error.

mod backup;
mod destroy;
mod error;
pub mod fault;
mod generation;
mod key;
mod key_file;
mod keys;
mod ledger;
mod make;
mod medium;
mod recovery;
mod rest;
mod restore;
mod rewrite;
mod seal;
mod tail;
#[cfg(test)]
mod tests;
mod wrapping;

pub use backup::{KeyBackup, SealedBackup};
pub use destroy::Destroyed;
pub use error::{BodyError, KeyBackupError, KeyFault, KeyStoreError};
pub use generation::Places;
pub use key::{BodyEpoch, KeyId};
pub use keys::{BodyKeys, KEYS_MAX, KeyStatus, SealedAt};
pub use ledger::{BackupRow, LEDGER_NAME, Remains};
pub use medium::{KeyFolder, KeyMedium};
pub use recovery::{RecoveryKey, RecoverySecret};
pub use rest::RestAt;
pub use restore::{Restored, restore};
pub use seal::{EntryPlace, GroupKey, TAG_BYTES};
