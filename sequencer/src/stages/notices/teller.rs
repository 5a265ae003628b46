//! The stage: looks at batches that settled, sends what is due, and waits for nobody.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use accounting::notices::{DoneAt, Fault, Look, Notice};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use model::{BatchNumber, ChainScope, ClaimKind, Clock, PatientIndex, Word, with_causes};
use statement::batch::OpeningKey;
use tokio::sync::watch;
use tokio::time::sleep;

use super::desk::NoticeDesk;
use super::post::Poster;
use super::rests::{Cause, Rests, Unread};
use crate::folder::parts::{BatchParts, PartError};
use crate::folder::store::{Store, StoreError};
use crate::metrics::Metrics;

/// How often it is looked whether a batch settled, or a pause is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a file that is in the archive alone is waited for.
const ARCHIVE_WAIT: Duration = Duration::from_secs(10);

/// The view key of a patient's record, if there is one.
pub type ViewKey = Arc<dyn Fn(PatientIndex) -> Option<Word> + Send + Sync>;
/// Whether a patient's readings are erased.
pub type IsErased = Arc<dyn Fn(PatientIndex) -> bool + Send + Sync>;

/// What the stage works with. Cheap to clone.
#[derive(Clone)]
pub struct Teller {
    /// Who is told.
    pub desk: NoticeDesk,
    /// What is settled.
    pub store: Arc<Store>,
    /// Which deployment.
    pub scope: ChainScope,
    /// What opens a patient's part.
    pub view_key: ViewKey,
    /// Who is to be forgotten.
    pub is_erased: IsErased,
    /// What sends.
    pub poster: Poster,
    /// How long a batch that cannot be read is waited for, milliseconds.
    pub lost_after_ms: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Notices on their way.
type UnderWay = FuturesUnordered<BoxFuture<'static, (Notice, Result<(), Fault>)>>;
/// What happened.
enum Event {
    /// The node stops.
    Stop,
    /// A notice was delivered, or was not.
    Ended(Notice, Result<(), Fault>),
    /// A batch was looked at, for these; for whom it could not be, where it failed.
    Looked(Look, Seen),
    /// It is time to look again.
    Woken,
}

/// What a batch has for those for whom it was looked at.
struct Found {
    /// Those whose part opens, and those who have none.
    opened: Look,
    /// Of these, whose data somebody read.
    read: BTreeSet<PatientIndex>,
    /// Why the first part that does not open does not, if there is one.
    broken: Option<PartError>,
}

/// False if the batch is settled no more.
type Seen = Result<bool, PartError>;
/// A look at a batch.
type Looking = BoxFuture<'static, (Look, Seen)>;

impl Teller {
    /// Tells until it is stopped. What is under way then is cut off, and sent again after the next
    /// start: whoever got it all the same knows it by its id.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails itself.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
        self.metrics.notices_closed.set(i64::from(self.desk.is_closed()));
        let (mut under_way, mut looking) = (UnderWay::new(), None);
        let mut rests = Rests::new(self.lost_after_ms);
        loop {
            self.forget_erased().await;
            // Beside what is under way: a file may have to come from the archive.
            looking = looking.or_else(|| self.look(&mut rests));
            self.begin(&under_way);
            self.count();
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Event::Stop,
                Some((notice, ended)) = under_way.next(), if !under_way.is_empty() => {
                    Event::Ended(notice, ended)
                }
                (look, seen) = of(&mut looking) => Event::Looked(look, seen),
                () = self.desk.changed() => Event::Woken,
                () = sleep(LOOK_EVERY) => Event::Woken,
            };
            match event {
                Event::Stop => break,
                Event::Ended(notice, ended) => self.note(notice, ended).await,
                Event::Looked(look, seen) => {
                    looking = None;
                    self.rest(&mut rests, look, &seen).await;
                }
                Event::Woken => {}
            }
        }
        // It holds the store, which the next start is to find free.
        if let Some(looking) = looking {
            drop(looking.await);
        }
        Ok(())
    }

    /// Begins to look at the next batch; none if there is none that does not rest.
    fn look(&self, rests: &mut Rests) -> Option<Looking> {
        let now = self.clock.now();
        let mut look = self.desk.next_look(self.settled(), now, &rests.resting(now))?;
        let this = self.clone();
        Some(Box::pin(off_runtime(move || {
            let seen = this.look_at(&mut look);
            (look, seen)
        })))
    }

    /// The last batch that is settled, asked of memory: the store is read where there is something
    /// to be read.
    fn settled(&self) -> BatchNumber {
        BatchNumber(u64::try_from(self.metrics.batch_settled.get()).unwrap_or(0))
    }

    /// Has a batch rest that could not be seen, which is told. The others do not wait for it: one
    /// damaged file keeps one batch from whoever waits for that. One that stays so for too long is
    /// passed over, or a file that is gone for good would end a subscription without a word.
    async fn rest(&self, rests: &mut Rests, look: Look, seen: &Seen) {
        // Before it is counted: whoever saw it counted may set the clock.
        let now = self.clock.now();
        let error = match seen {
            Ok(true) => return rests.read(look.batch),
            // Blocks were taken back, and with them what had settled.
            Ok(false) => {
                return rests.unsettled(look.batch, now, LOOK_EVERY.as_millis() as u64);
            }
            Err(error) => error,
        };
        let (batch, cause) = (look.batch.0, with_causes(error));
        let patients = look.patients.len();
        let unread = rests.unread(look.batch, now, cause_of(error));
        self.metrics.notices_unread_total.inc();
        match unread {
            Unread::Rests => {
                tracing::warn!(
                    batch,
                    cause,
                    patients,
                    "a batch cannot be looked at for notices of so many patients: it rests"
                );
            }
            Unread::Lost => {
                tracing::error!(
                    batch,
                    cause,
                    patients,
                    "a batch that cannot be read for so many patients is passed over: whether \
                     somebody read in it, they are not told"
                );
                self.metrics.notices_batches_lost_total.inc();
                let desk = self.desk.clone();
                off_runtime(move || desk.looked(&look, &BTreeSet::new())).await;
            }
        }
    }

    /// Looks at a batch for all whose part opens. Only the others are left in the look then: one
    /// part that does not open keeps one patient waiting.
    fn look_at(&self, look: &mut Look) -> Seen {
        if self.store.last_settled()? < look.batch {
            return Ok(false);
        }
        let Some(Found { opened, read, broken }) = self.whose_data_was_read(look)? else {
            return Ok(false);
        };
        if !opened.patients.is_empty() {
            // Before it is taken notice of: whoever sees that it was finds it counted.
            self.metrics.notices_batches_total.inc();
            self.desk.looked(&opened, &read);
        }
        look.patients.retain(|patient| !opened.patients.contains(patient));
        broken.map_or(Ok(true), Err)
    }

    /// Ends subscriptions of whoever is erased: who was told of them, and by which secret, goes
    /// with the readings. At each look, so that a file of before that was put back brings none
    /// back.
    async fn forget_erased(&self) {
        if !self.desk.has_erased(&*self.is_erased) {
            return;
        }
        let (desk, is_erased) = (self.desk.clone(), self.is_erased.clone());
        off_runtime(move || desk.forget(&*is_erased)).await;
        tracing::info!("subscriptions of whoever is erased have ended");
    }

    /// Of these patients, those whose data somebody read in this batch: whom a collection is about
    /// knows of it, and would be told of each. None of a batch that there is no more: it was taken
    /// back and given up meanwhile, and another will have its number.
    fn whose_data_was_read(&self, look: &Look) -> Result<Option<Found>, PartError> {
        let Look { batch, patients } = look;
        let parts = BatchParts::read(&self.store, *batch, self.scope, ARCHIVE_WAIT)?;
        let Some(parts) = parts else { return Ok(None) };
        let (mut opened, mut read, mut broken) = (BTreeSet::new(), BTreeSet::new(), None);
        for &patient in patients {
            // Without a key there is no part.
            let key = (self.view_key)(patient).map(|view_key| OpeningKey { view_key, patient });
            let opening = match key.map_or(Ok(None), |key| parts.open(key)) {
                Ok(opening) => opening,
                Err(error) => {
                    broken = broken.or(Some(error));
                    continue;
                }
            };
            opened.insert(patient);
            let mut claims = opening.iter().flat_map(|opening| &opening.claims);
            if claims.any(|opening| opening.claim.kind != ClaimKind::Collect) {
                read.insert(patient);
            }
        }
        let opened = Look { batch: *batch, patients: opened };
        Ok(Some(Found { opened, read, broken }))
    }

    /// Begins what is due.
    fn begin(&self, under_way: &UnderWay) {
        let now = self.clock.now();
        while let Some(notice) = self.desk.take_due(now, self.settled()) {
            let poster = self.poster.clone();
            under_way.push(Box::pin(async move {
                let ended = poster.send(&notice, now).await;
                (notice, ended)
            }));
        }
    }

    async fn note(&self, notice: Notice, ended: Result<(), Fault>) {
        self.metrics.notices_told_total.inc_by(u64::from(ended.is_ok()));
        self.metrics.notices_failures_total.inc_by(u64::from(ended.is_err()));
        let mut jitter = [0; 2];
        // Without randomness all pauses are the shortest ones: they come together and that is all.
        let _unlikely = getrandom::fill(&mut jitter);
        let at = DoneAt { now: self.clock.now(), jitter: u16::from_be_bytes(jitter) };
        let desk = self.desk.clone();
        let is_given_up = off_runtime(move || desk.done(&notice, ended, at)).await;
        if is_given_up {
            self.metrics.notices_given_up_total.inc();
            let fault = ended.err().map(|fault| fault.to_string());
            tracing::warn!(fault, "a receiver is told nothing any more; its subscription says why");
        }
    }

    fn count(&self) {
        let [live, due] = self.desk.counts(self.clock.now());
        self.metrics.notices_subscriptions.set(live as i64);
        self.metrics.notices_waiting.set(due as i64);
    }
}

/// Whether it is the batch that cannot be read, or all that is kept.
fn cause_of(error: &PartError) -> Cause {
    match error {
        PartError::Store(StoreError::Database(_) | StoreError::Busy) => Cause::Database,
        PartError::Store(_) | PartError::File(_) | PartError::Unseal(_) => Cause::Files,
    }
}

/// What is looked at, if something is; else it never ends.
async fn of(looking: &mut Option<Looking>) -> (Look, Seen) {
    match looking {
        Some(looking) => looking.await,
        None => std::future::pending().await,
    }
}

/// Runs what reads or writes the disk beside the runtime's threads; its panic is the stage's own.
async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}
