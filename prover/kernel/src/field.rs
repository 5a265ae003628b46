//! Eight numbers modulo a prime of BN254 at once: five limbs of 52 bits, in Montgomery form with
//! R = 2^260.
//!
//! `Below<M, N>` is at most N times the modulus p. Products are at most 2 p as long as their
//! factors' bounds multiply to at most 84: (a * b + m * p) / R with m < R, and p / R < 0.01182, so
//! 84 * 0.01182 + 1 < 2. Sums and differences are `Raw`: limbs that may be negative or too large,
//! of which one pass of carries, or one reduction, makes a number again.

use std::marker::PhantomData;

use ark_bn254::{FqConfig, FrConfig};
use ark_ff::{BigInt, BigInteger, Fp, MontBackend, MontConfig};

use crate::cpu::Ifma;
use crate::lanes::{Mask, Words, lanes};

pub(crate) const LIMB_BITS: u32 = 52;
const LIMB: u64 = (1 << LIMB_BITS) - 1;

/// An array of an expression for each limb; see `lanes` for why it is no closure.
macro_rules! limbs {
    (|$i:ident| $limb:expr) => {
        [
            {
                const $i: usize = 0;
                $limb
            },
            {
                const $i: usize = 1;
                $limb
            },
            {
                const $i: usize = 2;
                $limb
            },
            {
                const $i: usize = 3;
                $limb
            },
            {
                const $i: usize = 4;
                $limb
            },
        ]
    };
}

/// A modulus of 254 bits and what follows from it.
pub trait Modulus: Copy + Send + Sync + 'static {
    /// The modulus.
    const P: [u64; 4];
    /// Its multiples 0, 1, ..., 15 as limbs.
    const TIMES: [[u64; 5]; 16] = {
        let mut times = [[0; 5]; 16];
        let (mut n, p) = (1, to_limbs(Self::P));
        while n < 16 {
            let (mut limb, mut carry) = (0, 0);
            while limb < 5 {
                let sum = times[n - 1][limb] + p[limb] + carry;
                // The top limb keeps what does not fit: 15 p has 258 bits.
                times[n][limb] = if limb < 4 { sum & LIMB } else { sum };
                carry = if limb < 4 { sum >> LIMB_BITS } else { 0 };
                limb += 1;
            }
            n += 1;
        }
        times
    };
    /// -1 / p modulo 2^52.
    const NEGATIVE_INVERSE: u64 = {
        // Newton's iteration doubles the bits that are right.
        let (p, mut inverse, mut round) = (Self::P[0], 1u64, 0);
        while round < 6 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
            round += 1;
        }
        inverse.wrapping_neg() & LIMB
    };
}

/// The field of coordinates.
#[derive(Clone, Copy)]
pub struct Fq;

/// The field of scalars.
#[derive(Clone, Copy)]
pub(crate) struct Fr;

impl Fq {
    /// R^3 modulo p: 2^780, which stands for 2^524 in arkworks' form.
    pub(crate) const R_CUBED: [u64; 4] = {
        let number: ark_bn254::Fq = ark_ff::MontFp!(
            "10448573426310918382585342781923477953611646569097561149760187679640775014507"
        );
        number.0.0
    };
}

impl Modulus for Fq {
    const P: [u64; 4] = FqConfig::MODULUS.0;
}

impl Modulus for Fr {
    const P: [u64; 4] = FrConfig::MODULUS.0;
}

/// Eight numbers of at most N p each; every limb has 52 bits.
#[derive(Clone, Copy)]
pub struct Below<M, const N: u32> {
    limbs: [Words; 5],
    modulus: PhantomData<M>,
}

/// Eight numbers between 0 and N p whose limbs need carries.
#[derive(Clone, Copy)]
pub(crate) struct Raw<M, const N: u32> {
    limbs: [Words; 5],
    modulus: PhantomData<M>,
}

/// The limbs of a number below 2^256.
pub(crate) const fn to_limbs(words: [u64; 4]) -> [u64; 5] {
    let [a, b, c, d] = words;
    [
        a & LIMB,
        ((a >> 52) | (b << 12)) & LIMB,
        ((b >> 40) | (c << 24)) & LIMB,
        ((c >> 28) | (d << 36)) & LIMB,
        d >> 16,
    ]
}

impl<M: Modulus, const N: u32> Below<M, N> {
    #[inline(always)]
    fn of(limbs: [Words; 5]) -> Self {
        Self { limbs, modulus: PhantomData }
    }

    /// The same numbers under a looser bound.
    #[inline(always)]
    pub(crate) fn loosen<const O: u32>(self) -> Below<M, O> {
        const { assert!(O >= N) };
        Below::of(self.limbs)
    }

    #[inline(always)]
    pub(crate) fn raw(self) -> Raw<M, N> {
        Raw { limbs: self.limbs, modulus: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn select(cpu: Ifma, mask: Mask, yes: Self, no: Self) -> Self {
        Self::of(limbs!(|I| cpu.select(mask, yes.limbs[I], no.limbs[I])))
    }

    /// Where every limb is zero: exactly zero, not a multiple of p.
    #[inline(always)]
    pub(crate) fn is_zero_exactly(self, cpu: Ifma) -> Mask {
        let [a, b, c, d, e] = self.limbs;
        let any = cpu.or(cpu.or(cpu.or(a, b), cpu.or(c, d)), e);
        cpu.equal(any, cpu.zero())
    }

    #[inline(always)]
    fn equals_constant(self, cpu: Ifma, constant: &[u64; 5]) -> Mask {
        let [a, b, c, d, e] = limbs!(|I| cpu.equal(self.limbs[I], cpu.splat(constant[I])));
        a & b & c & d & e
    }

    /// Where the number is zero modulo p.
    #[inline(always)]
    pub(crate) fn is_zero(self, cpu: Ifma) -> Mask {
        const { assert!(N < 16) };
        let mut zero = 0;
        for multiple in &M::TIMES[..=N as usize] {
            zero |= self.equals_constant(cpu, multiple);
        }
        zero
    }

    /// a * b / R.
    #[inline(always)]
    pub(crate) fn mul<const O: u32>(self, cpu: Ifma, other: Below<M, O>) -> Below<M, 2> {
        const { assert!(N * O <= 84, "the product would pass 2 p") };
        let p = limbs!(|I| cpu.splat(M::TIMES[1][I]));
        let factor = cpu.splat(M::NEGATIVE_INVERSE);
        let (a, zero) = (self.limbs, cpu.zero());
        let mut t = [zero; 5];
        // One limb of b a round: add a * b[i], add the multiple of p that clears the lowest limb,
        // drop that limb. Sums grow to fewer than 2^57: no carry but the dropped limb's is needed.
        for b in other.limbs {
            t[0] = cpu.add_product_low(t[0], a[0], b);
            let m = cpu.add_product_low(zero, t[0], factor);
            for i in 1..5 {
                t[i] = cpu.add_product_low(t[i], a[i], b);
            }
            for i in 0..5 {
                t[i] = cpu.add_product_low(t[i], m, p[i]);
            }
            let carried = cpu.add(t[1], cpu.shift_right::<LIMB_BITS>(t[0]));
            let low = [carried, t[2], t[3], t[4], zero];
            for i in 0..5 {
                t[i] = cpu.add_product_high(low[i], a[i], b);
            }
            for i in 0..5 {
                t[i] = cpu.add_product_high(t[i], m, p[i]);
            }
        }
        carry(cpu, t)
    }

    /// a * a / R. Products of two different limbs are made once and doubled.
    #[inline(always)]
    pub(crate) fn square(self, cpu: Ifma) -> Below<M, 2> {
        const { assert!(N * N <= 84, "the square would pass 2 p") };
        let (a, zero) = (self.limbs, cpu.zero());
        let mut t = [zero; 10];
        for i in 0..5 {
            for j in i + 1..5 {
                t[i + j] = cpu.add_product_low(t[i + j], a[i], a[j]);
                t[i + j + 1] = cpu.add_product_high(t[i + j + 1], a[i], a[j]);
            }
        }
        for limb in &mut t[1..9] {
            *limb = cpu.add(*limb, *limb);
        }
        for i in 0..5 {
            t[2 * i] = cpu.add_product_low(t[2 * i], a[i], a[i]);
            t[2 * i + 1] = cpu.add_product_high(t[2 * i + 1], a[i], a[i]);
        }
        reduce_product(cpu, t)
    }
}

/// Eight products, or sums of them, before the reduction: between 0 and N p^2, in ten limbs of less
/// than 2^60 either way.
#[derive(Clone, Copy)]
pub(crate) struct Wide<M, const N: u32> {
    limbs: [Words; 10],
    modulus: PhantomData<M>,
}

impl<M: Modulus, const N: u32> Below<M, N> {
    /// a * b, which is at most O p^2.
    #[inline(always)]
    pub(crate) fn wide<const B: u32, const O: u32>(
        self,
        cpu: Ifma,
        other: Below<M, B>,
    ) -> Wide<M, O> {
        const { assert!(N * B <= O) };
        let mut t = [cpu.zero(); 10];
        for i in 0..5 {
            for j in 0..5 {
                t[i + j] = cpu.add_product_low(t[i + j], self.limbs[i], other.limbs[j]);
                t[i + j + 1] = cpu.add_product_high(t[i + j + 1], self.limbs[i], other.limbs[j]);
            }
        }
        Wide { limbs: t, modulus: PhantomData }
    }
}

impl<M: Modulus, const N: u32> Wide<M, N> {
    /// a - b, where the caller knows that b is not larger.
    #[inline(always)]
    pub(crate) fn less<const B: u32>(self, cpu: Ifma, other: Wide<M, B>) -> Self {
        let mut limbs = self.limbs;
        for (limb, other) in limbs.iter_mut().zip(other.limbs) {
            *limb = cpu.sub(*limb, other);
        }
        Wide { limbs, modulus: PhantomData }
    }

    /// a - b + B p^2.
    #[inline(always)]
    pub(crate) fn minus<const B: u32, const O: u32>(
        self,
        cpu: Ifma,
        other: Wide<M, B>,
    ) -> Wide<M, O> {
        const { assert!(N + B <= O) };
        let square = const { times_square(M::TIMES[1], B as u64) };
        let mut limbs = self.limbs;
        for (limb, (other, square)) in limbs.iter_mut().zip(other.limbs.iter().zip(square)) {
            *limb = cpu.add(cpu.sub(*limb, *other), cpu.splat(square));
        }
        Wide { limbs, modulus: PhantomData }
    }

    /// The number / R.
    #[inline(always)]
    pub(crate) fn reduce(self, cpu: Ifma) -> Below<M, 2> {
        const { assert!(N <= 84, "the quotient would pass 2 p") };
        reduce_product(cpu, self.limbs)
    }
}

/// n p^2 in limbs.
const fn times_square(p: [u64; 5], n: u64) -> [u64; 10] {
    let (mut limbs, mut i) = ([0u64; 10], 0);
    while i < 5 {
        let (mut j, mut carry) = (0, 0u128);
        while j < 5 {
            let sum = limbs[i + j] as u128 + p[i] as u128 * p[j] as u128 * n as u128 + carry;
            limbs[i + j] = sum as u64 & LIMB;
            carry = sum >> LIMB_BITS;
            j += 1;
        }
        // The limb above is not reached by the rows before.
        limbs[i + 5] = carry as u64;
        i += 1;
    }
    limbs
}

/// The number t / R, of ten limbs of fewer than 2^60.
#[inline(always)]
fn reduce_product<M: Modulus>(cpu: Ifma, mut t: [Words; 10]) -> Below<M, 2> {
    let p = limbs!(|I| cpu.splat(M::TIMES[1][I]));
    let (factor, zero) = (cpu.splat(M::NEGATIVE_INVERSE), cpu.zero());
    for i in 0..5 {
        let m = cpu.add_product_low(zero, t[i], factor);
        for j in 0..5 {
            t[i + j] = cpu.add_product_low(t[i + j], m, p[j]);
        }
        t[i + 1] = cpu.add(t[i + 1], cpu.shift_right_signed::<LIMB_BITS>(t[i]));
        for j in 0..5 {
            t[i + j + 1] = cpu.add_product_high(t[i + j + 1], m, p[j]);
        }
    }
    carry(cpu, [t[5], t[6], t[7], t[8], t[9]])
}

/// Limbs of 52 bits; only the top one keeps what does not fit, which is nothing below 2^260.
#[inline(always)]
fn carry<M: Modulus, const N: u32>(cpu: Ifma, mut t: [Words; 5]) -> Below<M, N> {
    let limb = cpu.splat(LIMB);
    for i in 0..4 {
        t[i + 1] = cpu.add(t[i + 1], cpu.shift_right_signed::<LIMB_BITS>(t[i]));
        t[i] = cpu.and(t[i], limb);
    }
    Below::of(t)
}

impl<M: Modulus, const N: u32> Raw<M, N> {
    /// By limb: the multiples 0 to 6 of p, then -1.
    const MULTIPLES: [[u64; 8]; 5] = {
        let (mut table, mut limb) = ([[0; 8]; 5], 0);
        while limb < 5 {
            let mut n = 0;
            while n < 7 {
                table[limb][n] = M::TIMES[n][limb];
                n += 1;
            }
            table[limb][7] = M::TIMES[1][limb].wrapping_neg();
            limb += 1;
        }
        table
    };

    #[inline(always)]
    fn of(limbs: [Words; 5]) -> Self {
        Self { limbs, modulus: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn plus<const B: u32, const O: u32>(
        self,
        cpu: Ifma,
        other: Below<M, B>,
    ) -> Raw<M, O> {
        const { assert!(N + B <= O) };
        Raw::of(limbs!(|I| cpu.add(self.limbs[I], other.limbs[I])))
    }

    /// a - b, with the multiple of p that keeps it from being negative.
    #[inline(always)]
    pub(crate) fn minus<const B: u32, const O: u32>(
        self,
        cpu: Ifma,
        other: Below<M, B>,
    ) -> Raw<M, O> {
        const { assert!(N + B <= O && B < 16) };
        let multiple = &M::TIMES[B as usize];
        Raw::of(limbs!(|I| {
            cpu.add(cpu.sub(self.limbs[I], other.limbs[I]), cpu.splat(multiple[I]))
        }))
    }

    /// The same number, its limbs in order.
    #[inline(always)]
    pub(crate) fn carry(self, cpu: Ifma) -> Below<M, N> {
        const { assert!(N <= 84, "84 p has 260 bits") };
        carry(cpu, self.limbs)
    }

    /// The number less that multiple of p which leaves at most 2 p, in fact little more than
    /// 3 p / 2.
    ///
    /// The multiple q comes from the top limb alone, which says the number to one part in 2^40,
    /// carries from below included: q is the whole number next to v / p - 1, so that v - q p lies
    /// between p / 2 and 3 p / 2, but for less than p / 2^20. For v < p / 2 that is -1, which the
    /// table holds at place 7.
    #[inline(always)]
    pub(crate) fn reduce(self, cpu: Ifma) -> Below<M, 2> {
        const { assert!(N <= 6, "the table holds -1 to 6") };
        let top = M::TIMES[1][4] as f64 + M::TIMES[1][3] as f64 / (1u64 << LIMB_BITS) as f64;
        let q = cpu.round_scaled(self.limbs[4], 1.0 / top, -1.0);
        let table = const { &Self::MULTIPLES };
        carry(cpu, limbs!(|I| cpu.sub(self.limbs[I], cpu.look_up(q, cpu.load(&table[I])))))
    }
}

impl<M: Modulus, const N: u32> Below<M, N> {
    #[inline(always)]
    pub(crate) fn splat(cpu: Ifma, words: [u64; 4]) -> Self {
        let words = to_limbs(words);
        Self::of(limbs!(|I| cpu.splat(words[I])))
    }

    /// The same number in every lane, from limbs of 52 bits.
    #[inline(always)]
    pub(crate) fn splat_limbs(cpu: Ifma, limbs: [u64; 5]) -> Self {
        Self::of(limbs!(|I| cpu.splat(limbs[I])))
    }

    /// Each lane is that which lies `DISTANCE` away, forward or backward: 1, 2 or 4.
    #[inline(always)]
    pub(crate) fn exchange<const DISTANCE: u64>(self, cpu: Ifma) -> Self {
        let index = cpu.load(&const { lanes!(|I| I as u64 ^ DISTANCE) });
        Self::of(limbs!(|I| cpu.look_up(index, self.limbs[I])))
    }

    /// From four columns: lane i of column j is word j of number i.
    #[inline(always)]
    pub(crate) fn unpack(cpu: Ifma, [a, b, c, d]: [Words; 4]) -> Self {
        let limb = cpu.splat(LIMB);
        Self::of([
            cpu.and(a, limb),
            cpu.and(cpu.or(cpu.shift_right::<52>(a), cpu.shift_left::<12>(b)), limb),
            cpu.and(cpu.or(cpu.shift_right::<40>(b), cpu.shift_left::<24>(c)), limb),
            cpu.and(cpu.or(cpu.shift_right::<28>(c), cpu.shift_left::<36>(d)), limb),
            cpu.shift_right::<16>(d),
        ])
    }

    /// To four columns; what is below 2^256 fits.
    #[inline(always)]
    pub(crate) fn pack(self, cpu: Ifma) -> [Words; 4] {
        const { assert!(N <= 5, "5 p has 256 bits") };
        let [a, b, c, d, e] = self.limbs;
        [
            cpu.or(a, cpu.shift_left::<52>(b)),
            cpu.or(cpu.shift_right::<12>(b), cpu.shift_left::<40>(c)),
            cpu.or(cpu.shift_right::<24>(c), cpu.shift_left::<28>(d)),
            cpu.or(cpu.shift_right::<36>(d), cpu.shift_left::<16>(e)),
        ]
    }

    /// Exchanges vectors and lanes.
    #[inline(always)]
    pub(crate) fn transpose(cpu: Ifma, v: [Self; 8]) -> [Self; 8] {
        let rows = limbs!(|I| {
            let [a, b, c, d, e, f, g, h] = &v;
            cpu.transpose([
                a.limbs[I], b.limbs[I], c.limbs[I], d.limbs[I], e.limbs[I], f.limbs[I], g.limbs[I],
                h.limbs[I],
            ])
        });
        let [a, b, c, d, e] = rows;
        lanes!(|I| Self::of([a[I], b[I], c[I], d[I], e[I]]))
    }

    /// The eight numbers, word by word.
    pub(crate) fn to_words(self, cpu: Ifma) -> [[u64; 4]; 8] {
        let columns = self.pack(cpu).map(|column| {
            let mut words = [0; 8];
            cpu.store(&mut words, column);
            words
        });
        std::array::from_fn(|lane| columns.map(|column| column[lane]))
    }

    /// Eight numbers of at most N p.
    pub(crate) fn from_words(cpu: Ifma, numbers: [[u64; 4]; 8]) -> Self {
        let column = |word: usize| cpu.load(&numbers.map(|number| number[word]));
        Self::unpack(cpu, [column(0), column(1), column(2), column(3)])
    }
}

/// A field of arkworks and its numbers in the kernel's form: arkworks has R = 2^256.
pub(crate) trait Numbers: Modulus {
    /// Montgomery form of arkworks.
    type Config: MontConfig<4>;
    /// 1 / 16.
    const SIXTEENTH: Fp<MontBackend<Self::Config, 4>, 4>;

    /// The words of x in the kernel's form.
    fn to_kernel(x: Fp<MontBackend<Self::Config, 4>, 4>) -> [u64; 4] {
        (x * Fp::from(16u64)).0.0
    }

    /// The number that words of the kernel's form, at most 5 p, stand for.
    fn from_kernel(words: [u64; 4]) -> Fp<MontBackend<Self::Config, 4>, 4> {
        Fp::new_unchecked(canonical::<Self>(words)) * Self::SIXTEENTH
    }
}

/// The number below p that is the same modulo p.
pub(crate) fn canonical<M: Modulus>(words: [u64; 4]) -> BigInt<4> {
    let (mut number, p) = (BigInt::new(words), BigInt::new(M::P));
    while number >= p {
        number.sub_with_borrow(&p);
    }
    number
}

impl Numbers for Fq {
    type Config = FqConfig;
    const SIXTEENTH: ark_bn254::Fq = ark_ff::MontFp!(
        "12312136615409592312513603231707217237391675025980025810262583815737939742328"
    );
}

impl Numbers for Fr {
    type Config = FrConfig;
    const SIXTEENTH: ark_bn254::Fr = ark_ff::MontFp!(
        "20520227692349320520856005386178695395514091625390032197217066424914820464641"
    );
}
