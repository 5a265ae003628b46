//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof verification.

pub mod domain;
pub mod field;
pub mod poseidon;

#[cfg(test)]
mod vectors;
