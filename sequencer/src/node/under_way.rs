//! Which window is open, and how far the proofs of those behind it are: reported by the stages,
//! told to whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use page_server::Proofs;

use crate::doors::reach::OpenWindow;
use crate::stages::prove::Progress;

/// Most batches whose proofs are counted: one is proven, one is laid out behind it, and one that
/// the scrub has proven again may come between.
const COUNTED_MAX: usize = 8;

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: Option<OpenWindow>,
    counted: BTreeMap<u64, Counted>,
}

/// Proofs of one batch, and whether somebody makes one: before that it is laid out, and waits.
#[derive(Debug, Default)]
struct Counted {
    is_begun: bool,
    proofs: Proofs,
}

impl UnderWay {
    /// Takes notice of the window that takes in.
    pub(super) fn set_open(&self, open: OpenWindow) {
        self.state().open = Some(open);
    }

    /// Takes notice of a step of the proving stage.
    pub(super) fn step(&self, progress: &Progress) {
        let mut state = self.state();
        match progress {
            Progress::Planned { number, operations, claims, .. } => {
                let all = u32::try_from(operations + claims).unwrap_or(u32::MAX);
                state.counted(*number).proofs.all = Some(all);
            }
            Progress::Begun { number } => state.counted(*number).is_begun = true,
            // The first ones may come before the whole window is laid out. One that is laid out
            // anew has chunks proven twice, and no more than there are.
            Progress::Proven { number, .. } => {
                let proofs = &mut state.counted(*number).proofs;
                let done = proofs.done.saturating_add(1);
                proofs.done = proofs.all.map_or(done, |all| done.min(all));
            }
            // They are assembled in order.
            Progress::Assembled { number } => {
                state.counted = state.counted.split_off(&(number + 1));
            }
        }
        while state.counted.len() > COUNTED_MAX {
            state.counted.pop_first();
        }
    }

    /// The open window, and the proofs of those of which somebody has begun one.
    pub(super) fn look(&self) -> (Option<OpenWindow>, BTreeMap<u64, Proofs>) {
        let state = self.state();
        let begun = state.counted.iter().filter(|(_, counted)| counted.is_begun);
        (state.open, begun.map(|(number, counted)| (*number, counted.proofs)).collect())
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn counted(&mut self, number: u64) -> &mut Counted {
        self.counted.entry(number).or_default()
    }
}

#[cfg(test)]
mod tests {
    use statement::scope::Circuit;

    use super::*;
    use crate::stages::batch::ClaimPlaces;

    const BEGUN_4: Progress = Progress::Begun { number: 4 };

    fn planned(number: u64, operations: usize, claims: usize) -> Progress {
        let places = ClaimPlaces::default();
        Progress::Planned { number, operations, claims, places }
    }

    fn proven(number: u64) -> Progress {
        Progress::Proven { number, circuit: Circuit::C2, millis: 5 }
    }

    fn steps(steps: &[Progress]) -> Vec<(u64, u32, Option<u32>)> {
        let under_way = UnderWay::default();
        steps.iter().for_each(|step| under_way.step(step));
        let (_, proving) = under_way.look();
        proving.into_iter().map(|(number, Proofs { done, all })| (number, done, all)).collect()
    }

    #[test]
    fn proofs_are_counted_from_the_first_one_until_the_batch_is_assembled() {
        let begun = [
            BEGUN_4,
            proven(4),
            planned(4, 1, 2),
            BEGUN_4,
            proven(4),
            Progress::Begun { number: 5 },
        ];
        assert_eq!(steps(&begun), [(4, 2, Some(3)), (5, 0, None)]);
        let assembled = [&begun[..], &[Progress::Assembled { number: 4 }]].concat();
        assert_eq!(steps(&assembled), [(5, 0, None)]);
        // Laid out anew after it failed: what was proven before is proven again.
        let again = [planned(4, 0, 2), BEGUN_4, proven(4), planned(4, 0, 2), proven(4), proven(4)];
        assert_eq!(steps(&again), [(4, 2, Some(2))]);
    }

    #[test]
    fn what_is_laid_out_ahead_is_not_proven_before_somebody_begins() {
        assert_eq!(steps(&[planned(4, 1, 2), planned(5, 0, 1), BEGUN_4]), [(4, 0, Some(3))]);
        // A window without anything to prove has no proof to begin.
        assert_eq!(steps(&[planned(4, 0, 0)]), []);
    }

    #[test]
    fn of_no_more_batches_than_can_be_under_way_anything_is_kept() {
        let many: Vec<_> = (1..=20).map(|number| Progress::Begun { number }).collect();
        let kept: Vec<_> = steps(&many).into_iter().map(|(number, ..)| number).collect();
        assert_eq!(kept, (13..=20).collect::<Vec<_>>());
    }

    #[test]
    fn the_open_window_is_the_one_that_was_told_last() {
        let under_way = UnderWay::default();
        assert_eq!(under_way.look().0, None);
        for number in [3, 4] {
            under_way.set_open(OpenWindow { number, since_unix_ms: 9 });
        }
        assert_eq!(under_way.look().0, Some(OpenWindow { number: 4, since_unix_ms: 9 }));
    }
}
