//! What is answered to each path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::{BatchNumber, whole_number};
use serde_json::{Value, json};

use super::health::{Asked, Unready, answer_all, wants_all};
use super::operations;
use super::places::{FetchPlace, FilePlace, Held, Kept, Place};
use super::shown::{Failed, Shown};
use super::{capabilities, decisions, desk, erasures, fhir, subscriptions};
use crate::doors::codes;
use crate::doors::reach::reach;
use crate::folder::store::{BroughtPublic, Store};
use crate::guard::panic_of_task;

/// A settled file never changes: the chain holds its hash. A year is the longest that caches know.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// How long a request for a file waits for a place.
const FILE_WAIT: Duration = Duration::from_secs(10);

/// How long a request waits for the archive, and for its turn there, together.
const ARCHIVE_WAIT: Duration = Duration::from_secs(10);

pub(super) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/batches", get(batches))
        .route("/batches/{number}", get(public))
        .route("/batches/{number}/private", get(private))
        .route("/fhir/AuditEvent", get(fhir::search))
        .route("/fhir/Subscription", post(subscriptions::create).get(subscriptions::search))
        .route("/fhir/Subscription/{id}", get(subscriptions::read).delete(subscriptions::delete))
        .route("/fhir/metadata", get(capabilities::show))
        .route("/operations", post(operations::take))
        .route("/erasures", post(erasures::take))
        .route("/fhir/$consent-decision", post(decisions::decide))
        .route("/metrics", get(metrics))
        .route("/desk", get(desk))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(async || Failed(&codes::PATH_UNKNOWN, Value::Null))
        .with_state(shown)
}

/// Runs what reads or writes the disk off the runtime's threads.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    // The task is never cancelled, so that it did not end means that it panicked.
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let panic = panic_of_task(error);
        tracing::error!(panic, "an answer over HTTP ended early");
        Failed(&codes::INTERNAL, Value::Null)
    })?
}

async fn batches(State(shown): State<Shown>) -> Result<Json<Value>, Failed> {
    run_blocking(move || {
        // Memory first: what was stored since is told as that.
        let windows = shown.windows.windows();
        Ok(Json(reach(&shown.store, &windows)?.to_json()))
    })
    .await
}

async fn public(
    State(shown): State<Shown>,
    place: Extension<Arc<Place>>,
    number: Path<String>,
) -> Result<Response, Failed> {
    let (number, reader, store) = (parse(&number)?, begin(&place)?, Arc::clone(&shown.store));
    let brought = match run_blocking(move || Ok(store.is_away(number)?)).await? {
        true => Some(bring(&shown.store, number, &reader).await?),
        false => None,
    };
    let place = take_place(reader).await?;
    run_blocking(move || {
        let bytes = match &brought {
            Some(Fetched { file, .. }) => Some(file.read()?),
            // One that left a moment ago is late: whoever has a place waits for no archive.
            None => shown.store.public_bytes_within(number, Duration::ZERO)?,
        };
        file(&shown.store, number, bytes, place)
    })
    .await
}

async fn private(
    State(shown): State<Shown>,
    place: Extension<Arc<Place>>,
    number: Path<String>,
) -> Result<Response, Failed> {
    let (number, place) = (parse(&number)?, take_place(begin(&place)?).await?);
    run_blocking(move || {
        let bytes = shown.store.private_bytes(number)?;
        file(&shown.store, number, bytes, place)
    })
    .await
}

/// Nothing of the path but a number reaches the file system.
fn parse(number: &str) -> Result<BatchNumber, Failed> {
    let malformed = || Failed(&codes::NUMBER_MALFORMED, json!("expected a batch number"));
    whole_number(number).map(BatchNumber).ok_or_else(malformed)
}

fn begin(place: &Arc<Place>) -> Result<Kept, Failed> {
    place.read().ok_or(Failed(&codes::FILES_BUSY, Value::Null))
}

/// Before a file is read: one in memory has its place.
async fn take_place(reader: Kept) -> Result<FilePlace, Failed> {
    reader.take_file(FILE_WAIT).await.ok_or(Failed(&codes::FILES_BUSY, Value::Null))
}

/// A file that the archive gave, here until it is read.
struct Fetched {
    file: BroughtPublic,
    _place: FetchPlace,
}

/// Brings a file from the archive, with no byte of it in memory.
async fn bring(store: &Arc<Store>, number: BatchNumber, reader: &Kept) -> Result<Fetched, Failed> {
    let until = Instant::now() + ARCHIVE_WAIT;
    let place = reader.take_fetch(ARCHIVE_WAIT).await;
    let place = place.ok_or(Failed(&codes::ARCHIVE_BUSY, Value::Null))?;
    let store = Arc::clone(store);
    run_blocking(move || {
        let left = until.saturating_duration_since(Instant::now());
        Ok(Fetched { file: store.bring_public(number, left)?, _place: place })
    })
    .await
}

fn file(
    store: &Store,
    number: BatchNumber,
    bytes: Option<Vec<u8>>,
    place: FilePlace,
) -> Result<Response, Failed> {
    let unknown = || Failed(&codes::BATCH_UNKNOWN, json!({ "number": number.0 }));
    let (bytes, row) = (bytes.ok_or_else(unknown)?, store.batch(number)?.ok_or_else(unknown)?);
    // Until it is settled, a lost store may be made anew with other proofs under this number.
    let cache = if row.settled.is_some() { IMMUTABLE } else { "no-cache" };
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, cache)];
    // The bytes leave memory and the place is free when the last of them is with the system.
    let held = Held { bytes, _place: place };
    Ok((headers, Body::from(Bytes::from_owner(held))).into_response())
}

async fn metrics(State(shown): State<Shown>) -> Response {
    // Asked now and not kept: it is made of what the stages said last.
    shown.metrics.ready.set(i64::from(asked(&shown).unready().is_none()));
    if let Some(stage) = shown.health.failed_stage() {
        shown.metrics.set_failed(stage, true);
    }
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, shown.metrics.text()).into_response()
}

async fn desk(State(shown): State<Shown>, uri: Uri, headers: HeaderMap) -> Response {
    let since = shown.access.check(&headers).and_then(|()| desk::since(&uri));
    match since {
        // Never kept by a cache: it is for whoever was let in, and of now.
        Ok(since) => {
            let headers = [(header::CACHE_CONTROL, "no-store")];
            let mut told = shown.desk.desk(since);
            // Without a token every program of this machine is let in, and patients have numbers.
            told["erasures"] = match shown.access.has_token() {
                true => shown.desk.erasures(),
                false => Value::Null,
            };
            (headers, Json(told)).into_response()
        }
        Err(why) => Failed(why, Value::Null).into_response(),
    }
}

/// What is asked of the node.
fn asked(shown: &Shown) -> Asked<'_> {
    let chain_reachable = shown.metrics.chain_reachable.get() == 1;
    Asked { health: shown.health.as_ref(), chain_reachable }
}

/// The short answer.
fn answer(why: Option<Unready>, good: &'static str) -> Response {
    match why {
        None => Json(json!({ "status": good })).into_response(),
        Some(Unready { answer, detail }) => Failed(answer, detail).into_response(),
    }
}

async fn healthz(State(shown): State<Shown>, uri: Uri, headers: HeaderMap) -> Response {
    let (asked, ill) = (asked(&shown), asked(&shown).ill());
    match wants_all(&uri, &headers) {
        true => answer_all(&asked, ill.is_none()),
        false => answer(ill, "ok"),
    }
}

/// Only what is known is told: a probe that wrote would let anybody who asks use up the disk. A
/// journal or store that cannot be written and an ingest that does not accept are failed stages.
async fn readyz(State(shown): State<Shown>, uri: Uri, headers: HeaderMap) -> Response {
    let (asked, unready) = (asked(&shown), asked(&shown).unready());
    match wants_all(&uri, &headers) {
        true => answer_all(&asked, unready.is_none()),
        false => answer(unready, "ready"),
    }
}
