//! What is told of the renewal of a certificate.

use std::sync::Arc;

use model::Millis;
use thiserror::Error;

use super::error::{ConnectionError, RequestError};
use crate::renewing::RenewalFileError;

/// A step of a renewal.
#[derive(Clone, Debug)]
pub enum Renewal {
    /// A certificate was asked for: it waits for the operator, and is asked for again.
    Asked {
        /// When the present one ends.
        until: Millis,
    },
    /// The streams go over to the new one.
    Renewed {
        /// When it ends.
        until: Millis,
    },
    /// It came to nothing this time, and is tried again.
    Failed(RenewalError),
}

/// Why a certificate is not renewed. Cheap to clone.
#[derive(Clone, Debug, Error)]
pub enum RenewalError {
    /// The files beside the identity.
    #[error("expected to keep the next key beside the identity")]
    File(#[source] Arc<RenewalFileError>),
    /// The node does not take the request.
    #[error("expected the node to take a request for a certificate")]
    Request(#[from] RequestError),
    /// The new certificate was not welcomed; the one before goes on.
    #[error("expected the node to welcome the new certificate, found that it does not")]
    NotWelcomed(#[source] ConnectionError),
}

impl From<RenewalFileError> for RenewalError {
    fn from(error: RenewalFileError) -> RenewalError {
        RenewalError::File(Arc::new(error))
    }
}
