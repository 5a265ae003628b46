//! Withdrawals of consent that took effect and are not on the chain yet: how long each takes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use model::Millis;

/// Most that are timed at once, of 8 bytes each. Reached: further ones are not timed.
const TIMED_MAX: usize = 4096;

/// When withdrawals took effect, in that order. What a run before left is not timed.
#[derive(Debug, Default)]
pub(super) struct Withdrawals(Mutex<VecDeque<Millis>>);

impl Withdrawals {
    /// One took effect at this time.
    pub(super) fn note(&self, time: Millis) {
        // Plain values: a panic under the lock leaves them whole.
        let mut timed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if timed.len() < TIMED_MAX {
            // Sessions tell in another order than the writer decided.
            let place = timed.partition_point(|before| *before <= time);
            timed.insert(place, time);
        }
    }

    /// Takes those that took effect before `end` out.
    pub(super) fn take_before(&self, end: Millis) -> Vec<Millis> {
        let mut timed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = timed.partition_point(|time| *time < end);
        timed.drain(..settled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::new(ms).unwrap()
    }

    #[test]
    fn what_took_effect_before_the_end_of_a_window_is_taken_once_and_in_order() {
        let withdrawals = Withdrawals::default();
        for ms in [20, 10, 30, 20] {
            withdrawals.note(at(ms));
        }
        assert_eq!(withdrawals.take_before(at(30)), [10, 20, 20].map(at));
        assert_eq!(withdrawals.take_before(at(30)), []);
        assert_eq!(withdrawals.take_before(at(31)), [at(30)]);
    }

    #[test]
    fn no_more_are_timed_than_there_are_places() {
        let withdrawals = Withdrawals::default();
        (0..TIMED_MAX as u64 + 5).for_each(|ms| withdrawals.note(at(ms)));
        assert_eq!(withdrawals.take_before(Millis::UNBOUNDED_FUTURE).len(), TIMED_MAX);
        withdrawals.note(at(1));
        assert_eq!(withdrawals.take_before(at(2)), [at(1)]);
    }
}
