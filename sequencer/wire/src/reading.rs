//! One reading, its quality, and what may be wrong with a frame of them.

use std::fmt;

use model::{RejectCode, Signal};
use thiserror::Error;

use crate::{DecodeError, DeviceTime};

/// The value field of a row without a value: no consumer can take it for a reading.
pub(crate) const NO_VALUE: i32 = i32::MIN;

/// Flags of one reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Quality(pub(crate) u16);

impl Quality {
    /// Nothing is known against the reading.
    pub const GOOD: Quality = Quality(0);
    /// No sensor, no value. Never sent as a zero.
    pub const SENSOR_OFF: Quality = Quality(1);
    /// The device doubts the value.
    pub const QUESTIONABLE: Quality = Quality(2);
    /// The device was calibrating.
    pub const CALIBRATING: Quality = Quality(4);
    /// The value was under an active alarm.
    pub const ALARM: Quality = Quality(8);

    /// Every bit that means something.
    pub(crate) const KNOWN: u16 = 15;

    /// Both.
    pub const fn with(self, other: Quality) -> Quality {
        Quality(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Quality) -> bool {
        other.0 & !self.0 == 0
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// One sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When the device says it measured.
    pub at: DeviceTime,
    /// The integer in the signal's unit and scale; `None` while the sensor is off.
    pub value: Option<i32>,
    /// Flags besides sensor-off, which `value` says.
    pub quality: Quality,
}

impl Reading {
    /// A good reading.
    pub const fn new(at: DeviceTime, value: i32) -> Reading {
        Reading { at, value: Some(value), quality: Quality::GOOD }
    }

    /// The sensor was off.
    pub const fn sensor_off(at: DeviceTime) -> Reading {
        Reading { at, value: None, quality: Quality::SENSOR_OFF }
    }
}

/// Hides the value.
impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading {{ off: {} }}", self.value.is_none())
    }
}

/// A frame that is not accepted. A reading's value is a patient's, so no error holds it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Header or body do not decode.
    #[error("the bytes of the frame do not decode")]
    Decode(#[from] DecodeError),
    /// A reserved codec.
    #[error("expected codec 0 (raw), 2 (columnar) or 3 (grid), found codec {found:#x}")]
    Codec {
        /// Number found.
        found: u8,
    },
    /// The body is encrypted under a key of its gateway's: nobody knows its readings without it.
    #[error("expected a body in the clear, found one that its gateway encrypted: its key opens it")]
    Encrypted,
    /// Readings that a codec cannot hold, and that was asked for.
    #[error("expected {expected} for the codec {codec}, found others: ask for another or none")]
    Unfit {
        /// Name of the codec.
        codec: &'static str,
        /// What it holds.
        expected: &'static str,
    },
    /// A reading outside its signal's range.
    #[error("expected reading {index} within {min} to {max}, found a value outside")]
    Range {
        /// Index in the frame.
        index: usize,
        /// Smallest plausible value.
        min: i32,
        /// Largest plausible value.
        max: i32,
    },
    /// Times go back, or the first is not the header's.
    #[error("expected reading {index} no earlier than the one before it, and the first at t0")]
    Order {
        /// Index in the frame.
        index: usize,
    },
}

impl FrameError {
    /// What the peer is told.
    pub fn code(&self) -> RejectCode {
        match self {
            FrameError::Decode(error) => error.code(),
            FrameError::Codec { .. } | FrameError::Encrypted => RejectCode::Version,
            FrameError::Unfit { .. } | FrameError::Range { .. } | FrameError::Order { .. } => {
                RejectCode::Reading
            }
        }
    }
}

/// A value within its signal's range.
pub(crate) fn within(signal: &Signal, index: usize, value: i32) -> Result<(), FrameError> {
    let Signal { min, max, .. } = *signal;
    if (min..=max).contains(&value) { Ok(()) } else { Err(FrameError::Range { index, min, max }) }
}

/// A reading without a value while the sensor is off, and only then (W.11): an absent value must
/// not pass for a reading, nor a reading be lost as absent.
pub(crate) fn check_absence(quality: Quality, is_absent: bool) -> Result<(), DecodeError> {
    if quality.contains(Quality::SENSOR_OFF) == is_absent {
        return Ok(());
    }
    Err(DecodeError::field("reading", "expected no value if and only if the sensor is off"))
}
