//! The windows that the batcher takes: in order, without a gap, and no more of them in memory than
//! may wait.

use std::collections::VecDeque;

use model::BatchNumber;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::mpsc;

use super::recover::RecoverError;
use super::replay::Replay;
use crate::window::ClosedWindow;

/// Windows as they were closed. What is missing between two of them is read back from the journal:
/// those of a start that were too many, and those that found no room in the queue.
pub(super) struct Windows {
    /// Number of the window that comes next.
    next: BatchNumber,
    /// Number of the last window that was closed before the start.
    closed_before: BatchNumber,
    ready: VecDeque<ClosedWindow>,
    live: mpsc::Receiver<ClosedWindow>,
    /// From the queue, but later than the next.
    early: Option<ClosedWindow>,
    replay: Replay,
    most: usize,
    counted: Counted,
}

/// What is counted.
pub(super) struct Counted {
    /// Windows that wait in the queue.
    pub(super) waiting: IntGauge,
    /// Windows that were read back.
    pub(super) read_back: IntCounter,
}

/// Windows from where.
pub(super) struct Sources {
    /// Found at the start, the first ones of those after `assembled`.
    pub(super) backlog: Vec<ClosedWindow>,
    /// The last batch that is assembled.
    pub(super) assembled: BatchNumber,
    /// The last window that is closed.
    pub(super) closed: BatchNumber,
    /// What closes from now on.
    pub(super) live: mpsc::Receiver<ClosedWindow>,
    /// The journal.
    pub(super) replay: Replay,
}

impl Windows {
    /// At most `most` windows are read back at once.
    pub(super) fn new(sources: Sources, most: usize, counted: Counted) -> Windows {
        let Sources { backlog, assembled, closed, live, replay } = sources;
        let next = BatchNumber(assembled.0 + 1);
        let (ready, closed_before) = (backlog.into(), closed);
        Windows { next, closed_before, ready, live, early: None, replay, most, counted }
    }

    /// The next window, be it in memory or not; `None` when there are no more.
    fn take(&mut self) -> Result<Option<ClosedWindow>, RecoverError> {
        loop {
            if let Some(window) = self.ready.pop_front() {
                return Ok(Some(window));
            }
            if self.next <= self.closed_before {
                self.read_back()?;
                continue;
            }
            self.counted.waiting.set(self.live.len() as i64);
            let early = self.early.take();
            let Some(window) = early.or_else(|| self.live.blocking_recv()) else { return Ok(None) };
            match window.contents.number.cmp(&self.next) {
                // It was read back already, with one that was missing before it.
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(window)),
                std::cmp::Ordering::Greater => {
                    self.early = Some(window);
                    self.read_back()?;
                }
            }
        }
    }

    fn read_back(&mut self) -> Result<(), RecoverError> {
        // Nobody may be kept waiting by a stop, but whoever ends without these misses nothing: they
        // are in the journal at the next start, too.
        let found = self.replay.windows(self.next, self.most, || true)?;
        if found.is_empty() {
            return Err(RecoverError::NoWindow { number: self.next.0 });
        }
        tracing::info!(first = self.next.0, count = found.len(), "windows were read back");
        self.counted.read_back.inc_by(found.len() as u64);
        self.ready = found.into();
        Ok(())
    }
}

impl Iterator for Windows {
    type Item = Result<ClosedWindow, RecoverError>;

    fn next(&mut self) -> Option<Self::Item> {
        let window = self.take().transpose()?;
        if let Ok(window) = &window {
            self.next = BatchNumber(window.contents.number.0 + 1);
        }
        Some(window)
    }
}
