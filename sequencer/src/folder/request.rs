//! Requests for certificates (PKCS #10), as `vitals identity request` makes them: the private key
//! stays with its holder, and the authority sees nothing but the public one.
//!
//! Threat note: a request is a stranger's file. Of all that it may say only the public key is
//! taken, and only with the proof that its sender holds the private one: names, role and purposes
//! are the operator's words.

use std::path::{Path, PathBuf};

use files::Audience;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SubjectPublicKeyInfo};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

/// Longest file that is read, bytes; one with a key on a curve has some 400.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

/// A request that gets no certificate.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The file cannot be read.
    #[error("the request {path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no request.
    #[error(
        "expected one certificate request in PEM in {path}, found something else: \
         `vitals identity request` makes one"
    )]
    Format {
        /// Which.
        path: PathBuf,
    },
    /// The key is of another kind.
    #[error(
        "expected a request with a key on the curve P-256 in {path}, found another kind of key: \
         `vitals identity request` makes one"
    )]
    KeyType {
        /// Which.
        path: PathBuf,
    },
    /// Its sender does not hold the private key, or the file was changed on its way.
    #[error(
        "expected the request {path} to be signed by the key that it holds, found another \
         signature: have it sent again, or made anew"
    )]
    Signature {
        /// Which.
        path: PathBuf,
    },
}

/// What is wrong with a request, wherever it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RequestFault {
    /// It is no request.
    #[error("expected a certificate request (PKCS #10) in DER, found something else")]
    Format,
    /// The key is of another kind.
    #[error("expected a key on the curve P-256, found another kind of key")]
    KeyType,
    /// Its sender does not hold the private key.
    #[error("expected the signature of the key that it holds, found another one")]
    Signature,
}

/// Of which kinds of keys a request is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyKinds {
    /// The curve P-256 alone, as everything else that an authority issues.
    #[default]
    P256,
    /// Ed25519 as well, which draws nothing when it signs, and whose signatures are of one length:
    /// for a simulation, in which equal seeds are equal to the last byte.
    Ed25519Too,
}

impl KeyKinds {
    fn take(self, key: &SubjectPublicKeyInfo) -> bool {
        let kind = key.algorithm();
        kind == &PKCS_ECDSA_P256_SHA256 || self == KeyKinds::Ed25519Too && kind == &PKCS_ED25519
    }
}

/// The public key of a request whose sender proved to hold the private one.
#[derive(Debug)]
pub struct CertificateRequest {
    key: SubjectPublicKeyInfo,
    /// The same as it stands in a certificate, in DER.
    key_der: Vec<u8>,
}

impl CertificateRequest {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`RequestError`], which names the file.
    pub fn read(path: &Path) -> Result<CertificateRequest, RequestError> {
        let named = || path.to_owned();
        let format = || RequestError::Format { path: named() };
        let pem = files::read(path, REQUEST_BYTES_MAX, Audience::Public)
            .map_err(|source| RequestError::File { path: named(), source })?;
        let all = CertificateSigningRequestDer::pem_slice_iter(&pem);
        let all = all.collect::<Result<Vec<_>, _>>().map_err(|_| format())?;
        // Of two, nobody could say which one was meant.
        let [der] = all.as_slice() else { return Err(format()) };
        CertificateRequest::check(der).map_err(|fault| match fault {
            RequestFault::Format => format(),
            RequestFault::KeyType => RequestError::KeyType { path: named() },
            RequestFault::Signature => RequestError::Signature { path: named() },
        })
    }

    /// Checks the bytes of one, of a key on P-256.
    ///
    /// # Errors
    /// [`RequestFault`].
    pub fn check(der: &[u8]) -> Result<CertificateRequest, RequestFault> {
        CertificateRequest::check_of(der, KeyKinds::P256)
    }

    /// As [`CertificateRequest::check`], of a key of these kinds.
    ///
    /// # Errors
    /// [`RequestFault`].
    pub fn check_of(der: &[u8], kinds: KeyKinds) -> Result<CertificateRequest, RequestFault> {
        let parsed = X509CertificationRequest::from_der(der);
        let (rest, request) = parsed.map_err(|_| RequestFault::Format)?;
        if !rest.is_empty() {
            return Err(RequestFault::Format);
        }
        let key_der = request.certification_request_info.subject_pki.raw;
        let key = SubjectPublicKeyInfo::from_der(key_der).ok();
        let key = key.filter(|key| kinds.take(key));
        let key = key.ok_or(RequestFault::KeyType)?;
        request.verify_signature().map_err(|_| RequestFault::Signature)?;
        Ok(CertificateRequest { key, key_der: key_der.to_vec() })
    }

    /// Whether a certificate is of its key.
    pub fn is_of(&self, certificate: &X509Certificate<'_>) -> bool {
        certificate.public_key().raw == self.key_der
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use model::{Interval, Millis};
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    use wire::Role;

    use super::*;
    use crate::folder::authority::Authority;

    /// A file with this content, and what reading it says.
    fn read(content: &str) -> Result<CertificateRequest, RequestError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna.csr");
        std::fs::write(&path, content).unwrap();
        CertificateRequest::read(&path)
    }

    fn request(key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        // What a holder might like to be, and does not become.
        params.distinguished_name.push(DnType::OrganizationalUnitName, "operator");
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn of_a_request_only_the_public_key_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |seconds: u64| Millis::from_unix_ms(seconds * 1000);
        let valid = Interval { from: at(1_700_000_000), until: at(2_000_000_000) };
        let authority = Authority::create(&folder.path().join("authority"), valid).unwrap();
        let key = KeyPair::generate().unwrap();
        let request = read(&request(&key)).unwrap();
        let issued = authority.sign_request(&request, Role::Wallet, "anna", valid).unwrap();
        let out = folder.path().join("anna");
        issued.write(&out).unwrap();
        assert!(!out.join("key.pem").exists(), "the key was never here");
        let cert = std::fs::read(out.join("cert.pem")).unwrap();
        let der = rustls_pki_types::CertificateDer::from_pem_slice(&cert).unwrap();
        let (_, found) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(found.subject().to_string(), "OU=wallet, CN=anna");
        assert!(!found.is_ca());
        assert_eq!(found.public_key().raw, key.subject_public_key_info());
    }

    #[test]
    fn what_proves_no_key_of_the_right_kind_is_refused() {
        let whole = request(&KeyPair::generate().unwrap());
        // The last characters are of the signature.
        let at = whole.find("\n-----END").unwrap() - 12;
        let other = if &whole[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &whole[..at], &whole[at + 1..]);
        assert!(matches!(read(&changed), Err(RequestError::Signature { .. })));

        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(matches!(read(&request(&other)), Err(RequestError::KeyType { .. })));
        let der = CertificateSigningRequestDer::from_pem_slice(request(&other).as_bytes()).unwrap();
        CertificateRequest::check_of(&der, KeyKinds::Ed25519Too).unwrap();
        let longer = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(read(&request(&longer)), Err(RequestError::KeyType { .. })));

        let certificate = whole.replace(" REQUEST", "");
        let cut = whole.replacen("\n", "\nAAAA", 1);
        for wrong in ["", "no PEM", &certificate, &cut, &format!("{whole}{whole}")] {
            assert!(matches!(read(wrong), Err(RequestError::Format { .. })), "{wrong}");
        }
        let long = format!("{whole}{}", "\n".repeat(20_000));
        let error = model::with_causes(&read(&long).unwrap_err());
        assert!(error.contains("anna.csr") && error.contains("at most 16384 bytes"), "{error}");
    }
}
