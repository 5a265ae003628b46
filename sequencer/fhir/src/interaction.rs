//! What an HTTP request asks for, and what is answered to one that asks for nothing served here.

use thiserror::Error;

use crate::issue::IssueType;

/// The media type of everything that is answered.
pub const MEDIA_TYPE: &str = "application/fhir+json; charset=utf-8";
/// The path under which everything stands.
pub const BASE: &str = "/fhir";

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interaction {
    /// `POST /fhir/Observation`.
    Create,
    /// `POST /fhir`: a batch or a transaction.
    Bundle,
    /// `GET /fhir/metadata`.
    Capabilities,
}

/// What of a request says which interaction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked<'a> {
    /// `GET`, `POST` ...
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
}

/// Why a request is no interaction, or is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Turned {
    /// No HTTP/1.1.
    #[error("expected a request of HTTP/1.1, found another text")]
    Malformed,
    /// No token.
    #[error("expected Authorization: Bearer TOKEN, found none")]
    TokenMissing,
    /// A token that is not believed.
    #[error("expected a token that is valid here and now, found another")]
    TokenInvalid,
    /// A token that does not permit this.
    #[error(
        "expected a token with the scope system/Observation.c, or with its query \
         category=vital-signs, found others"
    )]
    ScopeMissing,
    /// A page of a browser, where nobody is asked for a token.
    #[error("expected a program, found a page of a browser (Origin): without a token none posts")]
    Browser,
    /// Nothing there.
    #[error("expected /fhir, /fhir/Observation or /fhir/metadata, found another path")]
    Path,
    /// Not with this method.
    #[error("expected the method {allowed} at this path, found another")]
    Method {
        /// The one that is served.
        allowed: &'static str,
    },
    /// An answer that is not given.
    #[error("expected Accept: application/fhir+json, found none of the kind")]
    Accept,
    /// A body of another type.
    #[error("expected Content-Type: application/fhir+json in UTF-8, of FHIR 4.0, found another")]
    ContentType,
    /// A question behind the path.
    #[error("expected no parameters but _format=json at this path, found others")]
    Query,
    /// A body without a length.
    #[error("expected Content-Length or chunks, found neither")]
    Length,
    /// A body that is too long.
    #[error("expected a body of at most {max} bytes, found more: post less at once")]
    Long {
        /// Most bytes.
        max: usize,
    },
    /// A head that is too long.
    #[error("expected a head of at most {max} bytes, found more")]
    HeadLong {
        /// Most bytes.
        max: usize,
    },
    /// Not all came in time.
    #[error("expected the whole request within {seconds} s, found a part")]
    Slow {
        /// How long was waited.
        seconds: u64,
    },
    /// Something that is waited for without end elsewhere.
    #[error("expected Expect: 100-continue or none, found another expectation")]
    Expectation,
    /// As many as are answered at once.
    #[error("expected at most {max} requests at once, found more: again in a second")]
    Busy {
        /// Most.
        max: usize,
    },
}

impl Turned {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Turned::Malformed | Turned::Query => 400,
            Turned::TokenMissing | Turned::TokenInvalid => 401,
            Turned::ScopeMissing | Turned::Browser => 403,
            Turned::Path => 404,
            Turned::Method { .. } => 405,
            Turned::Accept => 406,
            Turned::Slow { .. } => 408,
            Turned::Length => 411,
            Turned::Long { .. } => 413,
            Turned::ContentType => 415,
            Turned::Expectation => 417,
            Turned::HeadLong { .. } => 431,
            Turned::Busy { .. } => 503,
        }
    }

    /// The code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Turned::Malformed => "request-malformed",
            Turned::TokenMissing => "token-missing",
            Turned::TokenInvalid => "token-invalid",
            Turned::ScopeMissing => "scope-missing",
            Turned::Browser => "origin",
            Turned::Path => "path-unknown",
            Turned::Method { .. } => "method-not-served",
            Turned::Accept => "accept-unknown",
            Turned::ContentType => "content-type",
            Turned::Query => "query",
            Turned::Length => "length-missing",
            Turned::Long { .. } => "body-long",
            Turned::HeadLong { .. } => "head-long",
            Turned::Slow { .. } => "request-slow",
            Turned::Expectation => "expectation",
            Turned::Busy { .. } => "busy",
        }
    }

    /// What it is in FHIR's own list.
    pub fn issue_type(self) -> IssueType {
        match self {
            Turned::Malformed | Turned::Length | Turned::Expectation => IssueType::Structure,
            Turned::TokenMissing | Turned::TokenInvalid => IssueType::Login,
            Turned::ScopeMissing | Turned::Browser => IssueType::Forbidden,
            Turned::Path => IssueType::NotFound,
            Turned::Method { .. } | Turned::Accept | Turned::ContentType | Turned::Query => {
                IssueType::NotSupported
            }
            Turned::Long { .. } | Turned::HeadLong { .. } => IssueType::TooLong,
            Turned::Slow { .. } => IssueType::Timeout,
            Turned::Busy { .. } => IssueType::Throttled,
        }
    }
}

impl Interaction {
    /// Which interaction is asked for.
    ///
    /// # Errors
    /// [`Turned`] for what is not served.
    pub fn of(asked: Asked<'_>) -> Result<Interaction, Turned> {
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        let below = path.strip_prefix(BASE).ok_or(Turned::Path)?;
        let (interaction, allowed) = match below.trim_end_matches('/') {
            "" => (Interaction::Bundle, "POST"),
            "/Observation" => (Interaction::Create, "POST"),
            "/metadata" => (Interaction::Capabilities, "GET"),
            _ => return Err(Turned::Path),
        };
        // HEAD is answered as GET, without the body.
        let is_head = asked.method == "HEAD" && allowed == "GET";
        if asked.method != allowed && !is_head {
            return Err(Turned::Method { allowed });
        }
        let is_known = |parameter: &str| {
            matches!(parameter, "" | "_format=json" | "_format=application/fhir+json")
        };
        if !query.split('&').all(is_known) {
            return Err(Turned::Query);
        }
        if !asked.accept.is_none_or(accepts_json) {
            return Err(Turned::Accept);
        }
        if allowed == "POST" && !asked.content_type.is_some_and(is_fhir_json) {
            return Err(Turned::ContentType);
        }
        Ok(interaction)
    }
}

/// Whether one of the media types that are accepted is JSON, weights apart: whoever accepts it with
/// another one in front gets what there is.
fn accepts_json(accept: &str) -> bool {
    accept.split(',').any(|one| {
        let name = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(
            name.as_str(),
            "*/*" | "application/*" | "application/fhir+json" | "application/json" | "text/json"
        )
    })
}

fn is_fhir_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let name = parts.next().unwrap_or_default();
    if !matches!(name.as_str(), "application/fhir+json" | "application/json") {
        return false;
    }
    parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
        let value = value.trim_matches('"');
        match name {
            "charset" => value == "utf-8",
            "fhirversion" => value == "4.0",
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(target: &str) -> Asked<'_> {
        let content_type = Some("application/fhir+json");
        Asked { method: "POST", target, content_type, accept: None }
    }

    #[test]
    fn three_interactions_are_served() {
        assert_eq!(Interaction::of(post("/fhir/Observation")), Ok(Interaction::Create));
        assert_eq!(Interaction::of(post("/fhir")), Ok(Interaction::Bundle));
        assert_eq!(Interaction::of(post("/fhir/?_format=json")), Ok(Interaction::Bundle));
        let get = Asked { method: "GET", content_type: None, ..post("/fhir/metadata") };
        assert_eq!(Interaction::of(get), Ok(Interaction::Capabilities));
        assert_eq!(Interaction::of(Asked { method: "HEAD", ..get }), Ok(Interaction::Capabilities));
    }

    #[test]
    fn everything_else_is_turned_away_with_its_own_status() {
        let check = |asked, status| {
            let turned = Interaction::of(asked).unwrap_err();
            assert_eq!(turned.status(), status, "{asked:?}: {turned}");
            assert!(!turned.code().is_empty() && !turned.issue_type().code().is_empty());
        };
        check(post("/"), 404);
        check(post("/fhirx"), 404);
        check(post("/fhir/Patient"), 404);
        check(Asked { method: "PUT", ..post("/fhir/Observation") }, 405);
        check(Asked { method: "GET", ..post("/fhir") }, 405);
        check(Asked { method: "HEAD", ..post("/fhir") }, 405);
        check(post("/fhir?_pretty=true"), 400);
        for kind in [
            None,
            Some("application/fhir+xml"),
            Some("application/json; charset=latin-1"),
            Some("application/fhir+json; fhirVersion=5.0"),
        ] {
            check(Asked { content_type: kind, ..post("/fhir") }, 415);
        }
        check(Asked { accept: Some("application/fhir+xml, text/html"), ..post("/fhir") }, 406);
    }

    #[test]
    fn media_types_are_read_with_their_parameters() {
        for kind in [
            "application/json",
            "Application/FHIR+JSON; charset=UTF-8; fhirVersion=4.0",
            "application/fhir+json;charset=\"utf-8\"",
        ] {
            assert!(is_fhir_json(kind), "{kind}");
        }
        for accept in ["*/*", "application/fhir+xml, application/json;q=0.5", "application/*"] {
            assert!(accepts_json(accept), "{accept}");
        }
    }
}
