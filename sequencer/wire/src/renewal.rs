//! A certificate that is asked for over the connection that the one before it opened
//! (docs/wire.md, W.81 to W.84).

use std::fmt;

use bytes::Bytes;

use crate::codec::{Reader, Writer};
use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_REQUEST_BYTES_MAX};
use crate::{DecodeError, RequestId};

/// A request for a certificate (PKCS #10 in DER): 1 to [`CERTIFICATE_REQUEST_BYTES_MAX`] bytes,
/// opaque here.
#[derive(Clone, PartialEq, Eq)]
pub struct RenewalRequest(Bytes);

impl RenewalRequest {
    /// Checks the length.
    ///
    /// # Errors
    /// [`DecodeError`] unless there are 1 to [`CERTIFICATE_REQUEST_BYTES_MAX`] bytes.
    pub fn new(request: impl Into<Bytes>) -> Result<RenewalRequest, DecodeError> {
        let request = request.into();
        check_length("certificate request", request.len(), CERTIFICATE_REQUEST_BYTES_MAX)?;
        Ok(RenewalRequest(request))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.long(&self.0);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<RenewalRequest, DecodeError> {
        let request = from.long("certificate request", CERTIFICATE_REQUEST_BYTES_MAX)?;
        RenewalRequest::new(request.to_vec())
    }
}

/// Prints how long it is.
impl fmt::Debug for RenewalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RenewalRequest({} bytes)", self.0.len())
    }
}

/// What became of a request for a certificate so far.
#[derive(Clone, PartialEq, Eq)]
pub struct RenewalAnswer {
    /// Which request.
    pub request: RequestId,
    /// The certificate in DER, at most [`CERTIFICATE_BYTES_MAX`]; none while nobody has issued it.
    pub certificate: Option<Bytes>,
}

impl RenewalAnswer {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.u64(self.request.0);
        to.long(self.certificate.as_deref().unwrap_or_default());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<RenewalAnswer, DecodeError> {
        let request = RequestId(from.u64()?);
        let certificate = match from.long("certificate", CERTIFICATE_BYTES_MAX)? {
            [] => None,
            bytes => Some(Bytes::copy_from_slice(bytes)),
        };
        Ok(RenewalAnswer { request, certificate })
    }
}

/// Prints whether there is one.
impl fmt::Debug for RenewalAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.certificate.is_some() { "issued" } else { "waits" };
        write!(f, "RenewalAnswer({}, {state})", self.request)
    }
}

fn check_length(what: &'static str, found: usize, limit: usize) -> Result<(), DecodeError> {
    match found {
        0 => Err(DecodeError::field(what, "expected 1 byte or more, found none")),
        found if found > limit => Err(DecodeError::TooLarge { what, limit, found }),
        _ => Ok(()),
    }
}
