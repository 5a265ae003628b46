//! A signed operation as it travels and as the log holds it: opaque here, checked by who applies
//! it.

use std::fmt;

use bytes::Bytes;
use model::Digest;

use crate::DecodeError;
use crate::hash::digest31;
use crate::limits::{SEALED_OPERATION_BYTES_MAX, SIGNED_OPERATION_BYTES_MAX};

/// The bytes of an operation with its signature: 1 to [`SIGNED_OPERATION_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct SignedOperation(Bytes);

/// An operation as the log holds it.
///
/// An enrolment holds the patient's view key, which opens all that is ever proven about them, so it
/// stands in the log sealed to a key that does not; what any other operation says, its frames and
/// requests say as well. Who seals and opens is not the log's reader: here it is opaque.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredOperation {
    /// As it was signed.
    Plain(SignedOperation),
    /// Sealed.
    Sealed(SealedOperation),
}

/// A sealed operation, and what receipts say of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOperation {
    digest: Digest,
    sealed: Bytes,
}

impl StoredOperation {
    /// What names the signed operation in receipts, sealed or not.
    pub fn digest(&self) -> Digest {
        match self {
            StoredOperation::Plain(operation) => operation.digest(),
            StoredOperation::Sealed(sealed) => sealed.digest,
        }
    }
}

impl SealedOperation {
    /// The sealed bytes of the operation with this digest.
    ///
    /// # Errors
    /// [`DecodeError`] if there are none or too many: 1 to [`SEALED_OPERATION_BYTES_MAX`].
    pub fn new(digest: Digest, sealed: impl Into<Bytes>) -> Result<SealedOperation, DecodeError> {
        let sealed = sealed.into();
        check_length("sealed operation", sealed.len(), SEALED_OPERATION_BYTES_MAX)?;
        Ok(SealedOperation { digest, sealed })
    }

    /// What names the signed operation in receipts.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The sealed bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.sealed
    }
}

impl fmt::Debug for SealedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedOperation({} bytes)", self.sealed.len())
    }
}

impl SignedOperation {
    /// Checks the length.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none or too much.
    pub fn new(bytes: impl Into<Bytes>) -> Result<SignedOperation, DecodeError> {
        let bytes = bytes.into();
        check_length("signed operation", bytes.len(), SIGNED_OPERATION_BYTES_MAX)?;
        Ok(SignedOperation(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Names the signed operation in receipts.
    pub fn digest(&self) -> Digest {
        digest31("vitals signed operation v1", &self.0)
    }
}

impl fmt::Debug for SignedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedOperation({} bytes)", self.0.len())
    }
}

fn check_length(what: &'static str, found: usize, limit: usize) -> Result<(), DecodeError> {
    match found {
        0 => Err(DecodeError::Truncated { what, expected: 1, found }),
        found if found > limit => Err(DecodeError::TooLarge { what, limit, found }),
        _ => Ok(()),
    }
}
