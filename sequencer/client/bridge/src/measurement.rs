//! What comes out: one reading of one device, and the codes that said of what.

use std::fmt;

use model::calendar::Instant;
use model::{DeviceId, PatientIndex, Signal};

/// A code of a code system, as a message has it. It is no patient's: errors may hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coding<'a> {
    /// `LN`, `MDC`, `http://loinc.org`, a system of one's own, or empty where none is said.
    pub system: &'a str,
    /// The code itself.
    pub code: &'a str,
}

/// One reading, with everything that this system has to know of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Measurement {
    /// The registered device.
    pub device: DeviceId,
    /// Of whom.
    pub patient: PatientIndex,
    /// Of what.
    pub signal: &'static Signal,
    /// When.
    pub at: Instant,
    /// In the signal's steps; `None` says that the sensor gave none.
    pub value: Option<i32>,
}

/// Hides whose it is and what was measured.
impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Measurement {{ signal: {}, off: {} }}", self.signal.name, self.value.is_none())
    }
}
