//! `POST /erasures`: a patient's signed request to have their readings erased, from anywhere.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header;
use axum::{Extension, Json};
use model::calendar::Utc;
use model::with_causes;
use serde_json::{Value, json};
use tokio::time::timeout;
use wire::SignedErasure;

use super::operations::{OCTETS, Peer, source};
use super::places::Place;
use super::shown::{Failed, Shown};
use crate::doors::codes;
use crate::stages::ingest::{ErasureDoorError, ErasureStands, TakenErasure};

/// How long the bytes may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Keeps one request for the operator and answers how it stands.
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
    let full = || Failed(&codes::OPERATIONS_BUSY, Value::Null);
    let _kept = place.keep(from, false).ok_or_else(full)?;
    let taken = door.take_erasure(from, bytes).await?;
    answer(&taken)
}

async fn read(body: Body) -> Result<Bytes, Failed> {
    let most = SignedErasure::BYTES;
    let read = timeout(BODY_WAIT, to_bytes(body, most)).await;
    let read = read.map_err(|_| Failed(&codes::OPERATION_SLOW, Value::Null))?;
    read.map_err(|_| Failed(&codes::OPERATION_LONG, json!({ "bytes_max": most })))
}

fn answer(taken: &TakenErasure) -> Result<Json<Value>, Failed> {
    let request = taken.signed.request;
    let digest = taken.signed.digest();
    let digest = digest.map_err(|error| Failed::from(ErasureDoorError::from(error)))?;
    let mut answer = json!({
        "schema": "vitals-erasure-request-1",
        "patient": request.patient.get(),
        "request": hex::encode(digest.0),
        "valid_until": Utc(request.valid_until).to_string(),
    });
    match &taken.stands {
        ErasureStands::Waiting => answer["state"] = "waiting".into(),
        ErasureStands::Held { since, reason } => {
            answer["state"] = "held".into();
            answer["since"] = Utc(*since).to_string().into();
            answer["reason"] = reason.as_str().into();
        }
        ErasureStands::Erased { at, receipt } => {
            answer["state"] = "erased".into();
            answer["since"] = Utc(*at).to_string().into();
            answer["receipt"] = hex::encode(receipt.to_bytes()).into();
        }
    }
    Ok(Json(answer))
}

impl From<ErasureDoorError> for Failed {
    fn from(error: ErasureDoorError) -> Failed {
        match error {
            ErasureDoorError::Malformed(_) => {
                Failed(&codes::ERASURE_MALFORMED, json!(with_causes(&error)))
            }
            ErasureDoorError::Door(error) => error.into(),
            ErasureDoorError::NotTaken => Failed(&codes::ERASURE_NOT_TAKEN, Value::Null),
            ErasureDoorError::Refused(why) => {
                Failed(&codes::ERASURE_REFUSED, json!(why.to_string()))
            }
            ErasureDoorError::Keep(_) | ErasureDoorError::Receipt(_) => {
                let error = with_causes(&error);
                tracing::error!(error, "a request to erase is not kept, or not answered");
                Failed(&codes::ERASURE_NOT_KEPT, Value::Null)
            }
        }
    }
}
