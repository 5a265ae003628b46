//! What an answer is made of, whoever gives it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a request for something large waits for a place.
const PLACE_WAIT: Duration = Duration::from_secs(10);

pub(crate) const JSON: &str = "application/json";

/// An answer without a body of its own: status, the word that says why, and what else is known.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: Option<String>,
}

pub(crate) const fn failed(status: StatusCode, code: &'static str) -> Failed {
    Failed { status, code, detail: None }
}

pub(crate) fn with_type(
    status: StatusCode,
    kind: &'static str,
    bytes: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Before anything large is in memory.
pub(crate) async fn take_place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failed> {
    let busy = || failed(StatusCode::SERVICE_UNAVAILABLE, "page-busy");
    let place = timeout(PLACE_WAIT, Arc::clone(places).acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or_else(busy)
}

/// Bytes with their place.
struct Held {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Both are given up when the last byte is with the system.
pub(crate) fn held(bytes: Vec<u8>, place: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Held { bytes, _place: place })
}

/// A question in JSON, of so many bytes at most. No page of another site may send one without
/// asking here first, which is not answered.
pub(crate) async fn read_question(
    headers: &HeaderMap,
    body: Incoming,
    bytes_max: usize,
) -> Result<Bytes, Failed> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|found| found != JSON) {
        return Err(failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "question-type"));
    }
    let body = Limited::new(body, bytes_max).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => failed(StatusCode::PAYLOAD_TOO_LARGE, "question-long"),
        false => failed(StatusCode::BAD_REQUEST, "question-malformed"),
    })?;
    Ok(body.to_bytes())
}
