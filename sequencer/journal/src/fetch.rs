//! Where files are read that are in an archive, and why one cannot be.

use std::error::Error;
use std::fmt;

use crate::{FileName, FileNumber};

/// A file of the log that is in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Which.
    pub file: FileNumber,
    /// Its length in bytes.
    pub length: u64,
    /// blake3 of all its bytes.
    pub digest: [u8; 32],
}

/// Where files are read that are not here any more.
pub trait Archive: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` from `offset` of a file, all of whose bytes were held against its digest.
    /// Blocks for as long as fetching the file takes, and in no other reader's way.
    ///
    /// # Errors
    /// [`FetchError`]; never other bytes than the file had.
    fn read_at(&self, file: &ArchivedFile, offset: u64, bytes: &mut [u8])
    -> Result<(), FetchError>;
}

/// Why nothing of an archived file can be read. The log is whole all the same, and every other file
/// of it is served.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody said where the archive is.
    #[error(
        "{} is in the archive, and no archive is configured (`[archive] url`)",
        FileName::Log(*file)
    )]
    NoArchive {
        /// Which file.
        file: FileNumber,
    },
    /// The archive has no such object.
    #[error(
        "{}: expected the object {object} in the archive, found none: put it back from a copy",
        FileName::Log(*file)
    )]
    Missing {
        /// Which file.
        file: FileNumber,
        /// The object's name.
        object: String,
    },
    /// The object has other bytes.
    #[error(
        "{}: expected the object {object} of {length} bytes with blake3 {}, found other bytes: put \
         it back from a copy", FileName::Log(*file), hex(expected)
    )]
    Damaged {
        /// Which file.
        file: FileNumber,
        /// The object's name.
        object: String,
        /// The length of the file.
        length: u64,
        /// Its hash.
        expected: [u8; 32],
    },
    /// The archive does not answer, or here is nowhere to keep what it gives.
    #[error("{}: the object {object} cannot be fetched from the archive", FileName::Log(*file))]
    Unavailable {
        /// Which file.
        file: FileNumber,
        /// The object's name.
        object: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// As many wait for the archive as may.
    #[error(
        "{}: expected at most {most} reads that wait for the archive; come again later",
        FileName::Log(*file)
    )]
    Busy {
        /// Which file.
        file: FileNumber,
        /// How many may.
        most: usize,
    },
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
