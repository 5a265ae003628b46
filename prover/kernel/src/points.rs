//! Points in memory and in lanes, for G1 and G2 alike.
//!
//! In memory a point is its affine coordinates in the kernel's form, four words each, of at most
//! 2 p; in whole cache lines. Infinity is all zeros, which is on neither curve.

use ark_bn254::{Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup};

use crate::cpu::Ifma;
use crate::field::{Below, Fq, Numbers, Raw, Wide};
use crate::lanes::{Mask, Words, lanes};

/// A point in memory: `LINES` times eight words.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Stored<const LINES: usize>(pub(crate) [[u64; 8]; LINES]);

/// A point in memory, whichever curve it is on.
pub trait Memory: Copy + Send + Sync + PartialEq + 'static {
    /// All zeros.
    const INFINITY: Self;

    /// Its cache lines.
    fn lines(&self) -> &[[u64; 8]];
    /// The same, to be written.
    fn lines_mut(&mut self) -> &mut [[u64; 8]];
}

impl<const LINES: usize> Memory for Stored<LINES> {
    const INFINITY: Self = Self([[0; 8]; LINES]);

    fn lines(&self) -> &[[u64; 8]] {
        &self.0
    }

    fn lines_mut(&mut self) -> &mut [[u64; 8]] {
        &mut self.0
    }
}

/// One of the two groups of BN254.
pub trait Curve: Copy + Send + Sync + 'static {
    /// The points of arkworks.
    type Affine: AffineRepr<Group = Self::Group, ScalarField = Fr>;
    /// Their sums.
    type Group: CurveGroup<Affine = Self::Affine, ScalarField = Fr>;
    /// A point in memory.
    #[doc(hidden)]
    type Stored: Memory;
    /// Eight coordinates.
    #[doc(hidden)]
    type Coordinate: Coordinate;

    /// Into memory.
    #[doc(hidden)]
    fn store(point: &Self::Affine) -> Self::Stored;
    /// Out of memory; the point was one of the curve's.
    #[doc(hidden)]
    fn restore(stored: &Self::Stored) -> Self::Affine;
    /// The first coordinates of eight points.
    #[doc(hidden)]
    fn load_x(cpu: Ifma, points: [&Self::Stored; 8]) -> Self::Coordinate;
    /// Both coordinates of eight points.
    #[doc(hidden)]
    fn load(cpu: Ifma, points: [&Self::Stored; 8]) -> Lanes<Self::Coordinate>;
    /// Eight points into memory.
    #[doc(hidden)]
    fn save(cpu: Ifma, lanes: Lanes<Self::Coordinate>, points: &mut [Self::Stored; 8]);
    /// Asks for the lines of a point that is read soon.
    #[doc(hidden)]
    fn prefetch(cpu: Ifma, point: &Self::Stored);
}

/// Eight points.
#[derive(Clone, Copy)]
pub struct Lanes<T> {
    pub(crate) x: T,
    pub(crate) y: T,
}

/// Eight coordinates of at most 2 p, in Fq or in Fq2, and what adding points needs of them.
pub trait Coordinate: Copy + Send + Sync {
    /// A difference of two, of at most 4 p.
    type Difference: Copy + Send + Sync;
    /// A difference that is divided by.
    type Divisor: Copy + Send + Sync;

    /// a - b.
    fn subtract(self, cpu: Ifma, other: Self) -> Self::Difference;
    /// a - b, of at most 2 p.
    fn subtract_reduced(self, cpu: Ifma, other: Self) -> Self;
    /// a * a - b - c.
    fn square_less(self, cpu: Ifma, b: Self, c: Self) -> Self;
    /// a * b.
    fn times(self, cpu: Ifma, other: Self::Difference) -> Self;
    /// -a where the mask has a one.
    fn negate(self, cpu: Ifma, mask: Mask) -> Self;
    /// A difference and its norm.
    fn divisor(cpu: Ifma, difference: Self::Difference) -> Self::Divisor;
    /// The number of Fq whose inverse inverts the divisor.
    fn norm(divisor: &Self::Divisor) -> Below<Fq, 4>;
    /// numerator / divisor, by the inverse of the divisor's norm.
    fn divide(
        cpu: Ifma,
        numerator: Self::Difference,
        divisor: &Self::Divisor,
        inverse_norm: Below<Fq, 2>,
    ) -> Self;
    /// 3 a^2.
    fn triple_square(self, cpu: Ifma) -> Self::Difference;
    /// 2 a.
    fn double(self, cpu: Ifma) -> Self::Difference;
    /// One.
    fn one(cpu: Ifma) -> Self::Difference;
    /// Where it is zero modulo p.
    fn is_zero(cpu: Ifma, difference: Self::Difference) -> Mask;
    /// Where every limb is zero, as those of infinity are.
    fn is_zero_exactly(self, cpu: Ifma) -> Mask;
    /// Lanes of `yes` where the mask has a one, else of `no`.
    fn select(cpu: Ifma, mask: Mask, yes: Self, no: Self) -> Self;
    /// The same for differences.
    fn select_difference(
        cpu: Ifma,
        mask: Mask,
        yes: Self::Difference,
        no: Self::Difference,
    ) -> Self::Difference;
    /// Zeros.
    fn zero(cpu: Ifma) -> Self;
}

type Near = Below<Fq, 2>;
type Far = Below<Fq, 4>;

#[inline(always)]
fn difference(cpu: Ifma, a: Near, b: Near) -> Far {
    let raw: Raw<Fq, 4> = a.raw().minus(cpu, b);
    raw.carry(cpu)
}

#[inline(always)]
fn reduced_difference(cpu: Ifma, a: Near, b: Near) -> Near {
    let raw: Raw<Fq, 4> = a.raw().minus(cpu, b);
    raw.reduce(cpu)
}

#[inline(always)]
fn less_two(cpu: Ifma, a: Near, b: Near, c: Near) -> Near {
    let raw: Raw<Fq, 4> = a.raw().minus(cpu, b);
    let raw: Raw<Fq, 6> = raw.minus(cpu, c);
    raw.reduce(cpu)
}

#[inline(always)]
fn sum(cpu: Ifma, a: Near, b: Near) -> Far {
    let raw: Raw<Fq, 4> = a.raw().plus(cpu, b);
    raw.carry(cpu)
}

#[inline(always)]
fn triple(cpu: Ifma, a: Near) -> Far {
    let twice: Raw<Fq, 4> = a.raw().plus(cpu, a);
    let thrice: Raw<Fq, 6> = twice.plus(cpu, a);
    thrice.reduce(cpu).loosen()
}

/// 2 p - a: not reduced, since at most 2 p is all that is asked of a coordinate.
#[inline(always)]
fn negate(cpu: Ifma, mask: Mask, a: Near) -> Near {
    let raw: Raw<Fq, 2> = Below::<Fq, 0>::splat(cpu, [0; 4]).raw().minus(cpu, a);
    Near::select(cpu, mask, raw.carry(cpu), a)
}

#[inline(always)]
fn one(cpu: Ifma) -> Far {
    // R modulo p.
    const ONE: [u64; 4] = {
        let sixteen = ark_ff::MontFp!("16");
        let number: ark_bn254::Fq = sixteen;
        number.0.0
    };
    Far::splat(cpu, ONE)
}

impl Coordinate for Near {
    type Difference = Far;
    type Divisor = Far;

    #[inline(always)]
    fn subtract(self, cpu: Ifma, other: Self) -> Far {
        difference(cpu, self, other)
    }

    #[inline(always)]
    fn subtract_reduced(self, cpu: Ifma, other: Self) -> Self {
        reduced_difference(cpu, self, other)
    }

    #[inline(always)]
    fn square_less(self, cpu: Ifma, b: Self, c: Self) -> Self {
        less_two(cpu, self.square(cpu), b, c)
    }

    #[inline(always)]
    fn times(self, cpu: Ifma, other: Far) -> Self {
        self.mul(cpu, other)
    }

    #[inline(always)]
    fn negate(self, cpu: Ifma, mask: Mask) -> Self {
        negate(cpu, mask, self)
    }

    #[inline(always)]
    fn divisor(_: Ifma, difference: Far) -> Far {
        difference
    }

    #[inline(always)]
    fn norm(divisor: &Far) -> Far {
        *divisor
    }

    #[inline(always)]
    fn divide(cpu: Ifma, numerator: Far, _: &Far, inverse_norm: Near) -> Self {
        inverse_norm.mul(cpu, numerator)
    }

    #[inline(always)]
    fn triple_square(self, cpu: Ifma) -> Far {
        triple(cpu, self.square(cpu))
    }

    #[inline(always)]
    fn double(self, cpu: Ifma) -> Far {
        sum(cpu, self, self)
    }

    #[inline(always)]
    fn one(cpu: Ifma) -> Far {
        one(cpu)
    }

    #[inline(always)]
    fn is_zero(cpu: Ifma, difference: Far) -> Mask {
        difference.is_zero(cpu)
    }

    #[inline(always)]
    fn is_zero_exactly(self, cpu: Ifma) -> Mask {
        self.is_zero_exactly(cpu)
    }

    #[inline(always)]
    fn select(cpu: Ifma, mask: Mask, yes: Self, no: Self) -> Self {
        Near::select(cpu, mask, yes, no)
    }

    #[inline(always)]
    fn select_difference(cpu: Ifma, mask: Mask, yes: Far, no: Far) -> Far {
        Far::select(cpu, mask, yes, no)
    }

    #[inline(always)]
    fn zero(cpu: Ifma) -> Self {
        Near::splat(cpu, [0; 4])
    }
}

/// Eight numbers a + b u with u^2 = -1.
#[derive(Clone, Copy)]
pub struct Pair<T> {
    pub(crate) real: T,
    pub(crate) imaginary: T,
}

/// (a + b u) (c + d u) with three products, the middle one of both factors' sums, and a reduction
/// for each part of the result.
#[inline(always)]
fn multiply(cpu: Ifma, a: Pair<Near>, b: Pair<Far>) -> Pair<Near> {
    let real: Wide<Fq, 8> = a.real.wide(cpu, b.real);
    let imaginary: Wide<Fq, 8> = a.imaginary.wide(cpu, b.imaginary);
    let sum_a: Raw<Fq, 4> = a.real.raw().plus(cpu, a.imaginary);
    let sum_b: Raw<Fq, 8> = b.real.raw().plus(cpu, b.imaginary);
    let mixed: Wide<Fq, 32> = sum_a.carry(cpu).wide(cpu, sum_b.carry(cpu));
    let difference: Wide<Fq, 16> = real.minus(cpu, imaginary);
    // What is left of the mixed product is a d + b c.
    let imaginary = mixed.less(cpu, real).less(cpu, imaginary);
    Pair { real: difference.reduce(cpu), imaginary: imaginary.reduce(cpu) }
}

/// A difference and the sum of its parts' squares.
#[derive(Clone, Copy)]
pub struct Normed {
    difference: Pair<Far>,
    norm: Far,
}

impl Coordinate for Pair<Near> {
    type Difference = Pair<Far>;
    type Divisor = Normed;

    #[inline(always)]
    fn subtract(self, cpu: Ifma, other: Self) -> Pair<Far> {
        Pair {
            real: difference(cpu, self.real, other.real),
            imaginary: difference(cpu, self.imaginary, other.imaginary),
        }
    }

    #[inline(always)]
    fn subtract_reduced(self, cpu: Ifma, other: Self) -> Self {
        Pair {
            real: reduced_difference(cpu, self.real, other.real),
            imaginary: reduced_difference(cpu, self.imaginary, other.imaginary),
        }
    }

    #[inline(always)]
    fn square_less(self, cpu: Ifma, b: Self, c: Self) -> Self {
        // (a + b u)^2 = (a + b) (a - b) + 2 a b u.
        let plus = sum(cpu, self.real, self.imaginary);
        let minus = difference(cpu, self.real, self.imaginary);
        let (real, half) = (plus.mul(cpu, minus), self.real.mul(cpu, self.imaginary));
        let imaginary: Raw<Fq, 4> = half.raw().plus(cpu, half);
        Pair {
            real: less_two(cpu, real, b.real, c.real),
            imaginary: less_two(cpu, imaginary.reduce(cpu), b.imaginary, c.imaginary),
        }
    }

    #[inline(always)]
    fn times(self, cpu: Ifma, other: Pair<Far>) -> Self {
        multiply(cpu, self, other)
    }

    #[inline(always)]
    fn negate(self, cpu: Ifma, mask: Mask) -> Self {
        Pair { real: negate(cpu, mask, self.real), imaginary: negate(cpu, mask, self.imaginary) }
    }

    #[inline(always)]
    fn divisor(cpu: Ifma, difference: Pair<Far>) -> Normed {
        let norm = sum(cpu, difference.real.square(cpu), difference.imaginary.square(cpu));
        Normed { difference, norm }
    }

    #[inline(always)]
    fn norm(divisor: &Normed) -> Far {
        divisor.norm
    }

    #[inline(always)]
    fn divide(cpu: Ifma, numerator: Pair<Far>, divisor: &Normed, inverse_norm: Near) -> Self {
        // 1 / (a + b u) = (a - b u) / (a^2 + b^2).
        let b = inverse_norm.mul(cpu, divisor.difference.imaginary);
        let inverse = Pair {
            real: inverse_norm.mul(cpu, divisor.difference.real),
            imaginary: negate(cpu, Mask::MAX, b),
        };
        multiply(cpu, inverse, numerator)
    }

    #[inline(always)]
    fn triple_square(self, cpu: Ifma) -> Pair<Far> {
        let zero = Self::zero(cpu);
        let square = self.square_less(cpu, zero, zero);
        Pair { real: triple(cpu, square.real), imaginary: triple(cpu, square.imaginary) }
    }

    #[inline(always)]
    fn double(self, cpu: Ifma) -> Pair<Far> {
        Pair {
            real: sum(cpu, self.real, self.real),
            imaginary: sum(cpu, self.imaginary, self.imaginary),
        }
    }

    #[inline(always)]
    fn one(cpu: Ifma) -> Pair<Far> {
        Pair { real: one(cpu), imaginary: Far::splat(cpu, [0; 4]) }
    }

    #[inline(always)]
    fn is_zero(cpu: Ifma, difference: Pair<Far>) -> Mask {
        difference.real.is_zero(cpu) & difference.imaginary.is_zero(cpu)
    }

    #[inline(always)]
    fn is_zero_exactly(self, cpu: Ifma) -> Mask {
        self.real.is_zero_exactly(cpu) & self.imaginary.is_zero_exactly(cpu)
    }

    #[inline(always)]
    fn select(cpu: Ifma, mask: Mask, yes: Self, no: Self) -> Self {
        Pair {
            real: Near::select(cpu, mask, yes.real, no.real),
            imaginary: Near::select(cpu, mask, yes.imaginary, no.imaginary),
        }
    }

    #[inline(always)]
    fn select_difference(cpu: Ifma, mask: Mask, yes: Pair<Far>, no: Pair<Far>) -> Pair<Far> {
        Pair {
            real: Far::select(cpu, mask, yes.real, no.real),
            imaginary: Far::select(cpu, mask, yes.imaginary, no.imaginary),
        }
    }

    #[inline(always)]
    fn zero(cpu: Ifma) -> Self {
        Pair { real: Near::splat(cpu, [0; 4]), imaginary: Near::splat(cpu, [0; 4]) }
    }
}

/// The first half of a line of each of eight points, as columns.
#[inline(always)]
fn load_half(cpu: Ifma, lines: [&[u64; 8]; 8]) -> Near {
    let row = lanes!(|I| lines[I].first_chunk::<4>().expect("a line has eight words"));
    let r0 = cpu.load_halves(row[0], row[4]);
    let r1 = cpu.load_halves(row[1], row[5]);
    let r2 = cpu.load_halves(row[2], row[6]);
    let r3 = cpu.load_halves(row[3], row[7]);
    let (a0, b0) = (cpu.unpack_low(r0, r1), cpu.unpack_high(r0, r1));
    let (a1, b1) = (cpu.unpack_low(r2, r3), cpu.unpack_high(r2, r3));
    let [a, b] = [cpu.weave_even(a0, a1), cpu.weave_even(b0, b1)];
    let [c, d] = [cpu.weave_odd(a0, a1), cpu.weave_odd(b0, b1)];
    Near::unpack(cpu, [a, b, c, d])
}

/// Both halves of a line of each of eight points.
#[inline(always)]
fn load_line(cpu: Ifma, lines: [&[u64; 8]; 8]) -> [Near; 2] {
    let [a, b, c, d, e, f, g, h] = cpu.transpose(lanes!(|I| cpu.load(lines[I])));
    [Near::unpack(cpu, [a, b, c, d]), Near::unpack(cpu, [e, f, g, h])]
}

/// The lines of eight points from both halves.
#[inline(always)]
fn join_lines(cpu: Ifma, low: Near, high: Near) -> [Words; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (low.pack(cpu), high.pack(cpu));
    cpu.transpose([a, b, c, d, e, f, g, h])
}

/// The group of the proof's A and C.
#[derive(Clone, Copy, Debug)]
pub struct G1;

impl Curve for G1 {
    type Affine = G1Affine;
    type Group = G1Projective;
    type Stored = Stored<1>;
    type Coordinate = Near;

    fn store(point: &G1Affine) -> Stored<1> {
        let Some((x, y)) = point.xy() else { return Memory::INFINITY };
        Stored([join(Fq::to_kernel(x), Fq::to_kernel(y))])
    }

    fn restore(stored: &Stored<1>) -> G1Affine {
        if *stored == Memory::INFINITY {
            return G1Affine::identity();
        }
        let [x, y] = split(stored.0[0]);
        G1Affine::new_unchecked(Fq::from_kernel(x), Fq::from_kernel(y))
    }

    #[inline(always)]
    fn load_x(cpu: Ifma, points: [&Stored<1>; 8]) -> Near {
        load_half(cpu, lanes!(|I| &points[I].0[0]))
    }

    #[inline(always)]
    fn load(cpu: Ifma, points: [&Stored<1>; 8]) -> Lanes<Near> {
        let [x, y] = load_line(cpu, lanes!(|I| &points[I].0[0]));
        Lanes { x, y }
    }

    #[inline(always)]
    fn save(cpu: Ifma, lanes: Lanes<Near>, points: &mut [Stored<1>; 8]) {
        let rows = join_lines(cpu, lanes.x, lanes.y);
        for lane in 0..8 {
            cpu.store(&mut points[lane].0[0], rows[lane]);
        }
    }

    #[inline(always)]
    fn prefetch(cpu: Ifma, point: &Stored<1>) {
        cpu.prefetch(&point.0[0]);
    }
}

/// The group of the proof's B.
#[derive(Clone, Copy, Debug)]
pub struct G2;

impl Curve for G2 {
    type Affine = G2Affine;
    type Group = G2Projective;
    type Stored = Stored<2>;
    type Coordinate = Pair<Near>;

    fn store(point: &G2Affine) -> Stored<2> {
        let Some((x, y)) = point.xy() else { return Memory::INFINITY };
        let line = |number: Fq2| join(Fq::to_kernel(number.c0), Fq::to_kernel(number.c1));
        Stored([line(x), line(y)])
    }

    fn restore(stored: &Stored<2>) -> G2Affine {
        if *stored == Memory::INFINITY {
            return G2Affine::identity();
        }
        let [x, y] = stored.0.map(|line| {
            let [real, imaginary] = split(line);
            Fq2::new(Fq::from_kernel(real), Fq::from_kernel(imaginary))
        });
        G2Affine::new_unchecked(x, y)
    }

    #[inline(always)]
    fn load_x(cpu: Ifma, points: [&Stored<2>; 8]) -> Pair<Near> {
        let [real, imaginary] = load_line(cpu, lanes!(|I| &points[I].0[0]));
        Pair { real, imaginary }
    }

    #[inline(always)]
    fn load(cpu: Ifma, points: [&Stored<2>; 8]) -> Lanes<Pair<Near>> {
        let [real, imaginary] = load_line(cpu, lanes!(|I| &points[I].0[1]));
        Lanes { x: Self::load_x(cpu, points), y: Pair { real, imaginary } }
    }

    #[inline(always)]
    fn save(cpu: Ifma, lanes: Lanes<Pair<Near>>, points: &mut [Stored<2>; 8]) {
        let x = join_lines(cpu, lanes.x.real, lanes.x.imaginary);
        let y = join_lines(cpu, lanes.y.real, lanes.y.imaginary);
        for lane in 0..8 {
            cpu.store(&mut points[lane].0[0], x[lane]);
            cpu.store(&mut points[lane].0[1], y[lane]);
        }
    }

    #[inline(always)]
    fn prefetch(cpu: Ifma, point: &Stored<2>) {
        cpu.prefetch(&point.0[0]);
        cpu.prefetch(&point.0[1]);
    }
}

fn join(low: [u64; 4], high: [u64; 4]) -> [u64; 8] {
    std::array::from_fn(|i| if i < 4 { low[i] } else { high[i - 4] })
}

fn split(line: [u64; 8]) -> [[u64; 4]; 2] {
    let [a, b, c, d, e, f, g, h] = line;
    [[a, b, c, d], [e, f, g, h]]
}
