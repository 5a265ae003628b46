//! An audited rollup in small: three batches of one patient, sound or not.
//!
//! Most tests forge their proofs: under a development key anybody can, which is what makes it fast
//! to try what a lying operator could publish. One test proves honestly.

mod accounts;
mod bundles;
mod chain;
mod core;
mod extracts;
mod faults;
mod folders;
mod headers;
mod hostile;
mod openings;
mod proven;
mod proxy;
mod receipts;
mod resume;
#[allow(dead_code, reason = "each crate's tests need a part of it")]
#[path = "../../../circuits/statement/src/batch/small.rs"]
mod small;
mod study;
mod tampers;
mod tls;
mod world;
