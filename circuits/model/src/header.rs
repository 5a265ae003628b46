//! The header of a batch: 26 words, hashed by the contract as `keccak256(abi.encode(header))`.

use thiserror::Error;

use crate::{BatchNumber, Millis, Position, TimeError, Window, Word, WordError};

/// Who vouches that the batch's data can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DataSource {
    /// Nobody but the operator.
    Operator = 0,
    /// A committee that stored the encrypted file.
    Committee = 1,
    /// The leaf commitments stand in the calldata.
    Calldata = 2,
}

/// Everything the base chain keeps or emits of a batch (SPEC.md section 8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Number; the first batch is 1.
    pub number: BatchNumber,
    /// Hash of the previous header; of the first batch, the contract's genesis hash.
    pub previous: [u8; 32],
    /// Time span.
    pub window: Window,
    /// Consent root before.
    pub root_in: Word,
    /// Consent root after.
    pub root_out: Word,
    /// Id of the first forced stop consumed; 0 for none.
    pub forced_first: u64,
    /// Number of forced stops consumed.
    pub forced_count: u64,
    /// One bit for each: whether it was applied.
    pub forced_outcomes: [u8; 32],
    /// keccak256 over the C1 chunks' operation roots in order; zero for none.
    pub operations_root: [u8; 32],
    /// keccak256 over the C2 chunks' claim roots in order; zero for none.
    pub claims_root: [u8; 32],
    /// Operations applied.
    pub operations: u32,
    /// Of these, enrolments.
    pub enrolments: u32,
    /// Access claims.
    pub access: u32,
    /// Collect claims.
    pub collect: u32,
    /// Break-glass claims.
    pub break_glass: u32,
    /// Claims that no live rule covered, proven as such; also counted in their kind.
    pub excluded: u32,
    /// blake3 over digest and length of each segment in order; zero for none.
    pub data_root: [u8; 32],
    /// Journal position of the close of this window.
    pub journal_position: Position,
    /// Journal hash of the journal group that holds the close.
    pub journal_hash: [u8; 32],
    /// Root of the actor registry; zero until it is proven.
    pub registry_root: [u8; 32],
    /// Who vouches for the data.
    pub data_source: DataSource,
    /// keccak256 of the encrypted private file; zero for none.
    pub ciphertext_hash: [u8; 32],
    /// Its length in bytes.
    pub ciphertext_length: u64,
    /// Version of the verifying keys.
    pub key_version: u32,
}

/// Words that are no header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The encoding has another length.
    #[error("expected {expected} bytes of batch header, found {found}")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Another format version.
    #[error("expected batch header version 2, found another")]
    Version,
    /// A word is larger than its type.
    #[error("expected header word {word} below 2^{bits}, found a larger value")]
    TooLarge {
        /// Index of the word.
        word: usize,
        /// Bits of its type.
        bits: u32,
    },
    /// Unknown data source.
    #[error("expected a data source 0 to 2, found {found}")]
    DataSource {
        /// Number found.
        found: u64,
    },
    /// A root is no field element.
    #[error("a root of the header is malformed")]
    Word(#[from] WordError),
    /// The window is malformed.
    #[error("the window of the header is malformed")]
    Time(#[from] TimeError),
}

impl BatchHeader {
    /// Format version, the first word.
    pub const VERSION: u64 = 2;
    /// Version of the circuits, hence of the verifying keys that a contract takes.
    pub const KEY_VERSION: u32 = 2;
    /// Number of words.
    pub const WORDS: usize = 26;
    /// Length of the canonical encoding.
    pub const BYTES: usize = 32 * BatchHeader::WORDS;

    /// The words in the contract's order.
    pub fn to_words(&self) -> [[u8; 32]; BatchHeader::WORDS] {
        let n = |value: u64| Word::from_u64(value).to_bytes();
        let count = |value: u32| n(u64::from(value));
        [
            n(BatchHeader::VERSION),
            n(self.number.0),
            self.previous,
            n(self.window.t0().get()),
            n(self.window.t1().get()),
            self.root_in.to_bytes(),
            self.root_out.to_bytes(),
            n(self.forced_first),
            n(self.forced_count),
            self.forced_outcomes,
            self.operations_root,
            self.claims_root,
            count(self.operations),
            count(self.enrolments),
            count(self.access),
            count(self.collect),
            count(self.break_glass),
            count(self.excluded),
            self.data_root,
            n(self.journal_position.0),
            self.journal_hash,
            self.registry_root,
            n(self.data_source as u64),
            self.ciphertext_hash,
            n(self.ciphertext_length),
            count(self.key_version),
        ]
    }

    /// The words as bytes: exactly Solidity's `abi.encode(header)`.
    pub fn to_bytes(&self) -> [u8; BatchHeader::BYTES] {
        let mut bytes = [0; BatchHeader::BYTES];
        for (to, word) in bytes.chunks_exact_mut(32).zip(self.to_words()) {
            to.copy_from_slice(&word);
        }
        bytes
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// [`HeaderError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<BatchHeader, HeaderError> {
        if bytes.len() != BatchHeader::BYTES {
            let (expected, found) = (BatchHeader::BYTES, bytes.len());
            return Err(HeaderError::Length { expected, found });
        }
        let words = Words(bytes);
        // First: of another version the other words may mean anything.
        if words.number(0, 64)? != BatchHeader::VERSION {
            return Err(HeaderError::Version);
        }
        // The encoding has 256 bits for each; what does not fit its type here is no header.
        let count = |word: usize| words.number(word, 32).map(|n| n as u32);
        let time = |word: usize| Ok::<_, HeaderError>(Millis::new(words.number(word, 64)?)?);
        Ok(BatchHeader {
            number: BatchNumber(words.number(1, 64)?),
            previous: words.raw(2),
            window: Window::new(time(3)?, time(4)?)?,
            // These two are inputs of proofs and so field elements; hashes of the chain may be any
            // bytes.
            root_in: Word::from_bytes(words.raw(5))?,
            root_out: Word::from_bytes(words.raw(6))?,
            forced_first: words.number(7, 64)?,
            forced_count: words.number(8, 64)?,
            forced_outcomes: words.raw(9),
            operations_root: words.raw(10),
            claims_root: words.raw(11),
            operations: count(12)?,
            enrolments: count(13)?,
            access: count(14)?,
            collect: count(15)?,
            break_glass: count(16)?,
            excluded: count(17)?,
            data_root: words.raw(18),
            journal_position: Position(words.number(19, 64)?),
            journal_hash: words.raw(20),
            registry_root: words.raw(21),
            data_source: data_source(words.number(22, 64)?)?,
            ciphertext_hash: words.raw(23),
            ciphertext_length: words.number(24, 64)?,
            key_version: count(25)?,
        })
    }
}

fn data_source(number: u64) -> Result<DataSource, HeaderError> {
    match number {
        0 => Ok(DataSource::Operator),
        1 => Ok(DataSource::Committee),
        2 => Ok(DataSource::Calldata),
        found => Err(HeaderError::DataSource { found }),
    }
}

struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn raw(&self, word: usize) -> [u8; 32] {
        let mut raw = [0; 32];
        raw.copy_from_slice(&self.0[32 * word..32 * word + 32]);
        raw
    }

    fn number(&self, word: usize, bits: u32) -> Result<u64, HeaderError> {
        let raw = self.raw(word);
        let value = raw[24..].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        // A shift by the whole width would overflow.
        let fits = bits == 64 || value >> bits == 0;
        if raw[..24].iter().any(|byte| *byte != 0) || !fits {
            return Err(HeaderError::TooLarge { word, bits });
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            number: BatchNumber(7),
            previous: [1; 32],
            window: Window::new(Millis::new(1000).unwrap(), Millis::new(2000).unwrap()).unwrap(),
            root_in: Word::from_u64(5),
            root_out: Word::from_u64(6),
            forced_first: 0,
            forced_count: 0,
            forced_outcomes: [0; 32],
            operations_root: [2; 32],
            claims_root: [3; 32],
            operations: 4,
            enrolments: 1,
            access: 10,
            collect: 20,
            break_glass: 1,
            excluded: 0,
            data_root: [4; 32],
            journal_position: Position(999),
            journal_hash: [5; 32],
            registry_root: [0; 32],
            data_source: DataSource::Operator,
            ciphertext_hash: [0; 32],
            ciphertext_length: 0,
            key_version: BatchHeader::KEY_VERSION,
        }
    }

    #[test]
    fn bytes_round_trip() {
        assert_eq!(BatchHeader::from_bytes(&header().to_bytes()), Ok(header()));
    }

    #[test]
    fn a_word_wider_than_its_type_is_named() {
        for (word, bits) in [(12usize, 32u32), (1, 64), (19, 64)] {
            let mut bytes = header().to_bytes();
            bytes[32 * word + 31 - (bits / 8) as usize] = 1;
            let found = BatchHeader::from_bytes(&bytes);
            assert_eq!(found, Err(HeaderError::TooLarge { word, bits }));
        }
    }

    #[test]
    fn another_length_version_or_source_is_refused() {
        assert!(BatchHeader::from_bytes(&header().to_bytes()[1..]).is_err());
        for version in [0, 1, 3] {
            let mut bytes = header().to_bytes();
            bytes[31] = version;
            assert_eq!(BatchHeader::from_bytes(&bytes), Err(HeaderError::Version));
        }
        let mut bytes = header().to_bytes();
        bytes[32 * 22 + 31] = 3;
        let found = BatchHeader::from_bytes(&bytes);
        assert_eq!(found, Err(HeaderError::DataSource { found: 3 }));
    }
}
