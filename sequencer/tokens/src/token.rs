//! A compact JWT (RFC 7519), checked in the order in which it costs: length, form, header, key,
//! signature, and only then what it says.

use model::Millis;
use serde::Deserialize;
use thiserror::Error;

use crate::base64url;
use crate::bearer::{Bearer, User, is_id};
use crate::jwks::{Algorithm, Keys};
use crate::scopes::{Needed, Scopes};

/// Longest token, bytes; a header of HTTP has hardly more room.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `sub`, `jti` and `kid`, bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most audiences of a token.
const AUDIENCES_MAX: usize = 16;

/// How far the issuer's clock may be apart, milliseconds, where nobody says otherwise: machines of
/// a hospital keep time by NTP, and every second is one more that a token is good behind its end.
pub const SKEW_MS: u64 = 5_000;
/// How long a token may still be good, milliseconds, where nobody says otherwise. SMART asks for
/// five minutes, and issuers have an hour.
pub const LIFETIME_MS_MAX: u64 = 3_600_000;

/// What a token has to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// `iss`, exactly.
    pub issuer: String,
    /// One of `aud`, exactly: the FHIR base of this node.
    pub audience: String,
    /// How far the issuer's clock may be apart, milliseconds.
    pub skew_ms: u64,
    /// How long a token may still be good, milliseconds. Nobody asks the issuer whether it took one
    /// back, so that a token that ends late cannot be taken back in time.
    pub lifetime_ms_max: u64,
}

/// Checks tokens of one issuer.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Keys,
    expected: Expected,
}

/// Why a token is not taken. Nothing of the token stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TokenError {
    /// Another scheme than `Bearer`, or several words.
    #[error("expected `Authorization: Bearer TOKEN`, found another scheme or form")]
    NotBearer,
    /// Too long.
    #[error("expected a token of at most {TOKEN_BYTES_MAX} bytes, found {found}")]
    Long {
        /// Bytes found.
        found: usize,
    },
    /// Not a compact JWT, or a part of it is no JSON as it should be.
    #[error("expected a signed JWT of three parts, found another form of its {part}")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// Not signed, or otherwise than SMART has it.
    #[error("expected a token signed with RS384 or ES384, found another `alg`")]
    Algorithm,
    /// The header asks for extensions that are not known here.
    #[error("expected a header without `crit`, found one")]
    Critical,
    /// No such key, or without `kid` several.
    #[error("expected a `kid` that names a key of the issuer's JWKS, found none or another")]
    Key,
    /// The signature is not of that key.
    #[error("expected a signature of the issuer's key, found another")]
    Signature,
    /// Of another issuer.
    #[error("expected the configured issuer (`iss`), found another")]
    Issuer,
    /// For somebody else.
    #[error("expected the FHIR base of this node among the audiences (`aud`), found others")]
    Audience,
    /// Over.
    #[error(
        "expected a token that is still good, found one that ended: ask the issuer for another"
    )]
    Expired,
    /// Not yet begun, or made by a clock ahead of this one.
    #[error("expected a token that is good already, found one that begins later (`nbf`, `iat`)")]
    Early,
    /// Good for too long.
    #[error("expected a token that ends within {max_ms} ms, found one that ends later")]
    Lasting {
        /// The longest allowed.
        max_ms: u64,
    },
    /// A claim is missing or not as it has to be.
    #[error("expected {expected}, found another or none")]
    Claim {
        /// What was expected.
        expected: &'static str,
    },
    /// It is good, and does not grant this.
    #[error("expected the scope {needed}, found a token without it")]
    Scope {
        /// What is needed.
        needed: Needed,
    },
}

impl TokenError {
    /// The code of the error, as documents and metrics name it.
    pub fn code(&self) -> &'static str {
        match self {
            TokenError::NotBearer => "token-missing",
            TokenError::Long { .. } => "token-long",
            TokenError::Malformed { .. } => "token-malformed",
            TokenError::Algorithm => "token-algorithm",
            TokenError::Critical => "token-critical",
            TokenError::Key => "token-key",
            TokenError::Signature => "token-signature",
            TokenError::Issuer => "token-issuer",
            TokenError::Audience => "token-audience",
            TokenError::Expired => "token-expired",
            TokenError::Early => "token-early",
            TokenError::Lasting { .. } => "token-lasting",
            TokenError::Claim { .. } => "token-claim",
            TokenError::Scope { .. } => "token-scope",
        }
    }

    /// Status of HTTP: 401, and 403 of a good token that does not grant this.
    pub fn status(&self) -> u16 {
        if matches!(self, TokenError::Scope { .. }) { 403 } else { 401 }
    }

    /// `WWW-Authenticate` of the answer (RFC 6750 section 3).
    pub fn www_authenticate(&self) -> String {
        match self {
            // Without a token no error is told: who asks may not know that one is needed.
            TokenError::NotBearer => "Bearer".to_owned(),
            TokenError::Scope { needed } => {
                format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"")
            }
            other => {
                format!("Bearer error=\"invalid_token\", error_description=\"{}\"", other.code())
            }
        }
    }
}

/// The token of an `Authorization` header.
///
/// # Errors
/// [`TokenError::NotBearer`] of anything else.
pub fn bearer_of(header: &str) -> Result<&str, TokenError> {
    let (scheme, token) = header.trim().split_once(' ').ok_or(TokenError::NotBearer)?;
    let token = token.trim_start();
    let is_one = !token.is_empty() && !token.contains(' ');
    match scheme.eq_ignore_ascii_case("bearer") && is_one {
        true => Ok(token),
        false => Err(TokenError::NotBearer),
    }
}

impl Verifier {
    /// Of one issuer's keys.
    pub fn new(keys: Keys, expected: Expected) -> Verifier {
        Verifier { keys, expected }
    }

    /// From now on these are the issuer's keys: one that is not among them signs nothing any more.
    pub fn replace_keys(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// The keys that hold.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What a token has to say.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Checks a token, for this time. Cost: one verification of a signature, and only with a key
    /// that the token names.
    ///
    /// # Errors
    /// [`TokenError`] names the first thing that is not as it has to be.
    pub fn check(&self, token: &str, now: Millis) -> Result<Bearer, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Long { found: token.len() });
        }
        let (signed, signature) = split(token)?;
        let (header, payload) = signed.split_once('.').ok_or(malformed("parts"))?;
        let header: Header = read_part(header, "header")?;
        let key = header.find_key(&self.keys)?;
        let signature = base64url::decode(signature).ok_or(malformed("signature"))?;
        if !key.verifies(signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        let claims: Claims = read_part(payload, "payload")?;
        self.check_addressed(&claims)?;
        let expires = self.check_time(&claims, now)?;
        self.read_bearer(claims, expires)
    }

    fn check_addressed(&self, claims: &Claims) -> Result<(), TokenError> {
        if claims.iss != self.expected.issuer {
            return Err(TokenError::Issuer);
        }
        let is_ours = |audience: &String| *audience == self.expected.audience;
        let found = match &claims.aud {
            Audience::One(one) => is_ours(one),
            Audience::Several(several) => several.iter().take(AUDIENCES_MAX).any(is_ours),
        };
        if found { Ok(()) } else { Err(TokenError::Audience) }
    }

    /// When it ends, if it is good now.
    fn check_time(&self, claims: &Claims, now: Millis) -> Result<Millis, TokenError> {
        let Expected { skew_ms, lifetime_ms_max: max_ms, .. } = self.expected;
        let expires = Millis::from_block_timestamp(claims.exp);
        if expires.plus(skew_ms) <= now {
            return Err(TokenError::Expired);
        }
        let begins = [claims.nbf, claims.iat].into_iter().flatten();
        let begins = begins.map(Millis::from_block_timestamp).max();
        if begins.is_some_and(|begins| begins > now.plus(skew_ms)) {
            return Err(TokenError::Early);
        }
        if expires.since(now) > max_ms.saturating_add(skew_ms) {
            return Err(TokenError::Lasting { max_ms });
        }
        Ok(expires)
    }

    fn read_bearer(&self, claims: Claims, expires: Millis) -> Result<Bearer, TokenError> {
        let wrong = |expected| TokenError::Claim { expected };
        let is_name = |text: &String| {
            let printable = text.chars().all(|c| !c.is_control());
            (1..=NAME_BYTES_MAX).contains(&text.len()) && printable
        };
        let subject = Some(claims.sub).filter(is_name);
        let subject = subject.ok_or(wrong("a subject (`sub`) of 1 to 256 characters"))?;
        if claims.jti.as_ref().is_some_and(|id| !is_name(id)) {
            return Err(wrong("a token id (`jti`) of 1 to 256 characters"));
        }
        if claims.patient.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(wrong("the id of a Patient (`patient`)"));
        }
        let read = |text: String| User::parse(&text, &self.expected.audience);
        let user = claims.fhir_user.map(|text| {
            read(text).ok_or(wrong("a person of this FHIR base (`fhirUser`, as Practitioner/ID)"))
        });
        Ok(Bearer {
            subject,
            user: user.transpose()?,
            patient: claims.patient,
            token_id: claims.jti,
            scopes: Scopes::parse(&claims.scope),
            expires,
        })
    }
}

impl Bearer {
    /// Asks for a scope without a query.
    ///
    /// # Errors
    /// [`TokenError::Scope`] if it is not granted.
    pub fn require(&self, needed: Needed) -> Result<(), TokenError> {
        if self.scopes.grants(needed) { Ok(()) } else { Err(TokenError::Scope { needed }) }
    }
}

/// Members of a JOSE header that are read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Header {
    fn find_key<'a>(&self, keys: &'a Keys) -> Result<&'a crate::jwks::Key, TokenError> {
        // The header is not signed for yet: it chooses among keys, never how one is used.
        let algorithm = match self.alg.as_str() {
            "RS384" => Algorithm::Rs384,
            "ES384" => Algorithm::Es384,
            _ => return Err(TokenError::Algorithm),
        };
        if self.crit.is_some() {
            return Err(TokenError::Critical);
        }
        keys.find(self.kid.as_deref(), algorithm).ok_or(TokenError::Key)
    }
}

/// Claims that are read. Times are whole seconds: the standard allows fractions, no issuer that was
/// looked at writes them, and a refusal is better than a rounded end.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    sub: String,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: Option<String>,
    #[serde(default)]
    scope: String,
    patient: Option<String>,
    #[serde(rename = "fhirUser")]
    fhir_user: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What is signed, and the signature.
fn split(token: &str) -> Result<(&str, &str), TokenError> {
    if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(malformed("parts"));
    }
    token.rsplit_once('.').ok_or(malformed("parts"))
}

fn read_part<T: serde::de::DeserializeOwned>(
    text: &str,
    part: &'static str,
) -> Result<T, TokenError> {
    let bytes = base64url::decode(text).ok_or(malformed(part))?;
    serde_json::from_slice(&bytes).map_err(|_| malformed(part))
}

fn malformed(part: &'static str) -> TokenError {
    TokenError::Malformed { part }
}
