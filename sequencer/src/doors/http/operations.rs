//! `POST /operations`: what somebody signed, from anywhere.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::{Extension, Json};
use model::with_causes;
use serde_json::{Value, json};
use tokio::time::timeout;
use wire::limits::SIGNED_OPERATION_BYTES_MAX;

use super::answer::{Failed, Shown, run_blocking};
use super::places::Place;
use crate::doors::codes;
use crate::stages::ingest::{AdmitError, Asked, DoorError, OperationDoor, Stored};

/// How long the bytes may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// How long a request waits until its operation is durable.
const DURABLE_WAIT: Duration = Duration::from_secs(15);

/// The media type of the bytes. No page of another site may send it without asking this one first.
const OCTETS: &str = "application/octet-stream";

/// Where the node puts the door once it takes operations, and takes it from before it stops.
#[derive(Clone, Default)]
pub struct DoorPlace(Arc<RwLock<Option<Arc<OperationDoor>>>>);

impl DoorPlace {
    /// From now on operations are taken.
    pub fn open(&self, door: OperationDoor) -> Arc<OperationDoor> {
        let door = Arc::new(door);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&door));
        door
    }

    /// From now on none is.
    pub fn close(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn door(&self) -> Option<Arc<OperationDoor>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

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
    let from = if shown.forwarded { forwarded(&head.headers)? } else { peer };
    if head.headers.get(header::CONTENT_TYPE).is_none_or(|found| found != OCTETS) {
        return Err(Failed(&codes::OPERATION_TYPE, json!({ "expected": OCTETS })));
    }
    let bytes = read(body).await?;
    let closed = || Failed(&codes::OPERATIONS_CLOSED, Value::Null);
    let door = shown.operations.door().ok_or_else(closed)?;
    let asked = {
        let door = Arc::clone(&door);
        run_blocking(move || Ok(door.examine(from, bytes)?)).await?
    };
    let stored = match asked {
        Asked::Stored(stored) => stored,
        Asked::New(examined) => {
            // Signed well, so it keeps its connection: strangers could push it out before it is
            // durable otherwise.
            let full = || Failed(&codes::OPERATIONS_BUSY, Value::Null);
            let _kept = place.keep().ok_or_else(full)?;
            door.submit(examined, DURABLE_WAIT).await?
        }
    };
    run_blocking(move || answer(&door, stored)).await
}

fn answer(door: &OperationDoor, stored: Stored) -> Result<Json<Value>, Failed> {
    let receipt = door.receipt(stored).map_err(|error| {
        let error = with_causes(&error);
        tracing::error!(error, "the receipt of an operation cannot be given");
        Failed(&codes::OPERATION_UNRECEIPTED, json!({ "position": stored.position.0 }))
    })?;
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

/// Where a request came to the proxy from: the last address, which the proxy itself put there.
/// Those before it are what its client said.
fn forwarded(headers: &HeaderMap) -> Result<IpAddr, Failed> {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    let address = last.and_then(|text| text.trim().parse().ok());
    address.ok_or(Failed(&codes::SOURCE_UNKNOWN, Value::Null))
}

impl From<DoorError> for Failed {
    fn from(error: DoorError) -> Failed {
        match error {
            DoorError::Length(_) | DoorError::Malformed(_) => {
                Failed(&codes::OPERATION_MALFORMED, json!(with_causes(&error)))
            }
            DoorError::TooOften => Failed(&codes::OPERATIONS_TOO_OFTEN, Value::Null),
            DoorError::NotTaken => Failed(&codes::OPERATION_NOT_TAKEN, Value::Null),
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
        for none in [&[][..], &[""], &["192.0.2.1,"], &["somebody"], &["192.0.2.1", "unknown"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
