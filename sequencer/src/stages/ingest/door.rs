//! Signed operations that come without a connection, over HTTP: the signature is the authority.
//!
//! ```text
//!   bytes -> [by its network] -> signature, record -> [by its patient] -> the writer's queue
//!                                      |                                        |
//!                                      \- came before? -> its receipt <- durable
//! ```
//! There is no certificate, so what is looked at is bounded by where it comes from, and its holder is
//! whoever has the key that signed it: a receipt names what this key signed and nothing of others. A
//! stranger learns one thing only, that what it sent was not taken: an index without a record, a
//! signature that does not verify and a nonce that is not the next are one answer.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, Digest, Position, RejectCode, RuleNumber};
use statement::field;
use statement::operation as signed;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wire::{DecodeError, Holder, SignedOperation, SignedReceipt};

use super::admit::{Admit, AdmitError};
use super::buckets::{Buckets, Rate};
use super::config::RateConfig;
use super::observe::{Observe, Observed};
use super::places::Network;
use super::sources::{Asking, Sources};
use crate::stages::deliver::{AgainError, ReceiptHub};
use crate::stages::ledger::{Answer, Item, LedgerView};
use crate::stages::rows::Urgency;

/// Operations that took effect here and are found again by whoever did not hear of it. Some 100
/// bytes each.
const REMEMBERED_MAX: usize = 4096;

/// Requests of a network that are decoded, for each operation of one urgency whose signature is
/// looked at: both urgencies, and as many mistakes.
const LOOKS: u32 = 4;

/// Tries without a rate: none, since a request costs its sender no handshake.
const TRIES: u32 = u32::MAX;

/// Takes signed operations from anywhere.
pub struct OperationDoor {
    parts: DoorParts,
    /// Requests by network, whatever is in them.
    looks: Mutex<Buckets<Holder>>,
    sources: Sources,
    /// Shared with the writer's replies: it knows of what nobody waited for as well.
    stored: Arc<Mutex<Remembered>>,
}

/// What the door uses of the node.
pub struct DoorParts {
    /// Where operations go.
    pub admit: Admit,
    /// What is durable of the ledger.
    pub view: LedgerView,
    /// Where receipts come from.
    pub hub: ReceiptHub,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub observe: Arc<dyn Observe>,
}

/// An operation that was examined: its key signed it, and its sources may still send.
pub struct Examined {
    operation: SignedOperation,
    urgency: Urgency,
    holder: Holder,
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
    /// They are no operation.
    #[error("the bytes are no signed operation")]
    Malformed(#[from] signed::SignedOperationError),
    /// The network or the patient asks too often.
    #[error("expected fewer operations a minute")]
    TooOften,
    /// Wrong key, wrong nonce, over, or of nobody: which one a stranger is not told.
    #[error("expected an operation that the patient's key signed, with the next nonce")]
    NotTaken,
    /// A rule refuses it. Told only to whoever has the key.
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
    /// Nobody knows whether it took effect.
    #[error("expected it to be durable within {} s", wait.as_secs())]
    Unacknowledged {
        /// How long was waited.
        wait: Duration,
    },
}

impl OperationDoor {
    /// Takes as many as `rates` allows of each network, and of each patient and network.
    pub fn new(parts: DoorParts, rates: &RateConfig) -> OperationDoor {
        let looks = Mutex::new(looks(rates));
        OperationDoor { parts, looks, sources: Sources::new(rates), stored: Arc::default() }
    }

    /// Begins anew with other rates: every bucket is full.
    pub fn set_rates(&self, rates: &RateConfig) {
        self.sources.set_rates(rates);
        *self.looks() = looks(rates);
    }

    /// Looks at an operation that came from `from`, on the caller's thread: a signature takes about
    /// a millisecond.
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn examine(&self, from: IpAddr, bytes: Bytes) -> Result<Asked, DoorError> {
        let operation = SignedOperation::new(bytes)?;
        let source = source(from);
        // Before anything is computed: whether bytes are a key's at all takes curve arithmetic.
        if !self.looks().take(source, self.parts.clock.now()) {
            return Err(DoorError::TooOften);
        }
        let found = signed::SignedOperation::from_bytes(operation.as_bytes())?;
        let mut vain = TRIES;
        let asking = Asking { holder: source, signed: &found, vain: &mut vain };
        let examined = self.sources.examine(asking, &self.parts.view, self.parts.clock.as_ref());
        let holder = || Holder::signer(&field::to_word(&found.signer.hash()));
        match examined {
            Ok(urgency) => Ok(Asked::New(Examined { urgency, holder: holder(), operation })),
            Err(code) => {
                self.parts.observe.observe(Observed::Rejected(code));
                match code {
                    RejectCode::Busy => Err(DoorError::TooOften),
                    // Whoever did not hear the answer sends the same bytes again.
                    _ => self.again(&operation.digest(), holder),
                }
            }
        }
    }

    /// Submits what was examined, and waits until it is durable.
    ///
    /// # Errors
    /// [`DoorError`]; after [`DoorError::Unacknowledged`] the same bytes may be sent again.
    pub async fn submit(&self, examined: Examined, wait: Duration) -> Result<Stored, DoorError> {
        let Examined { operation, urgency, holder } = examined;
        let digest = operation.digest();
        let item = Item::Operation { requester: holder, operation };
        let (sender, receiver) = oneshot::channel();
        let stored = Arc::clone(&self.stored);
        let reply = move |answer: Result<Answer, AdmitError>| {
            if let Ok(Answer::OperationApplied { position, .. }) = &answer {
                remembered(&stored).keep(digest, *position);
            }
            // If nobody waits any more, the answer has no reader.
            drop(sender.send(answer));
        };
        self.parts.admit.submit_as(urgency, item, reply)?;
        let answer = timeout(wait, receiver).await;
        let answer = answer.map_err(|_| DoorError::Unacknowledged { wait })?;
        // A reply that is dropped uncalled means that the writer ended before it came to it.
        match answer.unwrap_or(Err(AdmitError::Stopped))? {
            Answer::OperationApplied { position, .. } => {
                self.parts.observe.observe(Observed::OperationApplied);
                Ok(Stored { position, holder })
            }
            Answer::Refused(refusal) => {
                // It may have taken effect while this one waited, for somebody who gave up.
                if let Some(position) = remembered(&self.stored).find(&digest) {
                    return Ok(Stored { position, holder });
                }
                self.parts.observe.observe(Observed::Rejected(refusal.code));
                Err(DoorError::Refused { code: refusal.code, rule: refusal.rule })
            }
            _ => Err(DoorError::Admit(AdmitError::Stopped)),
        }
    }

    /// The receipt of what took effect; the same bytes each time. Blocks on the disk and on one
    /// signature.
    ///
    /// # Errors
    /// [`AgainError`].
    pub fn receipt(&self, stored: Stored) -> Result<SignedReceipt, AgainError> {
        self.parts.hub.receipt_at(stored.position, stored.holder)
    }

    fn again(&self, digest: &Digest, holder: impl FnOnce() -> Holder) -> Result<Asked, DoorError> {
        let position = remembered(&self.stored).find(digest).ok_or(DoorError::NotTaken)?;
        Ok(Asked::Stored(Stored { position, holder: holder() }))
    }

    fn looks(&self) -> MutexGuard<'_, Buckets<Holder>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plain values: a panic elsewhere leaves none of them half changed.
fn remembered(stored: &Mutex<Remembered>) -> MutexGuard<'_, Remembered> {
    stored.lock().unwrap_or_else(PoisonError::into_inner)
}

fn looks(rates: &RateConfig) -> Buckets<Holder> {
    let Rate { per_minute, burst } = rates.operations();
    let times = |rate: u32| rate.saturating_mul(LOOKS);
    let rate = Rate { per_minute: times(per_minute), burst: times(burst) };
    Buckets::new(rate, rates.keys_max)
}

/// A network as the buckets know it: no certificate's holder begins with sixteen zeros.
fn source(from: IpAddr) -> Holder {
    let mut key = [0; 32];
    key[16..].copy_from_slice(&Network::of(from).octets());
    Holder(key)
}

/// What took effect here last, by what names it.
#[derive(Debug, Default)]
struct Remembered {
    positions: BTreeMap<Digest, Position>,
    order: VecDeque<Digest>,
}

impl Remembered {
    fn find(&self, digest: &Digest) -> Option<Position> {
        self.positions.get(digest).copied()
    }

    fn keep(&mut self, digest: Digest, position: Position) {
        if self.positions.insert(digest, position).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.positions.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_the_first_goes_first() {
        let (mut kept, digest) = (Remembered::default(), |n: usize| {
            let mut bytes = [0; 31];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            Digest(bytes)
        });
        for n in 0..=REMEMBERED_MAX {
            kept.keep(digest(n), Position(n as u64));
            kept.keep(digest(n), Position(n as u64));
        }
        assert_eq!((kept.positions.len(), kept.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert_eq!(kept.find(&digest(0)), None);
        assert_eq!(kept.find(&digest(1)), Some(Position(1)));
    }

    #[test]
    fn a_network_is_one_source_however_its_addresses_are_written() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
