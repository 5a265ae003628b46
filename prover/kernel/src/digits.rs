//! Scalars as signed digits, sorted by what multiplies a point how often.

use ark_ff::{BigInt, BigInteger};
use zeroize::Zeroize;

use crate::pages;
use crate::turns::{PART, give_way, give_way_every};

/// Bits of a scalar, with one more for the carry of the last digit.
const SCALAR_BITS: u32 = 255;
/// Widest digit: 2^19 buckets of whole cache lines are 32 MiB in G1.
pub const DIGIT_BITS_MAX: u32 = 20;

/// How digits are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// By size alone: the points of a [`Table`](crate::multiexp::Table) hold the window's power.
    Merged,
    /// By window, then by size.
    Apart,
}

/// References to points in the order of the bucket that they are added to; zeroised when dropped.
/// Bucket b of a window collects what is to be taken b + 1 times.
pub struct Digits {
    pub(crate) references: Vec<u32>,
    /// Where each bucket begins, and the end.
    pub(crate) starts: Vec<u32>,
    pub(crate) bits: u32,
    pub(crate) scalars: usize,
}

/// Windows of `bits` bits in a scalar.
pub(crate) fn window_count(bits: u32) -> usize {
    SCALAR_BITS.div_ceil(bits) as usize
}

impl Digits {
    /// The digits of scalars below the group's order, in windows of `bits` bits.
    ///
    /// # Panics
    /// If `bits` is not between 2 and [`DIGIT_BITS_MAX`], or there are more digits than 2^31.
    pub fn sort(scalars: &[BigInt<4>], bits: u32, windows: Windows) -> Self {
        assert!((2..=DIGIT_BITS_MAX).contains(&bits), "digits of 2 to {DIGIT_BITS_MAX} bits");
        let (count, buckets) = (window_count(bits), 1usize << (bits - 1));
        assert!(scalars.len() * count < 1 << 31, "a reference has 31 bits");
        let merged = windows == Windows::Merged;
        let first_of = |window: usize| if merged { 0 } else { window * buckets };
        let shifted = Shifted::new(scalars, bits);
        let mut starts = vec![0u32; if merged { 1 } else { count } * buckets + 1];
        for window in 0..count {
            give_way();
            let ends = &mut starts[first_of(window) + 1..][..buckets];
            shifted.each(window, |_, digit| ends[digit.unsigned_abs() as usize - 1] += 1);
        }
        for bucket in 1..starts.len() {
            give_way_every(PART, bucket);
            starts[bucket] += starts[bucket - 1];
        }
        let mut next = starts.clone();
        let total = starts[starts.len() - 1] as usize;
        let mut references = pages::with_capacity(total);
        references.resize(total, 0);
        // Window by window: the places that are written next then stay in the cache.
        for window in 0..count {
            give_way();
            let next = &mut next[first_of(window)..][..buckets];
            let first = if merged { window * scalars.len() } else { 0 };
            shifted.each(window, |place, digit| {
                let next = &mut next[digit.unsigned_abs() as usize - 1];
                references[*next as usize] = ((first + place) as u32) << 1 | u32::from(digit < 0);
                *next += 1;
            });
        }
        // What bucket has how many tells of the scalars, too.
        next.zeroize();
        Self { references, starts, bits, scalars: scalars.len() }
    }
}

/// Scalars plus half of the digits' base in each window but the last. So a digit is what stands in
/// a window less that half, whatever stands in the others: nothing is carried.
struct Shifted {
    scalars: Vec<[u64; 4]>,
    bits: u32,
}

impl Shifted {
    fn new(scalars: &[BigInt<4>], bits: u32) -> Self {
        let mut halves = BigInt::<4>::default();
        for window in 0..window_count(bits) as u32 - 1 {
            let bit = window * bits + bits - 1;
            halves.0[bit as usize / 64] |= 1 << (bit % 64);
        }
        let shift = |scalar: &BigInt<4>| {
            let mut shifted = *scalar;
            // Below 2^254 + 2^254: the last window holds it.
            shifted.add_with_carry(&halves);
            shifted.0
        };
        Self { scalars: scalars.iter().map(shift).collect(), bits }
    }

    /// Each digit of a window that is not zero, with its scalar's place.
    #[inline(always)]
    fn each(&self, window: usize, mut digit: impl FnMut(usize, i32)) {
        let bits = self.bits as usize;
        let (word, shift) = (window * bits / 64, window * bits % 64);
        let last = window + 1 == window_count(self.bits);
        let half = if last { 0 } else { 1 << (bits - 1) };
        for (place, scalar) in self.scalars.iter().enumerate() {
            // Through 128 bits, so that a window may lie over two words; there is no fifth.
            let high = if word + 1 < 4 { scalar[word + 1] } else { 0 };
            let both = u128::from(scalar[word]) | u128::from(high) << 64;
            let found = ((both >> shift) as u32 & ((1 << bits) - 1)) as i32 - half;
            if found != 0 {
                digit(place, found);
            }
        }
    }
}

impl Drop for Shifted {
    fn drop(&mut self) {
        self.scalars.zeroize();
    }
}

impl Digits {
    /// Those of the points that `keep`, with the starts that fit.
    pub(crate) fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut references = Vec::with_capacity(self.references.len());
        let mut starts = Vec::with_capacity(self.starts.len());
        starts.push(0);
        for (bucket, ends) in self.starts.windows(2).enumerate() {
            give_way_every(PART, bucket);
            let own = &self.references[ends[0] as usize..ends[1] as usize];
            references.extend(own.iter().filter(|reference| keep((**reference >> 1) as usize)));
            starts.push(references.len() as u32);
        }
        Self { references, starts, bits: self.bits, scalars: self.scalars }
    }
}

impl Drop for Digits {
    fn drop(&mut self) {
        for part in self.references.chunks_mut(PART).chain(self.starts.chunks_mut(PART)) {
            give_way();
            part.zeroize();
        }
    }
}
