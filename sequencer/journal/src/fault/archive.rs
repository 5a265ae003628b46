//! An archive in memory, whose objects a test takes away or changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Archive, ArchivedFile, FetchError, Medium, PutAwayError, Reader};

/// Objects by the hash that they were put under. Clones are the same ones.
#[derive(Clone, Default)]
pub struct FaultArchive {
    held: Arc<Mutex<BTreeMap<[u8; 32], Vec<u8>>>>,
    reads: Arc<AtomicU64>,
}

/// Prints nothing of what is there.
impl fmt::Debug for FaultArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultArchive")
    }
}

impl FaultArchive {
    /// Puts an object, and says under which hash.
    pub fn put(&self, bytes: Vec<u8>) -> [u8; 32] {
        let digest = *blake3::hash(&bytes).as_bytes();
        self.held().insert(digest, bytes);
        digest
    }

    /// Archives as a node does: each file that was left leaves once it and its index are here. Says
    /// how many did.
    ///
    /// # Errors
    /// [`PutAwayError`]; it may be called again.
    pub fn put_files_away<M: Medium>(&self, journal: &Reader<M>) -> Result<u64, PutAwayError> {
        let mut count = 0;
        for file in journal.local_files().unwrap_or_default() {
            let sealed = journal.sealed_file(file)?;
            let mut bytes = vec![0; sealed.length as usize];
            if journal.read_file(file, 0, &mut bytes).is_err() {
                break;
            }
            journal.put_away(file, &self.put(bytes))?;
            count += 1;
        }
        Ok(count)
    }

    /// Takes an object away; `None` if there is none.
    pub fn take(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        self.held().remove(digest)
    }

    /// Whether there is such an object.
    pub fn has(&self, digest: &[u8; 32]) -> bool {
        self.held().contains_key(digest)
    }

    /// Changes every object under its own name: an archive that lies.
    pub fn change_all(&self, change: impl FnMut(&mut Vec<u8>)) {
        self.held().values_mut().for_each(change);
    }

    /// The objects as they are now.
    pub fn objects(&self) -> BTreeMap<[u8; 32], Vec<u8>> {
        self.held().clone()
    }

    /// Another archive with the same objects.
    pub fn copy(&self) -> FaultArchive {
        FaultArchive { held: Arc::new(Mutex::new(self.objects())), reads: Arc::default() }
    }

    /// How often it was read from.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Vec<u8>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Archive for FaultArchive {
    fn read_at(
        &self,
        file: &ArchivedFile,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), FetchError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let ArchivedFile { file, length, digest } = *file;
        let object = blake3::Hash::from_bytes(digest).to_hex().to_string();
        let held = self.held();
        let Some(found) = held.get(&digest) else {
            return Err(FetchError::Missing { file, object });
        };
        let part = usize::try_from(offset).ok().and_then(|at| found.get(at..at + bytes.len()));
        match part {
            Some(part) if found.len() as u64 == length => {
                bytes.copy_from_slice(part);
                Ok(())
            }
            _ => Err(FetchError::Damaged { file, object, length, expected: digest }),
        }
    }
}
