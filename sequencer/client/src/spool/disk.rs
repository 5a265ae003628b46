//! What a stream asks of the disk. Where it could not sync once, nothing is written or sent any
//! more: the system may have dropped what it could not write, and a second sync would not say so.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::SpoolError;

/// The disk under the files of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    failed: Arc<AtomicBool>,
}

impl Disk {
    /// Whether what it has is not known any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What it has is not known from here on.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Waits until it has what was written to a file.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        if self.has_failed() {
            return Err(io::Error::other("an earlier sync failed"));
        }
        sync(file).inspect_err(|_| self.fail())
    }

    /// Writes behind the first `before` bytes of a file, which are all: the whole or nothing.
    pub(super) fn append(&self, file: &File, bytes: &[u8], before: u64) -> io::Result<()> {
        // One write, so that a crash tears at most what it holds.
        write(file, bytes).inspect_err(|_| {
            // What stands half there would be the end of what is read.
            if file.set_len(before).is_err() {
                self.fail();
            }
        })
    }
}

/// When a write has to be on the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before what it allows is sent.
    Before,
    /// With one that has to.
    Whenever,
}

/// What is to be synced, by whoever may wait for the disk.
#[derive(Debug)]
pub(crate) struct Unsynced {
    pub(super) disk: Disk,
    pub(super) file: Arc<File>,
    /// The stream's folder, for an error.
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    pub(super) written: u64,
}

impl Unsynced {
    /// Waits until the disk has it. After an error nothing of the stream is sent any more.
    pub(crate) fn sync(&self) -> Result<(), SpoolError> {
        let wrong = |source| SpoolError::File { path: self.folder.clone(), source };
        self.disk.sync(&self.file).map_err(wrong)
    }
}

/// Waits until the disk has a file's content and length.
pub(super) fn sync(file: &File) -> io::Result<()> {
    #[cfg(test)]
    faults::before_sync()?;
    file.sync_data()?;
    #[cfg(test)]
    faults::after_sync(file);
    Ok(())
}

fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    faults::before_write()?;
    file.write_all(bytes)
}

/// A disk that fails where a test says so, and knows what it has: of the test's own thread.
#[cfg(test)]
pub(super) mod faults {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    thread_local! {
        static SYNCS_TO_FAIL: Cell<u32> = const { Cell::new(0) };
        static WRITES_TO_FAIL: Cell<u32> = const { Cell::new(0) };
        /// The length of each file at its last sync, by its inode.
        static SYNCED: RefCell<BTreeMap<u64, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// The next so many syncs fail.
    pub(crate) fn fail_syncs(count: u32) {
        SYNCS_TO_FAIL.set(count);
    }

    /// For the next so many writes the disk is full.
    pub(crate) fn fail_writes(count: u32) {
        WRITES_TO_FAIL.set(count);
    }

    /// Length of a file when it was synced last, 0 if it never was.
    pub(crate) fn synced_bytes(path: &Path) -> u64 {
        let inode = std::fs::metadata(path).expect("a file").ino();
        SYNCED.with_borrow(|synced| synced.get(&inode).copied().unwrap_or(0))
    }

    pub(super) fn before_sync() -> io::Result<()> {
        match SYNCS_TO_FAIL.get() {
            0 => Ok(()),
            left => {
                SYNCS_TO_FAIL.set(left - 1);
                Err(io::Error::other("the disk is broken"))
            }
        }
    }

    pub(super) fn after_sync(file: &File) {
        let found = file.metadata().expect("an open file");
        SYNCED.with_borrow_mut(|synced| synced.insert(found.ino(), found.len()));
    }

    pub(super) fn before_write() -> io::Result<()> {
        match WRITES_TO_FAIL.get() {
            0 => Ok(()),
            left => {
                WRITES_TO_FAIL.set(left - 1);
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }
}
