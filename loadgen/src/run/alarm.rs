//! Wakes senders when their frames are due, to a quarter of a millisecond.
//!
//! The runtime's timers are of whole milliseconds, rounded up: what a frame waits for them would be
//! told as latency of the node, and the frames of all streams would be sent at the same instants.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::Notify;

/// What is due within so long is woken together: each turn of the thread costs what waking does.
const TOGETHER: Duration = Duration::from_micros(250);

/// The thread that rings alarms. It ends with this value.
pub(super) struct AlarmClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// One sender's alarm.
pub(super) struct Alarm {
    shared: Arc<Shared>,
    rings: Arc<Notify>,
}

struct Shared {
    set: Mutex<Set>,
    changed: Condvar,
}

/// The alarms that are set: one for each sender that waits, and one for each that gave up and whose
/// time has not come.
struct Set {
    due: BinaryHeap<Reverse<Due>>,
    /// When the thread looks again by itself; none while it has nothing to wait for.
    next_look: Option<Instant>,
    stopped: bool,
}

struct Due {
    at: Instant,
    rings: Arc<Notify>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl AlarmClock {
    /// # Errors
    /// If the system starts no further thread.
    pub(super) fn start() -> io::Result<AlarmClock> {
        let set = Set { due: BinaryHeap::new(), next_look: None, stopped: false };
        let shared = Arc::new(Shared { set: Mutex::new(set), changed: Condvar::new() });
        let rung = Arc::clone(&shared);
        let thread = thread::Builder::new().name("alarms".into()).spawn(move || rung.ring())?;
        Ok(AlarmClock { shared, thread: Some(thread) })
    }

    /// An alarm for one sender.
    pub(super) fn alarm(&self) -> Alarm {
        Alarm { shared: Arc::clone(&self.shared), rings: Arc::new(Notify::new()) }
    }
}

impl Drop for AlarmClock {
    fn drop(&mut self) {
        self.shared.set().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Alarm {
    /// Waits until then, or returns at once if it is over. May be dropped and called again.
    pub(super) async fn wait_until(&self, at: Instant) {
        // More than once where a wait that was given up rings in this one.
        while Instant::now() < at {
            self.shared.add(Due { at, rings: Arc::clone(&self.rings) });
            self.rings.notified().await;
        }
    }
}

impl Shared {
    fn add(&self, due: Due) {
        let mut set = self.set();
        let is_next = set.next_look.is_none_or(|look| due.at + TOGETHER < look);
        set.due.push(Reverse(due));
        drop(set);
        if is_next {
            self.changed.notify_one();
        }
    }

    fn ring(&self) {
        let mut set = self.set();
        while !set.stopped {
            let now = Instant::now();
            while let Some(Reverse(due)) = set.due.peek().filter(|due| due.0.at <= now) {
                due.rings.notify_one();
                set.due.pop();
            }
            let next = set.due.peek().map(|due| due.0.at.max(now + TOGETHER));
            set.next_look = next;
            set = match next {
                Some(at) => {
                    let waited = self.changed.wait_timeout(set, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(set).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Nothing panics half-way under the lock.
    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_millis(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[tokio::test]
    async fn nobody_is_woken_early_and_everybody_in_the_end() {
        let clock = AlarmClock::start().expect("a thread");
        // The later ones first, so that an earlier one comes to a thread that waits.
        let waits = (0..64u64).rev().map(|number| {
            let (alarm, at) = (clock.alarm(), in_millis(number / 8));
            tokio::spawn(async move {
                alarm.wait_until(at).await;
                Instant::now() >= at
            })
        });
        for wait in waits.collect::<Vec<_>>() {
            assert!(wait.await.expect("no panic"));
        }
        assert!(clock.shared.set().due.is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_ends_no_later_one() {
        let clock = AlarmClock::start().expect("a thread");
        let alarm = clock.alarm();
        // Over before it is looked at on a machine that is slow, and then there is nothing to ring.
        drop(tokio::time::timeout(Duration::ZERO, alarm.wait_until(in_millis(1))).await);
        let at = in_millis(20);
        alarm.wait_until(at).await;
        assert!(Instant::now() >= at);
    }

    #[tokio::test]
    async fn what_is_over_is_not_waited_for() {
        let clock = AlarmClock::start().expect("a thread");
        clock.alarm().wait_until(Instant::now()).await;
        assert!(clock.shared.set().due.is_empty());
    }
}
