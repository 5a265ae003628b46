//! Points as iden3's binary files hold them: coordinates in Montgomery form (times 2^256),
//! little-endian; infinity is all zeros.

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};
use rayon::prelude::*;

use super::error::CeremonyFileError;

pub(super) const G1_BYTES: usize = 64;
pub(super) const G2_BYTES: usize = 128;

/// All points of `bytes`, each on the curve, which in G1 is in the group: its cofactor is one.
pub(super) fn g1(section: &'static str, bytes: &[u8]) -> Result<Vec<G1Affine>, CeremonyFileError> {
    let (points, rest) = bytes.as_chunks::<G1_BYTES>();
    assert!(rest.is_empty(), "the caller asked for whole points");
    all(section, points, one_g1)
}

/// All points of `bytes`, each on the curve and in the group of order r.
pub(super) fn g2(section: &'static str, bytes: &[u8]) -> Result<Vec<G2Affine>, CeremonyFileError> {
    let (points, rest) = bytes.as_chunks::<G2_BYTES>();
    assert!(rest.is_empty(), "the caller asked for whole points");
    all(section, points, one_g2)
}

fn all<P: Send, const BYTES: usize>(
    section: &'static str,
    points: &[[u8; BYTES]],
    one: fn(&[u8; BYTES]) -> Option<P>,
) -> Result<Vec<P>, CeremonyFileError> {
    let read = |(index, bytes)| one(bytes).ok_or(CeremonyFileError::Point { section, index });
    points.par_iter().enumerate().map(read).collect()
}

pub(super) fn one_g1(bytes: &[u8; G1_BYTES]) -> Option<G1Affine> {
    if *bytes == [0; G1_BYTES] {
        return Some(G1Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    let point = G1Affine::new_unchecked(coordinate(&words[0])?, coordinate(&words[1])?);
    point.is_on_curve().then_some(point)
}

pub(super) fn one_g2(bytes: &[u8; G2_BYTES]) -> Option<G2Affine> {
    if *bytes == [0; G2_BYTES] {
        return Some(G2Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    let x = Fq2::new(coordinate(&words[0])?, coordinate(&words[1])?);
    let y = Fq2::new(coordinate(&words[2])?, coordinate(&words[3])?);
    let point = G2Affine::new_unchecked(x, y);
    // The twist has more points than the group: with one of the others a prover would give away a
    // remainder of its witness.
    let in_group = point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve();
    in_group.then_some(point)
}

fn coordinate(word: &[u8; 32]) -> Option<Fq> {
    let (limbs, _) = word.as_chunks::<8>();
    let raw = BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i])));
    // The limbs are taken as they lie in memory; above the modulus, arithmetic would not hold.
    (raw < Fq::MODULUS).then_some(Fq::new_unchecked(raw))
}
