//! Many multiples of one generator, for setup.
//!
//! A scalar is written in signed digits of c bits. A table holds `d * 2^(c * i) * G` for every
//! value d of every digit i, so that a multiple is one addition a digit and no doubling. The
//! additions of many scalars run side by side in affine coordinates and share one inversion: 6
//! multiplications an addition instead of the 11 of ark-ec's `BatchMulPreprocessing`, which also
//! needs a last pass to affine form.

use ark_bn254::Fr;
use ark_ec::AffineRepr;
use ark_ec::CurveGroup;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ff::{AdditiveGroup, Field, PrimeField};
use rayon::prelude::*;

/// Scalars that share an inversion: enough to make it free, few enough to stay in the cache.
const SIDE_BY_SIDE: usize = 1024;

/// The table of one generator.
pub(super) struct Multiples<P: SWCurveConfig<ScalarField = Fr>> {
    digit_bits: usize,
    /// For each digit, the lowest first, its multiples by 1, 2, .. 2^(c - 1).
    digits: Vec<Vec<Affine<P>>>,
}

impl<P: SWCurveConfig<ScalarField = Fr>> Multiples<P> {
    /// A table for about `count` multiples. At most 20 digits of 4096 points: 5 MiB in G1, 10 in
    /// G2.
    pub(super) fn new(count: usize) -> Self {
        // A bit more doubles the table and saves one digit in ten: it pays for many multiples only.
        // At 13 bits one digit's table is 256 KiB in G1, which a core's cache still holds.
        let digit_bits = (count.max(1).ilog2() as usize).saturating_sub(4).clamp(3, 13);
        // One bit more than the modulus has, for the carry of the signed digits.
        let digits = (Fr::MODULUS_BIT_SIZE as usize + 1).div_ceil(digit_bits);
        let mut base = Projective::from(Affine::<P>::generator());
        let bases: Vec<Affine<P>> = (0..digits)
            .map(|_| {
                let this = base.into_affine();
                (0..digit_bits).for_each(|_| _ = base.double_in_place());
                this
            })
            .collect();
        // Signed digits need half a table: the other half are the negatives, which are free.
        let half = 1 << (digit_bits - 1);
        let digits = bases.into_par_iter().map(|base| multiples_up_to(half, base)).collect();
        Self { digit_bits, digits }
    }

    /// The multiples by `scalars`, in their order.
    pub(super) fn of(&self, scalars: &[Fr]) -> Vec<Affine<P>> {
        let mut points = vec![Affine::zero(); scalars.len()];
        points
            .par_chunks_mut(SIDE_BY_SIDE)
            .zip(scalars.par_chunks(SIDE_BY_SIDE))
            .for_each(|(points, scalars)| self.fill(points, scalars));
        points
    }

    fn fill(&self, points: &mut [Affine<P>], scalars: &[Fr]) {
        let mut rest: Vec<([u64; 4], u64)> =
            scalars.iter().map(|scalar| (scalar.into_bigint().0, 0)).collect();
        let mut addends = Vec::with_capacity(points.len());
        let mut adder = Adder::default();
        for (place, table) in self.digits.iter().enumerate() {
            let bit = place * self.digit_bits;
            addends.clear();
            addends.extend(rest.iter_mut().map(|(limbs, carry)| {
                let digit = bits(limbs, bit, self.digit_bits) + *carry;
                let half = 1 << (self.digit_bits - 1);
                // Above half, the digit is written as one of the next place less the difference.
                *carry = u64::from(digit > half);
                match digit {
                    0 => Affine::zero(),
                    _ if digit > half => match 2 * half - digit {
                        // A full digit by a carry: it is one of the next place and nothing here.
                        0 => Affine::zero(),
                        negative => -table[negative as usize - 1],
                    },
                    _ => table[digit as usize - 1],
                }
            }));
            adder.add(points, &addends);
        }
    }
}

/// The multiples of `base` by 1, 2, .. `count`, a power of two.
fn multiples_up_to<P: SWCurveConfig>(count: usize, base: Affine<P>) -> Vec<Affine<P>> {
    let mut multiples = vec![base];
    let mut adder = Adder::default();
    while multiples.len() < count {
        let last = vec![*multiples.last().expect("begins with one"); multiples.len()];
        let mut next = multiples.clone();
        // Doubles the list each time, so that one inversion serves as many additions as there are
        // points.
        adder.add(&mut next, &last);
        multiples.append(&mut next);
    }
    multiples
}

/// `count` bits from `at` of a little-endian number; zeros above its end.
fn bits(limbs: &[u64; 4], at: usize, count: usize) -> u64 {
    let (limb, shift) = (at / 64, at % 64);
    let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
    let high = limbs.get(limb + 1).filter(|_| shift + count > 64);
    (low | high.map_or(0, |limb| limb << (64 - shift))) & ((1 << count) - 1)
}

/// Adds pairs of points with one inversion for all.
struct Adder<F> {
    differences: Vec<F>,
    products: Vec<F>,
}

impl<F> Default for Adder<F> {
    fn default() -> Self {
        Self { differences: Vec::new(), products: Vec::new() }
    }
}

impl<F: Field> Adder<F> {
    /// `sums[i] += addends[i]`. Infinities, equal and opposite points have no slope between them
    /// and go their own way; their place in the shared product holds a one.
    fn add<P: SWCurveConfig<BaseField = F>>(
        &mut self,
        sums: &mut [Affine<P>],
        addends: &[Affine<P>],
    ) {
        self.differences.clear();
        self.products.clear();
        let mut product = F::ONE;
        for (sum, addend) in sums.iter().zip(addends) {
            let difference = if have_slope(sum, addend) { addend.x - sum.x } else { F::ONE };
            self.products.push(product);
            self.differences.push(difference);
            product *= difference;
        }
        let mut inverse = product.inverse().expect("no factor is zero");
        // Backwards, so that the inverse of all factors up to one is at hand: times the product of
        // those before it, that is the inverse of the one.
        for at in (0..sums.len()).rev() {
            let (sum, addend) = (&mut sums[at], &addends[at]);
            if have_slope(sum, addend) {
                let slope = (addend.y - sum.y) * self.products[at] * inverse;
                let x = slope.square() - sum.x - addend.x;
                let y = slope * (sum.x - x) - sum.y;
                *sum = Affine::new_unchecked(x, y);
            } else if sum.is_zero() {
                *sum = *addend;
            } else if !addend.is_zero() {
                *sum = (*sum + *addend).into_affine();
            }
            inverse *= self.differences[at];
        }
    }
}

fn have_slope<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> bool {
    !left.is_zero() && !right.is_zero() && left.x != right.x
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{UniformRand, Zero};
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    fn check<P: SWCurveConfig<ScalarField = Fr>>(count: usize) {
        let mut rng = StdRng::seed_from_u64(6);
        let mut scalars: Vec<Fr> = (0..40).map(|_| Fr::rand(&mut rng)).collect();
        scalars.extend([Fr::zero(), -Fr::from(1)]);
        for bit in [0u64, 1, 2, 3, 12, 13, 63, 64, 65, 128, 253] {
            let power = Fr::from(2).pow([bit]);
            scalars.extend([power, power - Fr::from(1), power + Fr::from(1), -power]);
        }
        let expected = |scalar: &Fr| (Affine::<P>::generator() * scalar).into_affine();
        let found = Multiples::<P>::new(count).of(&scalars);
        assert!(found == scalars.iter().map(expected).collect::<Vec<_>>(), "for {count}");
    }

    #[test]
    fn multiples_are_those_of_double_and_add_for_every_digit_size() {
        for log2 in 0..=18 {
            check::<ark_bn254::g1::Config>(1 << log2);
        }
        check::<ark_bn254::g2::Config>(1);
        check::<ark_bn254::g2::Config>(1 << 17);
    }

    #[test]
    fn points_without_a_slope_between_them_add_up() {
        type Point = Affine<ark_bn254::g1::Config>;
        let (p, zero) = (Point::generator(), Point::zero());
        let q = (p + p).into_affine();
        let mut sums = [p, p, p, zero, zero, q];
        Adder::default().add(&mut sums, &[p, -p, zero, p, zero, p]);
        assert_eq!(sums, [q, zero, p, p, zero, (q + p).into_affine()]);
    }
}
