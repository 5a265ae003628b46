//! The windows that the batcher takes: in order, without a gap, and no more of them in memory than
//! may wait.

use std::cmp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::BatchNumber;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::recover::RecoverError;
use super::replay::Replay;
use crate::window::ClosedWindow;

/// Windows as they were closed. What is missing between two of them is read back from the journal:
/// those of a start that were too many, and those that found no room in the queue.
pub(super) struct Windows {
    /// Number of the window that comes next.
    next: BatchNumber,
    /// Number of the last window that is in the journal and may not be in the queue.
    left_out: Arc<AtomicU64>,
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
    /// Number of the last window that found no room in `live`; the last one of the start.
    pub(super) left_out: Arc<AtomicU64>,
    /// What closes from now on.
    pub(super) live: mpsc::Receiver<ClosedWindow>,
    /// The journal.
    pub(super) replay: Replay,
}

impl Windows {
    /// At most `most` windows are read back at once.
    pub(super) fn new(sources: Sources, most: usize, counted: Counted) -> Windows {
        let Sources { backlog, assembled, left_out, live, replay } = sources;
        let next = BatchNumber(assembled.0 + 1);
        let ready = backlog.into();
        Windows { next, left_out, ready, live, early: None, replay, most, counted }
    }

    /// The next window, be it in memory or not; `None` when there are no more.
    fn take(&mut self) -> Result<Option<ClosedWindow>, RecoverError> {
        loop {
            if let Some(window) = self.ready.pop_front() {
                return Ok(Some(window));
            }
            self.counted.waiting.set(self.live.len() as i64);
            let queued = self.early.take().map_or_else(|| self.live.try_recv(), Ok);
            let window = match queued {
                Ok(window) => window,
                // Before it waits: after a window that was left out there may come none for long.
                Err(_) if self.next.0 <= self.left_out.load(Ordering::SeqCst) => {
                    self.read_back()?;
                    continue;
                }
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => match self.live.blocking_recv() {
                    Some(window) => window,
                    None => return Ok(None),
                },
            };
            match window.contents.number.cmp(&self.next) {
                // It was read back already, with one that was missing before it.
                cmp::Ordering::Less => {}
                cmp::Ordering::Equal => return Ok(Some(window)),
                cmp::Ordering::Greater => {
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
