//! What a device's or gateway's own clock says.

use std::fmt;

use model::Millis;

use crate::DecodeError;

/// A time as a device or gateway clock gives it: microseconds since 1900-01-01T00:00:00Z.
///
/// It is never rewritten on the way. Consent is judged in [`Millis`]; the conversion floors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceTime(u64);

impl DeviceTime {
    /// First value that is too large: 2^44 milliseconds.
    pub const LIMIT_MICROS: u64 = (1 << Millis::BITS) * 1000;

    /// From microseconds since 1900.
    ///
    /// # Errors
    /// [`DecodeError::Field`] from [`Self::LIMIT_MICROS`] on.
    #[inline]
    pub fn from_micros(micros: u64) -> Result<DeviceTime, DecodeError> {
        if micros < DeviceTime::LIMIT_MICROS {
            return Ok(DeviceTime(micros));
        }
        Err(DecodeError::field("device time", "expected microseconds since 1900 below 2^44 ms"))
    }

    /// The first microsecond of a millisecond.
    pub const fn from_millis(at: Millis) -> DeviceTime {
        DeviceTime(at.get() * 1000)
    }

    /// Microseconds since 1900.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The millisecond that holds this time.
    pub fn millis(self) -> Millis {
        // Below LIMIT_MICROS by construction, so the fallback is unreachable.
        Millis::new(self.0 / 1000).unwrap_or(Millis::UNBOUNDED_FUTURE)
    }
}

impl fmt::Debug for DeviceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}
