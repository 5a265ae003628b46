//! Scalars as signed digits, sorted by what multiplies a point how often.

use ark_ff::BigInt;
use zeroize::Zeroize;

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
        let places = scalars.len() * count;
        assert!(places < 1 << 31, "a reference has 31 bits");
        let sorts = if windows == Windows::Merged { 1 } else { count };
        let bucket = |window: usize, digit: i32| {
            let of_window = if windows == Windows::Merged { 0 } else { window * buckets };
            of_window + digit.unsigned_abs() as usize - 1
        };
        let mut digits = vec![0i32; places];
        let mut starts = vec![0u32; sorts * buckets + 1];
        for (place, scalar) in scalars.iter().enumerate() {
            let mut carry = 0;
            for window in 0..count {
                let digit = digit_at(scalar, window, bits, &mut carry);
                digits[window * scalars.len() + place] = digit;
                if digit != 0 {
                    starts[bucket(window, digit) + 1] += 1;
                }
            }
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        let mut next = starts.clone();
        let mut references = vec![0; starts[starts.len() - 1] as usize];
        // By rows, so that no digit costs a division by the number of scalars.
        for (window, row) in digits.chunks(scalars.len().max(1)).enumerate() {
            let first = if windows == Windows::Merged { window * scalars.len() } else { 0 };
            for (place, digit) in row.iter().enumerate().filter(|(_, digit)| **digit != 0) {
                let next = &mut next[bucket(window, *digit)];
                references[*next as usize] = ((first + place) as u32) << 1 | u32::from(*digit < 0);
                *next += 1;
            }
        }
        // What bucket has how many tells of the scalars, too.
        next.zeroize();
        digits.zeroize();
        Self { references, starts, bits, scalars: scalars.len() }
    }
}

/// A digit between -2^(bits - 1) + 1 and 2^(bits - 1): one that is larger borrows from the next.
fn digit_at(scalar: &BigInt<4>, window: usize, bits: u32, carry: &mut i32) -> i32 {
    let bit = window * bits as usize;
    let (word, shift) = (bit / 64, bit % 64);
    let low = scalar.0.get(word).map_or(0, |word| word >> shift);
    let high = match scalar.0.get(word + 1) {
        Some(word) if shift > 0 => word << (64 - shift),
        _ => 0,
    };
    let digit = ((low | high) & ((1 << bits) - 1)) as i32 + *carry;
    *carry = i32::from(digit > 1 << (bits - 1));
    digit - (*carry << bits)
}

impl Digits {
    /// Those of the points that `keep`, with the starts that fit.
    pub(crate) fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut references = Vec::with_capacity(self.references.len());
        let mut starts = Vec::with_capacity(self.starts.len());
        starts.push(0);
        for ends in self.starts.windows(2) {
            let own = &self.references[ends[0] as usize..ends[1] as usize];
            references.extend(own.iter().filter(|reference| keep((**reference >> 1) as usize)));
            starts.push(references.len() as u32);
        }
        Self { references, starts, bits: self.bits, scalars: self.scalars }
    }
}

impl Drop for Digits {
    fn drop(&mut self) {
        self.references.zeroize();
        self.starts.zeroize();
    }
}
