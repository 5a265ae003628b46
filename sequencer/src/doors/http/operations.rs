//! `POST /operations`: what somebody signed, from anywhere.

use std::time::Duration;

use axum::Json;
use model::{RejectCode, with_causes};
use serde_json::{Value, json};
use wire::limits::SIGNED_OPERATION_BYTES_MAX;

use super::handed_in::HandedIn;
use super::shown::Failed;
use crate::doors::codes;
use crate::stages::ingest::{AdmitError, Asked, DoorError};

/// How long a request waits until its operation is durable.
const DURABLE_WAIT: Duration = Duration::from_secs(15);

/// Takes one operation and answers with its receipt.
pub(super) async fn take(
    handed_in: HandedIn<SIGNED_OPERATION_BYTES_MAX>,
) -> Result<Json<Value>, Failed> {
    let door = &handed_in.door;
    let arrived = door.read(handed_in.from, handed_in.bytes.clone())?;
    let _kept = handed_in.keep(arrived.protects())?;
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
