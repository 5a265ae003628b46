//! Messages whose time is yet to come by the clocks of this machine and of the node. Which clock is
//! wrong nobody here can know: a device's, and its messages would hold up those of all others; or
//! that of this machine, and each message that is let go is lost.
//!
//! So they wait for their time, without being acknowledged. Where messages of now are stored
//! meanwhile the clock of this machine is right: then as few wait as leave room for others, and
//! those that come beyond are refused. Where none is, all wait, and the broker keeps what follows,
//! as while the node is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Most that wait where others are stored: below the messages without PUBACK that a broker sends
/// (20 of mosquitto).
const PLACES_MAX: usize = 8;
/// For how long a message that was stored says that the clock is right.
const STORED_WITHIN: Duration = Duration::from_secs(300);

/// Those that wait for their time, and when a message of now was stored.
pub(super) struct Ahead {
    places: Arc<Semaphore>,
    places_max: usize,
    stored: Mutex<Option<Instant>>,
}

/// That a message may wait. Of those without a place it is asked again, each time it was tried.
pub(super) struct Waits {
    place: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    /// Beside so many messages that wait for whatever.
    pub(super) fn new(waiting_max: usize) -> Ahead {
        let places_max = PLACES_MAX.min(waiting_max / 2);
        Ahead { places: Arc::new(Semaphore::new(places_max)), places_max, stored: Mutex::default() }
    }

    /// A message of now was stored.
    pub(super) fn note_stored(&self) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        *stored = Some(Instant::now());
    }

    /// Whether a message may wait, or go on waiting; none if it is to be refused.
    pub(super) fn admit(&self, before: Option<Waits>) -> Option<Waits> {
        let place = before.and_then(|one| one.place);
        let place = place.or_else(|| self.places.clone().try_acquire_owned().ok());
        if place.is_none() && self.is_clock_right() {
            return None;
        }
        Some(Waits { place })
    }

    /// How many wait in places: for hours perhaps.
    pub(super) fn count(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    fn is_clock_right(&self) -> bool {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.is_some_and(|at| at.elapsed() < STORED_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_wait_while_nothing_of_now_is_stored_and_few_while_something_is() {
        let ahead = Ahead::new(256);
        let mut waiting: Vec<_> = (0..100).map(|_| ahead.admit(None)).collect();
        assert!(waiting.iter().all(Option::is_some), "it may be this machine's clock");
        ahead.note_stored();
        waiting = waiting.into_iter().map(|before| ahead.admit(before)).collect();
        assert_eq!(waiting.iter().flatten().count(), PLACES_MAX);
        assert!(ahead.admit(None).is_none());
        assert_eq!(ahead.count(), PLACES_MAX);
        // One that was taken leaves its place to the next.
        waiting.remove(0);
        let next = ahead.admit(None);
        assert!(next.is_some() && ahead.admit(None).is_none());
        tokio::time::advance(STORED_WITHIN).await;
        assert!(ahead.admit(None).is_some());
    }

    #[test]
    fn a_session_of_few_messages_has_room_for_others_all_the_same() {
        for (waiting_max, expected) in [(1, 0), (2, 1), (5, 2), (960, PLACES_MAX)] {
            let ahead = Ahead::new(waiting_max);
            ahead.note_stored();
            let waiting: Vec<_> = (0..waiting_max).filter_map(|_| ahead.admit(None)).collect();
            assert_eq!((waiting.len(), ahead.count()), (expected, expected));
        }
    }
}
