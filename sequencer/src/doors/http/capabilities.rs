//! `GET /fhir/metadata`: what of FHIR this node answers, as it is configured. Needs no token, and
//! tells nobody more than that.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::audit_events::{FHIR_JSON, Refused};
use super::shown::Shown;
use crate::doors::codes;

/// When what is answered below `/fhir` changed last.
const DATE: &str = "2026-11-30";

const DESCRIPTION: &str = "A node of the vitals rollup: who read what, by settled claims";

/// What is switched on below `/fhir`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Served {
    /// `GET /fhir/AuditEvent`.
    pub(super) audit_events: bool,
    /// `POST /fhir/$consent-decision`.
    pub(super) decisions: bool,
    /// `/fhir/Subscription`.
    pub(super) notices: bool,
}

pub(super) async fn show(State(shown): State<Shown>) -> Response {
    let (audit_events, decisions) = (shown.audit_events.is_some(), shown.consult.is_some());
    let notices = audit_events && shown.notices.is_some();
    match (Served { audit_events, decisions, notices }).statement() {
        Some(statement) => {
            ([(header::CONTENT_TYPE, FHIR_JSON)], statement.to_string()).into_response()
        }
        None => {
            let says = "nothing of FHIR is switched on at this node".to_owned();
            Refused::new(&codes::PATH_UNKNOWN, says).into_response()
        }
    }
}

impl Served {
    /// The `CapabilityStatement`; none of a node that answers nothing of FHIR.
    pub(super) fn statement(self) -> Option<Value> {
        let mut rest = json!({
            "mode": "server",
            "documentation": self.documentation()?,
            "security": {
                "service": [{ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }] }],
                "description": "A bearer token of the issuer that the operator names.",
            },
        });
        let mut resources: Vec<_> = self.audit_events.then(audit_event).into_iter().collect();
        resources.extend(self.notices.then(subscription));
        // An array without members is no FHIR.
        if !resources.is_empty() {
            rest["resource"] = resources.into();
        }
        Some(json!({
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": DATE,
            "kind": "instance",
            "software": { "name": "sequencer", "version": env!("CARGO_PKG_VERSION") },
            "implementation": { "description": DESCRIPTION },
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "rest": [rest],
        }))
    }

    /// In words, what the elements cannot say.
    fn documentation(self) -> Option<String> {
        let audit = self.audit_events.then_some(
            "AuditEvents of settled claims of one patient; the search itself is noted. Parameters \
             that are not listed are refused, but for _count and the cursor of a page's link.",
        );
        // No operation of FHIR: what is posted are no Parameters.
        let decisions = self.decisions.then_some(
            "POST $consent-decision takes a CDS Hook patient-consent-consult and answers with a \
             card.",
        );
        let notices = self.notices.then_some(
            "Subscriptions of a patient to the own AuditEvents, rest-hook without a payload, to \
             hosts that the operator lists.",
        );
        let said: Vec<_> = audit.into_iter().chain(decisions).chain(notices).collect();
        (!said.is_empty()).then(|| said.join(" "))
    }
}

/// What is searched by: the parameters that [`accounting::Search`] reads.
fn audit_event() -> Value {
    let parameter = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    json!({
        "type": "AuditEvent",
        "profile": "http://hl7.org/fhir/StructureDefinition/AuditEvent",
        "supportedProfile": accounting::AUDIT_EVENT_PROFILES,
        "interaction": [{ "code": "search-type" }],
        "versioning": "no-version",
        "searchParam": [
            parameter("patient", "reference"),
            parameter("date", "date"),
            parameter("agent", "reference"),
            parameter("_lastUpdated", "date"),
        ],
    })
}

fn subscription() -> Value {
    let interactions = ["create", "read", "delete", "search-type"];
    let interactions = interactions.map(|code| json!({ "code": code }));
    json!({
        "type": "Subscription",
        "profile": "http://hl7.org/fhir/StructureDefinition/Subscription",
        "interaction": interactions,
        "versioning": "no-version",
    })
}

#[cfg(test)]
mod tests;
