//! The window timer: closes windows that are due, has refusals counted each minute, and
//! looks after the journal meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use journal::{FileCounts, FileMedium, Head, Reader};
use model::Clock as _;
use tokio::sync::watch;

use super::expected_day::ExpectedDay;
use super::watched::Watched;
use crate::clock::NodeClock;
use crate::guard::Stage;
use crate::stages::ingest::{Admit, AdmitError};
use crate::stages::ledger::{Item, LedgerView};
use crate::window::Cadence;

/// How often it is looked whether the open window is due.
const POLL: Duration = Duration::from_millis(Cadence::LOOK_EVERY_MS);

/// How often counts of refusals whose minute is over are asked for, milliseconds: they wait no
/// longer than this when nobody sends anything. What is not due costs no entry.
const COUNT_EVERY_MS: u64 = 10_000;

/// Everything it looks at.
pub(super) struct WindowTimer {
    pub(super) admit: Admit,
    pub(super) view: LedgerView,
    pub(super) journal: Reader<FileMedium>,
    /// Where the journal stood when it was counted last: at first, before anybody could send.
    pub(super) counted: Head,
    /// How making its files went until then.
    pub(super) files_counted: FileCounts,
    /// The boot-time clock when refusals were counted last, milliseconds.
    pub(super) refusals_counted_ms: u64,
    /// What was planned.
    pub(super) expected: ExpectedDay,
    pub(super) clock: Arc<NodeClock>,
    pub(super) watched: Watched,
}

impl WindowTimer {
    /// Runs until it is stopped or the journal fails, which it reports as the journal's.
    ///
    /// It polls instead of sleeping until the window is due: the clock is injected and may jump,
    /// and windows also close early.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails itself.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
        while !*stop.borrow_and_update() {
            tokio::select! {
                _ = tokio::time::sleep(POLL) => {}
                changed = stop.changed() => match changed {
                    Ok(()) => continue,
                    // Nobody is left who could stop it.
                    Err(_) => return Ok(()),
                },
            }
            if let Err(error) = self.look().await {
                self.watched.failures().fail(Stage::Journal, &error);
                // The node stops now; until it says so here, this is no early end.
                drop(stop.wait_for(|stop| *stop).await);
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), AdmitError> {
        // A writer that failed tells whoever submits; if nobody does, this is who notices.
        match self.admit.check_open() {
            // Nothing is closed either: the node waits for its operator.
            Err(AdmitError::Held) => return Ok(()),
            open => open?,
        }
        self.count();
        self.expected.look(self.clock.running_ms(), &self.watched);
        self.count_refusals().await?;
        self.close_if_due().await
    }

    /// Turns counts of refusals into entries: nothing else may come for hours that does.
    async fn count_refusals(&mut self) -> Result<(), AdmitError> {
        // A clock that nobody sets: set back, another one would count nothing for as long.
        let now_ms = self.clock.running_ms();
        if now_ms.saturating_sub(self.refusals_counted_ms) < COUNT_EVERY_MS {
            return Ok(());
        }
        if self.submit(Item::CountDue).await? {
            self.refusals_counted_ms = now_ms;
        }
        Ok(())
    }

    /// Submits an item; `false` if it is to be tried again at the next look.
    async fn submit(&self, item: Item) -> Result<bool, AdmitError> {
        match self.admit.submit(item).await {
            Ok(_) => Ok(true),
            // A full queue is no failure, and a node that is held has an operator.
            Err(AdmitError::Full { .. } | AdmitError::Busy { .. } | AdmitError::Held) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Counts what became durable since the last time.
    fn count(&mut self) {
        let (head, metrics) = (self.journal.head(), self.watched.metrics());
        metrics.journal_groups_total.inc_by(head.group - self.counted.group);
        metrics.journal_entries_total.inc_by(head.position - self.counted.position);
        self.counted = head;
        metrics.journal_files.set(i64::try_from(self.journal.files()).unwrap_or(i64::MAX));
        let (now, before) = (self.journal.file_counts(), self.files_counted);
        metrics.journal_files_late_total.inc_by(now.late - before.late);
        metrics.journal_files_unmade_total.inc_by(now.failed - before.failed);
        metrics.journal_files_reused_total.inc_by(now.reused - before.reused);
        self.files_counted = now;
    }

    async fn close_if_due(&self) -> Result<(), AdmitError> {
        // By the time that the close would be stamped with: else a clock that is behind would have
        // a window closed at every look.
        let (now, status) = (self.clock.read().earliest, self.view.status());
        let age_ms = now.since(status.t0);
        self.watched.metrics().window_age_seconds.set(age_ms as f64 / 1000.0);
        if now < status.due {
            return Ok(());
        }
        // At a fixed cadence there would always be one more batch to settle: a drain would not end.
        if status.window_is_empty && self.watched.orders().is_draining() {
            return Ok(());
        }
        // Decided by the writer: the window may be another one by then, and not due.
        self.submit(Item::CloseDue).await.map(drop)
    }
}
