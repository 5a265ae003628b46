//! More patients than were recorded: the same days again, each a little later.

use model::Millis;

use crate::stages::ledger::LedgerConfig;

/// Copies of what arrived begin within so much of each other, milliseconds. Ten minutes spread a
/// ward's round and keep a day's course.
const SPREAD_MS_MAX: u64 = 600_000;
/// And within such a part of what was recorded: of less than two hours, or the copies would hardly
/// be there at the same time.
const SPREAD_PART: u64 = 10;

/// How recorded patients stand for more.
///
/// Each copy is the whole ward once more with other patients, later by a fixed part of ten minutes,
/// or of a tenth of what was recorded where that is less; the last one has as many patients as are
/// left. The parts follow the golden ratio, so that however many copies there are, they lie evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    recorded: u64,
    wanted: u64,
    within_ms: u64,
}

/// One copy of what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// How much later than recorded, milliseconds.
    pub(super) later_ms: u64,
    /// How many of its patients there are.
    pub(super) patients_max: usize,
}

impl Spread {
    /// Most copies. Memory, each: its own records, and the group of the journal that it is at,
    /// 8 MiB at most.
    pub const COPIES_MAX: u64 = 1024;

    /// As recorded.
    pub const RECORDED: Spread = Spread { recorded: 0, wanted: 0, within_ms: 0 };

    /// So many patients in place of those that are recorded in so many milliseconds; `None` if
    /// these are none, or if that needs more than [`Spread::COPIES_MAX`] copies or none.
    pub fn new(recorded: u64, recorded_ms: u64, wanted: u64) -> Option<Spread> {
        let within_ms = (recorded_ms / SPREAD_PART).min(SPREAD_MS_MAX);
        let copies = wanted.checked_div(recorded)? + u64::from(!wanted.is_multiple_of(recorded));
        (1..=Spread::COPIES_MAX).contains(&copies).then_some(Spread { recorded, wanted, within_ms })
    }

    pub(super) fn copies(&self) -> Vec<Copy> {
        if self.recorded == 0 {
            return vec![Copy { later_ms: 0, patients_max: usize::MAX }];
        }
        let copies = self.wanted.div_ceil(self.recorded);
        let copy = |number: u64| {
            // 2^32 over the golden ratio: of all multiples modulo 2^32 none come closer together.
            let part = (number.wrapping_mul(2_654_435_769)) & 0xffff_ffff;
            let left = self.wanted - number * self.recorded;
            Copy {
                later_ms: (part * self.within_ms) >> 32,
                patients_max: left.min(self.recorded) as usize,
            }
        };
        (0..copies).map(copy).collect()
    }
}

impl Copy {
    /// The copy's own first window begins when everybody's does.
    pub(super) fn config(&self, config: &LedgerConfig) -> LedgerConfig {
        let genesis_time = self.recorded(config.genesis_time);
        LedgerConfig { genesis_time, ..config.clone() }
    }

    /// A time of all copies as this one's entries have it.
    pub(super) fn recorded(&self, at: Millis) -> Millis {
        let ms = at.get().saturating_sub(self.later_ms);
        Millis::new(ms).unwrap_or(Millis::UNBOUNDED_PAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_lie_evenly_within_ten_minutes_and_have_all_patients_together() {
        for (recorded, wanted) in [(16, 16), (16, 17), (16, 1), (3, 3_000)] {
            let copies = Spread::new(recorded, 86_400_000, wanted).unwrap().copies();
            let patients: usize = copies.iter().map(|copy| copy.patients_max).sum();
            assert_eq!(patients as u64, wanted);
            assert_eq!(copies[0].later_ms, 0, "the first is what was recorded");
            let mut later: Vec<u64> = copies.iter().map(|copy| copy.later_ms).collect();
            later.sort_unstable();
            assert!(later.iter().all(|ms| *ms < SPREAD_MS_MAX));
            let even = SPREAD_MS_MAX / copies.len() as u64;
            assert!(later.windows(2).all(|pair| pair[1] - pair[0] >= even / 3), "{later:?}");
        }
    }

    #[test]
    fn nobody_stands_for_somebody_and_no_more_copies_are_made_than_memory_has_room_for() {
        assert_eq!(Spread::new(0, 1, 10), None);
        assert_eq!(Spread::new(10, 1, 0), None);
        assert!(Spread::new(10, 1, 10 * Spread::COPIES_MAX).is_some());
        assert_eq!(Spread::new(10, 1, 10 * Spread::COPIES_MAX + 1), None);
    }

    #[test]
    fn copies_of_little_are_there_at_the_same_time() {
        let copies = Spread::new(1, 50_000, 9).unwrap().copies();
        assert!(copies.iter().all(|copy| copy.later_ms < 5_000), "{copies:?}");
    }
}
