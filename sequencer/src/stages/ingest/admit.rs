//! The one way to submit an item: to the journal's writer, with an answer once it is durable.

use std::sync::Arc;

use journal::{Failure, NotTaken, Submitter};
use model::RejectCode;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::stages::deliver::NodeDelivery;
use crate::stages::ledger::{Answer, Item, LedgerAdmission};

/// Submits items; cheap to clone.
#[derive(Clone)]
pub struct Admit {
    submitter: Submitter<LedgerAdmission<NodeDelivery>>,
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
        Admit { submitter, registry: Arc::new(watch::Sender::new(0)) }
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
        let registry = matches!(item, Item::Registry(_)).then(|| Arc::clone(&self.registry));
        let reply = move |answer: Result<Answer, Failure>| {
            // Before the reply: who hears of the change finds connections that check already.
            if let Some(registry) = registry {
                registry.send_modify(|changes| *changes += 1);
            }
            reply(answer.map_err(AdmitError::Failed));
        };
        self.submitter.submit(item, reply).map_err(|error| error.why.into())
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
