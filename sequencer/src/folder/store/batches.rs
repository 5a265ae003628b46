//! Assembled batches: a row and two files each.

use std::path::PathBuf;
use std::time::Duration;

use model::{BatchNumber, Millis};
use statement::scope::header_hash;

use super::database::{BATCHES, Rows, Store};
use super::error::{StoreError, db};
use super::files;
use super::row::{BatchRow, FileDigest, Settled};
use crate::window::Assembled;

const WHAT: &str = "batches";

/// How long whoever reads a file that is in the archive alone waits for it.
const ARCHIVE_WAIT: Duration = Duration::from_secs(120);

/// What saving a batch did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Saved {
    /// It was new and is durable now.
    New,
    /// The same bytes were there already.
    Known,
}

/// One of the two files of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchFile {
    /// What auditors read.
    Public,
    /// The openings, sealed.
    Private,
}

impl BatchFile {
    /// Both.
    pub const ALL: [BatchFile; 2] = [BatchFile::Public, BatchFile::Private];

    pub(super) fn name(self) -> &'static str {
        match self {
            BatchFile::Public => "public.bin",
            BatchFile::Private => "private.bin",
        }
    }

    pub(super) fn digest(self, row: &BatchRow) -> &FileDigest {
        match self {
            BatchFile::Public => &row.public,
            BatchFile::Private => &row.private,
        }
    }
}

impl Store {
    /// Saves a batch: both files, then the row. The same bytes again change nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for other bytes under a number that is taken,
    /// [`StoreError::OutOfOrder`] and [`StoreError::OtherPredecessor`] for a batch that does not
    /// follow the last one, otherwise what disk or database said.
    pub fn save_batch(&self, batch: &Assembled, now: Millis) -> Result<Saved, StoreError> {
        let header = &batch.public.header;
        let number = header.number;
        let (public, private) = (batch.public.to_bytes(), batch.private.to_bytes());
        let row = BatchRow {
            header_hash: header_hash(header),
            assembled_at: now,
            t1: header.window.t1(),
            public: FileDigest::of(&public),
            private: FileDigest::of(&private),
            settled: None,
        };
        // Other bytes under a number that may be on the chain already must never replace these.
        if let Some(known) = self.batch(number)? {
            let same = (known.public, known.private) == (row.public, row.private);
            return if same {
                Ok(Saved::Known)
            } else {
                Err(StoreError::Conflict { number: number.0 })
            };
        }
        self.check_follows(number, header.previous)?;
        // Files before the row: what the row names is there whenever the row is (I8). A crash
        // between the two leaves files without a row, which the next attempt overwrites.
        self.write_files(number, &public, &private)?;
        self.write(|tx| {
            let mut table = tx.open_table(BATCHES).map_err(db)?;
            table.insert(number.0, row.to_bytes(number.0).as_slice()).map_err(db)?;
            Ok(Saved::New)
        })
    }

    fn check_follows(&self, number: BatchNumber, previous: [u8; 32]) -> Result<(), StoreError> {
        let last = self.last_assembled()?;
        let expected = last.as_ref().map_or(1, |(last, _)| last.0 + 1);
        if number.0 != expected {
            return Err(StoreError::OutOfOrder { expected, found: number.0 });
        }
        match last {
            Some((_, last)) if last.header_hash != previous => {
                Err(StoreError::OtherPredecessor { number: number.0 })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn batch_folder(&self, number: BatchNumber) -> PathBuf {
        self.folder.join("batches").join(format!("{:06}", number.0))
    }

    pub(super) fn write_files(
        &self,
        number: BatchNumber,
        public: &[u8],
        private: &[u8],
    ) -> Result<(), StoreError> {
        let folder = self.batch_folder(number);
        files::make_folder(&folder)?;
        files::write(&folder.join("public.bin"), public)?;
        self.forget_stand_in(number)?;
        files::write(&folder.join("private.bin"), private)
    }

    /// The public file, from the archive if it is there alone; `None` for a batch that was not
    /// saved. At most [`BATCH_FILE_BYTES_MAX`](model::limits::BATCH_FILE_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the file is not as it was written, [`StoreError::Archived`] if
    /// the archive does not give it.
    pub fn public_bytes(&self, number: BatchNumber) -> Result<Option<Vec<u8>>, StoreError> {
        self.public_bytes_within(number, ARCHIVE_WAIT)
    }

    /// As [`Self::public_bytes`], and waits for the archive for about so long at most.
    ///
    /// # Errors
    /// Likewise; [`StoreError::ArchiveLate`] where it takes longer.
    pub fn public_bytes_within(
        &self,
        number: BatchNumber,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.batch(number)? else { return Ok(None) };
        if let Some(bytes) = files::read(&self.public_path(number), &row.public)? {
            return Ok(Some(bytes));
        }
        // A row without its file is damage, not absence, unless something stands for it: nobody
        // else deletes files of a batch.
        if self.has_public(number) || !self.is_put_away(number, &row) {
            return Err(StoreError::Corrupt { what: "the public file", key: number.0 });
        }
        self.bring_archived(number, &row.public, wait)?.read().map(Some)
    }

    /// The private file; `None` for a batch that was not saved.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the file is not as it was written.
    pub fn private_bytes(&self, number: BatchNumber) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.batch(number)? else { return Ok(None) };
        let bytes = files::read(&self.batch_folder(number).join("private.bin"), &row.private)?;
        let corrupt = StoreError::Corrupt { what: "the private file", key: number.0 };
        bytes.ok_or(corrupt).map(Some)
    }

    /// The files of a batch that are not as they were written; `None` for a batch that was not
    /// saved. Reads both.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub fn damaged_files(&self, number: BatchNumber) -> Result<Option<Vec<BatchFile>>, StoreError> {
        let Some(row) = self.batch(number)? else { return Ok(None) };
        let mut damaged = Vec::new();
        for file in BatchFile::ALL {
            let path = self.batch_folder(number).join(file.name());
            // One that the disk does not give, as of a bad sector, is no better than another one:
            // it is made anew, and those after it are looked at all the same.
            let is_whole = matches!(files::read(&path, file.digest(&row)), Ok(Some(_)));
            // One that is here counts, whatever stands beside it.
            let is_away = || {
                let is_public = file == BatchFile::Public;
                is_public && !self.has_public(number) && self.is_put_away(number, &row)
            };
            if !is_whole && !is_away() {
                damaged.push(file);
            }
        }
        Ok(Some(damaged))
    }

    /// Writes a file of a batch again, if these are the bytes that it had; tells whether they are.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for a batch that was not saved, otherwise what the disk said.
    pub fn restore_file(
        &self,
        number: BatchNumber,
        file: BatchFile,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let missing = StoreError::Missing { what: WHAT, key: number.0 };
        let row = self.batch(number)?.ok_or(missing)?;
        // The row is what auditors and the chain were told of: nothing else may come in its place.
        if FileDigest::of(bytes) != *file.digest(&row) {
            return Ok(false);
        }
        let folder = self.batch_folder(number);
        files::make_folder(&folder)?;
        files::write(&folder.join(file.name()), bytes)?;
        if file == BatchFile::Public {
            self.forget_stand_in(number)?;
        }
        Ok(true)
    }

    /// Forgets the first batch with a damaged file that is neither settled nor in a transaction,
    /// and those after it, so that they are made anew; tells which it was. Reads the files of every
    /// batch that waits.
    ///
    /// # Errors
    /// [`StoreError`] if disk or database do not answer.
    pub fn forget_damaged(&self) -> Result<Option<BatchNumber>, StoreError> {
        let sent = self.outbox_pending()?.into_iter().map(|(_, row)| row.last).max();
        // What is signed already is settled with the bytes of the outbox, file or not.
        let first = BatchNumber(self.last_settled()?.0.max(sent.unwrap_or(0)) + 1);
        let Some((last, _)) = self.last_assembled()? else { return Ok(None) };
        for number in first.0..=last.0 {
            if self.damaged_files(BatchNumber(number))?.is_some_and(|files| !files.is_empty()) {
                self.write(|tx| {
                    let mut table = tx.open_table(BATCHES).map_err(db)?;
                    table.retain_in(number.., |_, _| false).map_err(db)
                })?;
                return Ok(Some(BatchNumber(number)));
            }
        }
        Ok(None)
    }

    /// The row of a batch; `None` if it was not saved.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn batch(&self, number: BatchNumber) -> Result<Option<BatchRow>, StoreError> {
        let row = self.read(BATCHES, |table| table.row(number.0))?;
        row.map(|row| decode(number.0, &row)).transpose()
    }

    /// The last batch saved.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn last_assembled(&self) -> Result<Option<(BatchNumber, BatchRow)>, StoreError> {
        let last = self.read(BATCHES, |table| table.last())?;
        last.map(|(number, row)| Ok((BatchNumber(number), decode(number, &row)?))).transpose()
    }

    /// The number of the last row, whatever stands in it; 0 for none.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub fn last_number(&self) -> Result<BatchNumber, StoreError> {
        let last = self.read(BATCHES, |table| table.last())?;
        Ok(BatchNumber(last.map_or(0, |(number, _)| number)))
    }

    /// At most `most` batches from `from` on, in order.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn assembled_from(
        &self,
        from: BatchNumber,
        most: usize,
    ) -> Result<Vec<(BatchNumber, BatchRow)>, StoreError> {
        let rows = self.read(BATCHES, |table| table.from(from.0, most))?;
        rows.into_iter().map(|(n, row)| Ok((BatchNumber(n), decode(n, &row)?))).collect()
    }

    /// The last batch that the chain is known to have settled; 0 for none. Costs a look at each
    /// batch that waits.
    ///
    /// # Errors
    /// [`StoreError`] if rows cannot be read.
    pub fn last_settled(&self) -> Result<BatchNumber, StoreError> {
        // From the end backwards: batches settle in order, so those that wait are the last ones.
        let last = self.read(BATCHES, |table| {
            let unsettled = &mut |n, row: &[u8]| Ok(decode(n, row)?.settled.is_none());
            let waiting = table.back_while(usize::MAX, unsettled)?.len() as u64;
            Ok(table.last()?.map_or(0, |(last, _)| last) - waiting)
        })?;
        Ok(BatchNumber(last))
    }

    /// Records where batches were settled, or with `None` that they no longer are (a
    /// reorganisation). All of them or none.
    ///
    /// A contract settles in order, so what is recorded is what it settled up to some batch,
    /// without a hole: with one that is no longer settled go those behind it, and one is not taken
    /// while the one before it is not settled. What is missing then is seen as less than the
    /// contract has, and is looked up in its events; a hole would be seen by nobody.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for a batch that was not saved.
    pub fn mark_settled(
        &self,
        batches: &[(BatchNumber, Option<Settled>)],
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let mut table = tx.open_table(BATCHES).map_err(db)?;
            batches
                .iter()
                .try_for_each(|(number, settled)| put_settled(&mut table, *number, *settled))
        })
    }
}

pub(super) fn put_settled(
    table: &mut redb::Table<'_, u64, &'static [u8]>,
    number: BatchNumber,
    settled: Option<Settled>,
) -> Result<(), StoreError> {
    let missing = StoreError::Missing { what: WHAT, key: number.0 };
    let mut row = decode(number.0, &table.row(number.0)?.ok_or(missing)?)?;
    let before = table.row(number.0.saturating_sub(1))?;
    let before = before.map(|before| decode(number.0 - 1, &before)).transpose()?;
    if settled.is_some() && before.is_some_and(|before| before.settled.is_none()) {
        return Ok(());
    }
    row.settled = settled;
    table.insert(number.0, row.to_bytes(number.0).as_slice()).map_err(db)?;
    if settled.is_none() {
        for (later, row) in table.back_while(usize::MAX, &mut |later, _| Ok(later > number.0))? {
            let mut row = decode(later, &row)?;
            row.settled = None;
            table.insert(later, row.to_bytes(later).as_slice()).map_err(db)?;
        }
    }
    Ok(())
}

pub(super) fn decode(number: u64, row: &[u8]) -> Result<BatchRow, StoreError> {
    BatchRow::from_bytes(number, row).map_err(|source| StoreError::Row {
        what: WHAT,
        key: number,
        source,
    })
}
