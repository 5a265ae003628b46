//! What was found in a document: which element, why it cannot become a rule or what is to be known
//! of it, and how to say it so that it can.

use std::fmt;

use thiserror::Error;

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where, as a path: `provision.provision[0].data[0].meaning`.
    pub element: String,
    /// Why.
    pub reason: Reason,
}

/// Whether a finding keeps a document from becoming rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Weight {
    /// No rule says this: the document is refused as a whole, since a part of a consent is another
    /// consent.
    Refused,
    /// It becomes a rule, of which something is to be known before it is signed.
    Told,
}

/// The dialect of a document that is no PCF Consent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// FHIR R4 as it is.
    R4,
    /// FHIR R5 or later: it has `decision`.
    R5,
}

/// Why.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Reason {
    /// No PCF profile is declared.
    #[error("expected a profile of IHE PCF, found a Consent of core {}", dialect(*.0))]
    NotPcf(Dialect),
    /// A provision does not say whether it permits or denies.
    #[error("expected permit or deny, found nothing: core {} leaves open which is meant", dialect(*.0))]
    TypeMissing(Dialect),
    /// Another word than permit or deny.
    #[error("expected permit or deny, found another word")]
    TypeUnknown,
    /// The policy rule of a core Consent.
    #[error("expected the type of each provision alone, found a policy rule beside it")]
    PolicyRule,
    /// The decision of an R5 Consent.
    #[error(
        "expected the type of each provision, found the decision of R5, whose exceptions turn it \
         around at every level"
    )]
    Decision,
    /// No Consent in force.
    #[error("expected a Consent with status active, found another status")]
    Status,
    /// A consent to something else.
    #[error("expected the scope patient-privacy, found another one")]
    Scope,
    /// Option {Data by id}.
    #[error("expected no data by id, found data.meaning instance: option {{Data by id}}")]
    DataById,
    /// Option {Data Relationship}.
    #[error("expected no data by relationship, found it: option {{Data Relationship}}")]
    DataRelationship,
    /// Provisions in a provision of a provision.
    #[error("expected provisions at most two deep, found a third level")]
    Depth,
    /// An actor who is no recipient.
    #[error("expected the role IRCP (information recipient), found another one")]
    Role,
    /// An actor that no rule can name.
    #[error(
        "expected a Practitioner, Organization, CareTeam, Group or Device, found a reference to \
         something else"
    )]
    ActorType,
    /// A reference whose registered name is not known.
    #[error("expected a reference that the names say a registered name of, found one they do not")]
    ActorUnknown,
    /// Names that give a reference another kind of name.
    #[error("expected a registered name of the kind that the reference is of, found another kind")]
    ActorOther,
    /// A patient whose index is not known.
    #[error("expected a patient that the names say the index of, found one they do not")]
    PatientUnknown,
    /// A purpose that no claim can have.
    #[error("expected a purpose of this system, found the code {0}")]
    Purpose(String),
    /// A label that no claim can have.
    #[error("expected a label of this system, found the code {0}")]
    Label(String),
    /// A category of [`crate::CATEGORIES_EXTENSION`].
    #[error("expected a category of vitals, found the code {0}")]
    Category(String),
    /// A kind of [`crate::KINDS_EXTENSION`].
    #[error("expected access, collect or break-glass, found the code {0}")]
    ClaimKind(String),
    /// An element that PCF forbids.
    #[error("expected none, since PCF forbids this element")]
    Forbidden,
    /// An element that is not read.
    #[error("expected an element that is read, found one that may change what is meant")]
    Unread,
    /// Another form.
    #[error("expected {0}, found something else")]
    Form(&'static str),
    /// More than may be.
    #[error("expected at most {expected} {what}, found {found}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A time that cannot be expressed.
    #[error("expected a FHIR date, or a dateTime with seconds and its zone, from 1900 to 2456")]
    Time,
    /// A date of nobody's zone.
    #[error("expected to be told in which zone dates hold, found a date and no zone")]
    Zone,
    /// A period without an instant.
    #[error("expected a period that ends after it begins, found none")]
    Period,
    /// Told: a source that is no device.
    #[error("readings are authored by devices, and this is none")]
    SourceIsNoDevice,
    /// Told: a care team.
    #[error("no request to read is answered for a care team yet")]
    CareTeam,
    /// A deny of a care team.
    #[error(
        "expected a deny of whom a request can name, found a care team: no request is answered \
         for one, so that nobody would be denied"
    )]
    CareTeamDenied,
    /// Told: a code of a project or of a hospital that stands for a whole purpose or label.
    #[error("the names read this code as all of {0}")]
    ReadAs(&'static str),
    /// Told: a refusal at the root.
    #[error("what nothing permits is refused anyway")]
    RefusedAnyway,
    /// Told: a permit to break the glass.
    #[error("glass is broken for the purpose emergency-treatment only")]
    BreakGlass,
}

const fn dialect(of: Dialect) -> &'static str {
    match of {
        Dialect::R4 => "R4",
        Dialect::R5 => "R5",
    }
}

impl Reason {
    /// Whether it keeps the document out.
    pub const fn weight(&self) -> Weight {
        match self {
            Reason::SourceIsNoDevice
            | Reason::CareTeam
            | Reason::ReadAs(_)
            | Reason::RefusedAnyway
            | Reason::BreakGlass => Weight::Told,
            _ => Weight::Refused,
        }
    }

    /// A short name for programs, which stays the same.
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::NotPcf(_) => "not-pcf",
            Reason::TypeMissing(_) => "type-missing",
            Reason::TypeUnknown => "type-unknown",
            Reason::PolicyRule => "policy-rule",
            Reason::Decision => "decision",
            Reason::Status => "status",
            Reason::Scope => "scope",
            Reason::DataById => "data-by-id",
            Reason::DataRelationship => "data-relationship",
            Reason::Depth => "depth",
            Reason::Role => "role",
            Reason::ActorType => "actor-type",
            Reason::ActorUnknown => "actor-unknown",
            Reason::ActorOther => "actor-other",
            Reason::PatientUnknown => "patient-unknown",
            Reason::Purpose(_) => "purpose",
            Reason::Label(_) => "label",
            Reason::Category(_) => "category",
            Reason::ClaimKind(_) => "kind",
            Reason::Forbidden => "forbidden",
            Reason::Unread => "unread",
            Reason::Form(_) => "form",
            Reason::TooMany { .. } => "too-many",
            Reason::Time => "time",
            Reason::Zone => "zone",
            Reason::Period => "period",
            Reason::SourceIsNoDevice => "source-no-device",
            Reason::CareTeam => "care-team",
            Reason::CareTeamDenied => "care-team-denied",
            Reason::ReadAs(_) => "read-as",
            Reason::RefusedAnyway => "refused-anyway",
            Reason::BreakGlass => "break-glass",
        }
    }

    /// How to say it so that it can be enforced; or what follows from it.
    pub const fn rewrite(&self) -> &'static str {
        match self {
            Reason::NotPcf(_) => {
                "write it as a PCF Consent, whose every provision has its type, or sign the rules \
                 that are meant with vitals consent permit and vitals consent deny"
            }
            Reason::TypeMissing(_) | Reason::TypeUnknown => "say permit or deny at this provision",
            Reason::PolicyRule => "leave policyRule out and say the type of the root provision",
            Reason::Decision => "say it as a provision with a type, in R4 as PCF has it",
            Reason::Status => {
                "end a consent with vitals consent revoke or stop; a draft is none yet"
            }
            Reason::Scope => "research, treatment and directives are other documents",
            Reason::DataById => {
                "say the time in which it was measured (dataPeriod), or its category"
            }
            Reason::DataRelationship => "say the time of the encounter or plan (dataPeriod)",
            Reason::Depth => "write each as a provision of its own below the root",
            Reason::Role => {
                "name who receives the information, with the role IRCP; a custodian is whoever \
                 runs the node"
            }
            Reason::ActorType => {
                "name the practitioner, the organisation, the care team or the device itself"
            }
            Reason::ActorUnknown => "add the reference with its registered name to the names",
            Reason::ActorOther => "correct the kind in the names",
            Reason::PatientUnknown => "add the reference with the patient's index to the names",
            Reason::Purpose(_) => {
                "use TREAT, ETREAT, HPAYMT, HOPERAT, HRESCH, PATRQT, PUBHLTH or BTG, or say in \
                 the names which of them the code stands for"
            }
            Reason::Label(_) => {
                "use N, R, ETH, PSY, SDV or HIV, or say in the names which of them the code \
                 stands for"
            }
            Reason::Category(_) => "use a category that vitals consent permit takes",
            Reason::ClaimKind(_) => "use one of the three",
            Reason::Forbidden => "say what is meant by purpose, label, period, author and actor",
            Reason::Unread => "leave it out, or say what it means by an element that is read",
            Reason::Form(_) => "correct it",
            Reason::TooMany { .. } => {
                "say it with fewer: one organisation in place of its people, one period in place \
                 of many"
            }
            Reason::Time => {
                "write it as 2026-05-01 or 2026-05-01T08:30:00+02:00; no end: leave out"
            }
            Reason::Zone => "say the zone (--zone), or write a time of day with its offset",
            Reason::Period => "correct it",
            Reason::SourceIsNoDevice => {
                "a permit of it covers no reading; a deny of it refuses whoever does not name one \
                 device: name the device"
            }
            Reason::CareTeam | Reason::CareTeamDenied => {
                "name the practitioners or their organisation"
            }
            Reason::ReadAs(_) => {
                "it covers every request of that purpose or label, not of this code alone: name \
                 the actor as well"
            }
            Reason::RefusedAnyway => "it becomes no rule, and loses nothing by it",
            Reason::BreakGlass => "a request that breaks the glass has to name that purpose",
        }
    }
}

impl Finding {
    /// Whether it keeps the document out.
    pub const fn weight(&self) -> Weight {
        self.reason.weight()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.element, self.reason, self.reason.rewrite())
    }
}

/// Most findings that are kept: whoever corrects that many asks again.
const FINDINGS_MAX: usize = 200;

/// What was found so far.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn add(&mut self, element: &str, reason: Reason) {
        if self.0.len() >= FINDINGS_MAX {
            // What keeps the document out is never lost: the first such finding has a place.
            if reason.weight() == Weight::Told || self.refuse() {
                return;
            }
            self.0.pop();
        }
        self.0.push(Finding { element: element.to_owned(), reason });
    }

    /// Whether something keeps the document out.
    pub(crate) fn refuse(&self) -> bool {
        self.0.iter().any(|one| one.weight() == Weight::Refused)
    }
}
