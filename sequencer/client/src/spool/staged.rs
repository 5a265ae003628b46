//! What is on its way to the session.

use wire::Frame;

/// A frame that may be sent once so many writes are synced.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) written: u64,
    /// Whether it may have been sent before.
    pub(super) again: bool,
    pub(super) frame: Frame,
}

/// A frame for the session.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Whether it may have been sent before a restart.
    pub(crate) again: bool,
    pub(crate) frame: Frame,
}
