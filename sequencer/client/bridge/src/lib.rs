//! What foreign systems name and measure, as readings of this system.
//!
//! Pure: a [`Map`] and parts of a message go in, a [`Measurement`] or a [`Refusal`] comes out. HL7
//! v2, FHIR and MQTT each take their own messages apart, and ask here who is meant, what was
//! measured, and what number that is.
#![doc = include_str!("../README.md")]

pub use charset::{Charset, is_foreign};
pub use map::{Foreign, Map, Missing, Unknown};
pub use measure::{Measure, Said, Samples, Unit};
pub use measurement::{Coding, Measurement};
pub use read::{MAP_BYTES_MAX, MAP_ROWS_MAX, MapError};
pub use readings::Readings;
pub use refusal::{Cause, Fate, Refusal};
pub use toml_fault::TomlFault;

mod charset;
pub mod codes;
mod map;
mod measure;
mod measurement;
mod read;
mod readings;
mod refusal;
#[cfg(test)]
mod tests;
mod toml_fault;
pub mod units;
