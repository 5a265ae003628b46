//! How often somebody may ask for something in a minute of the clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::Millis;

/// Most askers of one minute that are told apart; behind them a new one waits for the next. Memory:
/// a name each.
const ASKERS_MAX: usize = 4_096;

/// Counts each asker apart.
#[derive(Debug)]
pub(super) struct PerMinute {
    most: u64,
    running: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    number: u64,
    of: BTreeMap<String, u64>,
}

impl PerMinute {
    /// So often each.
    pub(super) fn new(most: u64) -> PerMinute {
        PerMinute { most, running: Mutex::default() }
    }

    /// Whether this one may ask once more; counted if so.
    pub(super) fn admit(&self, asker: &str, now: Millis) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.get() / 60_000;
        if running.number != number {
            *running = Minute { number, of: BTreeMap::new() };
        }
        if running.of.len() >= ASKERS_MAX && !running.of.contains_key(asker) {
            return false;
        }
        let count = running.of.entry(asker.to_owned()).or_default();
        let is_admitted = *count < self.most;
        *count += u64::from(is_admitted);
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asks_so_often_a_minute_and_a_crowd_of_new_names_takes_no_memory() {
        let at = |ms: u64| Millis::from_unix_ms(1_777_624_200_000 + ms);
        let limit = PerMinute::new(2);
        let asked = |who: &str, ms| limit.admit(who, at(ms));
        assert_eq!(
            [asked("a", 0), asked("a", 1), asked("a", 2), asked("b", 3)],
            [true, true, false, true]
        );
        assert!(asked("a", 60_000), "another minute");
        let admitted = (0..2 * ASKERS_MAX).filter(|n| asked(&format!("n{n}"), 60_001)).count();
        assert_eq!(admitted, ASKERS_MAX - 1);
        assert!(asked("a", 60_002) && !asked("somebody", 60_003));
    }
}
