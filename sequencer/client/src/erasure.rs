//! A patient's request to have their readings erased: signed here, carried out by the node's
//! operator, and shown to whoever asks where the readings are.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use files::Audience;
use model::calendar::Utc;
use model::{Digest, Millis, PatientIndex};
use serde::{Deserialize, Serialize};
use statement::{eddsa, field};
use thiserror::Error;
use wire::{DecodeError, ErasureRequest, KeyChecks, SignedErasure};

use crate::key::Key;
use crate::wallet::{Wallet, WalletError, date_back};

/// By which keys and signatures of requests are checked.
pub const CHECKS: KeyChecks = KeyChecks { verifies: eddsa::verify_bytes, hash: eddsa::hash_bytes };

/// Why there is no request.
#[derive(Debug, Error)]
pub enum ErasureError {
    /// There is no record.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The record is open: what is collected from now on would not be erased.
    #[error(
        "expected a record that was stopped, found an open one: vitals consent stop comes first"
    )]
    NotStopped,
    /// It would be valid for too long, or not at all.
    #[error("the request cannot be signed")]
    Request(#[from] DecodeError),
}

/// The request to erase the readings of a wallet's record, for its key to sign.
///
/// # Errors
/// [`ErasureError`]: the record must be stopped, as far as the wallet's copy knows.
pub fn request(
    wallet: &Wallet,
    now: Millis,
    valid_for_ms: u64,
) -> Result<ErasureRequest, ErasureError> {
    let record = wallet.record()?;
    if record.is_open() {
        return Err(ErasureError::NotStopped);
    }
    let requested_at = date_back(now);
    let request = ErasureRequest {
        scope: wallet.scope,
        patient: wallet.patient,
        nonce: record.nonce,
        requested_at,
        // From that time on: whoever asks for the longest validity would be refused for our slack.
        valid_until: requested_at.plus(valid_for_ms),
    };
    // Told before anybody is asked to sign.
    request.to_bytes()?;
    Ok(request)
}

/// Signs it.
///
/// # Errors
/// [`ErasureError::Request`].
pub fn sign(request: ErasureRequest, key: &Key) -> Result<SignedErasure, ErasureError> {
    let message = field::from_word(&request.signing_hash()?.word());
    let signature = eddsa::sign(&key.signer(), message).encode();
    Ok(SignedErasure { request, public_key: key.public().encode(), signature })
}

/// Keeps a signed request in a folder of receipts (`DIGEST.erasure`): the receipt of the erasure
/// names no more than its digest.
///
/// # Errors
/// What the file system says; a request that does not encode is invalid data.
pub fn keep(folder: &Path, signed: &SignedErasure) -> io::Result<PathBuf> {
    let invalid = |error: DecodeError| io::Error::new(io::ErrorKind::InvalidData, error);
    let (bytes, digest) = (signed.to_bytes().map_err(invalid)?, signed.digest().map_err(invalid)?);
    files::make_folder(folder, Audience::Owner)?;
    let path = path_of(folder, &digest);
    files::replace(&path, &[&bytes], Audience::Owner)?;
    Ok(path)
}

/// The request that was kept; `None` if it was not, or the bytes are another's.
pub(crate) fn read_kept(folder: &Path, digest: &Digest) -> io::Result<Option<SignedErasure>> {
    let read = files::read(&path_of(folder, digest), SignedErasure::BYTES as u64, Audience::Owner);
    let bytes = match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let signed = SignedErasure::from_bytes(&bytes).ok();
    Ok(signed.filter(|signed| signed.digest().is_ok_and(|found| found == *digest)))
}

/// What a node said of a request that is not carried out yet: its operator's word.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldStands {
    schema: String,
    /// Whose record.
    pub patient: u32,
    /// Digest of the request, in hex.
    pub request: String,
    /// When it was said.
    pub told_at: String,
    /// Since when a legal hold keeps the readings; none where none does.
    pub held_since: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Without the reason: people write names into it.
impl fmt::Debug for ToldStands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldStands").field("told_at", &self.told_at).finish_non_exhaustive()
    }
}

const TOLD_SCHEMA: &str = "vitals-erasure-told-1";
/// Longest of these files: a reason has at most 256 bytes.
const TOLD_BYTES_MAX: u64 = 4096;
/// Most of them that are read from a folder: a record is erased once.
const TOLD_MAX: usize = 100;

impl ToldStands {
    /// Said at `told_at` of this request, which waits.
    pub fn waiting(patient: u32, request: String, told_at: Millis) -> ToldStands {
        let (schema, told_at) = (TOLD_SCHEMA.to_owned(), Utc(told_at).to_string());
        ToldStands { schema, patient, request, told_at, held_since: None, reason: None }
    }

    /// The same, and a legal hold keeps the readings.
    #[must_use]
    pub fn held(self, since: Millis, reason: String) -> ToldStands {
        ToldStands { held_since: Some(Utc(since).to_string()), reason: Some(reason), ..self }
    }

    /// Keeps it beside the request, in place of what was said before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&self, folder: &Path) -> io::Result<()> {
        files::make_folder(folder, Audience::Owner)?;
        let bytes = serde_json::to_vec(self).map_err(io::Error::from)?;
        files::replace(&told_path(folder, &self.request), &[&bytes], Audience::Owner)
    }
}

/// Forgets what was said of a request: it was carried out.
///
/// # Errors
/// What the file system says.
pub fn forget_told(folder: &Path, digest: &Digest) -> io::Result<()> {
    match std::fs::remove_file(told_path(folder, &hex::encode(digest.0))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What was said of requests of a patient, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ToldFound {
    /// By request.
    pub told: Vec<ToldStands>,
    /// Files that hold something else, cannot be read or are too many. What was said is no more
    /// than an operator's word, so that nothing else waits for them to be put right.
    pub unread: Vec<PathBuf>,
}

/// Everything that was said of requests of a patient.
///
/// # Errors
/// What the file system says of the folder.
pub fn read_told(folder: &Path, patient: PatientIndex) -> io::Result<ToldFound> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ToldFound::default()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == TOLD_END) {
            paths.push(path);
        }
    }
    paths.sort();
    let unread = paths.split_off(paths.len().min(TOLD_MAX));
    let mut found = ToldFound { told: Vec::new(), unread };
    for path in paths {
        match read_one(&path) {
            Some(one) if one.patient == patient.get() => found.told.push(one),
            Some(_) => {}
            None => found.unread.push(path),
        }
    }
    Ok(found)
}

fn read_one(path: &Path) -> Option<ToldStands> {
    let bytes = files::read(path, TOLD_BYTES_MAX, Audience::Owner).ok()?;
    let one: ToldStands = serde_json::from_slice(&bytes).ok()?;
    (one.schema == TOLD_SCHEMA).then_some(one)
}

const TOLD_END: &str = "told";

fn told_path(folder: &Path, request: &str) -> PathBuf {
    folder.join(format!("{request}.{TOLD_END}"))
}

fn path_of(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{}.erasure", hex::encode(digest.0)))
}

#[cfg(test)]
mod tests {
    use model::{Action, ChainScope, PatientIndex};
    use statement::operation::SignedOperation;
    use statement::scope;
    use wire::ErasureOf;

    use super::*;
    use crate::KeyKind;

    const HOUR: u64 = 3_600_000;

    fn at(hour: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + hour * HOUR)
    }

    fn key() -> Key {
        Key::from_secret(KeyKind::Patient, [7; 32])
    }

    fn stopped() -> Wallet {
        let scope = ChainScope { chain_id: 5, contract: [1; 20] };
        let registrar = Key::from_secret(KeyKind::Registrar, [8; 32]);
        let mut wallet = Wallet::new(scope, PatientIndex::new(3).unwrap());
        let domain = scope::sig_domain(scope);
        let enrolment = wallet.enrolment(&key(), at(0), HOUR);
        let signed = SignedOperation::sign(enrolment, domain, &registrar.signer());
        wallet.apply(&signed, at(0), registrar.key_hash()).unwrap();
        assert!(matches!(request(&wallet, at(0), HOUR), Err(ErasureError::NotStopped)));
        let stop = wallet.change(Action::Stop, at(1), HOUR).unwrap();
        let signed = SignedOperation::sign(stop, domain, &key().signer());
        wallet.apply(&signed, at(1), registrar.key_hash()).unwrap();
        wallet
    }

    #[test]
    fn a_request_of_a_stopped_record_is_what_everybody_checks() {
        let wallet = stopped();
        let signed = sign(request(&wallet, at(2), HOUR).unwrap(), &key()).unwrap();
        let Wallet { scope, patient, .. } = wallet;
        let of = ErasureOf { scope, patient, key_hash: key().key_hash(), nonce: 1 };
        assert_eq!(signed.first_difference(&of, CHECKS), None);
        let stranger = Key::from_secret(KeyKind::Patient, [9; 32]);
        let forged = sign(signed.request, &stranger).unwrap();
        assert_eq!(forged.first_difference(&of, CHECKS), Some("key"));
        let borrowed = SignedErasure { public_key: signed.public_key, ..forged };
        assert_eq!(borrowed.first_difference(&of, CHECKS), Some("signature"));
        assert!(request(&wallet, at(2), 31 * 24 * HOUR).is_ok(), "a month is the most");
        assert!(matches!(request(&wallet, at(2), 0), Err(ErasureError::Request(_))));
        assert!(matches!(request(&wallet, at(2), 32 * 24 * HOUR), Err(ErasureError::Request(_))));
    }

    #[test]
    fn what_a_node_said_stays_until_the_request_is_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let signed = sign(request(&stopped(), at(2), HOUR).unwrap(), &key()).unwrap();
        let (patient, digest) = (signed.request.patient, signed.digest().unwrap());
        let told = |patient| read_told(folder.path(), patient).unwrap().told;
        let nothing = read_told(&folder.path().join("none"), patient).unwrap();
        assert_eq!(nothing, ToldFound::default());
        let waits = ToldStands::waiting(patient.get(), hex::encode(digest.0), at(3));
        waits.keep(folder.path()).unwrap();
        let held = waits.held(at(1), "a claim is pending".into());
        held.keep(folder.path()).unwrap();
        assert!(told(patient) == std::slice::from_ref(&held));
        assert!(!format!("{held:?}").contains("claim"), "people write names into reasons");
        let other = PatientIndex::new(patient.get() + 1).unwrap();
        assert_eq!(told(other), []);
        // Whatever else stands there keeps nobody from reading the rest.
        let damaged = told_path(folder.path(), "00");
        for bytes in [b"{}".to_vec(), vec![b' '; TOLD_BYTES_MAX as usize + 1]] {
            files::replace(&damaged, &[&bytes], Audience::Owner).unwrap();
            let found = read_told(folder.path(), patient).unwrap();
            assert_eq!((found.told.len(), found.unread), (1, vec![damaged.clone()]));
        }
        std::fs::remove_file(damaged).unwrap();
        forget_told(folder.path(), &digest).unwrap();
        forget_told(folder.path(), &digest).unwrap();
        assert_eq!(told(patient), []);
    }

    #[test]
    fn what_is_kept_is_found_by_its_digest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("receipts");
        let signed = sign(request(&stopped(), at(2), HOUR).unwrap(), &key()).unwrap();
        let path = keep(&kept, &signed).unwrap();
        let digest = signed.digest().unwrap();
        assert_eq!(read_kept(&kept, &digest).unwrap(), Some(signed));
        let other = Digest([1; 31]);
        assert_eq!(read_kept(&kept, &other).unwrap(), None);
        std::fs::rename(path, path_of(&kept, &other)).unwrap();
        assert_eq!(read_kept(&kept, &other).unwrap(), None, "another's name");
    }
}
