//! What is answered below `/fhir`: in which order a question is looked at, before anything is read.

use std::sync::Arc;
use std::time::Duration;

use accounting::{Asker, Search, SearchError};
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::audit_events::{FHIR_JSON, Reading, Refused, asker_of};
use super::places::Place;
use super::shown::Shown;
use crate::doors::codes;
use crate::guard::panic_of_task;

/// How long a question waits for its turn, and then for a place of a file.
const FILE_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn search(
    State(shown): State<Shown>,
    Extension(place): Extension<Arc<Place>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    match answer(shown, place, &headers, &uri).await {
        Ok(bundle) => {
            let headers = [(header::CONTENT_TYPE, FHIR_JSON), (header::CACHE_CONTROL, "no-store")];
            (headers, bundle.to_string()).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

async fn answer(
    shown: Shown,
    place: Arc<Place>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Value, Refused> {
    let off = || Refused::new(&codes::PATH_UNKNOWN, "AuditEvents are not shown here".to_owned());
    let audit = shown.audit_events.clone().ok_or_else(off)?;
    let bearer = audit.bearer(headers)?;
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let parameters = parameters.map_err(|_| Refused::malformed(&SearchError::Unknown))?;
    let search = Search::parse(&parameters.0).map_err(|error| Refused::malformed(&error))?;
    let busy = |says: &str| Refused::new(&codes::AUDIT_BUSY, says.to_owned());
    let door = shown.operations.door().ok_or_else(|| busy("the node takes nothing in yet"))?;
    let (view, now) = (door.view(), audit.now());
    let asker = asker_of(&bearer, audit.unnamed())?;
    if let Asker::Practitioner(id) = &asker
        && view.registry().practitioner(id, now).is_none()
    {
        let says = "expected a practitioner that the registry knows, found another";
        return Err(Refused::new(&codes::AUDIT_FORBIDDEN, says.to_owned()));
    }
    search
        .allow(&asker)
        .map_err(|error| Refused::new(&codes::AUDIT_FORBIDDEN, error.to_string()))?;
    audit.admit(&bearer)?;
    let view_key = view.owner(search.patient).map(|owner| owner.view_key);
    let turn = audit.turn(FILE_WAIT).await.ok_or_else(|| busy("other pages are read"))?;
    let reader = place.read().ok_or_else(|| busy("as many read files as may"))?;
    let file = reader.take_file(FILE_WAIT).await.ok_or_else(|| busy("no place came free"))?;
    let reading = Reading { search, asker, view_key, store: shown.store, audit };
    let work = tokio::task::spawn_blocking(move || {
        // Kept until it is read, also if whoever asked has gone.
        let _turn = turn;
        reading.page(&bearer, now, &file)
    });
    work.await.map_err(|error| {
        let panic = panic_of_task(error);
        tracing::error!(panic, "a page of AuditEvents ended early");
        Refused::new(&codes::AUDIT_UNAVAILABLE, "the page ended early".to_owned())
    })?
}
