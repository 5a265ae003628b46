//! The node of the rollup: everything between a gateway's frame and a settled batch, and the demo.
//!
//! ```text
//! ingest -> ledger (admission) -> journal -> [close] -> batch + prove -> store -> settle
//!    ^ receipts: deliver                                                     `-> http
//! ```
//! Reading order: [`window`] has the values that travel, [`stages`] those who pass them on, in
//! their order, [`guard`] who sees that they run, and [`history`] what others remember of the
//! journal; [`folder`] is what stands on disk, [`doors`] what people touch; [`node`] is the one
//! place that knows them all, and [`demo`] plays a day on it. [`forecast`] says what other settings
//! would have made of a day. `sequencer/README.md` follows one
//! reading through.
//!
//! This crate never holds a patient's signing key, never decides consent outside of the native twin
//! of the statements, and acknowledges nothing before it is durable.

// What the tests of the crate share with those in `tests/` names it from outside.
#[cfg(test)]
extern crate self as sequencer;

#[cfg(test)]
#[path = "../client/tests/client/pinned.rs"]
mod pinned;

pub mod clock;
pub mod demo;
pub mod disk;
pub mod doors;
pub mod folder;
pub mod forecast;
pub mod guard;
pub mod history;
pub mod metrics;
pub mod node;
pub mod setting;
pub mod stages;
pub mod window;
