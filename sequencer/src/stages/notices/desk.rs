//! Subscriptions of a running node: what routes change and the stage tells by, and the file that
//! both write.
//!
//! Two locks, the file's first: whoever writes holds it for as long as the disk takes, and the
//! subscriptions' own for a moment. So nobody who looks, or takes what is due, waits for the disk.

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
    /// As the file has it. Whoever changes what is kept holds it until that is written.
    written: Mutex<Vec<Kept>>,
    /// None where the file is damaged or cannot be read: nobody is told by half of it.
    book: Mutex<Option<Book>>,
    /// Somebody subscribed.
    changed: Notify,
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
        let read = Subscriptions::read(path).inspect_err(|error| {
            let cause = with_causes(error);
            tracing::error!(cause, "nobody subscribes, and nobody is told that somebody read");
        });
        let written = read.ok().map(|Subscriptions(written)| written);
        let book = written.clone().map(|written| Book::new(written, &hosts, limits, pace));
        let (book, written) = (Mutex::new(book), Mutex::new(written.unwrap_or_default()));
        let (path, changed) = (path.to_owned(), Notify::new());
        NoticeDesk(Arc::new(Parts { path, hosts, written, book, changed }))
    }

    /// Whether the file could not be read.
    pub fn is_closed(&self) -> bool {
        self.book().is_none()
    }

    /// Hosts that may be told.
    pub fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// Whether a subscription of this patient would find room now.
    ///
    /// # Errors
    /// [`NotTaken::Full`] or [`NotTaken::Unavailable`].
    pub fn check_room(&self, patient: PatientIndex) -> Result<(), NotTaken> {
        let book = self.book();
        Ok(book.as_ref().ok_or(NotTaken::Unavailable)?.check_room(patient)?)
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
        let book = self.book();
        let book = book.as_ref().ok_or(NotTaken::Unavailable)?;
        book.get(id, patient).cloned().ok_or(NotTaken::Unknown)
    }

    /// All subscriptions of this patient.
    ///
    /// # Errors
    /// [`NotTaken::Unavailable`].
    pub fn of(&self, patient: PatientIndex) -> Result<Vec<Kept>, NotTaken> {
        let book = self.book();
        let book = book.as_ref().ok_or(NotTaken::Unavailable)?;
        Ok(book.of(patient).cloned().collect())
    }

    /// Changes the subscriptions once they are kept so; where they cannot be nothing is changed.
    fn change(&self, change: impl Fn(&mut Book) -> Result<(), NotTaken>) -> Result<(), NotTaken> {
        let mut written = self.written();
        let mut planned = self.book().clone().ok_or(NotTaken::Unavailable)?;
        change(&mut planned)?;
        self.keep(&mut written, planned.kept()).map_err(|NotKept| NotTaken::Unavailable)?;
        // Meanwhile a notice may have been taken, which is not kept; nothing else has changed.
        self.book().as_mut().map_or(Ok(()), change)
    }

    /// Changes the subscriptions, and keeps them if the disk takes them; none if the desk is
    /// closed.
    fn note<T>(&self, change: impl FnOnce(&mut Book) -> T) -> Option<T> {
        let mut written = self.written();
        let (done, kept) = {
            let mut book = self.book();
            let book = book.as_mut()?;
            (change(book), book.kept())
        };
        let _said = self.keep(&mut written, kept);
        Some(done)
    }

    /// Writes the file, if it would say something else than it does.
    fn keep(&self, written: &mut Vec<Kept>, kept: Vec<Kept>) -> Result<(), NotKept> {
        if kept == *written {
            return Ok(());
        }
        let subscriptions = Subscriptions(kept);
        subscriptions.write(&self.0.path).map_err(|error| {
            tracing::error!("subscriptions cannot be kept: {}", with_causes(&error));
            NotKept
        })?;
        *written = subscriptions.0;
        Ok(())
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn written(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Likewise. No disk is waited for under it.
    fn book(&self) -> MutexGuard<'_, Option<Book>> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The next batch to be looked at that does not rest.
    pub(super) fn next_look(
        &self,
        settled: BatchNumber,
        now: Millis,
        resting: &BTreeSet<BatchNumber>,
    ) -> Option<Look> {
        self.book().as_ref()?.next_look(settled, now, resting)
    }

    /// Takes notice of a batch that was looked at. What cannot be kept is looked at again after the
    /// next start.
    pub(super) fn looked(&self, look: &Look, read: &BTreeSet<PatientIndex>) {
        let _done = self.note(|book| book.looked(look, read));
    }

    /// A notice that is due, of a batch that is settled.
    pub(super) fn take_due(&self, now: Millis, settled: BatchNumber) -> Option<Notice> {
        self.book().as_mut()?.take_due(now, settled)
    }

    /// Takes notice of how one ended; true if its subscription is given up. What cannot be kept is
    /// sent again after the next start, under the same id.
    pub(super) fn done(&self, notice: &Notice, ended: Result<(), Fault>, at: DoneAt) -> bool {
        self.note(|book| book.done(notice, ended, at)).unwrap_or(false)
    }

    /// Subscriptions that somebody is told by, and notices that are due.
    pub(super) fn counts(&self, now: Millis) -> [usize; 2] {
        let book = self.book();
        book.as_ref().map_or([0, 0], |book| [book.live_count(now), book.due_count(now)])
    }

    /// Whether somebody subscribed whose readings are erased since.
    pub(super) fn has_erased(&self, is_erased: impl Fn(PatientIndex) -> bool) -> bool {
        let book = self.book();
        book.as_ref().is_some_and(|book| book.patients().any(is_erased))
    }

    /// Ends all subscriptions of these. What cannot be written now goes with what is written next.
    pub(super) fn forget(&self, is_erased: impl Fn(PatientIndex) -> bool) {
        let _done = self.note(|book| book.forget(is_erased));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn while_the_disk_takes_its_time_whoever_looks_or_sends_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = Hosts::parse(&["app.example.org".to_owned()]).unwrap();
        let limits = Limits { of_patient: 1, of_all: 1 };
        let pace = Pace { first_ms: 1, most_ms: 1, give_up_after_ms: 1 };
        let desk = NoticeDesk::open(&folder.path().join("subscriptions.json"), hosts, limits, pace);
        // As whoever writes holds it.
        let writing = desk.written();
        let (told, looks) = channel();
        let other = desk.clone();
        thread::spawn(move || {
            let patient = PatientIndex::new(7).unwrap();
            let now = Millis::from_unix_ms(1_777_624_200_000);
            let found = other.of(patient).unwrap().len() + other.counts(now).iter().sum::<usize>();
            let due = other.next_look(BatchNumber(1), now, &BTreeSet::new()).is_some();
            told.send((found, due || other.take_due(now, BatchNumber(1)).is_some())).unwrap();
        });
        assert_eq!(looks.recv_timeout(Duration::from_secs(60)), Ok((0, false)));
        drop(writing);
    }
}
