//! The native twin: hashes, signatures, encodings, consent evaluation, batch files and proof
//! verification.
//!
//! Wallets, gateways, auditors and the node read and check here what the circuits prove, without a
//! line of R1CS of our own. Every rule has its number in `circuits/SPEC.md`.
//!
//! Nothing here opens a file, reads a clock or draws randomness.
//!
//! # Reading order
//! 1. [`c2::covers`]: whether a record covers a claim, as people understand it. [`c1::apply`]: what
//!    an operation does to a record. These two are what the system is about.
//! 2. [`record`], [`operation`], [`claim`]: what is hashed of each; [`domain`] lists the hashes'
//!    roles, [`scope`] what ties them to one chain and contract.
//! 3. [`c1::check`], [`c2::check`]: the whole statement on a chunk, rule by rule; [`inputs`]: what
//!    the contract knows of it. [`tree`] opens records under the consent root.
//! 4. [`batch`]: the files of a batch; [`journal`]: the hash over journal groups; [`fingerprint`]:
//!    which deployment all of it is of; [`proof`]:
//!    verification.
//! 5. [`poseidon`], [`eddsa`], [`babyjubjub`], [`field`]: the primitives, equal to circomlib's.

pub mod babyjubjub;
pub mod batch;
pub mod c1;
pub mod c2;
pub mod claim;
pub mod domain;
pub mod eddsa;
pub mod field;
pub mod fingerprint;
pub mod inputs;
pub mod journal;
pub mod operation;
pub mod poseidon;
pub mod proof;
pub mod record;
pub mod scope;
pub mod tree;

#[cfg(test)]
// The tests of other crates share a file with those of this one, which calls it by its name.
extern crate self as statement;
#[cfg(test)]
mod vectors;
