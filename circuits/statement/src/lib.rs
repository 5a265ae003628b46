//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof
//! verification.

pub mod proof;

pub mod babyjubjub;
pub mod batch;
pub mod c1;
pub mod c2;
pub mod claim;
pub mod domain;
pub mod eddsa;
pub mod field;
pub mod inputs;
pub mod journal;
pub mod operation;
pub mod poseidon;
pub mod record;
pub mod scope;
pub mod tree;

#[cfg(test)]
mod vectors;
