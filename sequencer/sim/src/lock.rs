//! What hosts share with the one who steps them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The simulation has one thread: a lock is never waited for, and a panic ends the run.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
