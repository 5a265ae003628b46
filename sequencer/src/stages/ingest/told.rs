//! Tells many tasks at once that something happened, in the order in which they wait.
//!
//! A `watch` of tokio wakes those who wait in an order of chance. The order in which sessions have
//! their turns is that in which their datagrams leave, and a simulation makes a run again to the
//! last of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Tells it; dropped, it tells that, too.
#[derive(Debug, Default)]
pub(super) struct Teller(Arc<Told>);

/// Hears of it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    told: Arc<Told>,
    heard: u64,
}

#[derive(Debug, Default)]
struct Told {
    times: AtomicU64,
    waiting: Notify,
}

impl Teller {
    /// Tells everybody who listens.
    pub(super) fn tell(&self) {
        self.0.times.fetch_add(1, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }

    /// Hears of what is told from now on.
    pub(super) fn listen(&self) -> Listener {
        let heard = self.0.times.load(Ordering::SeqCst);
        Listener { told: Arc::clone(&self.0), heard }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Listener {
    /// Waits until something was told since the last time. What is told while nobody waits is not
    /// missed, however often this is given up.
    pub(super) async fn next(&mut self) {
        loop {
            // Before the look: what is told between the two wakes it.
            let told = self.told.waiting.notified();
            let times = self.told.times.load(Ordering::SeqCst);
            if times != self.heard {
                self.heard = times;
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::task::{JoinSet, yield_now};

    use super::*;

    #[tokio::test]
    async fn whoever_waits_longest_is_told_first_and_nobody_misses_anything() {
        for _ in 0..20 {
            let (teller, order) = (Teller::default(), Arc::new(Mutex::new(Vec::new())));
            let mut tasks = JoinSet::new();
            for number in 0..30 {
                let (mut listener, order) = (teller.listen(), Arc::clone(&order));
                tasks.spawn(async move {
                    listener.next().await;
                    order.lock().unwrap().push(number);
                    // That nobody tells any more.
                    listener.next().await;
                });
            }
            let mut late = teller.listen();
            yield_now().await;
            teller.tell();
            teller.tell();
            late.next().await;
            // Else what the drop tells would be the first that they hear.
            while order.lock().unwrap().len() < 30 {
                yield_now().await;
            }
            let mut later = teller.listen();
            drop(teller);
            later.next().await;
            tasks.join_all().await;
            assert_eq!(*order.lock().unwrap(), (0..30).collect::<Vec<_>>());
        }
    }
}
