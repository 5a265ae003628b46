//! What people and devices write: times in a zone, numbers in a unit, and files of readings.
//!
//! Pure: text and bytes go in, readings come out, and no clock, file or network is touched. Nothing
//! is guessed that would make a reading another one: what a file does not say (zone, unit, scale,
//! what an odd value stands for) is asked for by the name of the option that says it.
#![doc = include_str!("../README.md")]

pub use channel::{Channel, NoStart, Start};
pub use decimal::{Decimal, DecimalMark};
pub use files::{FILE_BYTES_MAX, Files, Folder};
pub use format::{DETECT_BYTES, Format, UnknownFormat};
pub use period::Period;
pub use when::When;
pub use zone::{Zone, ZoneError};

mod channel;
pub mod decimal;
pub mod edf;
pub mod files;
pub mod fit;
mod format;
#[cfg(test)]
mod mangled;
mod names;
mod period;
pub mod recording;
pub mod suspicion;
pub mod text;
pub mod unit;
pub mod value;
pub mod wfdb;
mod when;
mod zone;
