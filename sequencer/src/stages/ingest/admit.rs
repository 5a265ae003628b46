//! The one way to submit an item: to the journal's writer, with an answer once it is durable.
//!
//! An operation passes the writer twice: first its rules are asked, then its row is evaluated
//! ([`rows`](crate::stages::rows)) without the writer waiting for it, and then it is journaled.

use std::sync::{Arc, Mutex, PoisonError};

use journal::{Failure, NotTaken, Places, SubmitAllError, Submitter};
use model::{RejectCode, with_causes};
use thiserror::Error;
use tokio::sync::oneshot;
use wire::{Holder, Lane, RegistryChange, SignedOperation};

use super::told::{Listener, Teller};
use crate::history::Hold;
use crate::stages::deliver::NodeDelivery;
use crate::stages::ledger::{Answer, Item, LedgerAdmission, Refusal};
use crate::stages::rows::{EvaluatedRow, NotEvaluated, NotProvable, RowPool, Urgency};

/// Submits items; cheap to clone.
#[derive(Clone)]
pub struct Admit {
    submitter: Submitter<LedgerAdmission<NodeDelivery>>,
    rows: RowPool,
    registry: Arc<Teller>,
    hold: Hold,
}

/// An operation on its way through evaluation.
struct Asked {
    requester: Holder,
    operation: SignedOperation,
    urgency: Urgency,
    /// How often its row was evaluated.
    rounds: usize,
    waiting: Waiting,
}

/// Where an item waits for the writer, and whether it may take the reserved places.
#[derive(Clone, Copy)]
struct Waits {
    lane: Lane,
    urgency: Urgency,
}

impl Waits {
    /// The journal's name of the lane: it knows no wire.
    fn queue_lane(self) -> journal::Lane {
        match self.lane {
            Lane::Control => journal::Lane::Control,
            Lane::Live => journal::Lane::Live,
            Lane::Backfill => journal::Lane::Backfill,
        }
    }

    fn places(self) -> Places {
        match self.urgency {
            Urgency::Ordinary => Places::Common,
            Urgency::Protecting => Places::Reserved,
        }
    }
}

type Reply = Box<dyn FnOnce(Result<Answer, AdmitError>) + Send>;

/// Who waits for an operation; told once, by whoever comes first. A queue that takes an item no
/// more drops its reply uncalled, so that one hand here keeps another.
#[derive(Clone)]
struct Waiting(Arc<Mutex<Option<Reply>>>);

impl Waiting {
    fn new(reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static) -> Waiting {
        Waiting(Arc::new(Mutex::new(Some(Box::new(reply)))))
    }

    fn tell(&self, answer: Result<Answer, AdmitError>) {
        // Taken out first, so that the reply runs outside of the lock.
        let reply = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reply) = reply {
            reply(answer);
        }
    }
}

/// Why an item has no answer. Whether it was stored is not known after a failure.
#[derive(Clone, Debug, Error)]
pub enum AdmitError {
    /// Too many items wait for the writer.
    #[error("expected at most {items_max} items waiting for the writer on the {lane} lane")]
    Full {
        /// Where they wait.
        lane: journal::Lane,
        /// The places of that lane.
        items_max: usize,
    },
    /// Too many operations are evaluated, or one too often.
    #[error("expected at most {items_max} operations being evaluated, or so many rounds of one")]
    Busy {
        /// The limit.
        items_max: usize,
    },
    /// Somebody showed what the journal lacks: nothing is taken any more.
    #[error("the node is held: its journal lacks what it promised")]
    Held,
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
            AdmitError::Full { .. } | AdmitError::Busy { .. } => RejectCode::Busy,
            AdmitError::Held => RejectCode::History,
            AdmitError::Stopped | AdmitError::Failed(_) => RejectCode::Unavailable,
        }
    }
}

impl From<NotTaken> for AdmitError {
    fn from(why: NotTaken) -> AdmitError {
        match why {
            NotTaken::Full { lane, items_max } => AdmitError::Full { lane, items_max },
            NotTaken::Stopped => AdmitError::Stopped,
            NotTaken::Failed(failure) => AdmitError::Failed(failure),
        }
    }
}

/// Frames that were submitted together and are not taken.
#[derive(Debug)]
pub(super) struct NotTakenFrames {
    /// How many, the last ones.
    pub(super) count: usize,
    /// Why.
    pub(super) error: AdmitError,
}

impl Admit {
    /// Submits to this writer, and operations to the evaluation of their rows first.
    pub fn new(submitter: Submitter<LedgerAdmission<NodeDelivery>>, rows: RowPool) -> Admit {
        let (registry, hold) = (Arc::new(Teller::default()), Hold::default());
        Admit { submitter, rows, registry, hold }
    }

    /// Takes nothing while `hold` is set.
    pub fn held_by(self, hold: Hold) -> Admit {
        Admit { hold, ..self }
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

    /// Has what was refused again, and is counted, written as entries behind all that waits.
    ///
    /// # Errors
    /// [`AdmitError`].
    pub async fn count_refusals(&self) -> Result<(), AdmitError> {
        let mut outcome = Ok(());
        // One on each lane: the last of them is behind all that waited on any.
        for lane in Lane::ALL {
            let (sender, receiver) = oneshot::channel();
            let waits = Waits { lane, urgency: Urgency::Protecting };
            let reply = move |answer| drop(sender.send(answer));
            let counted = match self.submit_to_writer(waits, Item::CountRefusals, reply) {
                Ok(()) => receiver.await.unwrap_or(Err(AdmitError::Stopped)),
                Err(error) => Err(error),
            };
            outcome = outcome.and(counted.map(drop));
        }
        outcome
    }

    /// Submits the change by which a renewed certificate takes the place of the one before. A peer
    /// causes it, so it has no reserved place; and it wakes no connection, since those of the
    /// certificate before go on for a while: thousands may be renewed within one minute.
    ///
    /// # Errors
    /// [`AdmitError`], as [`Admit::submit`].
    pub(super) async fn submit_succession(
        &self,
        change: RegistryChange,
    ) -> Result<Answer, AdmitError> {
        if self.hold.is_set() {
            return Err(AdmitError::Held);
        }
        let (sender, receiver) = oneshot::channel();
        // If nobody waits any more, the answer has no reader.
        let reply = move |answer: Result<Answer, Failure>| drop(sender.send(answer));
        let item = Item::Registry(change);
        let (lane, places) = (journal::Lane::Control, Places::Common);
        let submitted = self.submitter.submit_into(lane, places, item, reply);
        submitted.map_err(|error| AdmitError::from(error.why))?;
        match receiver.await {
            Ok(answer) => answer.map_err(AdmitError::Failed),
            Err(_) => Err(AdmitError::Stopped),
        }
    }

    /// Has every connection look whether it may go on, as after a change of the registry.
    pub(super) fn note_registry_change(&self) {
        self.registry.tell();
    }

    /// Submits an item; `reply` is called once, on the writer thread or on one that evaluates, and
    /// must not block.
    ///
    /// # Errors
    /// [`AdmitError`] at once if the item is not taken; `reply` is then dropped uncalled.
    pub fn submit_with(
        &self,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        match &item {
            // The operator's and the node's own: no stranger can send them. The one change of the
            // registry that a peer causes has a way of its own.
            Item::Registry(_)
            | Item::Erase(_)
            | Item::Hold(_)
            | Item::CountDue
            | Item::CountRefusals
            | Item::CloseDue
            | Item::CloseWindow(_)
            | Item::Close => self.submit_as(Urgency::Protecting, item, reply),
            // Of no connection, so of none of its lanes.
            Item::OpenStream { .. } | Item::Frame { .. } => self.submit_on(Lane::Live, item, reply),
            Item::Operation { .. }
            | Item::Evaluated { .. }
            | Item::Access { .. }
            | Item::Query(_) => self.submit_as(Urgency::Ordinary, item, reply),
        }
    }

    /// As [`Admit::submit_with`]: a stream or a frame that came on this lane waits for the writer
    /// behind nothing less urgent.
    pub(super) fn submit_on(
        &self,
        lane: Lane,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        self.submit_to_writer(Waits { lane, urgency: Urgency::Ordinary }, item, reply)
    }

    /// Submits frames that came together on this lane: admitted in their order, each by itself,
    /// with one waking of the writer and one reply, which is told how many were taken and has an
    /// answer for each of these.
    ///
    /// # Errors
    /// [`NotTakenFrames`] at once: the last ones have no place. The reply is of those before them,
    /// and dropped uncalled if there are none.
    pub(super) fn submit_frames(
        &self,
        lane: Lane,
        frames: Vec<Item>,
        reply: impl FnOnce(usize, Result<Vec<Answer>, AdmitError>) + Send + 'static,
    ) -> Result<(), NotTakenFrames> {
        if self.hold.is_set() {
            return Err(NotTakenFrames { count: frames.len(), error: AdmitError::Held });
        }
        let lane = Waits { lane, urgency: Urgency::Ordinary }.queue_lane();
        let reply = move |taken: usize, answers: Result<Vec<Answer>, Failure>| {
            reply(taken, answers.map_err(AdmitError::Failed));
        };
        let submitted = self.submitter.submit_all(lane, frames, reply);
        submitted.map_err(|SubmitAllError { items, why }| NotTakenFrames {
            count: items.len(),
            error: why.into(),
        })
    }

    /// As [`Admit::submit_with`]; what protects a patient also has the writer's reserved places.
    pub(super) fn submit_as(
        &self,
        urgency: Urgency,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        let waits = Waits { lane: Lane::Control, urgency };
        let Item::Operation { requester, operation } = item else {
            return self.submit_to_writer(waits, item, reply);
        };
        let item = Item::Operation { requester, operation: operation.clone() };
        let waiting = Waiting::new(reply);
        let asked = Asked { requester, operation, urgency, rounds: 0, waiting };
        let admit = self.clone();
        self.submit_to_writer(waits, item, move |answer| admit.take_answer(asked, answer))
    }

    /// Takes the writer's answer to an operation; a row that is not evaluated goes to the pool.
    fn take_answer(self, mut asked: Asked, answer: Result<Answer, AdmitError>) {
        let row = match answer {
            Ok(Answer::Unevaluated(row)) => row,
            answer => return asked.waiting.tell(answer),
        };
        // In each round but the first the record had moved: whoever changes one without a pause
        // waits, and the threads serve others.
        let items_max = self.rows.rounds_max();
        if asked.rounds >= items_max {
            return asked.waiting.tell(Err(AdmitError::Busy { items_max }));
        }
        asked.rounds += 1;
        let pool = self.rows.clone();
        pool.push(row, move |evaluated| match evaluated {
            Ok(row) => self.submit_evaluated(row, asked),
            Err(NotEvaluated::Full { items_max }) => {
                asked.waiting.tell(Err(AdmitError::Busy { items_max }));
            }
            Err(NotEvaluated::NotProvable(why)) => {
                asked.waiting.tell(Ok(Answer::Refused(refuse_unprovable(&why))));
            }
        });
    }

    fn submit_evaluated(self, row: EvaluatedRow, asked: Asked) {
        let (requester, operation) = (asked.requester, asked.operation.clone());
        let waits = Waits { lane: Lane::Control, urgency: asked.urgency };
        let item = Item::Evaluated { requester, operation, row: Box::new(row) };
        let (admit, waiting) = (self.clone(), asked.waiting.clone());
        let taken =
            self.submit_to_writer(waits, item, move |answer| admit.take_answer(asked, answer));
        if let Err(error) = taken {
            // Not handed back to a caller, as the first time: nobody else tells who waits.
            waiting.tell(Err(error));
        }
    }

    fn submit_to_writer(
        &self,
        waits: Waits,
        item: Item,
        reply: impl FnOnce(Result<Answer, AdmitError>) + Send + 'static,
    ) -> Result<(), AdmitError> {
        if self.hold.is_set() {
            return Err(AdmitError::Held);
        }
        let registry = matches!(item, Item::Registry(_)).then(|| Arc::clone(&self.registry));
        let reply = move |answer: Result<Answer, Failure>| {
            // Before the reply: who hears of the change finds connections that check already.
            if let Some(registry) = registry {
                registry.tell();
            }
            reply(answer.map_err(AdmitError::Failed));
        };
        let (lane, places) = (waits.queue_lane(), waits.places());
        let submitted = self.submitter.submit_into(lane, places, item, reply);
        submitted.map_err(|error| error.why.into())
    }

    /// Whether items are still taken; a full queue is only a matter of time.
    ///
    /// # Errors
    /// [`AdmitError::Held`], [`AdmitError::Stopped`] or [`AdmitError::Failed`], as every submission
    /// from now on.
    pub fn check_open(&self) -> Result<(), AdmitError> {
        // A writer that is gone is told first: while the node is held nobody submits anything that
        // would find it out.
        if let Some(why) = self.submitter.closed() {
            return Err(why.into());
        }
        if self.hold.is_set() { Err(AdmitError::Held) } else { Ok(()) }
    }

    /// Hears of every registry change that was submitted here and may end somebody's right.
    pub(super) fn registry_changes(&self) -> Listener {
        self.registry.listen()
    }

    /// Items that wait for the writer now.
    pub fn waiting(&self) -> usize {
        self.submitter.waiting()
    }
}

/// What is said of an operation that the twin accepts and the circuit does not. It is journaled
/// nowhere: the journal holds what was asked and refused by a rule, and no rule refused this.
fn refuse_unprovable(why: &NotProvable) -> Refusal {
    Refusal { code: RejectCode::Operation, rule: None, position: None, detail: with_causes(why) }
}

impl std::fmt::Debug for Admit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admit {{ waiting: {} }}", self.waiting())
    }
}
