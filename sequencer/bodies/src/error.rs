//! What can go wrong, with what was expected and what to do. No variant names a patient or holds a
//! byte of a key.

use std::io;

use thiserror::Error;

/// A sealed body that does not open. Everything else is served on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BodyError {
    /// Its key was destroyed: the patient was erased, and nobody can open it.
    #[error("the key of body epoch {epoch} was destroyed: the body is erased")]
    KeyDestroyed {
        /// Of which epoch.
        epoch: u32,
    },
    /// Its key is not in the key folder.
    #[error(
        "expected the key of body epoch {epoch} in the key folder, found none; put it back from a \
         backup of keys (sequencer keys restore)"
    )]
    KeyAbsent {
        /// Of which epoch.
        epoch: u32,
    },
    /// It does not open under its key.
    #[error("expected a body that opens under its key of body epoch {epoch}, found another")]
    Broken {
        /// Of which epoch.
        epoch: u32,
    },
}

/// What is wrong with a file of the key folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyFault {
    /// A byte was changed or is missing.
    #[error("expected a whole file of keys, found a damaged one")]
    Damaged,
    /// It is of another key folder.
    #[error("expected a file of this node's keys, found one of another's")]
    Other,
    /// Its keys are wrapped under another key.
    #[error("expected keys that this folder's wrapping key opens, found others")]
    Wrapping,
    /// The ledger of keys is no such.
    #[error("expected the ledger of keys, found something else")]
    Ledger,
}

/// Why keys are not to be had, or not kept.
#[derive(Debug, Error)]
pub enum KeyStoreError {
    /// The file system refuses.
    #[error("{name} in the key folder cannot be {action}")]
    Medium {
        /// Which file.
        name: String,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else has the folder open.
    #[error("expected the key folder free, found it open: a node is running there")]
    Locked,
    /// The ledger beside the journal speaks of keys that are not there.
    #[error(
        "expected {name} in the key folder, found none: keys that bodies in the journal are sealed \
         under are not there; put the folder back, or `sequencer keys restore FILE --secret FILE` \
         from a backup of keys; without one, `sequencer keys restore --none --accept-loss` gives \
         up those bodies and begins anew"
    )]
    Lost {
        /// What is missing.
        name: String,
    },
    /// A file is not as it was written.
    #[error(
        "{name} in the key folder: {fault}; put the copy of it back, or restore from a backup of \
         keys (sequencer keys restore), which keeps every key that is whole"
    )]
    File {
        /// Which.
        name: String,
        /// What is wrong.
        fault: KeyFault,
    },
    /// The folder holds as many keys as it may.
    #[error("expected at most {most} keys of bodies, found no room for another")]
    Full {
        /// [`crate::KEYS_MAX`].
        most: usize,
    },
    /// The ledger may stand in one place alone, and cannot be kept in both.
    #[error("the ledger of keys cannot be kept in both places: no key is made before it is")]
    Failed,
    /// A key could not be made a moment ago, and is not tried again yet.
    #[error("the last key could not be made: the next one is tried in a second at most")]
    Waits,
    /// Somebody only looks at the folder.
    #[error("expected the key folder open for changes, found it open for a look")]
    LookedAt,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
}

/// Why there is no backup of keys, or none that is restored.
#[derive(Debug, Error)]
pub enum KeyBackupError {
    /// The keys, or the folder.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// A file cannot be read or made.
    #[error("{path} is not accessible")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No recovery key or secret.
    #[error("expected a recovery key as 64 hexadecimal digits (see `sequencer keys recovery-key`)")]
    Key,
    /// No backup, a changed byte, or one that is sealed to another key.
    #[error("expected a backup of keys that this recovery secret opens, found something else")]
    Broken,
    /// Its end has passed.
    #[error("expected a backup of keys that has not expired, found one that did at {expired}")]
    Expired {
        /// When.
        expired: model::calendar::Utc,
    },
    /// The ledger of keys is needed, and there is none.
    #[error("expected a ledger of keys beside the journal or in the key folder, found none")]
    NoLedger,
    /// It would end before it is made.
    #[error("expected an end of the backup that lies ahead, found one that has passed")]
    Past,
    /// It is of another node.
    #[error("expected a backup of this node's keys, found one of another's")]
    Other,
    /// More backups than may be remembered.
    #[error("expected at most {most} backups of keys that have not expired, found {most} already")]
    Many {
        /// How many.
        most: usize,
    },
}
