//! Makes keys of bodies before the writer needs them, and writes all of them anew where that is
//! due.

use std::sync::Arc;
use std::time::Duration;

use bodies::{BodyKeys, KeyStoreError};
use model::{Millis, with_causes};

use crate::clock::{NodeClock, Trust};

/// Makes them.
pub(super) struct KeysAhead {
    keys: BodyKeys,
    clock: Arc<NodeClock>,
    /// Whether they could be made the last time.
    are_made: bool,
}

impl KeysAhead {
    /// How long from one time to the next: what an erasure left because a disk was full is finished
    /// within a minute once it is not.
    pub(super) const PAUSE: Duration = Duration::from_secs(60);

    pub(super) fn new(keys: BodyKeys, clock: Arc<NodeClock>) -> KeysAhead {
        KeysAhead { keys, clock, are_made: true }
    }

    /// Before anybody is let in: an epoch may have ended while the node was down, and the writer
    /// would make a key with each patient's next frame.
    pub(super) fn make_due(&mut self) {
        self.make(BodyKeys::make_due);
    }

    /// As [`KeysAhead::make_due`], and as long as writing all keys anew takes, if that is due.
    pub(super) fn make_ahead(&mut self) {
        self.make(BodyKeys::make_ahead);
    }

    fn make(&mut self, make: impl Fn(&BodyKeys, Millis) -> Result<(), KeyStoreError>) {
        let reading = self.clock.read();
        // By no clock that nobody believes: an epoch begins once.
        let Trust::Trusted = reading.trust else { return };
        match make(&self.keys, reading.latest) {
            Ok(()) => self.are_made = true,
            // Said once: the writer makes those that it needs, and meets what is wrong.
            Err(error) if self.are_made => {
                self.are_made = false;
                let error = with_causes(&error);
                tracing::error!(error, "keys of the next epoch of bodies cannot be made");
            }
            Err(_) => {}
        }
    }
}
