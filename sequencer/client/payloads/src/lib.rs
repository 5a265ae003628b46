//! What devices publish by MQTT, as measurements: topics, JSON and Open mHealth.
//!
//! Pure: a topic and its payload go in, [`Taken`] or a [`bridge::Refusal`] comes out. No socket,
//! clock or file is touched; the shell is `vitals mqtt`.
#![doc = include_str!("../README.md")]

pub use json::{STEPS_MAX, TEXT_BYTES_MAX};
pub use named::Published;
pub use omh::{Field, OMH, Qualifier, SCHEMAS, Schema};
pub use pattern::TOPIC_BYTES_MAX;
pub use read::{ROWS_MAX, TOPICS_BYTES_MAX, TopicsError, VALUES_MAX};
pub use taken::{IDENTITY_BYTES_MAX, LEFT_OUT_MAX, READINGS_MAX, Taken};
pub use topics::Topics;

mod clock;
mod fields;
mod json;
mod named;
mod omh;
mod pattern;
mod read;
mod taken;
#[cfg(test)]
mod tests;
mod topics;
