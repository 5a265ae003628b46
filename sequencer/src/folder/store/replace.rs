//! Damaged batches that nobody was told of: the same statement with other proofs.

use statement::scope::header_hash;

use super::batches::decode;
use super::database::{BATCHES, OUTBOX, Rows, Store};
use super::error::{StoreError, db};
use super::outbox::pending;
use super::row::FileDigest;
use crate::window::Assembled;

impl Store {
    /// Replaces both files of a stored batch by those of the same header with other proofs, unless
    /// the stored ones are settled or in a transaction; tells whether it did.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for a batch that was not saved, otherwise what disk or database
    /// said.
    pub fn replace_unsent(&self, batch: &Assembled) -> Result<bool, StoreError> {
        let header = &batch.public.header;
        let number = header.number;
        let (public, private) = (batch.public.to_bytes(), batch.private.to_bytes());
        // In one transaction: no row of the outbox comes to be meanwhile. What was signed with the
        // lost proofs and is no row yet is refused by the digests that a new row is held against.
        self.write(|tx| {
            let outbox = tx.open_table(OUTBOX).map_err(db)?;
            let sent = pending(&outbox)?.iter().any(|(_, row)| row.carries(number));
            let mut table = tx.open_table(BATCHES).map_err(db)?;
            let missing = StoreError::Missing { what: "batches", key: number.0 };
            let mut row = decode(number.0, &table.row(number.0)?.ok_or(missing)?)?;
            if sent || row.settled.is_some() || row.header_hash != header_hash(header) {
                return Ok(false);
            }
            // A crash behind this leaves files of another digest than the row's: damaged, as they
            // were.
            self.write_files(number, &public, &private)?;
            (row.public, row.private) = (FileDigest::of(&public), FileDigest::of(&private));
            table.insert(number.0, row.to_bytes(number.0).as_slice()).map_err(db)?;
            Ok(true)
        })
    }
}
