//! A patient's request to have their readings erased: signed here, carried out by the node's
//! operator, and shown to whoever asks where the readings are.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use model::{Digest, Millis};
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
