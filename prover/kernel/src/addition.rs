//! Many additions of affine points with one inversion.
//!
//! Adding two affine points divides by the difference of their first coordinates. The inverses of
//! all differences come from one inversion (Montgomery's trick): a pass forward multiplies them
//! up, a pass backward takes each inverse out and finishes its addition. An addition then costs
//! five products and a square in G1.
//!
//! The formula fails for equal and opposite points, whose difference is zero, and for infinity,
//! which has no coordinates. A zero difference makes the whole product zero, so it cannot go
//! unnoticed; then the batch is added again by passes that look at every pair. Infinity cannot be
//! seen that way: whoever calls says whether it may occur, and is told whether a sum is infinite.

use ark_bn254::Fq as Number;
use ark_ff::{Field, One};

use crate::cpu::Ifma;
use crate::field::{Below, Fq, Numbers};
use crate::lanes::{Mask, lanes};
use crate::points::{Coordinate, Curve, Lanes};

/// Pairs are added in whole groups of this many: eight lanes of four chains, whose products do not
/// wait for each other.
pub(crate) const GROUP: usize = 8 * CHAINS;
const CHAINS: usize = 4;
/// Groups between asking for a point and reading it.
const AHEAD: usize = 4;

type Near = Below<Fq, 2>;
type Difference<C> = <<C as Curve>::Coordinate as Coordinate>::Difference;

/// What the two passes leave to each other. Kept by who adds often.
pub(crate) struct Passes<C: Curve> {
    denominators: Vec<Difference<C>>,
    products: Vec<Near>,
}

impl<C: Curve> Default for Passes<C> {
    fn default() -> Self {
        Self { denominators: Vec::new(), products: Vec::new() }
    }
}

/// Points to add in pairs. A reference is a place in `points` times two, plus one for the point's
/// negative.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a, C: Curve> {
    pub(crate) cpu: Ifma,
    pub(crate) points: &'a [C::Stored],
    pub(crate) left: &'a [u32],
    pub(crate) right: &'a [u32],
    /// Whether a reference may be odd.
    pub(crate) signed: bool,
    /// Whether a point may be infinite.
    pub(crate) infinite: bool,
}

impl<C: Curve> Passes<C> {
    /// Writes the sum of each pair and says whether one may be infinite.
    ///
    /// # Panics
    /// If the three lengths differ or are no multiple of [`GROUP`], or a reference is outside.
    pub(crate) fn add(&mut self, pairs: Pairs<'_, C>, sums: &mut [C::Stored]) -> bool {
        let (cpu, pairs_len) = (pairs.cpu, pairs.left.len());
        assert!(pairs.right.len() == pairs_len && sums.len() == pairs_len, "a sum each pair");
        assert!(pairs_len.is_multiple_of(GROUP), "pairs come in whole groups");
        if pairs_len == 0 {
            return false;
        }
        if !pairs.infinite {
            // SAFETY: the token says that the processor has the features.
            let products = unsafe { forward::<C, false>(self, pairs) };
            if let Some(inverses) = invert(cpu, products) {
                // SAFETY: as above.
                return unsafe { backward::<C, false>(self, pairs, inverses, sums) };
            }
        }
        // SAFETY: as above.
        let products = unsafe { forward::<C, true>(self, pairs) };
        let inverses = invert(cpu, products).expect("no denominator is zero by choice");
        // SAFETY: as above.
        unsafe { backward::<C, true>(self, pairs, inverses, sums) }
    }
}

/// Eight pairs, as the passes that look at every pair see them.
struct Seen<C: Curve> {
    left: Lanes<C::Coordinate>,
    right: Lanes<C::Coordinate>,
    numerator: Difference<C>,
    denominator: Difference<C>,
    left_infinite: Mask,
    right_infinite: Mask,
    opposite: Mask,
}

impl<'a, C: Curve> Pairs<'a, C> {
    #[inline(always)]
    fn gather(&self, references: &[u32; 8]) -> [&'a C::Stored; 8] {
        lanes!(|I| &self.points[(references[I] >> 1) as usize])
    }

    #[inline(always)]
    fn at(references: &[u32], vector: usize) -> &[u32; 8] {
        references[8 * vector..].first_chunk().expect("whole groups")
    }

    #[inline(always)]
    fn load(&self, references: &[u32; 8]) -> Lanes<C::Coordinate> {
        let cpu = self.cpu;
        let mut lanes = C::load(cpu, self.gather(references));
        if self.signed {
            lanes.y = lanes.y.negate(cpu, cpu.odd(references));
        }
        lanes
    }

    /// The points, and which of them are infinite: before the sign, since the negative of zero is
    /// 2 p.
    #[inline(always)]
    fn load_any(&self, references: &[u32; 8]) -> (Lanes<C::Coordinate>, Mask) {
        let cpu = self.cpu;
        let mut lanes = C::load(cpu, self.gather(references));
        let infinite = lanes.x.is_zero_exactly(cpu) & lanes.y.is_zero_exactly(cpu);
        if self.signed {
            lanes.y = lanes.y.negate(cpu, cpu.odd(references));
        }
        (lanes, infinite)
    }

    #[inline(always)]
    fn look(&self, vector: usize) -> Seen<C> {
        let cpu = self.cpu;
        let (left, left_infinite) = self.load_any(Self::at(self.left, vector));
        let (right, right_infinite) = self.load_any(Self::at(self.right, vector));
        let same_x = right.x.subtract(cpu, left.x);
        let same_y = right.y.subtract(cpu, left.y);
        let finite = !(left_infinite | right_infinite);
        let same = C::Coordinate::is_zero(cpu, same_x) & finite;
        let equal = same & C::Coordinate::is_zero(cpu, same_y);
        // A point's tangent: 3 x^2 / 2 y. No point of an odd order has y = 0.
        let (rise, run) = (left.x.triple_square(cpu), left.y.double(cpu));
        let numerator = C::Coordinate::select_difference(cpu, equal, rise, same_y);
        let denominator = C::Coordinate::select_difference(cpu, equal, run, same_x);
        // Where there is nothing to divide by, anything that has an inverse will do. That a tangent
        // is upright happens to no point of the group, only to one of a damaged key, whose proof
        // does not verify.
        let upright = C::Coordinate::is_zero(cpu, denominator);
        let (nothing, one) = (!finite | (same & !equal) | upright, C::Coordinate::one(cpu));
        let denominator = C::Coordinate::select_difference(cpu, nothing, one, denominator);
        Seen {
            left,
            right,
            numerator,
            denominator,
            left_infinite,
            right_infinite,
            opposite: same & !equal,
        }
    }
}

/// Multiplies the norms of all denominators up, four chains of eight lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn forward<C: Curve, const EVERY: bool>(
    passes: &mut Passes<C>,
    pairs: Pairs<'_, C>,
) -> [Near; CHAINS] {
    let (cpu, groups) = (pairs.cpu, pairs.left.len() / GROUP);
    let one = C::Coordinate::norm(cpu, C::Coordinate::one(cpu));
    // One times one is one, and small enough.
    let mut products = [one.mul(cpu, one); CHAINS];
    if passes.products.len() < groups * CHAINS {
        passes.denominators.resize(groups * CHAINS, C::Coordinate::one(cpu));
        passes.products.resize(groups * CHAINS, products[0]);
    }
    for group in 0..groups {
        if let Some(soon) = pairs.left.get((group + AHEAD) * GROUP..(group + AHEAD + 1) * GROUP) {
            let right = &pairs.right[(group + AHEAD) * GROUP..(group + AHEAD + 1) * GROUP];
            for reference in soon.iter().chain(right) {
                C::prefetch(cpu, &pairs.points[(reference >> 1) as usize]);
            }
        }
        for (chain, product) in products.iter_mut().enumerate() {
            let vector = group * CHAINS + chain;
            let denominator = if EVERY {
                pairs.look(vector).denominator
            } else {
                let left = C::load_x(cpu, pairs.gather(Pairs::<C>::at(pairs.left, vector)));
                let right = C::load_x(cpu, pairs.gather(Pairs::<C>::at(pairs.right, vector)));
                right.subtract(cpu, left)
            };
            passes.denominators[vector] = denominator;
            passes.products[vector] = *product;
            *product = product.mul(cpu, C::Coordinate::norm(cpu, denominator));
        }
    }
    products
}

/// Takes each inverse out of the chains' and finishes the additions, last pair first.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn backward<C: Curve, const EVERY: bool>(
    passes: &Passes<C>,
    pairs: Pairs<'_, C>,
    mut inverses: [Near; CHAINS],
    sums: &mut [C::Stored],
) -> bool {
    let (cpu, mut infinite) = (pairs.cpu, 0);
    for group in (0..pairs.left.len() / GROUP).rev() {
        for (chain, running) in inverses.iter_mut().enumerate() {
            let vector = group * CHAINS + chain;
            let denominator = passes.denominators[vector];
            let norm = C::Coordinate::norm(cpu, denominator);
            let inverse_norm = running.mul(cpu, passes.products[vector]);
            *running = running.mul(cpu, norm);
            let seen = if EVERY {
                pairs.look(vector)
            } else {
                let left = pairs.load(Pairs::<C>::at(pairs.left, vector));
                let right = pairs.load(Pairs::<C>::at(pairs.right, vector));
                let numerator = right.y.subtract(cpu, left.y);
                let none = 0;
                Seen {
                    left,
                    right,
                    numerator,
                    denominator,
                    left_infinite: none,
                    right_infinite: none,
                    opposite: none,
                }
            };
            let (left, right) = (seen.left, seen.right);
            let slope = C::Coordinate::divide(cpu, seen.numerator, denominator, inverse_norm);
            let x = slope.square_less(cpu, left.x, right.x);
            let back = left.x.subtract(cpu, x);
            let mut sum = Lanes { x, y: slope.times(cpu, back).subtract_reduced(cpu, left.y) };
            if EVERY {
                let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
                let none = seen.opposite | (seen.left_infinite & seen.right_infinite);
                sum = select(cpu, seen.left_infinite, right, sum);
                sum = select(cpu, seen.right_infinite, left, sum);
                sum = select(cpu, none, zero, sum);
                infinite |= none;
            }
            let sums = sums[8 * vector..].first_chunk_mut().expect("a sum each pair");
            C::save(cpu, sum, sums);
        }
    }
    infinite != 0
}

#[inline(always)]
fn select<T: Coordinate>(cpu: Ifma, mask: Mask, yes: Lanes<T>, no: Lanes<T>) -> Lanes<T> {
    Lanes { x: T::select(cpu, mask, yes.x, no.x), y: T::select(cpu, mask, yes.y, no.y) }
}

/// The inverse of every lane of every chain, by one inversion; `None` if one is zero.
fn invert(cpu: Ifma, chains: [Near; CHAINS]) -> Option<[Near; CHAINS]> {
    // SAFETY: the token says that the processor has the features.
    let lanes = unsafe { multiply_chains(cpu, chains) };
    let numbers = lanes.to_words(cpu).map(Fq::from_kernel);
    let mut product = Number::one();
    let before = numbers.map(|number| {
        let before = product;
        product *= number;
        before
    });
    let mut inverse = product.inverse()?;
    let mut inverses = before;
    for (number, own) in numbers.iter().zip(&mut inverses).rev() {
        *own *= inverse;
        inverse *= *number;
    }
    let lanes = Near::from_words(cpu, inverses.map(Fq::to_kernel));
    // SAFETY: as above.
    Some(unsafe { divide_chains(cpu, chains, lanes) })
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn multiply_chains(cpu: Ifma, [a, b, c, d]: [Near; CHAINS]) -> Near {
    a.mul(cpu, b).mul(cpu, c.mul(cpu, d))
}

/// The inverses of the chains from that of their product.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn divide_chains(cpu: Ifma, [a, b, c, d]: [Near; CHAINS], inverse: Near) -> [Near; CHAINS] {
    let (ab, cd) = (inverse.mul(cpu, c.mul(cpu, d)), inverse.mul(cpu, a.mul(cpu, b)));
    [ab.mul(cpu, b), ab.mul(cpu, a), cd.mul(cpu, d), cd.mul(cpu, c)]
}
