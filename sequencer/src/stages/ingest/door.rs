//! Signed operations that come without a connection, over HTTP: the signature is the authority.
//!
//! ```text
//!   bytes -> length, kind -> [by network] -> signature, record -> [by patient] -> writer's queue
//!            (no curve)       by urgency          |                                  |
//!                                                 \- came before? -> receipt <- durable
//! ```
//! There is no certificate, so what is looked at is bounded by where it comes from, and its holder
//! is whoever has the key that signed it: a receipt names what this key signed and nothing of
//! others. A stranger learns one thing only, that what it sent was not taken: an index without a
//! record, a signature that does not verify and a nonce that was used are one answer.
//!
//! What can wait and what protects a patient have rates, threads and places of their own all the
//! way. Enrolments do not come in here: they hold the key that opens all that is proven of a
//! patient, and whoever adds TLS before the node would see it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{
    Action, ChainScope, Clock, Digest, Millis, Operation, OperationError, Position, RejectCode,
    RuleNumber,
};
use statement::field;
use statement::operation as signed;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use wire::{DecodeError, Holder, SignedOperation, SignedReceipt};

use super::admit::{Admit, AdmitError};
use super::buckets::Rate;
use super::config::RateConfig;
use super::observe::{Observe, Observed, RejectedPeer};
use super::places::Network;
use super::sources::{Asking, ByUrgency, Sources};
use crate::folder::erasure_requests::ErasureRequests;
use crate::guard::panic_of_task;
use crate::stages::deliver::{AgainError, ReceiptHub};
use crate::stages::ledger::{Answer, Item, LedgerView};
use crate::stages::rows::Urgency;

/// Requests of a network that are decoded, for each operation whose signature is looked at: as many
/// mistakes.
const LOOKS: u32 = 2;

/// Signatures that are looked at at once, of each urgency: a millisecond of a processor each.
const EXAMINED_AT_ONCE: usize = 2;

/// Receipts that are made again at once: each reads a group, of up to 17 MiB.
const RECEIPTS_AT_ONCE: usize = 2;

/// Tries without a rate: none, since a request costs its sender no handshake.
const TRIES: u32 = u32::MAX;

/// Takes signed operations from anywhere. Cheap to clone.
#[derive(Clone)]
pub struct OperationDoor {
    shared: Arc<Shared>,
}

struct Shared {
    parts: DoorParts,
    /// Requests by network, whoever signed them.
    looks: Mutex<ByUrgency<Holder>>,
    sources: Sources,
    ordinary: Arc<Semaphore>,
    protecting: Arc<Semaphore>,
    receipts: Arc<Semaphore>,
}

/// What the door uses of the node.
pub struct DoorParts {
    /// Chain and contract.
    pub scope: ChainScope,
    /// Where requests to erase wait for the operator.
    pub requests: ErasureRequests,
    /// Where operations go.
    pub admit: Admit,
    /// What is durable of the ledger.
    pub view: LedgerView,
    /// Where receipts come from.
    pub hub: ReceiptHub,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// By how much a request to erase may be signed later than that.
    pub ahead_ms_max: u64,
    /// What is counted.
    pub observe: Arc<dyn Observe>,
}

/// An operation that decodes; who signed it is not known yet.
#[derive(Debug)]
pub struct Arrived {
    operation: SignedOperation,
    urgency: Urgency,
    source: Holder,
}

/// An operation that was examined: its key signed it, and its sources may still send.
pub struct Examined {
    operation: SignedOperation,
    urgency: Urgency,
    holder: Holder,
    signed_at: Millis,
}

/// An operation that took effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where.
    pub position: Position,
    /// Whom its receipt is for: the key that signed it.
    pub holder: Holder,
}

/// What becomes of an operation before it is submitted.
pub enum Asked {
    /// It may be submitted.
    New(Examined),
    /// It took effect before.
    Stored(Stored),
}

/// Why an operation is not taken.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The bytes are too many or none.
    #[error("the bytes are no signed operation")]
    Length(#[from] DecodeError),
    /// What is signed is no operation.
    #[error("the bytes are no signed operation")]
    Operation(#[from] OperationError),
    /// Key or signature are none.
    #[error("the bytes are no signed operation")]
    Malformed(#[from] signed::SignedOperationError),
    /// Enrolments do not come this way.
    #[error("expected an operation that a patient signs, found an enrolment")]
    Enrolment,
    /// The network or the patient asks too often.
    #[error("expected fewer operations a minute")]
    TooOften,
    /// Wrong key, used nonce, over, or of nobody: which one a stranger is not told.
    #[error("expected an operation that the patient's key signed, with the next nonce")]
    NotTaken,
    /// A rule refuses it. Told to whoever has bytes that the key signed.
    #[error("refused as {code:?}")]
    Refused {
        /// What a session would be told.
        code: RejectCode,
        /// Which rule.
        rule: Option<RuleNumber>,
    },
    /// The writer does not take it now.
    #[error("it is not taken now")]
    Admit(#[from] AdmitError),
    /// Nobody knows whether it took effect: it took too long, or the writer ended with it in hand.
    #[error("expected it to be durable within {} s, by a writer that goes on", wait.as_secs())]
    Unacknowledged {
        /// How long was waited.
        wait: Duration,
    },
    /// It took effect, and its receipt cannot be given.
    #[error("it took effect at position {}, and its receipt cannot be given", position.0)]
    Receipt {
        /// Where.
        position: Position,
        /// Why not.
        source: AgainError,
    },
    /// What looks at it panicked.
    #[error("it was not looked at: {0}")]
    Panicked(String),
}

impl Arrived {
    /// Whether it takes something away from others, and so has places of its own.
    pub fn protects(&self) -> bool {
        self.urgency == Urgency::Protecting
    }
}

impl OperationDoor {
    /// Takes as many as `rates` allows of each network, and of each patient and network.
    pub fn new(parts: DoorParts, rates: &RateConfig) -> OperationDoor {
        let (looks, sources) = (Mutex::new(looks(rates)), Sources::new(rates));
        let places = |count| Arc::new(Semaphore::new(count));
        let (ordinary, protecting) = (places(EXAMINED_AT_ONCE), places(EXAMINED_AT_ONCE));
        let receipts = places(RECEIPTS_AT_ONCE);
        let shared = Shared { parts, looks, sources, ordinary, protecting, receipts };
        OperationDoor { shared: Arc::new(shared) }
    }

    /// What is durable of the ledger.
    pub fn view(&self) -> &LedgerView {
        &self.shared.parts.view
    }

    /// Begins anew with other rates: every bucket is full.
    pub fn set_rates(&self, rates: &RateConfig) {
        self.shared.sources.set_rates(rates);
        *self.shared.looks() = looks(rates);
    }

    /// Reads what came from `from`. Microseconds: nothing of the curve is computed, and what is no
    /// operation is charged to nobody.
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn read(&self, from: IpAddr, bytes: Bytes) -> Result<Arrived, DoorError> {
        let operation = SignedOperation::new(bytes)?;
        let bytes = operation.as_bytes();
        if bytes.len() != signed::SignedOperation::BYTES {
            let (expected, found) = (signed::SignedOperation::BYTES, bytes.len());
            return Err(signed::SignedOperationError::Length { expected, found }.into());
        }
        let action = Operation::from_bytes(&bytes[..Operation::BYTES])?.action;
        if matches!(action, Action::Enrol { .. }) {
            return Err(DoorError::Enrolment);
        }
        let urgency = Urgency::of(&action);
        let source = self.charge(urgency, from)?;
        Ok(Arrived { operation, urgency, source })
    }

    /// Charges what came from a network and can wait.
    ///
    /// # Errors
    /// [`DoorError::TooOften`].
    pub(super) fn look(&self, from: IpAddr) -> Result<(), DoorError> {
        self.charge(Urgency::Ordinary, from).map(drop)
    }

    fn charge(&self, urgency: Urgency, from: IpAddr) -> Result<Holder, DoorError> {
        let (source, now) = (source(from), self.shared.parts.clock.now());
        match self.shared.looks().of(urgency).take(source, now) {
            true => Ok(source),
            false => Err(DoorError::TooOften),
        }
    }

    /// Does work that can wait on a thread for it.
    ///
    /// # Errors
    /// [`DoorError::Panicked`].
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DoorParts) -> T + Send + 'static,
    ) -> Result<T, DoorError> {
        let shared = Arc::clone(&self.shared);
        run(&self.shared.ordinary, move || work(&shared.parts)).await
    }

    /// Looks at its signature, on a thread for that.
    ///
    /// # Errors
    /// [`DoorError`].
    pub async fn examine(&self, arrived: Arrived) -> Result<Asked, DoorError> {
        let threads = match arrived.urgency {
            Urgency::Ordinary => &self.shared.ordinary,
            Urgency::Protecting => &self.shared.protecting,
        };
        let shared = Arc::clone(&self.shared);
        run(threads, move || shared.examine(arrived)).await?
    }

    /// Submits what was examined, and waits until it is durable.
    ///
    /// # Errors
    /// [`DoorError`]; after [`DoorError::Unacknowledged`] the same bytes may be sent again.
    pub async fn submit(&self, examined: Examined, wait: Duration) -> Result<Stored, DoorError> {
        let Examined { operation, urgency, holder, signed_at } = examined;
        let (digest, parts) = (operation.digest(), &self.shared.parts);
        let item = Item::Operation { requester: holder, operation };
        let (sender, receiver) = oneshot::channel();
        let observe = Arc::clone(&parts.observe);
        let reply = move |answer: Result<Answer, AdmitError>| {
            // Here, so that it is counted also if nobody waits any more.
            if let Ok(Answer::OperationApplied { t_op, .. }) = &answer {
                observe.observe(Observed::OperationApplied);
                if urgency == Urgency::Protecting {
                    observe.observe(Observed::Withdrawn { signed_at, time: *t_op });
                }
            }
            drop(sender.send(answer));
        };
        parts.admit.submit_as(urgency, item, reply)?;
        let unknown = || DoorError::Unacknowledged { wait };
        let answer = timeout(wait, receiver).await.map_err(|_| unknown())?;
        // A reply that is dropped uncalled means that the writer ended before it came to it.
        match answer.unwrap_or(Err(AdmitError::Stopped)) {
            Ok(Answer::OperationApplied { position, .. }) => Ok(Stored { position, holder }),
            Ok(Answer::Refused(refusal)) => {
                // It may have taken effect while this one waited, for somebody who gave up.
                if let Some(stored) = self.shared.find(&digest, holder) {
                    return Ok(stored);
                }
                let (code, peer) = (refusal.code, RejectedPeer::Http);
                parts.observe.observe(Observed::Rejected { code, peer });
                if let Some(rule) = refusal.rule {
                    parts.observe.observe(Observed::RefusedBy(rule));
                }
                Err(DoorError::Refused { code: refusal.code, rule: refusal.rule })
            }
            Err(error @ (AdmitError::Full { .. } | AdmitError::Busy { .. } | AdmitError::Held)) => {
                Err(error.into())
            }
            // It was with the writer: that it is not stored nobody can say.
            Err(AdmitError::Stopped | AdmitError::Failed(_)) | Ok(_) => Err(unknown()),
        }
    }

    /// The receipt of what took effect; the same bytes each time. Read from the disk and signed, on
    /// a thread for that.
    ///
    /// # Errors
    /// [`DoorError::Receipt`].
    pub async fn receipt(&self, stored: Stored) -> Result<SignedReceipt, DoorError> {
        let (shared, Stored { position, holder }) = (Arc::clone(&self.shared), stored);
        run(&self.shared.receipts, move || {
            let receipt = shared.parts.hub.receipt_at(position, holder);
            receipt.map_err(|source| DoorError::Receipt { position, source })
        })
        .await?
    }
}

impl Shared {
    fn examine(&self, arrived: Arrived) -> Result<Asked, DoorError> {
        let Arrived { operation, source, .. } = arrived;
        let found = signed::SignedOperation::from_bytes(operation.as_bytes())?;
        let mut vain = TRIES;
        let asking = Asking { holder: source, signed: &found, vain: &mut vain };
        let examined = self.sources.examine(asking, &self.parts.view, self.parts.clock.as_ref());
        let holder = || Holder::signer(&field::to_word(&found.signer.hash()));
        match examined {
            Ok(urgency) => {
                let signed_at = found.operation.signed_at;
                Ok(Asked::New(Examined { urgency, holder: holder(), signed_at, operation }))
            }
            Err(code) => {
                self.parts.observe.observe(Observed::Rejected { code, peer: RejectedPeer::Http });
                match code {
                    RejectCode::Busy => Err(DoorError::TooOften),
                    // Whoever did not hear the answer sends the same bytes again.
                    _ => self
                        .find(&operation.digest(), holder())
                        .map(Asked::Stored)
                        .ok_or(DoorError::NotTaken),
                }
            }
        }
    }

    /// What took effect since the start and came this way: the receipt of a connection's holder
    /// names what else that holder sent.
    fn find(&self, digest: &Digest, holder: Holder) -> Option<Stored> {
        let applied = self.parts.view.applied(digest)?;
        (applied.requester == holder).then_some(Stored { position: applied.position, holder })
    }

    /// Plain numbers: a panic elsewhere leaves none of them half changed.
    fn looks(&self) -> MutexGuard<'_, ByUrgency<Holder>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` beside the runtime's threads once there is a place for it, which it keeps to its
/// end: also where nobody waits for it any more.
async fn run<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DoorError> {
    let place: Option<OwnedSemaphorePermit> = Arc::clone(places).acquire_owned().await.ok();
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.map_err(|error| DoorError::Panicked(panic_of_task(error).unwrap_or_default()))
}

fn looks(rates: &RateConfig) -> ByUrgency<Holder> {
    let Rate { per_minute, burst } = rates.operations();
    let times = |rate: u32| rate.saturating_mul(LOOKS);
    ByUrgency::new(Rate { per_minute: times(per_minute), burst: times(burst) }, rates.keys_max)
}

/// A network as the buckets know it: no certificate's holder begins with sixteen zeros.
fn source(from: IpAddr) -> Holder {
    let mut key = [0; 32];
    key[16..].copy_from_slice(&Network::of(from).octets());
    Holder(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_source_however_its_addresses_are_written() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
