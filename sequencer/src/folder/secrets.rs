//! The node's own secrets: 32 random bytes a file, readable by the owner only.
//!
//! Threat note: whoever reads `settlement.key` can settle batches whose proofs hold, and so, under
//! development proving keys, which let anybody forge, whatever they like; `receipt.key` can sign
//! receipts; `edge.key` can link the chunks of a batch. None of them stands in a log, an error or
//! `Debug`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// 32 secret bytes, zeroised when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// A secret that cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file system refuses.
    #[error("the secret file {path} is not accessible")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("expected {path} to be readable by its owner only (mode 0600), found mode {mode:04o}")]
    Permissions {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The content is no secret.
    #[error("expected 64 hex digits in {path}, found something else")]
    Format {
        /// Which.
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Entropy(#[from] getrandom::Error),
}

/// Reads a secret, or draws and writes it if there is none.
///
/// # Errors
/// [`SecretError`]; a file that others may read is refused, never silently fixed.
pub fn open_or_draw(path: &Path) -> Result<Secret, SecretError> {
    if path.exists() {
        return open(path);
    }
    // Drawn from the system, never derived: nothing else that is known of the node tells it.
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice())?;
    write(path, &secret)?;
    Ok(secret)
}

/// Reads a secret.
///
/// # Errors
/// [`SecretError`].
pub fn open(path: &Path) -> Result<Secret, SecretError> {
    let file = |source| SecretError::File { path: path.into(), source };
    // Before the content is read. Mending the mode in silence would hide that others could read it:
    // such a secret is to be replaced, and only the operator can decide that.
    let mode = fs::metadata(path).map_err(file)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Permissions { path: path.into(), mode });
    }
    // The digits are as secret as the bytes.
    let text = Zeroizing::new(fs::read_to_string(path).map_err(file)?);
    let mut secret = Zeroizing::new([0; 32]);
    // The cause is left out: it would quote a character of the secret.
    hex::decode_to_slice(text.trim(), secret.as_mut_slice())
        .map_err(|_| SecretError::Format { path: path.into() })?;
    Ok(secret)
}

/// Writes a secret to a new file.
///
/// # Errors
/// [`SecretError::File`], also if the file is there already.
pub fn write(path: &Path, secret: &Secret) -> Result<(), SecretError> {
    let error = |source| SecretError::File { path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(error)?;
    }
    // With the mode from the start, so that there is no moment in which others may open it; and
    // new, so that no secret in use is ever overwritten.
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(error)?;
    let text = Zeroizing::new(hex::encode(secret.as_slice()) + "\n");
    // Durable before it is used: a key that signed and is lost after a power cut cannot be had
    // again.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_drawn_once_and_then_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/receipt.key");
        let first = open_or_draw(&path).unwrap();
        assert_eq!(*open_or_draw(&path).unwrap(), *first);
        assert!(matches!(write(&path, &first), Err(SecretError::File { .. })));
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.key");
        open_or_draw(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(&path), Err(SecretError::Permissions { mode: 0o644, .. })));
    }

    #[test]
    fn a_malformed_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.key");
        fs::write(&path, "not hex").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(open(&path), Err(SecretError::Format { .. })));
    }
}
