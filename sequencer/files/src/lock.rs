//! Files that one program at a time writes.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::{Audience, open};

/// A file, locked against other openings until it is dropped.
#[derive(Debug)]
pub struct LockedFile(File);

/// Opens or creates the file as [`open`] does and locks it; `None` while another opening of it
/// holds the lock. Nobody is waited for: whoever holds it may do so for as long as it runs.
///
/// # Errors
/// Those of [`open`], or what the system says of the lock.
pub fn open_locked(path: &Path, audience: Audience) -> io::Result<Option<LockedFile>> {
    let file = open(path, audience)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(LockedFile(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Drop for LockedFile {
    /// Closing alone would leave the lock with a child process that is between `fork` and `exec`.
    fn drop(&mut self) {
        // Nothing is left to do about an error: the system unlocks at the latest when we end.
        drop(self.0.unlock());
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for LockedFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_once_it_is_dropped_whoever_inherited_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let file = open_locked(&path, Audience::Owner).unwrap().unwrap();
        assert!(open_locked(&path, Audience::Owner).unwrap().is_none());
        // Shares the lock, as the descriptor does that a child process has until it executes.
        let inherited = file.try_clone().unwrap();
        drop(file);
        assert!(open_locked(&path, Audience::Owner).unwrap().is_some());
        drop(inherited);
    }
}
