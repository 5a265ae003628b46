//! Reading canonical bytes: fixed-width big-endian fields, checked before use.

use thiserror::Error;

use crate::{Millis, Word};

/// Bytes that end too early, too late, or hold a field out of range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A field begins beyond the end, or bytes follow the last one.
    #[error("expected {expected} more bytes at offset {offset}, found {found}")]
    Length {
        /// Where.
        offset: usize,
        /// Bytes the field needs; 0 where the value should end.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// A field holds a value that its type does not have.
    #[error("expected {expected} at offset {offset}, found another value")]
    Field {
        /// Where.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
}

/// Walks over bytes field by field.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Offset of the next field.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if fewer are left; nothing is allocated before that check.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let found = self.remaining();
        if found < len {
            return Err(DecodeError::Length { offset: self.at, expected: len, found });
        }
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A byte.
    ///
    /// # Errors
    /// [`DecodeError::Length`] at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// A big-endian u16.
    ///
    /// # Errors
    /// [`DecodeError::Length`] at the end.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian u32.
    ///
    /// # Errors
    /// [`DecodeError::Length`] at the end.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian u64.
    ///
    /// # Errors
    /// [`DecodeError::Length`] at the end.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A canonical field element.
    ///
    /// # Errors
    /// [`DecodeError`] at the end or for r and more.
    pub fn word(&mut self) -> Result<Word, DecodeError> {
        let expected = "a field element below the BN254 scalar order";
        let offset = self.at;
        Word::from_bytes(self.array()?).map_err(|_| DecodeError::Field { offset, expected })
    }

    /// A time of 44 bits in a u64.
    ///
    /// # Errors
    /// [`DecodeError`] at the end or from 2^44 on.
    pub fn millis(&mut self) -> Result<Millis, DecodeError> {
        let expected = "milliseconds since 1900 below 2^44";
        let offset = self.at;
        Millis::new(self.u64()?).map_err(|_| DecodeError::Field { offset, expected })
    }

    /// A count of items of at least `item_bytes` each: never more than the rest could hold, so
    /// that a reader may allocate for it.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if the rest is too short for that many.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let offset = self.at;
        let count = self.u32()? as usize;
        // Saturated, a count from a hostile file is larger than any rest and is refused.
        // At least one byte each: of items without bytes any number would fit.
        let expected = count.saturating_mul(item_bytes.max(1));
        let found = self.remaining();
        if expected > found {
            return Err(DecodeError::Length { offset, expected, found });
        }
        Ok(count)
    }

    /// A field that a closure maps to its type.
    ///
    /// # Errors
    /// [`DecodeError::Field`] with `expected` where the closure finds no value.
    pub fn map<T, R>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<R, DecodeError>,
        make: impl FnOnce(R) -> Option<T>,
    ) -> Result<T, DecodeError> {
        let offset = self.at;
        // The offset above is where the field begins: there the error is to be looked for.
        let raw = read(self)?;
        make(raw).ok_or(DecodeError::Field { offset, expected })
    }

    /// Requires that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if bytes follow.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            found => Err(DecodeError::Length { offset: self.at, expected: 0, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_the_rest_cannot_hold_is_refused_before_allocation() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 1, 2];
        assert!(Reader::new(&bytes).count(32).is_err());
        assert_eq!(Reader::new(&[0, 0, 0, 1, 9, 9]).count(2), Ok(1));
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let mut reader = Reader::new(&[1, 2]);
        assert_eq!(reader.u8(), Ok(1));
        let found = reader.finish();
        assert_eq!(found, Err(DecodeError::Length { offset: 1, expected: 0, found: 1 }));
        assert!(reader.u64().is_err());
    }
}
