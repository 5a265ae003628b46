//! The keys of an issuer: a JWKS (RFC 7517) as bytes.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::base64url;

/// Largest JWKS, bytes.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// Most keys that are held: two of each kind while they are rolled, for a few clients.
pub(crate) const KEYS_MAX: usize = 32;
/// Modulus of an RSA key, bytes: 2048 to 4096 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// Longest exponent, bytes.
const EXPONENT_BYTES_MAX: usize = 4;
/// Length of a coordinate on P-384.
const COORDINATE_BYTES: usize = 48;

/// How a token is signed: the two that SMART asks every server to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

/// The public keys of an issuer that sign with an algorithm known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    keys: Vec<Key>,
}

/// Why a JWKS is not taken. No byte of a key stands in the text.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JwksError {
    /// Too long.
    #[error("expected a JWKS of at most {JWKS_BYTES_MAX} bytes, found {found}")]
    Long {
        /// Bytes found.
        found: usize,
    },
    /// Not a JWKS.
    #[error(
        "expected a JWKS ({{\"keys\": [...]}}, RFC 7517), found JSON that is none, at line {line}"
    )]
    Malformed {
        /// Where reading stopped.
        line: usize,
    },
    /// Too many keys.
    #[error("expected at most {KEYS_MAX} keys, found {found}")]
    Many {
        /// Keys found.
        found: usize,
    },
    /// A private key: the file was meant to stay with the issuer.
    #[error(
        "expected public keys, found a private member in key {index}: this file belongs to the \
         issuer alone; treat the key as known to others"
    )]
    Private {
        /// Index of the key, from 0.
        index: usize,
    },
    /// A member of a key is missing or out of range.
    #[error("expected {expected} in key {index}, found another or none")]
    Key {
        /// Index of the key, from 0.
        index: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// Two keys of one name: which one signed could not be said.
    #[error("expected each `kid` once, found that of key {index} again")]
    Twice {
        /// Index of the second.
        index: usize,
    },
    /// None that signs with a known algorithm.
    #[error("expected a key for RS384 (RSA) or ES384 (P-384), found none")]
    NoKey,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    material: Material,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed point: 4, x, y.
    P384(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// Members that are read; others say nothing about what is checked here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // What RFC 7518 calls private. A key may lack `d` and still be given away by its factors.
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl Jwk {
    fn is_private(&self) -> bool {
        let Jwk { d, p, q, dp, dq, qi, oth, k, .. } = self;
        [d, p, q, dp, dq, qi, oth, k].into_iter().any(Option::is_some)
    }
}

impl Keys {
    /// Reads a JWKS. Keys for encryption and of other algorithms are passed over, as an issuer may
    /// have them for others.
    ///
    /// # Errors
    /// [`JwksError`] of bytes that are none, of a key that is not whole, of a private key, and
    /// where no key is left.
    pub fn from_jwks(bytes: &[u8]) -> Result<Keys, JwksError> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(JwksError::Long { found: bytes.len() });
        }
        let malformed = |error: serde_json::Error| JwksError::Malformed { line: error.line() };
        let Jwks { keys: found } = serde_json::from_slice(bytes).map_err(malformed)?;
        if found.len() > KEYS_MAX {
            return Err(JwksError::Many { found: found.len() });
        }
        let mut keys: Vec<Key> = Vec::new();
        for (index, jwk) in found.iter().enumerate() {
            // Asked of every key, also of those that are passed over: who reads the file has it.
            if jwk.is_private() {
                return Err(JwksError::Private { index });
            }
            let Some(key) = read_key(index, jwk)? else { continue };
            let same = |other: &Key| other.id == key.id && other.algorithm == key.algorithm;
            if keys.iter().any(same) {
                return Err(JwksError::Twice { index });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(JwksError::NoKey) } else { Ok(Keys { keys }) }
    }

    /// How many keys are held.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The key of this name; without a name the only key of the algorithm. Trying every key in turn
    /// would let whoever sends a token choose how much is computed for it.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }
}

impl Key {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature).is_ok()
            }
            Material::P384(point) => {
                let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
                key.verify(message, signature).is_ok()
            }
        }
    }
}

/// The key, if it signs with an algorithm known here.
fn read_key(index: usize, jwk: &Jwk) -> Result<Option<Key>, JwksError> {
    if jwk.used_for.as_deref().is_some_and(|used| used != "sig") {
        return Ok(None);
    }
    let (kty, crv, alg) = (jwk.kty.as_str(), jwk.crv.as_deref(), jwk.alg.as_deref());
    let (algorithm, material) = match (kty, crv, alg) {
        ("RSA", _, None | Some("RS384")) => (Algorithm::Rs384, read_rsa(index, jwk)?),
        ("EC", Some("P-384"), None | Some("ES384")) => (Algorithm::Es384, read_p384(index, jwk)?),
        _ => return Ok(None),
    };
    Ok(Some(Key { id: jwk.kid.clone(), algorithm, material }))
}

fn read_rsa(index: usize, jwk: &Jwk) -> Result<Material, JwksError> {
    let read = |text: &Option<String>| text.as_deref().and_then(base64url::decode);
    // The top bit of a modulus is set; a leading zero would be a second text for one key.
    let modulus = read(&jwk.n).filter(|n| MODULUS_BYTES.contains(&n.len()) && n[0] >= 0x80);
    let modulus =
        modulus.ok_or(JwksError::Key { index, expected: "a modulus `n` of 2048 to 4096 bits" })?;
    let is_exponent = |e: &Vec<u8>| {
        e.len() <= EXPONENT_BYTES_MAX && e.first().is_some_and(|first| *first != 0) && e != &[1]
    };
    let exponent = read(&jwk.e).filter(is_exponent);
    let exponent =
        exponent.ok_or(JwksError::Key { index, expected: "an exponent `e` of 1 to 4 bytes" })?;
    Ok(Material::Rsa { modulus, exponent })
}

fn read_p384(index: usize, jwk: &Jwk) -> Result<Material, JwksError> {
    let read = |text: &Option<String>| {
        let bytes = text.as_deref().and_then(base64url::decode)?;
        (bytes.len() == COORDINATE_BYTES).then_some(bytes)
    };
    let wrong = JwksError::Key { index, expected: "coordinates `x` and `y` of 48 bytes" };
    let (Some(x), Some(y)) = (read(&jwk.x), read(&jwk.y)) else { return Err(wrong) };
    Ok(Material::P384([vec![4], x, y].concat()))
}
