//! Messages whose time is yet to come by the clocks of this machine and of the node. Which clock is
//! wrong nobody here can know: a device's, and its messages would hold up those of all others; or
//! that of this machine, and each message that is let go is lost.
//!
//! So they wait for their time, without being acknowledged; a few of them whatever the clocks are,
//! which leaves room for others. More wait only where it may be this machine's clock: messages of
//! several devices wait, and none of now is stored. Then all do, and the broker keeps what follows,
//! as while the node is away. Where messages of now are stored, or one device alone is ahead, it is
//! a device's clock, and what comes beyond the few is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Most that wait whatever the clocks are: below the messages without PUBACK that a broker sends
/// (20 of mosquitto).
pub(super) const PLACES_MAX: usize = 8;
/// For how long a message that was stored says that the clock is right.
const STORED_WITHIN: Duration = Duration::from_secs(300);

/// Those that wait for their time, and when a message of now was stored.
pub(super) struct Ahead {
    places: Arc<Semaphore>,
    known: Arc<Mutex<Known>>,
}

/// What says whose clock is wrong.
#[derive(Default)]
struct Known {
    /// When a message of now was stored last.
    stored: Option<Instant>,
    /// How many messages of each device wait, with a place or without.
    waiting: BTreeMap<String, usize>,
}

/// That a message may wait. Of those without a place it is asked again, each time it was tried. It
/// is counted until it is dropped, as it is with the task of a connection that ended.
pub(super) struct Waits {
    place: Option<OwnedSemaphorePermit>,
    known: Arc<Mutex<Known>>,
    device: String,
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    /// Beside so many messages that wait for whatever.
    pub(super) fn new(waiting_max: usize) -> Ahead {
        let places = Arc::new(Semaphore::new(PLACES_MAX.min(waiting_max / 2)));
        Ahead { places, known: Arc::default() }
    }

    /// A message of now was stored, which had not waited for it.
    pub(super) fn note_stored(&self) {
        lock(&self.known).stored = Some(Instant::now());
    }

    /// Whether a message of a device may wait, or go on waiting; none if it is to be refused.
    pub(super) fn admit(&self, before: Option<Waits>, device: &str) -> Option<Waits> {
        let mut waits = before.unwrap_or_else(|| Waits::begin(self.known.clone(), device));
        if waits.place.is_none() {
            waits.place = self.places.clone().try_acquire_owned().ok();
        }
        let may_wait = waits.place.is_some() || lock(&self.known).is_clock_in_doubt();
        may_wait.then_some(waits)
    }

    /// How many wait, for hours perhaps.
    pub(super) fn count(&self) -> usize {
        lock(&self.known).waiting.values().sum()
    }
}

impl Known {
    /// Whether it may be this machine's clock that is wrong, and not that of a device alone.
    fn is_clock_in_doubt(&self) -> bool {
        let is_right = self.stored.is_some_and(|at| at.elapsed() < STORED_WITHIN);
        !is_right && self.waiting.len() > 1
    }
}

impl Waits {
    fn begin(known: Arc<Mutex<Known>>, device: &str) -> Waits {
        *lock(&known).waiting.entry(device.to_owned()).or_default() += 1;
        Waits { place: None, known, device: device.to_owned() }
    }

    /// Whether it waits beyond the places, since this machine's clock may be wrong.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.place.is_none()
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        if let Some(count) = known.waiting.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                known.waiting.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many, of devices by turns; those that may wait.
    fn admitted(ahead: &Ahead, count: usize, devices: &[&str]) -> Vec<Waits> {
        let by_turns = devices.iter().cycle().take(count);
        by_turns.filter_map(|device| ahead.admit(None, device)).collect()
    }

    /// Those that may go on waiting.
    fn again(ahead: &Ahead, waiting: Vec<Waits>) -> Vec<Waits> {
        let again = |one: Waits| {
            let device = one.device.clone();
            ahead.admit(Some(one), &device)
        };
        waiting.into_iter().filter_map(again).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_several_devices_wait_while_nothing_of_now_is_stored_and_else_few() {
        let ahead = Ahead::new(256);
        let mut waiting = admitted(&ahead, 100, &["a", "b"]);
        assert_eq!((waiting.len(), ahead.count()), (100, 100), "it may be this machine's clock");
        ahead.note_stored();
        waiting = again(&ahead, waiting);
        assert_eq!((waiting.len(), ahead.count()), (PLACES_MAX, PLACES_MAX));
        assert!(admitted(&ahead, 1, &["c"]).is_empty());
        // One that was taken leaves its place to the next.
        waiting.remove(0);
        let next = admitted(&ahead, 2, &["c"]);
        assert_eq!((next.len(), ahead.count()), (1, PLACES_MAX));
        tokio::time::advance(STORED_WITHIN).await;
        assert_eq!(admitted(&ahead, 1, &["c"]).len(), 1);
    }

    #[test]
    fn one_device_alone_has_a_clock_that_is_wrong_and_leaves_room_for_others() {
        let ahead = Ahead::new(256);
        let of_one = admitted(&ahead, 100, &["a"]);
        assert_eq!((of_one.len(), ahead.count()), (PLACES_MAX, PLACES_MAX));
        // Of two it may be this machine's, until there is one again.
        let of_another = admitted(&ahead, 1, &["b"]);
        assert!(of_another[0].is_in_doubt());
        let beyond = admitted(&ahead, 5, &["a"]);
        assert_eq!((beyond.len(), ahead.count()), (5, PLACES_MAX + 6));
        drop(of_another);
        assert!(again(&ahead, beyond).is_empty());
        assert_eq!(again(&ahead, of_one).len(), PLACES_MAX);
        assert_eq!(ahead.count(), 0);
    }

    #[test]
    fn a_session_of_few_messages_has_room_for_others_all_the_same() {
        for (waiting_max, expected) in [(1, 0), (2, 1), (5, 2), (960, PLACES_MAX)] {
            let ahead = Ahead::new(waiting_max);
            ahead.note_stored();
            let waiting = admitted(&ahead, waiting_max, &["a", "b"]);
            assert_eq!((waiting.len(), ahead.count()), (expected, expected));
        }
    }
}
