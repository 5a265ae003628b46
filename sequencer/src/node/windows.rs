//! The windows that the batcher takes: in order, without a gap, and no more of them in memory than
//! may wait.

use std::cmp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::{FileMedium, Medium};
use model::BatchNumber;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::recover::RecoverError;
use super::replay::Replay;
use crate::window::ClosedWindow;

/// Windows as they were closed. What is missing between two of them is read back from the journal:
/// those of a start that were too many, and those that found no room in the queue.
pub(super) struct Windows<M = FileMedium> {
    /// Number of the window that comes next.
    next: BatchNumber,
    /// Number of the last window that is in the journal and may not be in the queue.
    left_out: Arc<AtomicU64>,
    ready: VecDeque<ClosedWindow>,
    live: mpsc::Receiver<ClosedWindow>,
    /// From the queue, but later than the next.
    early: Option<ClosedWindow>,
    replay: Replay<M>,
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
pub(super) struct Sources<M = FileMedium> {
    /// Found at the start, the first ones of those after `assembled`.
    pub(super) backlog: Vec<ClosedWindow>,
    /// The last batch that is assembled.
    pub(super) assembled: BatchNumber,
    /// Number of the last window that found no room in `live`; the last one of the start.
    pub(super) left_out: Arc<AtomicU64>,
    /// What closes from now on.
    pub(super) live: mpsc::Receiver<ClosedWindow>,
    /// The journal.
    pub(super) replay: Replay<M>,
}

impl<M: Medium> Windows<M> {
    /// At most `most` windows are read back at once.
    pub(super) fn new(sources: Sources<M>, most: usize, counted: Counted) -> Windows<M> {
        let Sources { backlog, assembled, left_out, live, replay } = sources;
        let next = BatchNumber(assembled.0 + 1);
        let ready = backlog.into();
        Windows { next, left_out, ready, live, early: None, replay, most, counted }
    }

    /// The next window, be it in memory or not; `None` when there are no more.
    fn take(&mut self) -> Result<Option<ClosedWindow>, RecoverError> {
        loop {
            match self.look()? {
                Look::Window(window) => return Ok(Some(window)),
                Look::Nothing => match self.live.blocking_recv() {
                    Some(window) => self.early = Some(window),
                    None => return Ok(None),
                },
                Look::Ended => return Ok(None),
            }
        }
    }

    /// The next window, if it is closed by now: for whoever must not wait.
    ///
    /// # Errors
    /// [`RecoverError`] if it cannot be read back.
    pub(super) fn next_closed(&mut self) -> Result<Option<ClosedWindow>, RecoverError> {
        let Look::Window(window) = self.look()? else { return Ok(None) };
        self.next = BatchNumber(window.contents.number.0 + 1);
        Ok(Some(window))
    }

    fn look(&mut self) -> Result<Look, RecoverError> {
        loop {
            if let Some(window) = self.ready.pop_front() {
                return Ok(Look::Window(window));
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
                Err(TryRecvError::Disconnected) => return Ok(Look::Ended),
                Err(TryRecvError::Empty) => return Ok(Look::Nothing),
            };
            match window.contents.number.cmp(&self.next) {
                // It was read back already, with one that was missing before it.
                cmp::Ordering::Less => {}
                cmp::Ordering::Equal => return Ok(Look::Window(window)),
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

/// What a look at the queue found.
enum Look {
    Window(ClosedWindow),
    /// Nothing yet.
    Nothing,
    /// Nothing, and nothing will come.
    Ended,
}

impl<M: Medium> Iterator for Windows<M> {
    type Item = Result<ClosedWindow, RecoverError>;

    fn next(&mut self) -> Option<Self::Item> {
        let window = self.take().transpose()?;
        if let Ok(window) = &window {
            self.next = BatchNumber(window.contents.number.0 + 1);
        }
        Some(window)
    }
}
