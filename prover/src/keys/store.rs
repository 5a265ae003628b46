//! A folder of development keys, one file a circuit, each made once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use files::Audience;

use super::file::{KeyFileError, KeyHeader, Trust, write_whole};
use super::key::ProvingKey;
use super::setup::SetupError;
use circuits::builder::R1cs;

/// Development keys in a folder, by circuit hash. Beside `HASH.dev-insecure.key` stands its pin,
/// `HASH.dev-insecure.key.blake3`, written after the key was made here or checked in full; it is
/// what lets later starts skip the checks, so the folder must be as trusted as the program.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

impl KeyStore {
    /// A store in `folder`, which is made when a key is.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the key of a circuit stands or would stand.
    pub fn path(&self, circuit_hash: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.dev-insecure.key", hex::encode(circuit_hash)))
    }

    /// The development key of a circuit: read if it is there, made and kept if not. Of several
    /// processes that ask at once one makes it and the others wait for it.
    ///
    /// # Errors
    /// [`StoreError`]. A file that is there and not right is an error, never overwritten: it is
    /// either damage or somebody else's, and both deserve a look.
    pub fn open_or_make(&self, r1cs: &R1cs) -> Result<ProvingKey, StoreError> {
        let hash = r1cs.hash();
        let path = self.path(&hash);
        files::make_folder(&self.folder, Audience::Public)
            .map_err(|source| KeyFileError::io(&path, source))?;
        // Held until it is dropped; the operating system frees it if the process dies.
        let _lock = lock(&beside(&path, ".lock"))?;
        // Looked for only under the lock: another process may have been writing it.
        if path.exists() {
            return open(&path, &hash);
        }
        let key = ProvingKey::dev_insecure(r1cs)?;
        // The key first, then its pin: a crash in between costs one full check and no trust.
        pin(&path, &key.write(&path)?)?;
        Ok(key)
    }
}

/// Why a store has no key for a circuit.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is refused or cannot be written.
    #[error("the stored key cannot be used")]
    File(#[from] KeyFileError),
    /// The key cannot be made.
    #[error("the key cannot be made")]
    Setup(#[from] SetupError),
    /// The pin is not 32 bytes in hexadecimal.
    #[error("expected 64 hexadecimal digits in {}", path.display())]
    Pin {
        /// The pin's file.
        path: PathBuf,
    },
}

fn open(path: &Path, circuit_hash: &[u8; 32]) -> Result<ProvingKey, StoreError> {
    let pinned = beside(path, ".blake3");
    match fs::read_to_string(&pinned) {
        Ok(text) => {
            let mut hash = [0; 32];
            let bad = |_| StoreError::Pin { path: pinned.clone() };
            hex::decode_to_slice(text.trim_end(), &mut hash).map_err(bad)?;
            Ok(ProvingKey::read(path, circuit_hash, Trust::Pinned(hash))?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Every point was checked, so next time the hash may stand for the checks.
            let key = ProvingKey::read(path, circuit_hash, Trust::Nothing)?;
            // The header's own hash will do: the read above has just compared it with the bytes.
            pin(path, &KeyHeader::read(path)?.file_hash)?;
            Ok(key)
        }
        Err(source) => Err(KeyFileError::io(&pinned, source).into()),
    }
}

fn pin(path: &Path, hash: &[u8; 32]) -> Result<(), KeyFileError> {
    write_whole(&beside(path, ".blake3"), &[hex::encode(hash).as_bytes(), b"\n"])
}

fn lock(path: &Path) -> Result<File, KeyFileError> {
    // The file stays afterwards: were it removed, whoever waits would lock the old one and the next
    // a new one.
    files::open(path, Audience::Public)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| KeyFileError::io(path, source))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
