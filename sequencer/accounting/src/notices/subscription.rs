//! FHIR R4 Subscriptions: what somebody asks for, and what is shown of it.
//!
//! What is not honoured is refused with its element: a filter, a header or a payload that was
//! passed over would leave somebody believing in something that never comes.

use model::calendar::{Utc, Written};
use model::{Millis, PatientIndex};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::endpoint::{ENDPOINT_BYTES_MAX, Endpoint, Hosts};
use super::kept::Kept;
use crate::search::read_patient;

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 256;
/// Of the extension that holds the secret, in the one answer that has it.
const SECRET_URL: &str = "urn:vitals:notice-secret";

/// What somebody asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AskedSubscription {
    /// Whose record it is about.
    pub patient: PatientIndex,
    /// Who is to be told.
    pub endpoint: Endpoint,
    /// Why.
    pub reason: String,
    /// When it ends, if it does by itself.
    pub end: Option<Millis>,
}

/// A Subscription that is not taken. No value of an element stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SubscriptionError {
    /// The bytes are no such resource.
    #[error("expected a Subscription as FHIR JSON, found something else")]
    Form,
    /// An element is missing or of another kind.
    #[error("expected {expected} as {expression}, found something else")]
    Element {
        /// Which.
        expression: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// An element that changes what it means, and that is not honoured here.
    #[error("expected {expected} as {expression}: nothing else is served here")]
    Unserved {
        /// Which.
        expression: &'static str,
        /// What is served.
        expected: &'static str,
    },
    /// An element that is not known here.
    #[error("expected no other elements than those that `notices.md` lists in {expression}")]
    Unknown {
        /// In which.
        expression: &'static str,
    },
}

impl SubscriptionError {
    /// The element that it is about, as FHIRPath.
    pub fn expression(&self) -> &'static str {
        match self {
            SubscriptionError::Form => "Subscription",
            SubscriptionError::Element { expression, .. }
            | SubscriptionError::Unserved { expression, .. }
            | SubscriptionError::Unknown { expression } => expression,
        }
    }

    /// Whether it is a Subscription, and asks for what is not served.
    pub fn is_unserved(&self) -> bool {
        matches!(self, SubscriptionError::Unserved { .. })
    }
}

impl AskedSubscription {
    /// Reads what was posted, and whether its host may be told.
    ///
    /// # Errors
    /// [`SubscriptionError`] names the first element that is not taken.
    pub fn parse(bytes: &[u8], hosts: &Hosts) -> Result<AskedSubscription, SubscriptionError> {
        let posted: Value = serde_json::from_slice(bytes).map_err(|_| SubscriptionError::Form)?;
        let posted = posted.as_object().ok_or(SubscriptionError::Form)?;
        if posted.get("resourceType").and_then(Value::as_str) != Some("Subscription") {
            return Err(SubscriptionError::Form);
        }
        // Of a resource that is made, the server says what `id` and `meta` are.
        let known =
            ["resourceType", "id", "meta", "status", "reason", "criteria", "end", "channel"];
        refuse_others(posted, &known, "Subscription")?;
        let status = text(posted, "status", "Subscription.status")?;
        if status != "requested" {
            return Err(unserved("Subscription.status", "`requested`"));
        }
        let patient = read_criteria(text(posted, "criteria", "Subscription.criteria")?)?;
        let reason = read_reason(text(posted, "reason", "Subscription.reason")?)?;
        let end = read_end(posted)?;
        let endpoint = read_channel(posted, hosts)?;
        Ok(AskedSubscription { patient, endpoint, reason, end })
    }
}

fn read_criteria(criteria: &str) -> Result<PatientIndex, SubscriptionError> {
    let expected = "`AuditEvent?patient=INDEX`, and no other search";
    let patient = criteria.strip_prefix("AuditEvent?patient=");
    let patient = patient.and_then(|patient| read_patient(patient).ok());
    patient.ok_or(unserved("Subscription.criteria", expected))
}

fn read_reason(reason: &str) -> Result<String, SubscriptionError> {
    let expected = "1 to 256 characters without control characters";
    let is_good = (1..=REASON_CHARS_MAX).contains(&reason.chars().count())
        && !reason.chars().any(char::is_control)
        && !reason.trim().is_empty();
    is_good.then(|| reason.to_owned()).ok_or(element("Subscription.reason", expected))
}

fn read_end(posted: &Map<String, Value>) -> Result<Option<Millis>, SubscriptionError> {
    let Some(end) = posted.get("end") else { return Ok(None) };
    let wrong = element("Subscription.end", "an instant with its zone");
    match end.as_str().map(Written::parse) {
        Some(Ok(Written::Instant(at))) => Ok(Some(at.millis())),
        _ => Err(wrong),
    }
}

fn read_channel(posted: &Map<String, Value>, hosts: &Hosts) -> Result<Endpoint, SubscriptionError> {
    let channel = posted.get("channel").and_then(Value::as_object);
    let channel = channel.ok_or(element("Subscription.channel", "the channel"))?;
    if channel.contains_key("payload") {
        // A payload would be the events themselves, at a host that nobody asks for a token.
        return Err(unserved("Subscription.channel.payload", "no payload"));
    }
    if channel.contains_key("header") {
        return Err(unserved("Subscription.channel.header", "no headers (notices are signed)"));
    }
    refuse_others(channel, &["type", "endpoint"], "Subscription.channel")?;
    if text(channel, "type", "Subscription.channel.type")? != "rest-hook" {
        return Err(unserved("Subscription.channel.type", "`rest-hook`"));
    }
    let endpoint = "Subscription.channel.endpoint";
    let expected = "an https address on a named host, of 512 bytes at most";
    const { assert!(ENDPOINT_BYTES_MAX == 512, "the text says so") };
    let found = Endpoint::parse(text(channel, "endpoint", endpoint)?);
    let found = found.ok_or(element(endpoint, expected))?;
    if !hosts.contains(&found) {
        return Err(unserved(endpoint, "a host, with its port, of the operator's list"));
    }
    Ok(found)
}

fn element(expression: &'static str, expected: &'static str) -> SubscriptionError {
    SubscriptionError::Element { expression, expected }
}

fn unserved(expression: &'static str, expected: &'static str) -> SubscriptionError {
    SubscriptionError::Unserved { expression, expected }
}

fn text<'a>(
    of: &'a Map<String, Value>,
    name: &str,
    expression: &'static str,
) -> Result<&'a str, SubscriptionError> {
    of.get(name).and_then(Value::as_str).ok_or(element(expression, "a text"))
}

fn refuse_others(
    found: &Map<String, Value>,
    known: &[&str],
    expression: &'static str,
) -> Result<(), SubscriptionError> {
    let is_known = found.keys().all(|name| known.contains(&name.as_str()));
    if is_known { Ok(()) } else { Err(SubscriptionError::Unknown { expression }) }
}

/// A subscription as it is shown. `secret` stands in the answer that makes it, and in no other.
pub fn resource(kept: &Kept, now: Millis, secret: Option<&str>) -> Value {
    let mut channel = json!({"type": "rest-hook", "endpoint": kept.endpoint.to_string()});
    if let Some(secret) = secret {
        channel["extension"] = json!([{"url": SECRET_URL, "valueString": secret}]);
    }
    let mut shown = json!({
        "resourceType": "Subscription",
        "id": kept.id.to_string(),
        "status": kept.status(now),
        "reason": kept.reason,
        "criteria": format!("AuditEvent?patient={}", kept.patient.get()),
        "channel": channel,
    });
    if let Some(end) = kept.end {
        shown["end"] = Utc(end).to_string().into();
    }
    if let Some(fault) = kept.fault {
        shown["error"] = fault.to_string().into();
    }
    shown
}

/// Subscriptions of one patient, a Bundle of type *searchset*. `base` is that of the FHIR routes.
pub fn listed(found: &[Kept], now: Millis, base: &str) -> Value {
    let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": found.len()});
    let entry = |kept: &Kept| {
        let url = format!("{base}/Subscription/{}", kept.id);
        json!({"fullUrl": url, "resource": resource(kept, now, None), "search": {"mode": "match"}})
    };
    // An array without members is no FHIR.
    if !found.is_empty() {
        bundle["entry"] = found.iter().map(entry).collect();
    }
    bundle
}

#[cfg(test)]
mod tests {
    use model::BatchNumber;

    use super::*;
    use crate::notices::{Fault, NoticeSecret, SubscriptionId};

    fn hosts() -> Hosts {
        Hosts::parse(&["app.example.org".to_owned()]).unwrap()
    }

    fn asked() -> Value {
        json!({
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "tell my app",
            "criteria": "AuditEvent?patient=7",
            "channel": {"type": "rest-hook", "endpoint": "https://app.example.org/hook?key=k"},
        })
    }

    /// What is said of the example with one element changed; an empty value takes it away.
    fn refusal(pointer: &str, value: Value) -> SubscriptionError {
        let mut changed = asked();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => _ = parent.remove(name),
            value => _ = parent.insert(name.to_owned(), value),
        }
        AskedSubscription::parse(changed.to_string().as_bytes(), &hosts()).unwrap_err()
    }

    #[test]
    fn a_subscription_that_is_asked_for_is_read_with_what_the_server_says_passed_over() {
        let mut posted = asked();
        posted["id"] = "own".into();
        posted["meta"] = json!({"lastUpdated": "2026-05-01T00:00:00Z"});
        posted["end"] = "2026-05-01T02:00:00+02:00".into();
        posted["criteria"] = "AuditEvent?patient=Patient/7".into();
        let read = AskedSubscription::parse(posted.to_string().as_bytes(), &hosts()).unwrap();
        assert_eq!((read.patient.get(), read.reason.as_str()), (7, "tell my app"));
        assert_eq!(read.endpoint.to_string(), "https://app.example.org/hook?key=k");
        assert_eq!(Utc(read.end.unwrap()).to_string(), "2026-05-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_not_served_is_named_by_its_element_and_never_by_its_value() {
        for (pointer, value, expression) in [
            ("/status", json!("active"), "Subscription.status"),
            ("/criteria", json!("AuditEvent"), "Subscription.criteria"),
            ("/criteria", json!("AuditEvent?patient=7&agent=x"), "Subscription.criteria"),
            ("/criteria", json!("Observation?patient=7"), "Subscription.criteria"),
            ("/channel/type", json!("email"), "Subscription.channel.type"),
            ("/channel/payload", json!("application/fhir+json"), "Subscription.channel.payload"),
            ("/channel/payload", json!(""), "Subscription.channel.payload"),
            ("/channel/header", json!(["authorization: x"]), "Subscription.channel.header"),
            (
                "/channel/endpoint",
                json!("https://secret.example.net/"),
                "Subscription.channel.endpoint",
            ),
        ] {
            let error = refusal(pointer, value);
            assert!(error.is_unserved(), "{error}");
            assert_eq!(error.expression(), expression);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_malformed_missing_or_unknown_is_refused() {
        for (pointer, value, expression) in [
            ("/status", Value::Null, "Subscription.status"),
            ("/reason", Value::Null, "Subscription.reason"),
            ("/reason", json!(" "), "Subscription.reason"),
            ("/reason", json!("a\u{0}"), "Subscription.reason"),
            ("/reason", json!("a".repeat(257)), "Subscription.reason"),
            ("/end", json!("2026-05-01"), "Subscription.end"),
            ("/end", json!(7), "Subscription.end"),
            ("/channel", json!([]), "Subscription.channel"),
            ("/channel/endpoint", Value::Null, "Subscription.channel.endpoint"),
            ("/channel/endpoint", json!("http://app.example.org"), "Subscription.channel.endpoint"),
            ("/channel/extension", json!([]), "Subscription.channel"),
            ("/contact", json!([]), "Subscription"),
            ("/modifierExtension", json!([]), "Subscription"),
            ("/resourceType", json!("Bundle"), "Subscription"),
        ] {
            let error = refusal(pointer, value);
            assert!(!error.is_unserved(), "{error}");
            assert_eq!(error.expression(), expression, "{error}");
        }
        for bytes in [&b""[..], b"[]", b"\"Subscription\"", b"{\"resourceType\": 7}", b"\xff"] {
            let error = AskedSubscription::parse(bytes, &hosts());
            assert_eq!(error, Err(SubscriptionError::Form));
        }
    }

    fn kept() -> Kept {
        Kept {
            id: SubscriptionId::new([0xab; 16]),
            patient: PatientIndex::new(7).unwrap(),
            endpoint: Endpoint::parse("https://app.example.org/hook").unwrap(),
            reason: "tell my app".into(),
            end: None,
            secret: NoticeSecret::new([0xcd; 32]),
            told: BatchNumber(3),
            failing_since: None,
            fault: None,
            given_up: false,
        }
    }

    #[test]
    fn a_subscription_is_shown_with_its_status_and_without_its_secret_but_once() {
        let now = Millis::from_unix_ms(1_777_624_200_000);
        let shown = resource(&kept(), now, Some("whsec_x"));
        assert_eq!(shown["channel"]["extension"][0]["valueString"], "whsec_x");
        let shown = resource(&kept(), now, None);
        assert_eq!((&shown["status"], &shown["error"]), (&json!("active"), &Value::Null));
        assert!(shown["channel"]["extension"].is_null());
        let fault = Some(Fault::Status(500));
        let failed = Kept { fault, given_up: true, ..kept() };
        let shown = resource(&failed, now, None);
        assert_eq!(shown["status"], "error");
        assert_eq!(shown["error"], "expected a status of 200 to 299, found 500");
        let ended = Kept { end: Some(now), ..kept() };
        assert_eq!(resource(&ended, now, None)["status"], "off");
        assert_eq!(resource(&ended, now.before(), None)["status"], "active");
        let debug = format!("{:?}", kept());
        assert!(!debug.contains("cdcd") && !debug.contains("hook"), "{debug}");
    }

    #[test]
    fn a_list_is_a_searchset_and_an_empty_one_has_no_entries() {
        let now = Millis::from_unix_ms(1_777_624_200_000);
        let bundle = listed(&[kept()], now, "https://node.example.org/fhir");
        let url = format!("https://node.example.org/fhir/Subscription/{}", kept().id);
        assert_eq!(bundle["entry"][0]["fullUrl"], url);
        assert_eq!((&bundle["total"], &bundle["type"]), (&json!(1), &json!("searchset")));
        assert!(listed(&[], now, "x").get("entry").is_none());
    }
}
