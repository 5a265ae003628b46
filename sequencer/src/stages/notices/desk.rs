//! Subscriptions of a running node: what routes change and the stage tells by, behind one lock, and
//! the file that both write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accounting::notices::{
    AskedSubscription, Book, BookFull, DoneAt, Fault, Hosts, Kept, Limits, Look, Notice,
    NoticeSecret, Pace, SubscriptionId,
};
use model::{BatchNumber, Millis, PatientIndex, with_causes};
use page_server::base64;
use thiserror::Error;
use tokio::sync::Notify;

use crate::folder::subscriptions::Subscriptions;

/// What stands before a secret, as whoever verifies expects it (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";

/// All subscriptions. Cheap to clone.
#[derive(Clone)]
pub struct NoticeDesk(Arc<Parts>);

struct Parts {
    path: PathBuf,
    hosts: Hosts,
    /// None where the file is damaged or cannot be read: nobody is told by half of it.
    shelf: Mutex<Option<Shelf>>,
    /// Somebody subscribed.
    changed: Notify,
}

struct Shelf {
    book: Book,
    /// As the file has it.
    written: Vec<Kept>,
}

/// A subscription that was made, with its secret as its receiver has it; it is shown this once.
pub struct Taken {
    /// The subscription.
    pub kept: Kept,
    /// Its secret.
    pub secret: String,
}

/// Why nothing is changed.
#[derive(Debug, Error)]
pub enum NotTaken {
    /// There is no room.
    #[error(transparent)]
    Full(#[from] BookFull),
    /// The patient has none of this name.
    #[error("expected a subscription of the patient, found none of this id")]
    Unknown,
    /// The file cannot be read or written; the log says why.
    #[error("subscriptions cannot be read or kept now")]
    Unavailable,
}

impl NoticeDesk {
    /// Reads what an earlier run kept. A file that is damaged is told in the log, and closes the
    /// desk: trouble with notices keeps no node from collecting.
    pub fn open(path: &Path, hosts: Hosts, limits: Limits, pace: Pace) -> NoticeDesk {
        let shelf = match Subscriptions::read(path) {
            Ok(Subscriptions(written)) => {
                let book = Book::new(written.clone(), &hosts, limits, pace);
                Some(Shelf { book, written })
            }
            Err(error) => {
                let cause = with_causes(&error);
                tracing::error!(cause, "nobody subscribes, and nobody is told that somebody read");
                None
            }
        };
        let (path, changed) = (path.to_owned(), Notify::new());
        NoticeDesk(Arc::new(Parts { path, hosts, shelf: Mutex::new(shelf), changed }))
    }

    /// Whether the file could not be read.
    pub fn is_closed(&self) -> bool {
        self.shelf().is_none()
    }

    /// Hosts that may be told.
    pub fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Takes a subscription in, durably; it is told of batches behind this one. Blocks for as long
    /// as the disk takes.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn subscribe(
        &self,
        asked: AskedSubscription,
        settled: BatchNumber,
    ) -> Result<Taken, NotTaken> {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        let drawn = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut secret));
        drawn.map_err(|error| {
            tracing::error!(%error, "no secret of a subscription can be drawn");
            NotTaken::Unavailable
        })?;
        let AskedSubscription { patient, endpoint, reason, end } = asked;
        let kept = Kept {
            id: SubscriptionId::new(id),
            patient,
            endpoint,
            reason,
            end,
            secret: NoticeSecret::new(secret),
            told: settled,
            failing_since: None,
            fault: None,
            given_up: false,
        };
        self.change(|book| Ok(book.add(kept.clone())?))?;
        self.0.changed.notify_one();
        let secret = format!("{SECRET_PREFIX}{}", base64::encode(kept.secret.expose()));
        Ok(Taken { kept, secret })
    }

    /// Ends a subscription, durably. Blocks likewise.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn unsubscribe(&self, id: SubscriptionId, patient: PatientIndex) -> Result<(), NotTaken> {
        self.change(|book| {
            book.get(id, patient).ok_or(NotTaken::Unknown)?;
            book.remove(id);
            Ok(())
        })
    }

    /// A subscription of this patient.
    ///
    /// # Errors
    /// [`NotTaken::Unknown`] or [`NotTaken::Unavailable`].
    pub fn get(&self, id: SubscriptionId, patient: PatientIndex) -> Result<Kept, NotTaken> {
        let shelf = self.shelf();
        let book = &shelf.as_ref().ok_or(NotTaken::Unavailable)?.book;
        book.get(id, patient).cloned().ok_or(NotTaken::Unknown)
    }

    /// All subscriptions of this patient.
    ///
    /// # Errors
    /// [`NotTaken::Unavailable`].
    pub fn of(&self, patient: PatientIndex) -> Result<Vec<Kept>, NotTaken> {
        let shelf = self.shelf();
        let book = &shelf.as_ref().ok_or(NotTaken::Unavailable)?.book;
        Ok(book.of(patient).cloned().collect())
    }

    /// Changes the subscriptions and keeps them; where they cannot be kept nothing is changed.
    fn change(
        &self,
        change: impl FnOnce(&mut Book) -> Result<(), NotTaken>,
    ) -> Result<(), NotTaken> {
        let mut shelf = self.shelf();
        let shelf = shelf.as_mut().ok_or(NotTaken::Unavailable)?;
        let before = shelf.book.clone();
        change(&mut shelf.book)?;
        self.keep(shelf).map_err(|NotKept| {
            shelf.book = before;
            NotTaken::Unavailable
        })
    }

    /// Writes the file, if it would say something else than it does.
    fn keep(&self, shelf: &mut Shelf) -> Result<(), NotKept> {
        let kept = shelf.book.kept();
        if kept == shelf.written {
            return Ok(());
        }
        let subscriptions = Subscriptions(kept);
        subscriptions.write(&self.0.path).map_err(|error| {
            tracing::error!("subscriptions cannot be kept: {}", with_causes(&error));
            NotKept
        })?;
        shelf.written = subscriptions.0;
        Ok(())
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn shelf(&self) -> MutexGuard<'_, Option<Shelf>> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file could not be written, which the log says.
struct NotKept;

/// What the stage does.
impl NoticeDesk {
    /// Waits until somebody subscribed.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The next batch to be looked at.
    pub(super) fn next_look(&self, settled: BatchNumber, now: Millis) -> Option<Look> {
        self.shelf().as_ref()?.book.next_look(settled, now)
    }

    /// Takes notice of a batch that was looked at. What cannot be kept is looked at again after the
    /// next start.
    pub(super) fn looked(&self, look: &Look, read: &BTreeSet<PatientIndex>) {
        let mut shelf = self.shelf();
        let Some(shelf) = shelf.as_mut() else { return };
        shelf.book.looked(look, read);
        let _said = self.keep(shelf);
    }

    /// A notice that is due.
    pub(super) fn take_due(&self, now: Millis) -> Option<Notice> {
        self.shelf().as_mut()?.book.take_due(now)
    }

    /// Takes notice of how one ended; true if its subscription is given up. What cannot be kept is
    /// sent again after the next start, under the same id.
    pub(super) fn done(&self, notice: &Notice, ended: Result<(), Fault>, at: DoneAt) -> bool {
        let mut shelf = self.shelf();
        let Some(shelf) = shelf.as_mut() else { return false };
        let is_given_up = shelf.book.done(notice, ended, at);
        let _said = self.keep(shelf);
        is_given_up
    }

    /// Subscriptions that somebody is told by, and notices that are due.
    pub(super) fn counts(&self, now: Millis) -> [usize; 2] {
        let shelf = self.shelf();
        shelf
            .as_ref()
            .map_or([0, 0], |shelf| [shelf.book.live_count(now), shelf.book.due_count(now)])
    }
}
