//! `POST /fhir/$consent-decision`: a system asks whether consent would allow something.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::RejectCode;
use serde_json::{Value, json};

use super::handed_in::{BodyFault, Peer, read_body};
use super::places::Place;
use super::shown::{Failed, Shown};
use crate::doors::codes;
use crate::doors::consult::{ConsultDoor, Decided, NotAnswered};

/// The media type of a question. No page of another site may send it without asking first.
const JSON: &str = "application/json";

/// No card, and how a better token is asked for.
pub(super) struct Undecided {
    failed: Failed,
    authenticate: Option<String>,
}

impl From<Failed> for Undecided {
    fn from(failed: Failed) -> Undecided {
        Undecided { failed, authenticate: None }
    }
}

impl IntoResponse for Undecided {
    fn into_response(self) -> Response {
        let mut response = self.failed.into_response();
        if let Some(value) = self.authenticate.and_then(|text| text.parse().ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// Answers one question with a card, and counts how it was answered.
pub(super) async fn decide(
    State(shown): State<Shown>,
    Extension(place): Extension<Arc<Place>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: axum::extract::Request,
) -> Result<Json<Value>, Undecided> {
    let none = || Failed(&codes::PATH_UNKNOWN, Value::Null);
    let door = shown.consult.as_ref().ok_or_else(none)?;
    let answered = answer(door, &place, peer, request).await;
    let answer = match &answered {
        Ok(Decided { decision: Ok(_), .. }) => "permit",
        Ok(Decided { decision: Err(_), .. }) => "deny",
        Err(Undecided { failed: Failed(why, _), .. }) => why.code,
    };
    shown.metrics.count_question(answer);
    let Decided { decision, position } = answered?;
    Ok(Json(pcf::card(decision.is_ok(), position.0)))
}

async fn answer(
    door: &ConsultDoor,
    place: &Arc<Place>,
    peer: IpAddr,
    request: axum::extract::Request,
) -> Result<Decided, Undecided> {
    let (head, body) = request.into_parts();
    let organisation = door.admit(&head.headers)?;
    let is_json = head.headers.get(header::CONTENT_TYPE).is_some_and(|found| found == JSON);
    if !is_json {
        return Err(Failed(&codes::DECISION_TYPE, json!({ "expected": JSON })).into());
    }
    let bytes = read(body).await?;
    // From here to the answer nobody pushes it out: what is journaled is answered.
    let full = || Failed(&codes::DECISIONS_CLOSED, Value::Null);
    let _kept = place.keep(peer, false).ok_or_else(full)?;
    Ok(door.ask(organisation, &bytes).await?)
}

async fn read(body: Body) -> Result<Bytes, Failed> {
    let read = read_body(body, pcf::CONSULT_BYTES_MAX).await;
    read.map_err(|fault| {
        let why = match fault {
            BodyFault::Slow => "the bytes did not come within 10 s",
            BodyFault::Long => "expected at most 16 KiB, whole",
        };
        Failed(&codes::DECISION_MALFORMED, json!(why))
    })
}

impl From<NotAnswered> for Undecided {
    fn from(error: NotAnswered) -> Undecided {
        let authenticate = match &error {
            NotAnswered::Token(error) => Some(error.www_authenticate()),
            _ => None,
        };
        Undecided { failed: error.into(), authenticate }
    }
}

impl From<NotAnswered> for Failed {
    fn from(error: NotAnswered) -> Failed {
        match error {
            NotAnswered::Token(error @ tokens::TokenError::Scope { .. }) => {
                Failed(&codes::DECISION_SYSTEM, json!(error.to_string()))
            }
            NotAnswered::Token(error) => Failed(&codes::DECISION_TOKEN, json!(error.code())),
            NotAnswered::System => Failed(&codes::DECISION_SYSTEM, Value::Null),
            NotAnswered::TooOften => Failed(&codes::DECISIONS_TOO_OFTEN, Value::Null),
            NotAnswered::Malformed(error) => {
                Failed(&codes::DECISION_MALFORMED, json!(error.to_string()))
            }
            error @ NotAnswered::Patient => {
                Failed(&codes::DECISION_MALFORMED, json!(error.to_string()))
            }
            // The organisation of the system is not registered any more.
            NotAnswered::Refused(refusal) if refusal.code == RejectCode::Identity => {
                Failed(&codes::DECISION_SYSTEM, Value::Null)
            }
            // Somebody of another organisation than is named.
            NotAnswered::Refused(refusal) if refusal.code == RejectCode::Malformed => {
                Failed(&codes::DECISION_MALFORMED, json!(refusal.detail))
            }
            NotAnswered::Refused(_)
            | NotAnswered::Admit(_)
            | NotAnswered::Late
            | NotAnswered::Closed => Failed(&codes::DECISIONS_CLOSED, Value::Null),
        }
    }
}
