//! The prover against ark-groth16, against damage and against wrong assignments.

mod ceremony;
mod cli;
mod enrolment;
mod jobs;
mod keys;
mod proofs;
mod sample;
mod tables;
