//! Field elements and the 32-byte words that carry them.
//!
//! A word is big-endian and canonical: its integer is below the modulus `r` of BN254's scalar
//! field. The contract, the batch file and the receipts use the same words.

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use model::Word;

/// Why a word is no field element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The word's integer is `r` or more.
    #[error(
        "expected a word below the modulus of the BN254 scalar field, found one at or above it"
    )]
    NotCanonical,
}

/// Writes `element` as a canonical 32-byte big-endian word.
pub fn to_bytes(element: &Fr) -> [u8; 32] {
    let mut word = to_bytes_le(element);
    word.reverse();
    word
}

/// Reads a canonical 32-byte big-endian word.
///
/// # Errors
/// [`FieldError::NotCanonical`] if the word's integer is not below the modulus.
pub fn from_bytes(word: &[u8; 32]) -> Result<Fr, FieldError> {
    let mut reversed = *word;
    reversed.reverse();
    from_bytes_le(&reversed)
}

/// The element that `word` carries.
pub fn from_word(word: &Word) -> Fr {
    Fr::from_bigint(BigInt::new(word.limbs())).expect("a word is canonical")
}

/// The word that carries `element`.
pub fn to_word(element: &Fr) -> Word {
    Word::from_limbs(element.into_bigint().0).expect("an element is below the modulus")
}

/// Writes `element` in the little-endian order of circomlibjs buffers.
pub fn to_bytes_le(element: &Fr) -> [u8; 32] {
    limbs_to_bytes_le(&element.into_bigint())
}

/// Reads a canonical word in little-endian order.
///
/// # Errors
/// [`FieldError::NotCanonical`] if the word's integer is not below the modulus.
pub fn from_bytes_le(word: &[u8; 32]) -> Result<Fr, FieldError> {
    Fr::from_bigint(limbs_from_bytes_le(word)).ok_or(FieldError::NotCanonical)
}

/// The element with the value of `integer`.
pub fn from_u64(integer: u64) -> Fr {
    Fr::from(integer)
}

/// The element with the value of `integer`.
pub fn from_u128(integer: u128) -> Fr {
    Fr::from(integer)
}

/// 2 to the `power`.
///
/// # Panics
/// If the power is above 253: the next one is no field element.
pub fn two_to(power: u32) -> Fr {
    let mut limbs = [0; 4];
    limbs[power as usize / 64] = 1 << (power % 64);
    Fr::from_bigint(BigInt::new(limbs)).expect("2^253 and less lie below the modulus")
}

/// The first 31 bytes of a 32-byte digest as a big-endian integer; the last byte is dropped.
///
/// 248 bits always lie below the modulus, so that two digests map to one element only if they agree
/// in all 31 bytes.
pub fn from_digest(digest: &[u8; 32]) -> Fr {
    let mut word = [0; 32];
    word[1..].copy_from_slice(&digest[..31]);
    word.reverse();
    Fr::from_bigint(limbs_from_bytes_le(&word)).expect("248 bits lie below a 254-bit modulus")
}

pub(crate) fn limbs_to_bytes_le(limbs: &BigInt<4>) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs.0) {
        chunk.copy_from_slice(&limb.to_le_bytes());
    }
    bytes
}

pub(crate) fn limbs_from_bytes_le(bytes: &[u8; 32]) -> BigInt<4> {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
        *limb = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
    }
    BigInt::new(limbs)
}

/// Whether `element` lies in the upper half, above `(r - 1) / 2`: circomlibjs's sign of a
/// coordinate.
pub(crate) fn is_upper_half(element: &Fr) -> bool {
    let mut half = Fr::MODULUS;
    // r is odd: the shift drops its last bit and leaves (r - 1) / 2.
    half.div2();
    element.into_bigint() > half
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field};

    #[test]
    fn a_word_and_its_element_are_one_to_one() {
        for element in [Fr::ZERO, Fr::ONE, -Fr::ONE, from_u128(u128::MAX), from_u64(258)] {
            assert_eq!(from_bytes(&to_bytes(&element)), Ok(element));
            assert_eq!(from_bytes_le(&to_bytes_le(&element)), Ok(element));
            assert_eq!(from_word(&to_word(&element)), element);
            assert_eq!(to_word(&element).to_bytes(), to_bytes(&element));
        }
        assert_eq!(to_bytes(&from_u64(258))[30..], [1, 2]);
    }

    #[test]
    fn a_word_at_or_above_the_modulus_is_refused() {
        let mut modulus = to_bytes(&-Fr::ONE);
        modulus[31] += 1;
        assert_eq!(from_bytes(&modulus), Err(FieldError::NotCanonical));
        assert_eq!(from_bytes(&[0xff; 32]), Err(FieldError::NotCanonical));
    }

    #[test]
    fn a_power_of_two_is_that_of_the_field() {
        for power in 0..=253 {
            assert_eq!(two_to(power), Fr::from(2u8).pow([u64::from(power)]), "2^{power}");
        }
    }

    #[test]
    fn a_digest_keeps_its_first_31_bytes() {
        let mut digest = [0xff; 32];
        digest[31] = 0;
        assert_eq!(from_digest(&digest), from_digest(&[0xff; 32]));
        digest[30] = 0;
        assert_ne!(from_digest(&digest), from_digest(&[0xff; 32]));
        assert_eq!(to_bytes(&from_digest(&[0xab; 32]))[..2], [0, 0xab]);
    }

    #[test]
    fn the_upper_half_starts_above_half_the_modulus() {
        let half = -Fr::ONE / from_u64(2);
        assert!(!is_upper_half(&half));
        assert!(is_upper_half(&(half + Fr::ONE)));
    }
}
