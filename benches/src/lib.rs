//! What the benches share: honest chunks for every shape, what a load came to, and a line about the
//! machine.
//!
//! Benches print; they never assert a time. What is compared in CI is counted, not timed.

pub mod chunks;
mod machine;
pub mod pace;

pub use machine::{cpu_time, machine};
