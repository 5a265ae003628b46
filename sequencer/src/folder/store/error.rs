use std::io;
use std::path::PathBuf;

use model::DecodeError;
use thiserror::Error;

/// Why the store did not keep or give something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database refused or is damaged.
    #[error("the store's database failed")]
    Database(#[source] Box<redb::Error>),
    /// Another process, or another part of this one, has the store open.
    #[error("expected to be the store's only user, found it open elsewhere")]
    Busy,
    /// Written by another version of the program.
    #[error("expected a store of format version {expected}, found {found}")]
    Format {
        /// Version of this program.
        expected: u64,
        /// Version of the store.
        found: u64,
    },
    /// Made for another chain or contract.
    #[error("expected a store of chain and contract {expected}, found {found}")]
    Scope {
        /// Asked for, hex.
        expected: String,
        /// Found, hex.
        found: String,
    },
    /// Other bytes for a number that is taken.
    #[error("expected the stored bytes of batch {number}, found others for the same number")]
    Conflict {
        /// The number.
        number: u64,
    },
    /// A batch that does not follow the last one.
    #[error("expected batch {expected} to be saved next, found {found}")]
    OutOfOrder {
        /// Next number.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// A batch whose header names another predecessor.
    #[error("expected batch {number} to name the stored predecessor, found another")]
    OtherPredecessor {
        /// The number.
        number: u64,
    },
    /// A file or row that is not as it was written.
    #[error("expected {what} of {key} as it was written, found it damaged or gone")]
    Corrupt {
        /// What.
        what: &'static str,
        /// Batch number or nonce.
        key: u64,
    },
    /// A public file that is in the archive, and not to be had there.
    #[error("expected the public file of batch {number} from the archive, and it is not to be had")]
    Archived {
        /// The batch's number.
        number: u64,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A public file that is in the archive, and not to be had there yet.
    #[error("expected the public file of batch {number} from the archive by now, and it is late")]
    ArchiveLate {
        /// The batch's number.
        number: u64,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row that does not decode.
    #[error(
        "the {what} row {key} is malformed: stop the node, move `store/` away and start it again, \
         and what stood there is made anew from journal and chain"
    )]
    Row {
        /// Name of the table.
        what: &'static str,
        /// Batch number or nonce.
        key: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// No such row.
    #[error("expected a row {key} in {what}, found none")]
    Missing {
        /// Name of the table.
        what: &'static str,
        /// Batch number or nonce.
        key: u64,
    },
    /// A batch that was proven again while a transaction of it was signed.
    #[error(
        "expected the transaction to carry the stored proofs of batch {number}, found others: it \
         was proven again meanwhile"
    )]
    OtherProofs {
        /// The number.
        number: u64,
    },
    /// A nonce that another transaction has.
    #[error("expected nonce {nonce} to be free in the outbox, found another transaction")]
    NonceTaken {
        /// The nonce.
        nonce: u64,
    },
}

impl StoreError {
    /// Whether it is the database itself that does not answer, and not a row of it.
    pub fn is_of_database(&self) -> bool {
        matches!(self, StoreError::Database(_) | StoreError::Busy | StoreError::File { .. })
    }

    /// Whether a file is in the archive alone, which does not give it, or not yet.
    pub fn is_of_archive(&self) -> bool {
        matches!(self, StoreError::Archived { .. } | StoreError::ArchiveLate { .. })
    }

    /// Whether the database answers nothing after it, until it is opened again.
    pub(super) fn closes_database(&self) -> bool {
        let of_file =
            |error: &redb::Error| matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo);
        matches!(self, StoreError::Database(error) if of_file(error))
    }

    pub(super) fn of_opening(error: redb::DatabaseError) -> StoreError {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Busy,
            other => db(other),
        }
    }
}

pub(super) fn db(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}
