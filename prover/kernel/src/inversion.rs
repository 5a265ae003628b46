//! One inverse modulo the prime of the coordinates, by Bernstein and Yang's division steps
//! (<https://eprint.iacr.org/2019/266>): 62 steps on the lowest words at a time, then once on the
//! whole numbers.
//!
//! Steps take (f, g), f odd, to pairs with the same greatest common divisor until g is zero. Next
//! to them d and e are kept with f = d x and g = e x modulo p, so that d is the inverse in the end,
//! but for the sign of f. Variable in time.

use crate::field::{Fq, Modulus};

/// Bits of a limb, and steps of a batch.
const BITS: u32 = 62;
const LIMB: u64 = (1 << BITS) - 1;
/// Numbers of 256 bits need at most 741 steps (theorem 11.2 of the paper).
const BATCHES_MAX: usize = 12;

/// Limbs of 62 bits, the last one with the sign.
type Number = [i64; 5];

/// What a batch does: 2^62 times the new f is `f[0]` times the old f and `f[1]` times the old g;
/// `g` for g alike. The numbers of a row sum up to at most 2^62.
struct Steps {
    f: [i64; 2],
    g: [i64; 2],
}

const P: Number = limbs(Fq::P);
const MINUS_ONE: Number = [LIMB as i64, LIMB as i64, LIMB as i64, LIMB as i64, -1];
/// -1 / p modulo 2^62.
const NEGATIVE_INVERSE: u64 = {
    let (p, mut inverse, mut round) = (Fq::P[0], 1u64, 0);
    while round < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
        round += 1;
    }
    inverse.wrapping_neg() & LIMB
};

const fn limbs([a, b, c, d]: [u64; 4]) -> Number {
    [
        (a & LIMB) as i64,
        ((a >> 62 | b << 2) & LIMB) as i64,
        ((b >> 60 | c << 4) & LIMB) as i64,
        ((c >> 58 | d << 6) & LIMB) as i64,
        (d >> 56) as i64,
    ]
}

/// The inverse of x modulo p, between 0 and [`BELOW`] times p, in limbs of 52 bits; `None` if x is
/// zero modulo p.
pub(crate) fn invert(x: [u64; 4]) -> Option<[u64; 5]> {
    let (mut f, mut g, mut d, mut e) = (P, limbs(x), [0; 5], [1, 0, 0, 0, 0]);
    let mut delta = 1;
    for _ in 0..BATCHES_MAX {
        if g == [0; 5] {
            break;
        }
        let steps = batch(&mut delta, f[0], g[0]);
        (f, g) = (combine::<false>(steps.f, &f, &g), combine::<false>(steps.g, &f, &g));
        // Each batch adds at most p to what d and e may be, in either direction.
        (d, e) = (combine::<true>(steps.f, &d, &e), combine::<true>(steps.g, &d, &e));
    }
    match f {
        [1, 0, 0, 0, 0] => Some(positive(&d, true)),
        MINUS_ONE => Some(positive(&d, false)),
        _ => None,
    }
}

/// The bound of [`invert`]'s result in multiples of p.
pub(crate) const BELOW: u32 = 2 * (BATCHES_MAX as u32 + 1);

/// 62 steps. `delta` says how far g may be shorter than f.
fn batch(delta: &mut i64, f: i64, g: i64) -> Steps {
    let (mut f, mut g) = (f as u64, g as u64);
    let ([mut u, mut v], [mut q, mut r]) = ([1u64, 0], [0, 1u64]);
    let mut left = BITS;
    loop {
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        (u, v) = (u << zeros, v << zeros);
        *delta += i64::from(zeros);
        left -= zeros;
        if left == 0 {
            return Steps { f: [u as i64, v as i64], g: [q as i64, r as i64] };
        }
        if *delta > 0 {
            *delta = -*delta;
            (f, g) = (g, f.wrapping_neg());
            ([u, v], [q, r]) = ([q, r], [u.wrapping_neg(), v.wrapping_neg()]);
        }
        // The next steps exchange nothing until delta is positive, so that the multiple of f which
        // clears that many bits of g can be added at once. f (2 - f f) is 1 / f modulo 64.
        let bits = left.min((1 - *delta) as u32).min(6);
        let clears = g.wrapping_mul(f).wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
        let times = clears & ((1 << bits) - 1);
        g = g.wrapping_add(f.wrapping_mul(times));
        q = q.wrapping_add(u.wrapping_mul(times));
        r = r.wrapping_add(v.wrapping_mul(times));
    }
}

/// (a x + b y) / 2^62; where that is no whole number, of the next multiple of p above if `MODULO`.
fn combine<const MODULO: bool>([a, b]: [i64; 2], x: &Number, y: &Number) -> Number {
    let (a, b) = (i128::from(a), i128::from(b));
    let mut sum = a * i128::from(x[0]) + b * i128::from(y[0]);
    let multiple =
        if MODULO { (sum as u64).wrapping_mul(NEGATIVE_INVERSE) & LIMB } else { 0 } as i128;
    sum += multiple * i128::from(P[0]);
    let mut quotient = [0; 5];
    for limb in 1..5 {
        sum >>= BITS;
        sum += a * i128::from(x[limb]) + b * i128::from(y[limb]) + multiple * i128::from(P[limb]);
        quotient[limb - 1] = (sum as u64 & LIMB) as i64;
    }
    quotient[4] = (sum >> BITS) as i64;
    quotient
}

/// d or -d, with the multiple of p that keeps it from being negative, in limbs of 52 bits.
fn positive(d: &Number, plus: bool) -> [u64; 5] {
    let (sign, multiple) = (if plus { 1 } else { -1 }, i128::from(BELOW / 2));
    let (mut sum, mut limbs) = (0i128, [0u64; 5]);
    for (limb, (d, p)) in limbs.iter_mut().zip(d.iter().zip(P)) {
        sum += i128::from(sign * d) + multiple * i128::from(p);
        *limb = sum as u64 & LIMB;
        sum >>= BITS;
    }
    let [a, b, c, d, e] = limbs;
    const SHORT: u64 = (1 << 52) - 1;
    [
        a & SHORT,
        (a >> 52 | b << 10) & SHORT,
        (b >> 42 | c << 20) & SHORT,
        (c >> 32 | d << 30) & SHORT,
        d >> 22 | e << 40,
    ]
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fq as Number;
    use ark_ff::{Field, PrimeField, UniformRand, Zero};
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn value(limbs: [u64; 5]) -> Number {
        let base = Number::from(1u64 << 52);
        limbs.into_iter().rev().fold(Number::zero(), |sum, limb| sum * base + Number::from(limb))
    }

    #[test]
    fn inverses_are_arkworks() {
        let mut rng = StdRng::seed_from_u64(11);
        let ends = (1..200u64).flat_map(|n| [Number::from(n), -Number::from(n)]);
        let powers = (0..254).map(|n| Number::from(2u64).pow([n]));
        let random = (0..2000).map(|_| Number::rand(&mut rng)).collect::<Vec<_>>();
        for x in ends.chain(powers).chain(random) {
            let found = invert(x.into_bigint().0).unwrap();
            assert_eq!(Some(value(found)), x.inverse());
            assert!(found[4] < 1 << 52 && found.iter().all(|limb| *limb < 1 << 52));
            // Another form of the same number, as products have.
            let mut above = x.into_bigint();
            ark_ff::BigInteger::add_with_carry(&mut above, &Number::MODULUS);
            assert_eq!(Some(value(invert(above.0).unwrap())), x.inverse());
        }
    }

    #[test]
    fn zero_has_no_inverse() {
        let mut twice = Number::MODULUS;
        ark_ff::BigInteger::mul2(&mut twice);
        for zero in [[0; 4], Number::MODULUS.0, twice.0] {
            assert_eq!(invert(zero), None);
        }
    }
}
