//! `POST /erasures`: a patient's signed request to have their readings erased, from anywhere.

use axum::Json;
use model::calendar::Utc;
use model::with_causes;
use serde_json::{Value, json};
use wire::SignedErasure;

use super::handed_in::HandedIn;
use super::shown::Failed;
use crate::doors::codes;
use crate::stages::ingest::{ErasureDoorError, ErasureStands, TakenErasure};

/// Keeps one request for the operator and answers how it stands.
pub(super) async fn take(
    handed_in: HandedIn<{ SignedErasure::BYTES }>,
) -> Result<Json<Value>, Failed> {
    let _kept = handed_in.keep(false)?;
    let taken = handed_in.door.take_erasure(handed_in.from, handed_in.bytes.clone()).await?;
    answer(&taken)
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
