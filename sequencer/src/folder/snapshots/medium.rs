//! Where snapshots are stored.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use files::Audience;

/// A folder of files. What was written is durable once it was synced, a name once the names were.
pub trait SnapshotMedium: Send + Sync + 'static {
    /// The names of all files.
    ///
    /// # Errors
    /// What the medium says, here and below.
    fn names(&self) -> io::Result<Vec<String>>;
    /// The length of a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn len(&self, name: &str) -> io::Result<u64>;
    /// A whole file of at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::len`].
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>>;
    /// As many bytes as there is room for.
    ///
    /// # Errors
    /// As [`Self::len`]; fewer bytes are an error.
    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Makes a file with this content; what had the name is gone.
    ///
    /// # Errors
    /// What the medium says.
    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Writes into a file, which is made if there is none.
    ///
    /// # Errors
    /// What the medium says.
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written to a file durable.
    ///
    /// # Errors
    /// What the medium says.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name; what had that is gone.
    ///
    /// # Errors
    /// What the medium says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// What the medium says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    ///
    /// # Errors
    /// What the medium says.
    fn sync_names(&self) -> io::Result<()>;
}

/// A folder of the file system, closed to others. Holds one descriptor: of the file that is read
/// and written in place.
#[derive(Debug)]
pub struct FolderMedium {
    folder: PathBuf,
    open: Mutex<Option<(String, Arc<File>)>>,
}

impl FolderMedium {
    /// The folder, which is made if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(folder: &Path) -> io::Result<FolderMedium> {
        files::make_folder(folder, Audience::Owner)?;
        Ok(FolderMedium { folder: folder.to_owned(), open: Mutex::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The file to read and write in place, by `open` if it is not the one that is open.
    fn file(
        &self,
        name: &str,
        open: fn(&Path, Audience) -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = held.as_ref().filter(|(other, _)| other == name) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open(&self.path(name), Audience::Owner)?);
        *held = Some((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    /// What a name stood for is another file from now on.
    fn forget(&self, name: &str) {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|(other, _)| other == name);
    }
}

impl SnapshotMedium for FolderMedium {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name))?.len())
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        files::read(&self.path(name), bytes_max, Audience::Owner)
    }

    fn read_at(&self, name: &str, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file(name, files::open_existing)?.read_exact_at(bytes, offset)
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.remove(name)?;
        files::create_stream(&self.path(name), Audience::Owner)?.write_all(bytes)
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name, files::open)?.write_all_at(bytes, offset)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        // Through another descriptor than it was written by: the system syncs the file.
        files::open_existing(&self.path(name), Audience::Owner)?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        files::rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.forget(name);
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        files::sync_folder(&self.folder)
    }
}
