//! Windows read back from the journal: those that found no room to wait, and those whose batch
//! files are damaged.

use std::ops::ControlFlow;

use journal::{FileMedium, Reader};
use model::{BatchNumber, Position};

use super::recover::{RecoverError, absorb_next};
use crate::stages::ledger::{Ledger, LedgerConfig};
use crate::window::ClosedWindow;

/// Reads windows back. Each time from the first entry on, because no state between is kept: it
/// takes as long as absorbing the journal at a start does.
#[derive(Clone)]
pub(super) struct Replay {
    pub(super) journal: Reader<FileMedium>,
    pub(super) config: LedgerConfig,
}

impl Replay {
    /// The windows from number `first` on, at most `most`, in order. `go_on` is asked with every
    /// entry; once it says no, what was found until then is all.
    ///
    /// # Errors
    /// [`RecoverError`] that names the first entry that is wrong.
    pub(super) fn windows(
        &self,
        first: BatchNumber,
        most: usize,
        go_on: impl Fn() -> bool,
    ) -> Result<Vec<ClosedWindow>, RecoverError> {
        let mut found = Vec::new();
        if most == 0 {
            return Ok(found);
        }
        let each = |window: ClosedWindow| {
            if window.contents.number >= first {
                found.push(window);
            }
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.walk(each, go_on)?;
        Ok(found)
    }

    fn walk(
        &self,
        mut each: impl FnMut(ClosedWindow) -> ControlFlow<()>,
        go_on: impl Fn() -> bool,
    ) -> Result<(), RecoverError> {
        let mut ledger = Ledger::new(self.config.clone());
        for entry in self.journal.iter_from(1) {
            if !go_on() {
                return Ok(());
            }
            let (position, entry) = entry?;
            let Some(contents) = absorb_next(&mut ledger, Position(position), &entry)? else {
                continue;
            };
            let group = self.journal.group_of(position)?;
            let journal_hash = self.journal.group(group)?.journal_hash;
            let window = ClosedWindow { contents: contents.into(), group, journal_hash };
            if each(window).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}
