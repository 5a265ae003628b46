//! `GET /fhir/AuditEvent` (IHE ITI-81): what is settled of one patient's record, for whoever has a
//! token for it. Off unless `fhir.audit_events` is set.
//!
//! Claims are opened with the view key of the record, as their patient's own program opens them;
//! nothing is kept in the clear for it. That somebody read is a line in `audit-reads.log`, durable
//! before the answer: where it cannot be written nothing is shown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use accounting::{Asker, Cursor, Entry, Found, Known, Page, Search, SearchError};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{
    BatchNumber, ChainScope, Clock, Millis, PatientIndex, PractitionerId, Word, with_causes,
};
use prometheus::IntGauge;
use serde_json::{Value, json};
use statement::batch::{OpeningKey, PatientOpening};
use tokens::{Bearer, Context, Needed, TokenError, UserKind, Verb};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::places::FilePlace;
use crate::doors::codes::{self, Unserved};
use crate::doors::per_minute::PerMinute;
use crate::doors::token_issuer::{TokenIssuer, Unnamed};
use crate::folder::operator_log::{Line, OperatorLog, OperatorLogError};
use crate::folder::parts::{BatchParts, PartError};
use crate::folder::store::{Store, StoreError};

/// Most batches that are read for a page; behind them it ends, and its link leads on.
const BATCHES_MAX: u64 = 256;
/// Most bytes of files that are opened for a page, but for the last of them.
const OPENED_BYTES_MAX: usize = 64 << 20;
/// The media type of FHIR resources.
pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// Who answers, and by whose tokens.
#[derive(Clone)]
pub struct AuditEvents(Arc<Parts>);

struct Parts {
    issuer: Arc<TokenIssuer>,
    scope: ChainScope,
    clock: Arc<dyn Clock>,
    reads: OperatorLog,
    /// Told with each line.
    reads_bytes: IntGauge,
    /// Each who asks makes lines.
    asked: PerMinute,
    /// One page is read at a time: each may hold both files of a batch, and what they decode to.
    one: Arc<Semaphore>,
}

/// Whose tokens are taken, and where what is read is noted.
pub struct AuditSetup<'a> {
    /// Whose.
    pub issuer: Arc<TokenIssuer>,
    /// Which deployment.
    pub scope: ChainScope,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// The file of lines about reading.
    pub reads: &'a Path,
    /// Its length.
    pub reads_bytes: IntGauge,
    /// Most lines that one `sub` makes in a minute.
    pub per_minute: u64,
}

/// Why nothing is shown.
pub(super) struct Refused {
    answer: &'static Unserved,
    says: String,
    /// The element that it is about, if it is about one.
    expression: Option<&'static str>,
    /// For a token: how to ask for a better one.
    authenticate: Option<String>,
}

/// What a page is read with.
pub(super) struct Reading {
    pub(super) search: Search,
    pub(super) asker: Asker,
    /// None of a record that there is not: it has no events, and is told apart by nobody.
    pub(super) view_key: Option<Word>,
    pub(super) store: Arc<Store>,
    pub(super) audit: AuditEvents,
}

impl AuditEvents {
    /// Answers from now on.
    pub fn new(setup: AuditSetup<'_>) -> AuditEvents {
        let AuditSetup { issuer, scope, clock, reads, reads_bytes, per_minute } = setup;
        let (reads, one) = (OperatorLog::new(reads), Arc::new(Semaphore::new(1)));
        let asked = PerMinute::new(per_minute);
        let parts = Parts { issuer, scope, clock, reads, reads_bytes, asked, one };
        parts.measure();
        AuditEvents(Arc::new(parts))
    }
}

impl Parts {
    /// Tells how long the file of reads is.
    fn measure(&self) {
        self.reads_bytes.set(i64::try_from(self.reads.bytes()).unwrap_or(i64::MAX));
    }
}

/// Who asks, by the widest scope that was granted.
pub(super) fn asker_of(bearer: &Bearer, unnamed: Unnamed) -> Result<Asker, Refused> {
    let needed = |context| Needed { context, resource: "AuditEvent", verb: Verb::Search };
    let refused = |says: &str| Refused::new(&codes::AUDIT_FORBIDDEN, says.to_owned());
    if bearer.require(needed(Context::System)).is_ok() {
        return Ok(Asker::Auditor);
    }
    if bearer.require(needed(Context::User)).is_ok() {
        let user = bearer.user.as_ref().filter(|user| user.kind == UserKind::Practitioner);
        let id = user.and_then(|user| PractitionerId::new(&user.id).ok());
        let says = "expected `fhirUser` to name a Practitioner by the name of the registry";
        return id.map(Asker::Practitioner).ok_or_else(|| refused(says));
    }
    bearer.require(needed(Context::Patient)).map_err(Refused::of_token)?;
    own_record(bearer, unnamed, &codes::AUDIT_FORBIDDEN).map(Asker::Patient)
}

/// The record that a token with `patient/` scopes is the patient's own of. A clinician who opens an
/// app from a record gets these scopes, too, and `patient` then names whom they look after: so who
/// sits in front of it counts. A guardian acts for the patient.
pub(super) fn own_record(
    bearer: &Bearer,
    unnamed: Unnamed,
    forbidden: &'static Unserved,
) -> Result<PatientIndex, Refused> {
    let refused = |says: &str| Refused::new(forbidden, says.to_owned());
    let index = bearer.patient.as_ref().and_then(|text| text.parse::<PatientIndex>().ok());
    let says = "expected `patient` to be the index of a record, found another or none";
    let index = index.ok_or_else(|| refused(says))?;
    let own = match (&bearer.user, unnamed) {
        (Some(user), _) => match user.kind {
            UserKind::Patient => user.id == index.get().to_string(),
            UserKind::RelatedPerson => true,
            UserKind::Practitioner | UserKind::PractitionerRole | UserKind::Person => false,
        },
        (None, Unnamed::IsThePatient) => true,
        (None, Unnamed::IsNobody) => {
            let says = "expected `fhirUser` in the access token, found none: have the issuer add \
                        it, or set tokens.requires_fhir_user = false where it grants `patient/` \
                        scopes to apps of patients alone";
            return Err(refused(says));
        }
    };
    let says = "expected `fhirUser` to be the patient of the record or a RelatedPerson, found \
                somebody else";
    own.then_some(index).ok_or_else(|| refused(says))
}

impl AuditEvents {
    pub(super) fn now(&self) -> Millis {
        self.0.clock.now()
    }

    /// The turn of one page; none if it does not come in time. Waited for before a place of a file
    /// is taken: pages that wait would leave none to whoever reads batches.
    pub(super) async fn turn(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        timeout(wait, Arc::clone(&self.0.one).acquire_owned()).await.ok()?.ok()
    }

    /// Whose a token is that names no user.
    pub(super) fn unnamed(&self) -> Unnamed {
        self.0.issuer.unnamed()
    }

    /// Who asks, by the token of a request.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Result<Bearer, Refused> {
        self.0.issuer.bearer(headers, self.now()).map_err(Refused::of_token)
    }
}

impl AuditEvents {
    /// What links begin with.
    pub(super) fn base(&self) -> &str {
        self.0.issuer.base()
    }

    /// Counts one more line of whoever asks: no token fills the file that all reads are noted in.
    pub(super) fn admit(&self, bearer: &Bearer) -> Result<(), Refused> {
        let says = "expected fewer requests of this subject in a minute";
        let refused = || Refused::new(&codes::READS_TOO_OFTEN, says.to_owned());
        self.0.asked.admit(&bearer.subject, self.now()).then_some(()).ok_or_else(refused)
    }

    /// Writes a durable line about who reads, or will be told that somebody does.
    pub(super) fn note(&self, line: Line) -> Result<(), OperatorLogError> {
        let written = self.0.reads.write(&[line]).inspect_err(|error| {
            tracing::error!("who reads AuditEvents cannot be noted: {}", with_causes(error));
        });
        self.0.measure();
        written
    }
}

impl Reading {
    /// Notes who reads, then reads.
    pub(super) fn page(
        &self,
        bearer: &Bearer,
        now: Millis,
        _place: &FilePlace,
    ) -> Result<Value, Refused> {
        self.note(bearer, now)?;
        let Parts { issuer, scope, .. } = &*self.audit.0;
        let (entries, next) = match self.view_key {
            Some(view_key) => self.find(view_key)?,
            None => (Vec::new(), None),
        };
        Ok(self.search.bundle(&Page { entries, next, base: issuer.base(), scope: *scope }))
    }

    /// A durable line about who reads what.
    fn note(&self, bearer: &Bearer, now: Millis) -> Result<(), Refused> {
        let who = match &self.asker {
            Asker::Patient(_) => "patient",
            Asker::Practitioner(_) => "practitioner",
            Asker::Auditor => "auditor",
        };
        let read = json!({
            "as": who, "subject": bearer.subject, "token": bearer.token_id,
            "from": self.search.from.to_string(), "count": self.search.count,
        });
        let line = Line::new(now, "read-audit-events", None);
        let line = line.of_key(&self.search.patient.get().to_string(), Value::Null, read);
        self.audit.note(line).map_err(|_| {
            let says = "that somebody reads could not be noted, and nothing is shown without";
            Refused::new(&codes::AUDIT_UNAVAILABLE, says.to_owned())
        })
    }

    /// The settled claims of a page, and where the next one begins.
    fn find(&self, view_key: Word) -> Result<(Vec<Found>, Option<Cursor>), Refused> {
        let last = self.store.last_settled()?;
        let Cursor { batch: first, mut claim } = self.begin(last)?;
        let before = self.store.batch(BatchNumber(first.0 - 1))?;
        let mut window_begin = before.map_or(Millis::UNBOUNDED_PAST, |before| before.t1);
        let (mut found, mut opened) = (Vec::new(), 0);
        for number in first.0..=last.0 {
            let batch = BatchNumber(number);
            let Some(row) = self.store.batch(batch)? else { break };
            // It may just have been taken back with its blocks.
            let Some(settled) = row.settled_at() else { break };
            if self.search.is_behind(window_begin, settled) {
                break;
            }
            window_begin = row.t1;
            let here = Cursor { batch, claim };
            let is_full = number - first.0 == BATCHES_MAX || opened >= OPENED_BYTES_MAX;
            if is_full || found.len() == self.search.count {
                return Ok((found, Some(here)));
            }
            let opening = match self.open(batch, view_key, &mut opened) {
                // What is before it is shown, and whoever goes on from there is told.
                Err(PartError::Store(error)) if error.is_of_archive() && !found.is_empty() => {
                    return Ok((found, Some(here)));
                }
                opening => opening.map_err(|error| Refused::unread(batch, error))?,
            };
            let claims = opening.map(|opening| opening.claims).unwrap_or_default();
            for (opening, at) in claims.into_iter().zip(0_u32..).skip(claim as usize) {
                if found.len() == self.search.count {
                    return Ok((found, Some(Cursor { batch, claim: at })));
                }
                let transaction = row.settled.as_ref().map(|settled| settled.transaction);
                let entry = Entry::new(batch, transaction, opening, Known::default());
                let entry = entry.map_err(|error| Refused::damaged(batch, &error))?;
                if self.search.wants(&self.asker, &entry) {
                    found.push(Found { entry, settled });
                }
            }
            claim = 0;
        }
        Ok((found, None))
    }

    /// Where the page begins: at its cursor, or at the first batch behind it that may hold what is
    /// asked for. Found by rows alone and by halves, of which a century of minutes takes 26: no
    /// file is opened, and no page spent, on the years before.
    fn begin(&self, last: BatchNumber) -> Result<Cursor, Refused> {
        let from = Cursor { batch: self.search.from.batch.max(BatchNumber(1)), ..self.search.from };
        let (mut low, mut high) = (from.batch.0, last.0.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.store.batch(BatchNumber(middle))?;
            let times = row.and_then(|row| Some((row.t1, row.settled_at()?)));
            match times {
                Some((end, settled)) if self.search.is_before(end, settled) => low = middle + 1,
                // Rows have no holes, and those that are not settled are the last.
                _ => high = middle,
            }
        }
        let is_cursor = low == from.batch.0;
        Ok(if is_cursor { from } else { Cursor { batch: BatchNumber(low), claim: 0 } })
    }

    /// The patient's part of a batch, if it has one.
    fn open(
        &self,
        batch: BatchNumber,
        view_key: Word,
        opened: &mut usize,
    ) -> Result<Option<PatientOpening>, PartError> {
        // What is in the archive alone is not waited for: the answer says so.
        let parts = BatchParts::read(&self.store, batch, self.audit.0.scope, Duration::ZERO)?;
        let Some(parts) = parts else { return Ok(None) };
        *opened += parts.bytes();
        parts.open(OpeningKey { view_key, patient: self.search.patient })
    }
}

impl Refused {
    pub(super) fn new(answer: &'static Unserved, says: String) -> Refused {
        Refused { answer, says, expression: None, authenticate: None }
    }

    /// The same, about an element (FHIRPath).
    pub(super) fn at(self, expression: &'static str) -> Refused {
        Refused { expression: Some(expression), ..self }
    }

    pub(super) fn malformed(error: &SearchError) -> Refused {
        Refused::new(&codes::AUDIT_SEARCH, error.to_string())
    }

    fn of_token(error: TokenError) -> Refused {
        Refused::of_grant(error, &codes::AUDIT_FORBIDDEN)
    }

    /// Of a token that is not taken, or does not grant something: `forbidden` answers that.
    pub(super) fn of_grant(error: TokenError, forbidden: &'static Unserved) -> Refused {
        let answer = match error {
            TokenError::Scope { .. } => forbidden,
            _ => &codes::AUDIT_TOKEN,
        };
        let says = format!("{error} ({})", error.code());
        Refused { answer, says, expression: None, authenticate: Some(error.www_authenticate()) }
    }

    /// Of a batch whose files are not to be had, or are none.
    fn unread(batch: BatchNumber, error: PartError) -> Refused {
        match error {
            PartError::Store(error) => error.into(),
            other => Refused::damaged(batch, &other),
        }
    }

    /// The cause is for the operator.
    fn damaged(batch: BatchNumber, error: &(dyn std::error::Error + 'static)) -> Refused {
        tracing::error!(error, batch = batch.0, "AuditEvents of a batch cannot be read");
        Refused::new(&codes::AUDIT_UNAVAILABLE, "a batch cannot be read".to_owned())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "the store cannot answer");
        Refused::new(&codes::AUDIT_UNAVAILABLE, "the store or the archive does not answer".into())
    }
}

/// An `OperationOutcome`, as every answer below `/fhir` that is not the one asked for.
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused { answer, says, expression, authenticate } = self;
        let status = StatusCode::from_u16(answer.status);
        let status = status.expect("the table holds statuses of HTTP");
        let issue = match answer.status {
            400 => "invalid",
            401 => "login",
            403 => "forbidden",
            404 => "not-found",
            409 => "too-costly",
            415 | 422 => "not-supported",
            429 => "throttled",
            _ => "transient",
        };
        let code = json!({"coding": [{"system": "urn:vitals:code", "code": answer.code}]});
        let mut issue = json!({
            "severity": "error", "code": issue, "details": code, "diagnostics": says,
        });
        if let Some(expression) = expression {
            issue["expression"] = json!([expression]);
        }
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": [issue] });
        let headers = [(header::CONTENT_TYPE, FHIR_JSON), (header::CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, outcome.to_string()).into_response();
        if let Some(value) = authenticate.and_then(|text| text.parse::<HeaderValue>().ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = answer.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
pub(super) mod tests;
