//! Public files of batches that are in an archive and no longer here.
//!
//! In the place of such a file stands `public.archived` with its blake3: the row says which bytes
//! it had, and the archive has an object of that hash. A file that is here counts, whatever stands
//! beside it; and what stands for other bytes than the row's stands for nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::BatchNumber;

use super::batch_archive::{BatchArchive, BroughtBatch, NotBrought};
use super::batches::BatchFile;
use super::database::Store;
use super::error::StoreError;
use super::files;
use super::row::{BatchRow, FileDigest};

/// What stands for a public file.
const STANDS_FOR_IT: &str = "public.archived";

impl Store {
    /// Reads there what is not here any more; the first that is named is asked.
    pub fn read_from(&self, archive: Arc<dyn BatchArchive>) {
        // Named twice it is the same one: whoever opens a store opens its archive.
        let _ = self.archive.set(archive);
    }

    /// Where what stands for the public file of a batch stands, below the store's folder.
    pub fn stand_in_of(number: BatchNumber) -> String {
        format!("batches/{:06}/{STANDS_FOR_IT}", number.0)
    }

    /// Whether the public file of a batch is here, whole or not.
    pub fn has_public(&self, number: BatchNumber) -> bool {
        self.public_path(number).exists()
    }

    /// Whether the public file of a batch is in an archive, by what stands for it.
    pub fn is_put_away(&self, number: BatchNumber, row: &BatchRow) -> bool {
        let found = std::fs::read(self.folder.join(Store::stand_in_of(number)));
        found.is_ok_and(|found| found == row.public.blake3)
    }

    /// Removes the public file of a settled batch, durably, which is in an archive under its
    /// digest; what stands for it is durable before. `false` for one that is not settled: other
    /// bytes may take its place.
    ///
    /// # Errors
    /// [`StoreError`]; it may be called again.
    pub fn put_away_public(&self, number: BatchNumber) -> Result<bool, StoreError> {
        let Some(row) = self.batch(number)?.filter(|row| row.settled.is_some()) else {
            return Ok(false);
        };
        let stands = self.folder.join(Store::stand_in_of(number));
        files::write(&stands, &row.public.blake3)?;
        // Whatever power leaves of the removal, the file is here or what stands for it is.
        files::remove(&self.public_path(number))?;
        Ok(true)
    }

    /// Takes away what stands for the public file of a batch, durably, once the file itself is here
    /// again: whatever becomes of the archive, it is the file that counts.
    ///
    /// # Errors
    /// [`StoreError`]; both may be there then, and the file counts.
    pub fn forget_stand_in(&self, number: BatchNumber) -> Result<(), StoreError> {
        let stands = self.folder.join(Store::stand_in_of(number));
        // Hardly ever: no folder is synced for nothing.
        if stands.exists() { files::remove(&stands) } else { Ok(()) }
    }

    pub(super) fn public_path(&self, number: BatchNumber) -> PathBuf {
        self.batch_folder(number).join(BatchFile::Public.name())
    }

    /// Whether the public file of a batch that was saved is in an archive alone.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub fn is_away(&self, number: BatchNumber) -> Result<bool, StoreError> {
        let row = self.batch(number)?;
        Ok(row.is_some_and(|row| !self.has_public(number) && self.is_put_away(number, &row)))
    }

    /// Has the public file of a batch here that [`is_away`](Self::is_away). Blocks, for about so
    /// long at most.
    ///
    /// # Errors
    /// [`StoreError::ArchiveLate`] where it takes longer, [`StoreError::Archived`] if the archive
    /// does not give it.
    pub fn bring_public(
        &self,
        number: BatchNumber,
        wait: Duration,
    ) -> Result<BroughtPublic, StoreError> {
        let row = self.batch(number)?;
        let missing = StoreError::Missing { what: "batches", key: number.0 };
        self.bring_archived(number, &row.ok_or(missing)?.public, wait)
    }

    pub(super) fn bring_archived(
        &self,
        number: BatchNumber,
        digest: &FileDigest,
        wait: Duration,
    ) -> Result<BroughtPublic, StoreError> {
        let none = || NotBrought::Unavailable("no archive is configured (`[archive] url`)".into());
        let brought =
            self.archive.get().ok_or_else(none).and_then(|archive| archive.bring(digest, wait));
        match brought {
            Ok(file) => Ok(BroughtPublic { number, file }),
            Err(error) => Err(not_brought(number, error)),
        }
    }
}

/// A public file that was brought from the archive.
pub struct BroughtPublic {
    number: BatchNumber,
    file: Box<dyn BroughtBatch>,
}

impl BroughtPublic {
    /// All bytes of it, held against its digest. Waits for no archive.
    ///
    /// # Errors
    /// [`StoreError::ArchiveLate`] where the disk has other bytes by now.
    pub fn read(&self) -> Result<Vec<u8>, StoreError> {
        self.file.read().map_err(|error| not_brought(self.number, error))
    }
}

fn not_brought(number: BatchNumber, error: NotBrought) -> StoreError {
    let number = number.0;
    match error {
        NotBrought::Later(source) => StoreError::ArchiveLate { number, source },
        NotBrought::Unavailable(source) => StoreError::Archived { number, source },
    }
}
