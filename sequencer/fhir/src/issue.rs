//! What is wrong with what was posted, where, and what the sender may do about it.
//!
//! No text here repeats a value, a name or an identifier of what came: outcomes end in logs of
//! senders and of proxies, which nobody protects as a record of a patient is.

use bridge::{Cause, Fate};
use thiserror::Error;

/// The code of an Observation that the token's scope is too narrow for.
pub const SCOPE_CATEGORY: &str = "scope-category";

/// `OperationOutcome.issue.code`: <https://hl7.org/fhir/R4/valueset-issue-type.html>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IssueType {
    /// The text is no FHIR.
    Structure,
    /// An element is missing.
    Required,
    /// An element has a value that it cannot have.
    Value,
    /// A code that nobody here knows.
    CodeInvalid,
    /// Content that is understood, and not taken.
    NotSupported,
    /// A modifier that is not understood.
    Extension,
    /// More than there is room for.
    TooLong,
    /// The same once more, and not the same.
    Conflict,
    /// No token, or one that is not believed.
    Login,
    /// A token that does not permit this, or consent that does not.
    Forbidden,
    /// There is nothing at this address.
    NotFound,
    /// It is not the fault of what was posted: again, later.
    Transient,
    /// As transient, since too much is under way.
    Throttled,
    /// As transient, since it took too long.
    Timeout,
    /// Another rule of this place.
    BusinessRule,
    /// Something is told, and nothing is wrong.
    Informational,
    /// Not done, because of what else is in the same transaction.
    Processing,
}

impl IssueType {
    /// The code in JSON.
    pub fn code(self) -> &'static str {
        match self {
            IssueType::Structure => "structure",
            IssueType::Required => "required",
            IssueType::Value => "value",
            IssueType::CodeInvalid => "code-invalid",
            IssueType::NotSupported => "not-supported",
            IssueType::Extension => "extension",
            IssueType::TooLong => "too-long",
            IssueType::Conflict => "conflict",
            IssueType::Login => "login",
            IssueType::Forbidden => "forbidden",
            IssueType::NotFound => "not-found",
            IssueType::Transient => "transient",
            IssueType::Throttled => "throttled",
            IssueType::Timeout => "timeout",
            IssueType::BusinessRule => "business-rule",
            IssueType::Informational => "informational",
            IssueType::Processing => "processing",
        }
    }
}

/// Why something is not taken. Each has a code, which stays when its words change.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// No JSON.
    #[error("expected JSON in UTF-8, found a text that is none at line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// Lists and objects within each other.
    #[error("expected at most {max} levels of objects and lists, found more")]
    Deep {
        /// Most.
        max: usize,
    },
    /// Too long a list, text or body.
    #[error("expected at most {max} {of}, found more: post less at once")]
    Many {
        /// What is counted.
        of: &'static str,
        /// Most.
        max: usize,
    },
    /// Another type of JSON.
    #[error("expected {expected}, found {found}")]
    JsonType {
        /// As it has to be.
        expected: &'static str,
        /// As it is.
        found: &'static str,
    },
    /// One name twice in one object: one program reads the first, and the next one the last.
    #[error("expected each name once in an object, found one twice")]
    Twice,
    /// Not there.
    #[error("expected {element}, found none")]
    Missing {
        /// Which element.
        element: &'static str,
    },
    /// Another resource than is taken here.
    #[error("expected {expected}, found another type of resource")]
    ResourceType {
        /// Those that are taken.
        expected: &'static str,
    },
    /// A modifier changes what everything beside it means.
    #[error("expected no modifierExtension, since none is understood here, found one")]
    Modifier,
    /// `implicitRules` does so, too.
    #[error("expected no implicitRules, since none are understood here, found some")]
    ImplicitRules,
    /// A status that says there is no result, or that it takes the place of another.
    #[error(
        "expected the status final or preliminary, found {found}: what is stored is never replaced"
    )]
    Status {
        /// One of FHIR's, or `another`.
        found: &'static str,
    },
    /// No time of day.
    #[error("expected a time with its seconds and zone, found a date: a reading has an instant")]
    DateOnly,
    /// No zone.
    #[error("expected a time with its zone, as +02:00 or Z, found one without")]
    ZoneMissing,
    /// No time.
    #[error("expected a time as 2026-05-01T08:30:00+02:00 from 1900 to 2456, found another text")]
    Time,
    /// Two of a choice, of which there may be one.
    #[error("expected one of {choice}, found several")]
    Choice {
        /// The choice of types.
        choice: &'static str,
    },
    /// A value, and a reason that there is none.
    #[error("expected a value or the reason that there is none, found both")]
    AbsentValue,
    /// A type of a choice that cannot be a reading.
    #[error("expected {expected}, found {found}")]
    ChoiceType {
        /// Those that are taken.
        expected: &'static str,
        /// The element that was found.
        found: String,
    },
    /// A value that stands for a stretch of time.
    #[error(
        "expected effectiveDateTime or effectiveInstant with a quantity, found effectivePeriod: \
         start this program with --period-at if its start or end is when it was measured"
    )]
    PeriodOfQuantity,
    /// Its end is not after its begin, or more was sampled than fits.
    #[error("expected a period that holds what was sampled, found a shorter one")]
    PeriodShort,
    /// `<`, `>=` and the like.
    #[error("expected a value that was measured, found a bound of one (comparator)")]
    Comparator,
    /// Not as a decimal of FHIR.
    #[error("expected a decimal number of at most 18 digits, found another")]
    Decimal,
    /// A panel, whose members are resources of their own.
    #[error(
        "expected a value or components, found none: post the members of a panel themselves, \
         nothing is stored of the panel"
    )]
    Panel,
    /// Waveforms of several dimensions.
    #[error("expected SampledData of one dimension, found {found}")]
    Dimensions {
        /// How many.
        found: u32,
    },
    /// Of no time or backwards.
    #[error("expected a period above 0 milliseconds and at most a day, found another")]
    SamplePeriod,
    /// A sample that is a bound of a value.
    #[error(
        "expected samples that are numbers or E, found U or L: beyond what the device measures \
         there is no value to store"
    )]
    SampleBeyond,
    /// A sample that is nothing.
    #[error("expected samples as whole or decimal numbers with one blank between, found another")]
    Sample,
    /// Another Bundle.
    #[error("expected a Bundle of the type batch or transaction, found another type")]
    BundleType,
    /// Something else than a create.
    #[error("expected entries with the request POST Observation, found another request")]
    Request,
    /// Conditional on something that cannot be looked for.
    #[error("expected the condition identifier=SYSTEM|VALUE, found another")]
    Condition,
    /// A token whose scope is too narrow for it.
    #[error(
        "expected a category that the token's scope is for ({granted}), found none: the scope \
         system/Observation.c is for all"
    )]
    Scope {
        /// The widest that the token has.
        granted: &'static str,
    },
    /// Not by the map, the bridge or the node.
    #[error(transparent)]
    Map(#[from] Cause),
    /// A transaction was not taken as a whole, and consent refused none of it.
    #[error("expected every entry of a transaction to be taken, found one that is not")]
    WithOthers,
    /// Consent refused some of a transaction on its way, and the node has what it permits.
    #[error(
        "expected every entry of a transaction to be permitted, found one that is refused: what \
         is permitted of the others may be stored, and the same sent again later completes it"
    )]
    InPart,
}

impl Fault {
    /// The code, as in [docs/fhir.md](../../client/docs/fhir.md).
    pub fn code(&self) -> String {
        if let Fault::Map(cause) = self {
            return cause.code();
        }
        let code = match self {
            Fault::Json { .. } => "json-malformed",
            Fault::Deep { .. } => "too-deep",
            Fault::Many { .. } => "too-many",
            Fault::JsonType { .. } => "json-type",
            Fault::Twice => "name-twice",
            Fault::Missing { .. } => "element-missing",
            Fault::ResourceType { .. } => "resource-type",
            Fault::Modifier => "modifier-extension",
            Fault::ImplicitRules => "implicit-rules",
            Fault::Status { .. } => "status",
            Fault::DateOnly => "date-only",
            Fault::ZoneMissing => "zone-missing",
            Fault::Time => "time-malformed",
            Fault::Choice { .. } => "choice-several",
            Fault::AbsentValue => "value-and-absent",
            Fault::ChoiceType { .. } => "choice-type",
            Fault::PeriodOfQuantity => "period-of-quantity",
            Fault::PeriodShort => "period-short",
            Fault::Comparator => "comparator",
            Fault::Decimal => "decimal",
            Fault::Panel => "panel-without-values",
            Fault::Dimensions { .. } => "dimensions",
            Fault::SamplePeriod => "sample-period",
            Fault::SampleBeyond => "sample-beyond",
            Fault::Sample => "sample-malformed",
            Fault::BundleType => "bundle-type",
            Fault::Request => "request",
            Fault::Condition => "condition",
            Fault::Scope { .. } => SCOPE_CATEGORY,
            Fault::WithOthers => "with-others",
            Fault::InPart => "in-part",
            Fault::Map(_) => "map",
        };
        code.to_owned()
    }

    /// What it is in FHIR's own list.
    pub fn issue_type(&self) -> IssueType {
        match self {
            Fault::Json { .. }
            | Fault::JsonType { .. }
            | Fault::Twice
            | Fault::Choice { .. }
            | Fault::AbsentValue => IssueType::Structure,
            Fault::Deep { .. } | Fault::Many { .. } => IssueType::TooLong,
            Fault::Missing { .. } => IssueType::Required,
            Fault::Modifier | Fault::ImplicitRules => IssueType::Extension,
            Fault::DateOnly
            | Fault::ZoneMissing
            | Fault::Time
            | Fault::PeriodShort
            | Fault::Decimal
            | Fault::SamplePeriod
            | Fault::Sample
            | Fault::Condition => IssueType::Value,
            Fault::ResourceType { .. }
            | Fault::Status { .. }
            | Fault::ChoiceType { .. }
            | Fault::PeriodOfQuantity
            | Fault::Comparator
            | Fault::Panel
            | Fault::Dimensions { .. }
            | Fault::SampleBeyond
            | Fault::BundleType
            | Fault::Request => IssueType::NotSupported,
            Fault::Scope { .. } => IssueType::Forbidden,
            Fault::Map(cause) => issue_type_of(cause),
            Fault::WithOthers | Fault::InPart => IssueType::Processing,
        }
    }

    /// The HTTP status: 400 for what is no FHIR, 422 for what is and cannot be taken, 403 where
    /// consent or the token's scope does not cover it, 503 where the same may be taken later.
    pub fn status(&self) -> u16 {
        match self.issue_type() {
            IssueType::Forbidden => 403,
            IssueType::Transient | IssueType::Throttled => 503,
            IssueType::Processing => 424,
            IssueType::Structure => 400,
            IssueType::TooLong => 413,
            IssueType::Conflict => 409,
            _ => 422,
        }
    }
}

fn issue_type_of(cause: &Cause) -> IssueType {
    match cause {
        Cause::PatientMissing
        | Cause::DeviceMissing
        | Cause::CodeMissing
        | Cause::UnitMissing { .. }
        | Cause::ValueMissing
        | Cause::TimeMissing
        | Cause::RateMissing => IssueType::Required,
        Cause::PatientUnknown | Cause::DeviceUnknown => IssueType::NotFound,
        Cause::CodeUnknown | Cause::UnitUnknown { .. } => IssueType::CodeInvalid,
        Cause::PatientAmbiguous
        | Cause::CodeAmbiguous
        | Cause::CodesMeet { .. }
        | Cause::PatientsMeet { .. } => IssueType::BusinessRule,
        Cause::Type { .. } | Cause::Status { .. } | Cause::Unsupported { .. } | Cause::Nothing => {
            IssueType::NotSupported
        }
        Cause::Malformed { .. } => IssueType::Structure,
        Cause::TooMany { .. } => IssueType::TooLong,
        Cause::Reused | Cause::Unsure => IssueType::Conflict,
        Cause::Busy => IssueType::Throttled,
        cause => match cause.fate() {
            Fate::Consent => IssueType::Forbidden,
            Fate::Again => IssueType::Transient,
            Fate::Never if matches!(cause, Cause::Node(_)) => IssueType::BusinessRule,
            Fate::Never => IssueType::Value,
        },
    }
}

/// A fault and where it stands.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{expression}: {fault}")]
pub struct Issue {
    /// FHIRPath of the element, as `Observation.component[1].valueQuantity`.
    pub expression: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Issue {
    pub(crate) fn new(expression: impl Into<String>, fault: Fault) -> Issue {
        Issue { expression: expression.into(), fault }
    }
}
