//! R1CS of the consent statements C1 and C2.
//!
//! [`c1`] says that the consent root moved by authorised operations alone, [`c2`] that every claim
//! of a chunk was covered by its patient's record or is counted as excluded. The rules and their
//! numbers stand in `SPEC.md`; each file is the twin of the file of that name in `statement`, and
//! tests compare the two. [`shapes`] says how much one proof holds; nothing else knows capacities.
//!
//! The crate knows no keys and no proofs: it yields matrices and assignments.
//!
//! # Reading order
//! 1. [`builder`]: numbers, rows, and the rule that owns each.
//! 2. [`c2`] from [`c2::circuit`] down (order, slot, deny, claim), then [`c1`]; beside each, its
//!    twin in `statement`. [`record`], [`claim`] and [`operation`] are the hashes that both use.
//! 3. [`gadgets`]: Poseidon, the curve, signatures and the record tree.
//! 4. [`shapes`]: the sizes that have keys, and what `pins/shapes.json` pins.

pub mod builder;
pub mod c1;
pub mod c2;
pub mod claim;
pub mod gadgets;
pub mod operation;
pub mod record;
pub mod shapes;
