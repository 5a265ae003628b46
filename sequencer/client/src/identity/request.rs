//! Key and request of an identity to be. The key is made here and goes nowhere: the operator gets
//! the request (PKCS #10), and hands back a certificate.

use std::path::{Path, PathBuf};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use files::Audience;
use thiserror::Error;
use zeroize::Zeroizing;

const KEY_FILE: &str = "key.pem";
const REQUEST_FILE: &str = "request.csr";

/// Key or request cannot be made.
#[derive(Debug, Error)]
pub enum RequestIdentityError {
    /// The file cannot be made; a key that is there already is never replaced.
    #[error("expected to make {path}, in a folder that holds no identity yet")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The machine gives no randomness.
    #[error("expected the machine to give randomness for a key, found none")]
    Randomness,
}

impl From<Unspecified> for RequestIdentityError {
    fn from(_: Unspecified) -> RequestIdentityError {
        // The library says no more, and nothing else can go wrong with a fresh key.
        RequestIdentityError::Randomness
    }
}

/// Makes `key.pem`, for its owner alone, and `request.csr` in a folder; returns the latter. The
/// request names nobody: who its holder is are the operator's words.
///
/// # Errors
/// [`RequestIdentityError`].
pub fn request_identity(folder: &Path) -> Result<PathBuf, RequestIdentityError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| RequestIdentityError::File { path, source }
    };
    let (key_path, request_path) = (folder.join(KEY_FILE), folder.join(REQUEST_FILE));
    files::make_folder(folder, Audience::Owner).map_err(file(folder))?;
    // Others may not put another authority beside it either.
    files::check_folder(folder).map_err(file(folder))?;
    let made = Made::new()?;
    files::create(&key_path, made.key.as_bytes(), Audience::Owner).map_err(file(&key_path))?;
    files::create(&request_path, made.request.as_bytes(), Audience::Owner)
        .map_err(file(&request_path))?;
    Ok(request_path)
}

/// A fresh key and the request of a certificate for it, each in PEM.
pub(crate) struct Made {
    pub(crate) key: Zeroizing<String>,
    pub(crate) request: String,
}

impl Made {
    pub(crate) fn new() -> Result<Made, RequestIdentityError> {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref());
        let key = key.map_err(|_| RequestIdentityError::Randomness)?;
        let named = named_nobody(key.public_key().as_ref());
        let signature = key.sign(&random, &named)?;
        let signature = der(BIT_STRING, &[&[0], signature.as_ref()]);
        let request = der(SEQUENCE, &[&named, &der(SEQUENCE, &[ECDSA_WITH_SHA256]), &signature]);
        let key = Zeroizing::new(to_pem("PRIVATE KEY", document.as_ref()));
        Ok(Made { key, request: to_pem("CERTIFICATE REQUEST", &request) })
    }
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// Version 0 of a request (RFC 2986).
const VERSION: &[u8] = &[0x02, 0x01, 0x00];
/// No attributes: context tag 0, empty.
const NO_ATTRIBUTES: &[u8] = &[0xa0, 0x00];
/// Object identifiers 1.2.840.10045.2.1, 1.2.840.10045.3.1.7 and 1.2.840.10045.4.3.2 in DER.
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P_256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// What is signed of a request: an empty name, and the key as an uncompressed point.
fn named_nobody(point: &[u8]) -> Vec<u8> {
    let algorithm = der(SEQUENCE, &[EC_PUBLIC_KEY, P_256]);
    let key = der(SEQUENCE, &[&algorithm, &der(BIT_STRING, &[&[0], point])]);
    der(SEQUENCE, &[VERSION, &der(SEQUENCE, &[]), &key, NO_ATTRIBUTES])
}

/// One element of DER, of less than 64 KiB.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut element = vec![tag];
    match content.len() {
        0..=0x7f => element.push(low),
        0x80..=0xff => element.extend([0x81, low]),
        _ => element.extend([0x82, high, low]),
    }
    element.extend(content);
    element
}

/// Bytes as text between two lines that name them (RFC 7468).
pub(crate) fn to_pem(label: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in bytes.chunks(48) {
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
            for at in 0..4 {
                let digit = DIGITS[((bits >> (18 - 6 * at)) & 0x3f) as usize];
                text.push(if at <= group.len() { char::from(digit) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateSigningRequestParams, DistinguishedName, KeyPair, PublicKeyData};

    use super::*;

    #[test]
    fn the_request_proves_the_key_and_the_key_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("anna");
        let request = std::fs::read_to_string(request_identity(&folder).unwrap()).unwrap();
        // Read by somebody else's hand, which verifies the signature.
        let read = CertificateSigningRequestParams::from_pem(&request).unwrap();
        assert_eq!(read.params.distinguished_name, DistinguishedName::new());
        let key = folder.join(KEY_FILE);
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read_to_string(&key).unwrap();
        let pair = KeyPair::from_pem(&before).unwrap();
        assert_eq!(pair.der_bytes(), read.public_key.der_bytes());
        let error = request_identity(&folder).unwrap_err();
        assert!(matches!(error, RequestIdentityError::File { path, .. } if path == key));
        assert_eq!(std::fs::read_to_string(&key).unwrap(), before);
    }

    #[test]
    fn text_of_every_length_is_padded_as_the_rules_say() {
        for (bytes, digits) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            let lines = if digits.is_empty() { String::new() } else { format!("{digits}\n") };
            let expected = format!("-----BEGIN X-----\n{lines}-----END X-----\n");
            assert_eq!(to_pem("X", bytes.as_bytes()), expected);
        }
        // A line has 64 digits; the last group of it is whole.
        assert!(to_pem("X", &[0; 49]).contains(&format!("\n{}\nAA==\n", "A".repeat(64))));
    }
}
