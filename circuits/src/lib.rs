//! R1CS of the consent statements C1 and C2.
//!
//! [`c1`] says that the consent root moved by authorised operations alone, [`c2`] that every claim
//! of a chunk was covered by its patient's record or is counted as excluded. The rules and their
//! numbers stand in `SPEC.md`; each file is the twin of the file of that name in `statement`, and
//! tests compare the two. [`shapes`] says how much one proof holds; nothing else knows capacities.
//!
//! The crate knows no keys and no proofs: it yields matrices and assignments.

pub mod builder;
pub mod c1;
pub mod c2;
pub mod claim;
pub mod gadgets;
pub mod operation;
pub mod record;
pub mod shapes;
