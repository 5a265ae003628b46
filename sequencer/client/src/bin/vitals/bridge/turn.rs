//! Which streams of a device and signal were begun after which, over however many connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The streams of one device and signal: how many were begun, and the last that was refused.
#[derive(Default)]
pub(super) struct Turns {
    begun: AtomicU64,
    refused: AtomicU64,
}

/// One of them. A task of an ended connection may come to keep that a part stands in frames after
/// a later stream of the same folder had them given up: it is refused with that one, and no more.
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turn {
    /// That of a stream that begins.
    pub(super) fn next(turns: &Arc<Turns>) -> Turn {
        let number = 1 + turns.begun.fetch_add(1, Ordering::Relaxed);
        Turn { turns: turns.clone(), number }
    }

    pub(super) fn refuse(&self) {
        self.turns.refused.fetch_max(self.number, Ordering::Relaxed);
    }

    /// Whether this one or a later one was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.turns.refused.load(Ordering::Relaxed) >= self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_refused_with_a_later_one_of_its_folder_and_not_with_one_before() {
        let turns = Arc::default();
        let [first, second, third] = [(); 3].map(|()| Turn::next(&turns));
        let refused = || [&first, &second, &third].map(Turn::is_refused);
        assert_eq!(refused(), [false; 3]);
        second.refuse();
        assert_eq!(refused(), [true, true, false]);
        first.refuse();
        assert_eq!(refused(), [true, true, false]);
    }
}
