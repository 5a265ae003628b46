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
    /// Wakes the writer of each lane. A notification given while nobody waits is kept, so a writer
    /// that is about to wait misses none.
    pub(super) lanes: [Notify; 3],
    /// Wakes whoever syncs, in the same way.
    pub(super) unsynced: Notify,
    /// Wakes who leads the streams over to another certificate, in the same way.
    pub(super) renewed: Notify,
    pub(super) changes: watch::Sender<()>,
}

/// What to write on a lane.
pub(super) struct Gathered {
    /// Empty if there is nothing yet.
    pub(super) bytes: Bytes,
    /// Whether nothing follows.
    pub(super) is_last: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug in a listener at worst: the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle_bytes(&self, lane: Lane, bytes: &[u8]) {
        let now = self.config.clock.now();
        self.lock().handle_bytes(lane, bytes, now);
        self.notify();
    }

    pub(super) fn handle_timeout(&self, now: Millis) {
        self.lock().session.handle_timeout(now);
        self.notify();
    }

    pub(super) fn gather(&self, lane: Lane) -> Gathered {
        // Both under one lock: an end that comes between them would be taken for "all is written".
        let mut state = self.lock();
        Gathered { bytes: state.gather(lane), is_last: state.is_ended() }
    }

    pub(super) fn wake(&self, lane: Lane) {
        self.lanes[lane as usize].notify_one();
        // Without a folder nothing is ever to be synced, and a task that looks for it would be
        // woken for each frame.
        if self.config.state.is_some() {
            self.unsynced.notify_one();
        }
    }

    /// Something may be there to be written, and nothing else changed.
    pub(super) fn wake_writers(&self) {
        self.lanes.iter().for_each(Notify::notify_one);
    }

    /// Another certificate is to be shown: the streams go over to a connection of it.
    pub(super) fn go_over(&self) {
        self.renewed.notify_one();
    }

    /// Something changed that any lane or waiter may be waiting for.
    pub(super) fn notify(&self) {
        Lane::ALL.into_iter().for_each(|lane| self.wake(lane));
        self.changes.send_modify(|()| {});
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until `find` finds something in the state.
    pub(super) async fn wait_for<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        // Nearly every frame finds room at once: then nobody waits for a change.
        if let Some(found) = find(&mut self.lock()) {
            return found;
        }
        // Subscribed before the next look, so that a change between look and wait is seen.
        let mut changes = self.subscribe();
        loop {
            if let Some(found) = find(&mut self.lock()) {
                return found;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changes.changed().await;
        }
    }
}
