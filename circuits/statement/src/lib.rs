//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof
//! verification.
//!
//! Wallets, gateways, auditors and the node read and check here what the circuits prove, without a
//! line of R1CS of our own. Every rule has its number in `circuits/SPEC.md`. [`c1`] and [`c2`]
//! check operations and claims natively, [`inputs`] lists the public inputs, [`batch`] reads and
//! writes batch files and [`proof`] verifies.
//!
//! Nothing here opens a file, reads a clock or draws randomness.

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
