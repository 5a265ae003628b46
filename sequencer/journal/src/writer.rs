//! The one writer: a thread that admits items in order and commits them in groups.
//!
//! There is no timer. A group is what arrived while the last one was synced, so groups are small
//! and fast when little happens and large when much does. Items wait on three lanes
//! ([`crate::Lane`]): a group takes all of them in turn, so that what is urgent is in the next
//! group however much else waits.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::{fmt, io, thread};

use crate::lane::Turn;
use crate::log::FileMaker;
use crate::prepare::Pacing;
use crate::queue::{Batch, Queue, Refused};
use crate::{
    AppendError, Committed, Failure, GroupBuilder, Lane, Log, Medium, Millis, NotTaken, Places,
};

/// Decides, on the writer thread, what each submitted item becomes. It is fed every item, those of
/// one lane in order, and the time, so what it decides depends on everything before and on nothing
/// else.
pub trait Admission: Send + 'static {
    /// What is submitted.
    type Item: Send + 'static;
    /// What the submitter learns once the group is durable.
    type Answer: Send + 'static;

    /// Items that were submitted together follow, the rest of them if a group ended in between.
    /// What is the same for all of them is to be looked at here, like the time, which they share.
    fn begin(&mut self) {}

    /// Turns an item into entries of the group, in at most [`crate::ITEM_ENTRIES_MAX`] entries and
    /// [`crate::ITEM_BYTES_MAX`] bytes, and returns the answer, which leaves only after the sync.
    /// An item may become no entry at all (a repetition, for example). `now` never decreases. What
    /// an entry rests on, such as a key that it is sealed under, is durable on return: if it cannot
    /// be, the item becomes no entry, and everybody else's are written.
    fn admit(&mut self, now: Millis, item: Self::Item, out: &mut GroupBuilder) -> Self::Answer;

    /// The group is durable; called before its answers leave.
    fn committed(&mut self, committed: &Committed);
}

/// Limits of the writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterConfig {
    /// Items that may wait, over all lanes ([`Lane::own_places`]); a further one is not taken.
    /// Default 4,096. Memory: that many items and replies, twice (waiting, and admitted but not yet
    /// synced).
    pub queue_items_max: NonZeroUsize,
    /// Places of those that only [`Places::Reserved`] may take; at most a half of them counts.
    /// Default 0.
    pub reserved_items: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        let queue_items_max = NonZeroUsize::new(4_096).expect("not zero");
        WriterConfig { queue_items_max, reserved_items: 0 }
    }
}

/// An item that was not taken, handed back; its reply is dropped without being called.
#[derive(thiserror::Error)]
#[error("not submitted: {why}")]
pub struct SubmitError<I> {
    /// The item.
    pub item: I,
    /// Why.
    pub why: NotTaken,
}

impl<I> fmt::Debug for SubmitError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("why", &self.why).finish_non_exhaustive()
    }
}

/// Items that were submitted together and were not taken, the last ones of them, handed back.
#[derive(thiserror::Error)]
#[error("{} items are not submitted: {why}", items.len())]
pub struct SubmitAllError<I> {
    /// The items, in their order.
    pub items: Vec<I>,
    /// Why.
    pub why: NotTaken,
}

impl<I> fmt::Debug for SubmitAllError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, why) = (self.items.len(), &self.why);
        f.debug_struct("SubmitAllError").field("items", &items).field("why", why).finish()
    }
}

/// Told how many items were taken, and their answers.
type Reply<T> = Box<dyn FnOnce(usize, Result<Vec<T>, Failure>) + Send>;

/// Who waits for items that were submitted together.
struct Waiter<T> {
    /// How many of them were taken.
    items: usize,
    /// Of those that were admitted, in order.
    answers: Vec<T>,
    reply: Reply<T>,
}

impl<T> Waiter<T> {
    fn answer(self) {
        (self.reply)(self.items, Ok(self.answers));
    }

    fn fail(self, failure: Failure) {
        (self.reply)(self.items, Err(failure));
    }
}

type ItemQueue<A> = Queue<<A as Admission>::Item, Waiter<<A as Admission>::Answer>>;

/// Submits items to a [`Writer`]; clone it freely.
pub struct Submitter<A: Admission> {
    queue: Arc<ItemQueue<A>>,
}

impl<A: Admission> Clone for Submitter<A> {
    fn clone(&self) -> Self {
        Submitter { queue: Arc::clone(&self.queue) }
    }
}

impl<A: Admission> Submitter<A> {
    /// Queues an item on a lane. `reply` is called once, on the writer thread, after the item's
    /// group is durable or the writer failed; it must not block. Items of one lane are admitted in
    /// the order of submission, those of different lanes in none.
    ///
    /// # Errors
    /// [`SubmitError`] at once if the lane is full or the writer does not run: never waits.
    pub fn submit(
        &self,
        lane: Lane,
        item: A::Item,
        reply: impl FnOnce(Result<A::Answer, Failure>) + Send + 'static,
    ) -> Result<(), SubmitError<A::Item>> {
        self.submit_into(lane, Places::Common, item, reply)
    }

    /// As [`Submitter::submit`], and into the reserved places as well if `places` says so: then as
    /// many are taken as are reserved, whatever else waits on which lane.
    ///
    /// # Errors
    /// As [`Submitter::submit`]; [`NotTaken::Full`] names the places that there are for this item.
    pub fn submit_into(
        &self,
        lane: Lane,
        places: Places,
        item: A::Item,
        reply: impl FnOnce(Result<A::Answer, Failure>) + Send + 'static,
    ) -> Result<(), SubmitError<A::Item>> {
        let reply = |_, answers: Result<Vec<A::Answer>, Failure>| {
            let one = |mut answers: Vec<A::Answer>| {
                answers.pop().expect("an item that was admitted has its answer")
            };
            reply(answers.map(one));
        };
        let refused = self.push(lane, places, vec![item], Box::new(reply));
        refused.map_err(|Refused { mut items, why }| {
            let item = items.pop().expect("the one that was pushed is handed back");
            SubmitError { item, why }
        })
    }

    /// Submits items together: as if one came after the other with nothing in between, except that
    /// all of them are given the time at which the first one is admitted, and that the reply, which
    /// is told how many were taken and has their answers in order, is called once the last of them
    /// is durable. It costs less: one lock, one waking of the writer and one reply for all.
    ///
    /// # Errors
    /// [`SubmitAllError`] at once with those that find no place, the last ones; the reply is of
    /// those before them, and is dropped uncalled if there are none.
    pub fn submit_all(
        &self,
        lane: Lane,
        items: Vec<A::Item>,
        reply: impl FnOnce(usize, Result<Vec<A::Answer>, Failure>) + Send + 'static,
    ) -> Result<(), SubmitAllError<A::Item>> {
        let refused = self.push(lane, Places::Common, items, Box::new(reply));
        refused.map_err(|Refused { items, why }| SubmitAllError { items, why })
    }

    fn push(
        &self,
        lane: Lane,
        places: Places,
        items: Vec<A::Item>,
        reply: Reply<A::Answer>,
    ) -> Result<(), Refused<A::Item>> {
        let waiter = |items| Waiter { items, answers: Vec::new(), reply };
        self.queue.push(lane, places, items, waiter)
    }

    /// Why no item is taken any more: the writer was stopped or failed. Until then `None`.
    pub fn closed(&self) -> Option<NotTaken> {
        self.queue.closed()
    }

    /// Items that wait now.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// What a stopped writer leaves.
pub struct WriterStopped<M, A> {
    /// The log, poisoned if it failed.
    pub log: Log<M>,
    /// The admission.
    pub admission: A,
    /// Why it stopped by itself, if it did.
    pub failure: Option<Failure>,
}

/// The writer thread. Dropping it stops it as [`Writer::stop`] does.
pub struct Writer<M, A: Admission> {
    queue: Arc<ItemQueue<A>>,
    thread: Option<JoinHandle<WriterStopped<M, A>>>,
}

impl<M: Medium, A: Admission> Writer<M, A> {
    /// Starts the thread; `clock` is asked once for what is submitted together and may go back.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub fn start(
        log: Log<M>,
        admission: A,
        clock: impl FnMut() -> Millis + Send + 'static,
        config: WriterConfig,
    ) -> io::Result<Writer<M, A>> {
        let queue = Queue::new(config.queue_items_max.get(), config.reserved_items);
        let queue = Arc::new(queue);
        let files = Files::Thread(FileThread::start(log.maker())?);
        let owned = WriterThread {
            log,
            admission,
            clock,
            queue: Arc::clone(&queue),
            files,
            admitting: None,
            unanswered: VecDeque::new(),
        };
        let thread = thread::Builder::new().name("journal-writer".into());
        let thread = Some(thread.spawn(move || owned.run())?);
        Ok(Writer { queue, thread })
    }

    /// A handle to submit with.
    pub fn submitter(&self) -> Submitter<A> {
        Submitter { queue: Arc::clone(&self.queue) }
    }

    /// Takes nothing more, commits and answers what is queued, and ends the thread.
    pub fn stop(mut self) -> WriterStopped<M, A> {
        self.queue.close();
        let thread = self.thread.take().expect("taken only here and in drop");
        thread.join().expect("panics of callers are caught on the thread")
    }
}

impl<M, A: Admission> Drop for Writer<M, A> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Not unwrapped: a drop must not panic, least of all while another panic unwinds.
            drop(thread.join());
        }
    }
}

/// The writer without its thread: whoever has one order for everything that happens, as a
/// simulation has, says when it commits.
pub struct SteppedWriter<M: Medium, A: Admission> {
    steps: WriterThread<M, A, Box<dyn FnMut() -> Millis + Send>>,
    /// Why it takes nothing more.
    failure: Option<Failure>,
}

impl<M: Medium, A: Admission> SteppedWriter<M, A> {
    /// As [`Writer::start`], without a thread.
    pub fn new(
        log: Log<M>,
        admission: A,
        clock: impl FnMut() -> Millis + Send + 'static,
        config: WriterConfig,
    ) -> SteppedWriter<M, A> {
        let queue = Queue::new(config.queue_items_max.get(), config.reserved_items);
        let files = Files::Here(log.maker());
        let steps = WriterThread {
            log,
            admission,
            clock: Box::new(clock) as Box<dyn FnMut() -> Millis + Send>,
            queue: Arc::new(queue),
            files,
            admitting: None,
            unanswered: VecDeque::new(),
        };
        steps.files.ask();
        SteppedWriter { steps, failure: None }
    }

    /// A handle to submit with.
    pub fn submitter(&self) -> Submitter<A> {
        Submitter { queue: Arc::clone(&self.steps.queue) }
    }

    /// Commits what waits now as one group, and answers. Nothing happens where nothing waits.
    ///
    /// # Errors
    /// [`Failure`]; everybody who waited was told, and nothing is taken from then on. A panic of
    /// admission or clock is the caller's.
    pub fn step(&mut self) -> Result<(), Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if self.steps.queue.len() == 0 {
            return Ok(());
        }
        let Err(error) = self.steps.commit_one_group() else { return Ok(()) };
        let failure = Failure::Log(Arc::new(error));
        self.steps.fail(&failure);
        self.failure = Some(failure.clone());
        Err(failure)
    }
}

/// Who makes files ahead of need.
enum Files<M> {
    Thread(FileThread),
    /// Whoever asks.
    Here(FileMaker<M>),
}

impl<M: Medium> Files<M> {
    fn ask(&self) {
        match self {
            Files::Thread(thread) => thread.ask(),
            // What went wrong is counted, and the writer meets it when it needs the file.
            Files::Here(maker) => drop(maker.make(Pacing::AtOnce, &AtomicBool::new(false))),
        }
    }

    fn stop(&mut self) {
        if let Files::Thread(thread) = self {
            thread.stop();
        }
    }
}

/// The thread that makes files ahead of need: zeros take longer than a sync.
struct FileThread {
    /// One place: it is asked for a file, not for so many.
    asked: Option<SyncSender<()>>,
    stop: Arc<AtomicBool>,
    /// Has the thread look at `stop`.
    wake: Box<dyn Fn() + Send>,
    thread: Option<JoinHandle<()>>,
}

impl FileThread {
    fn start<M: Medium>(maker: FileMaker<M>) -> io::Result<FileThread> {
        let (asked, asks) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (told, woken) = (Arc::clone(&stop), maker.clone());
        let work = move || {
            for () in asks {
                // What went wrong is counted, and the writer meets it when it needs the file.
                drop(maker.make(Pacing::WithLog, &told));
            }
        };
        let thread = Some(thread::Builder::new().name("journal-files".into()).spawn(work)?);
        let wake = Box::new(move || woken.wake());
        Ok(FileThread { asked: Some(asked), stop, wake, thread })
    }

    fn ask(&self) {
        let Some(asked) = &self.asked else { return };
        match asked.try_send(()) {
            // Asked already; or its thread panicked, and then the writer makes files itself.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    /// Ends the thread, and the file that it is making.
    fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        (self.wake)();
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for FileThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Everything the thread owns. Replies stay here while the caller's code runs, so that a panic in
/// it leaves none of them uncalled.
struct WriterThread<M, A: Admission, C> {
    log: Log<M>,
    admission: A,
    clock: C,
    queue: Arc<ItemQueue<A>>,
    files: Files<M>,
    admitting: Option<Waiter<A::Answer>>,
    /// Of whom every item was admitted.
    unanswered: VecDeque<Waiter<A::Answer>>,
}

impl<M: Medium, A: Admission, C: FnMut() -> Millis> WriterThread<M, A, C> {
    fn run(mut self) -> WriterStopped<M, A> {
        // Unwinding is safe to cross: after a panic the thread admits nothing more and ends.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            self.files.ask();
            while self.commit_one_group()? {}
            // Else a power cut after the stop could make the next open write the last group again.
            self.log.rest()
        }));
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Failure::Log(Arc::new(error))),
            Err(_) => Some(Failure::Panicked),
        };
        if let Some(failure) = &failure {
            // Here and not in `stop`: those who wait must hear of it although nobody joins the
            // thread yet.
            self.fail(failure);
        }
        self.files.stop();
        WriterStopped { log: self.log, admission: self.admission, failure }
    }

    /// Waits for items, commits them as one group, answers; `false` once stopped and drained.
    fn commit_one_group(&mut self) -> Result<bool, AppendError> {
        let arrived = self.queue.wait();
        // The time is set as items are admitted.
        let mut group = self.log.builder(0);
        for lane in Lane::ALL {
            let turn = Turn::new(lane, arrived, group.filled());
            // What comes meanwhile waits for the next group: else the first of these would wait for
            // it. So does what is urgent: the admission may bound what a submitter has in a group,
            // and then it must come before the rest of its submitter, not behind.
            let mut left = arrived.on(lane);
            while left > 0 && turn.takes_one(group.filled()) {
                left -= self.admit_next(lane, &turn, &mut group);
            }
        }
        if !group.is_empty() {
            let committed = self.log.append_built(group)?;
            // Before the answers: whoever gets one may look at once for what it speaks of.
            self.admission.committed(&committed);
            if self.log.wants_file() {
                self.files.ask();
            }
        }
        // Taken off before it is called: one that panics must not be called again by `fail`.
        while let Some(waiter) = self.unanswered.pop_front() {
            waiter.answer();
        }
        Ok(arrived.sum() > 0)
    }

    /// Admits what was submitted together, as much of it as the group takes; how many items that
    /// is, at least one.
    fn admit_next(&mut self, lane: Lane, turn: &Turn, group: &mut GroupBuilder) -> usize {
        let batch = self.queue.pop(lane);
        let Batch { mut items, reply } = batch.expect("what has arrived waits until it is popped");
        let before = items.len();
        self.admitting.insert(reply).answers.reserve_exact(before);
        let now = (self.clock)();
        self.admission.begin();
        while turn.takes_one(group.filled())
            && let Some(item) = items.next()
        {
            group.begin_item(now);
            let answer = self.admission.admit(group.now(), item, group);
            // Not kept beside it: a panic must find it here.
            if let Some(waiter) = &mut self.admitting {
                waiter.answers.push(answer);
            }
        }
        let admitted = before - items.len();
        let waiter = self.admitting.take().expect("it stays here while its items are admitted");
        let left = if items.len() > 0 {
            Some(Batch { items, reply: waiter })
        } else {
            self.unanswered.push_back(waiter);
            None
        };
        self.queue.count_off(lane, admitted - 1, left);
        admitted
    }

    /// Tells everyone who has no answer yet; a panicking reply does not keep the others from it.
    fn fail(&mut self, failure: &Failure) {
        let queued = self.queue.fail(failure.clone());
        let unanswered = std::mem::take(&mut self.unanswered).into_iter();
        // In the order in which the answers would have come.
        for waiter in unanswered.chain(self.admitting.take()).chain(queued) {
            let failure = failure.clone();
            drop(catch_unwind(AssertUnwindSafe(|| waiter.fail(failure))));
        }
    }
}
