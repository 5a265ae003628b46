//! Points as bytes: coordinates below the modulus, little-endian; infinity is all zeros.

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, PrimeField};

pub(super) const G1_BYTES: usize = 64;
pub(super) const G2_BYTES: usize = 128;

pub(super) fn push_g1(body: &mut Vec<u8>, points: &[G1Affine]) {
    for point in points {
        let (x, y) = point.xy().unwrap_or_default();
        push_coordinates(body, &[x, y]);
    }
}

pub(super) fn push_g2(body: &mut Vec<u8>, points: &[G2Affine]) {
    for point in points {
        let (x, y) = point.xy().unwrap_or_default();
        push_coordinates(body, &[x.c0, x.c1, y.c0, y.c1]);
    }
}

fn push_coordinates(body: &mut Vec<u8>, coordinates: &[Fq]) {
    for limb in coordinates.iter().flat_map(|value| value.into_bigint().0) {
        body.extend(limb.to_le_bytes());
    }
}

pub(super) fn g1(bytes: &[u8; G1_BYTES]) -> Option<G1Affine> {
    if *bytes == [0; G1_BYTES] {
        return Some(G1Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    // Whether it is on the curve is for the body's reader, which may go by a pin instead.
    Some(G1Affine::new_unchecked(coordinate(&words[0])?, coordinate(&words[1])?))
}

pub(super) fn g2(bytes: &[u8; G2_BYTES]) -> Option<G2Affine> {
    if *bytes == [0; G2_BYTES] {
        return Some(G2Affine::zero());
    }
    let (words, _) = bytes.as_chunks::<32>();
    let x = Fq2::new(coordinate(&words[0])?, coordinate(&words[1])?);
    let y = Fq2::new(coordinate(&words[2])?, coordinate(&words[3])?);
    Some(G2Affine::new_unchecked(x, y))
}

fn coordinate(word: &[u8; 32]) -> Option<Fq> {
    let (limbs, _) = word.as_chunks::<8>();
    // Refused and not reduced, so that a key has one file.
    Fq::from_bigint(BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i]))))
}
