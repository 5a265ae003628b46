//! HL7 v2 as monitors send it: frames of MLLP, ORU^R01 as measurements, acknowledgements.
//!
//! Pure: bytes go in, and a [`Report`] of measurements or the [`Fault`]s that an answer names come
//! out. No socket, clock or randomness is touched; the shell is `vitals mllp`.
#![doc = include_str!("../README.md")]

pub use answer::{Answer, FAULTS_MAX, Outcome, Own, answers};
pub use fault::{Fault, Place};
pub use header::Header;
pub use mllp::{Decoder, Framed, KEPT_BYTES, STRAY_BYTES_MAX, frame};
pub use report::{READINGS_MAX, Report, read};
pub use segment::{Field, SEGMENTS_MAX, Segment, Separators, segments};
pub use time::read_time;

mod answer;
mod asked;
mod fault;
mod header;
mod mllp;
mod report;
mod segment;
mod time;
mod value;
mod waveform;

#[cfg(test)]
mod tests;
