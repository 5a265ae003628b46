//! Windows read back from the journal: those that found no room to wait, and those whose batch
//! files are damaged.

use std::ops::ControlFlow;

use journal::{FileMedium, Medium, ReadError, Reader};
use model::{BatchNumber, Position};

use super::recover::{RecoverError, absorb_next};
use super::snapshots::{Restored, Snapshots, Wanted};
use crate::stages::ledger::LedgerConfig;
use crate::window::ClosedWindow;

/// Reads windows back, from the last snapshot on that stands before the first of them; without one,
/// which a window has that closed before the oldest, from the first entry on. Nothing is asked of
/// the index of stored frames, and nothing written to it.
pub(super) struct Replay<M = FileMedium> {
    pub(super) journal: Reader<M>,
    pub(super) config: LedgerConfig,
    pub(super) snapshots: Snapshots,
}

/// Of the reader and not of its medium, which is none of a copy's business.
impl<M> Clone for Replay<M> {
    fn clone(&self) -> Replay<M> {
        let Replay { journal, config, snapshots } = self;
        let (journal, config, snapshots) = (journal.clone(), config.clone(), snapshots.clone());
        Replay { journal, config, snapshots }
    }
}

impl<M: Medium> Replay<M> {
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
        let start = self.before(first)?;
        let each = |window: ClosedWindow| {
            if window.contents.number >= first {
                found.push(window);
            }
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.walk(start, each, go_on)?;
        Ok(found)
    }

    /// The last snapshot in which no window from this number on is closed.
    fn before(&self, first: BatchNumber) -> Result<Option<Restored>, ReadError> {
        let closed_max = BatchNumber(first.0.saturating_sub(1));
        let (config, indexed) = (&self.config, false);
        self.snapshots.newest(&self.journal, Wanted { config, closed_max, indexed })
    }

    fn walk(
        &self,
        start: Option<Restored>,
        mut each: impl FnMut(ClosedWindow) -> ControlFlow<()>,
        go_on: impl Fn() -> bool,
    ) -> Result<(), RecoverError> {
        let first = || (self.snapshots.first(&self.config, false), self.journal.iter_from(1));
        let (mut ledger, mut entries) = match start {
            Some(Restored { ledger, head }) => (ledger, self.journal.iter_behind(head.group)?),
            None => first(),
        };
        while let Some(entry) = entries.next() {
            if !go_on() {
                return Ok(());
            }
            let (position, entry) = entry?;
            let in_group = entries.in_group();
            let closed = absorb_next(&mut ledger, Position(position), &entry, in_group)?;
            let Some(contents) = closed else { continue };
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
