//! A copy of the database beside the one in use, all of it of one moment.

use std::io;
use std::path::Path;

use ::files::Audience;
use model::BatchNumber;
use redb::backends::FileBackend;
use redb::{
    Database, Durability, Key, ReadTransaction, ReadableTable, TableDefinition, Value,
    WriteTransaction,
};

use super::batches::BatchFile;
use super::database::{BATCHES, META, OUTBOX, Store};
use super::error::{StoreError, db};
use super::row::{BatchRow, FileDigest};

/// Memory of the copy's pages, bytes: it is written once, from beginning to end.
const CACHE_BYTES: usize = 16 << 20;

/// A file of a batch, where it stands below the store's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileOfBatch {
    /// Below the store's folder, with `/` between folders.
    pub name: String,
    /// What the row says that it holds.
    pub digest: FileDigest,
}

impl Store {
    /// Name of the database below the store's folder.
    pub const DATABASE: &str = "store.redb";

    /// Writes a copy of all rows to a new file, as one commit left them: commits go on meanwhile.
    /// Whatever was there under this name is gone.
    ///
    /// # Errors
    /// [`StoreError`] of the database, or of the file.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let rows = self.moment()?;
        let failed = |action| move |source| StoreError::File { action, path: path.into(), source };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove")(error));
            }
            _ => {}
        }
        // New, under the same name: whoever reads the one before goes on reading it whole.
        let file = ::files::open(path, Audience::Owner).map_err(failed("make"))?;
        let copy = FileBackend::new(file).and_then(|file| {
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(file)
        });
        let copy = copy.map_err(StoreError::of_opening)?;
        let mut tx = copy.begin_write().map_err(db)?;
        tx.set_durability(Durability::Immediate).map_err(db)?;
        tx.set_two_phase_commit(true);
        copy_table(&rows, &tx, META)?;
        copy_table(&rows, &tx, BATCHES)?;
        copy_table(&rows, &tx, OUTBOX)?;
        tx.commit().map_err(db)?;
        Ok(())
    }

    /// The files that a batch's row names.
    pub fn files_of(number: BatchNumber, row: &BatchRow) -> [FileOfBatch; 2] {
        BatchFile::ALL.map(|file| FileOfBatch {
            name: format!("batches/{:06}/{}", number.0, file.name()),
            digest: *file.digest(row),
        })
    }
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    rows: &ReadTransaction,
    tx: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), StoreError> {
    let from = rows.open_table(table).map_err(db)?;
    let mut to = tx.open_table(table).map_err(db)?;
    for row in from.iter().map_err(db)? {
        let (key, value) = row.map_err(db)?;
        to.insert(key.value(), value.value()).map_err(db)?;
    }
    Ok(())
}
