//! One field element as bytes: what crosses a boundary before anybody computes with it.

use std::fmt;

use thiserror::Error;

/// The order r of BN254's scalar field, 32 bytes big-endian.
pub const MODULUS: [u8; 32] = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d,
    0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

/// A canonical element of BN254's scalar field: 32 bytes big-endian, below [`MODULUS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Word([u8; 32]);

/// Bytes that are no canonical field element.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WordError {
    /// The value is r or more: accepting it would give one element two encodings.
    #[error("expected a field element below the BN254 scalar order, found {found}")]
    NotCanonical {
        /// The first four bytes found, in hex: enough to recognise, too little to leak.
        found: String,
    },
    /// The text is not 64 hex digits with an optional `0x`.
    #[error("expected 64 hex digits, found {found} characters or a character that is not hex")]
    NotHex {
        /// Length of the text found.
        found: usize,
    },
}

impl Word {
    /// The zero word: absent, empty, matches nothing.
    pub const ZERO: Word = Word([0; 32]);

    /// A word that no rule can name, since nothing known hashes to it: the individual of a question
    /// that leaves one out.
    pub const NOBODY: Word = Word::from_u64(1);

    /// Checks that `bytes` is below the modulus.
    ///
    /// # Errors
    /// [`WordError::NotCanonical`] if it is not.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Word, WordError> {
        // Big-endian arrays of one length compare as their numbers do.
        if bytes < MODULUS {
            return Ok(Word(bytes));
        }
        let found = bytes[..4].iter().map(|b| format!("{b:02x}")).collect::<String>() + "..";
        Err(WordError::NotCanonical { found })
    }

    /// A small number as a word.
    pub const fn from_u64(value: u64) -> Word {
        let mut bytes = [0; 32];
        let tail = value.to_be_bytes();
        let mut i = 0;
        while i < 8 {
            bytes[24 + i] = tail[i];
            i += 1;
        }
        Word(bytes)
    }

    /// Four 64-bit limbs, least significant first; `None` if the value is not canonical.
    pub fn from_limbs(limbs: [u64; 4]) -> Option<Word> {
        let mut bytes = [0; 32];
        for (i, limb) in limbs.iter().enumerate() {
            bytes[24 - 8 * i..32 - 8 * i].copy_from_slice(&limb.to_be_bytes());
        }
        Word::from_bytes(bytes).ok()
    }

    /// Four 64-bit limbs, least significant first.
    pub fn limbs(&self) -> [u64; 4] {
        let mut limbs = [0; 4];
        for (i, limb) in limbs.iter_mut().enumerate() {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[24 - 8 * i..32 - 8 * i]);
            *limb = u64::from_be_bytes(bytes);
        }
        limbs
    }

    /// The canonical bytes, big-endian.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Whether this is [`Word::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Word::ZERO
    }

    /// Parses 64 hex digits with an optional `0x` in front.
    ///
    /// # Errors
    /// [`WordError`] for anything else, or for a value that is not canonical.
    pub fn from_hex(text: &str) -> Result<Word, WordError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let wrong = || WordError::NotHex { found: digits.len() };
        // Digits and nothing else: the parser below would take a plus sign, and one word would have
        // several spellings.
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Word::from_bytes(bytes)
    }

    /// 64 lower-case hex digits with `0x` in front.
    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::from("0x"), |text, b| text + &format!("{b:02x}"))
    }
}

/// Prints four bytes only: a word may be a salt, a key hash or a view key.
impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word(..{:02x}{:02x})", self.0[30], self.0[31])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modulus_itself_is_refused_and_one_less_is_accepted() {
        assert!(Word::from_bytes(MODULUS).is_err());
        let mut below = MODULUS;
        below[31] -= 1;
        assert_eq!(Word::from_bytes(below).map(Word::to_bytes), Ok(below));
    }

    #[test]
    fn limbs_and_hex_round_trip() {
        let word = Word::from_limbs([1, 2, 3, 4]).expect("below the modulus");
        assert_eq!(word.limbs(), [1, 2, 3, 4]);
        assert_eq!(Word::from_hex(&word.to_hex()), Ok(word));
        assert!(Word::from_hex("0x12").is_err());
        assert!(Word::from_hex(&"zz".repeat(32)).is_err());
        assert!(Word::from_limbs([0, 0, 0, u64::MAX]).is_none());
    }
}
