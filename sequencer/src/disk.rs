//! Room on the disk: what is left for everything that must not stop when frames do.
//!
//! A disk that is full to the last byte ends the writer, and with it the node. So frames, which are
//! most of what is written, stop while a reserve is left for operations, accesses, closes, batches
//! and the outbox. It is measured several times a second, and what is written between two looks is
//! taken off at once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Who knows how much room there is.
pub trait FreeSpace: Send + Sync {
    /// Bytes that this process may still write.
    ///
    /// # Errors
    /// Whatever the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// The file systems under some folders; the fullest counts.
#[derive(Clone, Debug)]
pub struct FileSystems {
    folders: Vec<PathBuf>,
}

impl FileSystems {
    /// Those under these folders.
    pub fn of(folders: impl IntoIterator<Item = PathBuf>) -> FileSystems {
        FileSystems { folders: folders.into_iter().collect() }
    }
}

impl FreeSpace for FileSystems {
    fn free_bytes(&self) -> io::Result<u64> {
        let mut least = u64::MAX;
        for folder in &self.folders {
            let found = rustix::fs::statvfs(folder)?;
            // Available, not free: the rest is the superuser's.
            least = least.min(found.f_bavail.saturating_mul(found.f_frsize));
        }
        Ok(least)
    }
}

/// What a measurement found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// As before.
    Same,
    /// The reserve is reached.
    Low,
    /// There is room again.
    Room,
}

/// The reserve. Asking it takes no lock and no system call.
pub struct Reserve {
    source: Arc<dyn FreeSpace>,
    reserve_bytes: AtomicU64,
    /// As measured last.
    measured: AtomicU64,
    /// Written since.
    written: AtomicU64,
    low: AtomicBool,
}

impl Reserve {
    /// Measures at once.
    ///
    /// # Errors
    /// If nothing can be measured.
    pub fn new(source: Arc<dyn FreeSpace>, reserve_bytes: u64) -> io::Result<Reserve> {
        let (measured, written) = (AtomicU64::new(source.free_bytes()?), AtomicU64::new(0));
        let low = AtomicBool::new(measured.load(Ordering::SeqCst) < reserve_bytes);
        let reserve_bytes = AtomicU64::new(reserve_bytes);
        Ok(Reserve { source, reserve_bytes, measured, written, low })
    }

    /// Measures again.
    ///
    /// # Errors
    /// If nothing can be measured; what was found last is still believed.
    pub fn measure(&self) -> io::Result<Change> {
        let free = self.source.free_bytes()?;
        self.measured.store(free, Ordering::SeqCst);
        // What was written between the two lines is in neither: at most some frames.
        self.written.store(0, Ordering::SeqCst);
        let was_low = self.low.load(Ordering::SeqCst);
        // Room again only well above the reserve, or frames would be let in and refused in turns.
        let low = free < self.reserve_bytes() || (was_low && free < self.room_again_bytes());
        self.low.store(low, Ordering::SeqCst);
        Ok(match (was_low, low) {
            (false, true) => Change::Low,
            (true, false) => Change::Room,
            _ => Change::Same,
        })
    }

    /// Takes off what is written.
    pub fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    /// Whether frames may be written.
    pub fn has_room(&self) -> bool {
        !self.low.load(Ordering::SeqCst) && self.free_bytes() >= self.reserve_bytes()
    }

    /// Whether the reserve is still there once so many bytes are taken.
    pub fn leaves_room(&self, bytes: u64) -> bool {
        self.has_room() && self.free_bytes() >= self.reserve_bytes().saturating_add(bytes)
    }

    /// As [`Self::leaves_room`], measured anew: for who asks seldom, or before anybody else
    /// measures. What was found before is still what others are told.
    pub fn leaves_room_now(&self, bytes: u64) -> bool {
        match self.source.free_bytes() {
            Ok(free) => free >= self.reserve_bytes().saturating_add(bytes),
            Err(_) => self.leaves_room(bytes),
        }
    }

    /// What is left: as measured, less what was written since.
    pub fn free_bytes(&self) -> u64 {
        let measured = self.measured.load(Ordering::SeqCst);
        measured.saturating_sub(self.written.load(Ordering::SeqCst))
    }

    /// What is kept free.
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes.load(Ordering::SeqCst)
    }

    /// Keeps another number of bytes free, from the next measurement on.
    pub fn set_reserve_bytes(&self, bytes: u64) {
        self.reserve_bytes.store(bytes, Ordering::SeqCst);
    }

    /// From where on there is room again, once there was none: an eighth above the reserve.
    pub fn room_again_bytes(&self) -> u64 {
        let reserve = self.reserve_bytes();
        reserve.saturating_add(reserve / 8)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A disk of which a test says how full it is.
    #[derive(Debug)]
    pub(crate) struct FakeDisk(pub(crate) AtomicU64);

    impl FreeSpace for FakeDisk {
        fn free_bytes(&self) -> io::Result<u64> {
            match self.0.load(Ordering::SeqCst) {
                u64::MAX => Err(io::ErrorKind::PermissionDenied.into()),
                bytes => Ok(bytes),
            }
        }
    }

    fn disk(free: u64) -> (Arc<FakeDisk>, Reserve) {
        let disk = Arc::new(FakeDisk(AtomicU64::new(free)));
        let reserve = Reserve::new(disk.clone(), 800).unwrap();
        (disk, reserve)
    }

    #[test]
    fn the_reserve_is_kept_and_room_comes_back_well_above_it() {
        let (disk, reserve) = disk(1000);
        assert!(reserve.has_room());
        for (free, change, has_room) in [
            (800, Change::Same, true),
            (799, Change::Low, false),
            (0, Change::Same, false),
            (899, Change::Same, false),
            (900, Change::Room, true),
            (801, Change::Same, true),
        ] {
            disk.0.store(free, Ordering::SeqCst);
            assert_eq!((reserve.measure().unwrap(), reserve.has_room()), (change, has_room));
        }
    }

    #[test]
    fn what_is_written_counts_before_it_is_measured() {
        let (_, reserve) = disk(1000);
        reserve.written(200);
        assert!(reserve.has_room());
        assert!(
            reserve.leaves_room(0) && !reserve.leaves_room(1) && !reserve.leaves_room(u64::MAX)
        );
        reserve.written(1);
        assert!(!reserve.has_room());
        // It was no more than that: measured, the file system is as full as before.
        assert_eq!(reserve.measure().unwrap(), Change::Same);
        assert!(reserve.has_room());
    }

    #[test]
    fn a_disk_that_cannot_be_measured_is_as_it_was() {
        let (disk, reserve) = disk(1000);
        disk.0.store(u64::MAX, Ordering::SeqCst);
        assert!(reserve.measure().is_err());
        assert!(reserve.has_room());
        assert_eq!(reserve.free_bytes(), 1000);
    }

    #[test]
    fn the_file_system_under_a_folder_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let found = FileSystems::of([folder.path().to_path_buf()]).free_bytes().unwrap();
        assert!(found > 0);
        let gone = FileSystems::of([folder.path().join("gone")]);
        assert!(gone.free_bytes().is_err());
    }
}
