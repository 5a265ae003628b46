//! Requests to erase that come without a connection, over HTTP: kept for the operator, who carries
//! them out (`sequencer erase`).
//!
//! What a door may promise is little: a request takes effect once its patient's stop is settled and
//! an operator did what the law asks of them. So it is looked at as an operation is, kept durably,
//! and whoever sends the same bytes again is told how it stands, with the receipt once it is done.
//! A stranger learns one thing only, that what it sent was not taken.

use std::net::IpAddr;

use bytes::Bytes;
use model::{Millis, PatientIndex};
use thiserror::Error;
use wire::{DecodeError, ErasureOf, SignedErasure, SignedReceipt};

use super::door::{DoorError, DoorParts, OperationDoor};
use crate::folder::erasure_requests::KeepError;
use crate::stages::deliver::AgainError;
use crate::stages::ledger::{Erasures, KEY_CHECKS, NotErased};

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
    /// Wrong key, over, of another deployment or of nobody: which one a stranger is not told.
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
    let owner = parts.view.owner(patient).ok_or(ErasureDoorError::NotTaken)?;
    // The number of operations is told apart, to whoever holds the key.
    let about =
        ErasureOf { scope: parts.scope, patient, key_hash: owner.key_hash, nonce: request.nonce };
    if signed.first_difference(&about, KEY_CHECKS).is_some() {
        return Err(ErasureDoorError::NotTaken);
    }
    let erasures = parts.view.erasures();
    if let Some(tombstone) = erasures.tombstone(patient) {
        if tombstone.digest != signed.digest()? {
            return Err(NotErased::Erased { at: tombstone.time }.into());
        }
        let receipt = Box::new(parts.hub.receipt_at(tombstone.position, tombstone.requester)?);
        return Ok(TakenErasure {
            signed,
            stands: ErasureStands::Erased { at: tombstone.time, receipt },
        });
    }
    let now = parts.clock.now();
    if now >= request.valid_until {
        return Err(ErasureDoorError::NotTaken);
    }
    if owner.closed_at == Millis::UNBOUNDED_FUTURE {
        return Err(NotErased::NotStopped.into());
    }
    if owner.nonce != request.nonce {
        return Err(NotErased::NotTheirs { part: "nonce" }.into());
    }
    parts.requests.keep(&signed, now)?;
    Ok(TakenErasure { signed, stands: waiting(&erasures, patient) })
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
