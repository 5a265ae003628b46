//! The database: its tables, how they are written and read, and what ties it to a chain.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use model::ChainScope;
use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use super::batch_archive::BatchArchive;
use super::error::{StoreError, db};
use super::files;

/// Format version of rows and files.
const FORMAT: u64 = 1;
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(super) const BATCHES: TableDefinition<u64, &[u8]> = TableDefinition::new("batches");
pub(super) const OUTBOX: TableDefinition<u64, &[u8]> = TableDefinition::new("outbox");

/// Batches and outbox of one node. One process has it open at a time.
///
/// A database that met an error of its file, such as a full disk, answers nothing any more. What
/// was committed is whole, so the next who comes opens it again.
#[derive(Debug)]
pub struct Store {
    /// `None` only after a failure, until it can be opened again.
    database: RwLock<Option<Database>>,
    /// Whether it met an error of its file.
    failed: AtomicBool,
    pub(super) folder: PathBuf,
    /// Where public files of batches are read that are not here any more.
    pub(super) archive: OnceLock<Arc<dyn BatchArchive>>,
}

/// The database's file.
fn path(folder: &Path) -> PathBuf {
    folder.join(Store::DATABASE)
}

fn open_database(folder: &Path) -> Result<Database, StoreError> {
    // Opened here and not by the database, which would let others read it.
    let file = files::open(&path(folder))?;
    FileBackend::new(file)
        .and_then(|file| Database::builder().create_with_backend(file))
        .map_err(StoreError::of_opening)
}

impl Store {
    /// Opens the store in `folder`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Format`] for a store of another format version, [`StoreError::Busy`] if
    /// another process has it open, otherwise what disk or database said.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        files::make_folder(folder)?;
        let database = RwLock::new(Some(open_database(folder)?));
        let (failed, archive) = (AtomicBool::new(false), OnceLock::new());
        Store::begin(Store { database, failed, folder: folder.to_path_buf(), archive })
    }

    fn begin(store: Store) -> Result<Store, StoreError> {
        // Opening a table in a write transaction makes it: a reader would fail on one that is
        // missing.
        store.write(|tx| {
            tx.open_table(BATCHES).map_err(db)?;
            tx.open_table(OUTBOX).map_err(db)?;
            settle_meta(tx, "format", &FORMAT.to_be_bytes(), |found| StoreError::Format {
                expected: FORMAT,
                // A version of another length is none that this program ever wrote.
                found: found.try_into().map_or(u64::MAX, u64::from_be_bytes),
            })
        })?;
        Ok(store)
    }

    /// A store on a database that a test made.
    #[cfg(test)]
    pub(super) fn on(database: Database, folder: &Path) -> Result<Store, StoreError> {
        let database = RwLock::new(Some(database));
        let (failed, archive) = (AtomicBool::new(false), OnceLock::new());
        Store::begin(Store { database, failed, folder: folder.into(), archive })
    }

    /// Ties the store to a chain and contract, once and for all.
    ///
    /// # Errors
    /// [`StoreError::Scope`] if it belongs to others.
    pub fn bind(&self, scope: ChainScope) -> Result<(), StoreError> {
        let bytes = [&scope.chain_id.to_be_bytes()[..], &scope.contract].concat();
        self.write(|tx| {
            settle_meta(tx, "scope", &bytes, |found| StoreError::Scope {
                expected: hex::encode(&bytes),
                found: hex::encode(found),
            })
        })
    }

    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|database| {
            let mut tx = database.begin_write().map_err(db)?;
            // What is answered or sent next relies on this row: it is on the disk before that. Two
            // phases, so that a crash in the middle is seen without trusting a checksum over the
            // last commit.
            tx.set_durability(Durability::Immediate).map_err(db)?;
            tx.set_two_phase_commit(true);
            let changed = change(&tx)?;
            tx.commit().map_err(db)?;
            Ok(changed)
        })
    }

    pub(super) fn read<T>(
        &self,
        table: TableDefinition<'static, u64, &'static [u8]>,
        look: impl FnOnce(&dyn Rows) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|database| {
            let tx = database.begin_read().map_err(db)?;
            look(&tx.open_table(table).map_err(db)?)
        })
    }

    /// All rows as the last commit left them, for as long as it is kept.
    pub(super) fn moment(&self) -> Result<ReadTransaction, StoreError> {
        self.with(|database| database.begin_read().map_err(db))
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            self.open_again()?;
        }
        // Replaced as a whole, so that a panic elsewhere leaves nothing half done.
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(|| db(redb::Error::PreviousIo))?;
        let done = work(database);
        if done.as_ref().is_err_and(StoreError::closes_database) {
            // While it is borrowed: who opens it again waits for this.
            self.failed.store(true, Ordering::SeqCst);
        }
        done
    }

    fn open_again(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have come first.
        if !self.failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        // The old one first: it holds the lock of the file.
        *database = None;
        let path = path(&self.folder);
        // A new one in place of one that is gone, or was emptied, would forget every batch in
        // silence.
        let found = std::fs::metadata(&path).and_then(|found| match found.len() {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "expected rows, found nothing")),
            _ => Ok(()),
        });
        if let Err(source) = found {
            return Err(StoreError::File { action: "open", path, source });
        }
        *database = Some(open_database(&self.folder)?);
        self.failed.store(false, Ordering::SeqCst);
        tracing::info!("the store's database is open again after an error");
        Ok(())
    }
}

/// Writes a meta row that never changes, or checks that it has not.
fn settle_meta(
    tx: &WriteTransaction,
    key: &str,
    expected: &[u8],
    differs: impl FnOnce(&[u8]) -> StoreError,
) -> Result<(), StoreError> {
    let mut meta = tx.open_table(META).map_err(db)?;
    let found = meta.get(key).map_err(db)?.map(|row| row.value().to_vec());
    match found {
        None => {
            meta.insert(key, expected).map_err(db)?;
            Ok(())
        }
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(differs(&found)),
    }
}

/// Key and bytes of a row.
pub(super) type RawRow = (u64, Vec<u8>);

/// Whether a row, by key and bytes, is wanted.
pub(super) type Keep<'a> = dyn FnMut(u64, &[u8]) -> Result<bool, StoreError> + 'a;

/// Reading numbered rows, in or out of a write transaction.
pub(super) trait Rows {
    fn row(&self, key: u64) -> Result<Option<Vec<u8>>, StoreError>;
    fn last(&self) -> Result<Option<RawRow>, StoreError>;
    /// At most `most` rows from `from` on, in order.
    fn from(&self, from: u64, most: usize) -> Result<Vec<RawRow>, StoreError>;
    /// The last rows, newest first, as long as `keep` says so, at most `most`.
    fn back_while(&self, most: usize, keep: &mut Keep<'_>) -> Result<Vec<RawRow>, StoreError>;
}

impl<T: ReadableTable<u64, &'static [u8]>> Rows for T {
    fn row(&self, key: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.get(key).map_err(db)?.map(|row| row.value().to_vec()))
    }

    fn last(&self) -> Result<Option<RawRow>, StoreError> {
        let last = ReadableTable::last(self).map_err(db)?;
        Ok(last.map(|(key, row)| (key.value(), row.value().to_vec())))
    }

    fn from(&self, from: u64, most: usize) -> Result<Vec<RawRow>, StoreError> {
        let mut rows = Vec::new();
        for row in self.range(from..).map_err(db)?.take(most) {
            let (key, row) = row.map_err(db)?;
            rows.push((key.value(), row.value().to_vec()));
        }
        Ok(rows)
    }

    fn back_while(&self, most: usize, keep: &mut Keep<'_>) -> Result<Vec<RawRow>, StoreError> {
        let mut rows = Vec::new();
        for row in self.range(0..).map_err(db)?.rev() {
            let (key, row) = row.map_err(db)?;
            if rows.len() == most || !keep(key.value(), row.value())? {
                break;
            }
            rows.push((key.value(), row.value().to_vec()));
        }
        Ok(rows)
    }
}
