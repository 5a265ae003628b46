//! Bytes in and out: little-endian numbers, names behind a byte of length.

/// Why bytes are not what they should be. No value of them stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another kind of message, or another version.
    #[error("{what}: expected its magic with version {version}, found other bytes")]
    Magic {
        /// Which kind was expected.
        what: &'static str,
        /// Which version is spoken here.
        version: u8,
    },
    /// The bytes end early.
    #[error("{what}: expected {expected} bytes, found the last {found}")]
    Truncated {
        /// Where they end.
        what: &'static str,
        /// Bytes that were to come.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// A number of things that is not possible here.
    #[error("{what}: expected at most {most}, found {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
        /// The number.
        found: usize,
    },
    /// A value outside of what its place may hold, or a second form of one.
    #[error("{what}: expected {expected}, found something else")]
    Value {
        /// Which.
        what: &'static str,
        /// What its place may hold.
        expected: &'static str,
    },
    /// Bytes behind the end.
    #[error("expected the end, found {found} more bytes")]
    Trailing {
        /// How many.
        found: usize,
    },
}

/// Takes bytes from the front, and never more than are there.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The first bytes of a kind of message: seven letters and the version.
    pub(crate) fn magic(
        &mut self,
        what: &'static str,
        magic: &'static [u8; 8],
    ) -> Result<(), DecodeError> {
        match self.rest.split_first_chunk::<8>() {
            Some((found, rest)) if found == magic => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(DecodeError::Magic { what, version: magic[7] }),
        }
    }

    pub(crate) fn take(
        &mut self,
        what: &'static str,
        expected: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let found = self.rest.len();
        let truncated = DecodeError::Truncated { what, expected, found };
        let (taken, rest) = self.rest.split_at_checked(expected).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A number of things of at least `each` bytes, which must be there: so that a stranger's count
    /// makes room for no more than the stranger sent.
    pub(crate) fn count(
        &mut self,
        what: &'static str,
        most: usize,
        each: usize,
    ) -> Result<usize, DecodeError> {
        let found = self.u32(what)? as usize;
        if found > most {
            return Err(DecodeError::Count { what, most, found });
        }
        // Both factors are limits of this format, far below an overflow.
        let expected = found * each;
        if expected > self.rest.len() {
            return Err(DecodeError::Truncated { what, expected, found: self.rest.len() });
        }
        Ok(found)
    }

    /// A name behind its length.
    pub(crate) fn name<T: std::str::FromStr>(
        &mut self,
        what: &'static str,
        expected: &'static str,
    ) -> Result<T, DecodeError> {
        let length = self.u8(what)?;
        let bytes = self.take(what, length.into())?;
        let text = std::str::from_utf8(bytes).ok();
        let name = text.and_then(|text| text.parse().ok());
        name.ok_or(DecodeError::Value { what, expected })
    }

    pub(crate) fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            found => Err(DecodeError::Trailing { found }),
        }
    }
}

/// Appends a name behind its length.
pub(crate) fn push_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(u8::try_from(name.len()).expect("names have at most 32 letters"));
    bytes.extend(name.as_bytes());
}

/// Appends a number of things.
pub(crate) fn push_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u32::try_from(count).expect("limits of this format are below 2^32").to_le_bytes());
}
