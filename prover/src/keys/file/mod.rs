//! The key file; its bytes are laid out in `docs/key-file.md`.
//!
//! A proving key is tens of megabytes of points. Checking that each lies in its subgroup takes far
//! longer than proving, so a file is checked in full once and known by its hash from then on
//! ([`Trust`]). The hash inside the file only finds damage: whoever can change the file can change
//! it too. Only a hash kept elsewhere, or just computed while writing, replaces the checks.

mod body;
mod disk;
mod error;
mod header;
mod points;

use std::fs;
use std::path::Path;

use super::key::ProvingKey;
use body::Body;

pub(super) use disk::write_whole;
pub use error::KeyFileError;
pub use header::KeyHeader;

/// What a reader knows about a key file before it reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: every point is checked to be on its curve and in its subgroup.
    Nothing,
    /// The file's hash, from a place as trusted as this program: after the hash was compared the
    /// points are taken as they are.
    Pinned([u8; 32]),
}

impl ProvingKey {
    /// Writes the key to `path` and returns the file's hash. The file appears whole or not at all.
    /// Takes as much memory again as the key.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn write(&self, path: &Path) -> Result<[u8; 32], KeyFileError> {
        let mut header = KeyHeader::of(self);
        let body = body::encode(self);
        header.file_hash = file_hash(&header.encode(), &body);
        write_whole(path, &[&header.encode(), &body])?;
        Ok(header.file_hash)
    }

    /// Reads the key of the circuit `circuit_hash` from `path`. About 0.1 s for 2^17 constraints
    /// when the file is pinned, tens of seconds when it is not.
    ///
    /// # Errors
    /// [`KeyFileError`] for any difference from a file that [`ProvingKey::write`] wrote for this
    /// circuit, and for a pin that is not the file's hash.
    pub fn read(path: &Path, circuit_hash: &[u8; 32], trust: Trust) -> Result<Self, KeyFileError> {
        let bytes = fs::read(path).map_err(|source| KeyFileError::io(path, source))?;
        Self::decode(&bytes, circuit_hash, trust)
    }

    fn decode(bytes: &[u8], circuit_hash: &[u8; 32], trust: Trust) -> Result<Self, KeyFileError> {
        let short = KeyFileError::Length { expected: KeyHeader::BYTES, found: bytes.len() };
        let (start, body) = bytes.split_first_chunk::<{ KeyHeader::BYTES }>().ok_or(short)?;
        let header = KeyHeader::decode(start)?;
        // Before the costly checks: a good key of another circuit is the likeliest mistake.
        if header.circuit_hash != *circuit_hash {
            let (expected, found) = (*circuit_hash, header.circuit_hash);
            return Err(KeyFileError::Circuit { expected, found });
        }
        let expected = header.file_bytes().ok_or(KeyFileError::TooLarge)?;
        // Compared before anything is allocated: the counts are a stranger's.
        if bytes.len() != expected {
            return Err(KeyFileError::Length { expected, found: bytes.len() });
        }
        // The header's hash first: damage and a file that is not the pinned one are two findings.
        let found = file_hash(start, body);
        for expected in [Some(header.file_hash), trust.pin()].into_iter().flatten() {
            if expected != found {
                return Err(KeyFileError::Hash { expected, found });
            }
        }
        let key = Body { rest: body, checked: trust == Trust::Nothing }.key(&header)?;
        // A pin stands for the points alone; what is cheap is asked of a pinned key too.
        key.lint()?;
        if key.vk.id() != header.key_id {
            return Err(KeyFileError::KeyId { expected: header.key_id, found: key.vk.id() });
        }
        Ok(key)
    }
}

impl Trust {
    fn pin(self) -> Option<[u8; 32]> {
        match self {
            Self::Nothing => None,
            Self::Pinned(hash) => Some(hash),
        }
    }
}

fn file_hash(header: &[u8; KeyHeader::BYTES], body: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(&header[..160]).update(body).finalize().as_bytes()
}
