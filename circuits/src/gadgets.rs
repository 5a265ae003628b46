//! The primitives as gadgets. Each file is the twin of the file of that name in `statement`: same
//! functions, same order of arguments, same values.

pub mod babyjubjub;
pub mod eddsa;
pub mod poseidon;
pub mod tree;

#[cfg(test)]
pub(crate) mod check;
