//! What the task that drives a connection and everybody who waits on it share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use model::Millis;
use tokio::sync::{Notify, watch};
use wire::Lane;

use super::config::ConnectionConfig;
use super::state::State;

pub(super) struct Shared {
    pub(super) config: ConnectionConfig,
    pub(super) state: Mutex<State>,
    pub(super) lanes: [Notify; 3],
    pub(super) changes: watch::Sender<()>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug in a listener at worst: the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn received(&self, lane: Lane, bytes: &[u8]) {
        let now = self.config.clock.now();
        self.lock().received(lane, bytes, now);
        self.changed();
    }

    pub(super) fn timeout(&self, now: Millis) {
        self.lock().session.handle_timeout(now);
        self.changed();
    }

    /// What to write on a lane, and whether nothing follows.
    pub(super) fn gather(&self, lane: Lane) -> (Bytes, bool) {
        let mut state = self.lock();
        let bytes = state.gather(lane);
        (bytes, state.is_ended())
    }

    pub(super) fn wake(&self, lane: Lane) {
        self.lanes[lane as usize].notify_one();
    }

    /// Something changed that any lane or waiter may be waiting for.
    pub(super) fn changed(&self) {
        Lane::ALL.into_iter().for_each(|lane| self.wake(lane));
        self.changes.send_modify(|()| {});
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until `check` finds something.
    pub(super) async fn until<T>(&self, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changes = self.subscribe();
        loop {
            if let Some(found) = check(&mut self.lock()) {
                return found;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changes.changed().await;
        }
    }
}
