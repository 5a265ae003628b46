//! A signed operation as it travels: opaque here, checked by who applies it.

use std::fmt;

use bytes::Bytes;
use model::Digest;

use crate::DecodeError;
use crate::hash::digest31;
use crate::limits::SIGNED_OPERATION_BYTES_MAX;

/// The bytes of an operation with its signature: 1 to [`SIGNED_OPERATION_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct SignedOperation(Bytes);

impl SignedOperation {
    /// Checks the length.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none or too much.
    pub fn new(bytes: impl Into<Bytes>) -> Result<SignedOperation, DecodeError> {
        let bytes = bytes.into();
        let (found, limit) = (bytes.len(), SIGNED_OPERATION_BYTES_MAX);
        match found {
            0 => Err(DecodeError::Truncated { what: "signed operation", expected: 1, found }),
            found if found > limit => {
                Err(DecodeError::TooLarge { what: "signed operation", limit, found })
            }
            _ => Ok(SignedOperation(bytes)),
        }
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
