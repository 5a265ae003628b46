//! The loop around the batcher: window after window, and the same one again while it fails.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::jobs::SetError;
use super::stage::{BatcherError, MakeBatch};
use crate::stages::standing::{Cause, Standing};
use crate::window::ClosedWindow;

/// What surrounds the batcher.
pub struct BatcherLoop {
    /// Pauses before a window that failed is tried again: the first one and the longest.
    retry: [Duration; 2],
    /// Where it says how it stands.
    standing: Box<dyn Standing>,
    /// Ends a pause; windows that can be proven still are.
    stop: watch::Receiver<bool>,
    /// What waits.
    runtime: Handle,
    /// Whether a stop found a window that fails.
    given_up: bool,
    /// How often the next window could not be had.
    unread: u32,
}

impl BatcherLoop {
    /// A loop that pauses from the first to the longest of `retry`, and less once `stop` says so.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        retry: [Duration; 2],
        standing: Box<dyn Standing>,
        stop: watch::Receiver<bool>,
    ) -> BatcherLoop {
        BatcherLoop {
            retry,
            standing,
            stop,
            runtime: Handle::current(),
            given_up: false,
            unread: 0,
        }
    }

    /// Makes a batch of the next window. One that fails is tried again, more and more slowly, and
    /// holds up those behind it, which wait in the journal: their order is forced. A stop ends the
    /// tries, and windows after it are left as they are.
    pub fn make(&mut self, batcher: &mut impl MakeBatch, window: &ClosedWindow) {
        if std::mem::take(&mut self.unread) > 0 {
            self.standing.recover();
        }
        let mut failures = 0;
        while !self.given_up
            && let Err(error) = batcher.make_batch(window)
        {
            // Aborted and not failed: the next start goes on with it.
            if error.is_stop() {
                self.given_up = true;
                break;
            }
            failures += 1;
            self.standing.degrade(error.cause(), &error);
            // Not failed: what comes in is journaled and receipted as before, and none of it needs
            // this window to be proven now.
            self.given_up = !self.pause(failures);
        }
        if failures > 0 && !self.given_up {
            self.standing.recover();
        }
    }

    /// Whether a stop found a window that fails or is not proven yet: those after it are left.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// The next window cannot be read from the journal: says so, and waits before it is asked for
    /// again. False if the node stops.
    pub fn wait_for_window(&mut self, error: &dyn std::error::Error) -> bool {
        self.unread += 1;
        self.standing.degrade(Cause::JournalUnreadable, error);
        self.pause(self.unread)
    }

    /// Waits; false if the node stops.
    fn pause(&mut self, failures: u32) -> bool {
        let [first, longest] = self.retry;
        // Beyond 20 doublings any first pause is above any longest one.
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let pause = doubled.min(longest);
        // This is a thread of its own and no worker of the runtime, so that it may block.
        let stopped = self
            .runtime
            .block_on(async { timeout(pause, self.stop.wait_for(|stop| *stop)).await.is_ok() });
        !stopped
    }
}

impl BatcherError {
    /// Whether the window was left because the node stops.
    fn is_stop(&self) -> bool {
        matches!(self, BatcherError::Prove { source: SetError::Stopped, .. })
    }

    /// Why the stage does not get on.
    pub fn cause(&self) -> Cause {
        match self {
            BatcherError::Order { .. } => Cause::WindowMissing,
            BatcherError::Plan { .. } | BatcherError::Prove { .. } => Cause::Unprovable,
            BatcherError::Journal(_) => Cause::JournalUnreadable,
            BatcherError::Store { .. } => Cause::StoreFails,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::stages::batch::PlanError;
    use crate::window::tests::empty_window;

    /// What happened, in order.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Seen {
        fn note(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Standing for Seen {
        fn degrade(&self, cause: Cause, _: &dyn std::error::Error) {
            self.note(cause.name().into());
        }

        fn recover(&self) {
            self.note("recovered".into());
        }
    }

    /// Fails at a window as often as it has errors.
    struct Fails {
        at: u64,
        errors: Vec<BatcherError>,
        seen: Seen,
    }

    impl MakeBatch for Fails {
        fn make_batch(&mut self, window: &ClosedWindow) -> Result<(), BatcherError> {
            let number = window.contents.number.0;
            if number == self.at && !self.errors.is_empty() {
                return Err(self.errors.remove(0));
            }
            self.seen.note(format!("batch {number}"));
            Ok(())
        }
    }

    fn unprovable(number: u64) -> BatcherError {
        BatcherError::Plan { number, source: PlanError::Root }
    }

    /// Runs three windows through a batcher that fails so, on a thread as the node does.
    fn run(errors: Vec<BatcherError>, retry: [Duration; 2], stopped: bool) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let seen = Seen::default();
        let (_stop, stop) = watch::channel(stopped);
        let standing = Box::new(seen.clone());
        let entered = runtime.enter();
        let mut looped = BatcherLoop::new(retry, standing, stop);
        drop(entered);
        let mut fails = Fails { at: 2, errors, seen: seen.clone() };
        let each = move |window| looped.make(&mut fails, &window);
        let ran = std::thread::spawn(move || (1..=3).map(empty_window).for_each(each));
        ran.join().unwrap();
        seen.0.lock().unwrap().clone()
    }

    #[test]
    fn a_window_that_fails_is_tried_again_and_those_behind_it_wait() {
        let store = BatcherError::Store { number: 2, source: "the disk is full".into() };
        let retry = [Duration::from_millis(1); 2];
        let seen = run(vec![unprovable(2), store], retry, false);
        let then = ["batch 2", "recovered", "batch 3"];
        assert_eq!(seen, [&["batch 1", "unprovable", "store-fails"], &then[..]].concat());
    }

    #[test]
    fn a_window_that_cannot_be_read_is_waited_for_until_it_is_or_the_node_stops() {
        for stopped in [false, true] {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let (seen, (_stop, stop)) = (Seen::default(), watch::channel(stopped));
            let entered = runtime.enter();
            let retry = [Duration::from_millis(1); 2];
            let mut looped = BatcherLoop::new(retry, Box::new(seen.clone()), stop);
            drop(entered);
            let mut batcher = Fails { at: 0, errors: vec![], seen: seen.clone() };
            let read = std::thread::spawn(move || {
                let go_on = looped.wait_for_window(&std::fmt::Error);
                looped.make(&mut batcher, &empty_window(1));
                go_on
            });
            assert_eq!(read.join().unwrap(), !stopped);
            let seen = seen.0.lock().unwrap().clone();
            assert_eq!(seen, ["journal-unreadable", "recovered", "batch 1"]);
        }
    }

    #[test]
    fn a_stop_proves_what_can_be_proven_and_does_not_wait_for_what_fails() {
        let hours = [Duration::from_secs(10_000); 2];
        let seen = run(vec![unprovable(2)], hours, true);
        assert_eq!(seen, ["batch 1", "unprovable"]);
        assert_eq!(run(vec![], hours, true), ["batch 1", "batch 2", "batch 3"]);
    }

    #[test]
    fn a_window_whose_proofs_a_stop_aborts_is_not_degraded_and_those_behind_it_are_left() {
        let hours = [Duration::from_secs(10_000); 2];
        let aborted = BatcherError::Prove { number: 2, source: SetError::Stopped };
        assert_eq!(run(vec![aborted], hours, true), ["batch 1"]);
    }
}
