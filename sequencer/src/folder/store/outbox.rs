//! Transactions of the settling account by nonce, written before they are sent.

use model::BatchNumber;

use super::batches::{self, put_settled};
use super::database::{BATCHES, OUTBOX, Rows, Store};
use super::error::{StoreError, db};
use super::row::{FileDigest, OutboxRow, OutboxState, Settled};

const WHAT: &str = "outbox";

impl Store {
    /// Writes a new row, which carries the public files with these digests. A void row may be taken
    /// over: its nonce turned out to be free. So may a final one whose batches are settled no more,
    /// after a chain took back what it had called final; those of later nonces are void then, as
    /// nothing can be mined behind a nonce that is free.
    ///
    /// # Errors
    /// [`StoreError::NonceTaken`] if the nonce has another row, [`StoreError::OtherProofs`] if a
    /// batch was proven again since its file was read, [`StoreError::Missing`] if it is gone.
    pub fn outbox_put(
        &self,
        nonce: u64,
        row: &OutboxRow,
        carried: &[(BatchNumber, FileDigest)],
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let stored = tx.open_table(BATCHES).map_err(db)?;
            // In the transaction that makes the row: from it on nobody proves these again.
            for (number, digest) in carried {
                let missing = StoreError::Missing { what: "batches", key: number.0 };
                let batch = stored.row(number.0)?.ok_or(missing)?;
                if batches::decode(number.0, &batch)?.public != *digest {
                    return Err(StoreError::OtherProofs { number: number.0 });
                }
            }
            let mut table = tx.open_table(OUTBOX).map_err(db)?;
            let known = table.row(nonce)?.map(|row| decode(nonce, &row)).transpose()?;
            // Overwriting a row would forget bytes that may be mined.
            if let Some(known) = known
                && !is_over(&known, &stored)?
            {
                return Err(StoreError::NonceTaken { nonce });
            }
            table.insert(nonce, row.to_bytes(nonce).as_slice()).map_err(db)?;
            // One that stayed final would hide this row: what is pending ends at the last final
            // one.
            let behind = table.back_while(usize::MAX, &mut |later, _| Ok(later > nonce))?;
            for (later, bytes) in behind {
                let mut row = decode(later, &bytes)?;
                if matches!(row.state, OutboxState::Final { .. }) && is_over(&row, &stored)? {
                    row.state = OutboxState::Void;
                    table.insert(later, row.to_bytes(later).as_slice()).map_err(db)?;
                }
            }
            Ok(())
        })
    }

    /// Replaces a row and records, in the same transaction, what that says of batches.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is no such row or batch; nothing is changed then.
    pub fn outbox_update(
        &self,
        nonce: u64,
        row: &OutboxRow,
        batches: &[(BatchNumber, Option<Settled>)],
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            let mut outbox = tx.open_table(OUTBOX).map_err(db)?;
            let missing = StoreError::Missing { what: WHAT, key: nonce };
            // An update that made a row would hide that the first write was lost.
            outbox.row(nonce)?.ok_or(missing)?;
            outbox.insert(nonce, row.to_bytes(nonce).as_slice()).map_err(db)?;
            let mut table = tx.open_table(BATCHES).map_err(db)?;
            batches.iter().try_for_each(|(n, settled)| put_settled(&mut table, *n, *settled))
        })
    }

    /// The row of a nonce.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn outbox(&self, nonce: u64) -> Result<Option<OutboxRow>, StoreError> {
        let row = self.read(OUTBOX, |table| table.row(nonce))?;
        row.map(|row| decode(nonce, &row)).transpose()
    }

    /// Rows that are neither final nor void, by nonce.
    ///
    /// # Errors
    /// [`StoreError`] if rows cannot be read.
    pub fn outbox_pending(&self) -> Result<Vec<(u64, OutboxRow)>, StoreError> {
        self.read(OUTBOX, |table| pending(table))
    }

    /// Rows behind the last final one, the void ones too, by nonce.
    ///
    /// # Errors
    /// [`StoreError`] if rows cannot be read.
    pub fn outbox_not_final(&self) -> Result<Vec<(u64, OutboxRow)>, StoreError> {
        self.read(OUTBOX, |table| not_final(table))
    }
}

/// Whether nothing more can come of a row and nothing that is recorded came of it.
fn is_over(row: &OutboxRow, stored: &dyn Rows) -> Result<bool, StoreError> {
    match row.state {
        OutboxState::Void => Ok(true),
        OutboxState::Final { .. } => {
            for number in row.first..=row.last {
                let batch = stored.row(number)?.map(|batch| batches::decode(number, &batch));
                if batch.transpose()?.is_some_and(|batch| batch.settled.is_some()) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        OutboxState::Built | OutboxState::Sent { .. } | OutboxState::Mined { .. } => Ok(false),
    }
}

/// [`Store::outbox_pending`] of a table, in or out of a write transaction.
pub(super) fn pending(table: &dyn Rows) -> Result<Vec<(u64, OutboxRow)>, StoreError> {
    let mut rows = not_final(table)?;
    rows.retain(|(_, row)| row.state != OutboxState::Void);
    Ok(rows)
}

fn not_final(table: &dyn Rows) -> Result<Vec<(u64, OutboxRow)>, StoreError> {
    let rows = table.back_while(usize::MAX, &mut |nonce, row| {
        Ok(!matches!(decode(nonce, row)?.state, OutboxState::Final { .. }))
    })?;
    // Back in order of nonce. A void one, whose nonce was free, ends no search.
    rows.into_iter().rev().map(|(nonce, row)| Ok((nonce, decode(nonce, &row)?))).collect()
}

fn decode(nonce: u64, row: &[u8]) -> Result<OutboxRow, StoreError> {
    OutboxRow::from_bytes(nonce, row).map_err(|source| StoreError::Row {
        what: WHAT,
        key: nonce,
        source,
    })
}
