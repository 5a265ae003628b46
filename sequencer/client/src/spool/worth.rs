//! What is given up first, and last.

use model::{Category, Millis, Signal};

/// A segment that may be given up, and what it is worth: alarms are given up last, and before them
/// the readings of a signal that has few.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spare {
    pub(crate) worth: Worth,
    /// When the last of its frames was kept.
    pub(crate) at: Millis,
    /// Its first number.
    pub(crate) first: u64,
}

/// What is given up first, and last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Worth {
    /// Of a signal with many readings a second.
    Waveform,
    /// Of any other signal.
    Vital,
    /// With a reading that was under an alarm.
    Alarm,
}

impl Worth {
    /// Of readings of a signal without an alarm.
    pub(super) fn of(signal: Option<&Signal>) -> Worth {
        match signal.map(|signal| signal.category) {
            Some(Category::Ecg | Category::Ppg) => Worth::Waveform,
            _ => Worth::Vital,
        }
    }
}
