//! Who asks, by a token that was checked.

use std::fmt;

use model::Millis;

use crate::scopes::Scopes;

/// Who asks, and what was granted.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    /// `sub`: for a backend service its client id.
    pub subject: String,
    /// `fhirUser`, of a token with a user in front of it.
    pub user: Option<User>,
    /// `patient`: the launch context of `patient/` scopes.
    pub patient: Option<String>,
    /// `jti`, by which the issuer finds the token again.
    pub token_id: Option<String>,
    /// `scope`.
    pub scopes: Scopes,
    /// `exp`.
    pub expires: Millis,
}

/// A person by the resource that stands for them.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Which resource.
    pub kind: UserKind,
    /// Its id.
    pub id: String,
}

/// What `fhirUser` may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserKind {
    /// A patient.
    Patient,
    /// A practitioner.
    Practitioner,
    /// A practitioner in a role.
    PractitionerRole,
    /// A relative or guardian.
    RelatedPerson,
    /// Somebody else.
    Person,
}

/// Longest id of a FHIR resource (`id` in FHIR R4).
const ID_MAX: usize = 64;

impl UserKind {
    const ALL: [UserKind; 5] = [
        UserKind::Patient,
        UserKind::Practitioner,
        UserKind::PractitionerRole,
        UserKind::RelatedPerson,
        UserKind::Person,
    ];

    /// Name of the resource.
    pub fn name(self) -> &'static str {
        match self {
            UserKind::Patient => "Patient",
            UserKind::Practitioner => "Practitioner",
            UserKind::PractitionerRole => "PractitionerRole",
            UserKind::RelatedPerson => "RelatedPerson",
            UserKind::Person => "Person",
        }
    }
}

impl User {
    /// Reads `Practitioner/dr-001`, or the same below the FHIR base that the token is for. Of
    /// another server's base it names somebody else, who may have the same id.
    pub(crate) fn parse(text: &str, base: &str) -> Option<User> {
        let below = text.strip_prefix(base.trim_end_matches('/'));
        let relative = below.and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
        let (kind, id) = relative.split_once('/')?;
        let kind = UserKind::ALL.into_iter().find(|one| one.name() == kind)?;
        is_id(id).then(|| User { kind, id: id.to_owned() })
    }
}

/// Whether this is a FHIR id: 1 to 64 letters, digits, `-` and `.`.
pub(crate) fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Names nobody: logs get these.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| user.kind);
        let patient = self.patient.is_some();
        let mut shown = f.debug_struct("Bearer");
        shown.field("user", &user).field("patient", &patient);
        shown.field("scopes", &self.scopes).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/..", self.kind.name())
    }
}
