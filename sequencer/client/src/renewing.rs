//! The next key and certificate of an identity, until they take the place of the present ones.
//!
//! ```text
//!   renewal.pem: key, request --node--> renewal.pem: key, request, certificate
//!     --welcomed--> renewed.pem, by one rename
//! ```
//! Each file is replaced as a whole, and holds key and certificate together: no crash leaves a key
//! beside another one's certificate. It also says which certificate is renewed: a key that was made
//! beside one which was replaced since, because somebody may have had a copy of the folder, is not
//! certified. `cert.pem` and `key.pem`, as the operator handed them out, stay
//! what they are; of both pairs the one that was issued last is shown.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use model::Millis;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use wire::RenewalRequest;
use zeroize::Zeroizing;

use crate::identity::{
    Identity, IdentityError, Made, RENEWED_FILE, RequestIdentityError, read, read_secret, to_pem,
};

const PENDING_FILE: &str = "renewal.pem";
/// The line before the key: fingerprint of the certificate that is renewed, hex digits.
const RENEWS: &str = "Renews: ";
const CERTIFICATE: &str = "CERTIFICATE";
const CERTIFICATE_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Why the files of a renewal are of no use.
#[derive(Debug, Error)]
pub enum RenewalFileError {
    /// A file cannot be read or written.
    #[error("expected to read and write {path}, where the next key of this identity is kept")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "expected a private key and a request for its certificate in {path}, found something else: \
         remove it, and another request is made"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// No key can be made.
    #[error("expected to make a key")]
    Key(#[from] RequestIdentityError),
    /// What the node handed out is not what was asked for.
    #[error(
        "expected a certificate that is good now, not before the present one, and of this role, \
         name and key, found another one: tell the operator"
    )]
    Certificate,
}

/// A request that is under way, with its key, and its certificate once there is one.
pub(crate) struct Pending {
    path: PathBuf,
    /// What is renewed, then in PEM: key, request, and the certificate at the end.
    text: Zeroizing<String>,
    request: RenewalRequest,
    issued: Option<Identity>,
}

impl Pending {
    /// The request that stands in an identity's folder.
    ///
    /// # Errors
    /// [`RenewalFileError`].
    pub(crate) fn read(folder: &Path) -> Result<Option<Pending>, RenewalFileError> {
        let path = folder.join(PENDING_FILE);
        let text = match read_secret(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RenewalFileError::File { path, source }),
        };
        Pending::parse(folder, text).map(Some)
    }

    /// The same for the certificate that is shown, made if there is none: what was made to renew
    /// another one is given up.
    ///
    /// # Errors
    /// [`RenewalFileError`].
    pub(crate) fn read_or_make(
        folder: &Path,
        shown: &Identity,
    ) -> Result<Pending, RenewalFileError> {
        if let Some(pending) = Pending::read(folder)?.filter(|pending| pending.is_for(shown)) {
            return Ok(pending);
        }
        let Made { key, request } = Made::new()?;
        let renews = renews_line(shown);
        let text = Zeroizing::new(format!("{renews}{}{request}", key.as_str()));
        // On disk before anybody is asked: the certificate would else be of a key that is gone. Of
        // two programs that do this at once the later one's stands, and both read it again.
        let pending = Pending::parse(folder, text)?;
        pending.write()?;
        Ok(pending)
    }

    fn parse(folder: &Path, text: Zeroizing<String>) -> Result<Pending, RenewalFileError> {
        let path = folder.join(PENDING_FILE);
        let damaged = || RenewalFileError::Damaged { path: path.clone() };
        let request = CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
        let request = request.ok().and_then(|der| RenewalRequest::new(der.to_vec()).ok());
        let request = request.ok_or_else(damaged)?;
        let mut pending = Pending { path, text, request, issued: None };
        if pending.text.contains(CERTIFICATE_BEGIN) {
            let damaged = |_| RenewalFileError::Damaged { path: pending.path.clone() };
            pending.issued = Some(pending.identity(folder).map_err(damaged)?);
        }
        Ok(pending)
    }

    /// Whether it renews this certificate, or is this very one.
    fn is_for(&self, shown: &Identity) -> bool {
        let is_it = |issued: &Identity| issued.certificate() == shown.certificate();
        self.text.starts_with(&renews_line(shown)) || self.issued.as_ref().is_some_and(is_it)
    }

    /// What is to be certified.
    pub(crate) fn request(&self) -> &RenewalRequest {
        &self.request
    }

    /// The identity with the new certificate, once it is issued.
    pub(crate) fn issued(&self) -> Option<&Identity> {
        self.issued.as_ref()
    }

    /// Takes the certificate in, durably, for an identity that goes on with it.
    ///
    /// # Errors
    /// [`RenewalFileError::Certificate`] for another one's; then nothing changed.
    pub(crate) fn take(
        mut self,
        certificate: &[u8],
        before: &Identity,
        now: Millis,
    ) -> Result<Pending, RenewalFileError> {
        let wrong = |_| RenewalFileError::Certificate;
        let certificate = to_pem(CERTIFICATE, certificate);
        // In one piece: a text that grew would leave a copy of the key in memory.
        self.text = Zeroizing::new([self.without_certificate(), &certificate].concat());
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let issued = self.identity(&folder).map_err(wrong)?;
        issued.check_valid(now).map_err(wrong)?;
        // Whose receipts come must not change, and neither must a node bring an older one back.
        if issued.holder() != before.holder() || before.is_later_than(&issued) {
            return Err(RenewalFileError::Certificate);
        }
        self.issued = Some(issued);
        self.write()?;
        Ok(self)
    }

    /// Forgets a certificate that the node does not know: it is asked for again.
    ///
    /// # Errors
    /// [`RenewalFileError::File`].
    pub(crate) fn ask_again(mut self) -> Result<(), RenewalFileError> {
        self.text = Zeroizing::new(self.without_certificate().to_owned());
        self.write()
    }

    /// The node welcomed it: from now on it is the identity's. What was welcomed is written, and
    /// not what stands in the file by now: another program may have begun the next renewal there.
    ///
    /// # Errors
    /// [`RenewalFileError::File`].
    pub(crate) fn promote(self) -> Result<(), RenewalFileError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let to = folder.join(RENEWED_FILE);
        let written = files::replace(&to, &[self.text.as_bytes()], Audience::Owner);
        written.map_err(|source| RenewalFileError::File { path: to, source })?;
        // A crash before this leaves both, of one certificate, and this is done again.
        let is_same = read_secret(&self.path).is_ok_and(|text| *text == *self.text);
        let removed = if is_same { std::fs::remove_file(&self.path) } else { Ok(()) };
        let synced = match removed {
            // Another program with this identity was first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| files::sync_folder(folder)),
        };
        synced.map_err(|source| RenewalFileError::File { path: self.path.clone(), source })
    }

    fn without_certificate(&self) -> &str {
        self.text.split_once(CERTIFICATE_BEGIN).map_or(self.text.as_str(), |(before, _)| before)
    }

    fn identity(&self, folder: &Path) -> Result<Identity, IdentityError> {
        let ca = read(&folder.join("ca.pem"), Audience::Public)?;
        Identity::from_pem(&ca, self.text.as_bytes(), self.text.as_bytes())
    }

    fn write(&self) -> Result<(), RenewalFileError> {
        let written = files::replace(&self.path, &[self.text.as_bytes()], Audience::Owner);
        written.map_err(|source| RenewalFileError::File { path: self.path.clone(), source })
    }
}

fn renews_line(identity: &Identity) -> String {
    format!("{RENEWS}{}\n", hex::encode(identity.fingerprint()))
}
