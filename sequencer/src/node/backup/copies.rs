//! Files that are copied with their hashes, no faster than is asked for.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use files::Audience;

use super::error::BackupError;
use crate::folder::backup::{BackupFolder, Line, Name};
use crate::folder::store::FileDigest;

/// Bytes that are read at once. Between two of them a copy waits, if it is to.
const CHUNK_BYTES: usize = 1 << 20;

/// How much of a rate that was not used is made up later: else a slow hour would pay for an hour
/// without any bound.
const CREDIT: Duration = Duration::from_secs(1);
/// What the making of a file counts as, bytes: it costs the file system's own journal, which a
/// running node writes to as well.
const FILE_COSTS_BYTES: usize = 64 << 10;

/// How fast files are copied: so that a node that takes readings beside it keeps its disk.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    /// When what was copied so far is due.
    due: Option<Instant>,
}

impl Pace {
    /// So many bytes a second from the first one on; as fast as the disks are without a number.
    pub fn new(bytes_per_second: Option<u64>) -> Pace {
        Pace { bytes_per_second: bytes_per_second.filter(|bytes| *bytes > 0), due: None }
    }

    /// How long to wait after so many more bytes, if it is `now`.
    fn wait_after(&mut self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let before = self.due.unwrap_or(now).max(earliest);
        let due = before + Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.due = Some(due);
        due.saturating_duration_since(now)
    }

    fn keep(&mut self, bytes: usize) {
        let wait = self.wait_after(bytes, Instant::now());
        if !wait.is_zero() {
            thread::park_timeout(wait);
        }
    }
}

/// How far a backup or a restore is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes that are copied.
    pub bytes: u64,
    /// Bytes of all, as far as is known.
    pub of: u64,
}

/// How much of a file is copied, and how long the copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Exactly so many bytes from its beginning.
    First(u64),
    /// So many bytes, and zeros up to a length: a file of the journal that groups go into. The
    /// zeros take no room in the copy where the file system leaves out what was not written.
    Padded {
        /// Bytes in use.
        used: u64,
        /// Bytes of the file.
        length: u64,
    },
}

/// One who is told how far it is.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Progress);

/// What copies files at a pace.
pub(super) struct Copier<'a> {
    pub(super) pace: Pace,
    pub(super) progress: Progress,
    pub(super) tell: Tell<'a>,
}

impl Copier<'_> {
    /// Copies a file to a new one, which is not durable yet; gives what the copy holds.
    pub(super) fn copy(
        &mut self,
        from: &Path,
        to: &Path,
        extent: Extent,
    ) -> Result<FileDigest, BackupError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::File { action, path, source }
        };
        let file = File::open(from).map_err(failed("opened", from))?;
        let audience = audience_of(to);
        if let Some(folder) = to.parent() {
            files::make_folder(folder, Audience::Owner).map_err(failed("made", folder))?;
        }
        let mut copy = files::create_stream(to, audience).map_err(failed("made", to))?;
        let most = match extent {
            Extent::Whole => u64::MAX,
            Extent::First(bytes) | Extent::Padded { used: bytes, .. } => bytes,
        };
        let mut hash = Hash::default();
        let (mut file, mut chunk) = (file.take(most), vec![0; CHUNK_BYTES]);
        loop {
            let count = file.read(&mut chunk).map_err(failed("read", from))?;
            if count == 0 {
                break;
            }
            hash.update(&chunk[..count]);
            copy.write_all(&chunk[..count]).map_err(failed("written", to))?;
            self.pace.keep(count);
            self.progress.bytes += count as u64;
            (self.tell)(self.progress);
        }
        if extent != Extent::Whole && hash.bytes != most {
            let (path, found) = (from.to_owned(), hash.bytes);
            return Err(BackupError::Short { path, expected: most, found });
        }
        if let Extent::Padded { length, .. } = extent {
            copy.set_len(length.max(most)).map_err(failed("lengthened", to))?;
            hash.update_zeros(length.saturating_sub(most));
        }
        self.pace.keep(FILE_COSTS_BYTES);
        Ok(hash.digest())
    }
}

/// Who may open a file of a node's folder.
fn audience_of(path: &Path) -> Audience {
    // The one file that is handed out.
    match path.file_name().is_some_and(|name| name == "deployment.json") {
        true => Audience::Public,
        false => Audience::Owner,
    }
}

/// Hash and length of bytes that come in pieces.
#[derive(Default)]
struct Hash {
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn update_zeros(&mut self, mut count: u64) {
        let zeros = vec![0; CHUNK_BYTES];
        while count > 0 {
            let piece = count.min(CHUNK_BYTES as u64);
            self.update(&zeros[..piece as usize]);
            count -= piece;
        }
    }

    fn digest(&self) -> FileDigest {
        FileDigest { blake3: *self.hasher.finalize().as_bytes(), bytes: self.bytes }
    }
}

/// What a file holds.
pub(super) fn digest_of(path: &Path) -> io::Result<FileDigest> {
    let (mut file, mut chunk) = (File::open(path)?, vec![0; CHUNK_BYTES]);
    let mut hash = Hash::default();
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.digest()),
            count => hash.update(&chunk[..count]),
        }
    }
}

/// A backup that is being written.
pub(super) struct Copies<'a> {
    pub(super) to: BackupFolder,
    pub(super) copier: Copier<'a>,
    manifest: BufWriter<File>,
    hash: Hash,
    files: u64,
    bytes: u64,
}

/// What was written.
pub(super) struct Written {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) manifest: [u8; 32],
}

impl<'a> Copies<'a> {
    /// Begins a backup in an empty folder.
    pub(super) fn begin(to: BackupFolder, copier: Copier<'a>) -> Result<Copies<'a>, BackupError> {
        let path = to.node();
        files::make_folder(&path, Audience::Owner).map_err(|source| BackupError::File {
            action: "made",
            path,
            source,
        })?;
        let path = to.manifest();
        let manifest = files::create_stream(&path, Audience::Owner)
            .map_err(|source| BackupError::File { action: "made", path, source })?;
        let (manifest, hash) = (BufWriter::new(manifest), Hash::default());
        Ok(Copies { to, copier, manifest, hash, files: 0, bytes: 0 })
    }

    /// Copies a file and notes it.
    pub(super) fn copy(
        &mut self,
        from: &Path,
        name: &Name,
        extent: Extent,
    ) -> Result<FileDigest, BackupError> {
        let digest = self.copier.copy(from, &name.below(&self.to.node()), extent)?;
        self.note(name, digest)?;
        Ok(digest)
    }

    /// Notes a file that stands in the backup already.
    pub(super) fn note(&mut self, name: &Name, digest: FileDigest) -> Result<(), BackupError> {
        let line = Line { digest, name: name.clone() }.to_string();
        self.hash.update(line.as_bytes());
        self.files += 1;
        self.bytes += digest.bytes;
        self.manifest.write_all(line.as_bytes()).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: io::Error) -> BackupError {
        BackupError::File { action: "written", path: self.to.manifest(), source }
    }

    /// Makes everything durable but the end record, which is still to come.
    pub(super) fn finish(mut self) -> Result<Written, BackupError> {
        let flushed = self.manifest.flush().and_then(|()| self.manifest.get_ref().sync_all());
        flushed.map_err(|source| self.unwritten(source))?;
        sync_all(self.to.folder()).map_err(|Unsynced { path, source }| BackupError::File {
            action: "synced",
            path,
            source,
        })?;
        let Hash { hasher, .. } = self.hash;
        let manifest = *hasher.finalize().as_bytes();
        Ok(Written { files: self.files, bytes: self.bytes, manifest })
    }
}

/// A folder whose names are not durable.
pub(super) struct Unsynced {
    pub(super) path: std::path::PathBuf,
    pub(super) source: io::Error,
}

/// Makes all that was written below a folder durable, contents and names: its whole file system in
/// one call, because a sync for each of a year's batch files would take an hour.
pub(super) fn sync_all(folder: &Path) -> Result<(), Unsynced> {
    let synced = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.map_err(|source| Unsynced { path: folder.to_owned(), source })
}

/// Whether there is nothing where a folder is to be.
pub(super) fn is_free(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        entries => Ok(entries?.next().is_none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_waits_for_what_is_ahead_of_its_rate_and_makes_up_a_second_at_most() {
        let (mut pace, began) = (Pace::new(Some(100)), Instant::now());
        assert_eq!(pace.wait_after(50, began), Duration::from_millis(500));
        assert_eq!(pace.wait_after(50, began), Duration::from_secs(1));
        // What was late by a second is made up, and what was late by an hour no more than that.
        assert_eq!(pace.wait_after(50, began + Duration::from_secs(2)), Duration::ZERO);
        let late = began + Duration::from_secs(3_600);
        assert_eq!(pace.wait_after(100, late), Duration::ZERO);
        assert_eq!(pace.wait_after(100, late), Duration::from_secs(1));
        for unbounded in [None, Some(0)] {
            assert_eq!(Pace::new(unbounded).wait_after(usize::MAX, began), Duration::ZERO);
        }
    }

    fn copy(from: &Path, to: &Path, extent: Extent) -> Result<FileDigest, BackupError> {
        let progress = Progress { bytes: 0, of: 0 };
        Copier { pace: Pace::new(None), progress, tell: &mut |_| () }.copy(from, to, extent)
    }

    #[test]
    fn a_copy_is_as_long_as_it_is_asked_to_be_and_hashed_as_it_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 5_000).map(|n| n as u8).collect();
        std::fs::write(&from, &bytes).unwrap();
        let used = CHUNK_BYTES as u64 + 7;
        for (extent, kept, length) in [
            (Extent::Whole, bytes.len(), bytes.len()),
            (Extent::First(9), 9, 9),
            (Extent::Padded { used, length: 3 << 20 }, used as usize, 3 << 20),
        ] {
            let digest = copy(&from, &to, extent).unwrap();
            let found = std::fs::read(&to).unwrap();
            assert_eq!((found.len(), &found[..kept]), (length, &bytes[..kept]), "{extent:?}");
            assert!(found[kept..].iter().all(|byte| *byte == 0));
            assert_eq!(digest, FileDigest::of(&found));
            assert_eq!(digest_of(&to).unwrap(), digest);
            std::fs::remove_file(&to).unwrap();
        }
        let beyond = Extent::First(bytes.len() as u64 + 1);
        assert!(matches!(copy(&from, &to, beyond), Err(BackupError::Short { .. })));
        // Nothing is written over.
        assert!(matches!(copy(&from, &to, Extent::Whole), Err(BackupError::File { .. })));
    }
}
