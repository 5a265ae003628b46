//! The storage below the log: five calls, so that tests can break each of them.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use files::{Audience, LockedFile};

use crate::record::RECORD_BYTES_MAX;

/// Storage of one file. What is assumed of it stands in `docs/journal.md`.
pub trait Medium: Send + Sync + 'static {
    /// Bytes it holds.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `bytes` from `offset`, or fails.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the medium; durable after the next
    /// [`Self::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything written before is durable.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the medium; durable after the next [`Self::sync`]. Regrown bytes read as zeros. What is
    /// cut may be kept elsewhere: it was never acknowledged, as far as the log can tell by itself.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

/// Why a file could not be opened as a medium.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// Another process writes this log.
    #[error("{path}: locked by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {op} failed")]
    Io {
        /// The file.
        path: PathBuf,
        /// The call that failed.
        op: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
}

/// What would be cut cannot be kept, so nothing is cut.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected to keep {bytes} bytes in {path} before they are cut from the journal's end, {}. \
     Nothing is changed: {}, and start again",
    if self.lacks_space() { "and there is no space for them" } else { "and cannot write there" },
    if self.lacks_space() { "make room in that folder's file system" } else { "let it be written" }
)]
struct Unkept {
    path: PathBuf,
    bytes: usize,
    #[source]
    source: io::Error,
}

impl Unkept {
    fn lacks_space(&self) -> bool {
        // Of the disk, of a quota, of a limit on files.
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

/// A file, locked for this process, synced by `fdatasync`. Holds one descriptor. What is cut from
/// it is kept beside it.
#[derive(Debug)]
pub struct FileMedium {
    file: LockedFile,
    path: PathBuf,
}

impl FileMedium {
    /// Opens or creates the file, locks it, and makes its name durable. It holds what patients are
    /// asked to consent to: others may not open it.
    ///
    /// # Errors
    /// [`MediumError::Locked`] if another process has it open, else what the system said; of a file
    /// that others may open, [`files::TooOpen`].
    pub fn open(path: &Path) -> Result<FileMedium, MediumError> {
        let failed = |op| move |source| MediumError::Io { path: path.to_owned(), op, source };
        let file = files::open_locked(path, Audience::Owner).map_err(failed("open and lock"))?;
        let file = file.ok_or_else(|| MediumError::Locked { path: path.to_owned() })?;
        // Without this a power cut may take the name of a new file together with its synced
        // content.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        files::sync_folder(folder).map_err(failed("sync the folder"))?;
        Ok(FileMedium { file, path: path.to_owned() })
    }

    /// Writes the bytes from `from` on, if they are not all zeros, to a file of their own. Damage
    /// can make an acknowledged group look like a torn one: who remembers it is asked only after
    /// the log is open, and whoever mends it then needs its bytes.
    fn keep_cut(&self, from: u64) -> io::Result<()> {
        // No torn record is longer, and anything behind it would have been corruption.
        let len = self.len()?.saturating_sub(from).min(RECORD_BYTES_MAX as u64);
        let mut cut = vec![0; len as usize];
        self.read_at(from, &mut cut)?;
        let Some(last) = cut.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        let cut = &cut[..=last];
        // Named by place and content: a crash before the cut keeps the same once, and the next one
        // at this place replaces nothing.
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".cut-{from}-{:08x}", crc32c::crc32c(cut)));
        let path = PathBuf::from(name);
        let (kept, bytes) = (files::replace(&path, &[cut], Audience::Owner), cut.len());
        // Of the same kind, which says to programs whether there is no room.
        kept.map_err(|source| io::Error::new(source.kind(), Unkept { path, bytes, source }))
    }
}

impl Medium for FileMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Syncs by itself: whether `fdatasync` covers a shorter length differs between file systems.
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.keep_cut(len)?;
        self.file.set_len(len)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_names_the_file_the_bytes_and_what_to_do() {
        let said = |kind: io::ErrorKind| {
            let (path, source) = ("node/journal.log.cut-512-0".into(), kind.into());
            Unkept { path, bytes: 77, source }.to_string()
        };
        let full = said(io::ErrorKind::StorageFull);
        for words in ["77 bytes", "node/journal.log.cut-512-0", "no space", "make room"] {
            assert!(full.contains(words), "expected {words:?} in {full:?}");
        }
        let refused = said(io::ErrorKind::PermissionDenied);
        assert!(refused.contains("cannot write there") && !refused.contains("space"), "{refused}");
    }
}
