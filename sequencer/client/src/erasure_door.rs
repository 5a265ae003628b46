//! Requests to erase over HTTP: handed to a node, which keeps them for its operator and says how
//! they stand. That it waits or is held is the operator's word; that it was carried out, the
//! receipt says, which is verified here.

use std::io;

use model::Millis;
use model::calendar::parse_instant;
use serde_json::Value;
use statement::eddsa;
use thiserror::Error;
use wire::{DecodeError, Holder, Reason, ReceiptError, SignedErasure, SignedReceipt};

use crate::at_door::{ReceiptOf, Tried};
use crate::hand_in::Door;
use crate::identity::Deployment;
use crate::patience::{LetPass, StayedBusy, Waits};

/// How a request stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErasureStands {
    /// The operator has it, and did not carry it out yet.
    Waiting,
    /// A legal hold keeps the readings.
    Held {
        /// Since when.
        since: Millis,
        /// Why, in the operator's words: as long and as plain as a [`Reason`].
        reason: String,
    },
    /// It was carried out.
    Erased {
        /// When.
        at: Millis,
        /// The receipt of it.
        receipt: Box<SignedReceipt>,
    },
}

/// Why nobody says how a request stands. The request itself is good for as long as it is valid, and
/// may be sent again.
#[derive(Debug, Error)]
pub enum ErasureDoorError {
    /// It does not encode.
    #[error("the request cannot be sent")]
    Request(#[from] DecodeError),
    /// Nobody is there, or something else than a node.
    #[error("expected somebody at {host}: send the request again later (--send FILE)")]
    Unavailable {
        /// Who was asked.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// The node stayed busy, or silent.
    #[error(
        "expected an answer of {host}, found {why}: send the request again later (--send FILE)"
    )]
    Busy {
        /// Who was asked.
        host: String,
        /// What it says.
        why: String,
        /// How long it was waited for.
        source: StayedBusy,
    },
    /// The node does not take it.
    #[error("{host} does not take the request to erase: {why} (status {status})")]
    Refused {
        /// Who was asked.
        host: String,
        /// The status of its answer.
        status: u16,
        /// What it says.
        why: String,
    },
    /// The answer says nothing.
    #[error("expected {host} to say how the request stands, found something else")]
    Malformed {
        /// Who was asked.
        host: String,
    },
    /// The receipt does not hold.
    #[error("the receipt of {host} does not hold")]
    Receipt {
        /// Who was asked.
        host: String,
        /// Why not.
        source: ReceiptError,
    },
    /// The receipt is of something else.
    #[error(
        "expected a receipt of {host} for this deployment that names the request and its signer, \
         found one that does not: it says nothing of this erasure"
    )]
    OtherReceipt {
        /// Who was asked.
        host: String,
    },
}

/// Hands a request in, or asks again how it stands: the same bytes change nothing. A busy node is
/// waited for as `let_pass` lets time pass.
///
/// # Errors
/// [`ErasureDoorError`].
pub fn ask_erasure(
    door: &Door,
    deployment: &Deployment,
    signed: &SignedErasure,
    let_pass: LetPass<'_>,
) -> Result<ErasureStands, ErasureDoorError> {
    let host = door.address().peer().to_string();
    let body = send(door, &signed.to_bytes()?, &mut Waits::begin(let_pass))?;
    let malformed = || ErasureDoorError::Malformed { host: host.clone() };
    let answer: Value = serde_json::from_slice(&body).map_err(|_| malformed())?;
    let word = |name: &str| answer[name].as_str().map(str::to_owned).ok_or_else(malformed);
    let is_ours = answer["schema"] == "vitals-erasure-request-1"
        && word("request")? == hex::encode(signed.digest()?.0);
    match word("state")?.as_str() {
        "waiting" if is_ours => Ok(ErasureStands::Waiting),
        "held" if is_ours => held(&word("since")?, &word("reason")?).ok_or_else(malformed),
        "erased" if is_ours => {
            let bytes = hex::decode(word("receipt")?).map_err(|_| malformed())?;
            erased(&host, deployment, signed, &bytes)
        }
        _ => Err(malformed()),
    }
}

/// A hold, in words that a node can have of one: they are kept, and read again by every log.
fn held(since: &str, reason: &str) -> Option<ErasureStands> {
    let since = parse_instant(since).ok()?.millis();
    let reason = Reason::new(reason).ok()?.as_str().to_owned();
    Some(ErasureStands::Held { since, reason })
}

/// What the receipt says, if it is one of this request.
fn erased(
    host: &str,
    deployment: &Deployment,
    signed: &SignedErasure,
    receipt: &[u8],
) -> Result<ErasureStands, ErasureDoorError> {
    let holder = eddsa::hash_bytes(&signed.public_key).map(|hash| Holder::signer(&hash));
    let expected = ReceiptOf { deployment, holder, digest: signed.digest()? };
    let wrong = |source| ErasureDoorError::Receipt { host: host.to_owned(), source };
    let other = || ErasureDoorError::OtherReceipt { host: host.to_owned() };
    let found = expected.read(receipt).map_err(wrong)?.ok_or_else(other)?;
    Ok(ErasureStands::Erased { at: found.time, receipt: Box::new(found.receipt) })
}

fn send(door: &Door, bytes: &[u8], waits: &mut Waits<'_>) -> Result<Vec<u8>, ErasureDoorError> {
    let (peer, path) = (door.address().peer(), format!("{}/erasures", door.address().path));
    let host = || peer.to_string();
    loop {
        let (busy, why) = match Tried::once(peer, &path, bytes) {
            Tried::Taken(body) => return Ok(body),
            Tried::Refused { status, why } => {
                return Err(ErasureDoorError::Refused { host: host(), status, why });
            }
            Tried::NoTls(source) | Tried::Unreached(source) => {
                return Err(ErasureDoorError::Unavailable { host: host(), source });
            }
            Tried::Unsaid { busy, why } => (busy, why),
        };
        if let Err(source) = waits.wait(&host(), busy) {
            return Err(ErasureDoorError::Busy { host: host(), why, source });
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::limits::REASON_BYTES_MAX;

    use super::*;

    #[test]
    fn a_hold_has_a_time_and_a_reason_of_a_reasons_length_or_it_says_nothing() {
        let since = "2026-05-01T00:00:00.000Z";
        let most = "x".repeat(REASON_BYTES_MAX);
        let found = held(since, &most);
        let Some(ErasureStands::Held { since: at, reason }) = found else { panic!("a hold") };
        assert_eq!((model::calendar::Utc(at).to_string(), reason), (since.to_owned(), most));
        assert_eq!(held(since, &"x".repeat(REASON_BYTES_MAX + 1)), None);
        assert_eq!(held(since, "a claim\nis pending"), None);
        assert_eq!(held(&"2".repeat(4096), "a claim is pending"), None);
        assert_eq!(held("yesterday", "a claim is pending"), None);
    }
}
