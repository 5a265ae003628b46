//! When each stage last moved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::guard::Stage;

/// Counts of the stages as they were looked at last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse(Arc<Mutex<BTreeMap<Stage, Beat>>>);

/// How far one stage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    count: u64,
    /// When that was seen first; none of the count that was there at the first look.
    moved: Option<Instant>,
}

impl Pulse {
    /// Takes notice of the counts of this moment.
    pub(super) fn look(&self, now: Instant, counts: impl Iterator<Item = (Stage, u64)>) {
        // Plain values: a panic under the lock leaves them whole.
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (stage, count) in counts {
            let beat = beats.entry(stage).or_insert(Beat { count, moved: None });
            if beat.count != count {
                *beat = Beat { count, moved: Some(now) };
            }
        }
    }

    /// How long ago a stage moved, if it has since the first look.
    pub(super) fn moved_ago(&self, stage: Stage, now: Instant) -> Option<Duration> {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = beats.get(&stage)?.moved?;
        Some(now.saturating_duration_since(moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_moves_when_its_count_does_and_not_when_it_is_looked_at() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let look = |seconds, count| pulse.look(at(seconds), [(Stage::Journal, count)].into_iter());
        assert_eq!(pulse.moved_ago(Stage::Journal, at(0)), None);
        look(0, 7);
        assert_eq!(pulse.moved_ago(Stage::Journal, at(1)), None, "what was there is no move");
        look(1, 8);
        look(2, 8);
        assert_eq!(pulse.moved_ago(Stage::Journal, at(5)), Some(Duration::from_secs(4)));
        // A counter of another run may be lower.
        look(6, 1);
        assert_eq!(pulse.moved_ago(Stage::Journal, at(6)), Some(Duration::ZERO));
        assert_eq!(pulse.moved_ago(Stage::Receipts, at(6)), None);
    }
}
