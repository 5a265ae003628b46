//! The quotient of a Groth16 proof: from the values of A, B at the n-th roots of unity to those of
//! A B - C at the odd 2n-th roots.
//!
//! ```text
//! values at the even roots      element l n/8 + i in vector i/8 + l n/64, lane i mod 8
//!   across lanes: transforms of 8 over l, twiddles, 8 x 8 transposes
//!   eight lanes at once: transforms of n/8 over i, down to bit-reversed order
//! coefficients                  frequency 8 bitrev(j) + l in vector j, lane l
//!   times w^k / n, w a 2n-th root: the coset
//!   eight lanes at once: transforms of n/8 up from bit-reversed order
//!   across lanes: transposes, twiddles, transforms of 8
//! values at the odd roots       as they came
//! ```
//!
//! The long transforms go two levels a pass over memory and depth first, so that all but the first
//! passes work in the cache.

use ark_bn254::Fr as Scalar;
use ark_ff::{BigInt, FftField, Field, One};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::cpu::Ifma;
use crate::field::{Below, Fr, Numbers, Raw, canonical};
use crate::lanes::lanes;
use crate::turns::{give_way, give_way_every};

/// Least size of a domain: one transform of eight on vectors of eight.
pub const SIZE_MIN: usize = 64;
/// Vectors below which a transform is one task.
const TASK: usize = 1 << 10;
/// Transforms of eight vectors between two turns.
const BLOCKS: usize = 1 << 8;

type Eight = Below<Fr, 2>;
/// A twiddle, the same in all lanes.
type Twiddle = [u64; 4];

/// The roots of unity of a domain of n rows, for quotients.
pub struct Quotients {
    cpu: Ifma,
    size: usize,
    down: Roots,
    up: Roots,
    /// The powers of the odd coset, over n, in the order of the coefficients.
    coset: Vec<Eight>,
}

/// Powers of a root of unity, as one direction needs them.
struct Roots {
    /// By level, the longest first: the powers of the level's root, half as many as it is long.
    levels: Vec<Vec<Twiddle>>,
    /// The powers 0 to 3 of the eighth root.
    eighth: [Twiddle; 4],
    /// What stands between the transforms of eight and the long ones: for vector 8 b + r, lane l
    /// the power r (8 b + l).
    between: Vec<Eight>,
}

impl Quotients {
    /// Roots for a domain of `size` rows, a power of two; `None` below [`SIZE_MIN`] or where the
    /// field has no 2n-th root.
    pub fn new(cpu: Ifma, size: usize) -> Option<Self> {
        if size < SIZE_MIN || !size.is_power_of_two() {
            return None;
        }
        let odd = Scalar::get_root_of_unity(2 * size as u64)?;
        let root = odd.square();
        let vectors = size / 8;
        let over = Scalar::from(size as u64).inverse()?;
        let powers: Vec<Scalar> = powers(odd, size).map(|power| power * over).collect();
        let bits = vectors.trailing_zeros();
        let coset = (0..vectors).map(|vector| {
            let frequency = 8 * (vector.reverse_bits() >> (usize::BITS - bits));
            eight(cpu, std::array::from_fn(|lane| powers[frequency + lane]))
        });
        let coset = coset.collect();
        let (down, up) = (Roots::new(cpu, root.inverse()?, size), Roots::new(cpu, root, size));
        Some(Self { cpu, size, down, up, coset })
    }

    /// A B - C at the odd roots, below the group's order, from the values of A and B at the even
    /// ones, zeros behind them. C is A B there.
    ///
    /// # Panics
    /// If a slice is longer than the domain.
    pub fn quotient(&self, a: &[Scalar], b: &[Scalar]) -> Zeroizing<Vec<BigInt<4>>> {
        assert!(a.len() <= self.size && b.len() <= self.size, "the rows fit the domain");
        let (mut a, mut b) = (self.load(a), self.load(b));
        give_way();
        let mut c = Wiped::zeros(self.cpu, self.size / 8);
        give_way();
        // SAFETY: the token says that the processor has the features.
        unsafe { multiply(self.cpu, &a.values, &b.values, &mut c.values) };
        let _: Vec<()> = [&mut a, &mut b, &mut c]
            .into_par_iter()
            .map(|values| self.to_odd(&mut values.values))
            .collect();
        let mut scalars = Zeroizing::new(vec![BigInt::new([0; 4]); self.size]);
        scalars.par_chunks_mut(8 * TASK).enumerate().for_each(|(task, scalars)| {
            give_way();
            let at = task * TASK..task * TASK + scalars.len() / 8;
            // SAFETY: as above.
            unsafe {
                finish(self.cpu, [&a, &b, &c].map(|all| &all.values[at.clone()]), scalars);
            }
        });
        scalars
    }

    fn load(&self, values: &[Scalar]) -> Wiped {
        give_way();
        let mut vectors = Wiped::zeros(self.cpu, self.size / 8);
        // In arkworks' form 256 is 2^264 modulo the order: what takes a number of arkworks to the
        // kernel's form in one product.
        let factor = Scalar::from(256u64).0.0;
        let tasks = vectors.values.par_chunks_mut(TASK).zip(values.par_chunks(8 * TASK));
        tasks.for_each(|(vectors, values)| {
            give_way();
            // SAFETY: the token says that the processor has the features.
            unsafe { load(self.cpu, factor, values, vectors) }
        });
        vectors
    }

    fn to_odd(&self, values: &mut [Eight]) {
        give_way();
        let mut between = Wiped::zeros(self.cpu, values.len());
        // SAFETY: the token says that the processor has the features.
        unsafe {
            spread(self.cpu, &self.down, values, &mut between.values);
            go_down(self.cpu, &self.down.levels, &mut between.values);
            give_way();
            scale(self.cpu, &mut between.values, &self.coset);
            go_up(self.cpu, &self.up.levels, &mut between.values);
            gather(self.cpu, &self.up, &between.values, values);
        }
    }
}

/// Values that say what the witness is, zeroised when dropped.
struct Wiped {
    cpu: Ifma,
    values: Vec<Eight>,
}

impl Wiped {
    fn zeros(cpu: Ifma, count: usize) -> Self {
        let mut values = crate::pages::with_capacity(count);
        values.resize(count, Eight::splat(cpu, [0; 4]));
        Self { cpu, values }
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.values.fill(Eight::splat(self.cpu, [0; 4]));
        // Else the compiler may leave out writes that nobody reads.
        std::hint::black_box(&mut self.values);
    }
}

impl Roots {
    fn new(cpu: Ifma, root: Scalar, size: usize) -> Self {
        let vectors = size / 8;
        let twiddle = |scalar: Scalar| Fr::to_kernel(scalar);
        // Each lane's transform has every eighth of the n-th roots.
        let (mut levels, mut own, mut length) = (Vec::new(), root.pow([8u64]), vectors);
        while length >= 2 {
            levels.push(powers(own, length / 2).map(twiddle).collect());
            (own, length) = (own.square(), length / 2);
        }
        let mut eighth = powers(root.pow([vectors as u64]), 4).map(twiddle);
        let eighth = std::array::from_fn(|_| eighth.next().expect("four powers"));
        let all: Vec<Scalar> = powers(root, size).collect();
        let between = (0..vectors).map(|vector| {
            let (block, row) = (vector / 8, vector % 8);
            eight(cpu, std::array::from_fn(|lane| all[row * (8 * block + lane) % size]))
        });
        Self { levels, eighth, between: between.collect() }
    }
}

fn powers(root: Scalar, count: usize) -> impl Iterator<Item = Scalar> {
    std::iter::successors(Some(Scalar::one()), move |power| Some(*power * root)).take(count)
}

fn eight(cpu: Ifma, scalars: [Scalar; 8]) -> Eight {
    Below::from_words(cpu, scalars.map(Fr::to_kernel))
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn load(cpu: Ifma, factor: [u64; 4], values: &[Scalar], vectors: &mut [Eight]) {
    let factor = Below::<Fr, 1>::splat(cpu, factor);
    for (vector, values) in vectors.iter_mut().zip(values.chunks(8)) {
        let mut words = [[0; 4]; 8];
        for (words, value) in words.iter_mut().zip(values) {
            *words = value.0.0;
        }
        *vector = Below::<Fr, 1>::from_words(cpu, words).mul(cpu, factor);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn multiply(cpu: Ifma, a: &[Eight], b: &[Eight], products: &mut [Eight]) {
    for ((product, a), b) in products.iter_mut().zip(a).zip(b) {
        *product = a.mul(cpu, *b);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn scale(cpu: Ifma, values: &mut [Eight], factors: &[Eight]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value = value.mul(cpu, *factor);
    }
}

/// a b - c as plain numbers.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn finish(cpu: Ifma, [a, b, c]: [&[Eight]; 3], scalars: &mut [BigInt<4>]) {
    let one = Below::<Fr, 1>::splat(cpu, [1, 0, 0, 0]);
    let (eights, _) = scalars.as_chunks_mut::<8>();
    for (((scalars, a), b), c) in eights.iter_mut().zip(a).zip(b).zip(c) {
        let less: Raw<Fr, 4> = a.mul(cpu, *b).raw().minus(cpu, *c);
        // A product with one leaves Montgomery form.
        let words = less.carry(cpu).mul(cpu, one).to_words(cpu);
        *scalars = words.map(canonical::<Fr>);
    }
}

/// a + b and a - b, of at most 2 p.
#[inline(always)]
fn butterfly<const A: u32, const S: u32>(cpu: Ifma, a: Below<Fr, A>, b: Eight) -> (Eight, Eight) {
    let (sum, difference): (Raw<Fr, S>, Raw<Fr, S>) = (a.raw().plus(cpu, b), a.raw().minus(cpu, b));
    (sum.reduce(cpu), difference.reduce(cpu))
}

/// (a - b) w.
#[inline(always)]
fn less_times<const A: u32, const S: u32>(
    cpu: Ifma,
    a: Below<Fr, A>,
    b: Eight,
    twiddle: &Twiddle,
) -> Eight {
    let difference: Raw<Fr, S> = a.raw().minus(cpu, b);
    difference.carry(cpu).mul(cpu, Eight::splat(cpu, *twiddle))
}

/// A transform of eight, in natural order at both ends.
#[inline(always)]
fn transform_eight(cpu: Ifma, v: [Eight; 8], w: &[Twiddle; 4]) -> [Eight; 8] {
    let [v0, v1, v2, v3, v4, v5, v6, v7] = v;
    let (a0, a4) = butterfly::<2, 4>(cpu, v0, v4);
    let (a1, a2, a3) = (plus(cpu, v1, v5), plus(cpu, v2, v6), plus(cpu, v3, v7));
    let a5 = less_times::<2, 4>(cpu, v1, v5, &w[1]);
    let a6 = less_times::<2, 4>(cpu, v2, v6, &w[2]);
    let a7 = less_times::<2, 4>(cpu, v3, v7, &w[3]);
    let ((b0, b2), (b4, b6)) = (butterfly::<2, 4>(cpu, a0, a2), butterfly::<2, 4>(cpu, a4, a6));
    let (b1, b5) = (plus(cpu, a1, a3), plus(cpu, a5, a7));
    let b3 = less_times::<2, 4>(cpu, a1, a3, &w[2]);
    let b7 = less_times::<2, 4>(cpu, a5, a7, &w[2]);
    let ((c0, c1), (c2, c3)) = (butterfly::<2, 4>(cpu, b0, b1), butterfly::<2, 4>(cpu, b2, b3));
    let ((c4, c5), (c6, c7)) = (butterfly::<2, 4>(cpu, b4, b5), butterfly::<2, 4>(cpu, b6, b7));
    // Bit-reversed: place 1 holds frequency 4.
    [c0, c4, c2, c6, c1, c5, c3, c7]
}

#[inline(always)]
fn plus(cpu: Ifma, a: Eight, b: Eight) -> Eight {
    let sum: Raw<Fr, 4> = a.raw().plus(cpu, b);
    sum.reduce(cpu)
}

/// Transforms of eight over what lies n/8 apart, twiddles, transposes.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn spread(cpu: Ifma, roots: &Roots, from: &[Eight], into: &mut [Eight]) {
    let blocks = from.len() / 8;
    let (rows, _) = into.as_chunks_mut::<8>();
    let (twiddles, _) = roots.between.as_chunks::<8>();
    for (block, (rows, twiddles)) in rows.iter_mut().zip(twiddles).enumerate() {
        give_way_every(BLOCKS, block);
        let v = lanes!(|I| from[I * blocks + block]);
        let v = transform_eight(cpu, v, &roots.eighth);
        let v = lanes!(|I| v[I].mul(cpu, twiddles[I]));
        *rows = Below::transpose(cpu, v);
    }
}

/// The way back.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn gather(cpu: Ifma, roots: &Roots, from: &[Eight], into: &mut [Eight]) {
    let blocks = from.len() / 8;
    let (rows, _) = from.as_chunks::<8>();
    let (twiddles, _) = roots.between.as_chunks::<8>();
    for (block, (rows, twiddles)) in rows.iter().zip(twiddles).enumerate() {
        give_way_every(BLOCKS, block);
        let v = Below::transpose(cpu, *rows);
        let v = lanes!(|I| v[I].mul(cpu, twiddles[I]));
        let v = transform_eight(cpu, v, &roots.eighth);
        for (line, value) in v.into_iter().enumerate() {
            into[line * blocks + block] = value;
        }
    }
}

/// Eight transforms, lane by lane, into bit-reversed order.
fn go_down(cpu: Ifma, levels: &[Vec<Twiddle>], values: &mut [Eight]) {
    let quarter = values.len() / 4;
    if quarter == 0 {
        if let [a, b] = values {
            // SAFETY: the token says that the processor has the features.
            (*a, *b) = unsafe { last_pair(cpu, *a, *b) };
        }
        return;
    }
    give_way_before(values);
    // SAFETY: as above.
    unsafe { pass_down(cpu, &levels[0], &levels[1], values) };
    each_quarter(values, |quarter| go_down(cpu, &levels[2..], quarter));
}

/// Eight transforms, lane by lane, from bit-reversed order.
fn go_up(cpu: Ifma, levels: &[Vec<Twiddle>], values: &mut [Eight]) {
    let quarter = values.len() / 4;
    if quarter == 0 {
        if let [a, b] = values {
            // SAFETY: the token says that the processor has the features.
            (*a, *b) = unsafe { last_pair(cpu, *a, *b) };
        }
        return;
    }
    each_quarter(values, |quarter| go_up(cpu, &levels[2..], quarter));
    give_way_before(values);
    // SAFETY: as above.
    unsafe { pass_up(cpu, &levels[0], &levels[1], values) };
}

/// Before a pass over so many: shorter ones are parts of a task.
fn give_way_before(values: &[Eight]) {
    if values.len() >= TASK {
        give_way();
    }
}

fn each_quarter(values: &mut [Eight], work: impl Fn(&mut [Eight]) + Sync + Send) {
    let quarter = values.len() / 4;
    if quarter >= TASK {
        values.par_chunks_mut(quarter).for_each(work);
    } else {
        values.chunks_mut(quarter).for_each(work);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn last_pair(cpu: Ifma, a: Eight, b: Eight) -> (Eight, Eight) {
    butterfly::<2, 4>(cpu, a, b)
}

/// Two levels at once: halves, then quarters.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn pass_down(cpu: Ifma, halves: &[Twiddle], quarters: &[Twiddle], values: &mut [Eight]) {
    let length = values.len() / 4;
    let (ab, cd) = values.split_at_mut(2 * length);
    let ((a, b), (c, d)) = (ab.split_at_mut(length), cd.split_at_mut(length));
    for i in 0..length {
        let sum: Raw<Fr, 4> = a[i].raw().plus(cpu, c[i]);
        let (even, odd) = (sum.carry(cpu), plus(cpu, b[i], d[i]));
        let first = less_times::<2, 4>(cpu, a[i], c[i], &halves[i]);
        let second = less_times::<2, 4>(cpu, b[i], d[i], &halves[i + length]);
        let whole: Raw<Fr, 6> = even.raw().plus(cpu, odd);
        a[i] = whole.reduce(cpu);
        b[i] = less_times::<4, 6>(cpu, even, odd, &quarters[i]);
        c[i] = plus(cpu, first, second);
        d[i] = less_times::<2, 4>(cpu, first, second, &quarters[i]);
    }
}

/// Two levels at once: quarters, then halves.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn pass_up(cpu: Ifma, halves: &[Twiddle], quarters: &[Twiddle], values: &mut [Eight]) {
    let length = values.len() / 4;
    let (ab, cd) = values.split_at_mut(2 * length);
    let ((a, b), (c, d)) = (ab.split_at_mut(length), cd.split_at_mut(length));
    for i in 0..length {
        let quarter = Eight::splat(cpu, quarters[i]);
        let (b0, d0) = (b[i].mul(cpu, quarter), d[i].mul(cpu, quarter));
        let (a1, b1): (Raw<Fr, 4>, Raw<Fr, 4>) =
            (a[i].raw().plus(cpu, b0), a[i].raw().minus(cpu, b0));
        let (c1, d1): (Raw<Fr, 4>, Raw<Fr, 4>) =
            (c[i].raw().plus(cpu, d0), c[i].raw().minus(cpu, d0));
        let c2 = c1.carry(cpu).mul(cpu, Eight::splat(cpu, halves[i]));
        let d2 = d1.carry(cpu).mul(cpu, Eight::splat(cpu, halves[i + length]));
        (a[i], c[i]) = butterfly::<4, 6>(cpu, a1.carry(cpu), c2);
        (b[i], d[i]) = butterfly::<4, 6>(cpu, b1.carry(cpu), d2);
    }
}
