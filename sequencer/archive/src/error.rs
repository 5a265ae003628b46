//! What can go wrong. No variant holds bytes of an object, or anything that opens the store.

use std::error::Error;
use std::io;

use journal::{FileName, PutAwayError, ReadError};
use thiserror::Error;

use crate::manifest::ManifestError;

/// The store did not do what it was asked to.
#[derive(Debug, Error)]
#[error("the archive: expected to {op} {object}, and it failed")]
pub struct ObjectError {
    /// What was asked for.
    pub op: &'static str,
    /// Of which object.
    pub object: String,
    /// Why not.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Why something is not archived, or not found to be.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The store does not answer, or refuses.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A manifest is damaged.
    #[error("manifest {number} of the archive is damaged")]
    Manifest {
        /// Which.
        number: u64,
        /// Why.
        source: ManifestError,
    },
    /// A manifest does not continue the row.
    #[error("manifest {number} of the archive: expected {what}, found others")]
    Broken {
        /// Which.
        number: u64,
        /// What was expected.
        what: &'static str,
    },
    /// The archive is of another deployment.
    #[error(
        "the archive holds the journal of another deployment: give this one a place of its own"
    )]
    OtherDeployment,
    /// The archive has files of another history.
    #[error(
        "the archive has another {} than this journal: another node archives there, or this one \
         was restored from a backup; give it a place of its own", FileName::Log(*file)
    )]
    OtherHistory {
        /// The first file that differs.
        file: u64,
    },
    /// Another node wrote the manifest that comes next.
    #[error(
        "manifest {number} of the archive was written by somebody else: another node archives \
         there; stop one of the two"
    )]
    OtherWriter {
        /// Which.
        number: u64,
    },
    /// The place lacks manifests that this node wrote or saw.
    #[error(
        "expected the archive to reach manifest {known}, as it did before, found it to end at \
         {found}: it is another place, or what is there was removed; put it right, or, for a place \
         that is new on purpose, move archive.mark away"
    )]
    Lost {
        /// The last one that is remembered.
        known: u64,
        /// The last one that is there.
        found: u64,
    },
    /// The store gives one name twice.
    #[error(
        "expected the store to refuse a name that is taken (If-None-Match), found that it does \
         not: two nodes that write there would not find out; take another store, or its release \
         that does"
    )]
    Unconditional,
    /// What comes next was put away, to another archive.
    #[error(
        "expected {} here, which is archived next, found it put away: bring it back from the \
         archive that it is in (`sequencer archive fetch`)", FileName::Log(*file)
    )]
    NotHere {
        /// Which.
        file: u64,
    },
    /// An object is not there.
    #[error("expected the object {object} in the archive, found none")]
    Missing {
        /// Which.
        object: String,
    },
    /// An object has other bytes than its name says.
    #[error("expected the object {object} to have the bytes that its name says, found others")]
    Damaged {
        /// Which.
        object: String,
    },
    /// A file changed while it was read: it is not archived.
    #[error("{}: expected the same bytes twice, found others", FileName::Log(*file))]
    Changed {
        /// Which.
        file: u64,
    },
    /// The journal cannot be read: nothing of it is archived that does not pass its own checks.
    #[error("the journal cannot be read")]
    Journal(#[from] ReadError),
    /// A file of the journal is not as a sealed one.
    #[error(transparent)]
    File(#[from] PutAwayError),
    /// The system refuses.
    #[error("{op} failed")]
    Io {
        /// What.
        op: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Work that was begun came to no end.
    #[error("reading the journal came to no end: it panicked, or was to end")]
    Ended,
}

impl ArchiveError {
    /// Whether it stays until somebody does something about the place itself.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            ArchiveError::OtherDeployment
                | ArchiveError::OtherHistory { .. }
                | ArchiveError::OtherWriter { .. }
                | ArchiveError::Lost { .. }
                | ArchiveError::Unconditional
                | ArchiveError::NotHere { .. }
                | ArchiveError::Manifest { .. }
                | ArchiveError::Broken { .. }
        )
    }
}
