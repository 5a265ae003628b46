//! The curve of the signatures, in two forms.
//!
//! Twisted Edwards coordinates have a complete addition and are used where points may be anything
//! on the curve. Montgomery coordinates add in three rows, but only points with different `u`: used
//! on sums that never meet (see [`super::eddsa`]).

use crate::builder::{Builder, Num};
use ark_bn254::Fr;
use ark_ec::{AffineRepr, CurveConfig, CurveGroup, twisted_edwards::TECurveConfig};
use ark_ff::{Field, PrimeField};
use statement::babyjubjub::{self as native, BabyJubJub};

const A: Fr = BabyJubJub::COEFF_A_EDWARDS;
const D: Fr = <BabyJubJub as TECurveConfig>::COEFF_D;
const A_MONTGOMERY: Fr = BabyJubJub::COEFF_A_MONTGOMERY;

/// A point of the curve in twisted Edwards coordinates.
#[derive(Clone)]
pub struct Point {
    /// First coordinate.
    pub x: Num,
    /// Second coordinate.
    pub y: Num,
}

/// A point in Montgomery coordinates.
#[derive(Clone)]
pub(super) struct Montgomery {
    pub(super) u: Num,
    pub(super) v: Num,
}

/// Allocates a point and puts it on the curve: 3 rows.
pub fn point(b: &mut Builder, value: &native::Point) -> Point {
    let point = alloc_unchecked(b, value);
    let squares = Squares::of(b, &point);
    b.enforce(&(&squares.x2 * D), &squares.y2, &(squares.sum() - Num::one()));
    point
}

/// Allocates a point and puts it into the subgroup of prime order: 16 rows. The neutral element
/// passes.
///
/// A point is in the subgroup exactly if it is 8 times a point of the curve. The hint of that
/// eighth is one of eight, which changes nothing else.
pub fn subgroup_point(b: &mut Builder, value: &native::Point) -> Point {
    // Found by multiplying by 1/8 modulo the order of the subgroup; of a point outside it this is
    // no eighth, and the last row is violated.
    let eighth = value.mul_bigint(BabyJubJub::COFACTOR_INV.into_bigint()).into_affine();
    let eighth = alloc_unchecked(b, &eighth);
    let squares = Squares::of(b, &eighth);
    b.enforce(&(&squares.x2 * D), &squares.y2, &(squares.sum() - Num::one()));
    let quarter = double(b, &eighth, &squares);
    let squares = Squares::of(b, &quarter);
    let half = double(b, &quarter, &squares);
    let squares = Squares::of(b, &half);
    // The point itself is given and not computed, so that a bad key violates a row of this rule.
    let point = alloc_unchecked(b, value);
    enforce_double(b, &half, &squares, &point);
    point
}

fn alloc_unchecked(b: &mut Builder, value: &native::Point) -> Point {
    Point { x: b.alloc(value.x), y: b.alloc(value.y) }
}

/// The squares of a point's coordinates.
struct Squares {
    x2: Num,
    y2: Num,
}

impl Squares {
    fn of(b: &mut Builder, point: &Point) -> Self {
        Self { x2: b.product(&point.x, &point.x), y2: b.product(&point.y, &point.y) }
    }

    /// `a x^2 + y^2`, on the curve `1 + d x^2 y^2`.
    fn sum(&self) -> Num {
        &self.x2 * A + &self.y2
    }
}

/// `2 point` for a point of the curve: 3 rows beside the squares. Neither denominator has a zero,
/// as neither `d` nor `-d` times a product of squares is -1 on this complete curve.
fn double(b: &mut Builder, point: &Point, squares: &Squares) -> Point {
    let [x, y] = [point.x.value(), point.y.value()];
    let sum = squares.sum().value();
    let two = Fr::from(2u8);
    // Only off the curve can a denominator be 0, and such a point violates a row before this one.
    let over = |n: Fr, d: Fr| n * d.inverse().unwrap_or_default();
    let doubled = Point {
        x: b.alloc(over(two * x * y, sum)),
        y: b.alloc(over(y.square() - A * x.square(), two - sum)),
    };
    enforce_double(b, point, squares, &doubled);
    doubled
}

fn enforce_double(b: &mut Builder, point: &Point, squares: &Squares, doubled: &Point) {
    let xy = b.product(&point.x, &point.y);
    let sum = squares.sum();
    b.enforce(&doubled.x, &sum, &(xy * Fr::from(2u8)));
    b.enforce(&doubled.y, &(Num::from(2) - &sum), &(&squares.y2 - &squares.x2 * A));
}

/// The sum of any two points of the curve: 6 rows. The denominators `1 + d x1 x2 y1 y2` and
/// `1 - d x1 x2 y1 y2` have no zero.
pub fn add(b: &mut Builder, left: &Point, right: &Point) -> Point {
    let beta = b.product(&left.x, &right.y);
    let gamma = b.product(&left.y, &right.x);
    let delta = b.product(&(&left.y - &left.x * A), &(&right.x + &right.y));
    // d x1 x2 y1 y2, which both denominators have: one row for the two.
    let tau = b.product(&beta, &gamma) * D;
    let x = b.quotient(&(&beta + &gamma), &(Num::one() + &tau));
    let y = b.quotient(&(delta + beta * A - gamma), &(Num::one() - tau));
    Point { x, y }
}

/// Montgomery coordinates: 2 rows. Rejects the neutral element (`y = 1`); the point must not be
/// `(0, -1)`, whose `v` would be free.
pub(super) fn to_montgomery(b: &mut Builder, point: &Point) -> Montgomery {
    let u = b.quotient(&(Num::one() + &point.y), &(Num::one() - &point.y));
    let v = b.quotient(&u, &point.x);
    Montgomery { u, v }
}

/// Edwards coordinates: 2 rows. The point must not be `(0, 0)`, whose `x` would be free; `u` is not
/// -1 on this curve.
pub(super) fn to_edwards(b: &mut Builder, point: &Montgomery) -> Point {
    let x = b.quotient(&point.u, &point.v);
    let y = b.quotient(&(&point.u - Num::one()), &(&point.u + Num::one()));
    Point { x, y }
}

impl Montgomery {
    /// A constant point, neither neutral nor of order two.
    pub(super) fn constant((u, v): (Fr, Fr)) -> Self {
        Self { u: Num::constant(u), v: Num::constant(v) }
    }

    /// `self + other`: 3 rows. Opposite points are rejected; equal points leave the sum free.
    pub(super) fn add(&self, b: &mut Builder, other: &Self) -> Self {
        let slope = chord_slopes(&[self.values()], &[other.values()])[0];
        self.add_along(b, other, slope)
    }

    /// [`Self::add`] with the hint `slope` of the line through both, from [`chord_slopes`].
    pub(super) fn add_along(&self, b: &mut Builder, other: &Self, slope: Fr) -> Self {
        let slope = self.slope_to(b, other, slope);
        self.third(b, &slope, &other.u)
    }

    fn slope_to(&self, b: &mut Builder, other: &Self, slope: Fr) -> Num {
        let slope = b.alloc(slope);
        b.enforce(&slope, &(&other.u - &self.u), &(&other.v - &self.v));
        slope
    }

    /// Both coordinates.
    pub(super) fn values(&self) -> (Fr, Fr) {
        (self.u.value(), self.v.value())
    }

    /// `2 self`: 4 rows. A point of order two is rejected.
    pub(super) fn double(&self, b: &mut Builder) -> Self {
        let square = b.product(&self.u, &self.u);
        let rise = square * Fr::from(3u8) + &self.u * (A_MONTGOMERY + A_MONTGOMERY) + Num::one();
        let slope = b.quotient(&rise, &(&self.v * Fr::from(2u8)));
        self.third(b, &slope, &self.u)
    }

    /// `2 self + other`: 5 rows, as `self + (self + other)` without the `v` in the middle. Equal
    /// points leave the sum free; if `other` is 0 or `-2 self` it is rejected.
    ///
    /// The hints are the slopes of the lines from `self` to `other` and to `self + other`.
    pub(super) fn double_add_along(&self, b: &mut Builder, other: &Self, hints: [Fr; 2]) -> Self {
        let first = self.slope_to(b, other, hints[0]);
        let middle = third_u(b, &first, &self.u, &other.u);
        // The second chord has the slope `2 v / (u - middle) - first`.
        let second = b.alloc(hints[1]);
        let rise = &self.v * Fr::from(2u8);
        b.enforce(&(&second + &first), &(&self.u - &middle), &rise);
        self.third(b, &second, &middle)
    }

    /// The sum of this and a second point on the line through both, by the line's slope and the
    /// second point's `u`: 2 rows.
    fn third(&self, b: &mut Builder, slope: &Num, other_u: &Num) -> Self {
        let u = third_u(b, slope, &self.u, other_u);
        let run = &self.u - &u;
        let v = b.alloc(slope.value() * run.value() - self.v.value());
        b.enforce(slope, &run, &(&v + &self.v));
        Self { u, v }
    }
}

fn third_u(b: &mut Builder, slope: &Num, left: &Num, right: &Num) -> Num {
    let others = left + right + Num::constant(A_MONTGOMERY);
    let u = b.alloc(slope.value().square() - others.value());
    b.enforce(slope, slope, &(&u + others));
    u
}

/// The slopes of the lines from points to other points, in Montgomery coordinates, with one
/// division for all; 0 where both have one `u`.
pub(super) fn chord_slopes(from: &[(Fr, Fr)], to: &[(Fr, Fr)]) -> Vec<Fr> {
    let mut inverses: Vec<Fr> = from.iter().zip(to).map(|(from, to)| to.0 - from.0).collect();
    // Zeros are left as they are, so that one pair without a slope spoils no other.
    ark_ff::batch_inversion(&mut inverses);
    let pairs = from.iter().zip(to).zip(inverses);
    pairs.map(|((from, to), inverse)| (to.1 - from.1) * inverse).collect()
}

/// Montgomery coordinates of points that are neither neutral nor of order two.
pub(super) fn montgomery_values(points: &[native::Point]) -> Vec<(Fr, Fr)> {
    let mut inverses: Vec<Fr> =
        points.iter().flat_map(|point| [Fr::ONE - point.y, point.x]).collect();
    ark_ff::batch_inversion(&mut inverses);
    let (inverses, _) = inverses.as_chunks::<2>();
    let values = points.iter().zip(inverses).map(|(point, [below, x])| {
        let u = (Fr::ONE + point.y) * below;
        (u, u * x)
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::check::{check, rejected};
    use ark_ff::AdditiveGroup;
    use native::{PointSum, Scalar, multiply};

    fn times(scalar: u64) -> native::Point {
        multiply(&native::base(), &Scalar::from(scalar)).into_affine()
    }

    /// A point of order 8: `l` times a point outside the subgroup.
    fn low_order() -> native::Point {
        let points = (2u64..).filter_map(|y| {
            let y = Fr::from(y);
            native::x_of(&y).map(|x| native::point(x, y).expect("on the curve"))
        });
        let mut low = points.map(|point| point.mul_bigint(Scalar::MODULUS).into_affine());
        low.find(|low| low.mul_bigint([4u64]) != PointSum::ZERO).expect("a point of order 8")
    }

    fn enforce_value(b: &mut Builder, point: &Point, value: &native::Point) {
        let expected = Point { x: b.input(value.x), y: b.input(value.y) };
        b.enforce_equal(&point.x, &expected.x);
        b.enforce_equal(&point.y, &expected.y);
    }

    #[test]
    fn edwards_addition_takes_every_pair_of_points() {
        let (low, neutral) = (low_order(), native::Point::zero());
        for (left, right) in [
            (times(2), times(3)),
            (times(2), times(2)),
            (times(2), -times(2)),
            (times(5), neutral),
            (neutral, neutral),
            (low, low),
            (low, times(7)),
        ] {
            let (_, _, movable) = check(|b| {
                let (left_point, right_point) = (point(b, &left), point(b, &right));
                let sum = add(b, &left_point, &right_point);
                enforce_value(b, &sum, &(left + right).into_affine());
            });
            assert_eq!(movable, 0);
        }
    }

    #[test]
    fn montgomery_sums_equal_the_native_ones() {
        let (r1cs, _, movable) = check(|b| {
            let [p, q] = [3, 4].map(|k| point(b, &times(k)));
            let (p, q) = (to_montgomery(b, &p), to_montgomery(b, &q));
            let middle = montgomery_values(&[times(7)])[0];
            let slopes = chord_slopes(&[p.values(); 2], &[q.values(), middle]);
            let double_sum = p.double_add_along(b, &q, [slopes[0], slopes[1]]);
            for (sum, k) in [(p.add(b, &q), 7), (p.double(b), 6), (double_sum, 10)] {
                let sum = to_edwards(b, &sum);
                enforce_value(b, &sum, &times(k));
            }
            let constant = Montgomery::constant(montgomery_values(&[times(9)])[0]);
            let sum = p.add(b, &constant);
            let sum = to_edwards(b, &sum);
            enforce_value(b, &sum, &times(12));
        });
        assert_eq!((r1cs.a.len(), movable), (6 + 4 + (3 + 4 + 5 + 3) + 4 * 4, 0));
    }

    #[test]
    fn points_off_the_curve_and_outside_the_subgroup_are_rejected() {
        let off = native::Point::new_unchecked(Fr::ONE, Fr::ONE);
        let low = low_order();
        let mixed = (low + times(3)).into_affine();
        rejected(|b| {
            point(b, &off);
        });
        for outside in [off, low, mixed, native::Point::new_unchecked(Fr::ZERO, -Fr::ONE)] {
            rejected(|b| {
                subgroup_point(b, &outside);
            });
        }
        for inside in [times(1), times(11), native::Point::zero()] {
            let (r1cs, _, movable) = check(|b| {
                subgroup_point(b, &inside);
            });
            assert_eq!(r1cs.a.len(), 16);
            assert!(movable == 0 || inside.is_zero());
        }
    }

    #[test]
    fn the_neutral_element_has_no_montgomery_form() {
        rejected(|b| {
            let neutral = point(b, &native::Point::zero());
            to_montgomery(b, &neutral);
        });
    }
}
