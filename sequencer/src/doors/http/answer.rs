//! What is answered to each path.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::BatchNumber;
use serde_json::{Value, json};

use super::operations::{self, DoorPlace};
use super::places::{FilePlace, Held, Place};
use crate::doors::codes::{self, Unserved};
use crate::folder::store::{Store, StoreError};
use crate::guard::panic_of_task;
use crate::history::Contradiction;
use crate::metrics::Metrics;

/// A settled file never changes: the chain holds its hash. A year is the longest that caches know.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// How long a request for a file waits for a place.
const FILE_WAIT: Duration = Duration::from_secs(10);

/// What `/healthz` asks the node.
pub trait Health: Send + Sync {
    /// The stage that failed first, if one did.
    fn failed_stage(&self) -> Option<&'static str>;
    /// What keeps it from taking everything in now, if something does.
    fn unready(&self) -> Option<Unready>;

    /// What the journal lacks of what it promised, if somebody showed that.
    fn contradiction(&self) -> Option<Contradiction> {
        None
    }
}

/// Why a node is not ready although nothing failed.
#[derive(Clone, Debug)]
pub struct Unready {
    /// Which answer.
    pub answer: &'static Unserved,
    /// What is found.
    pub detail: Value,
}

/// What is shown.
#[derive(Clone)]
pub struct Shown {
    /// Batch files.
    pub store: Arc<Store>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// What `/healthz` and `/readyz` ask.
    pub health: Arc<dyn Health>,
    /// Where signed operations go.
    pub operations: DoorPlace,
    /// Whether a proxy says where a request comes from.
    pub forwarded: bool,
}

/// Which file of a batch.
#[derive(Clone, Copy)]
enum File {
    Public,
    Private,
}

/// Not the answer asked for, and what else is to be said.
pub(super) struct Failed(pub(super) &'static Unserved, pub(super) Value);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Failed(Unserved { status, code, .. }, detail) = self;
        let status = StatusCode::from_u16(*status).expect("the table holds statuses of HTTP");
        (status, Json(json!({ "error": code, "detail": detail }))).into_response()
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        let answer = match error {
            StoreError::Corrupt { .. } | StoreError::Row { .. } => &codes::CORRUPT,
            StoreError::Archived { .. } => &codes::ARCHIVE_UNAVAILABLE,
            _ => &codes::STORE,
        };
        // The cause is for the operator: it names paths, and a reader cannot mend the disk.
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the store cannot answer");
        Failed(answer, Value::Null)
    }
}

pub(super) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/batches", get(batches))
        .route("/batches/{number}", get(public))
        .route("/batches/{number}/private", get(private))
        .route("/operations", post(operations::take))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(async || Failed(&codes::PATH_UNKNOWN, Value::Null))
        .with_state(shown)
}

/// Runs what reads or writes the disk off the runtime's threads.
pub(super) async fn run_blocking<T: Send + 'static>(
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
        let assembled = shown.store.last_assembled()?.map_or(0, |(number, _)| number.0);
        let settled = shown.store.last_settled()?.0;
        Ok(Json(json!({
            "schema": "vitals-batches-1", "assembled": assembled, "settled": settled,
        })))
    })
    .await
}

async fn public(
    State(shown): State<Shown>,
    place: Extension<Arc<Place>>,
    number: Path<String>,
) -> Result<Response, Failed> {
    let place = take_place(&place).await?;
    run_blocking(move || file(&shown.store, &number, File::Public, place)).await
}

async fn private(
    State(shown): State<Shown>,
    place: Extension<Arc<Place>>,
    number: Path<String>,
) -> Result<Response, Failed> {
    let place = take_place(&place).await?;
    run_blocking(move || file(&shown.store, &number, File::Private, place)).await
}

/// Before the disk is touched: a file in memory has its place.
async fn take_place(place: &Arc<Place>) -> Result<FilePlace, Failed> {
    place.take_file(FILE_WAIT).await.ok_or(Failed(&codes::FILES_BUSY, Value::Null))
}

fn file(store: &Store, number: &str, file: File, place: FilePlace) -> Result<Response, Failed> {
    let malformed = || Failed(&codes::NUMBER_MALFORMED, json!("expected a batch number"));
    // Nothing of the path but a number reaches the file system.
    let number = number.parse().map(BatchNumber).map_err(|_| malformed())?;
    let unknown = || Failed(&codes::BATCH_UNKNOWN, json!({ "number": number.0 }));
    let row = store.batch(number)?.ok_or_else(unknown)?;
    let bytes = match file {
        File::Public => store.public_bytes(number)?,
        File::Private => store.private_bytes(number)?,
    };
    // Until it is settled, a lost store may be made anew with other proofs under this number.
    let cache = if row.settled.is_some() { IMMUTABLE } else { "no-cache" };
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, cache)];
    // The bytes leave memory and the place is free when the last of them is with the system.
    let held = Held { bytes: bytes.ok_or_else(unknown)?, _place: place };
    Ok((headers, Body::from(Bytes::from_owner(held))).into_response())
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, shown.metrics.text()).into_response()
}

fn check_health(shown: &Shown) -> Result<(), Failed> {
    let failed = |stage| Failed(&codes::STAGE_FAILED, json!({ "stage": stage }));
    shown.health.failed_stage().map_or(Ok(()), |stage| Err(failed(stage)))?;
    // Nothing but hashes and numbers, which receipts and headers show anyway.
    let lacks = |found: Contradiction| Failed(&codes::HISTORY, json!(found.to_string()));
    shown.health.contradiction().map_or(Ok(()), |found| Err(lacks(found)))
}

async fn healthz(State(shown): State<Shown>) -> Result<Json<Value>, Failed> {
    check_health(&shown)?;
    Ok(Json(json!({ "status": "ok" })))
}

/// Only what is known is told: a probe that wrote would let anybody who asks use up the disk. A
/// journal or store that cannot be written and an ingest that does not accept are failed stages.
async fn readyz(State(shown): State<Shown>) -> Result<Json<Value>, Failed> {
    check_health(&shown)?;
    if let Some(Unready { answer, detail }) = shown.health.unready() {
        return Err(Failed(answer, detail));
    }
    if shown.metrics.chain_reachable.get() != 1 {
        return Err(Failed(&codes::CHAIN_UNREACHABLE, Value::Null));
    }
    Ok(Json(json!({ "status": "ready" })))
}
