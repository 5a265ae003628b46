//! Batches that are given up: the journal lost the groups that they were assembled from.

use model::BatchNumber;

use super::database::{BATCHES, Rows, Store};
use super::error::{StoreError, db};

impl Store {
    /// Gives up every batch after `settled` and says which, first and last: their rows are removed
    /// in one transaction. Their files stay until batches of these numbers are assembled anew.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    pub fn give_up_after(&self, settled: BatchNumber) -> Result<Option<(u64, u64)>, StoreError> {
        self.write(|tx| {
            let mut table = tx.open_table(BATCHES).map_err(db)?;
            let rows = Rows::from(&table, settled.0 + 1, usize::MAX)?;
            for (number, _) in &rows {
                table.remove(number).map_err(db)?;
            }
            Ok(rows.first().zip(rows.last()).map(|(first, last)| (first.0, last.0)))
        })
    }
}
