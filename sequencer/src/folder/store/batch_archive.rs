//! What a store reads public files of batches from that are not here any more.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::row::FileDigest;

/// Where public files of batches are read that are not here any more.
pub trait BatchArchive: fmt::Debug + Send + Sync {
    /// Has the file with this digest here, without its bytes in memory. Blocks, for about so long
    /// at most.
    ///
    /// # Errors
    /// Whatever keeps the archive from giving it.
    fn bring(
        &self,
        digest: &FileDigest,
        wait: Duration,
    ) -> Result<Box<dyn BroughtBatch>, NotBrought>;
}

/// A public file that the archive gave.
pub trait BroughtBatch: Send {
    /// All bytes of it, held against its digest. Reads the disk, and waits for no archive.
    ///
    /// # Errors
    /// [`NotBrought::Later`] where the disk has other bytes by now; never other bytes.
    fn read(&self) -> Result<Vec<u8>, NotBrought>;
}

/// Why a file is not to be had from the archive.
#[derive(Debug, thiserror::Error)]
pub enum NotBrought {
    /// It may be had in a moment: others are fetched before it, or it takes longer than this one
    /// waits.
    #[error(transparent)]
    Later(Box<dyn Error + Send + Sync>),
    /// The archive does not give it.
    #[error(transparent)]
    Unavailable(Box<dyn Error + Send + Sync>),
}
