//! Who a client is and whom it expects: a folder with `ca.pem`, `cert.pem`, `key.pem` and
//! `deployment.json`, as the node's operator hands it out.

mod subject;

use std::fmt;
use std::path::{Path, PathBuf};

use model::calendar::Utc;
use model::{ChainScope, Clock, Interval, Millis, SystemClock, Word, WordError};
use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use thiserror::Error;
use wire::{Address, Holder, Role};
use zeroize::Zeroizing;

/// Largest file of an identity that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate with its key, and the authority that vouches for the node.
///
/// The role stands in the certificate's organizational unit (`gateway`, `practitioner`, `wallet`,
/// `operator`), the id in its common name; the client presents them and the node decides.
pub struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
    role: Role,
    name: String,
    valid: Interval,
}

/// What TLS takes of an identity.
pub(crate) struct TlsParts {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) roots: RootCertStore,
}

/// What a client pins of a deployment: signatures, receipts and requests are bound to it.
///
/// Read from a deployment file (schema `vitals-deployment-1`); its other fields are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// Chain and settlement contract.
    pub scope: ChainScope,
    /// Who signs receipts.
    pub receipt_signer: Address,
    /// Hash of the registrar's key, if the file says it.
    pub registrar: Option<Word>,
}

/// An identity or deployment that cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("expected the readable file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not PEM of the kind that its name says.
    #[error("expected {what} in PEM")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        source: pem::Error,
    },
    /// The authority's certificate cannot be used.
    #[error("expected a certificate authority")]
    Authority(#[from] rustls::Error),
    /// The subject has no role or no name.
    #[error(
        "expected a certificate with one common name and the organizational unit gateway, \
         practitioner, wallet or operator"
    )]
    Subject,
    /// The certificate is good no more.
    #[error(
        "the certificate of this identity ended at {at}: ask the operator for a new folder (`add` \
         under the same id); receipts and spools stay good"
    )]
    Ended {
        /// When.
        at: Utc,
    },
    /// The certificate is not good yet.
    #[error("the certificate of this identity begins at {from} and it is {now}: check the clock")]
    NotYet {
        /// When it begins.
        from: Utc,
        /// What the clock says.
        now: Utc,
    },
    /// The deployment file does not say chain, contract and signer.
    #[error("expected chain_id, settlement and receipt_signer in a vitals-deployment-1 file")]
    Deployment(#[from] serde_json::Error),
    /// An address in it is malformed.
    #[error("expected an address of 20 bytes in hex as {what}")]
    Address {
        /// Which field.
        what: &'static str,
    },
    /// The registrar's key hash is malformed.
    #[error("expected a field element as registrar")]
    Registrar(#[from] WordError),
}

impl Identity {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` of a folder.
    ///
    /// # Errors
    /// [`IdentityError`] that names the file or what it lacks; a key or folder that others may open
    /// is refused with [`files::TooOpen`] as its cause.
    pub fn load(folder: &Path) -> Result<Identity, IdentityError> {
        let file = |name: &str| read(&folder.join(name));
        let key = folder.join("key.pem");
        // The folder as well: who may list it learns whose identities lie there, and who may write
        // it could put another authority beside the key.
        let open = |source| IdentityError::File { path: key.clone(), source };
        files::check_folder(folder).map_err(open)?;
        let (ca, cert) = (file("ca.pem")?, file("cert.pem")?);
        files::check_secret(&key).map_err(open)?;
        let identity = Identity::from_pem(&ca, &cert, &Zeroizing::new(read(&key)?))?;
        // By the machine's clock, as the handshake will: which says of an ended certificate only
        // that the peer went away.
        identity.check_valid(SystemClock.now())?;
        Ok(identity)
    }

    /// From the contents of the three files.
    ///
    /// # Errors
    /// [`IdentityError`] that says what is missing.
    pub fn from_pem(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let mut roots = RootCertStore::empty();
        for authority in read_certificates("a certificate authority", ca)? {
            roots.add(authority)?;
        }
        let certificates = read_certificates("a certificate", cert)?;
        let wrong = |source| IdentityError::Pem { what: "a private key", source };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(wrong)?;
        let own = certificates.first().ok_or(IdentityError::Subject)?;
        // The node decides by its own look at them; here they say whom receipts have to name.
        let (role, name) = subject::role_and_name(own).ok_or(IdentityError::Subject)?;
        let valid = subject::validity(own).ok_or(IdentityError::Subject)?;
        Ok(Identity { certificates, key, roots, role, name, valid })
    }

    /// When its certificate is good.
    pub fn valid(&self) -> Interval {
        self.valid
    }

    /// Refuses a certificate that is not good at `now`.
    ///
    /// # Errors
    /// [`IdentityError::Ended`] or [`IdentityError::NotYet`].
    pub fn check_valid(&self, now: Millis) -> Result<(), IdentityError> {
        let Interval { from, until } = self.valid;
        if until <= now {
            return Err(IdentityError::Ended { at: Utc(until) });
        }
        if now < from {
            return Err(IdentityError::NotYet { from: Utc(from), now: Utc(now) });
        }
        Ok(())
    }

    /// What the certificate says its owner is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The certificate's common name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom this client's receipts are for.
    pub fn holder(&self) -> Holder {
        Holder::new(self.role, &self.name)
    }

    pub(crate) fn tls_parts(&self) -> TlsParts {
        TlsParts {
            certificates: self.certificates.clone(),
            key: self.key.clone_key(),
            roots: self.roots.clone(),
        }
    }
}

impl Clone for Identity {
    fn clone(&self) -> Identity {
        let TlsParts { certificates, key, roots } = self.tls_parts();
        let (role, name, valid) = (self.role, self.name.clone(), self.valid);
        Identity { certificates, key, roots, role, name, valid }
    }
}

/// Hides key and name.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity {{ role: {:?} }}", self.role)
    }
}

#[derive(Deserialize)]
struct DeploymentFile {
    chain_id: u64,
    settlement: String,
    receipt_signer: String,
    registrar: Option<String>,
}

impl Deployment {
    /// Reads `deployment.json` of an identity's folder.
    ///
    /// # Errors
    /// [`IdentityError`] that names the file or the field.
    pub fn load(folder: &Path) -> Result<Deployment, IdentityError> {
        Deployment::from_json(&read(&folder.join("deployment.json"))?)
    }

    /// From a deployment file's content.
    ///
    /// # Errors
    /// [`IdentityError`] that names the field.
    pub fn from_json(json: &[u8]) -> Result<Deployment, IdentityError> {
        let file: DeploymentFile = serde_json::from_slice(json)?;
        let contract = parse_address("settlement", &file.settlement)?.0;
        Ok(Deployment {
            scope: ChainScope { chain_id: file.chain_id, contract },
            receipt_signer: parse_address("receipt_signer", &file.receipt_signer)?,
            registrar: file.registrar.as_deref().map(Word::from_hex).transpose()?,
        })
    }
}

/// An address in hex, with or without `0x`.
pub(crate) fn parse_address(what: &'static str, text: &str) -> Result<Address, IdentityError> {
    let mut bytes = [0; 20];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| IdentityError::Address { what })?;
    Ok(Address(bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    files::read(path, FILE_BYTES_MAX)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

fn read_certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let wrong = |source| IdentityError::Pem { what, source };
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if all.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0x0101010101010101010101010101010101010101";

    #[test]
    fn a_deployment_is_read_from_the_nodes_file_and_other_fields_are_ignored() {
        let json = format!(
            r#"{{"schema":"vitals-deployment-1","chain_id":5,"settlement":"{ADDRESS}",
                "receipt_signer":"{ADDRESS}","block":1}}"#
        );
        let read = Deployment::from_json(json.as_bytes()).unwrap();
        let scope = ChainScope { chain_id: 5, contract: [1; 20] };
        let receipt_signer = Address([1; 20]);
        assert_eq!(read, Deployment { scope, receipt_signer, registrar: None });
    }

    #[test]
    fn a_short_address_and_a_missing_field_are_named() {
        let wrong = |settlement: &str| {
            let json = format!(
                r#"{{"chain_id":5,"settlement":"{settlement}","receipt_signer":"{ADDRESS}"}}"#
            );
            Deployment::from_json(json.as_bytes()).unwrap_err().to_string()
        };
        assert!(wrong("0x01").contains("settlement"));
        assert!(Deployment::from_json(b"{}").is_err());
    }

    #[test]
    fn a_certificate_that_ended_or_has_not_begun_is_refused_with_a_sentence() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "wallet");
        params.distinguished_name.push(rcgen::DnType::CommonName, "anna");
        params.not_before = rcgen::date_time_ymd(2026, 5, 1);
        params.not_after = rcgen::date_time_ymd(2027, 6, 3);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        let pem = cert.as_bytes();
        let identity = Identity::from_pem(pem, pem, key.serialize_pem().as_bytes()).unwrap();
        let at = |text: &str| model::calendar::parse_time(text, Millis::UNBOUNDED_PAST).unwrap();
        identity.check_valid(at("2027-06-02")).unwrap();
        let ended = identity.check_valid(at("2027-06-04")).unwrap_err().to_string();
        assert!(ended.contains("ended at 2027-06-03") && ended.contains("operator"), "{ended}");
        let early = identity.check_valid(at("2026-04-01")).unwrap_err().to_string();
        assert!(early.contains("begins at 2026-05-01") && early.contains("clock"), "{early}");
    }

    #[test]
    fn text_that_is_no_pem_is_refused_by_what_is_missing() {
        let error = Identity::from_pem(b"", b"", b"").unwrap_err();
        assert_eq!(error.to_string(), "expected a certificate authority in PEM");
    }
}
