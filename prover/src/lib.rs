//! Groth16 over BN254: keys, engines, export.
//!
//! An assignment made by the circuit goes through an [`Engine`] and comes out as a
//! [`statement::proof::Proof`] that was verified on the way. Keys and proofs have the circom form
//! ([`qap`]), so arkworks, snarkjs, rapidsnark and the contracts all accept them.
//!
//! [`ProvingKey::dev_insecure`](keys::ProvingKey::dev_insecure) makes **development keys: anyone
//! can forge proofs under them**. They are marked by their first point, in their file's name and
//! header, and the key registry refuses them outside development chains.
//!
//! This crate never sees a patient's key, never decides what is proven, and never touches the
//! chain.

#[cfg(target_arch = "x86_64")]
pub mod accelerated;
pub mod arkworks;
pub mod ceremony;
pub mod choice;
pub mod engine;
pub mod export;
pub mod job;
pub mod keys;
pub mod portable;
pub mod priority;
pub mod qap;
#[cfg(target_arch = "x86_64")]
mod tables;

pub use choice::Choice;
pub use engine::{
    Blinding, Engine, ProveError, TABLE_ROWS_MIN, TableError, TableReport, TableTerms,
};
pub use kernel::Missing as MissingFeatures;
pub use keys::{KeyStore, Provenance, ProvingKey, Setup};
pub use portable::PortableEngine;
pub use priority::Priority;

#[cfg(test)]
extern crate self as prover;
#[cfg(test)]
#[path = "../tests/sample.rs"]
mod sample;
