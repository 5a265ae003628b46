//! The windows that batches are made of: each in its turn, whether it found room in the queue or not.
//!
//! ```text
//! writer -> [windows_max] -> Windows -> batcher
//!                               ^
//!                 journal ------'   what found no room, and what a start left there
//! ```
//! However long proving stands still, no more is held in memory than the queue's bound and what one
//! reading of the journal brings.

use std::collections::VecDeque;

use model::{BatchNumber, with_causes};
use tokio::sync::mpsc;

use super::recover::RecoverError;
use crate::window::ClosedWindow;

/// Reads the windows after a batch from the journal again: the next ones, not necessarily all.
pub(super) type ReadAgain =
    Box<dyn FnMut(BatchNumber) -> Result<Vec<ClosedWindow>, RecoverError> + Send>;

/// The windows after a batch, in order and without a gap.
pub(super) struct Windows {
    /// Number of the window that is next.
    next: u64,
    /// Closed before the start, or read again.
    held: VecDeque<ClosedWindow>,
    live: mpsc::Receiver<ClosedWindow>,
    read_again: ReadAgain,
}

impl Windows {
    /// The windows after `last`: `backlog` first, then those that come, and where one is missing
    /// what the journal has.
    pub(super) fn new(
        last: BatchNumber,
        backlog: Vec<ClosedWindow>,
        live: mpsc::Receiver<ClosedWindow>,
        read_again: ReadAgain,
    ) -> Windows {
        Windows { next: last.0 + 1, held: backlog.into(), live, read_again }
    }

    /// Windows that wait in memory.
    pub(super) fn waiting(&self) -> usize {
        self.held.len() + self.live.len()
    }

    /// Puts what is missing before the window that came.
    fn fill_gap(&mut self, came: ClosedWindow) {
        let (expected, found) = (self.next, came.contents.number.0);
        match (self.read_again)(BatchNumber(expected - 1)) {
            Ok(again) => {
                tracing::info!(expected, found, read = again.len(), "windows read again");
                // The one that came is read again too, unless it was not reached.
                let reached = again.last().is_some_and(|last| last.contents.number.0 >= found);
                if !reached {
                    self.held.push_front(came);
                }
                again.into_iter().rev().for_each(|window| self.held.push_front(window));
            }
            Err(error) => {
                // Handed on as it is: the batcher says that one is missing and tries again.
                let error = with_causes(&error);
                tracing::error!(expected, found, error, "windows cannot be read again");
                self.held.push_front(came);
            }
        }
    }
}

impl Iterator for Windows {
    type Item = ClosedWindow;

    /// Waits for the next window; `None` once nobody closes any more. Blocks.
    fn next(&mut self) -> Option<ClosedWindow> {
        let mut read = false;
        loop {
            let came = match self.held.pop_front() {
                Some(held) => held,
                None => self.live.blocking_recv()?,
            };
            let number = came.contents.number.0;
            if number < self.next {
                // It was read again before it came.
                continue;
            }
            if number == self.next || read {
                self.next = number + 1;
                return Some(came);
            }
            // At most once for a window: a journal that lacks it must not be read for ever.
            read = true;
            self.fill_gap(came);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::window::tests::empty_window;

    fn numbers(windows: Windows) -> Vec<u64> {
        windows.map(|window| window.contents.number.0).collect()
    }

    /// What comes through the queue, and a journal that has windows up to one, four a reading.
    fn check(backlog: &[u64], live: &[u64], journal: u64, expected: &[u64], readings: usize) {
        let (sender, live_windows) = mpsc::channel(100);
        live.iter().for_each(|number| sender.try_send(empty_window(*number)).unwrap());
        drop(sender);
        let count = Arc::new(Mutex::new(0));
        let counted = count.clone();
        let read_again: ReadAgain = Box::new(move |after| {
            *counted.lock().unwrap() += 1;
            Ok((after.0 + 1..=journal.min(after.0 + 4)).map(empty_window).collect())
        });
        let backlog = backlog.iter().copied().map(empty_window).collect();
        let found = numbers(Windows::new(BatchNumber(2), backlog, live_windows, read_again));
        assert_eq!((found.as_slice(), *count.lock().unwrap()), (expected, readings));
    }

    #[test]
    fn what_found_no_room_is_read_again_in_its_turn() {
        check(&[3, 4], &[5, 6], 6, &[3, 4, 5, 6], 0);
        check(&[3], &[4, 9], 9, &[3, 4, 5, 6, 7, 8, 9], 1);
        check(&[], &[5, 6, 7], 7, &[3, 4, 5, 6, 7], 1);
        check(&[3, 4], &[20], 20, &(3..=20).collect::<Vec<_>>(), 4);
    }

    #[test]
    fn a_journal_without_the_window_does_not_hold_up_what_came() {
        check(&[], &[5, 6], 2, &[5, 6], 1);
    }
}
