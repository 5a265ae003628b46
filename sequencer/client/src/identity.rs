//! Who a client is and whom it expects: a folder with `ca.pem`, `cert.pem`, `key.pem` and
//! `deployment.json`, as the node's operator hands it out.

mod deployment;
mod request;
mod subject;

use deployment::FIRST_SCHEMA;
pub(crate) use deployment::parse_address;
pub use deployment::{Deployment, DeploymentDamage};
pub(crate) use request::{Made, to_pem};
pub use request::{RequestIdentityError, request_identity};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use model::calendar::Utc;
use model::{Clock, FIRST_VERSION, Interval, Millis, SystemClock};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use statement::fingerprint::OTHER_RELEASE;
use thiserror::Error;
use wire::{Holder, Role};
use zeroize::Zeroizing;

/// Largest file of an identity that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Key and certificate that took the place of those that were handed out.
pub(crate) const RENEWED_FILE: &str = "renewed.pem";

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
    /// The key is of another certificate.
    #[error(
        "expected the key of this certificate, found another one: put the certificate beside the \
         key that its request was made with"
    )]
    OtherKey,
    /// Somebody else has to ask for this.
    #[error(
        "expected the identity of {}, found that of {} {name}: take another folder \
         (`sequencer identity issue` makes them)",
        one_of(wanted), role.name()
    )]
    Role {
        /// Who may.
        wanted: &'static [Role],
        /// Who this is.
        role: Role,
        /// And what they are called.
        name: String,
    },
    /// The certificate is good no more.
    #[error(
        "the certificate of this identity ended at {at}: ask the operator for a new one \
         (`sequencer identity issue` with the same id); receipts and spools stay good"
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
    /// Key and certificate of a renewal cannot be used.
    #[error(
        "expected key and certificate of this identity in {path}, found something else: remove it, \
         and those of before are shown; the operator issues others"
    )]
    Renewed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<IdentityError>,
    },
    /// The deployment file is of the first version.
    #[error("the deployment file {path} has schema {FIRST_SCHEMA}: {FIRST_VERSION}")]
    FirstVersion {
        /// Which file.
        path: PathBuf,
    },
    /// The deployment file is of another release: whole, and of no use here.
    #[error("the deployment file {path} is of another release: {OTHER_RELEASE}")]
    OtherRelease {
        /// Which file.
        path: PathBuf,
        /// What this release does not know.
        source: DeploymentDamage,
    },
    /// The deployment file is there, and is not what was written.
    #[error(
        "the deployment file {path} is damaged; the contract is what it was: take the file again \
         from whoever gave it to you"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: DeploymentDamage,
    },
}

impl Identity {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` of a folder, for a certificate that is good now.
    ///
    /// # Errors
    /// As [`Identity::read`], and [`Identity::check_valid`].
    pub fn load(folder: &Path) -> Result<Identity, IdentityError> {
        let identity = Identity::read(folder)?;
        // By the machine's clock, as the handshake will: which says of an ended certificate only
        // that the peer went away.
        identity.check_valid(SystemClock.now())?;
        Ok(identity)
    }

    /// Reads the same, whether or not the certificate is good now. Where it was renewed, key and
    /// certificate of that are taken (`renewed.pem`), unless those of the folder are later.
    ///
    /// # Errors
    /// [`IdentityError`] that names the file or what it lacks; a key or folder that others may open
    /// is refused with [`files::TooOpen`] as its cause.
    pub fn read(folder: &Path) -> Result<Identity, IdentityError> {
        let file = |name: &str| read(&folder.join(name), Audience::Public);
        let key = folder.join("key.pem");
        // The folder as well: who may list it learns whose identities lie there, and who may write
        // it could put another authority beside the key.
        let open = |source| IdentityError::File { path: key.clone(), source };
        files::check_folder(folder).map_err(open)?;
        let (ca, cert) = (file("ca.pem")?, file("cert.pem")?);
        files::check_secret(&key).map_err(open)?;
        // Once more of what is opened: the name could be another file's by then.
        let key = Zeroizing::new(read(&key, Audience::Owner)?);
        let own = Identity::from_pem(&ca, &cert, &key)?;
        let renewed = read_renewed(folder, &ca)?;
        let is_own = |renewed: &Identity| renewed.holder() == own.holder();
        Ok(match renewed.filter(is_own) {
            // Of one second, it was made of the other.
            Some(renewed) if !own.is_later_than(&renewed) => renewed,
            _ => own,
        })
    }

    /// Whether its certificate was issued after that of another one.
    pub(crate) fn is_later_than(&self, other: &Identity) -> bool {
        let issued = |one: &Identity| (one.valid.from, one.valid.until);
        issued(self) > issued(other)
    }

    /// From when on its certificate is to be renewed: the half of its life, so that as much again
    /// is left for an operator who comes late.
    pub fn renew_from(&self) -> Millis {
        let Interval { from, until } = self.valid;
        from.plus(until.since(from) / 2)
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
        check_key(&certificates, &key)?;
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

    /// Refuses an identity that never gets what is asked for, before anything is sent.
    ///
    /// # Errors
    /// [`IdentityError::Role`].
    pub fn check_role(&self, wanted: &'static [Role]) -> Result<(), IdentityError> {
        if wanted.contains(&self.role) {
            return Ok(());
        }
        Err(IdentityError::Role { wanted, role: self.role, name: self.name.clone() })
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

    /// SHA-256 of its certificate in DER: what the node's registry knows it by.
    pub fn fingerprint(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.certificate());
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> &[u8] {
        self.certificates.first().map_or(&[], |own| own.as_ref())
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

impl Deployment {
    /// Reads `deployment.json` of an identity's folder.
    ///
    /// # Errors
    /// [`IdentityError`] that names the file or the field.
    pub fn load(folder: &Path) -> Result<Deployment, IdentityError> {
        let path = folder.join("deployment.json");
        match Deployment::from_json(&read(&path, Audience::Public)?) {
            Ok(deployment) => Ok(deployment),
            Err(DeploymentDamage::Schema { found }) if found == FIRST_SCHEMA => {
                Err(IdentityError::FirstVersion { path })
            }
            Err(source @ DeploymentDamage::Shape { .. }) => {
                Err(IdentityError::OtherRelease { path, source })
            }
            Err(source) => Err(IdentityError::Damaged { path, source }),
        }
    }
}

/// The certificate is of this key. What TLS cannot tell is left to the handshake.
fn check_key(
    certificates: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), IdentityError> {
    let Ok(key) = rustls::crypto::aws_lc_rs::sign::any_supported_type(key) else { return Ok(()) };
    match CertifiedKey::new(certificates.to_vec(), key).keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(IdentityError::OtherKey)
        }
        _ => Ok(()),
    }
}

/// The identity of a folder that was renewed, if it ever was.
fn read_renewed(folder: &Path, ca: &[u8]) -> Result<Option<Identity>, IdentityError> {
    let path = folder.join(RENEWED_FILE);
    let text = match read_secret(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::File { path, source }),
    };
    let renewed = Identity::from_pem(ca, text.as_bytes(), text.as_bytes());
    renewed.map(Some).map_err(|source| IdentityError::Renewed { path, source: source.into() })
}

pub(crate) fn read_secret(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(files::read(path, FILE_BYTES_MAX, Audience::Owner)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Roles, as the begin of "of one".
fn one_of(roles: &[Role]) -> String {
    let words = |role: &Role| match role {
        Role::Operator => "an operator".to_owned(),
        role => format!("a {}", role.name()),
    };
    roles.iter().map(words).collect::<Vec<_>>().join(" or ")
}

pub(crate) fn read(path: &Path, audience: Audience) -> Result<Vec<u8>, IdentityError> {
    files::read(path, FILE_BYTES_MAX, audience)
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
    use model::{ChainScope, Word};
    use statement::fingerprint::{DeploymentFacts, KeyFact};
    use wire::Address;

    use super::deployment::SCHEMA;
    use super::*;

    fn json(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let facts = DeploymentFacts {
            scope: ChainScope { chain_id: 5, contract: [1; 20] },
            runtime_hash: [2; 32],
            keys: vec![KeyFact::of_shape("c2-17", 2, [3; 32]).unwrap()],
            receipt_signer: [4; 20],
            registrar: Word::from_u64(5),
            sequencer: [6; 20],
            genesis_time: Millis::new(7).unwrap(),
        };
        let mut file = serde_json::json!({
            "schema": SCHEMA, "chain_id": 5, "settlement": hex::encode([1; 20]), "block": 1,
            "runtime_hash": hex::encode([2; 32]), "genesis_time": 7,
            "registrar": Word::from_u64(5).to_hex(), "sequencer": hex::encode([6; 20]),
            "receipt_signer": hex::encode([4; 20]),
            "keys": [{ "shape": "c2-17", "circuit": 2, "id": hex::encode([3; 32]) }],
            "fingerprint": facts.fingerprint().to_string(),
        });
        change(&mut file);
        file.to_string().into_bytes()
    }

    #[test]
    fn a_deployment_is_read_from_the_nodes_file_and_other_fields_are_ignored() {
        let read = Deployment::from_json(&json(|_| ())).unwrap();
        assert_eq!(read.scope, ChainScope { chain_id: 5, contract: [1; 20] });
        assert_eq!((read.receipt_signer, read.registrar), (Address([4; 20]), Word::from_u64(5)));
    }

    #[test]
    fn every_damage_is_named_and_none_goes_unnoticed() {
        type Change = fn(&mut serde_json::Value);
        let changes: [(&str, Change); 10] = [
            // Another shape would let a patient look for tags where none are.
            ("fingerprint", |file| file["keys"][0]["shape"] = "c2-test".into()),
            ("shape", |file| file["keys"][0]["shape"] = "c2-huge".into()),
            ("settlement", |file| file["settlement"] = "0x01".into()),
            ("sequencer", |file| file["sequencer"] = "x".into()),
            ("registrar", |file| file["registrar"] = "f".repeat(64).into()),
            ("44 bits", |file| file["genesis_time"] = (1_u64 << 44).into()),
            ("fingerprint", |file| file["receipt_signer"] = hex::encode([9; 20]).into()),
            ("fingerprint", |file| file["fingerprint"] = "12".into()),
            ("schema", |file| file["schema"] = "\u{1b}[2J".into()),
            ("JSON", |file| *file = 7.into()),
        ];
        for (named, change) in changes {
            let error = Deployment::from_json(&json(change)).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains('\u{1b}'), "{error}");
        }
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
        let at =
            |day: &str| model::calendar::parse_instant(&format!("{day}T00:00Z")).unwrap().millis();
        identity.check_valid(at("2027-06-02")).unwrap();
        let ended = identity.check_valid(at("2027-06-04")).unwrap_err().to_string();
        assert!(ended.contains("ended at 2027-06-03") && ended.contains("operator"), "{ended}");
        let early = identity.check_valid(at("2026-04-01")).unwrap_err().to_string();
        assert!(early.contains("begins at 2026-05-01") && early.contains("clock"), "{early}");
    }

    #[test]
    fn a_key_of_another_certificate_and_a_role_that_may_not_are_refused_with_a_sentence() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "gateway");
        params.distinguished_name.push(rcgen::DnType::CommonName, "gw-01");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let [key, other] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
        let cert = params.self_signed(&key).unwrap().pem();
        let read = |key: &rcgen::KeyPair| {
            Identity::from_pem(cert.as_bytes(), cert.as_bytes(), key.serialize_pem().as_bytes())
        };
        let mixed = read(&other).unwrap_err();
        assert!(matches!(mixed, IdentityError::OtherKey), "{mixed}");
        let gateway = read(&key).unwrap();
        gateway.check_role(&[Role::Gateway]).unwrap();
        let refused = gateway.check_role(&[Role::Wallet, Role::Operator]).unwrap_err().to_string();
        assert!(refused.starts_with("expected the identity of a wallet or an operator"));
        assert!(refused.contains("found that of gateway gw-01"), "{refused}");
    }

    #[test]
    fn a_damaged_file_and_one_of_the_first_version_are_told_apart_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deployment.json");
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            model::with_causes(&Deployment::load(folder.path()).unwrap_err())
        };
        let damaged = load(&json(|_| ())[..40]);
        assert!(damaged.contains("deployment.json is damaged"), "{damaged}");
        let first = load(&json(|file| file["schema"] = FIRST_SCHEMA.into()));
        assert!(first.contains(FIRST_VERSION) && first.contains("deployment.json"), "{first}");
        // Nothing is wrong with it, so that no copy of it would help.
        let other = load(&json(|file| file["keys"][0]["shape"] = "c2-huge".into()));
        assert!(other.contains(OTHER_RELEASE) && other.contains("found c2-huge"), "{other}");
        assert!(!other.contains("damaged"), "{other}");
    }

    #[test]
    fn text_that_is_no_pem_is_refused_by_what_is_missing() {
        let error = Identity::from_pem(b"", b"", b"").unwrap_err();
        assert_eq!(error.to_string(), "expected a certificate authority in PEM");
    }
}
