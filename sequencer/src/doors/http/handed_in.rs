//! What somebody signed and handed in: its bytes, where they came from, and who takes them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::desk::PASSED_ON;
use super::places::{Kept, Place};
use super::shown::{Failed, Shown};
use crate::doors::codes;
use crate::stages::ingest::OperationDoor;

/// How long the bytes may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// The media type of the bytes. No page of another site may send it without asking this one first.
const OCTETS: &str = "application/octet-stream";

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// What was handed in, of at most so many bytes, while the door is open.
pub(super) struct HandedIn<const BYTES_MAX: usize> {
    /// Where it comes from, which its rate is charged to.
    pub(super) from: IpAddr,
    /// All of it.
    pub(super) bytes: Bytes,
    /// Who takes it.
    pub(super) door: OperationDoor,
    place: Arc<Place>,
}

impl<const BYTES_MAX: usize> HandedIn<BYTES_MAX> {
    /// From here to the answer: a stranger's connections push out who waits for a request, and
    /// nobody whose operation is under way. What `protects` a patient finds room where others wait.
    pub(super) fn keep(&self, protects: bool) -> Result<Kept, Failed> {
        let full = || Failed(&codes::OPERATIONS_BUSY, Value::Null);
        self.place.keep(self.from, protects).ok_or_else(full)
    }
}

impl<const BYTES_MAX: usize> FromRequest<Shown> for HandedIn<BYTES_MAX> {
    type Rejection = Failed;

    async fn from_request(request: Request, shown: &Shown) -> Result<Self, Failed> {
        let (head, body) = request.into_parts();
        // The service gives both to every request before anybody looks at it.
        let Peer(peer) = *head.extensions.get::<Peer>().expect("a request has a peer");
        let place = Arc::clone(head.extensions.get::<Arc<Place>>().expect("a request has a place"));
        let from = source(&head.headers, peer, shown.forwarded)?;
        if head.headers.get(header::CONTENT_TYPE).is_none_or(|found| found != OCTETS) {
            return Err(Failed(&codes::OPERATION_TYPE, json!({ "expected": OCTETS })));
        }
        let bytes = read_body(body, BYTES_MAX).await.map_err(|fault| match fault {
            BodyFault::Slow => Failed(&codes::OPERATION_SLOW, Value::Null),
            BodyFault::Long => Failed(&codes::OPERATION_LONG, json!({ "bytes_max": BYTES_MAX })),
        })?;
        let closed = || Failed(&codes::OPERATIONS_CLOSED, Value::Null);
        let door = shown.operations.door().ok_or_else(closed)?;
        Ok(HandedIn { from, bytes, door, place })
    }
}

/// Why a body is not read.
pub(super) enum BodyFault {
    /// It did not come within 10 s.
    Slow,
    /// It is longer, or was cut off.
    Long,
}

/// All of a body of at most so many bytes.
pub(super) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, BodyFault> {
    let read = timeout(BODY_WAIT, to_bytes(body, bytes_max)).await;
    read.map_err(|_| BodyFault::Slow)?.map_err(|_| BodyFault::Long)
}

/// Where a request comes from, which its rate is charged to.
fn source(headers: &HeaderMap, peer: IpAddr, is_forwarded: bool) -> Result<IpAddr, Failed> {
    if is_forwarded {
        return forwarded(headers);
    }
    // All that comes through a proxy would be one source, which one stranger could use up.
    match PASSED_ON.iter().any(|name| headers.contains_key(*name)) {
        true => Err(Failed(&codes::SOURCE_HIDDEN, Value::Null)),
        false => Ok(peer),
    }
}

/// Where a request came to the proxy from: the last address, which the proxy itself put there, with
/// or without a port. Those before it are what its client said.
fn forwarded(headers: &HeaderMap) -> Result<IpAddr, Failed> {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()).map(str::trim);
    let address = last.and_then(|text| {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let with_port = || text.parse().ok().map(|found: SocketAddr| found.ip());
        bare.unwrap_or(text).parse().ok().or_else(with_port)
    });
    address.ok_or(Failed(&codes::SOURCE_UNKNOWN, Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        forwarded(&headers).ok()
    }

    #[test]
    fn the_source_is_what_the_proxy_added_last() {
        let address = |text: &str| Some(text.parse().unwrap());
        assert_eq!(of(&["192.0.2.1"]), address("192.0.2.1"));
        assert_eq!(of(&["10.0.0.1, 192.0.2.1"]), address("192.0.2.1"));
        assert_eq!(of(&["10.0.0.1", " 2001:db8::1 "]), address("2001:db8::1"));
        assert_eq!(of(&["192.0.2.1:4433"]), address("192.0.2.1"));
        assert_eq!(of(&["[2001:db8::1]:4433"]), address("2001:db8::1"));
        assert_eq!(of(&["[2001:db8::1]"]), address("2001:db8::1"));
        for none in [&[][..], &[""], &["192.0.2.1,"], &["somebody"], &["192.0.2.1", "unknown"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_a_proxy_passes_on_is_no_source_unless_the_node_is_told_of_it() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(source(&headers, peer, false).ok(), Some(peer));
        assert!(source(&headers, peer, true).is_err());
        headers.append("x-forwarded-for", "192.0.2.1".parse().unwrap());
        let Err(Failed(hidden, _)) = source(&headers, peer, false) else { panic!("one source") };
        assert_eq!(hidden.code, "source-hidden");
        assert_eq!(source(&headers, peer, true).ok(), Some("192.0.2.1".parse().unwrap()));
    }
}
