//! What is shown, and what is said where it is not.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::audit_events::AuditEvents;
use super::desk::{Access, TellDesk};
use super::door_place::DoorPlace;
use super::health::Health;
use crate::doors::codes::{self, Unserved};
use crate::doors::consult::ConsultDoor;
use crate::doors::reach::TellWindows;
use crate::folder::store::{Store, StoreError};
use crate::metrics::Metrics;
use crate::stages::notices::NoticeDesk;

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
    /// The figures of the last hours.
    pub desk: Arc<dyn TellDesk>,
    /// Who may see these.
    pub access: Access,
    /// Who may ask whether consent would allow something, if anybody.
    pub consult: Option<Arc<ConsultDoor>>,
    /// What is under way behind the batches.
    pub windows: Arc<dyn TellWindows>,
    /// Who shows AuditEvents, and to whose tokens; nobody unless it is configured.
    pub audit_events: Option<AuditEvents>,
    /// Who is told that somebody read; nobody unless a host is configured.
    pub notices: Option<NoticeDesk>,
}

/// Not the answer asked for, and what else is to be said.
pub(super) struct Failed(pub(super) &'static Unserved, pub(super) Value);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Failed(answer, detail) = self;
        let Unserved { status, code, .. } = answer;
        let said = StatusCode::from_u16(*status).expect("the table holds statuses of HTTP");
        let mut response = (said, Json(json!({ "error": code, "detail": detail }))).into_response();
        // Every 401 says how to ask (RFC 9110, 11.6.1); whoever knows more says more.
        if *status == 401 {
            let value = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = answer.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        let answer = match error {
            StoreError::Corrupt { .. } | StoreError::Row { .. } => &codes::CORRUPT,
            StoreError::Archived { .. } => &codes::ARCHIVE_UNAVAILABLE,
            StoreError::ArchiveLate { .. } => &codes::ARCHIVE_BUSY,
            _ => &codes::STORE,
        };
        // The cause is for the operator: it names paths, and a reader cannot mend the disk.
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the store cannot answer");
        Failed(answer, Value::Null)
    }
}
