//! The operator's certificate authority, for development and small sites: who may connect.
//!
//! ```text
//!   authority/ca.pem, ca-key.pem (0600) --issue--> identity/{ca,cert,key}.pem, deployment.json
//! ```
//!
//! A certificate says a role (organizational unit) and an id (common name), and must be registered
//! by fingerprint, so that a certificate alone opens nothing. Threat note: who reads `ca-key.pem`
//! can make certificates of any role, but none that is registered, no signature of a patient or
//! practitioner, and no proof. Keys stand in no error and in no `Debug`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::Audience;
use l1_contracts::{Damage, Deployment, KeyRecord};
use model::calendar::Utc;
use model::{IdError, Interval, Millis, OrganisationId};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use statement::fingerprint::DeploymentFacts;
use thiserror::Error;
use wire::Role;
use zeroize::Zeroizing;

use super::request::CertificateRequest;

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca-key.pem";
const CERTIFICATE_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";
const DEPLOYMENT_FILE: &str = "deployment.json";
/// Largest certificate or key file that is read, bytes.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate or key that cannot be made, read or written.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The file system refuses.
    #[error("the file {path} is not accessible")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The library makes no certificate of this.
    #[error("the certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// A file holds no certificate or key.
    #[error(
        "expected {what} in PEM in {path}, found something else: put the copy back, or make a new \
         one as docs/keys.md says"
    )]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// It is good no more.
    #[error("the certificate {path} ended at {at}: {remedy}")]
    Ended {
        /// Which.
        path: PathBuf,
        /// When.
        at: Utc,
        /// What to do.
        remedy: &'static str,
    },
    /// The id is no name.
    #[error("the id cannot be a common name")]
    Id(#[from] IdError),
    /// No randomness for a serial number.
    #[error("the operating system gives no randomness")]
    Entropy(#[from] getrandom::Error),
}

/// Issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// Prints no key.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(..)")
    }
}

/// A certificate as it was issued, with its key if that was made here.
pub struct Issued {
    ca: String,
    certificate: String,
    /// None where the holder made it and keeps it.
    key: Option<Zeroizing<String>>,
    fingerprint: [u8; 32],
    der: CertificateDer<'static>,
}

/// Prints the begin of the fingerprint, no key.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({})", hex::encode(&self.fingerprint[..4]))
    }
}

/// A certificate with its key and the authority that issued it, each in PEM.
#[cfg(test)]
pub(crate) struct Pem<'a> {
    pub(crate) ca: &'a str,
    pub(crate) certificate: &'a str,
    pub(crate) key: &'a str,
}

/// What a client is told beside its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientDeployment {
    /// What the deployment fixes: its fingerprint follows, and every client computes it again.
    pub facts: DeploymentFacts,
    /// The verifying keys with their shapes: they say how long the lists of a batch are.
    pub keys: Vec<KeyRecord>,
    /// Host and port of the node.
    pub address: String,
    /// Name in the node's certificate.
    pub server_name: String,
}

impl ClientDeployment {
    /// What clients of a node are told whose certificate has these names.
    ///
    /// # Errors
    /// [`Damage`] if a field of the deployment is malformed; never of one that was read.
    pub fn of_node(
        deployment: &Deployment,
        ingest: SocketAddr,
        server_names: &[String],
    ) -> Result<ClientDeployment, Damage> {
        Ok(ClientDeployment {
            facts: deployment.facts()?,
            keys: deployment.keys.clone(),
            address: ingest.to_string(),
            // The first of the certificate's names, whatever the address: a client checks it.
            server_name: server_names.first().map_or("localhost", String::as_str).into(),
        })
    }

    /// The file that clients read.
    pub fn to_json(&self) -> String {
        let DeploymentFacts { scope, registrar, genesis_time, .. } = &self.facts;
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let file = serde_json::json!({
            "schema": Deployment::SCHEMA,
            "chain_id": scope.chain_id,
            "settlement": hex(&scope.contract),
            "runtime_hash": hex(&self.facts.runtime_hash),
            "genesis_time": genesis_time.get(),
            "registrar": registrar.to_hex(),
            "sequencer": hex(&self.facts.sequencer),
            "receipt_signer": hex(&self.facts.receipt_signer),
            "keys": self.keys,
            "fingerprint": self.facts.fingerprint().to_string(),
            "address": self.address,
            "server_name": self.server_name,
        });
        format!("{file:#}\n")
    }
}

impl Authority {
    /// Makes a new authority and writes its certificate and key into a folder.
    ///
    /// # Errors
    /// [`AuthorityError`]; [`AuthorityError::File`] also if there is one already.
    pub fn create(folder: &Path, valid: Interval) -> Result<Authority, AuthorityError> {
        let mut params = params("vitals authority", None, valid)?;
        // It signs certificates of clients and node, none of further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        files::make_folder(folder, Audience::Owner).map_err(file(folder))?;
        let text = Zeroizing::new(key.serialize_pem());
        // The key first: a certificate without a key would look like an authority.
        write_new(&folder.join(CA_KEY_FILE), &text)?;
        write_new(&folder.join(CA_FILE), &certificate)?;
        Ok(Authority { issuer: Issuer::new(params, key), certificate })
    }

    /// Reads the authority of a folder.
    ///
    /// # Errors
    /// [`AuthorityError`]; a key that others may read is refused, never silently fixed.
    pub fn load(folder: &Path) -> Result<Authority, AuthorityError> {
        let (path, key_path) = (folder.join(CA_FILE), folder.join(CA_KEY_FILE));
        let certificate = read(&path, Audience::Public)?;
        // The causes are left out: they could quote the key.
        let pem = |what, path| AuthorityError::Pem { what, path };
        let key = KeyPair::from_pem(&read_secret(&key_path)?);
        let key = key.map_err(|_| pem("a private key", key_path))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key);
        let issuer = issuer.map_err(|_| pem("a certificate authority", path))?;
        Ok(Authority { issuer, certificate: certificate.to_string() })
    }

    /// The authority's own certificate in PEM: what both sides trust.
    #[cfg(test)]
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a node that is reached under these names or addresses.
    ///
    /// # Errors
    /// [`AuthorityError::Certificate`].
    pub fn issue_server(
        &self,
        names: &[String],
        valid: Interval,
    ) -> Result<Issued, AuthorityError> {
        let mut params = params("vitals node", None, valid)?;
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        // One purpose each: a stolen client certificate is no server's, and the other way round.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A certificate for a client.
    ///
    /// # Errors
    /// [`AuthorityError`]; [`AuthorityError::Id`] for an id that is no name.
    pub fn issue_client(
        &self,
        role: Role,
        id: &str,
        valid: Interval,
    ) -> Result<Issued, AuthorityError> {
        self.issue(client_params(role, id, valid)?)
    }

    /// A certificate for a client who made the key, and keeps it. Only the public key is taken of
    /// the request: role, id and purposes are those that are given here, whatever it asks for.
    ///
    /// # Errors
    /// As [`Authority::issue_client`].
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        role: Role,
        id: &str,
        valid: Interval,
    ) -> Result<Issued, AuthorityError> {
        self.sign(client_params(role, id, valid)?, request.key())
    }

    fn issue(&self, params: CertificateParams) -> Result<Issued, AuthorityError> {
        // A fresh key for each certificate: revoking one is then revoking one.
        let key = KeyPair::generate()?;
        let issued = self.sign(params, &key)?;
        Ok(Issued { key: Some(Zeroizing::new(key.serialize_pem())), ..issued })
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Issued, AuthorityError> {
        params.is_ca = IsCa::ExplicitNoCa;
        // TLS 1.3 only signs; with nothing else allowed the key is of no other use.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued {
            ca: self.certificate.clone(),
            fingerprint: fingerprint(certificate.der()),
            certificate: certificate.pem(),
            key: None,
            der: certificate.der().clone(),
        })
    }
}

fn client_params(
    role: Role,
    id: &str,
    valid: Interval,
) -> Result<CertificateParams, AuthorityError> {
    // Every kind of id has the rules of this one.
    OrganisationId::new(id)?;
    let mut params = params(id, Some(role), valid)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

impl Issued {
    /// SHA-256 of the certificate in DER: what gateways, practitioners, wallets and operators are
    /// registered with.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The certificate in DER, for who asked for it over a connection.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What a client of this certificate needs, in PEM.
    #[cfg(test)]
    pub(crate) fn pem(&self) -> Pem<'_> {
        Pem { ca: &self.ca, certificate: &self.certificate, key: self.own_key() }
    }

    /// The same certificate, for a client that trusts another authority.
    #[cfg(test)]
    pub(crate) fn trusting(mut self, ca: &str) -> Issued {
        self.ca = ca.to_owned();
        self
    }

    #[cfg(test)]
    fn own_key(&self) -> &str {
        self.key.as_ref().expect("a test asks only for a key that was made here")
    }

    /// Writes `ca.pem`, `cert.pem` and, if it was made here, `key.pem` (0600) into a folder that
    /// has none of them.
    ///
    /// # Errors
    /// [`AuthorityError::File`].
    pub fn write(&self, folder: &Path) -> Result<(), AuthorityError> {
        files::make_folder(folder, Audience::Owner).map_err(file(folder))?;
        // Each file is new: a folder never mixes a key with the certificate of another.
        if let Some(key) = &self.key {
            write_new(&folder.join(KEY_FILE), key)?;
        }
        write_new(&folder.join(CERTIFICATE_FILE), &self.certificate)?;
        write_new(&folder.join(CA_FILE), &self.ca)
    }

    /// The first file of a folder that writing an identity would not replace. The key that a
    /// request was made for may lie there: the certificate belongs beside it.
    pub fn in_the_way(folder: &Path, requested: bool) -> Option<PathBuf> {
        let key = (!requested).then_some(KEY_FILE);
        let files = key.into_iter().chain([CERTIFICATE_FILE, CA_FILE, DEPLOYMENT_FILE]);
        files.map(|name| folder.join(name)).find(|path| path.exists())
    }

    /// Writes the same with `deployment.json`, so that a client needs nothing but the folder.
    ///
    /// # Errors
    /// [`AuthorityError::File`].
    pub fn write_client(
        &self,
        folder: &Path,
        deployment: &ClientDeployment,
    ) -> Result<(), AuthorityError> {
        self.write(folder)?;
        write_new(&folder.join(DEPLOYMENT_FILE), &deployment.to_json())
    }

    /// What a TLS server needs.
    ///
    /// # Errors
    /// [`AuthorityError::Pem`].
    #[cfg(test)]
    pub(crate) fn server_tls(&self) -> Result<ServerTls, AuthorityError> {
        let key = PrivateKeyDer::from_pem_slice(self.own_key().as_bytes());
        let (authorities, own) = (certificates(&self.ca), certificates(&self.certificate));
        Ok(ServerTls {
            authorities: authorities.expect("issued here"),
            certificates: own.expect("issued here"),
            key: key.expect("issued here"),
        })
    }
}

/// Certificate and key of a node, and the authority whose clients it accepts.
pub struct ServerTls {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// The node's own first, then those that lead to an authority.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// Prints no key.
impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls(..)")
    }
}

impl ServerTls {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` of a folder.
    ///
    /// # Errors
    /// [`AuthorityError`]; a key that others may read is refused.
    pub fn load(folder: &Path) -> Result<ServerTls, AuthorityError> {
        let [ca, certificate, key] =
            [CA_FILE, CERTIFICATE_FILE, KEY_FILE].map(|name| folder.join(name));
        let wrong = |what, path: &Path| AuthorityError::Pem { what, path: path.to_owned() };
        // The causes are left out: they could quote the key.
        let secret = PrivateKeyDer::from_pem_slice(read_secret(&key)?.as_bytes())
            .map_err(|_| wrong("a private key", &key))?;
        Ok(ServerTls {
            authorities: certificates(&read(&ca, Audience::Public)?)
                .ok_or_else(|| wrong("a certificate authority", &ca))?,
            certificates: certificates(&read(&certificate, Audience::Public)?)
                .ok_or_else(|| wrong("a certificate", &certificate))?,
            key: secret,
        })
    }
}

/// SHA-256 of a certificate in DER.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    fingerprint_of(certificate)
}

/// The same of its bytes.
pub fn fingerprint_of(der: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn params(
    common_name: &str,
    role: Option<Role>,
    valid: Interval,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    if let Some(role) = role {
        name.push(DnType::OrganizationalUnitName, role.name());
    }
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Millis| epoch + Duration::from_secs(time.unix_ms() / 1000);
    (params.not_before, params.not_after) = (at(valid.from), at(valid.until));
    // 159 random bits: positive, as RFC 5280 asks. Random rather than counted, so that nothing has
    // to be remembered between two certificates.
    let mut serial = [0; 20];
    getrandom::fill(&mut serial)?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// At least one certificate, all of them whole.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    all.ok().filter(|all| !all.is_empty())
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> AuthorityError {
    let path = path.to_owned();
    move |source| AuthorityError::File { path, source }
}

fn read(path: &Path, audience: Audience) -> Result<Zeroizing<String>, AuthorityError> {
    let bytes = Zeroizing::new(files::read(path, FILE_BYTES_MAX, audience).map_err(file(path))?);
    // What is no text is no PEM, and is refused as such by whoever looks for it.
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, AuthorityError> {
    // As for the node's own secrets: what others could read is to be replaced, not mended.
    files::check_secret(path).map_err(file(path))?;
    // Once more of what is opened: the name could be another file's by then.
    read(path, Audience::Owner)
}

fn write_new(path: &Path, text: &str) -> Result<(), AuthorityError> {
    files::create(path, text.as_bytes(), Audience::Owner).map_err(file(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use model::{ChainScope, Word, with_causes};
    use statement::fingerprint::KeyFact;

    use super::*;

    fn valid() -> Interval {
        let at = |seconds: u64| Millis::from_unix_ms(seconds * 1000);
        Interval { from: at(1_700_000_000), until: at(2_000_000_000) }
    }

    #[test]
    fn an_authority_is_created_once_and_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::create(folder.path(), valid()).unwrap();
        let again = Authority::load(folder.path()).unwrap();
        assert_eq!(first.certificate_pem(), again.certificate_pem());
        let second = Authority::create(folder.path(), valid());
        assert!(matches!(second, Err(AuthorityError::File { .. })));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Authority::create(folder.path(), valid()).unwrap();
        let key = folder.path().join(CA_KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Authority::load(folder.path()).unwrap_err();
        let text = with_causes(&error);
        assert!(text.contains("mode 0640") && text.contains("chmod go-rwx"), "{text}");
    }

    #[test]
    fn a_client_folder_holds_everything_and_prints_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("authority"), valid()).unwrap();
        let issued = authority.issue_client(Role::Gateway, "gw-01", valid()).unwrap();
        let deployment = ClientDeployment {
            facts: DeploymentFacts {
                scope: ChainScope { chain_id: 7, contract: [1; 20] },
                runtime_hash: [3; 32],
                keys: vec![KeyFact::of_shape("c1-17", 1, [4; 32]).unwrap()],
                receipt_signer: [2; 20],
                registrar: Word::from_u64(5),
                sequencer: [6; 20],
                genesis_time: Millis::from_unix_ms(7),
            },
            keys: vec![KeyRecord {
                shape: "c1-17".into(),
                circuit: 1,
                id: [4; 32].into(),
                code: [5; 20].into(),
            }],
            address: "127.0.0.1:4433".into(),
            server_name: "localhost".into(),
        };
        let client = folder.path().join("gw-01");
        issued.write_client(&client, &deployment).unwrap();
        let mode = fs::metadata(client.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let tls = ServerTls::load(&client).unwrap();
        assert_eq!(fingerprint(&tls.certificates[0]), issued.fingerprint());
        let json = fs::read_to_string(client.join(DEPLOYMENT_FILE)).unwrap();
        let read = client::Deployment::from_json(json.as_bytes()).unwrap();
        assert_eq!(read.fingerprint, deployment.facts.fingerprint(), "{json}");
        assert_eq!(read.scope, deployment.facts.scope);
        let printed = format!("{authority:?} {issued:?} {tls:?}");
        assert!(!printed.contains("PRIVATE") && printed.len() < 80, "{printed}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path();
        let authority = Authority::create(node, valid()).unwrap();
        authority
            .issue_server(&["localhost".into()], valid())
            .unwrap()
            .write(&node.join("server"))
            .unwrap();
        for name in ["ca.pem", "ca-key.pem", "server/ca.pem", "server/cert.pem", "server/key.pem"] {
            let path = node.join(name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            let found = match name.starts_with("server/") {
                true => ServerTls::load(&node.join("server")).map(drop),
                false => Authority::load(node).map(drop),
            };
            let error = found.unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.contains("put the"), "{error}");
            fs::write(&path, whole).unwrap();
        }
    }

    #[test]
    fn an_id_that_is_no_name_gets_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(folder.path(), valid()).unwrap();
        let error = authority.issue_client(Role::Wallet, "Dr. No", valid()).unwrap_err();
        assert!(matches!(error, AuthorityError::Id(_)));
    }
}
