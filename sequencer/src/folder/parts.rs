//! What a settled batch holds for one patient after the other, opened as their own programs open
//! it: with the view key of the record. Nothing of it is kept.

use std::time::Duration;

use model::{BatchNumber, ChainScope};
use statement::batch::{
    FileError, OpeningKey, PatientOpening, PrivateFile, PublicFile, SealScope, UnsealError,
};
use thiserror::Error;

use super::store::{Store, StoreError};

/// Both files of a batch, of which the private one stays in memory: 64 MiB at most, and what it
/// decodes to.
pub struct BatchParts {
    scope: SealScope,
    private: PrivateFile,
    bytes: usize,
}

/// Why a batch cannot be opened.
#[derive(Debug, Error)]
pub enum PartError {
    /// The store or the archive does not give its files.
    #[error("the files of the batch cannot be had")]
    Store(#[from] StoreError),
    /// A file is none.
    #[error("expected the files of a batch, found others")]
    File(#[from] FileError),
    /// A part does not open.
    #[error("expected a part that opens with the view key of its record, found another")]
    Unseal(#[from] UnsealError),
}

impl BatchParts {
    /// Reads the files of a batch; `None` if there is none of this number. A public file that is in
    /// the archive alone is waited for about so long.
    ///
    /// # Errors
    /// [`PartError`].
    pub fn read(
        store: &Store,
        number: BatchNumber,
        deployment: ChainScope,
        archive_wait: Duration,
    ) -> Result<Option<BatchParts>, PartError> {
        let Some(private) = store.private_bytes(number)? else { return Ok(None) };
        let public = store.public_bytes_within(number, archive_wait)?;
        let Some(public) = public else { return Ok(None) };
        let bytes = private.len() + public.len();
        let header = PublicFile::from_bytes(&public)?.header;
        let scope = SealScope::of_header(deployment, &header);
        Ok(Some(BatchParts { scope, private: PrivateFile::from_bytes(&private)?, bytes }))
    }

    /// Bytes of both files.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is there for a patient; `None` if nothing is.
    ///
    /// # Errors
    /// [`PartError::Unseal`].
    pub fn open(&self, key: OpeningKey) -> Result<Option<PatientOpening>, PartError> {
        Ok(self.private.open(&self.scope, key)?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
