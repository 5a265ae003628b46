//! Requests to erase that patients handed in over HTTP, until an operator carries them out.
//!
//! One file, in which each stands whole behind the other: it is replaced as a whole, so that a
//! request is in it before its patient is told that it is. A request names a patient by index and
//! has no secret in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use files::Audience;
use model::{Millis, PatientIndex};
use thiserror::Error;
use wire::SignedErasure;

/// Most requests that wait at once, one a patient. Memory and disk: 1.5 MB.
pub const REQUESTS_MAX: usize = 10_000;

/// A request that is not kept.
#[derive(Debug, Error)]
pub enum KeepError {
    /// There are too many.
    #[error("expected at most {REQUESTS_MAX} requests to erase that wait, found as many")]
    Full,
    /// The disk does not take it.
    #[error("the request to erase is not kept")]
    Disk(#[from] io::Error),
}

/// The requests that wait. Cheap to clone.
#[derive(Clone)]
pub struct ErasureRequests(Arc<Kept>);

struct Kept {
    path: PathBuf,
    /// Held by the one who changes them, for as long as the disk takes. Taken before the other.
    writing: Mutex<()>,
    /// Held to look at them or to replace them, and never while a disk works: whoever asks how many
    /// wait has a thread of the runtime.
    waiting: Mutex<BTreeMap<PatientIndex, SignedErasure>>,
}

impl ErasureRequests {
    /// Reads what an earlier run kept.
    ///
    /// # Errors
    /// What the system says; content that is none of requests is invalid data.
    pub fn open(path: &Path) -> io::Result<ErasureRequests> {
        let most = (REQUESTS_MAX * SignedErasure::BYTES) as u64;
        let bytes = match files::read(path, most, Audience::Owner) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        let damaged = || {
            let why = "expected whole requests to erase, found something else: move the file away, \
                       and ask its patients to send theirs again";
            io::Error::new(io::ErrorKind::InvalidData, why)
        };
        if bytes.len() % SignedErasure::BYTES != 0 {
            return Err(damaged());
        }
        let requests = bytes.chunks(SignedErasure::BYTES).map(|bytes| {
            let signed = SignedErasure::from_bytes(bytes).ok()?;
            Some((signed.request.patient, signed))
        });
        let waiting = requests.collect::<Option<_>>().ok_or_else(damaged)?;
        let (path, writing) = (path.to_owned(), Mutex::default());
        Ok(ErasureRequests(Arc::new(Kept { path, writing, waiting: Mutex::new(waiting) })))
    }

    /// Keeps a request, durably, and none that is over by then. Of several of a patient the one
    /// that is good longest, the first of these: whoever has an older one of theirs and sends it
    /// again takes nothing away. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`KeepError`]; then what was kept before still is.
    pub fn keep(&self, signed: &SignedErasure, now: Millis) -> Result<(), KeepError> {
        let patient = signed.request.patient;
        let _writing = self.0.writing();
        let mut next = self.0.waiting().clone();
        let until = |one: &SignedErasure| one.request.valid_until;
        if next.get(&patient).is_some_and(|kept| until(kept) >= until(signed)) {
            return Ok(());
        }
        next.insert(patient, *signed);
        // One that is over erases nothing; its patient signs another.
        next.retain(|_, one| until(one) > now);
        if next.len() > REQUESTS_MAX {
            return Err(KeepError::Full);
        }
        self.0.write(next)?;
        Ok(())
    }

    /// The request of a patient, if one waits.
    pub fn of(&self, patient: PatientIndex) -> Option<SignedErasure> {
        self.0.waiting().get(&patient).copied()
    }

    /// Every request that waits and is not over, by patient.
    pub fn waiting(&self, now: Millis) -> Vec<SignedErasure> {
        let waiting = self.0.waiting();
        waiting.values().filter(|one| one.request.valid_until > now).copied().collect()
    }

    /// How many do.
    pub fn count(&self, now: Millis) -> usize {
        self.waiting(now).len()
    }

    /// Forgets that of a patient, durably: it was carried out. Blocks for as long as the disk
    /// takes.
    ///
    /// # Errors
    /// What the system says; then it waits on.
    pub fn forget(&self, patient: PatientIndex) -> io::Result<()> {
        let _writing = self.0.writing();
        let mut next = self.0.waiting().clone();
        if next.remove(&patient).is_none() {
            return Ok(());
        }
        self.0.write(next)
    }
}

impl Kept {
    /// A panic elsewhere leaves the map as it was, since it is replaced as a whole.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<PatientIndex, SignedErasure>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is left half done there, since the map is replaced last.
    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits from now on, by the one who is writing; shown once it is durable.
    fn write(&self, waiting: BTreeMap<PatientIndex, SignedErasure>) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut bytes = Vec::with_capacity(waiting.len() * SignedErasure::BYTES);
        for signed in waiting.values() {
            bytes.extend(signed.to_bytes().map_err(invalid)?);
        }
        files::replace(&self.path, &[&bytes], Audience::Owner)?;
        *self.waiting() = waiting;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::ChainScope;
    use wire::ErasureRequest;

    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + ms)
    }

    fn request(patient: u32, valid_ms: u64) -> SignedErasure {
        let requested_at = at(0);
        let request = ErasureRequest {
            scope: ChainScope { chain_id: 5, contract: [6; 20] },
            patient: PatientIndex::new(patient).unwrap(),
            nonce: 1,
            requested_at,
            valid_until: requested_at.plus(valid_ms),
        };
        SignedErasure { request, public_key: [1; 32], signature: [2; 64] }
    }

    #[test]
    fn a_request_waits_over_a_start_until_it_is_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.waiting");
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!(requests.count(at(1)), 0);
        for signed in [request(7, 500), request(3, 1000), request(7, 1000)] {
            requests.keep(&signed, at(1)).unwrap();
        }
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!(requests.waiting(at(999)), [request(3, 1000), request(7, 1000)]);
        let patient = request(7, 1000).request.patient;
        assert_eq!(requests.of(patient), Some(request(7, 1000)));
        requests.forget(patient).unwrap();
        requests.forget(patient).unwrap();
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!((requests.count(at(1)), requests.of(patient)), (1, None));
        // Over, and gone with the next one that is kept.
        assert_eq!(requests.count(at(1000)), 0);
        let later = request(9, 5000);
        requests.keep(&later, at(1000)).unwrap();
        assert_eq!(requests.waiting(at(0)), [later]);
    }

    #[test]
    fn an_older_request_that_somebody_sends_again_displaces_none_that_is_good_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.waiting");
        let requests = ErasureRequests::open(&path).unwrap();
        for valid_ms in [2000, 500, 2000, 3000, 1000] {
            requests.keep(&request(7, valid_ms), at(1)).unwrap();
        }
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!(requests.waiting(at(1)), [request(7, 3000)]);
    }

    #[test]
    fn whoever_counts_them_does_not_wait_for_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let requests = ErasureRequests::open(&folder.path().join("erasures.waiting")).unwrap();
        requests.keep(&request(7, 1000), at(1)).unwrap();
        // As while one is written: the same thread would wait for itself.
        let _writing = requests.0.writing();
        assert_eq!(requests.count(at(1)), 1);
        assert_eq!(requests.of(request(7, 1000).request.patient), Some(request(7, 1000)));
    }

    #[test]
    fn what_cannot_be_kept_is_not_there_and_a_damaged_file_is_not_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("erasures.waiting");
        let requests = ErasureRequests::open(&path).unwrap();
        assert!(matches!(requests.keep(&request(7, 1000), at(1)), Err(KeepError::Disk(_))));
        assert_eq!(requests.count(at(1)), 0);
        let path = folder.path().join("erasures.waiting");
        ErasureRequests::open(&path).unwrap().keep(&request(7, 1000), at(1)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        files::replace(&path, &[&bytes], Audience::Owner).unwrap();
        let found = ErasureRequests::open(&path).err().unwrap();
        assert_eq!(found.kind(), io::ErrorKind::InvalidData);
    }
}
