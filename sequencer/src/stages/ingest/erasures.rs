//! Requests to erase that come without a connection, over HTTP: kept for the operator, who carries
//! them out (`sequencer erase`).
//!
//! What a door may promise is little: a request takes effect once its patient's stop is settled and
//! an operator did what the law asks of them. So it is looked at as an operation is, kept durably,
//! and whoever sends the same bytes again is told how it stands, with the receipt once it is done.
//! A stranger learns one thing only, that what it sent was not taken.

use std::net::IpAddr;

use bytes::Bytes;
use model::{ChainScope, Millis, PatientIndex};
use thiserror::Error;
use wire::{DecodeError, KeyChecks, SignedErasure, SignedReceipt};

use super::door::{DoorError, DoorParts, OperationDoor};
use crate::folder::erasure_requests::KeepError;
use crate::stages::deliver::AgainError;
use crate::stages::ledger::{Erasures, KEY_CHECKS, NotErased, Owner, Tombstone};

/// How a request stands.
#[derive(Debug)]
pub enum ErasureStands {
    /// It waits for the operator.
    Waiting,
    /// It waits, and a legal hold keeps the readings.
    Held {
        /// Since when.
        since: Millis,
        /// Why, in the operator's words.
        reason: String,
    },
    /// It was carried out.
    Erased {
        /// When.
        at: Millis,
        /// For the patient.
        receipt: Box<SignedReceipt>,
    },
}

/// A request that was taken.
#[derive(Debug)]
pub struct TakenErasure {
    /// The request.
    pub signed: SignedErasure,
    /// How it stands.
    pub stands: ErasureStands,
}

/// Why a request is not taken.
#[derive(Debug, Error)]
pub enum ErasureDoorError {
    /// The bytes are none.
    #[error("the bytes are no signed request to erase")]
    Malformed(#[from] DecodeError),
    /// The door is busy, or what looks at it panicked.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// Wrong key, over, of a time to come, of another deployment or of nobody: which one a stranger
    /// is not told.
    #[error("expected a request that the patient's key signed, for this deployment, valid now")]
    NotTaken,
    /// Told to whoever has bytes that the key signed.
    #[error(transparent)]
    Refused(#[from] NotErased),
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// It was carried out, and its receipt cannot be given.
    #[error("it was carried out, and its receipt cannot be given")]
    Receipt(#[from] AgainError),
}

impl OperationDoor {
    /// Takes a request to erase that came from `from`, and says how it stands.
    ///
    /// # Errors
    /// [`ErasureDoorError`].
    pub async fn take_erasure(
        &self,
        from: IpAddr,
        bytes: Bytes,
    ) -> Result<TakenErasure, ErasureDoorError> {
        let signed = SignedErasure::from_bytes(&bytes)?;
        self.look(from)?;
        self.on_thread(move |parts| take(parts, signed)).await?
    }
}

/// A curve's work and a disk's: on a thread for that.
fn take(parts: &DoorParts, signed: SignedErasure) -> Result<TakenErasure, ErasureDoorError> {
    let (request, patient) = (signed.request, signed.request.patient);
    let owner = whose(&signed, parts.scope, parts.view.owner(patient), KEY_CHECKS);
    let owner = owner.ok_or(ErasureDoorError::NotTaken)?;
    if let Some(tombstone) = parts.view.erasures().tombstone(patient) {
        return erased(parts, signed, tombstone);
    }
    let now = parts.clock.now();
    // As the ledger does that carries it out: what it refuses would only be in another's way.
    let latest = now.plus(parts.ahead_ms_max);
    if request.requested_at > latest || now >= request.valid_until {
        return Err(ErasureDoorError::NotTaken);
    }
    if owner.closed_at == Millis::UNBOUNDED_FUTURE {
        return Err(NotErased::NotStopped.into());
    }
    if owner.nonce != request.nonce {
        return Err(NotErased::NotTheirs { part: "nonce" }.into());
    }
    keep(parts, signed, now)
}

/// The owner of the record that is named, if their key signed this for this deployment. The number
/// of operations is told apart, to whoever holds the key.
///
/// The curve's work is done for an index of nobody's as well: else the time that an answer takes
/// would tell a stranger which indices are patients.
fn whose(
    signed: &SignedErasure,
    scope: ChainScope,
    owner: Option<Owner>,
    checks: KeyChecks,
) -> Option<Owner> {
    let is_signed = signed.is_signed(checks.verifies);
    let key_hash = (checks.hash)(&signed.public_key);
    let is_ours = is_signed && signed.request.scope == scope;
    owner.filter(|owner| is_ours && key_hash == Some(owner.key_hash))
}

/// Keeps a request that may be carried out.
pub(super) fn keep(
    parts: &DoorParts,
    signed: SignedErasure,
    now: Millis,
) -> Result<TakenErasure, ErasureDoorError> {
    let patient = signed.request.patient;
    parts.requests.keep(&signed, now)?;
    let erasures = parts.view.erasures();
    let Some(tombstone) = erasures.tombstone(patient) else {
        return Ok(TakenErasure { signed, stands: waiting(&erasures, patient) });
    };
    // One was carried out since this was looked at, and whoever did it has forgotten what waited
    // then.
    if let Err(error) = parts.requests.forget(patient) {
        tracing::warn!(%error, "a request to erase that was carried out is still kept");
    }
    erased(parts, signed, tombstone)
}

/// Of a patient who is erased: the receipt, of the request that was carried out.
fn erased(
    parts: &DoorParts,
    signed: SignedErasure,
    tombstone: &Tombstone,
) -> Result<TakenErasure, ErasureDoorError> {
    let at = tombstone.time;
    if tombstone.digest != signed.digest()? {
        return Err(NotErased::Erased { at }.into());
    }
    let receipt = Box::new(parts.hub.receipt_at(tombstone.position, tombstone.requester)?);
    Ok(TakenErasure { signed, stands: ErasureStands::Erased { at, receipt } })
}

/// Of one that was not carried out.
fn waiting(erasures: &Erasures, patient: PatientIndex) -> ErasureStands {
    match erasures.hold(patient) {
        Some(hold) => {
            ErasureStands::Held { since: hold.since, reason: hold.reason.as_str().to_owned() }
        }
        None => ErasureStands::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use model::Word;
    use wire::ErasureRequest;

    use super::*;

    thread_local! {
        /// Signatures that were verified, and keys that were hashed.
        static WORK: Cell<[u32; 2]> = const { Cell::new([0; 2]) };
    }

    /// Counted: a key of ones with a signature of twos is somebody's.
    const CHECKS: KeyChecks = KeyChecks {
        verifies: |key, _, signature| {
            let [verified, hashed] = WORK.get();
            WORK.set([verified + 1, hashed]);
            key == &[1; 32] && signature == &[2; 64]
        },
        hash: |key| {
            let [verified, hashed] = WORK.get();
            WORK.set([verified, hashed + 1]);
            (key == &[1; 32]).then_some(Word::ZERO)
        },
    };

    fn scope() -> ChainScope {
        ChainScope { chain_id: 5, contract: [6; 20] }
    }

    fn signed(scope: ChainScope, key: u8, signature: u8) -> SignedErasure {
        let requested_at = Millis::from_unix_ms(1_777_624_200_000);
        let request = ErasureRequest {
            scope,
            patient: PatientIndex::new(7).unwrap(),
            nonce: 1,
            requested_at,
            valid_until: requested_at.plus(1000),
        };
        SignedErasure { request, public_key: [key; 32], signature: [signature; 64] }
    }

    #[test]
    fn the_same_work_is_done_whoever_is_named_and_whatever_is_wrong() {
        let of = |key_hash| {
            let (closed_at, view_key) = (Millis::UNBOUNDED_FUTURE, Word::ZERO);
            Some(Owner { key_hash, nonce: 1, closed_at, view_key })
        };
        let elsewhere = ChainScope { chain_id: 6, ..scope() };
        for (why, signed, owner, is_theirs) in [
            ("theirs", signed(scope(), 1, 2), of(Word::ZERO), true),
            ("nobody's index", signed(scope(), 1, 2), None, false),
            ("another's index", signed(scope(), 1, 2), of(Word::from_u64(9)), false),
            ("another deployment", signed(elsewhere, 1, 2), of(Word::ZERO), false),
            ("another key", signed(scope(), 3, 2), of(Word::ZERO), false),
            ("a forged signature", signed(scope(), 1, 3), of(Word::ZERO), false),
        ] {
            WORK.set([0; 2]);
            assert_eq!(whose(&signed, scope(), owner, CHECKS).is_some(), is_theirs, "{why}");
            assert_eq!(WORK.get(), [1, 1], "{why}");
        }
    }
}
