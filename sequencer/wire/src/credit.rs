//! Credit: how much may be under way on a connection, in bytes and in frames at once.

use std::iter::Sum;
use std::ops::{Add, AddAssign, SubAssign};

use crate::codec::{Reader, Writer};
use crate::{DecodeError, Lane};

/// How much a client may have sent and not yet seen acknowledged or rejected.
///
/// A window, not a running total: each credit replaces the one before. What is under way is counted
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

    /// How much of it a lane may use (rule W.26), so that backfill never holds back live readings,
    /// and neither holds back an alarm: all for control, seven eighths for live, half for backfill.
    pub(crate) fn share(self, lane: Lane) -> Credit {
        let kept_back = match lane {
            Lane::Control => 0,
            Lane::Live => 1,
            Lane::Backfill => 4,
        };
        // Whole eighths are kept back, so that a credit of a few frames is not rounded to none.
        Credit {
            bytes: self.bytes - self.bytes / 8 * u64::from(kept_back),
            frames: self.frames - self.frames / 8 * kept_back,
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

    #[test]
    fn a_lane_leaves_what_a_more_urgent_one_needs() {
        let credit = Credit { bytes: 800, frames: 16 };
        let shares = Lane::ALL.map(|lane| credit.share(lane));
        assert_eq!(shares.map(|share| share.bytes), [800, 700, 400]);
        assert_eq!(shares.map(|share| share.frames), [16, 14, 8]);
        let few = Credit { bytes: 7, frames: 7 };
        assert_eq!(few.share(Lane::Backfill), few, "a few frames are nobody's eighth");
    }
}
