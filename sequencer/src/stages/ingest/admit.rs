//! The one way to submit an item: to the journal's writer, with an answer once it is durable.

use std::sync::Arc;

use journal::{Failure, NotTaken, Submitter};
use model::RejectCode;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::sources::Urgency;
use crate::stages::deliver::NodeDelivery;
use crate::stages::ledger::{Answer, Item, LedgerAdmission};

/// Submits items; cheap to clone.
#[derive(Clone)]
pub struct Admit {
    submitter: Submitter<LedgerAdmission<NodeDelivery>>,
    /// Places of the writer's queue that an ordinary item does not take.
    reserved: usize,
    registry: Arc<watch::Sender<u64>>,
}

/// Why an item has no answer. Whether it was stored is not known after a failure.
#[derive(Clone, Debug, Error)]
pub enum AdmitError {
    /// Too many items wait.
    #[error("expected at most {items_max} items waiting for the writer")]
    Busy {
        /// The limit.
        items_max: usize,
    },
    /// The writer was stopped.
    #[error("the writer was stopped")]
    Stopped,
    /// The writer failed.
    #[error("the writer failed")]
    Failed(#[source] Failure),
}

impl AdmitError {
    /// What a peer is told.
    pub fn code(&self) -> RejectCode {
        match self {
            AdmitError::Busy { .. } => RejectCode::Busy,
            AdmitError::Stopped | AdmitError::Failed(_) => RejectCode::Unavailable,
        }
    }
}

impl From<NotTaken> for AdmitError {
    fn from(why: NotTaken) -> AdmitError {
        match why {
            NotTaken::Full { items_max } => AdmitError::Busy { items_max },
            NotTaken::Stopped => AdmitError::Stopped,
            NotTaken::Failed(failure) => AdmitError::Failed(failure),
        }
    }
}

impl Admit {
    /// Submits to this writer.
    pub fn new(submitter: Submitter<LedgerAdmission<NodeDelivery>>) -> Admit {
        Admit { submitter, reserved: 0, registry: Arc::new(watch::Sender::new(0)) }
    }

    /// Leaves so many places of the writer's queue to what cannot wait: stops, revocations and
    /// denies that are signed well, changes of the registry, closes.
    pub fn reserving(self, reserved: usize) -> Admit {
        Admit { reserved, ..self }
    }

    /// Submits an item and waits until its group is durable.
    ///
    /// # Errors
    /// [`AdmitError`]. What is refused by a rule is an [`Answer::Refused`], not an error.
    pub async fn submit(&self, item: Item) -> Result<Answer, AdmitError> {
        let (sender, receiver) = oneshot::channel();
        // If nobody waits any more, the answer has no reader.
        self.submit_with(item, move |answer| drop(sender.send(answer)))?;
        // A reply that is dropped uncalled means that the writer ended before it came to the item.
        receiver.await.unwrap_or(Err(AdmitError::Stopped))
    }

    /// Submits an item; `reply` is called once, on the writer thread, and must not block.
    ///
    /// # Errors
    /// [`AdmitError`] at once if the item is not taken; `reply` is then dropped uncalled.
    pub fn submit_with(
        &self,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        let urgency = match &item {
            // The operator's and the node's own: no stranger can send them.
            Item::Registry(_) | Item::CountRefusals | Item::Close => Urgency::Protecting,
            Item::OpenStream { .. }
            | Item::Frame { .. }
            | Item::Operation { .. }
            | Item::Access { .. } => Urgency::Ordinary,
        };
        self.submit_as(urgency, item, reply)
    }

    /// As [`Admit::submit_with`]; what protects a patient also has the reserved places.
    pub(super) fn submit_as(
        &self,
        urgency: Urgency,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        let registry = matches!(item, Item::Registry(_)).then(|| Arc::clone(&self.registry));
        let reply = move |answer: Result<Answer, Failure>| {
            // Before the reply: who hears of the change finds connections that check already.
            if let Some(registry) = registry {
                registry.send_modify(|changes| *changes += 1);
            }
            reply(answer.map_err(AdmitError::Failed));
        };
        let reserved = match urgency {
            Urgency::Ordinary => self.reserved,
            Urgency::Protecting => 0,
        };
        let submitted = self.submitter.submit_leaving(reserved, item, reply);
        submitted.map_err(|error| error.why.into())
    }

    /// Whether items are still taken; a full queue is only a matter of time.
    ///
    /// # Errors
    /// [`AdmitError::Stopped`] or [`AdmitError::Failed`], as every submission from now on.
    pub fn check_open(&self) -> Result<(), AdmitError> {
        self.submitter.closed().map_or(Ok(()), |why| Err(why.into()))
    }

    /// Changes with every registry change that was submitted here.
    pub fn registry_changes(&self) -> watch::Receiver<u64> {
        self.registry.subscribe()
    }

    /// Items that wait for the writer now.
    pub fn waiting(&self) -> usize {
        self.submitter.waiting()
    }
}

impl std::fmt::Debug for Admit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admit {{ waiting: {} }}", self.waiting())
    }
}
