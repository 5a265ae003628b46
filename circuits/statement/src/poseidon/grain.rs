//! The Grain LFSR that draws Poseidon's constants (Poseidon paper, appendix F).

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};

const FIELD_BITS: u32 = 254;
/// The newest tap stands 18 places before the end of the register, so up to 18 bits come at once.
const STEP_BITS: u32 = 16;

pub(super) struct Grain {
    /// 80 bits, the oldest lowest.
    register: u128,
    /// Bits drawn and not yet used, the oldest lowest.
    fresh: u32,
    fresh_bits: u32,
}

impl Grain {
    /// The generator for `width` words with `full` and `partial` rounds of the S-box `x^5`.
    pub(super) fn new(width: usize, full: usize, partial: usize) -> Self {
        let mut register = 0;
        let mut filled = 0;
        let mut push = |value: u128, bits: u32| {
            for bit in (0..bits).rev() {
                register |= (value >> bit & 1) << filled;
                filled += 1;
            }
        };
        push(1, 2); // a prime field
        push(0, 4); // an S-box that is a power
        push(FIELD_BITS.into(), 12);
        push(width as u128, 12);
        push(full as u128, 10);
        push(partial as u128, 10);
        push((1 << 30) - 1, 30);
        let mut grain = Self { register, fresh: 0, fresh_bits: 0 };
        // The paper throws away the first 160 bits.
        for _ in 0..160 / STEP_BITS {
            grain.step();
        }
        grain
    }

    /// The next element, drawn again while it is not below the modulus.
    pub(super) fn element(&mut self) -> Fr {
        loop {
            if let Some(element) = Fr::from_bigint(self.integer()) {
                return element;
            }
        }
    }

    /// The next element, reduced by the modulus.
    pub(super) fn element_reduced(&mut self) -> Fr {
        let mut integer = self.integer();
        // Reduced for the matrix and drawn again for the constants, as the reference does:
        // circomlib's numbers come out in no other way.
        if integer >= Fr::MODULUS {
            integer.sub_with_borrow(&Fr::MODULUS);
        }
        Fr::from_bigint(integer).expect("254 bits less the modulus lie below the modulus")
    }

    /// 254 bits, the most significant first.
    fn integer(&mut self) -> BigInt<4> {
        let mut limbs = [0; 4];
        for place in (0..FIELD_BITS as usize).rev() {
            limbs[place / 64] |= self.bit() << (place % 64);
        }
        BigInt::new(limbs)
    }

    /// Of each pair of raw bits, the second counts if the first is one.
    fn bit(&mut self) -> u64 {
        loop {
            if self.fresh_bits == 0 {
                self.fresh = self.step();
                self.fresh_bits = STEP_BITS;
            }
            let pair = self.fresh & 3;
            self.fresh >>= 2;
            self.fresh_bits -= 2;
            if pair & 1 == 1 {
                return (pair >> 1).into();
            }
        }
    }

    fn step(&mut self) -> u32 {
        let taps = [62, 51, 38, 23, 13, 0].map(|tap| self.register >> tap);
        let mixed = taps.iter().fold(0, |sum, tap| sum ^ tap);
        let drawn = mixed & ((1 << STEP_BITS) - 1);
        self.register = self.register >> STEP_BITS | drawn << (80 - STEP_BITS);
        drawn as u32
    }
}
