//! Verification of circomlibjs's EdDSA-Poseidon, in 2,932 rows.
//!
//! The equation is `S B8 = R8 + h 8 A`, with the set of accepted signatures that
//! [`statement::eddsa`] states. With a fixed point `U` and `Q = 4 A` it is checked as
//!
//! ```text
//! fixed    = 2^254 U + S B8 + Q              84 signed digits of three bits, tables of constants
//! variable = 2^254 (U + Q) + sum of +-2^i Q   one doubling and one addition for each bit of h
//!          = 2^254 U + (2 h + 1) Q
//! fixed    = R8 + variable
//! ```
//!
//! # Why the short additions are sound
//! They leave the sum free only where both points are equal. Every sum on the way is a known
//! multiple of `U` plus known multiples of `B8` and `A`, so that equal points show a relation
//! between them. `U` is hashed to the curve: nobody knows its multiple of `B8`. There remains a key
//! made from `U` on purpose: its maker, who does not know its secret scalar, can make this circuit
//! accept what the native check rejects. That is no more than the holder of a key can do for that
//! key, it concerns no other key, and the native check stands before every batch.
//!
//! Only the digits of `S` modulo `l` are used, so that every `S` below `l` has digits here, and any
//! digits are those of one `S` modulo `l`.

use super::babyjubjub::{self, Montgomery, Point, chord_slopes, montgomery_values};
use super::poseidon;
use crate::builder::{Bit, Builder, Num};
use ark_bn254::Fr;
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use statement::babyjubjub::{self as native, PointSum, Scalar};
use statement::domain::Domain;
use statement::eddsa::{CHALLENGE_UPPER, CHALLENGE_UPPER_BOUND, Signature};
use statement::field::from_u128;
use std::sync::OnceLock;

/// A point of the prime-order subgroup. The neutral element fails in [`verify_if`] only.
#[derive(Clone)]
pub struct PublicKey(Point);

impl PublicKey {
    /// Allocates a key and puts it into the subgroup: 16 rows.
    pub fn alloc(b: &mut Builder, point: &native::Point) -> Self {
        Self(babyjubjub::subgroup_point(b, point))
    }

    /// The point itself.
    pub fn point(&self) -> &Point {
        &self.0
    }

    /// The word by which records and rules name this key: 240 rows.
    pub fn hash(&self, b: &mut Builder) -> Num {
        poseidon::hash(b, Domain::KeyHash.tag(), &[self.0.x.clone(), self.0.y.clone()])
    }
}

/// Enforces that `signature` is one of `public` for `message` where `condition` is 1. Elsewhere the
/// key must still be a key and `R8` a point of the curve: a padding row uses any of them.
pub fn verify_if(
    b: &mut Builder,
    condition: &Bit,
    public: &PublicKey,
    message: &Num,
    signature: &Signature,
) {
    let key = &public.0;
    let r8 = babyjubjub::point(b, &signature.r8);
    let inputs = [&r8.x, &r8.y, &key.x, &key.y, message].map(Num::clone);
    let h = poseidon::hash(b, Domain::Eddsa.tag(), &inputs);
    let h = challenge_bits(b, &h);
    // Never (0, -1), whose `v` would be free: that point has order two, and the key is in the
    // subgroup.
    let key = babyjubjub::to_montgomery(b, key);
    let twice = key.double(b);
    let q = twice.double(b);

    // Q stands on both sides: the variable part holds an odd multiple of it, because a bit as a
    // sign can add or subtract but not leave out.
    let fixed = fixed_base(b, &signature.s).add(b, &q);
    // Nor is any sum the point of order two, whose `x` would be free: all addends are in the
    // subgroup.
    let fixed = babyjubjub::to_edwards(b, &fixed);
    let variable = variable_base(b, &q, four_times(&public.0), &h);
    let variable = babyjubjub::to_edwards(b, &variable);
    // R8 is the signer's choice and may be any point, so that only the complete addition will do.
    let sum = babyjubjub::add(b, &r8, &variable);
    b.enforce_equal_if(condition, &fixed.x, &sum.x);
    b.enforce_equal_if(condition, &fixed.y, &sum.y);
}

/// The canonical bits of `h`, the lowest first: 384 rows. Violated where the upper 128 are those of
/// `r`, as the native check says.
fn challenge_bits(b: &mut Builder, h: &Num) -> Vec<Bit> {
    let bits = b.bits(h, CHALLENGE_BITS);
    enforce_one_form(b, &bits);
    bits
}

/// Enforces that the upper 128 of 254 bits lie below those of `r`: 129 rows.
fn enforce_one_form(b: &mut Builder, bits: &[Bit]) {
    // 254 bits that are h modulo r may also hold h + r, whose upper bits are at least those of r.
    // Below them only h is left, whatever its lower 126 bits are.
    let upper = Num::pack(&bits[CHALLENGE_UPPER as usize..]);
    let largest = Num::constant(from_u128(CHALLENGE_UPPER_BOUND - 1));
    b.range(&(largest - upper), CHALLENGE_BITS - CHALLENGE_UPPER as usize);
}

/// The value of `4 key`.
fn four_times(key: &Point) -> PointSum {
    let key = native::Point::new_unchecked(key.x.value(), key.y.value());
    PointSum::from(key).double().double()
}

/// `2^254 U + (2 h + 1) q`: `1 = -1 + 2`, and a bit as a sign is `2 bit - 1`.
fn variable_base(b: &mut Builder, q: &Montgomery, q_value: PointSum, h: &[Bit]) -> Montgomery {
    // It doubles with the sum, once for each bit, which is why the fixed part begins at 2^254 U.
    let start = Montgomery::constant(tables().start.1);
    let mut sum = q.add(b, &start);
    for (bit, hints) in h.iter().rev().zip(variable_slopes(q_value, h)) {
        let sign = bit.num() * Fr::from(2u8) - Num::one();
        let v = b.product(&sign, &q.v);
        sum = sum.double_add_along(b, &Montgomery { u: q.u.clone(), v }, hints);
    }
    sum
}

/// The two slopes of every step of [`variable_base`], with few divisions for all.
fn variable_slopes(q: PointSum, h: &[Bit]) -> Vec<[Fr; 2]> {
    let mut sum = q + tables().start.0;
    let mut points = Vec::with_capacity(3 * h.len());
    for bit in h.iter().rev() {
        let other = if bit.value() { q } else { -q };
        let middle = sum + other;
        points.extend([sum, other, middle]);
        sum += middle;
    }
    let values = montgomery_values(&native::normalize(&points));
    let steps = values.as_chunks::<3>().0;
    let from: Vec<_> = steps.iter().flat_map(|[sum, ..]| [*sum; 2]).collect();
    let to: Vec<_> = steps.iter().flat_map(|[_, other, middle]| [*other, *middle]).collect();
    chord_slopes(&from, &to).as_chunks::<2>().0.to_vec()
}

/// `2^254 U + s B8`: 8 rows a digit.
fn fixed_base(b: &mut Builder, s: &Scalar) -> Montgomery {
    let tables = tables();
    // A start of unknown logarithm keeps sums and addends apart. The variable part has the same, so
    // that it falls out of the equation.
    let mut sum = Montgomery::constant(tables.start_shifted.1);
    let slopes = fixed_slopes(s);
    for ((window, digit), slope) in tables.windows.iter().zip(digits(s)).zip(slopes) {
        let low = b.bit(digit.half & 1 == 1);
        let high = b.bit(digit.half & 2 == 2);
        // The sign costs one product instead of four more table entries.
        let negative = b.bit(digit.negative);
        let both = b.and(&low, &high);
        let u = look_up(&window.map(|entry| entry.1.0), &low, &high, &both);
        let v = look_up(&window.map(|entry| entry.1.1), &low, &high, &both);
        let sign = Num::one() - negative.num() * Fr::from(2u8);
        let v = b.product(&sign, &v);
        sum = sum.add_along(b, &Montgomery { u, v }, slope);
    }
    sum
}

/// The slope of every addition of [`fixed_base`], with few divisions for all.
fn fixed_slopes(s: &Scalar) -> Vec<Fr> {
    let tables = tables();
    let mut sum = PointSum::from(tables.start_shifted.0);
    let mut sums = Vec::with_capacity(WINDOWS);
    let mut others = Vec::with_capacity(WINDOWS);
    for (window, digit) in tables.windows.iter().zip(digits(s)) {
        let (point, (u, v)) = window[usize::from(digit.half)];
        sums.push(sum);
        others.push((u, if digit.negative { -v } else { v }));
        sum += if digit.negative { -point } else { point };
    }
    chord_slopes(&montgomery_values(&native::normalize(&sums)), &others)
}

/// One of four constants by two bits and their product: no row.
fn look_up([c0, c1, c2, c3]: &[Fr; 4], low: &Bit, high: &Bit, both: &Bit) -> Num {
    let terms = [(*c1 - c0, low.num()), (*c2 - c0, high.num()), (*c3 - c2 - c1 + c0, both.num())];
    Num::combination(terms) + Num::constant(*c0)
}

const CHALLENGE_BITS: usize = 254;
const WINDOWS: usize = 84;
const WINDOW_BITS: usize = 3;

/// The odd digit `2 half + 1`, or its negative.
struct Digit {
    negative: bool,
    half: u8,
}

/// 84 odd digits to the base 8, from -7 to 7, of an integer that is `s` modulo `l`.
///
/// With digits `2 e_i - 7` the integer is `2 E - (8^84 - 1)`, where the `e_i` are the digits of
/// `E`. So `E = (s + 8^84 - 1) / 2` modulo `l`, which is below `8^84`.
fn digits(s: &Scalar) -> impl Iterator<Item = Digit> {
    let top = Scalar::from(2u8).pow([(WINDOWS * WINDOW_BITS) as u64]);
    let halved = ((top - Scalar::ONE + s) / Scalar::from(2u8)).into_bigint();
    (0..WINDOWS).map(move |window| {
        let bit = |place| u8::from(halved.get_bit(window * WINDOW_BITS + place));
        let half = bit(0) + 2 * bit(1);
        let negative = bit(2) == 0;
        Digit { negative, half: if negative { 3 - half } else { half } }
    })
}

/// A point and its Montgomery coordinates.
type Entry = (native::Point, (Fr, Fr));

struct Tables {
    /// For each window the multiples 1, 3, 5 and 7 of `8^window B8`.
    windows: Vec<[Entry; 4]>,
    /// `U`.
    start: Entry,
    /// `2^254 U`.
    start_shifted: Entry,
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let start = start_point();
        let shifted = (0..CHALLENGE_BITS).fold(PointSum::from(start), |sum, _| sum.double());
        // All sums first, then one division for all of them.
        let mut sums = vec![start.into(), shifted];
        let mut base = PointSum::from(native::base());
        for _ in 0..WINDOWS {
            let twice = base.double();
            let odd = std::iter::successors(Some(base), |sum| Some(*sum + twice));
            sums.extend(odd.take(4));
            base = twice.double().double();
        }
        let points = native::normalize(&sums);
        let values = montgomery_values(&points);
        let entries: Vec<Entry> = points.into_iter().zip(values).collect();
        let (windows, _) = entries[2..].as_chunks::<4>();
        Tables { windows: windows.to_vec(), start: entries[0], start_shifted: entries[1] }
    })
}

/// `U`: 8 times the point with the first y of `Poseidon(1), Poseidon(2), ...` that has one, and the
/// x of it that circomlibjs packs without a sign.
fn start_point() -> native::Point {
    let ys = (1u64..).map(|k| statement::poseidon::hash(Domain::CurveStart.tag(), &[k.into()]));
    let mut points = ys.filter_map(|y| native::unpack(&statement::field::to_bytes_le(&y)).ok());
    let point = points.next().expect("half of all y have a point").mul_by_cofactor();
    assert!(!point.is_zero(), "a point of low order has probability 2^-251");
    point
}

#[cfg(test)]
mod tests;
