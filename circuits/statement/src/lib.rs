//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof verification.

pub mod proof;

pub mod babyjubjub;
pub mod batch;
pub mod domain;
pub mod eddsa;
pub mod field;
pub mod poseidon;
pub mod tree;

#[cfg(test)]
mod vectors;
