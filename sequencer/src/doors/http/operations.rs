//! `POST /operations`: what somebody signed, from anywhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::{Extension, Json};
use model::{RejectCode, with_causes};
use serde_json::{Value, json};
use tokio::time::timeout;
use wire::limits::SIGNED_OPERATION_BYTES_MAX;

use super::desk::PASSED_ON;
use super::places::Place;
use super::shown::{Failed, Shown};
use crate::doors::codes;
use crate::stages::ingest::{AdmitError, Asked, DoorError};

/// How long the bytes may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// How long a request waits until its operation is durable.
const DURABLE_WAIT: Duration = Duration::from_secs(15);

/// The media type of the bytes. No page of another site may send it without asking this one first.
pub(super) const OCTETS: &str = "application/octet-stream";

/// Who is at the other end of the connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Takes one operation and answers with its receipt.
pub(super) async fn take(
    State(shown): State<Shown>,
    Extension(place): Extension<Arc<Place>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: axum::extract::Request,
) -> Result<Json<Value>, Failed> {
    let (head, body) = request.into_parts();
    let from = source(&head.headers, peer, shown.forwarded)?;
    if head.headers.get(header::CONTENT_TYPE).is_none_or(|found| found != OCTETS) {
        return Err(Failed(&codes::OPERATION_TYPE, json!({ "expected": OCTETS })));
    }
    let bytes = read(body).await?;
    let closed = || Failed(&codes::OPERATIONS_CLOSED, Value::Null);
    let door = shown.operations.door().ok_or_else(closed)?;
    let arrived = door.read(from, bytes)?;
    // From here to the answer: a stranger's connections push out who waits for a request, and
    // nobody whose operation is under way.
    let full = || Failed(&codes::OPERATIONS_BUSY, Value::Null);
    let _kept = place.keep(from, arrived.protects()).ok_or_else(full)?;
    let stored = match door.examine(arrived).await? {
        Asked::Stored(stored) => stored,
        Asked::New(examined) => door.submit(examined, DURABLE_WAIT).await?,
    };
    let receipt = door.receipt(stored).await?;
    Ok(Json(json!({
        "schema": "vitals-operation-receipt-1",
        "position": stored.position.0,
        "receipt": hex::encode(receipt.to_bytes()),
    })))
}

async fn read(body: Body) -> Result<Bytes, Failed> {
    let too_long =
        || Failed(&codes::OPERATION_LONG, json!({ "bytes_max": SIGNED_OPERATION_BYTES_MAX }));
    let read = timeout(BODY_WAIT, to_bytes(body, SIGNED_OPERATION_BYTES_MAX)).await;
    let read = read.map_err(|_| Failed(&codes::OPERATION_SLOW, Value::Null))?;
    read.map_err(|_| too_long())
}

/// Where a request comes from, which its rate is charged to.
pub(super) fn source(
    headers: &HeaderMap,
    peer: IpAddr,
    is_forwarded: bool,
) -> Result<IpAddr, Failed> {
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

impl From<DoorError> for Failed {
    fn from(error: DoorError) -> Failed {
        match error {
            DoorError::Length(_) | DoorError::Operation(_) | DoorError::Malformed(_) => {
                Failed(&codes::OPERATION_MALFORMED, json!(with_causes(&error)))
            }
            DoorError::Enrolment => Failed(&codes::OPERATION_ENROLMENT, Value::Null),
            DoorError::TooOften => Failed(&codes::OPERATIONS_TOO_OFTEN, Value::Null),
            DoorError::NotTaken => Failed(&codes::OPERATION_NOT_TAKEN, Value::Null),
            // Not now, and the same bytes may be taken later.
            DoorError::Refused { code: RejectCode::Busy, .. } => {
                Failed(&codes::OPERATIONS_BUSY, Value::Null)
            }
            DoorError::Refused { code: RejectCode::Unavailable, .. } => {
                Failed(&codes::OPERATIONS_CLOSED, Value::Null)
            }
            DoorError::Refused { code, rule } => {
                let rule = rule.map(|rule| rule.to_string());
                let detail = json!({
                    "code": code.number(), "meaning": code.meaning(), "rule": rule,
                });
                Failed(&codes::OPERATION_REFUSED, detail)
            }
            DoorError::Admit(AdmitError::Full { .. } | AdmitError::Busy { .. }) => {
                Failed(&codes::OPERATIONS_BUSY, Value::Null)
            }
            DoorError::Admit(_) => Failed(&codes::OPERATIONS_CLOSED, Value::Null),
            DoorError::Unacknowledged { .. } => {
                Failed(&codes::OPERATION_UNACKNOWLEDGED, Value::Null)
            }
            DoorError::Receipt { position, .. } => {
                let error = with_causes(&error);
                tracing::error!(error, "the receipt of an operation cannot be given");
                Failed(&codes::OPERATION_UNRECEIPTED, json!({ "position": position.0 }))
            }
            DoorError::Panicked(panic) => {
                tracing::error!(panic, "an operation over HTTP was not looked at");
                Failed(&codes::INTERNAL, Value::Null)
            }
        }
    }
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
