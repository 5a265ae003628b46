//! Who a client is and whom it expects: a folder with `ca.pem`, `cert.pem`, `key.pem` and
//! `deployment.json`, as the node's operator hands it out.

mod subject;

use std::fmt;
use std::path::{Path, PathBuf};

use model::{ChainScope, Word, WordError};
use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use thiserror::Error;
use wire::{Address, Holder, Role};

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
    /// [`IdentityError`] that names the file or what it lacks.
    pub fn load(folder: &Path) -> Result<Identity, IdentityError> {
        let file = |name: &str| read(&folder.join(name));
        Identity::from_pem(&file("ca.pem")?, &file("cert.pem")?, &file("key.pem")?)
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
        Ok(Identity { certificates, key, roots, role, name })
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
        Identity { certificates, key, roots, role: self.role, name: self.name.clone() }
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
    crate::file::read(path, FILE_BYTES_MAX)
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
    fn text_that_is_no_pem_is_refused_by_what_is_missing() {
        let error = Identity::from_pem(b"", b"", b"").unwrap_err();
        assert_eq!(error.to_string(), "expected a certificate authority in PEM");
    }
}
