//! The instructions, each as a method of the token that says the processor has them.
//!
//! `inline(always)` throughout: a wrapper that is not inlined into a function with the features
//! would be a call an instruction. The functions with the features are the passes of `addition`
//! and `transform`.

use std::arch::x86_64::*;

use crate::cpu::Ifma;

/// Eight lanes of 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Words(__m512i);

/// One bit a lane, the lowest for lane 0.
pub(crate) type Mask = u8;

/// An array of an expression for each lane. Not a closure: the compiler calls those of
/// `array::from_fn` and `map` now and then, and such a call costs more than the arithmetic in it.
macro_rules! lanes {
    (|$i:ident| $lane:expr) => {
        [
            {
                const $i: usize = 0;
                $lane
            },
            {
                const $i: usize = 1;
                $lane
            },
            {
                const $i: usize = 2;
                $lane
            },
            {
                const $i: usize = 3;
                $lane
            },
            {
                const $i: usize = 4;
                $lane
            },
            {
                const $i: usize = 5;
                $lane
            },
            {
                const $i: usize = 6;
                $lane
            },
            {
                const $i: usize = 7;
                $lane
            },
        ]
    };
}
pub(crate) use lanes;

macro_rules! lanewise {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*) = $instruction:path;)*) => {
        impl Ifma {
            $(
                $(#[$doc])*
                #[inline(always)]
                pub(crate) fn $name(self, $($arg: Words),*) -> Words {
                    // SAFETY: the token says that the processor has the features; values only.
                    Words(unsafe { $instruction($($arg.0),*) })
                }
            )*
        }
    };
}

lanewise! {
    /// Wraps around.
    add(a, b) = _mm512_add_epi64;
    /// Wraps around.
    sub(a, b) = _mm512_sub_epi64;
    and(a, b) = _mm512_and_si512;
    or(a, b) = _mm512_or_si512;
    /// `sum` plus the lower 52 bits of the product of the lower 52 bits of `a` and `b`.
    add_product_low(sum, a, b) = _mm512_madd52lo_epu64;
    /// `sum` plus the upper 52 bits of that product of 104.
    add_product_high(sum, a, b) = _mm512_madd52hi_epu64;
    unpack_low(a, b) = _mm512_unpacklo_epi64;
    unpack_high(a, b) = _mm512_unpackhi_epi64;
    /// Lane i is lane `index[i]` of the table; an index counts by its lowest three bits.
    look_up(index, table) = _mm512_permutexvar_epi64;
    /// The 128-bit quarters 0, 2 of `a`, then 0, 2 of `b`.
    quarters_even(a, b) = _mm512_shuffle_i64x2::<0x88>;
    /// The 128-bit quarters 1, 3 of `a`, then 1, 3 of `b`.
    quarters_odd(a, b) = _mm512_shuffle_i64x2::<0xdd>;
}

impl Ifma {
    #[inline(always)]
    pub(crate) fn zero(self) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_setzero_si512() })
    }

    #[inline(always)]
    pub(crate) fn splat(self, word: u64) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_set1_epi64(word as i64) })
    }

    #[inline(always)]
    pub(crate) fn load(self, words: &[u64; 8]) -> Words {
        // SAFETY: as above; reads the 64 bytes of the reference, of any alignment.
        Words(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    pub(crate) fn store(self, words: &mut [u64; 8], value: Words) {
        // SAFETY: as above; writes the 64 bytes of the reference, of any alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value.0) }
    }

    /// Four words of `low`, then four of `high`.
    #[inline(always)]
    pub(crate) fn load_halves(self, low: &[u64; 4], high: &[u64; 4]) -> Words {
        // SAFETY: as above; reads the 32 bytes of each reference, of any alignment.
        unsafe {
            let low = _mm256_loadu_si256(low.as_ptr().cast());
            let high = _mm256_loadu_si256(high.as_ptr().cast());
            Words(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high))
        }
    }

    /// Asks for the cache line of a value that is read soon.
    #[inline(always)]
    pub(crate) fn prefetch<T>(self, value: &T) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) }
    }

    #[inline(always)]
    pub(crate) fn shift_left<const BITS: u32>(self, a: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_slli_epi64::<BITS>(a.0) })
    }

    #[inline(always)]
    pub(crate) fn shift_right<const BITS: u32>(self, a: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_srli_epi64::<BITS>(a.0) })
    }

    /// Keeps the sign.
    #[inline(always)]
    pub(crate) fn shift_right_signed<const BITS: u32>(self, a: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_srai_epi64::<BITS>(a.0) })
    }

    /// Lanes of `yes` where the mask has a one, else of `no`.
    #[inline(always)]
    pub(crate) fn select(self, mask: Mask, yes: Words, no: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe { _mm512_mask_mov_epi64(no.0, mask, yes.0) })
    }

    /// Where two lanes are equal.
    #[inline(always)]
    pub(crate) fn equal(self, a: Words, b: Words) -> Mask {
        // SAFETY: as above.
        unsafe { _mm512_cmpeq_epi64_mask(a.0, b.0) }
    }

    /// The whole number next to `a * factor + offset`, in the lowest bits of each lane: the sum has
    /// the magic number 1.5 * 2^52 in it, where a double's last bit counts one.
    #[inline(always)]
    pub(crate) fn round_scaled(self, a: Words, factor: f64, offset: f64) -> Words {
        const MAGIC: f64 = 6_755_399_441_055_744.0;
        // SAFETY: as above.
        unsafe {
            let a = _mm512_cvtepi64_pd(a.0);
            let sum = _mm512_fmadd_pd(a, _mm512_set1_pd(factor), _mm512_set1_pd(offset + MAGIC));
            Words(_mm512_castpd_si512(sum))
        }
    }

    /// Quarters of 128 bits: 0 of `a`, 0 of `b`, 2 of `a`, 2 of `b`.
    #[inline(always)]
    pub(crate) fn weave_even(self, a: Words, b: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe {
            let index = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
            _mm512_permutex2var_epi64(a.0, index, b.0)
        })
    }

    /// Quarters of 128 bits: 1 of `a`, 1 of `b`, 3 of `a`, 3 of `b`.
    #[inline(always)]
    pub(crate) fn weave_odd(self, a: Words, b: Words) -> Words {
        // SAFETY: as above.
        Words(unsafe {
            let index = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
            _mm512_permutex2var_epi64(a.0, index, b.0)
        })
    }

    /// Exchanges rows and columns.
    #[inline(always)]
    pub(crate) fn transpose(self, rows: [Words; 8]) -> [Words; 8] {
        let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
        let (a0, b0) = (self.unpack_low(r0, r1), self.unpack_high(r0, r1));
        let (a1, b1) = (self.unpack_low(r2, r3), self.unpack_high(r2, r3));
        let (a2, b2) = (self.unpack_low(r4, r5), self.unpack_high(r4, r5));
        let (a3, b3) = (self.unpack_low(r6, r7), self.unpack_high(r6, r7));
        // Columns 0, 4 and 2, 6 of the rows 0 to 3, then of the rows 4 to 7; b for the odd ones.
        let (c04, c26) = (self.quarters_even(a0, a1), self.quarters_odd(a0, a1));
        let (d04, d26) = (self.quarters_even(a2, a3), self.quarters_odd(a2, a3));
        let (c15, c37) = (self.quarters_even(b0, b1), self.quarters_odd(b0, b1));
        let (d15, d37) = (self.quarters_even(b2, b3), self.quarters_odd(b2, b3));
        [
            self.quarters_even(c04, d04),
            self.quarters_even(c15, d15),
            self.quarters_even(c26, d26),
            self.quarters_even(c37, d37),
            self.quarters_odd(c04, d04),
            self.quarters_odd(c15, d15),
            self.quarters_odd(c26, d26),
            self.quarters_odd(c37, d37),
        ]
    }
}

impl Ifma {
    /// Where a number is odd.
    #[inline(always)]
    pub(crate) fn odd(self, numbers: &[u32; 8]) -> Mask {
        // SAFETY: as above; reads the 32 bytes of the reference, of any alignment.
        unsafe {
            let numbers = _mm256_loadu_si256(numbers.as_ptr().cast());
            _mm256_movepi32_mask(_mm256_slli_epi32::<31>(numbers))
        }
    }
}
