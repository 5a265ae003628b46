//! What the programs of bridges say on standard error of what goes wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::escape;

/// How long a thing of one kind is not said again.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Most kinds that are remembered; beyond them all are said anew.
const KINDS_MAX: usize = 1024;

/// Says each kind of thing once a minute: feeds and devices repeat themselves.
#[derive(Default)]
pub(crate) struct Telling(Mutex<BTreeMap<String, Instant>>);

impl Telling {
    /// Says it, unless one of its kind was said within a minute.
    pub(crate) fn say(&self, kind: &str, line: &str) {
        if self.is_due(kind, Instant::now()) {
            eprintln!("vitals: {}", escape(line));
        }
    }

    fn is_due(&self, kind: &str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.duration_since(*at) < AGAIN_AFTER);
        if told.contains_key(kind) {
            return false;
        }
        if told.len() >= KINDS_MAX {
            told.clear();
        }
        told.insert(kind.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_said_once_a_minute_and_few_are_remembered() {
        let (telling, begin) = (Telling::default(), Instant::now());
        let is_due = |kind: &str, after: Duration| telling.is_due(kind, begin + after);
        assert!(is_due("a", Duration::ZERO) && is_due("b", Duration::ZERO));
        assert!(!is_due("a", AGAIN_AFTER - Duration::from_millis(1)));
        assert!(is_due("a", AGAIN_AFTER));
        for kind in 0..2 * KINDS_MAX {
            assert!(is_due(&format!("kind {kind}"), AGAIN_AFTER));
            assert!(telling.0.lock().unwrap().len() <= KINDS_MAX);
        }
    }
}
