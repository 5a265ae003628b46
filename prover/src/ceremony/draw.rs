//! Numbers and points that follow from a hash, drawn as ffjavascript draws them: the points that a
//! contribution is checked against, and all of a beacon.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, Field, Fp, MontBackend, MontConfig, PrimeField};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of numbers.
pub(super) struct Draw(ChaCha20Rng);

impl Draw {
    /// Seeded by the first 32 bytes of a hash.
    pub(super) fn seeded(hash: &[u8]) -> Self {
        let (words, _) = hash[..32].as_chunks::<4>();
        // Big-endian words there, and the cipher takes little-endian ones.
        let mut seed = [0; 32];
        for (slot, word) in seed.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&u32::from_be_bytes(*word).to_le_bytes());
        }
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// A number of the scalar field.
    pub(super) fn scalar(&mut self) -> Fr {
        self.element()
    }

    /// A point of G1.
    pub(super) fn g1(&mut self) -> G1Affine {
        self.point(Self::element::<_>, |y: &Fq| is_upper(y))
    }

    /// A point of G2.
    pub(super) fn g2(&mut self) -> G2Affine {
        let point = self.point(
            |draw| Fq2::new(draw.element(), draw.element()),
            // The imaginary part decides, unless there is none.
            |y: &Fq2| is_upper(if y.c1 == Fq::ZERO { &y.c0 } else { &y.c1 }),
        );
        // By the whole cofactor: arkworks clears it by a shorter way, to another point.
        let cofactor = <ark_bn254::g2::Config as ark_ec::CurveConfig>::COFACTOR;
        point.mul_bigint(cofactor).into_affine()
    }

    /// An x with a point on it, and the y that the next number says.
    fn point<P: SWCurveConfig>(
        &mut self,
        mut coordinate: impl FnMut(&mut Self) -> P::BaseField,
        is_upper: impl Fn(&P::BaseField) -> bool,
    ) -> Affine<P> {
        loop {
            let x = coordinate(self);
            let upper = self.0.next_u32() & 1 == 1;
            let square = x.square() * x + P::COEFF_B;
            if let Some(y) = square.sqrt() {
                let y = if is_upper(&y) == upper { y } else { -y };
                return Affine::new_unchecked(x, y);
            }
        }
    }

    /// Four numbers of 64 bits, cut to the modulus' length, until they are below it. They are the
    /// limbs in memory: no step to Montgomery form.
    fn element<T: MontConfig<4>>(&mut self) -> Fp<MontBackend<T, 4>, 4> {
        let top = u64::MAX >> (256 - Fp::<MontBackend<T, 4>, 4>::MODULUS_BIT_SIZE);
        loop {
            let mut limbs = std::array::from_fn(|_| {
                let (high, low) = (self.0.next_u32(), self.0.next_u32());
                u64::from(high) << 32 | u64::from(low)
            });
            limbs[3] &= top;
            let raw = BigInt::new(limbs);
            if raw < Fp::<MontBackend<T, 4>, 4>::MODULUS {
                return Fp::new_unchecked(raw);
            }
        }
    }
}

/// Whether the number is in the upper half of the field.
fn is_upper(value: &Fq) -> bool {
    value.into_bigint() > Fq::MODULUS_MINUS_ONE_DIV_TWO
}
