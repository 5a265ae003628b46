//! How much stands in frames.

use wire::Frame;

/// Frames and the readings in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) frames: u64,
    pub(crate) readings: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.frames += other.frames;
        self.readings += other.readings;
    }
}

impl Amount {
    /// One frame.
    pub(crate) fn of(frame: &Frame) -> Amount {
        Amount { frames: 1, readings: u64::from(frame.header().count) }
    }

    pub(super) fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        self.readings += u64::from(frame.header().count);
    }

    pub(super) fn remove(&mut self, frame: &Frame) {
        self.frames -= 1;
        self.readings -= u64::from(frame.header().count);
    }
}
