//! How threads and tasks of the node are started, and how it is noticed that one ended.
//!
//! Whatever runs for as long as the node does is started here. It ends in one of two ways: somebody
//! planned its end first, or its stage failed, be it by an error, by a panic or by returning early.
//! A failure is logged with its cause and kept; the node then stops. What answers one request and
//! ends is no stage: its panic concerns that request, and [`caught`] makes an error of it.

#[cfg(test)]
pub(crate) mod fault;
mod stage;

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

pub use stage::{Stage, StageFailure};

/// Where failures are reported; the first one stays. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Failures {
    first: watch::Sender<Option<StageFailure>>,
    #[cfg(test)]
    pub(crate) faults: fault::Faults,
}

/// How something ended that nobody asked to end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnplannedEnd {
    /// By a panic, with its message.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// Without an error.
    #[error("it ended although nobody asked it to")]
    Early,
}

impl Failures {
    /// Nothing failed yet.
    pub fn new() -> Failures {
        Failures {
            first: watch::Sender::new(None),
            #[cfg(test)]
            faults: fault::Faults::default(),
        }
    }

    /// Reports a failure; the first one stays.
    pub fn fail(&self, stage: Stage, error: &dyn Error) {
        let detail = model::with_causes(error);
        tracing::error!(stage = stage.name(), detail, "a stage failed");
        // What fails later is mostly a consequence: a batcher without a journal, for example.
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(StageFailure { stage, detail });
            is_first
        });
    }

    /// The first failure, if there is one.
    pub fn first(&self) -> Option<StageFailure> {
        self.first.borrow().clone()
    }

    /// Follows failures.
    pub fn follow(&self) -> watch::Receiver<Option<StageFailure>> {
        self.first.subscribe()
    }
}

impl Default for Failures {
    fn default() -> Failures {
        Failures::new()
    }
}

/// Starts threads and tasks, and reports the end of each that nobody planned. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    failures: Failures,
}

impl Guard {
    /// Reports to `failures`.
    pub fn new(failures: Failures) -> Guard {
        Guard { failures }
    }

    /// Starts a task of a stage on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn task<E: Error + Send + 'static>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> GuardedTask {
        let end = End { stage, failures: self.failures.clone(), planned: Arc::default() };
        #[cfg(test)]
        let work = self.failures.faults.clone().meet(stage, work);
        let work = tokio::spawn(work);
        let abort = work.abort_handle();
        let noted = end.clone();
        let noted = tokio::spawn(async move {
            match work.await {
                Ok(Ok(())) => noted.note_return(),
                Ok(Err(error)) => noted.failures.fail(stage, &error),
                // Only its owner aborts it, and a runtime that ends.
                Err(error) => noted.note_panic(panic_of_task(error)),
            }
        });
        GuardedTask { end, abort, noted }
    }

    /// Starts a thread of a stage that does `each` with every item until there are no more. It is
    /// the guard that takes the items, so that the queue they come from is closed as soon as the
    /// thread is at its end, however it came to it.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub fn thread<T, E: Error>(
        &self,
        stage: Stage,
        name: &str,
        items: impl Iterator<Item = T> + Send + 'static,
        mut each: impl FnMut(T) -> Result<(), E> + Send + 'static,
    ) -> io::Result<GuardedThread> {
        let end = End { stage, failures: self.failures.clone(), planned: Arc::default() };
        let noted = end.clone();
        let work = move || {
            let all = || {
                for item in items {
                    #[cfg(test)]
                    if noted.failures.faults.is_early_return(stage) {
                        return Ok(());
                    }
                    each(item)?;
                }
                Ok(())
            };
            // Nothing of what unwound is used again.
            match catch_unwind(AssertUnwindSafe(all)) {
                Ok(Ok(())) => noted.note_return(),
                Ok(Err(error)) => {
                    let error: E = error;
                    noted.failures.fail(stage, &error);
                }
                Err(panic) => noted.note_panic(Some(message(panic.as_ref()))),
            }
        };
        let handle = thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(GuardedThread { end, handle: Some(handle) })
    }
}

/// How the end of one thread or task is told.
#[derive(Clone, Debug)]
struct End {
    stage: Stage,
    failures: Failures,
    planned: Arc<AtomicBool>,
}

impl End {
    fn plan(&self) {
        self.planned.store(true, Ordering::SeqCst);
    }

    fn note_return(&self) {
        if !self.planned.load(Ordering::SeqCst) {
            self.failures.fail(self.stage, &UnplannedEnd::Early);
        }
    }

    /// A panic is no planned end, also of what was asked to end.
    fn note_panic(&self, panic: Option<String>) {
        if let Some(message) = panic {
            self.failures.fail(self.stage, &UnplannedEnd::Panicked(message));
        }
    }
}

/// A task that is watched. Dropping it plans its end and waits for nothing.
#[derive(Debug)]
pub struct GuardedTask {
    end: End,
    abort: AbortHandle,
    noted: JoinHandle<()>,
}

impl GuardedTask {
    /// Says that it is about to end, because it will be asked to.
    pub fn plan_end(&self) {
        self.end.plan();
    }

    /// Plans its end, asks for it with `ask`, and waits for it.
    pub async fn stop(mut self, ask: impl FnOnce()) {
        // Before it is asked: it may end before this task runs again.
        self.end.plan();
        ask();
        // What watches it panics nowhere, and was told how it ended.
        drop((&mut self.noted).await);
    }

    /// Ends it where it stands.
    pub fn abort(&self) {
        self.end.plan();
        self.abort.abort();
    }
}

impl Drop for GuardedTask {
    fn drop(&mut self) {
        self.end.plan();
    }
}

/// A thread that is watched. Dropping it plans its end and waits for nothing.
#[derive(Debug)]
pub struct GuardedThread {
    end: End,
    handle: Option<thread::JoinHandle<()>>,
}

impl GuardedThread {
    /// Says that it is about to end, because what feeds it is.
    pub fn plan_end(&self) {
        self.end.plan();
    }

    /// Plans its end, asks for it with `ask`, and blocks until it has come.
    pub fn stop(mut self, ask: impl FnOnce()) {
        self.end.plan();
        ask();
        // Its panics are caught and were told.
        drop(self.handle.take().map(thread::JoinHandle::join));
    }
}

impl Drop for GuardedThread {
    fn drop(&mut self) {
        self.end.plan();
    }
}

/// Starts the task of one request or connection; a panic ends it alone, with a line in the log.
pub fn spawn_request(what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let work = tokio::spawn(work);
    tokio::spawn(async move {
        if let Err(Some(message)) = work.await.map_err(panic_of_task) {
            tracing::error!(what, message, "the task of a request panicked; it ended alone");
        }
    });
}

/// Runs work that answers one request; a panic becomes an error, so that whoever waits is told.
///
/// # Errors
/// [`UnplannedEnd::Panicked`].
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, UnplannedEnd> {
    // What the work had is dropped with it.
    let caught = catch_unwind(AssertUnwindSafe(work));
    caught.map_err(|panic| UnplannedEnd::Panicked(message(panic.as_ref())))
}

/// The message of a task's panic; `None` if it was aborted.
pub fn panic_of_task(error: JoinError) -> Option<String> {
    let panic = error.try_into_panic().ok()?;
    Some(message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    // Whatever else was thrown was thrown by hand, and Rust's own line says no more.
    text.unwrap_or("without a message").to_owned()
}
