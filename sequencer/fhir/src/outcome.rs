//! `OperationOutcome`, and the answer to a Bundle with one for each entry.

use serde_json::{Value, json};

use crate::bundle::BundleType;
use crate::interaction::Turned;
use crate::issue::{Issue, IssueType};
use crate::mapped::LeftOut;

/// How bad something is that is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// It was not done.
    Error,
    /// It was done, and something of it was left out.
    Warning,
    /// It was done.
    Information,
}

impl Severity {
    fn code(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        }
    }
}

/// One issue of an `OperationOutcome`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// How bad it is.
    pub severity: Severity,
    /// What it is in FHIR's list.
    pub issue_type: IssueType,
    /// What it is here.
    pub code: String,
    /// In words.
    pub text: String,
    /// Of which element.
    pub expression: Option<String>,
}

impl From<&Issue> for Told {
    fn from(issue: &Issue) -> Told {
        Told {
            severity: Severity::Error,
            issue_type: issue.fault.issue_type(),
            code: issue.fault.code(),
            text: issue.fault.to_string(),
            expression: Some(issue.expression.clone()),
        }
    }
}

impl From<Turned> for Told {
    fn from(turned: Turned) -> Told {
        Told {
            severity: Severity::Error,
            issue_type: turned.issue_type(),
            code: turned.code().to_owned(),
            text: turned.to_string(),
            expression: None,
        }
    }
}

impl Told {
    /// What is no reading, and does not keep the rest from being one.
    pub fn left_out(left_out: &LeftOut) -> Told {
        let (code, text, expression) = match left_out {
            LeftOut::Unknown { expression } => (
                "left-out-code",
                "nothing is stored of it: neither the tables nor the map know its code",
                expression,
            ),
            LeftOut::Missing { expression } => {
                ("left-out-absent", "nothing is stored of it: it has no value", expression)
            }
            LeftOut::Repeated { expression } => {
                ("left-out-repeated", "it is stored once: it stands there before", expression)
            }
        };
        Told {
            severity: Severity::Warning,
            issue_type: IssueType::Informational,
            code: code.to_owned(),
            text: text.to_owned(),
            expression: Some(expression.clone()),
        }
    }

    /// What the node vouches for.
    pub fn receipt(id: &str) -> Told {
        Told {
            severity: Severity::Information,
            issue_type: IssueType::Informational,
            code: "receipt".to_owned(),
            text: format!("durable, by the verified receipt {id}"),
            expression: None,
        }
    }

    /// That it was taken before.
    pub fn known() -> Told {
        Told {
            severity: Severity::Information,
            issue_type: IssueType::Informational,
            code: "taken-before".to_owned(),
            text: "taken before under this identifier, and stored once".to_owned(),
            expression: None,
        }
    }
}

/// An `OperationOutcome` of one issue at least.
pub fn operation_outcome(told: &[Told]) -> Value {
    let issue = |told: &Told| {
        let mut issue = json!({
            "severity": told.severity.code(),
            "code": told.issue_type.code(),
            "details": { "coding": [{ "code": told.code }], "text": told.text },
        });
        if let Some(expression) = &told.expression {
            issue["expression"] = json!([expression]);
        }
        issue
    };
    json!({ "resourceType": "OperationOutcome", "issue": told.iter().map(issue).collect::<Vec<_>>() })
}

/// What became of one create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Of what was made, or is there already.
    pub location: Option<String>,
    /// What is to be said of it.
    pub told: Vec<Told>,
}

/// The Bundle that answers a Bundle: one entry for each, in the same order.
pub fn bundle_response(bundle_type: BundleType, responses: &[Response]) -> Value {
    let entry = |response: &Response| {
        let mut answer = json!({ "status": status_line(response.status) });
        if let Some(location) = &response.location {
            answer["location"] = json!(location);
        }
        if !response.told.is_empty() {
            answer["outcome"] = operation_outcome(&response.told);
        }
        json!({ "response": answer })
    };
    let kind = match bundle_type {
        BundleType::Batch => "batch-response",
        BundleType::Transaction => "transaction-response",
    };
    let entries: Vec<_> = responses.iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

/// A status with its words.
pub fn status_line(status: u16) -> String {
    let words = match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        424 => "Failed Dependency",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Other",
    };
    format!("{status} {words}")
}
