//! What was given up of a stream because it found no room, or was kept for too long.

use wire::DeviceTime;

/// Why readings were given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GapCause {
    /// The state folder held as much as it may.
    Full,
    /// They were older than what is kept may be.
    Old,
}

impl GapCause {
    /// Its name in files and outputs.
    pub fn name(self) -> &'static str {
        match self {
            GapCause::Full => "full",
            GapCause::Old => "old",
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            GapCause::Full => 1,
            GapCause::Old => 2,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<GapCause> {
        [GapCause::Full, GapCause::Old].into_iter().find(|one| one.number() == number)
    }
}

/// A part of a stream that was never sent and is not kept any more. It stands in the state folder
/// until it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// How many readings.
    pub readings: u64,
    /// Device time of the first of them.
    pub from: DeviceTime,
    /// Device time of the last of them.
    pub until: DeviceTime,
    /// Why.
    pub cause: GapCause,
    /// The frames that are gone.
    pub(crate) frames: Frames,
}

/// Frames of a stream that follow each other, by their numbers in the spool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frames {
    /// The first.
    pub(crate) first: u64,
    /// The last; before the first if there are none.
    pub(crate) last: u64,
}

impl Frames {
    /// How many.
    pub(crate) fn count(self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// Whether one is among them.
    pub(crate) fn contains(self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }
}

impl Gap {
    /// Both in one, if nothing lies between them.
    pub(super) fn joined(&self, next: &Gap) -> Option<Gap> {
        let touches = self.frames.last + 1 == next.frames.first && self.cause == next.cause;
        touches.then(|| self.covering(next))
    }

    /// Both in one, with what lies between them.
    pub(super) fn covering(&self, next: &Gap) -> Gap {
        Gap {
            // Of what a folder holds the sum is far below; of what it says it may be anything.
            readings: self.readings.saturating_add(next.readings),
            from: self.from.min(next.from),
            until: self.until.max(next.until),
            cause: self.cause,
            frames: Frames { first: self.frames.first, last: next.frames.last },
        }
    }
}
