//! An audited rollup in small: three batches of one patient, sound or not.
//!
//! Most tests forge their proofs: under a development key anybody can, which is what makes it fast
//! to try what a lying operator could publish. One test proves honestly.

mod chain;
mod core;
mod headers;
mod hostile;
mod openings;
mod proven;
mod receipts;
mod world;
