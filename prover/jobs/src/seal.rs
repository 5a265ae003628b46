//! The seal around a job: HPKE (RFC 9180), base mode, one message for each encapsulation.
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Nobody proves with it
//! who sent a job: whoever has the workers' public key can make them work, and gets nothing but a
//! proof of what it knew already.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use files::Audience;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::codec::{DecodeError, Reader};
use crate::job::{COLUMNS_MAX, HEAD_BYTES_MAX, VALUE};

const MAGIC: &[u8; 8] = b"VTLBJOB\x01";
const INFO: &[u8] = b"vitals prover job v1";
/// What stands before the sealed bytes: magic, the key's short name, the encapsulated secret.
const CLEAR_BYTES: usize = 8 + 8 + 32;
const TAG_BYTES: usize = 16;

/// Most bytes of a sealed job, 64 MiB and a little.
pub const SEALED_BYTES_MAX: usize = CLEAR_BYTES + HEAD_BYTES_MAX + VALUE * COLUMNS_MAX + TAG_BYTES;

/// Largest file of a secret that is read: 64 digits and what an editor may have added.
const FILE_BYTES_MAX: u64 = 128;

fn suite() -> &'static dyn Hpke {
    DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305
}

/// To which jobs are sealed: an X25519 public key, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WorkersKey([u8; 32]);

/// What opens jobs: the secret of the workers of one node, the same on all of their machines.
/// Zeroised when dropped.
pub struct WorkersSecret {
    secret: HpkePrivateKey,
    public: WorkersKey,
}

/// Why there is no sealed job, or no key.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// With this key everybody would know the shared secret.
    #[error("expected an X25519 public key of the workers, found one to which nothing is sealed")]
    Key,
    /// The text is no key.
    #[error("expected the workers' key as 64 hexadecimal digits (see `prover worker key`)")]
    Hex,
    /// The file of the secret cannot be read or made.
    #[error("the workers' secret {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content of the file is no secret.
    #[error("expected 64 hexadecimal digits in {}, found something else", path.display())]
    Format {
        /// Which.
        path: PathBuf,
    },
}

/// Why a sealed job is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no sealed job.
    #[error("no sealed job")]
    Frame(#[from] DecodeError),
    /// Sealed to another key.
    #[error("expected a job sealed to the key {expected}.., found one to {found}..")]
    OtherKey {
        /// Short name of the key here.
        expected: String,
        /// Short name of the key that it is sealed to.
        found: String,
    },
    /// Changed on its way, or not made by [`WorkersKey::seal`].
    #[error("the seal does not open: the job was changed on its way")]
    Broken,
}

impl WorkersKey {
    /// 16 hexadecimal digits of a hash of the key: the name of its queue.
    pub fn short_name(&self) -> String {
        hex::encode(self.short())
    }

    fn short(&self) -> [u8; 8] {
        let name = blake3::derive_key("vitals workers key v1", &self.0);
        *name.first_chunk().expect("a hash has 32 bytes")
    }

    /// Seals what [`encode`](crate::encode) wrote.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn seal(&self, job: &[u8]) -> Result<Vec<u8>, SealError> {
        let clear = [MAGIC.as_slice(), &self.short()].concat();
        let key = HpkePublicKey(self.0.to_vec());
        let sealed = suite().seal(INFO, &clear, job, &key);
        let (encapsulated, ciphertext) = sealed.map_err(|_| SealError::Key)?;
        Ok([clear, encapsulated.0, ciphertext].concat())
    }
}

impl WorkersSecret {
    /// A new one.
    ///
    /// # Panics
    /// If the operating system gives no randomness.
    pub fn draw() -> WorkersSecret {
        let (_, secret) = suite().generate_key_pair().expect("the system gives randomness");
        Self::from_bytes(secret.secret_bytes()).expect("the library's own key has 32 bytes")
    }

    fn from_bytes(bytes: &[u8]) -> Option<WorkersSecret> {
        let key = PrivateKey::from_private_key(&X25519, bytes).ok()?;
        let public = key.compute_public_key().ok()?;
        let public = WorkersKey(public.as_ref().try_into().ok()?);
        Some(WorkersSecret { secret: HpkePrivateKey::from(bytes.to_vec()), public })
    }

    /// Draws one and writes it to a new file, for its owner alone.
    ///
    /// # Errors
    /// [`SealError::File`], also if the file is there: whoever seals to it could not be read again.
    pub fn create(path: &Path) -> Result<WorkersSecret, SealError> {
        let drawn = Self::draw();
        // At its whole length from the start: what a growing one leaves behind is not zeroised.
        let digits = Zeroizing::new(hex::encode(drawn.secret.secret_bytes()));
        let mut text = Zeroizing::new(String::with_capacity(digits.len() + 1));
        text.push_str(&digits);
        text.push('\n');
        files::create(path, text.as_bytes(), Audience::Owner)
            .map_err(|source| SealError::File { path: path.into(), source })?;
        Ok(drawn)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`SealError`]; a file that others may open is refused.
    pub fn read(path: &Path) -> Result<WorkersSecret, SealError> {
        let read = files::read(path, FILE_BYTES_MAX, Audience::Owner);
        // The digits are as secret as the bytes.
        let text =
            Zeroizing::new(read.map_err(|source| SealError::File { path: path.into(), source })?);
        let mut bytes = Zeroizing::new([0; 32]);
        // The cause is left out: it would quote a digit of the secret.
        let decoded = hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice()).ok();
        decoded
            .and_then(|()| Self::from_bytes(bytes.as_slice()))
            .ok_or_else(|| SealError::Format { path: path.into() })
    }

    /// To which a node seals.
    pub fn public(&self) -> WorkersKey {
        self.public
    }

    /// Opens a sealed job.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut reader = Reader::new(sealed);
        reader.magic("sealed job", MAGIC)?;
        let (found, expected) = (reader.array("name of the key")?, self.public.short());
        if found != expected {
            let [expected, found] = [expected, found].map(hex::encode);
            return Err(OpenError::OtherKey { expected, found });
        }
        let encapsulated = EncapsulatedSecret(reader.take("encapsulated secret", 32)?.to_vec());
        // What authenticates it is the seal itself, which covers the two fields above as well.
        let (clear, ciphertext) = (&sealed[..16], &sealed[CLEAR_BYTES..]);
        suite()
            .open(&encapsulated, INFO, clear, ciphertext, &self.secret)
            .map(Zeroizing::new)
            .map_err(|_| OpenError::Broken)
    }
}

impl FromStr for WorkersKey {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SealError::Hex)?;
        let key = WorkersKey(bytes);
        // Sealing fails for a key of low order; better at the start than at the first job.
        key.seal(&[]).map(|_| key)
    }
}

impl fmt::Display for WorkersKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for WorkersKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkersKey({self})")
    }
}

impl fmt::Debug for WorkersSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkersSecret(of {})", self.public)
    }
}
