//! What is wrong with a FIT file.

use thiserror::Error;

use crate::unit::UnknownUnit;

/// A file that is not read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FitError {
    /// No header of FIT.
    #[error("byte {at}: expected a header of FIT with the length of what follows")]
    Header {
        /// Where.
        at: usize,
    },
    /// The file ends before its header says so.
    #[error("expected {expected} bytes, as the header says, found {found}: it was cut off")]
    Cut {
        /// Bytes that the header speaks of.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error("expected the checksum at the end of the file, found another: it is damaged")]
    Damaged,
    /// A message without its definition, or beyond the end.
    #[error("byte {at}: expected a message as its definition says")]
    Message {
        /// Where.
        at: usize,
    },
    /// A value without a time.
    #[error("expected a time in or before each message with a value")]
    NoTime,
    /// The clock was set while the device recorded.
    #[error("expected times of one clock, found those of the device's own before those of UTC")]
    TwoClocks,
    /// Nothing that is measured of a patient.
    #[error("expected heart rate, weight or another signal, found {held}")]
    NoSignal {
        /// Messages by name, with their number.
        held: String,
    },
    /// The channel's unit is none of the signal's.
    #[error("{0}: say which with --unit")]
    Unit(#[from] UnknownUnit),
}
