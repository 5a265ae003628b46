//! Reading and writing canonical bytes: big-endian, every length checked before it is used.

use model::{Digest, FIRST_VERSION, IdError, Interval, Millis, PatientIndex, RejectCode};
use thiserror::Error;

/// Bytes that do not decode. Holds no value that could be a patient's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("expected {expected} more bytes of {what}, found {found}")]
    Truncated {
        /// What was read.
        what: &'static str,
        /// Bytes needed.
        expected: usize,
        /// Bytes left.
        found: usize,
    },
    /// The bytes go on after the end.
    #[error("expected the end of {what}, found {found} more bytes")]
    Trailing {
        /// What was read.
        what: &'static str,
        /// Bytes left.
        found: usize,
    },
    /// A length or count beyond its limit.
    #[error("expected at most {limit} for {what}, found {found}")]
    TooLarge {
        /// Which length.
        what: &'static str,
        /// Largest allowed.
        limit: usize,
        /// Found.
        found: usize,
    },
    /// Bytes of the first version, which nothing reads.
    #[error("found {what} of format version 1: {FIRST_VERSION}")]
    FirstVersion {
        /// What was read.
        what: &'static str,
    },
    /// Bytes of a later version, of which nothing more is read.
    #[error("expected {what} of version {expected}, found version {found}")]
    Version {
        /// What was read.
        what: &'static str,
        /// The version that is read.
        expected: u16,
        /// The version found.
        found: u16,
    },
    /// A code without meaning.
    #[error("expected a known {what}, found {found:#x}")]
    Unknown {
        /// Which code.
        what: &'static str,
        /// Found.
        found: u64,
    },
    /// A field breaks a rule of its type.
    #[error("{what} is malformed: {why}")]
    Field {
        /// Which field.
        what: &'static str,
        /// The rule it breaks.
        why: String,
    },
}

impl DecodeError {
    /// What the peer is told.
    pub fn code(&self) -> RejectCode {
        match self {
            DecodeError::TooLarge { .. } => RejectCode::TooLarge,
            DecodeError::FirstVersion { .. } | DecodeError::Version { .. } => RejectCode::Version,
            _ => RejectCode::Malformed,
        }
    }

    pub(crate) fn field(what: &'static str, why: impl std::fmt::Display) -> DecodeError {
        DecodeError::Field { what, why: why.to_string() }
    }
}

/// Appends canonical fields.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A u8 length, then the bytes; the caller's type keeps them below 256.
    pub(crate) fn text(&mut self, text: &str) {
        debug_assert!(text.len() < 256);
        self.u8(text.len() as u8);
        self.raw(text.as_bytes());
    }

    /// A u32 length, then the bytes.
    pub(crate) fn long(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.raw(bytes);
    }

    pub(crate) fn millis(&mut self, at: Millis) {
        self.u64(at.get());
    }

    pub(crate) fn interval(&mut self, interval: Interval) {
        self.millis(interval.from);
        self.millis(interval.until);
    }

    pub(crate) fn patient(&mut self, patient: PatientIndex) {
        self.u32(patient.get());
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.raw(&digest.0);
    }
}

/// Takes canonical fields off the front.
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader { what, bytes }
    }

    pub(crate) fn take(&mut self, expected: usize) -> Result<&'a [u8], DecodeError> {
        let found = self.bytes.len();
        let (head, tail) = self.bytes.split_at_checked(expected).ok_or(DecodeError::Truncated {
            what: self.what,
            expected,
            found,
        })?;
        self.bytes = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        // Any other byte would be a second encoding of the same value (W.8).
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::Unknown { what, found: u64::from(found) }),
        }
    }

    /// A u16 count of at most `limit`.
    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let found = usize::from(self.u16()?);
        if found > limit {
            return Err(DecodeError::TooLarge { what, limit, found });
        }
        Ok(found)
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = usize::from(self.u8()?);
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::field(what, "not UTF-8"))
    }

    pub(crate) fn name<T>(
        &mut self,
        what: &'static str,
        new: fn(&str) -> Result<T, IdError>,
    ) -> Result<T, DecodeError> {
        // An id's error says what is wrong with a name and never the name.
        new(self.text(what)?).map_err(|error| DecodeError::field(what, error))
    }

    pub(crate) fn long(
        &mut self,
        what: &'static str,
        limit: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let found = self.u32()? as usize;
        if found > limit {
            return Err(DecodeError::TooLarge { what, limit, found });
        }
        self.take(found)
    }

    pub(crate) fn millis(&mut self, what: &'static str) -> Result<Millis, DecodeError> {
        Millis::new(self.u64()?).map_err(|error| DecodeError::field(what, error))
    }

    pub(crate) fn interval(&mut self, what: &'static str) -> Result<Interval, DecodeError> {
        let (from, until) = (self.millis(what)?, self.millis(what)?);
        Interval::new(from, until).map_err(|error| DecodeError::field(what, error))
    }

    pub(crate) fn patient(&mut self) -> Result<PatientIndex, DecodeError> {
        // Not with the cause in the text: that one shows the number found, which is a patient's.
        PatientIndex::new(self.u32()?)
            .map_err(|_| DecodeError::field("patient index", "expected it below 2^24"))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, DecodeError> {
        self.array().map(Digest)
    }

    /// A code of the one list.
    pub(crate) fn reject_code(&mut self) -> Result<RejectCode, DecodeError> {
        let found = self.u16()?;
        let unknown = DecodeError::Unknown { what: "reject code", found: u64::from(found) };
        RejectCode::from_number(found).ok_or(unknown)
    }

    /// The version byte that begins a canonical body.
    pub(crate) fn version(&mut self, expected: u8) -> Result<(), DecodeError> {
        match self.u8()? {
            found if found == expected => Ok(()),
            found => Err(self.other_version(expected.into(), found.into())),
        }
    }

    /// The error for bytes of another version.
    pub(crate) fn other_version(&self, expected: u16, found: u16) -> DecodeError {
        let what = self.what;
        match found {
            1 => DecodeError::FirstVersion { what },
            found => DecodeError::Version { what, expected, found },
        }
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            found => Err(DecodeError::Trailing { what: self.what, found }),
        }
    }
}
