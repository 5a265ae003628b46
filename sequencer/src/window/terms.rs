//! What windows are made by, which may change between two of them.

use std::sync::{Arc, Mutex, PoisonError};

use super::cadence::Cadence;
use super::limits::WindowLimits;

/// When a window is closed: by the clock, and early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowTerms {
    /// By the clock.
    pub cadence: Cadence,
    /// Early.
    pub limits: WindowLimits,
}

/// Those of the window that begins next, if they are others than the open one's. Cheap to clone:
/// whoever changes them and the ledger, which takes them at a close, hold one each.
///
/// Never in the middle of a window: it would end at no boundary of either, and whoever waits for it
/// was told another time.
#[derive(Clone, Debug, Default)]
pub struct NextTerms(Arc<Mutex<Option<WindowTerms>>>);

impl NextTerms {
    /// These hold from the next window on.
    pub fn set(&self, terms: WindowTerms) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(terms);
    }

    /// Takes them, where they were set since they were taken last.
    pub fn take(&self) -> Option<WindowTerms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
