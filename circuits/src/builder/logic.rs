//! Bits, choices and comparisons.
//!
//! Each function hands on the place of its caller, so that its rows are known by the line that
//! enforces something and not by a line of this file ([`Builder::enforce`]); a closure would not
//! hand it on, hence the loops.
//!
//! Values that do not fit (a bit of a number too wide, the inverse of 0) are assigned anyway and
//! violate a row: a builder never fails.

use super::{Bit, Builder, Num};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

impl Builder {
    /// Enforces `left = right`: one row.
    #[track_caller]
    pub fn enforce_equal(&mut self, left: &Num, right: &Num) {
        self.enforce_zero(&(left - right));
    }

    /// Enforces `num = 0`: one row.
    #[track_caller]
    pub fn enforce_zero(&mut self, num: &Num) {
        self.enforce(num, &Num::one(), &Num::zero());
    }

    /// Enforces `num = 0` where `condition` is 1: one row.
    #[track_caller]
    pub fn enforce_zero_if(&mut self, condition: &Bit, num: &Num) {
        self.enforce(condition.num(), num, &Num::zero());
    }

    /// Enforces `left = right` where `condition` is 1: one row.
    #[track_caller]
    pub fn enforce_equal_if(&mut self, condition: &Bit, left: &Num, right: &Num) {
        self.enforce_zero_if(condition, &(left - right));
    }

    /// `left * right`: one row, or none if one of them is a constant.
    #[track_caller]
    pub fn product(&mut self, left: &Num, right: &Num) -> Num {
        // A branch on what is constant is the same in every run.
        if left.is_constant() {
            return right * left.value();
        }
        if right.is_constant() {
            return left * right.value();
        }
        let product = self.alloc(left.value() * right.value());
        self.enforce(left, right, &product);
        product
    }

    /// `numerator / denominator`, hint and one row. Where both can be 0 the quotient is free: the
    /// caller says why they are not.
    #[track_caller]
    pub(crate) fn quotient(&mut self, numerator: &Num, denominator: &Num) -> Num {
        // Over 0 some hint must stand; the row then asks whether the numerator is 0 too.
        let inverse = denominator.value().inverse().unwrap_or(Fr::ZERO);
        let quotient = self.alloc(numerator.value() * inverse);
        self.enforce(&quotient, denominator, numerator);
        quotient
    }

    /// A private bit: one row.
    #[track_caller]
    pub fn bit(&mut self, value: bool) -> Bit {
        let bit = self.alloc(Fr::from(value));
        self.enforce(&(Num::one() - &bit), &bit, &Num::zero());
        Bit::confined(bit)
    }

    /// A private bit that is at most `bound`: one row in all, `a (a - bound) = 0`.
    #[track_caller]
    pub fn bit_within(&mut self, value: bool, bound: &Bit) -> Bit {
        let bit = self.alloc(Fr::from(value));
        self.enforce(&bit, &(&bit - bound.num()), &Num::zero());
        Bit::confined(bit)
    }

    /// Confines `num` to 0 and 1: one row.
    #[track_caller]
    pub fn to_bit(&mut self, num: &Num) -> Bit {
        self.enforce(&(Num::one() - num), num, &Num::zero());
        Bit::confined(num.clone())
    }

    /// The `width` bits of `num`, the lowest first: `width + 1` rows. Unique if `width < 254`.
    ///
    /// # Panics
    /// If `width` is above 254.
    #[track_caller]
    pub fn bits(&mut self, num: &Num, width: usize) -> Vec<Bit> {
        let bits = self.private_bits(num.value(), width);
        self.enforce_equal(&Num::pack(&bits), num);
        bits
    }

    /// Enforces `num < 2^width`: `width + 1` rows.
    ///
    /// # Panics
    /// If `width` is above 253.
    #[track_caller]
    pub fn range(&mut self, num: &Num, width: usize) {
        assert!(width < 254, "254 bits say nothing about a field element");
        self.bits(num, width);
    }

    /// `width` private bits, the lowest first, of which [`Num::pack`] makes a number: `width` rows,
    /// one less than allocating the number and splitting it.
    ///
    /// # Panics
    /// If `width` is above 254.
    #[track_caller]
    pub fn private_bits(&mut self, value: Fr, width: usize) -> Vec<Bit> {
        assert!(width <= 254, "a field element has 254 bits");
        let value = value.into_bigint();
        let mut bits = Vec::with_capacity(width);
        for place in 0..width {
            bits.push(self.bit(value.get_bit(place)));
        }
        bits
    }

    /// Both: one row.
    #[track_caller]
    pub fn and(&mut self, left: &Bit, right: &Bit) -> Bit {
        Bit::confined(self.product(left.num(), right.num()))
    }

    /// `one` where `condition` is 1, else `zero`: one row.
    #[track_caller]
    pub fn select(&mut self, condition: &Bit, one: &Num, zero: &Num) -> Num {
        zero + self.product(condition.num(), &(one - zero))
    }

    /// The item at the index whose `bits` are given, the lowest first: one row less than items.
    ///
    /// # Panics
    /// If there are not `2^bits` items.
    #[track_caller]
    pub fn mux(&mut self, bits: &[Bit], items: &[Num]) -> Num {
        assert_eq!(items.len(), 1 << bits.len(), "a choice by k bits has 2^k items");
        // The lowest bit first, as everywhere: neighbours differ in it and meet at once.
        let mut items = items.to_vec();
        for bit in bits {
            let (pairs, _) = items.as_chunks::<2>();
            let mut chosen = Vec::with_capacity(pairs.len());
            for [zero, one] in pairs {
                chosen.push(self.select(bit, one, zero));
            }
            items = chosen;
        }
        items.swap_remove(0)
    }

    /// Enforces that the item at the index is `value`: one row less than items.
    ///
    /// # Panics
    /// If there are not `2^bits` items, or no bit.
    #[track_caller]
    pub fn enforce_mux(&mut self, bits: &[Bit], items: &[Num], value: &Num) {
        let (last, bits) = bits.split_last().expect("a choice by at least one bit");
        // The last choice is not computed but compared: that saves its row.
        let (low, high) = items.split_at(items.len() / 2);
        let (zero, one) = (self.mux(bits, low), self.mux(bits, high));
        self.enforce(last.num(), &(one - &zero), &(value - &zero));
    }

    /// One bit for each index that `bits` can say, the one at the index set: `2^k - k - 1` rows.
    #[track_caller]
    pub fn one_hot(&mut self, bits: &[Bit]) -> Vec<Bit> {
        let mut hot = vec![Num::one()];
        for bit in bits {
            // All that have this bit sum to it, so the first of them needs no product.
            let mut rest = Vec::with_capacity(hot.len() - 1);
            for num in &hot[1..] {
                rest.push(self.product(num, bit.num()));
            }
            let high = [&[bit.num() - Num::sum(&rest)], rest.as_slice()].concat();
            let low = hot.iter().zip(&high).map(|(num, high)| num - high);
            hot = low.chain(high.iter().cloned()).collect();
        }
        hot.into_iter().map(Bit::confined).collect()
    }

    /// `count` private bits of which exactly the one at `choice` is set: `count + 1` rows.
    #[track_caller]
    pub fn choice(&mut self, choice: usize, count: usize) -> Vec<Bit> {
        let mut bits = Vec::with_capacity(count);
        for index in 0..count {
            bits.push(self.bit(index == choice));
        }
        self.enforce_equal(&Num::sum(bits.iter().map(Bit::num)), &Num::one());
        bits
    }

    /// Whether `num` is 0: two rows. The hint of the inverse is free where it is.
    #[track_caller]
    pub fn is_zero(&mut self, num: &Num) -> Bit {
        let inverse = self.alloc(num.value().inverse().unwrap_or(Fr::ZERO));
        // It needs no row of its own to be a bit: the two below leave only 0 and 1.
        let zero = self.alloc(Fr::from(num.value() == Fr::ZERO));
        // If `num` is 0, this row makes `zero` 1; if not, the next makes it 0.
        self.enforce(num, &inverse, &(Num::one() - &zero));
        self.enforce(num, &zero, &Num::zero());
        Bit::confined(zero)
    }
}
