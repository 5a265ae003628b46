//! Eight-way arithmetic over BN254 with AVX-512 IFMA: what the accelerated engine is made of.
//!
//! The one crate of this repository with `unsafe` code: instructions are wrapped in `lanes`, the
//! advice to use huge pages in `pages`; elsewhere `unsafe` calls a pass whose processor features
//! the token vouches for, and nothing else. Its contract:
//!
//! * **CPU features.** Every wrapper is a method of [`Ifma`], a token of no size that only
//!   [`Ifma::detect`] makes, after it has asked the processor for each feature of [`FEATURES`].
//!   Whoever holds one runs on such a processor.
//! * **Memory.** Vectors are read from and written to references of the right size alone, and
//!   every index is checked. Alignment is asked of no address; what is aligned to a cache
//!   line is so for speed.
//! * **Value ranges.** Numbers are five limbs of 52 bits. How many times the modulus a number may
//!   reach is part of its type (`field::Below`), and an operation that could overflow does not
//!   compile.
//!
//! It is variable in time, as the whole prover is: a prover is not run beside strangers.
//!
//! Layers, each tested against arkworks: `field` (eight numbers at once), `points` (points in
//! memory), `addition` (many affine additions with one inversion), [`multiexp`] (buckets, digits,
//! tables). Between their parts they give way (`turns`).

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

#[cfg(target_arch = "x86_64")]
mod addition;
#[cfg(target_arch = "x86_64")]
mod buckets;
mod cpu;
#[cfg(target_arch = "x86_64")]
mod digits;
#[cfg(target_arch = "x86_64")]
mod field;
#[cfg(target_arch = "x86_64")]
mod inversion;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
pub mod multiexp;
#[cfg(target_arch = "x86_64")]
mod pages;
#[cfg(target_arch = "x86_64")]
mod points;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
pub mod transform;
mod turns;

pub use cpu::{FEATURES, Ifma, Missing};
pub use turns::{give_way, gives_way, set_gives_way};
