//! What keeps a backup from being taken or restored.

use std::io;
use std::path::PathBuf;

use journal::{OpenError, ReadError};
use l1_contracts::DeploymentError;
use thiserror::Error;

use super::verify::VerifyError;
use crate::folder::backup::{LineError, Part};
use crate::folder::checked::CheckedError;
use crate::folder::store::StoreError;
use crate::history::{Contradiction, HistoryError};
use crate::node::head::HeadError;
use crate::node::survey::SurveyError;

/// Why a backup is not taken. What was copied by then has no end record, and is refused by a
/// restore.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is something where the backup goes.
    #[error("expected a new or empty folder in {path}, found one with files: name another one")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// One would be copied into the other.
    #[error(
        "expected folders of their own, found {path} and {other} within each other: a backup is \
         no part of what it is a backup of, and keys lie apart from the journal"
    )]
    Within {
        /// One folder.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// There is no room.
    #[error("expected {needed} bytes free in {path}, found {free}: no backup is taken; make room")]
    NoRoom {
        /// Where the backup goes.
        path: PathBuf,
        /// What it takes.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The system refuses.
    #[error("{path} cannot be {action}")]
    File {
        /// What was done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is shorter than the node says that it is.
    #[error(
        "expected {expected} bytes in {path}, found {found}: it lost its end, or another process \
         changes it; look after the disk"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// Bytes that are durable.
        expected: u64,
        /// Bytes that were read.
        found: u64,
    },
    /// Two backups at once.
    #[error(
        "expected the copy of the store's rows that the node made for this backup, found another: \
         take one backup at a time"
    )]
    OtherRows,
    /// What the node says is not understood.
    #[error(
        "expected where the journal ends, found another answer of the node: is it of this release?"
    )]
    Answer(#[source] serde_json::Error),
    /// The journal is another deployment's.
    #[error(
        "expected a journal of the deployment in this folder, found one of another: \
         deployment.json and the node that runs here do not belong together"
    )]
    OtherDeployment,
    /// The journal lacks what was promised.
    #[error(
        "the journal lacks what the node promised, and a backup of it would not know that any \
         more: mend that first (docs/keys.md), and back up then"
    )]
    Lacks(#[source] Box<Contradiction>),
    /// Who remembers the journal cannot be asked.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The copy of the journal is not what was pinned.
    #[error(
        "expected a copy of the journal that ends at group {expected}, found one that ends at \
         {found}: nothing of this backup is to be believed; run `sequencer journal check` on the \
         node"
    )]
    End {
        /// As pinned.
        expected: u64,
        /// As copied.
        found: u64,
    },
    /// The deployment is not known.
    #[error("the deployment that is backed up cannot be told")]
    Deployment(#[from] DeploymentError),
    /// The journal, or its copy, does not open.
    #[error(transparent)]
    Journal(#[from] SurveyError),
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// What stands for archived files cannot be read.
    #[error("what stands for files in the archive cannot be read")]
    Stubs(#[from] OpenError),
    /// Its losses cannot be told.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The store, or its copy, does not open.
    #[error("the store cannot be copied")]
    Store(#[from] StoreError),
    /// A small file cannot be written.
    #[error(transparent)]
    Checked(#[from] CheckedError),
}

/// Why a backup is not restored. Nothing is there under the node's name then.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// There is no backup.
    #[error("expected a backup in {path}, found none: neither an end record nor copies")]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// It was not finished.
    #[error(
        "the backup in {path} was cut off: it has no end record, so what is missing of it nobody \
         can tell. Nothing of it is restored: take the backup before it, or one that was copied \
         whole"
    )]
    CutOff {
        /// The folder.
        path: PathBuf,
    },
    /// One part in the place of the other.
    #[error(
        "expected a backup of the {expected} in {path}, found one of the {found}",
        expected = .expected.name(),
        found = .found.name()
    )]
    OtherPart {
        /// The folder.
        path: PathBuf,
        /// What was to be restored.
        expected: Part,
        /// What it holds.
        found: Part,
    },
    /// The secrets are another node's.
    #[error(
        "expected the secrets of the deployment that the journal is of, found those of another in \
         {path}: name the folder that its backup was taken with (--secrets)"
    )]
    OtherDeployment {
        /// The folder of the secrets.
        path: PathBuf,
    },
    /// The manifest is not the one that was written.
    #[error(
        "expected the manifest that the end record names in {path}, found another: the backup is \
         damaged; restore another one"
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
    },
    /// The manifest does not read.
    #[error("the backup is damaged; restore another one")]
    Line(#[from] LineError),
    /// A copy is not as it was written.
    #[error(
        "expected {path} as the manifest has it, found it {how}: the backup is damaged; nothing is \
         restored; take another copy of the backup, or the backup before it"
    )]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// Missing, or changed.
        how: &'static str,
    },
    /// There is something where the node goes.
    #[error(
        "expected no node in {path}, found a folder with files: a restore writes over nothing; \
         move it away or name another one (--dir)"
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot take the name that it is to have.
    #[error(
        "expected a folder that a restore can make under the name {path}, found that {why}; \
         nothing is copied"
    )]
    Target {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A restore before this one was cut off.
    #[error(
        "expected no {path}, found what a restore left that was cut off: remove that folder and \
         run this again"
    )]
    Leftover {
        /// The folder.
        path: PathBuf,
    },
    /// There is no room.
    #[error("expected {needed} bytes free in {path}, found {free}: nothing is restored; make room")]
    NoRoom {
        /// Where the node goes.
        path: PathBuf,
        /// What it takes.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The system refuses.
    #[error("{path} cannot be {action}")]
    File {
        /// What was done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was restored does not hold.
    #[error("the backup is whole, and what it holds does not hold: nothing is restored")]
    Verify(#[from] VerifyError),
    /// A small file cannot be read or written.
    #[error(transparent)]
    Checked(#[from] CheckedError),
}
