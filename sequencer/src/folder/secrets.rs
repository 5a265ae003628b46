//! The node's own secrets: 32 random bytes a file, readable by the owner only.
//!
//! Each is drawn once, by `sequencer init`, for a folder that has neither deployment nor journal.
//! After that something depends on it, so one that is missing is an error that says what, and is
//! never drawn anew: a new key in its place would look like the old one and be nobody's.
//!
//! Threat note: whoever reads `settlement.key` can settle batches whose proofs hold, and so, under
//! development proving keys, which let anybody forge, whatever they like; `receipt.key` can sign
//! receipts; `edge.key` can link the chunks of a batch; `journal.key` opens, together with the
//! journal, every patient's view key. None of them stands in a log, an error or `Debug`.

use std::path::{Path, PathBuf};

use files::Audience;
use thiserror::Error;
use zeroize::Zeroizing;

/// 32 secret bytes, zeroised when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Largest secret file that is read, bytes: 64 digits and what an editor may have added.
const FILE_BYTES_MAX: u64 = 128;

/// A secret that something of the node depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeSecret {
    /// Signs settling transactions.
    Settlement,
    /// Signs receipts.
    Receipt,
    /// Blinds edges between chunks.
    Edge,
    /// Seeds the checksums of the journal.
    JournalId,
    /// Seals enrolments in the journal.
    Journal,
}

impl NodeSecret {
    /// Every one of them.
    pub const ALL: [NodeSecret; 5] = [
        NodeSecret::Settlement,
        NodeSecret::Receipt,
        NodeSecret::Edge,
        NodeSecret::JournalId,
        NodeSecret::Journal,
    ];

    /// Where it stands in the node's folder.
    pub fn file(self) -> &'static str {
        match self {
            NodeSecret::Settlement => "keys/settlement.key",
            NodeSecret::Receipt => "keys/receipt.key",
            NodeSecret::Edge => "keys/edge.key",
            NodeSecret::JournalId => "keys/journal-id.key",
            NodeSecret::Journal => "keys/journal.key",
        }
    }

    /// What depends on it.
    fn depends(self) -> &'static str {
        match self {
            NodeSecret::Settlement => "the contract takes batches from its account alone",
            NodeSecret::Receipt => "clients take receipts of the signer in the deployment alone",
            NodeSecret::Edge => "every batch has blinded with it what joins its chunks",
            NodeSecret::JournalId => "the checksums of the journal are made with it",
            NodeSecret::Journal => "the enrolments in the journal open with it alone",
        }
    }

    /// What to do without it.
    fn remedy(self) -> &'static str {
        match self {
            NodeSecret::Settlement | NodeSecret::Receipt => {
                "put the copy back; without one, this contract can be used no more: deploy anew in \
                 a new folder"
            }
            NodeSecret::Edge => {
                "put the copy back; without one, write 64 random hex digits to it: nothing that is \
                 settled needs the old one"
            }
            NodeSecret::JournalId => {
                "put the copy back; without one, docs/keys.md says where its bytes stand in the \
                 journal"
            }
            NodeSecret::Journal => {
                "put the copy back; without one, no record can be read from this journal: deploy \
                 anew in a new folder and enrol the patients there"
            }
        }
    }
}

/// A secret that cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file system refuses, or others may read the file.
    #[error("the secret file {path} is not accessible")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not there, and is not drawn anew.
    #[error("expected the secret file {path}, found none; {depends}; {remedy}")]
    Missing {
        /// Which.
        path: PathBuf,
        /// What depends on it.
        depends: &'static str,
        /// What to do.
        remedy: &'static str,
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

/// Reads a secret of the node in `folder`.
///
/// # Errors
/// [`SecretError`]; one that others may read is refused, never silently fixed, and one that is
/// missing is never drawn.
pub fn open_of(folder: &Path, secret: NodeSecret) -> Result<Secret, SecretError> {
    let path = folder.join(secret.file());
    match path.try_exists() {
        Ok(true) => open(&path),
        Ok(false) => {
            let (depends, remedy) = (secret.depends(), secret.remedy());
            Err(SecretError::Missing { path, depends, remedy })
        }
        Err(source) => Err(SecretError::File { path, source }),
    }
}

/// Reads a secret, or draws and writes it if there is none: only for what nothing depends on yet,
/// or ever.
///
/// # Errors
/// [`SecretError`]; a file that others may read is refused, never silently fixed.
pub fn open_or_draw(path: &Path) -> Result<Secret, SecretError> {
    if path.try_exists().map_err(|source| SecretError::File { path: path.into(), source })? {
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
    files::check_secret(path).map_err(file)?;
    // The digits are as secret as the bytes.
    let text =
        Zeroizing::new(files::read(path, FILE_BYTES_MAX, files::Audience::Owner).map_err(file)?);
    let mut secret = Zeroizing::new([0; 32]);
    // The cause is left out: it would quote a character of the secret.
    hex::decode_to_slice(text.trim_ascii(), secret.as_mut_slice())
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
        files::make_folder(folder, Audience::Owner).map_err(error)?;
    }
    // At its whole length from the start: what a growing one leaves behind is not zeroised.
    let digits = Zeroizing::new(hex::encode(secret.as_slice()));
    let mut text = Zeroizing::new(String::with_capacity(digits.len() + 1));
    text.push_str(&digits);
    text.push('\n');
    // New, so that no secret in use is ever overwritten; durable before it is used: a key that
    // signed and is lost after a power cut cannot be had again.
    files::create(path, text.as_bytes(), Audience::Owner).map_err(error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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
        let Err(SecretError::File { source, .. }) = open(&path) else { panic!("refused") };
        assert!(source.to_string().contains("mode 0644"), "{source}");
        assert!(source.to_string().contains("chmod go-rwx /"), "{source}");
    }

    #[test]
    fn a_malformed_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.key");
        files::create(&path, b"not hex", Audience::Owner).unwrap();
        assert!(matches!(open(&path), Err(SecretError::Format { .. })));
    }

    #[test]
    fn a_missing_secret_is_named_with_what_depends_on_it_and_never_drawn() {
        let dir = tempfile::tempdir().unwrap();
        for secret in NodeSecret::ALL {
            let error = open_of(dir.path(), secret).unwrap_err().to_string();
            assert!(
                error.contains(secret.file()) && error.contains("put the copy back"),
                "{error}"
            );
            assert!(!dir.path().join(secret.file()).exists());
        }
    }
}
