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

use zeroize::Zeroize;

use crate::cpu::Ifma;
use crate::field::{Below, Fq};
use crate::inversion;
use crate::lanes::{Mask, lanes};
use crate::points::{Coordinate, Curve, Lanes};

/// Vectors of pairs are added in groups of so many, whose products do not wait for each other.
const CHAINS: usize = 4;
/// Vectors between asking for points and reading them.
const AHEAD: usize = 16;

type Near = Below<Fq, 2>;
type Difference<C> = <<C as Curve>::Coordinate as Coordinate>::Difference;
type Divisor<C> = <<C as Curve>::Coordinate as Coordinate>::Divisor;

/// Eight additions side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where the sums go.
    pub(crate) into: u32,
    /// Lanes in which nothing is added to the left point.
    pub(crate) alone: Mask,
}

impl Zeroize for Step {
    fn zeroize(&mut self) {
        self.into.zeroize();
        self.alone.zeroize();
    }
}

/// Where the points of steps come from.
pub(crate) trait Source<C: Curve>: Copy {
    /// How many steps there are points for.
    fn len(&self) -> usize;
    /// Asks for the points of a step that comes soon.
    fn prefetch(&self, cpu: Ifma, step: usize);
    /// The first coordinates of both points.
    fn first(&self, cpu: Ifma, step: usize) -> [C::Coordinate; 2];
    /// The left points.
    fn left(&self, cpu: Ifma, step: usize) -> Found<C>;
    /// The right points.
    fn right(&self, cpu: Ifma, step: usize) -> Found<C>;
}

/// Eight points, and which of them are infinite.
#[derive(Clone, Copy)]
pub(crate) struct Found<C: Curve> {
    pub(crate) lanes: Lanes<C::Coordinate>,
    pub(crate) infinite: Mask,
}

/// Points in memory. A reference is a place in `points` times two, plus one for the point's
/// negative.
#[derive(Clone, Copy)]
pub(crate) struct Gathered<'a, C: Curve> {
    pub(crate) points: &'a [C::Stored],
    /// A step's references to its left points.
    pub(crate) left: &'a [[u32; 8]],
    /// And to its right points.
    pub(crate) right: &'a [[u32; 8]],
}

/// Points that stand in their lanes already.
#[derive(Clone, Copy)]
pub(crate) struct Lined<'a, C: Curve> {
    pub(crate) points: &'a [Lanes<C::Coordinate>],
    /// A step's places in `points`, left and right.
    pub(crate) places: &'a [[u32; 2]],
}

impl<'a, C: Curve> Gathered<'a, C> {
    #[inline(always)]
    fn gather(&self, references: &[u32; 8]) -> [&'a C::Stored; 8] {
        lanes!(|I| &self.points[(references[I] >> 1) as usize])
    }

    #[inline(always)]
    fn load(&self, cpu: Ifma, references: &[u32; 8]) -> Found<C> {
        let mut lanes = C::load(cpu, self.gather(references));
        // Before the sign, since the negative of zero is 2 p.
        let infinite = is_infinite::<C>(cpu, lanes);
        lanes.y = lanes.y.negate(cpu, cpu.odd(references));
        Found { lanes, infinite }
    }
}

#[inline(always)]
fn is_infinite<C: Curve>(cpu: Ifma, lanes: Lanes<C::Coordinate>) -> Mask {
    lanes.x.is_zero_exactly(cpu) & lanes.y.is_zero_exactly(cpu)
}

impl<C: Curve> Source<C> for Gathered<'_, C> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.left.len().min(self.right.len())
    }

    #[inline(always)]
    fn prefetch(&self, cpu: Ifma, step: usize) {
        let (Some(left), Some(right)) = (self.left.get(step), self.right.get(step)) else { return };
        for reference in left.iter().chain(right) {
            C::prefetch(cpu, &self.points[(reference >> 1) as usize]);
        }
    }

    #[inline(always)]
    fn first(&self, cpu: Ifma, step: usize) -> [C::Coordinate; 2] {
        let (left, right) = (self.gather(&self.left[step]), self.gather(&self.right[step]));
        [C::load_x(cpu, left), C::load_x(cpu, right)]
    }

    #[inline(always)]
    fn left(&self, cpu: Ifma, step: usize) -> Found<C> {
        self.load(cpu, &self.left[step])
    }

    #[inline(always)]
    fn right(&self, cpu: Ifma, step: usize) -> Found<C> {
        self.load(cpu, &self.right[step])
    }
}

impl<C: Curve> Lined<'_, C> {
    #[inline(always)]
    fn load(&self, cpu: Ifma, place: u32) -> Found<C> {
        let lanes = self.points[place as usize];
        Found { lanes, infinite: is_infinite::<C>(cpu, lanes) }
    }
}

impl<C: Curve> Source<C> for Lined<'_, C> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.places.len()
    }

    #[inline(always)]
    fn prefetch(&self, _: Ifma, _: usize) {}

    #[inline(always)]
    fn first(&self, _: Ifma, step: usize) -> [C::Coordinate; 2] {
        let [left, right] = self.places[step];
        [self.points[left as usize].x, self.points[right as usize].x]
    }

    #[inline(always)]
    fn left(&self, cpu: Ifma, step: usize) -> Found<C> {
        self.load(cpu, self.places[step][0])
    }

    #[inline(always)]
    fn right(&self, cpu: Ifma, step: usize) -> Found<C> {
        self.load(cpu, self.places[step][1])
    }
}

/// What the two passes leave to each other. Kept by who adds often.
pub(crate) struct Passes<C: Curve> {
    denominators: Vec<Divisor<C>>,
    products: Vec<Near>,
}

impl<C: Curve> Default for Passes<C> {
    fn default() -> Self {
        Self { denominators: Vec::new(), products: Vec::new() }
    }
}

impl<C: Curve> Passes<C> {
    /// Writes each step's sums and says whether one may be infinite, which the points may be if
    /// `infinite` says so.
    ///
    /// # Panics
    /// If there is not a step for each of the source's, or a place is outside.
    pub(crate) fn add<S: Source<C>>(
        &mut self,
        cpu: Ifma,
        added: Added<'_, S>,
        sums: &mut [Lanes<C::Coordinate>],
    ) -> bool {
        assert_eq!(added.source.len(), added.steps.len(), "the points of each step");
        if added.steps.is_empty() {
            return false;
        }
        if !added.infinite {
            // SAFETY: the token says that the processor has the features.
            let products = unsafe { forward::<C, S, false>(self, cpu, added) };
            if let Some(inverses) = invert(cpu, products) {
                // SAFETY: as above.
                return unsafe { backward::<C, S, false>(self, cpu, (added, inverses), sums) };
            }
        }
        // SAFETY: as above.
        let products = unsafe { forward::<C, S, true>(self, cpu, added) };
        let inverses = invert(cpu, products).expect("no denominator is zero by choice");
        // SAFETY: as above.
        unsafe { backward::<C, S, true>(self, cpu, (added, inverses), sums) }
    }
}

/// Writes the left points of each of the source's steps to their places.
///
/// # Panics
/// If a place is outside.
pub(crate) fn copy<C: Curve, S: Source<C>>(
    cpu: Ifma,
    source: S,
    into: &[u32],
    points: &mut [Lanes<C::Coordinate>],
) {
    // SAFETY: the token says that the processor has the features.
    unsafe { copy_left::<C, S>(cpu, (source, into), points) };
}

/// Writes points to memory, eight to each place.
pub(crate) fn save<C: Curve>(
    cpu: Ifma,
    points: &[Lanes<C::Coordinate>],
    places: &mut [[C::Stored; 8]],
) {
    // SAFETY: the token says that the processor has the features.
    unsafe { save_all::<C>(cpu, points, places) };
}

/// What is added.
#[derive(Clone, Copy)]
pub(crate) struct Added<'a, S> {
    pub(crate) source: S,
    pub(crate) steps: &'a [Step],
    /// Whether a point may be infinite.
    pub(crate) infinite: bool,
}

/// Eight pairs as they are added, and what the passes that look at every pair found of them.
struct Seen<C: Curve> {
    left: Found<C>,
    right: Found<C>,
    numerator: Difference<C>,
    denominator: Difference<C>,
    opposite: Mask,
}

#[inline(always)]
fn look<C: Curve, S: Source<C>, const EVERY: bool>(cpu: Ifma, source: S, step: usize) -> Seen<C> {
    let (left, right) = (source.left(cpu, step), source.right(cpu, step));
    let same_x = right.lanes.x.subtract(cpu, left.lanes.x);
    let same_y = right.lanes.y.subtract(cpu, left.lanes.y);
    if !EVERY {
        return Seen { left, right, numerator: same_y, denominator: same_x, opposite: 0 };
    }
    let finite = !(left.infinite | right.infinite);
    let same = C::Coordinate::is_zero(cpu, same_x) & finite;
    let equal = same & C::Coordinate::is_zero(cpu, same_y);
    // A point's tangent: 3 x^2 / 2 y. No point of an odd order has y = 0.
    let (rise, run) = (left.lanes.x.triple_square(cpu), left.lanes.y.double(cpu));
    let numerator = C::Coordinate::select_difference(cpu, equal, rise, same_y);
    let denominator = C::Coordinate::select_difference(cpu, equal, run, same_x);
    // Where there is nothing to divide by, anything that has an inverse will do. That a tangent
    // is upright happens to no point of the group, only to one of a damaged key, whose proof
    // does not verify.
    let upright = C::Coordinate::is_zero(cpu, denominator);
    let (nothing, one) = (!finite | (same & !equal) | upright, C::Coordinate::one(cpu));
    let denominator = C::Coordinate::select_difference(cpu, nothing, one, denominator);
    Seen { left, right, numerator, denominator, opposite: same & !equal }
}

/// Multiplies the norms of all denominators up, in chains of eight lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn forward<C: Curve, S: Source<C>, const EVERY: bool>(
    passes: &mut Passes<C>,
    cpu: Ifma,
    added: Added<'_, S>,
) -> [Near; CHAINS] {
    let Added { source, steps, .. } = added;
    let difference_one = C::Coordinate::one(cpu);
    let divisor_one = C::Coordinate::divisor(cpu, difference_one);
    let one = C::Coordinate::norm(&divisor_one);
    // One times one is one, and small enough.
    let mut products = [one.mul(cpu, one); CHAINS];
    if passes.products.len() < steps.len() {
        passes.denominators.resize(steps.len(), divisor_one);
        passes.products.resize(steps.len(), products[0]);
    }
    let (denominators, before) =
        (&mut passes.denominators[..steps.len()], &mut passes.products[..steps.len()]);
    for (step, Step { alone, .. }) in steps.iter().enumerate() {
        source.prefetch(cpu, step + AHEAD);
        let mut denominator = if EVERY {
            look::<C, S, true>(cpu, source, step).denominator
        } else {
            let [left, right] = source.first(cpu, step);
            right.subtract(cpu, left)
        };
        if *alone != 0 {
            denominator =
                C::Coordinate::select_difference(cpu, *alone, difference_one, denominator);
        }
        let denominator = C::Coordinate::divisor(cpu, denominator);
        denominators[step] = denominator;
        let product = &mut products[step % CHAINS];
        before[step] = *product;
        *product = product.mul(cpu, C::Coordinate::norm(&denominator));
    }
    products
}

/// Takes each inverse out of the chains' and finishes the additions, last step first.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn backward<C: Curve, S: Source<C>, const EVERY: bool>(
    passes: &Passes<C>,
    cpu: Ifma,
    (added, mut inverses): (Added<'_, S>, [Near; CHAINS]),
    sums: &mut [Lanes<C::Coordinate>],
) -> bool {
    let (Added { source, steps, .. }, mut infinite) = (added, 0);
    let (denominators, before) =
        (&passes.denominators[..steps.len()], &passes.products[..steps.len()]);
    for (step, Step { into, alone }) in steps.iter().enumerate().rev() {
        // Again: in a block that fills the cache the first points are gone by now.
        if step >= AHEAD {
            source.prefetch(cpu, step - AHEAD);
        }
        let running = &mut inverses[step % CHAINS];
        let denominator = &denominators[step];
        let norm = C::Coordinate::norm(denominator);
        let inverse_norm = running.mul(cpu, before[step]);
        *running = running.mul(cpu, norm);
        let seen = look::<C, S, EVERY>(cpu, source, step);
        let (left, right) = (seen.left.lanes, seen.right.lanes);
        let slope = C::Coordinate::divide(cpu, seen.numerator, denominator, inverse_norm);
        let x = slope.square_less(cpu, left.x, right.x);
        let back = left.x.subtract(cpu, x);
        let mut sum = Lanes { x, y: slope.times(cpu, back).subtract_reduced(cpu, left.y) };
        if EVERY {
            let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
            let (lacks_left, lacks_right) = (seen.left.infinite, seen.right.infinite | *alone);
            let none = (seen.opposite & !*alone) | (lacks_left & lacks_right);
            sum = select(cpu, lacks_left, right, sum);
            sum = select(cpu, lacks_right, left, sum);
            sum = select(cpu, none, zero, sum);
            infinite |= none;
        } else if *alone != 0 {
            sum = select(cpu, *alone, left, sum);
        }
        sums[*into as usize] = sum;
    }
    infinite != 0
}

/// Copies the left points of each step.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn copy_left<C: Curve, S: Source<C>>(
    cpu: Ifma,
    (source, into): (S, &[u32]),
    points: &mut [Lanes<C::Coordinate>],
) {
    for (step, into) in into.iter().enumerate() {
        let Found { lanes, infinite } = source.left(cpu, step);
        let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
        // Also where the reference asked for its negative.
        points[*into as usize] = select(cpu, infinite, zero, lanes);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn save_all<C: Curve>(cpu: Ifma, points: &[Lanes<C::Coordinate>], places: &mut [[C::Stored; 8]]) {
    for (points, place) in points.iter().zip(places) {
        C::save(cpu, *points, place);
    }
}

#[inline(always)]
fn select<T: Coordinate>(cpu: Ifma, mask: Mask, yes: Lanes<T>, no: Lanes<T>) -> Lanes<T> {
    Lanes { x: T::select(cpu, mask, yes.x, no.x), y: T::select(cpu, mask, yes.y, no.y) }
}

/// The inverse of every lane of every chain, by one inversion; `None` if one is zero.
fn invert(cpu: Ifma, chains: [Near; CHAINS]) -> Option<[Near; CHAINS]> {
    // SAFETY: the token says that the processor has the features.
    let joined = unsafe { join(cpu, chains) };
    let [all, ..] = joined.all.to_words(cpu);
    let inverse = inversion::invert(all)?;
    // SAFETY: as above.
    Some(unsafe { take_apart(cpu, chains, joined, inverse) })
}

/// The product of all lanes of all chains, in every lane, and those on the way to it.
struct Joined {
    lanes: Near,
    pairs: Near,
    quads: Near,
    all: Near,
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn join(cpu: Ifma, [a, b, c, d]: [Near; CHAINS]) -> Joined {
    let lanes = a.mul(cpu, b).mul(cpu, c.mul(cpu, d));
    let pairs = lanes.mul(cpu, lanes.exchange::<1>(cpu));
    let quads = pairs.mul(cpu, pairs.exchange::<2>(cpu));
    Joined { lanes, pairs, quads, all: quads.mul(cpu, quads.exchange::<4>(cpu)) }
}

/// The inverses of the chains from that of the product of all.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn take_apart(
    cpu: Ifma,
    [a, b, c, d]: [Near; CHAINS],
    joined: Joined,
    inverse: [u64; 5],
) -> [Near; CHAINS] {
    // What is inverted was in Montgomery form: R x has the inverse 1 / (R x).
    let back = Below::<Fq, 1>::splat(cpu, Fq::R_CUBED);
    let inverse = Below::<Fq, { inversion::BELOW }>::splat_limbs(cpu, inverse).mul(cpu, back);
    // Each is the inverse of what holds it times the other half of that.
    let quads = inverse.mul(cpu, joined.quads.exchange::<4>(cpu));
    let pairs = quads.mul(cpu, joined.pairs.exchange::<2>(cpu));
    let lanes = pairs.mul(cpu, joined.lanes.exchange::<1>(cpu));
    let (ab, cd) = (lanes.mul(cpu, c.mul(cpu, d)), lanes.mul(cpu, a.mul(cpu, b)));
    [ab.mul(cpu, b), ab.mul(cpu, a), cd.mul(cpu, d), cd.mul(cpu, c)]
}
