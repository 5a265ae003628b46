//! A log's folder as others see it: read, never locked and never changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::archived;
use crate::{Archive, FileName, FileNumber, Medium};

/// Where a log ends that another process appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewEnd {
    /// The file that its last group stands in.
    pub file: FileNumber,
    /// Bytes of that file in use.
    pub bytes: u64,
}

/// The files of a log, beside whoever writes them: whatever would change one is left out and
/// reported as done. What lies behind the end that is given reads as if nobody had written it yet,
/// so that a log which grows is seen as it was at one moment.
#[derive(Debug)]
pub struct FolderView {
    folder: PathBuf,
    end: Option<ViewEnd>,
    /// Where files are read that are not here any more.
    archive: Option<Arc<dyn Archive>>,
    /// The file that was read last.
    open: Mutex<Option<(FileName, Arc<File>)>>,
}

impl FolderView {
    /// A view of the folder, up to `end`, or of all of a log that nobody appends to.
    pub fn new(folder: &Path, end: Option<ViewEnd>) -> FolderView {
        FolderView { folder: folder.to_owned(), end, archive: None, open: Mutex::default() }
    }

    /// With an archive, from which files are read that are not here any more.
    pub fn with_archive(self, archive: Arc<dyn Archive>) -> FolderView {
        FolderView { archive: Some(archive), ..self }
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    fn file(&self, name: FileName) -> io::Result<Arc<File>> {
        // Nothing is half done under it: a value is replaced by another.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.as_ref().filter(|(other, _)| *other == name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(name))?);
        *open = Some((name, Arc::clone(&file)));
        Ok(file)
    }

    /// How much of a file is seen; `None` for all of it.
    fn seen(&self, name: FileName) -> Option<u64> {
        self.end.filter(|end| name == FileName::Log(end.file)).map(|end| end.bytes)
    }
}

impl Medium for FolderView {
    fn names(&self) -> io::Result<Vec<FileName>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_str().and_then(FileName::parse);
            let is_seen = |name: &FileName| match (*name, self.end) {
                (FileName::Next | FileName::Spare, _) => false,
                (_, None) => true,
                (FileName::Log(number), Some(end)) => number <= end.file,
                (FileName::Index(number) | FileName::Archived(number), Some(end)) => {
                    number < end.file
                }
            };
            names.extend(name.filter(is_seen));
        }
        Ok(names)
    }

    fn len(&self, name: FileName) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path(name))?.len())
    }

    fn read_at(&self, name: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let seen = self.seen(name).unwrap_or(u64::MAX).saturating_sub(offset);
        let count = usize::try_from(seen).unwrap_or(usize::MAX).min(bytes.len());
        let (seen, behind) = bytes.split_at_mut(count);
        behind.fill(0);
        let missing = match self.file(name) {
            Ok(file) => {
                let read = file.read_exact_at(seen, offset);
                // It may have left for the archive meanwhile, and the writer writes over it then.
                if files::is_named(&file, &self.path(name))? {
                    return read;
                }
                io::ErrorKind::NotFound.into()
            }
            Err(missing) => missing,
        };
        let archived = archived::read_instead(self, missing, name)?;
        archived::read_at(self.archive.as_deref(), &archived, offset, seen)
    }

    fn make_empty(&self, _: FileName) -> io::Result<()> {
        Ok(())
    }

    fn write_at(&self, _: FileName, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_zeros(&self, _: FileName, _: u64, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, _: FileName, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _: FileName) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: FileName, _: FileName) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: FileName) -> io::Result<()> {
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::salts;
    use crate::{Entry, EntryKind, FileMedium, Genesis, Log};

    const GENESIS: Genesis = Genesis { log_id: [7; 16], journal_hash: [0; 32] };

    fn append(log: &mut Log<FileMedium>, count: usize) {
        for _ in 0..count {
            log.append(&[Entry::new(EntryKind::FRAME, 3_900_000_000_000, "opaque")]).unwrap();
        }
    }

    #[test]
    fn a_log_that_grows_is_seen_as_it_was_and_nothing_of_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let medium = FileMedium::open(&path).unwrap();
        let medium = medium.with_lengths(crate::FileLengths { least: 4096, most: 4096 });
        let (mut log, _) = Log::open(medium, GENESIS, salts()).unwrap();
        append(&mut log, 60);
        let then = log.head();
        assert!(then.file > 1, "several files: {then:?}");
        append(&mut log, 60);
        assert!(log.head().file > then.file);

        let end = ViewEnd { file: then.file, bytes: then.end };
        let (seen, recovery) =
            Log::open(FolderView::new(&path, Some(end)), GENESIS, salts()).unwrap();
        assert_eq!((seen.head(), recovery.cut_bytes), (then, 0));
        assert_eq!(seen.iter_from(1).map(Result::unwrap).count(), 60);
        let (all, _) = Log::open(FolderView::new(&path, None), GENESIS, salts()).unwrap();
        assert_eq!(all.head(), log.head());
        // The writer has noticed nothing.
        append(&mut log, 1);
        drop(log);
        let (log, recovery) =
            Log::open(FileMedium::open(&path).unwrap(), GENESIS, salts()).unwrap();
        assert_eq!((log.head().group, recovery.cut_bytes), (121, 0));
    }
}
