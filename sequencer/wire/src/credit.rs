//! Credit: how much may be under way on a connection, in bytes and in frames at once.

use std::iter::Sum;
use std::ops::{Add, AddAssign, SubAssign};

use crate::codec::{Reader, Writer};
use crate::{DecodeError, Lane};

/// How much a client may have sent and not yet seen acknowledged or rejected.
///
/// A budget, not a running total: each credit replaces the one before. What is under way is counted
/// in the same two units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Credit {
    /// Bytes of frames, headers included.
    pub bytes: u64,
    /// Frames.
    pub frames: u32,
}

impl Credit {
    /// What one frame of so many bytes takes.
    pub fn of_frame(bytes: usize) -> Credit {
        Credit { bytes: bytes as u64, frames: 1 }
    }

    /// Whether this much is within `limit`, in bytes and in frames.
    pub fn fits(self, limit: Credit) -> bool {
        self.bytes <= limit.bytes && self.frames <= limit.frames
    }

    /// This much, but in neither unit more than `limit`.
    pub fn at_most(self, limit: Credit) -> Credit {
        Credit { bytes: self.bytes.min(limit.bytes), frames: self.frames.min(limit.frames) }
    }

    /// Without so many eighths of it. Whole ones are taken off, so that a credit of a few frames is
    /// not rounded to none.
    pub fn without_eighths(self, eighths: u32) -> Credit {
        self.without(self.eighths(eighths))
    }

    fn eighths(self, eighths: u32) -> Credit {
        Credit { bytes: self.bytes / 8 * u64::from(eighths), frames: self.frames / 8 * eighths }
    }

    /// What is left without so much; nothing if that is more.
    fn without(self, kept: Credit) -> Credit {
        Credit {
            bytes: self.bytes.saturating_sub(kept.bytes),
            frames: self.frames.saturating_sub(kept.frames),
        }
    }

    pub(crate) fn write(self, to: &mut Writer) {
        to.u64(self.bytes);
        to.u32(self.frames);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Credit, DecodeError> {
        Ok(Credit { bytes: from.u64()?, frames: from.u32()? })
    }
}

/// What is under way on a connection, by lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnderWay([Credit; 3]);

impl UnderWay {
    /// On one lane.
    pub fn on(self, lane: Lane) -> Credit {
        self.0[lane as usize]
    }

    /// On all of them.
    pub fn sum(self) -> Credit {
        self.0.into_iter().sum()
    }

    /// Counts so much more on a lane.
    pub fn add(&mut self, lane: Lane, more: Credit) {
        self.0[lane as usize] += more;
    }

    /// Counts so much off on a lane.
    ///
    /// # Panics
    /// If more is counted off than was counted.
    pub fn take(&mut self, lane: Lane, less: Credit) {
        self.0[lane as usize] -= less;
    }

    /// Whether a frame may go on a lane within a credit (rules W.26, W.85). An eighth of it is for
    /// alarms alone, and another one for backfill as long as any of its streams is open: so neither
    /// backfill nor live readings hold the other up for ever, and both together no alarm.
    pub(crate) fn admits(self, lane: Lane, frame: Credit, budget: Budget) -> bool {
        let Budget { credit, backfills } = budget;
        let (before, own) = (self.sum(), self.on(lane));
        // One larger than its lane's share goes when nothing else is under way: it could never go
        // otherwise.
        if before.frames == 0 {
            return frame.fits(credit);
        }
        let (after, eighth) = (before + frame, credit.eighths(1));
        let but_alarms = credit.without_eighths(1);
        match lane {
            Lane::Control => after.fits(credit),
            Lane::Live => {
                let waiting = if backfills { eighth } else { Credit::default() };
                // What backfill has of its eighth already is in the sum.
                let kept = waiting.without(self.on(Lane::Backfill));
                (after + kept).fits(but_alarms)
            }
            Lane::Backfill => {
                after.fits(credit.without_eighths(4))
                    || (own + frame).fits(eighth) && after.fits(but_alarms)
            }
        }
    }
}

/// A credit and who shares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) credit: Credit,
    /// Whether a stream of backfill is open.
    pub(crate) backfills: bool,
}

impl Add for Credit {
    type Output = Credit;

    fn add(self, more: Credit) -> Credit {
        Credit { bytes: self.bytes + more.bytes, frames: self.frames + more.frames }
    }
}

impl AddAssign for Credit {
    fn add_assign(&mut self, more: Credit) {
        *self = *self + more;
    }
}

/// # Panics
/// If more is taken back than was counted: then frames are under way that nobody counts.
impl SubAssign for Credit {
    fn sub_assign(&mut self, less: Credit) {
        self.bytes -= less.bytes;
        self.frames -= less.frames;
    }
}

impl Sum for Credit {
    fn sum<I: Iterator<Item = Credit>>(parts: I) -> Credit {
        parts.fold(Credit::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_taken_back_leaves_what_was() {
        let before = Credit { bytes: 100, frames: 3 };
        let frames = [40, 60].map(Credit::of_frame);
        let mut counted = before;
        counted += frames.into_iter().sum();
        assert_eq!(counted, Credit { bytes: 200, frames: 5 });
        frames.into_iter().for_each(|frame| counted -= frame);
        assert_eq!(counted, before);
    }

    #[test]
    fn more_than_one_of_both_limits_does_not_fit() {
        let limit = Credit { bytes: 100, frames: 3 };
        for (bytes, frames, fits) in [(100, 3, true), (101, 1, false), (1, 4, false)] {
            assert_eq!(Credit { bytes, frames }.fits(limit), fits, "{bytes} bytes, {frames}");
        }
        assert_eq!(Credit { bytes: 101, frames: 2 }.at_most(limit), Credit { frames: 2, ..limit });
    }

    fn frames(frames: u32) -> Credit {
        Credit { bytes: 100 * u64::from(frames), frames }
    }

    /// How many frames a lane sends, with so many under way on each.
    fn sends(lane: Lane, mut under_way: UnderWay, backfills: bool) -> u32 {
        let budget = Budget { credit: frames(16), backfills };
        let before = under_way.on(lane).frames;
        while under_way.admits(lane, frames(1), budget) {
            under_way.add(lane, frames(1));
        }
        under_way.on(lane).frames - before
    }

    fn under_way(of_lanes: [u32; 3]) -> UnderWay {
        UnderWay(of_lanes.map(frames))
    }

    #[test]
    fn a_lane_leaves_what_a_more_urgent_one_needs() {
        let alone = Lane::ALL.map(|lane| sends(lane, UnderWay::default(), false));
        assert_eq!(alone, [16, 14, 8]);
        let beside_backfill = sends(Lane::Live, under_way([0, 0, 8]), true);
        assert_eq!(beside_backfill, 6, "backfill has more than its eighth already");
        assert_eq!(sends(Lane::Control, under_way([0, 6, 8]), true), 2, "alarms have an eighth");
    }

    #[test]
    fn live_readings_leave_an_eighth_to_backfill_that_may_come() {
        let live = sends(Lane::Live, UnderWay::default(), true);
        assert_eq!(live, 12);
        assert_eq!(sends(Lane::Backfill, under_way([0, live, 0]), true), 2);
        assert_eq!(sends(Lane::Backfill, under_way([2, live, 0]), true), 0, "but no alarm's");
    }

    #[test]
    fn a_credit_of_a_few_frames_is_nobodys_eighth() {
        let (credit, frame) = (Credit { bytes: 0, frames: 7 }, Credit { bytes: 0, frames: 1 });
        let mut counted = UnderWay::default();
        while counted.admits(Lane::Backfill, frame, Budget { credit, backfills: true }) {
            counted.add(Lane::Backfill, frame);
        }
        assert_eq!(counted.sum().frames, 7);
    }
}
