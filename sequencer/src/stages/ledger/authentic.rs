//! A request to read whose signature verifies: checked once, and carried as a type.

use statement::eddsa;
use thiserror::Error;
use wire::SignedAccessRequest;

/// A request to read that was signed with the key that stands in it. Whether that is the
/// practitioner's key the registry says, and it may change at any time: the ledger compares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticRequest(Box<SignedAccessRequest>);

/// A request that the key in it did not sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("expected a request to read that the key in it signed")]
pub struct NotSigned;

impl AuthenticRequest {
    /// Verifies the signature, which costs some hundred microseconds: on the task of whoever sends
    /// it, so that junk takes nothing from the writer.
    ///
    /// # Errors
    /// [`NotSigned`], also where key or signature are none.
    pub fn verify(signed: Box<SignedAccessRequest>) -> Result<AuthenticRequest, NotSigned> {
        if signed.is_signed(eddsa::verify_bytes) {
            Ok(AuthenticRequest(signed))
        } else {
            Err(NotSigned)
        }
    }

    /// The request.
    pub fn signed(&self) -> &SignedAccessRequest {
        &self.0
    }
}
