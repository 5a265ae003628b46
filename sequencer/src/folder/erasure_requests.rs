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
        let (path, waiting) = (path.to_owned(), Mutex::new(waiting));
        Ok(ErasureRequests(Arc::new(Kept { path, waiting })))
    }

    /// Keeps a request, durably; the last one of a patient, and none that is over by then. Blocks
    /// for as long as the disk takes.
    ///
    /// # Errors
    /// [`KeepError`]; then what was kept before still is.
    pub fn keep(&self, signed: &SignedErasure, now: Millis) -> Result<(), KeepError> {
        let patient = signed.request.patient;
        let mut waiting = self.0.waiting();
        if waiting.get(&patient) == Some(signed) {
            return Ok(());
        }
        let mut next = waiting.clone();
        next.insert(patient, *signed);
        // One that is over erases nothing; its patient signs another.
        next.retain(|_, one| one.request.valid_until > now);
        if next.len() > REQUESTS_MAX {
            return Err(KeepError::Full);
        }
        self.0.write(&next)?;
        *waiting = next;
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
        let mut waiting = self.0.waiting();
        if !waiting.contains_key(&patient) {
            return Ok(());
        }
        let mut next = waiting.clone();
        next.remove(&patient);
        self.0.write(&next)?;
        *waiting = next;
        Ok(())
    }
}

impl Kept {
    /// A panic elsewhere leaves the map as it was, since it is replaced as a whole.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<PatientIndex, SignedErasure>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, waiting: &BTreeMap<PatientIndex, SignedErasure>) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut bytes = Vec::with_capacity(waiting.len() * SignedErasure::BYTES);
        for signed in waiting.values() {
            bytes.extend(signed.to_bytes().map_err(invalid)?);
        }
        files::replace(&self.path, &[&bytes], Audience::Owner)
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

    fn request(patient: u32, nonce: u32) -> SignedErasure {
        let requested_at = at(0);
        let request = ErasureRequest {
            scope: ChainScope { chain_id: 5, contract: [6; 20] },
            patient: PatientIndex::new(patient).unwrap(),
            nonce,
            requested_at,
            valid_until: requested_at.plus(1000),
        };
        SignedErasure { request, public_key: [1; 32], signature: [2; 64] }
    }

    #[test]
    fn a_request_waits_over_a_start_until_it_is_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.waiting");
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!(requests.count(at(1)), 0);
        for signed in [request(7, 1), request(3, 1), request(7, 2)] {
            requests.keep(&signed, at(1)).unwrap();
        }
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!(requests.waiting(at(999)), [request(3, 1), request(7, 2)]);
        let patient = request(7, 2).request.patient;
        assert_eq!(requests.of(patient), Some(request(7, 2)));
        requests.forget(patient).unwrap();
        requests.forget(patient).unwrap();
        let requests = ErasureRequests::open(&path).unwrap();
        assert_eq!((requests.count(at(1)), requests.of(patient)), (1, None));
        // Over, and gone with the next one that is kept.
        assert_eq!(requests.count(at(1000)), 0);
        let mut later = request(9, 1);
        later.request.valid_until = at(5000);
        requests.keep(&later, at(1000)).unwrap();
        assert_eq!(requests.waiting(at(0)), [later]);
    }

    #[test]
    fn what_cannot_be_kept_is_not_there_and_a_damaged_file_is_not_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("erasures.waiting");
        let requests = ErasureRequests::open(&path).unwrap();
        assert!(matches!(requests.keep(&request(7, 1), at(1)), Err(KeepError::Disk(_))));
        assert_eq!(requests.count(at(1)), 0);
        let path = folder.path().join("erasures.waiting");
        ErasureRequests::open(&path).unwrap().keep(&request(7, 1), at(1)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        files::replace(&path, &[&bytes], Audience::Owner).unwrap();
        let found = ErasureRequests::open(&path).err().unwrap();
        assert_eq!(found.kind(), io::ErrorKind::InvalidData);
    }
}
