//! What `/healthz` and `/readyz` say: a status, and to whoever asks for it how every stage stands.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use serde::Serialize;
use serde_json::{Value, json};

use crate::doors::codes::{self, Unserved};
use crate::history::Contradiction;

/// Name and version of the long answer.
const SCHEMA: &str = "vitals-health-1";

/// What `/healthz` and `/readyz` ask the node.
pub trait Health: Send + Sync {
    /// The stage that failed first, if one did.
    fn failed_stage(&self) -> Option<&'static str>;

    /// Everything that keeps it from taking all in now, the first that is to be told first.
    fn reasons(&self) -> Vec<Unready>;

    /// How every stage stands.
    fn stages(&self) -> Vec<StageHealth>;

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

impl Unready {
    /// This answer, with what is found.
    pub fn new(answer: &'static Unserved, detail: Value) -> Unready {
        Unready { answer, detail }
    }
}

/// How one stage stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageHealth {
    /// Which.
    pub stage: &'static str,
    /// `starting`, `runs`, `degraded`, `held` or `failed`.
    pub state: &'static str,
    /// Why it does not get on.
    pub cause: Option<&'static str>,
    /// What waits before it.
    pub queue_holds: Option<&'static str>,
    /// How many of these.
    pub queue_items: Option<i64>,
    /// How many may.
    pub queue_items_max: Option<i64>,
    /// What its progress is counted in.
    pub progress_in: Option<&'static str>,
    /// How many of these in this run.
    pub progress_count: Option<u64>,
    /// Seconds since that number grew; none while it has not.
    pub progress_seconds_ago: Option<f64>,
}

/// What keeps a node from being ready, and which part of it from being healthy.
pub(super) struct Asked<'a> {
    pub(super) health: &'a dyn Health,
    pub(super) chain_reachable: bool,
}

impl Asked<'_> {
    /// What is no matter of time: a stage that failed, a journal that lacks something.
    pub(super) fn ill(&self) -> Option<Unready> {
        let failed = |stage| Unready::new(&codes::STAGE_FAILED, json!({ "stage": stage }));
        // Nothing but hashes and numbers, which receipts and headers show anyway.
        let lacks = |found: Contradiction| Unready::new(&codes::HISTORY, json!(found.to_string()));
        let failed = self.health.failed_stage().map(failed);
        failed.or_else(|| self.health.contradiction().map(lacks))
    }

    /// Everything that keeps it from being ready, the first that is to be told first.
    fn reasons(&self) -> Vec<Unready> {
        let mut reasons: Vec<_> = self.ill().into_iter().collect();
        reasons.extend(self.health.reasons());
        if !self.chain_reachable {
            reasons.push(Unready::new(&codes::CHAIN_UNREACHABLE, Value::Null));
        }
        reasons
    }

    /// The first of them.
    pub(super) fn unready(&self) -> Option<Unready> {
        self.reasons().into_iter().next()
    }

    /// All that is known, in one object.
    pub(super) fn all(&self) -> Value {
        let reason = |Unready { answer, detail }: Unready| {
            let Unserved { code, what_to_do, .. } = answer;
            json!({ "code": code, "detail": detail, "what_to_do": what_to_do })
        };
        let reasons: Vec<_> = self.reasons().into_iter().map(reason).collect();
        json!({
            "schema": SCHEMA, "healthy": self.ill().is_none(), "ready": reasons.is_empty(),
            "reasons": reasons, "stages": self.health.stages(),
        })
    }
}

/// How the node stands, as the long answer of `/readyz` says it.
pub fn tell_health(health: &dyn Health, chain_reachable: bool) -> Value {
    Asked { health, chain_reachable }.all()
}

/// The long answer: the status is that of the short one.
pub(super) fn answer_all(asked: &Asked<'_>, is_good: bool) -> Response {
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(asked.all())).into_response()
}

/// Whether somebody wants the long answer: by `?format=json`, or by naming JSON among what is
/// accepted. A probe that accepts whatever comes gets the short one.
pub(super) fn wants_all(uri: &Uri, headers: &HeaderMap) -> bool {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let is_asked = pairs.into_iter().any(|pair| pair == "format=json");
    is_asked || headers.get_all(header::ACCEPT).iter().any(names_json)
}

fn names_json(accepted: &http::HeaderValue) -> bool {
    let ranges = accepted.to_str().unwrap_or_default().split(',');
    let mut kinds = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_answer_is_for_whoever_names_it() {
        let wants = |path: &'static str, accepted: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(accepted) = accepted {
                headers.insert(header::ACCEPT, http::HeaderValue::from_static(accepted));
            }
            wants_all(&Uri::from_static(path), &headers)
        };
        for (path, accepted, expected) in [
            ("/readyz", None, false),
            ("/readyz", Some("*/*"), false),
            ("/readyz", Some("text/html, application/xml;q=0.9, */*;q=0.8"), false),
            ("/readyz?format=text", None, false),
            ("/readyz?xformat=json", None, false),
            ("/readyz?format=json", None, true),
            ("/readyz?a=b&format=json", Some("text/plain"), true),
            ("/readyz", Some("application/json"), true),
            ("/readyz", Some("text/plain, Application/JSON;q=0.5"), true),
        ] {
            assert_eq!(wants(path, accepted), expected, "{path} {accepted:?}");
        }
    }
}
