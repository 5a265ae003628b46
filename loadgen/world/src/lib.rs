//! The world that tests, the demo and the load generator play: one seeded cast of patients,
//! practitioners, gateways and devices, and real recordings for the devices to send.
//!
//! Everything is a function of a seed; nothing reads a clock or a file at run time (the recordings
//! are compiled in, 0.6 MB). It depends on `model` only and knows no keys: a patient or
//! practitioner has 32 secret bytes from which whoever signs derives a key.
//!
//! ```
//! let world = world::World::new(7, world::Size::default());
//! assert_eq!(world.patients.len(), 16);
//! let ecg = world::recording("ecg").expect("shipped");
//! assert_eq!(ecg.samples.len(), 108_000);
//! ```

mod cast;
mod recording;

pub use cast::{Device, Gateway, Patient, Practitioner, Size, World};
pub use recording::{Recording, RecordingError, recording, recordings};
