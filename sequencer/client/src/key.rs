//! Keys of patients, practitioners and registrars, and of readings, as files, readable for their
//! owner alone.
//!
//! ```text
//! vitals-key-1
//! kind: patient
//! secret: 64 hex digits
//! ```
//!
//! A patient's view key and record salt are derived from the secret (blake3 in key-derivation mode,
//! cut to 31 bytes), so one file is enough to keep, and the view key can be handed to an auditor
//! without the right to sign.

use std::fmt;
use std::path::{Path, PathBuf};

use files::Audience;
use model::{Digest, Word};
use statement::eddsa::{PublicKey, SecretKey};
use statement::field;
use thiserror::Error;
use zeroize::Zeroizing;

const VERSION: &str = "vitals-key-1";
const FILE_BYTES_MAX: u64 = 4096;

/// Whose key it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Signs operations of one record.
    Patient,
    /// Signs requests to read.
    Practitioner,
    /// Signs enrolments.
    Registrar,
    /// Signs nothing: encrypts and opens readings.
    Readings,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [KeyKind; 4] =
        [KeyKind::Patient, KeyKind::Practitioner, KeyKind::Registrar, KeyKind::Readings];

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            KeyKind::Patient => "patient",
            KeyKind::Practitioner => "practitioner",
            KeyKind::Registrar => "registrar",
            KeyKind::Readings => "readings",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<KeyKind> {
        KeyKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A secret of 32 bytes and whose it is. Its memory is overwritten when it is dropped.
pub struct Key {
    kind: KeyKind,
    secret: Zeroizing<[u8; 32]>,
}

/// A key file that cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is no key.
    #[error("expected a key file ({VERSION}, kind, secret), found something else")]
    Format,
    /// A key of another kind.
    #[error("expected a key of kind {expected}, found one of kind {found}")]
    Kind {
        /// Kind needed.
        expected: &'static str,
        /// Kind found.
        found: &'static str,
    },
    /// The machine gives no randomness.
    #[error("expected 32 random bytes from the machine")]
    Randomness(#[source] getrandom::Error),
}

impl Key {
    /// A new key from the machine's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate(kind: KeyKind) -> Result<Key, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(KeyError::Randomness)?;
        Ok(Key { kind, secret })
    }

    /// The key with this secret.
    pub fn from_secret(kind: KeyKind, secret: [u8; 32]) -> Key {
        Key { kind, secret: Zeroizing::new(secret) }
    }

    /// Reads a key file of one kind.
    ///
    /// # Errors
    /// [`KeyError`]; a file that others may read, or whose folder they may write, is refused with
    /// [`files::TooOpen`] as its cause.
    pub fn read(path: &Path, expected: KeyKind) -> Result<Key, KeyError> {
        let key = Key::read_any(path)?;
        if key.kind != expected {
            let (expected, found) = (expected.name(), key.kind.name());
            return Err(KeyError::Kind { expected, found });
        }
        Ok(key)
    }

    /// Reads a key file of any kind.
    ///
    /// # Errors
    /// [`KeyError`]; a file that others may read, or whose folder they may write, is refused with
    /// [`files::TooOpen`] as its cause.
    pub fn read_any(path: &Path) -> Result<Key, KeyError> {
        let wrong = |source| KeyError::File { path: path.to_owned(), source };
        // Whoever could read it may have it, and whoever may write its folder could put another in
        // its place: to go on quietly would hide that.
        files::check_secret(path).map_err(wrong)?;
        let text = Zeroizing::new(
            files::read(path, FILE_BYTES_MAX, files::Audience::Owner).map_err(wrong)?,
        );
        std::str::from_utf8(&text).ok().and_then(parse).ok_or(KeyError::Format)
    }

    /// Writes a new key file; an existing one is never overwritten.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let secret = Zeroizing::new(hex::encode(self.secret.as_slice()));
        let (kind, secret) = (self.kind.name(), secret.as_str());
        let text = Zeroizing::new(format!("{VERSION}\nkind: {kind}\nsecret: {secret}\n"));
        let wrong = |source| KeyError::File { path: path.to_owned(), source };
        files::create(path, text.as_bytes(), Audience::Owner).map_err(wrong)
    }

    /// Whose key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What signs.
    pub fn signer(&self) -> SecretKey {
        SecretKey::from_bytes(&self.secret)
    }

    /// What verifies.
    pub fn public(&self) -> PublicKey {
        self.signer().public()
    }

    /// The word by which records name the key.
    pub fn key_hash(&self) -> Word {
        field::to_word(&self.public().hash())
    }

    /// Of a patient: what opens all claims about them, past and to come.
    pub fn view_key(&self) -> Word {
        self.derive("vitals wallet 2026 view key v1")
    }

    /// Of a patient: what blinds the record's leaf.
    pub fn record_salt(&self) -> Word {
        self.derive("vitals wallet 2026 record salt v1")
    }

    /// Of readings: by what two holders see that they have the same key.
    pub fn check_value(&self) -> String {
        let derived = self.derive_secret("vitals body 2026 key check v1");
        hex::encode(&derived[..8])
    }

    /// A secret of another purpose.
    pub(crate) fn derive_secret(&self, context: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, self.secret.as_slice()))
    }

    fn derive(&self, context: &str) -> Word {
        let full = self.derive_secret(context);
        // 31 bytes are below the field's modulus, so every value is a word and none needs a retry.
        let mut cut = [0; 31];
        cut.copy_from_slice(&full[..31]);
        Digest(cut).word()
    }
}

/// Hides the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ kind: {:?} }}", self.kind)
    }
}

fn parse(text: &str) -> Option<Key> {
    let mut lines = text.lines();
    let version = lines.next()?;
    let kind = KeyKind::from_name(lines.next()?.strip_prefix("kind: ")?)?;
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(lines.next()?.strip_prefix("secret: ")?, secret.as_mut_slice()).ok()?;
    // Nothing may follow: a file with two secrets would silently be half a key.
    (version == VERSION && lines.next().is_none()).then_some(Key { kind, secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_is_never_overwritten_or_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna.key");
        let key = Key::from_secret(KeyKind::Patient, [7; 32]);
        key.write(&path).unwrap();
        assert!(matches!(key.write(&path), Err(KeyError::File { .. })));
        let read = Key::read(&path, KeyKind::Patient).unwrap();
        assert_eq!(read.key_hash(), key.key_hash());
        assert_ne!(read.view_key(), read.record_salt());
        assert_eq!(format!("{read:?}"), "Key { kind: Patient }");
        let wrong = Key::read(&path, KeyKind::Registrar).unwrap_err();
        let said = "expected a key of kind registrar, found one of kind patient";
        assert_eq!(wrong.to_string(), said);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Key::generate(KeyKind::Patient).unwrap().write(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let Err(KeyError::File { source, .. }) = Key::read_any(&path) else { panic!("refused") };
        assert!(source.to_string().contains("chmod go-rwx /"), "{source}");
    }

    #[test]
    fn other_text_is_no_key() {
        let secret = "07".repeat(32);
        let good = format!("vitals-key-1\nkind: patient\nsecret: {secret}\n");
        assert!(parse(&good).is_some());
        for bad in [
            good.replace("key-1", "key-2"),
            good.replace("patient", "nurse"),
            good.replace("07", "0"),
            good.clone() + "more\n",
            String::new(),
        ] {
            assert!(parse(&bad).is_none(), "{bad:?}");
        }
    }
}
