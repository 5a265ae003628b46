//! To whom backups of keys are sealed: HPKE (RFC 9180), base mode. The node has the public key
//! alone, so that whoever takes its disk and a backup has nothing.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use files::Audience;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::error::KeyBackupError;
use crate::key::line;

const INFO: &[u8] = b"vitals body keys backup v1";
/// What stands before the sealed bytes.
pub(crate) const ENCAPSULATED_BYTES: usize = 32;
/// Largest file of a secret that is read: 64 digits and what an editor may have added.
const FILE_BYTES_MAX: u64 = 128;

fn suite() -> &'static dyn Hpke {
    DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305
}

/// To whom a backup is sealed: an X25519 public key, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecoveryKey([u8; 32]);

/// What opens backups of keys; kept where neither node nor backups are. Zeroised when dropped.
pub struct RecoverySecret {
    secret: HpkePrivateKey,
    public: RecoveryKey,
}

impl RecoveryKey {
    pub(crate) fn seal(&self, clear: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let key = HpkePublicKey(self.0.to_vec());
        let (encapsulated, sealed) = suite().seal(INFO, clear, plain, &key).ok()?;
        Some([encapsulated.0, sealed].concat())
    }
}

impl RecoverySecret {
    fn of_bytes(bytes: &[u8]) -> Option<RecoverySecret> {
        let key = PrivateKey::from_private_key(&X25519, bytes).ok()?;
        let public = key.compute_public_key().ok()?;
        let public = RecoveryKey(public.as_ref().try_into().ok()?);
        Some(RecoverySecret { secret: HpkePrivateKey::from(bytes.to_vec()), public })
    }

    /// Draws one and writes it to a new file, for its owner alone.
    ///
    /// # Errors
    /// [`KeyBackupError`], also if the file is there: what is sealed to that one must open still.
    pub fn create(path: &Path) -> Result<RecoverySecret, KeyBackupError> {
        let (_, secret) = suite().generate_key_pair().map_err(|_| KeyBackupError::Key)?;
        let drawn = Self::of_bytes(secret.secret_bytes()).ok_or(KeyBackupError::Key)?;
        let text = line(drawn.secret.secret_bytes());
        files::create(path, text.as_bytes(), Audience::Owner).map_err(of_file(path))?;
        Ok(drawn)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`KeyBackupError`]; a file that others may open is refused.
    pub fn read(path: &Path) -> Result<RecoverySecret, KeyBackupError> {
        let text = files::read(path, FILE_BYTES_MAX, Audience::Owner).map_err(of_file(path))?;
        // The digits are as secret as the bytes; the cause is left out: it would quote one.
        let text = Zeroizing::new(text);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice())
            .ok()
            .and_then(|()| Self::of_bytes(bytes.as_slice()))
            .ok_or(KeyBackupError::Key)
    }

    /// To whom is sealed.
    pub fn public(&self) -> RecoveryKey {
        self.public
    }

    pub(crate) fn open(&self, clear: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (encapsulated, sealed) = sealed.split_at_checked(ENCAPSULATED_BYTES)?;
        let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
        let opened = suite().open(&encapsulated, INFO, clear, sealed, &self.secret);
        opened.ok().map(Zeroizing::new)
    }
}

fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> KeyBackupError {
    let path = path.display().to_string();
    move |source| KeyBackupError::File { path, source }
}

impl FromStr for RecoveryKey {
    type Err = KeyBackupError;

    fn from_str(text: &str) -> Result<Self, KeyBackupError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyBackupError::Key)?;
        let key = RecoveryKey(bytes);
        // With a key of low order everybody would know the shared secret: nothing is sealed to it.
        key.seal(&[], &[]).map(|_| key).ok_or(KeyBackupError::Key)
    }
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({self})")
    }
}

/// Names the public key alone.
impl fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoverySecret(of {})", self.public)
    }
}
