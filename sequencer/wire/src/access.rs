//! A practitioner's signed request to read (docs/wire.md section 5).

use std::fmt;

use model::{
    Categories, ChainScope, ClaimKind, DeviceId, Digest, IdError, Interval, Labels, Millis,
    OrganisationId, PatientIndex, PractitionerId, Purpose,
};

use crate::DecodeError;
use crate::codec::{Reader, Writer};
use crate::hash::digest31;
use crate::limits::{REASON_BYTES_MAX, REASON_LETTERS_MIN};

/// A care team: practitioners of one ward or study (FHIR `CareTeam`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CareTeamId(OrganisationId);

impl CareTeamId {
    /// Checks length (1 to 64) and characters (`a-z 0-9 . _ -`).
    ///
    /// # Errors
    /// [`IdError::BadName`] otherwise.
    pub fn new(name: &str) -> Result<CareTeamId, IdError> {
        OrganisationId::new(name).map(CareTeamId).map_err(|error| match error {
            IdError::BadName { max, found, .. } => {
                IdError::BadName { what: "care team id", max, found }
            }
            other => other,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whose data is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Of every device.
    Any,
    /// Of one device.
    Device(DeviceId),
}

/// How data is asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum AccessKind {
    /// Under a permit; a reason may be given, empty for none.
    Access {
        /// Why, in words.
        reason: Reason,
    },
    /// In an emergency under a break-glass policy; the reason is required.
    BreakGlass {
        /// Why, in words ([`Reason::says_something`]).
        reason: Reason,
    },
}

/// Why data is asked for: at most [`REASON_BYTES_MAX`] bytes of text without control characters.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Reason(String);

impl Reason {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`DecodeError`] if the text is too long or has a control character.
    pub fn new(text: &str) -> Result<Reason, DecodeError> {
        let (found, limit) = (text.len(), REASON_BYTES_MAX);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "reason", limit, found });
        }
        if text.chars().any(char::is_control) {
            return Err(DecodeError::field("reason", "expected no control characters"));
        }
        Ok(Reason(text.to_owned()))
    }

    /// Reads a long text.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Reason, DecodeError> {
        let text = std::str::from_utf8(from.long("reason", REASON_BYTES_MAX)?);
        Reason::new(text.map_err(|_| DecodeError::field("reason", "not UTF-8"))?)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be a reason at all: blanks, dots and a single letter tell a patient nothing.
    pub fn says_something(&self) -> bool {
        self.0.chars().filter(|one| one.is_alphanumeric()).count() >= REASON_LETTERS_MIN
    }
}

/// What a practitioner signs.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// Which settlement contract on which chain.
    pub scope: ChainScope,
    /// Whose data.
    pub patient: PatientIndex,
    /// Who asks.
    pub practitioner: PractitionerId,
    /// For which organisation.
    pub organisation: OrganisationId,
    /// As a member of which care team.
    pub care_team: Option<CareTeamId>,
    /// Of which device.
    pub source: Source,
    /// Which categories; not empty.
    pub categories: Categories,
    /// For which purpose.
    pub purpose: Purpose,
    /// Up to which labels; not empty.
    pub labels: Labels,
    /// Measured when.
    pub data: Interval,
    /// When it was signed.
    pub requested_at: Millis,
    /// First instant at which it may no longer be answered.
    pub valid_until: Millis,
    /// Chosen by the practitioner's device; never used twice within the validity.
    pub nonce: u64,
    /// Access or break-glass, with the reason.
    pub kind: AccessKind,
}

/// Hides who asks for whose data, and why.
impl fmt::Debug for AccessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessRequest {{ {:?}, {:?} }}", self.claim_kind(), self.purpose)
    }
}

impl AccessRequest {
    /// Version byte of the canonical bytes.
    pub const VERSION: u8 = 1;

    /// The claim's kind.
    pub fn claim_kind(&self) -> ClaimKind {
        match self.kind {
            AccessKind::Access { .. } => ClaimKind::Access,
            AccessKind::BreakGlass { .. } => ClaimKind::BreakGlass,
        }
    }

    /// The reason given.
    pub fn reason(&self) -> &Reason {
        match &self.kind {
            AccessKind::Access { reason } | AccessKind::BreakGlass { reason } => reason,
        }
    }

    /// The one device whose data is asked for; `None` for every device.
    pub fn device(&self) -> Option<&DeviceId> {
        match &self.source {
            Source::Any => None,
            Source::Device(device) => Some(device),
        }
    }

    /// What the practitioner's EdDSA key signs, as a field element: blake3 of the canonical bytes
    /// under "vitals access request v1", cut to 31 bytes. The bytes hold the scope.
    ///
    /// # Errors
    /// As [`AccessRequest::to_bytes`].
    pub fn signing_hash(&self) -> Result<Digest, DecodeError> {
        Ok(digest31("vitals access request v1", &self.to_bytes()?))
    }

    /// Canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError::Field`] if a rule between fields is broken, as when reading.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        // Before a byte is written: what somebody signs must also be readable.
        self.check()?;
        let mut to = Writer::default();
        to.u8(AccessRequest::VERSION);
        to.u64(self.scope.chain_id);
        to.raw(&self.scope.contract);
        to.patient(self.patient);
        to.text(self.practitioner.as_str());
        to.text(self.organisation.as_str());
        to.text(self.care_team.as_ref().map_or("", CareTeamId::as_str));
        match &self.source {
            Source::Any => to.text(""),
            Source::Device(device) => to.text(device.as_str()),
        }
        to.u32(self.categories.bits() as u32);
        to.u8(self.purpose.bit() as u8);
        to.u8(self.labels.bits() as u8);
        to.interval(self.data);
        to.millis(self.requested_at);
        to.millis(self.valid_until);
        to.u64(self.nonce);
        to.u8(self.claim_kind().bit() as u8);
        let reason = self.reason().as_str();
        to.u16(reason.len() as u16);
        to.raw(reason.as_bytes());
        Ok(to.0)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<AccessRequest, DecodeError> {
        let mut from = Reader::new("access request", bytes);
        let request = AccessRequest::read(&mut from)?;
        from.finish()?;
        Ok(request)
    }

    fn read(from: &mut Reader<'_>) -> Result<AccessRequest, DecodeError> {
        from.version(AccessRequest::VERSION)?;
        let request = AccessRequest {
            scope: ChainScope { chain_id: from.u64()?, contract: from.array()? },
            patient: from.patient()?,
            practitioner: from.name("practitioner id", PractitionerId::new)?,
            organisation: from.name("organisation id", OrganisationId::new)?,
            care_team: read_optional(from, "care team id", CareTeamId::new)?,
            source: read_optional(from, "device id", DeviceId::new)?
                .map_or(Source::Any, Source::Device),
            categories: Categories::from_bits(u64::from(from.u32()?))
                .map_err(|error| DecodeError::field("categories", error))?,
            purpose: read_purpose(from)?,
            labels: Labels::from_bits(u64::from(from.u8()?))
                .map_err(|error| DecodeError::field("labels", error))?,
            data: from.interval("data interval")?,
            requested_at: from.millis("requested_at")?,
            valid_until: from.millis("valid_until")?,
            nonce: from.u64()?,
            kind: read_kind(from)?,
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let wrong = |why| Err(DecodeError::field("access request", why));
        // An empty request would be decided and journaled, and give nothing.
        if self.categories.is_empty() || self.labels.is_empty() {
            return wrong("expected a category and a label");
        }
        if self.requested_at >= self.valid_until || self.data.from >= self.data.until {
            return wrong("expected intervals that are not empty");
        }
        let says_something = self.reason().says_something();
        if matches!(self.kind, AccessKind::BreakGlass { .. }) && !says_something {
            return wrong("expected a reason for breaking the glass, of at least 4 letters");
        }
        Ok(())
    }
}

fn read_optional<T>(
    from: &mut Reader<'_>,
    what: &'static str,
    new: fn(&str) -> Result<T, IdError>,
) -> Result<Option<T>, DecodeError> {
    match from.text(what)? {
        // No id is empty, so the empty text is free to mean none.
        "" => Ok(None),
        name => new(name).map(Some).map_err(|error| DecodeError::field(what, error)),
    }
}

fn read_purpose(from: &mut Reader<'_>) -> Result<Purpose, DecodeError> {
    let found = from.u8()?;
    let purpose = Purpose::ALL.iter().copied().find(|one| one.bit() == u32::from(found));
    purpose.ok_or(DecodeError::Unknown { what: "purpose", found: u64::from(found) })
}

fn read_kind(from: &mut Reader<'_>) -> Result<AccessKind, DecodeError> {
    // The number is the one that the claim's kind has in the circuits.
    let found = u32::from(from.u8()?);
    let length = from.count("reason", REASON_BYTES_MAX)?;
    let text = std::str::from_utf8(from.take(length)?);
    let reason = Reason::new(text.map_err(|_| DecodeError::field("reason", "not UTF-8"))?)?;
    match found {
        found if found == ClaimKind::Access.bit() => Ok(AccessKind::Access { reason }),
        found if found == ClaimKind::BreakGlass.bit() => Ok(AccessKind::BreakGlass { reason }),
        found => Err(DecodeError::Unknown { what: "kind of access", found: u64::from(found) }),
    }
}

/// A request with the practitioner's key and signature, neither of them checked here.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedAccessRequest {
    request: AccessRequest,
    bytes: Vec<u8>,
    /// The practitioner's public key, compressed; must be the registered one.
    pub public_key: [u8; 32],
    /// EdDSA over [`AccessRequest::signing_hash`].
    pub signature: [u8; 64],
}

impl fmt::Debug for SignedAccessRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedAccessRequest {{ {:?}, {:?} }}", self.request, self.digest())
    }
}

impl SignedAccessRequest {
    /// Largest canonical encoding.
    pub const BYTES_MAX: usize = 1024;

    /// Puts request, key and signature together.
    ///
    /// # Errors
    /// As [`AccessRequest::to_bytes`].
    pub fn new(
        request: AccessRequest,
        public_key: [u8; 32],
        signature: [u8; 64],
    ) -> Result<SignedAccessRequest, DecodeError> {
        let bytes = request.to_bytes()?;
        Ok(SignedAccessRequest { request, bytes, public_key, signature })
    }

    /// The request.
    pub fn request(&self) -> &AccessRequest {
        &self.request
    }

    /// Canonical bytes: request, public key, signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.bytes.as_slice(), &self.public_key, &self.signature].concat()
    }

    /// Names the signed request; the claim's digest.
    pub fn digest(&self) -> Digest {
        // Key and signature are in it: it names the evidence, and not only what was asked (W.29).
        digest31("vitals signed access request v1", &self.to_bytes())
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<SignedAccessRequest, DecodeError> {
        let (found, limit) = (bytes.len(), SignedAccessRequest::BYTES_MAX);
        if found > limit {
            return Err(DecodeError::TooLarge { what: "signed access request", limit, found });
        }
        let mut from = Reader::new("signed access request", bytes);
        let request = AccessRequest::read(&mut from)?;
        let (public_key, signature) = (from.array()?, from.array()?);
        from.finish()?;
        // The bytes that were signed, and not an encoding of what was read from them: digest and
        // signature are over these. 96 bytes of key and signature were read behind them.
        let bytes = bytes[..found - 96].to_vec();
        Ok(SignedAccessRequest { request, bytes, public_key, signature })
    }
}
