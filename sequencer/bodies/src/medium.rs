//! Where keys are kept: a few small files, each replaced as a whole, and one that grows.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::error::Unspecified;
use files::{Audience, LockedFile};
use zeroize::Zeroizing;

/// Longest file: as many keys as there may be, at 108 bytes each, and a little.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// A folder of small files.
pub trait KeyMedium: Send + Sync {
    /// The names of all files.
    ///
    /// # Errors
    /// What the medium says, here and below.
    fn names(&self) -> io::Result<Vec<String>>;

    /// A whole file, if there is one.
    ///
    /// # Errors
    /// What the medium says.
    fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>>;

    /// Makes a file with this content, or replaces it as a whole; durable on return.
    ///
    /// # Errors
    /// What the medium says; the old content or the new one is there then.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes these bytes in place, at the end of what was written before or over what never
    /// counted; makes the file if there is none. One sync, and durable on return, its name as well.
    ///
    /// # Errors
    /// What the medium says; of these bytes any part is there then, and of those before all.
    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Overwrites a file with zeros, and removes it; durable on return. Does nothing without one.
    ///
    /// # Errors
    /// What the medium says.
    fn erase(&self, name: &str) -> io::Result<()>;

    /// Fills bytes with what nobody can foretell: keys are drawn from it, and the nonces that wrap
    /// them. It stands beside the files because a simulation has both, and equal seeds must give
    /// equal keys there; every folder of a disk leaves it as it is.
    ///
    /// # Errors
    /// If the system has none to give.
    fn draw(&self, bytes: &mut [u8]) -> Result<(), Unspecified> {
        aws_lc_rs::rand::fill(bytes)
    }
}

/// A folder of the file system, closed to others and locked.
#[derive(Debug)]
pub struct KeyFolder {
    folder: PathBuf,
    /// Held and never read.
    _lock: Option<LockedFile>,
}

impl KeyFolder {
    /// The folder, which is made if there is none; `None` while another process has it open.
    ///
    /// # Errors
    /// What the system says; a folder that others may open is refused.
    pub fn lock(folder: &Path) -> io::Result<Option<KeyFolder>> {
        files::make_folder(folder, Audience::Owner)?;
        files::check_tree(folder, &[])?;
        let lock = files::open_locked(&folder.join("lock"), Audience::Owner)?;
        Ok(lock.map(|lock| KeyFolder { folder: folder.to_owned(), _lock: Some(lock) }))
    }

    /// A folder that somebody only looks at, locked if it ever was: nothing is made there, and one
    /// that is not there holds nothing; `None` while another process has it open.
    ///
    /// # Errors
    /// What the system says; a folder that others may open is refused.
    pub fn look(folder: &Path) -> io::Result<Option<KeyFolder>> {
        files::check_tree(folder, &[])?;
        let (folder, lock) = (folder.to_owned(), folder.join("lock"));
        if !lock.try_exists()? {
            // A copy, which no process has open.
            return Ok(Some(KeyFolder { folder, _lock: None }));
        }
        let lock = files::open_locked(&lock, Audience::Owner)?;
        Ok(lock.map(|lock| KeyFolder { folder, _lock: Some(lock) }))
    }

    /// A folder that has a lock of its own: the node's, for the copy of the ledger of keys.
    pub fn beside(folder: &Path) -> KeyFolder {
        KeyFolder { folder: folder.to_owned(), _lock: None }
    }
}

impl KeyMedium for KeyFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match files::read(&self.folder.join(name), FILE_BYTES_MAX, Audience::Owner) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        files::replace(&self.folder.join(name), &[bytes], Audience::Owner)
    }

    fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(name);
        if at > 0 {
            // One that is gone is not made again: a hole would stand where keys stood.
            let file = files::open_existing(&path, Audience::Owner)?;
            file.write_all_at(bytes, at)?;
            return file.sync_all();
        }
        let written = files::open(&path, Audience::Owner).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            file.sync_all()?;
            // Its first bytes come with its name.
            files::sync_folder(&self.folder)
        });
        // A sync that failed says nothing, and a second one of the same name may say what is not
        // so: the next try makes another file. Nothing in this one counts yet.
        written.inspect_err(|_| drop(fs::remove_file(&path)))
    }

    fn erase(&self, name: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let mut file = match files::open_existing(&path, Audience::Owner) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        // In place: what is only removed stays on the disk until something else takes its room. A
        // disk that writes elsewhere what is overwritten keeps it all the same (docs/at-rest.md).
        let length = file.metadata()?.len();
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(usize::MAX)])?;
        file.sync_all()?;
        fs::remove_file(&path)?;
        files::sync_folder(&self.folder)
    }
}
