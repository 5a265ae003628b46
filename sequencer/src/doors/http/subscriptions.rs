//! `/fhir/Subscription`: a patient has a host of the operator's list told that somebody read. Off
//! unless `[notices] hosts` has one.
//!
//! Each is a patient's own: a token of another patient, and one of no patient, finds none.

use std::sync::Arc;

use accounting::notices::{AskedSubscription, SubscriptionId, listed, resource};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use model::PatientIndex;
use serde_json::{Value, json};
use tokens::{Bearer, Context, Needed, Verb};

use super::audit_events::{AuditEvents, FHIR_JSON, Refused, own_record};
use super::handed_in::{BodyFault, Peer, read_body};
use super::places::Place;
use super::shown::Shown;
use crate::doors::codes::{self, Unserved};
use crate::doors::token_issuer::Unnamed;
use crate::folder::operator_log::Line;
use crate::folder::store::Store;
use crate::guard::panic_of_task;
use crate::stages::notices::{NotTaken, NoticeDesk};

/// Longest Subscription that is read.
const BODY_BYTES_MAX: usize = 8 * 1024;
/// Media types that a Subscription may be said to be.
const TYPES: [&str; 2] = ["application/fhir+json", "application/json"];

/// Who answers: nobody unless hosts and a token issuer are configured.
#[derive(Clone)]
struct Answering {
    audit: AuditEvents,
    desk: NoticeDesk,
    store: Arc<Store>,
}

/// The patient whose subscriptions a token is about.
struct Asking {
    bearer: Bearer,
    patient: PatientIndex,
}

/// `POST /fhir/Subscription`.
pub(super) async fn create(
    State(shown): State<Shown>,
    Extension(place): Extension<Arc<Place>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: axum::extract::Request,
) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let answering = Answering::of(&shown)?;
    let asking = answering.asking(&head.headers, Verb::Create)?;
    if !is_json(&head.headers) {
        let says = "expected content-type application/fhir+json, found another or none";
        return Err(Refused::new(&codes::SUBSCRIPTION_TYPE, says.to_owned()));
    }
    let bytes = whole(body).await?;
    // From here to the answer nobody pushes it out: it is the only one that has the secret.
    let full = || refused(&codes::NOTICES_UNAVAILABLE, "as many are under way as may be");
    let _kept = place.keep(peer, false).ok_or_else(full)?;
    off_runtime(move || answering.subscribe(&asking, &bytes)).await
}

/// `GET /fhir/Subscription`.
pub(super) async fn search(
    State(shown): State<Shown>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let answering = Answering::of(&shown)?;
    let asking = answering.asking(&headers, Verb::Search)?;
    check_search(&uri, asking.patient)?;
    let found = answering.desk.of(asking.patient)?;
    let bundle = listed(&found, answering.audit.now(), answering.audit.base());
    Ok(fhir(StatusCode::OK, &bundle))
}

/// `GET /fhir/Subscription/{id}`.
pub(super) async fn read(
    State(shown): State<Shown>,
    headers: HeaderMap,
    id: Path<String>,
) -> Result<Response, Refused> {
    let answering = Answering::of(&shown)?;
    let asking = answering.asking(&headers, Verb::Read)?;
    let kept = answering.desk.get(parse_id(&id)?, asking.patient)?;
    Ok(fhir(StatusCode::OK, &resource(&kept, answering.audit.now(), None)))
}

/// `DELETE /fhir/Subscription/{id}`.
pub(super) async fn delete(
    State(shown): State<Shown>,
    headers: HeaderMap,
    id: Path<String>,
) -> Result<Response, Refused> {
    let answering = Answering::of(&shown)?;
    let asking = answering.asking(&headers, Verb::Delete)?;
    let id = parse_id(&id)?;
    off_runtime(move || answering.end(&asking, id)).await
}

impl Answering {
    fn of(shown: &Shown) -> Result<Answering, Refused> {
        let off = || refused(&codes::PATH_UNKNOWN, "no host of notices is set");
        let audit = shown.audit_events.clone().ok_or_else(off)?;
        let desk = shown.notices.clone().ok_or_else(off)?;
        Ok(Answering { audit, desk, store: Arc::clone(&shown.store) })
    }

    fn asking(&self, headers: &HeaderMap, verb: Verb) -> Result<Asking, Refused> {
        Asking::of(self.audit.bearer(headers)?, self.audit.unnamed(), verb)
    }

    /// Takes one in. That somebody will be told is noted before it is so.
    fn subscribe(&self, asking: &Asking, bytes: &[u8]) -> Result<Response, Refused> {
        let asked = AskedSubscription::parse(bytes, self.desk.hosts()).map_err(|error| {
            let answer = match error.is_unserved() {
                true => &codes::SUBSCRIPTION_UNSERVED,
                false => &codes::SUBSCRIPTION_MALFORMED,
            };
            Refused::new(answer, error.to_string()).at(error.expression())
        })?;
        if asked.patient != asking.patient {
            let says = "expected a subscription to the own record, found another's";
            let refused = refused(&codes::SUBSCRIPTION_FORBIDDEN, says);
            return Err(refused.at("Subscription.criteria"));
        }
        // Before it is noted: a line says that somebody subscribed, and each costs room.
        self.desk.check_room(asking.patient)?;
        let settled = self.store.last_settled()?;
        self.audit.admit(&asking.bearer)?;
        let host = json!({ "host": asked.endpoint.host() });
        self.note(asking, "subscribe-audit-events", host.clone())?;
        let taken = self.desk.subscribe(asked, settled).inspect_err(|_| {
            // What cannot be noted is in the log, and whoever asked is told of the first cause.
            let _said = self.note(asking, "subscribe-audit-events-refused", host);
        })?;
        let shown = resource(&taken.kept, self.audit.now(), Some(&taken.secret));
        let mut response = fhir(StatusCode::CREATED, &shown);
        let location = format!("{}/Subscription/{}", self.audit.base(), taken.kept.id);
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    fn end(&self, asking: &Asking, id: SubscriptionId) -> Result<Response, Refused> {
        // Asked before it is noted: what there is not is not ended.
        let kept = self.desk.get(id, asking.patient)?;
        let host = json!({ "host": kept.endpoint.host() });
        // Whoever wants to be told no more is not kept waiting for room: the log says that no line
        // tells of it.
        let _said = self.note(asking, "unsubscribe-audit-events", host);
        self.desk.unsubscribe(id, asking.patient)?;
        Ok((StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response())
    }

    fn note(&self, asking: &Asking, word: &str, mut what: Value) -> Result<(), Refused> {
        what["subject"] = json!(asking.bearer.subject);
        what["token"] = json!(asking.bearer.token_id);
        let line = Line::new(self.audit.now(), word, None);
        let line = line.of_key(&asking.patient.get().to_string(), Value::Null, what);
        self.audit.note(line).map_err(|_| {
            let says = "who subscribes could not be noted, and nothing is changed without";
            refused(&codes::NOTICES_UNAVAILABLE, says)
        })
    }
}

impl Asking {
    /// By a token that grants this of the patient's own. Whoever subscribes learns when somebody
    /// read: it takes the scope that shows the events themselves, too.
    fn of(bearer: Bearer, unnamed: Unnamed, verb: Verb) -> Result<Asking, Refused> {
        let require = |resource, verb| {
            let needed = Needed { context: Context::Patient, resource, verb };
            let granted = bearer.require(needed);
            granted.map_err(|error| Refused::of_grant(error, &codes::SUBSCRIPTION_FORBIDDEN))
        };
        require("Subscription", verb)?;
        if verb == Verb::Create {
            require("AuditEvent", Verb::Search)?;
        }
        let patient = own_record(&bearer, unnamed, &codes::SUBSCRIPTION_FORBIDDEN)?;
        Ok(Asking { bearer, patient })
    }
}

fn refused(answer: &'static Unserved, says: &str) -> Refused {
    Refused::new(answer, says.to_owned())
}

impl From<NotTaken> for Refused {
    fn from(error: NotTaken) -> Refused {
        let answer = match error {
            NotTaken::Full(_) => &codes::SUBSCRIPTIONS_FULL,
            NotTaken::Unknown => &codes::SUBSCRIPTION_UNKNOWN,
            NotTaken::Unavailable => &codes::NOTICES_UNAVAILABLE,
        };
        Refused::new(answer, error.to_string())
    }
}

/// The own patient may be named, and nothing else: what was passed over would show more than was
/// asked for.
fn check_search(uri: &Uri, own: PatientIndex) -> Result<(), Refused> {
    let unknown = || {
        let says = "expected `patient` or `_format`, once each, found another";
        refused(&codes::SUBSCRIPTION_MALFORMED, says)
    };
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| unknown())?;
    let mut seen = Vec::new();
    for (name, value) in &parameters.0 {
        if seen.contains(&name) {
            return Err(unknown());
        }
        seen.push(name);
        match name.as_str() {
            "patient" => {
                let index = value.strip_prefix("Patient/").unwrap_or(value);
                if index != own.get().to_string() {
                    let says = "expected the own record as `patient`, found another";
                    return Err(refused(&codes::SUBSCRIPTION_FORBIDDEN, says));
                }
            }
            "_format" if ["json", "application/fhir+json"].contains(&value.as_str()) => {}
            _ => return Err(unknown()),
        }
    }
    Ok(())
}

/// What is no id names no subscription.
fn parse_id(text: &str) -> Result<SubscriptionId, Refused> {
    SubscriptionId::parse(text).ok_or_else(|| NotTaken::Unknown.into())
}

fn is_json(headers: &HeaderMap) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|found| found.to_str().ok());
    let kind = found.and_then(|found| found.split(';').next()).unwrap_or_default().trim();
    TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known))
}

async fn whole(body: Body) -> Result<Bytes, Refused> {
    let read = read_body(body, BODY_BYTES_MAX).await;
    read.map_err(|fault| {
        let says = match fault {
            BodyFault::Slow => "expected the bytes within 10 s, found none",
            BodyFault::Long => "expected at most 8 KiB, whole, found more or fewer",
        };
        refused(&codes::SUBSCRIPTION_MALFORMED, says)
    })
}

fn fhir(status: StatusCode, resource: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, FHIR_JSON), (header::CACHE_CONTROL, "no-store")];
    (status, headers, resource.to_string()).into_response()
}

/// Runs what writes the disk beside the runtime's threads.
async fn off_runtime(
    work: impl FnOnce() -> Result<Response, Refused> + Send + 'static,
) -> Result<Response, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let panic = panic_of_task(error);
        tracing::error!(panic, "an answer about subscriptions ended early");
        refused(&codes::NOTICES_UNAVAILABLE, "the answer ended early")
    })?
}

#[cfg(test)]
mod tests;
