//! What a store reads public files of batches from that are not here any more.

use std::error::Error;
use std::fmt;

use super::row::FileDigest;

/// Where public files of batches are read that are not here any more.
pub trait BatchArchive: fmt::Debug + Send + Sync {
    /// All bytes of the file with this digest, held against it. Blocks.
    ///
    /// # Errors
    /// Whatever keeps the archive from giving them; never other bytes.
    fn read(&self, digest: &FileDigest) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}
