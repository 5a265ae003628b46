//! The bounded queue in front of the writer thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Failure, NotTaken};

/// Many push, one pops. Once closed it takes nothing more and is drained.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    items_max: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: Option<NotTaken>,
}

impl<T> Queue<T> {
    pub(crate) fn new(items_max: usize) -> Queue<T> {
        let state = State { items: VecDeque::new(), closed: None };
        Queue { state: Mutex::new(state), changed: Condvar::new(), items_max }
    }

    /// Takes the item if `reserved` places are left after it, or hands it back with the reason;
    /// never waits for room.
    pub(crate) fn push(&self, item: T, reserved: usize) -> Result<(), (T, NotTaken)> {
        let mut state = self.state();
        // Before the room: a closed queue gets none, so trying again would be in vain.
        if let Some(why) = &state.closed {
            return Err((item, why.clone()));
        }
        // At least one place is for everybody, however many are reserved.
        let items_max = self.items_max.saturating_sub(reserved).max(1);
        if state.items.len() >= items_max {
            return Err((item, NotTaken::Full { items_max }));
        }
        state.items.push_back(item);
        // Unlocked first, so that the writer does not wake up to wait once more.
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for items and returns how many there are; 0 once closed and drained. They stay in the
    /// queue, and count against its limit, until each is popped.
    pub(crate) fn wait(&self) -> usize {
        let waiting = |state: &mut State<T>| state.items.is_empty() && state.closed.is_none();
        let state = self.changed.wait_while(self.state(), waiting);
        state.unwrap_or_else(PoisonError::into_inner).items.len()
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.state().items.pop_front()
    }

    /// Takes nothing more; what is queued is still popped.
    pub(crate) fn close(&self) {
        // A failure that came first is the better reason.
        self.state().closed.get_or_insert(NotTaken::Stopped);
        self.changed.notify_all();
    }

    /// Takes nothing more, for this reason, and hands out what is queued.
    pub(crate) fn fail(&self, failure: Failure) -> VecDeque<T> {
        // Closed and emptied under one lock: an item pushed between the two would never be
        // answered. Nobody is woken, because the one who waits on the queue is the caller.
        let mut state = self.state();
        state.closed = Some(NotTaken::Failed(failure));
        std::mem::take(&mut state.items)
    }

    /// Why nothing more is taken, once that is so.
    pub(crate) fn closed(&self) -> Option<NotTaken> {
        self.state().closed.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// No caller's code runs under the lock, so a panic cannot leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
