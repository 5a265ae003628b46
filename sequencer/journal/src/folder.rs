//! The folder of files that a log is stored in.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use files::{Audience, LockedFile};

use crate::archived;
use crate::direct::{self, BLOCK_BYTES, Tail};
use crate::{Archive, FileLengths, FileName, Medium};

/// Why a folder could not be opened as a medium.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// Another process writes this log.
    #[error("{path}: locked by another process")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {op} failed")]
    Io {
        /// The folder or file.
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
    if lacks_space(source) { "and there is no space for them" } else { "and cannot write there" },
    if lacks_space(source) { "make room in that folder's file system" } else { "let it be written" }
)]
struct Unkept {
    path: PathBuf,
    bytes: usize,
    #[source]
    source: io::Error,
}

fn lacks_space(error: &io::Error) -> bool {
    // Of the disk, of a quota, of a limit on files.
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// A folder of files, locked for this process, synced by `fdatasync`. Holds at most eleven
/// descriptors. What is cut from a file is kept beside it.
///
/// Groups and zeros are written past the system's cache of file pages where the file system does
/// that, else through it. Memory for it: as much as the largest group so far (8 MiB and a block at
/// most).
#[derive(Debug)]
pub struct FileMedium {
    folder: PathBuf,
    lengths: FileLengths,
    /// Where files are read that are not here any more.
    archive: Option<Arc<dyn Archive>>,
    /// Whether what would change a file is left out.
    untouched: bool,
    /// Files in use, the one used last first.
    open: Mutex<VecDeque<(FileName, Arc<File>)>>,
    /// Of the file that groups go into, where they are written past the cache.
    tail: Mutex<Option<Tail>>,
    /// Whether that was refused once: it is not tried again.
    cached: AtomicBool,
    /// The last file that became the spare one: of it and those before it nothing is here.
    spared: AtomicU64,
    _lock: LockedFile,
}

impl FileMedium {
    /// Opens or creates the folder, whose parent must be there, locks it, and makes its name
    /// durable. It holds what patients are asked to consent to: others may not open it.
    ///
    /// # Errors
    /// [`MediumError::Locked`] if another process has it open, else what the system said; of a file
    /// that others may open, [`files::TooOpen`].
    pub fn open(folder: &Path) -> Result<FileMedium, MediumError> {
        let failed = |op| move |source| MediumError::Io { path: folder.to_owned(), op, source };
        let parent = folder.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        // A folder on the way that is missing is a wrong path, or a disk that is not mounted.
        fs::metadata(parent).map_err(failed("find the parent of"))?;
        files::make_folder(folder, Audience::Owner).map_err(failed("create"))?;
        // Also of a folder that was there: whoever made it may have been killed before this.
        files::sync_folder(parent).map_err(failed("sync the parent of"))?;
        let lock = files::open_locked(&folder.join(LOCK), Audience::Owner);
        let lock = lock.map_err(failed("open and lock"))?;
        let lock = lock.ok_or_else(|| MediumError::Locked { path: folder.to_owned() })?;
        Ok(FileMedium {
            folder: folder.to_owned(),
            lengths: FileLengths::default(),
            archive: None,
            untouched: false,
            open: Mutex::default(),
            tail: Mutex::default(),
            cached: AtomicBool::new(false),
            spared: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// With files of other lengths; those that are there stay as they are.
    pub fn with_lengths(self, lengths: FileLengths) -> FileMedium {
        FileMedium { lengths, ..self }
    }

    /// With an archive, from which files are read that are not here any more.
    pub fn with_archive(self, archive: Arc<dyn Archive>) -> FileMedium {
        FileMedium { archive: Some(archive), ..self }
    }

    /// The folder as it stands: whatever would change it is left out and reported as done, so that
    /// what a log then serves lies before what opening it would cut.
    pub fn untouched(self) -> FileMedium {
        FileMedium { untouched: true, ..self }
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    /// The file, opened if it is not yet.
    fn file(&self, name: FileName) -> io::Result<Arc<File>> {
        let mut open = self.in_use();
        if let Some(at) = open.iter().position(|(other, _)| *other == name) {
            // To the front: the list is short, and the file that is written to is mostly first.
            open.swap(0, at);
            return Ok(Arc::clone(&open[0].1));
        }
        let file = Arc::new(files::open_existing(&self.path(name), Audience::Owner)?);
        open.truncate(OPEN_MAX - 1);
        open.push_front((name, Arc::clone(&file)));
        Ok(file)
    }

    /// What the name stood for is another file from now on, or none.
    fn forget(&self, name: FileName) {
        self.in_use().retain(|(other, _)| *other != name);
        self.tail().take_if(|tail| tail.name == name);
    }

    /// A file to write past the cache; `None` where that is not done.
    fn direct(&self, name: FileName) -> io::Result<Option<File>> {
        if self.cached.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match files::open_direct(&self.path(name), Audience::Owner) {
            Ok(file) => Ok(Some(file)),
            Err(error) => self.not_direct(error).map(|()| None),
        }
    }

    /// Writes go through the cache from now on, if that is all that this error says.
    fn not_direct(&self, error: io::Error) -> io::Result<()> {
        if !direct::is_unsupported(&error) {
            return Err(error);
        }
        self.cached.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Appends past the cache; `false` if it has to go through it.
    fn append_directly(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut held = self.tail();
        let known = held.take_if(|tail| tail.name == name && tail.end() == offset);
        let mut tail = match known {
            Some(tail) => tail,
            None => {
                // It is of a file that was left, or somebody wrote elsewhere in between.
                held.take().map_or(Ok(()), |mut other| other.settle())?;
                let Some(file) = self.direct(name)? else { return Ok(false) };
                Tail::begin(name, file, offset, |at, bytes| self.read_at(name, at, bytes))?
            }
        };
        // A file is not lengthened by zeros that nobody asked for.
        if tail.end_with(bytes.len()) > self.len(name)? {
            tail.settle()?;
            return Ok(false);
        }
        let first = !tail.owes();
        match tail.append(bytes) {
            Ok(()) => {
                *held = Some(tail);
                Ok(true)
            }
            // Once it was done the file system does it, and something else is wrong.
            Err(error) if !first => Err(error),
            Err(error) => self.not_direct(error).map(|()| false),
        }
    }

    /// Whether somebody may be writing over what this file was.
    fn is_spared(&self, name: FileName) -> bool {
        let spared = self.spared.load(Ordering::SeqCst);
        matches!(name, FileName::Log(number) if number <= spared)
    }

    /// Writes what the tail of this file owes to the disk.
    fn settle(&self, name: FileName) -> io::Result<()> {
        match self.tail().as_mut().filter(|tail| tail.name == name) {
            Some(tail) => tail.settle(),
            None => Ok(()),
        }
    }

    fn tail(&self) -> MutexGuard<'_, Option<Tail>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic elsewhere cannot leave the list half changed.
    fn in_use(&self) -> MutexGuard<'_, VecDeque<(FileName, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while the folder is open; says nothing by its content.
const LOCK: &str = "lock";
/// Most files held open: those that are written and made, and some that are read.
const OPEN_MAX: usize = 8;

impl Medium for FileMedium {
    fn names(&self) -> io::Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // The lock and what was cut are not the log's.
            names.extend(entry?.file_name().to_str().and_then(FileName::parse));
        }
        Ok(names)
    }

    fn len(&self, name: FileName) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn read_at(&self, name: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let missing = match self.file(name) {
            Ok(file) => {
                let read = file.read_exact_at(bytes, offset);
                // Asked behind the read: zeros are written over it only after this was set.
                if !self.is_spared(name) {
                    return read;
                }
                io::ErrorKind::NotFound.into()
            }
            Err(missing) => missing,
        };
        let archived = archived::read_instead(self, missing, name)?;
        archived::read_at(self.archive.as_deref(), &archived, offset, bytes)
    }

    fn make_empty(&self, name: FileName) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        self.remove(name)?;
        files::create_stream(&self.path(name), Audience::Owner).map(drop)
    }

    fn write_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        // It would write its block over these bytes one day.
        let tail = self.tail().take_if(|tail| tail.name == name);
        tail.map_or(Ok(()), |mut tail| tail.settle())?;
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn append_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.untouched || self.append_directly(name, offset, bytes)? {
            return Ok(());
        }
        self.write_at(name, offset, bytes)
    }

    fn mark_at(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut tail = self.tail();
        let own = tail.as_mut().filter(|tail| tail.name == name);
        if self.untouched || own.is_some_and(|tail| tail.mark(offset, bytes)) {
            return Ok(());
        }
        drop(tail);
        self.write_at(name, offset, bytes)
    }

    fn write_zeros(&self, name: FileName, offset: u64, count: usize) -> io::Result<()> {
        let whole = |number: u64| number.is_multiple_of(BLOCK_BYTES as u64);
        let blocks = whole(offset) && whole(count as u64) && !self.untouched;
        if let Some(file) = blocks.then(|| self.direct(name)).transpose()?.flatten() {
            match direct::write_zeros(&file, offset, count as u64) {
                Ok(()) => return Ok(()),
                Err(error) => self.not_direct(error)?,
            }
        }
        self.write_at(name, offset, &vec![0; count])
    }

    fn cut(&self, name: FileName, length: u64) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        self.file(name)?.set_len(length)
    }

    fn is_linked(&self, name: FileName) -> io::Result<bool> {
        Ok(self.file(name)?.metadata()?.nlink() > 1)
    }

    fn sync(&self, name: FileName) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        self.settle(name)?;
        self.file(name)?.sync_data()
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        if let (FileName::Log(number), FileName::Spare) = (from, to) {
            // Before it has that name: what stands for it is durable, and whoever reads it
            // meanwhile goes to the archive. Files go in the order of their numbers.
            self.spared.fetch_max(number, Ordering::SeqCst);
        }
        files::rename(&self.path(from), &self.path(to))?;
        self.forget(from);
        self.forget(to);
        Ok(())
    }

    fn remove(&self, name: FileName) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        let removed = fs::remove_file(self.path(name));
        // Behind it: whoever opens the file by its name meanwhile must not keep it for others.
        self.forget(name);
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        files::sync_folder(&self.folder)
    }

    /// Writes the bytes to a file of their own. Damage can make an acknowledged group look like a
    /// torn one: who remembers it is asked only after the log is open, and whoever mends it then
    /// needs its bytes.
    fn keep_cut(&self, name: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.untouched {
            return Ok(());
        }
        // Named by place and content: a crash before the cut keeps the same once, and the next one
        // at this place replaces nothing.
        let cut = format!("{name}.cut-{offset}-{:08x}", crc32c::crc32c(bytes));
        let path = self.folder.join(cut);
        let (kept, bytes) = (files::replace(&path, &[bytes], Audience::Owner), bytes.len());
        // Of the same kind, which says to programs whether there is no room.
        kept.map_err(|source| io::Error::new(source.kind(), Unkept { path, bytes, source }))
    }

    fn file_lengths(&self) -> FileLengths {
        self.lengths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_names_the_file_the_bytes_and_what_to_do() {
        let said = |kind: io::ErrorKind| {
            let (path, source) = ("journal/00000001.log.cut-512-0".into(), kind.into());
            Unkept { path, bytes: 77, source }.to_string()
        };
        let full = said(io::ErrorKind::StorageFull);
        for words in ["77 bytes", "journal/00000001.log.cut-512-0", "no space", "make room"] {
            assert!(full.contains(words), "expected {words:?} in {full:?}");
        }
        let refused = said(io::ErrorKind::PermissionDenied);
        assert!(refused.contains("cannot write there") && !refused.contains("space"), "{refused}");
    }
}
