//! Answers of HTTP, as bytes.

use std::time::SystemTime;

use fhir::{MEDIA_TYPE, Response, SCOPE_CATEGORY, Told, Turned, operation_outcome, status_line};
use serde_json::Value;

/// Seconds after which a sender that was told to come again may.
const RETRY_AFTER_S: u32 = 5;
/// What a token would have to grant, as RFC 6750 says it.
const INSUFFICIENT_SCOPE: &str =
    "Bearer error=\"insufficient_scope\", scope=\"system/Observation.c\"";

/// What is answered to one request.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// `Allow`, of a method that is not served.
    pub(crate) allowed: Option<&'static str>,
    /// `WWW-Authenticate`, of a request that is not let in.
    pub(crate) challenge: Option<&'static str>,
    pub(crate) body: Option<Value>,
}

/// What goes around an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Framing {
    /// Asked by HEAD: the length is that of the body, which does not come.
    pub(crate) is_head: bool,
    /// The connection ends behind it.
    pub(crate) closes: bool,
}

impl Answer {
    pub(crate) fn of(status: u16, body: Value) -> Answer {
        Answer { status, location: None, allowed: None, challenge: None, body: Some(body) }
    }

    /// Of one create, with its outcome unless nobody wants to read it.
    pub(crate) fn created(response: Response, is_minimal: bool) -> Answer {
        let is_good = response.status < 300;
        let body = operation_outcome(&response.told);
        let mut answer = Answer::of(response.status, body);
        if is_good && is_minimal {
            answer.body = None;
        }
        if response.told.iter().any(|told| told.code == SCOPE_CATEGORY) {
            answer.challenge = Some(INSUFFICIENT_SCOPE);
        }
        Answer { location: response.location, ..answer }
    }

    pub(crate) fn to_bytes(&self, framing: Framing, date: SystemTime) -> Vec<u8> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut head = format!(
            "HTTP/1.1 {}\r\nDate: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n",
            status_line(self.status),
            httpdate::fmt_http_date(date),
            body.len()
        );
        let mut add = |name: &str, value: &str| head += &format!("{name}: {value}\r\n");
        if self.body.is_some() {
            add("Content-Type", MEDIA_TYPE);
        }
        if let Some(location) = &self.location {
            add("Location", location);
        }
        if let Some(allowed) = self.allowed {
            add("Allow", allowed);
        }
        if let Some(challenge) = self.challenge {
            add("WWW-Authenticate", challenge);
        }
        if self.status == 503 {
            add("Retry-After", &RETRY_AFTER_S.to_string());
        }
        if framing.closes {
            add("Connection", "close");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        if !framing.is_head {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

impl From<Turned> for Answer {
    fn from(turned: Turned) -> Answer {
        let mut answer = Answer::of(turned.status(), operation_outcome(&[Told::from(turned)]));
        if let Turned::Method { allowed } = turned {
            answer.allowed = Some(allowed);
        }
        // RFC 6750: what is wrong is said only to who showed a token.
        answer.challenge = match turned {
            Turned::TokenMissing => Some("Bearer"),
            Turned::TokenInvalid => Some("Bearer error=\"invalid_token\""),
            Turned::ScopeMissing => Some(INSUFFICIENT_SCOPE),
            _ => None,
        };
        answer
    }
}
