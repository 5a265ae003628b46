//! The bounded queue of rows and the threads that evaluate them.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use model::{PatientIndex, with_causes};
use rayon::{ThreadPool, ThreadPoolBuilder};
use thiserror::Error;

use super::config::AdmissionConfig;
use super::evaluate::{Evaluate, EvaluatedRow, NotProvable, OperationRow};
use super::urgency::Urgency;
use crate::metrics::Metrics;

/// Why a row is not evaluated, or not with success.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotEvaluated {
    /// No place for it.
    #[error("expected at most {items_max} operations waiting for their evaluation")]
    Full {
        /// Places that there are; 1 if the patient has an operation of that urgency under way.
        items_max: usize,
    },
    /// It cannot be proven.
    #[error(transparent)]
    NotProvable(#[from] NotProvable),
}

/// What is told of a row.
type Done = Box<dyn FnOnce(Result<EvaluatedRow, NotEvaluated>) + Send>;

struct Job {
    urgency: Urgency,
    row: Box<OperationRow>,
    done: Done,
}

/// Evaluates rows on threads of its own. Cheap to clone.
#[derive(Clone)]
pub struct RowPool {
    shared: Arc<Shared>,
}

struct Shared {
    /// None: whoever pushes a row evaluates it.
    threads: Option<ThreadPool>,
    rows: Arc<dyn Evaluate>,
    metrics: Arc<Metrics>,
    places_max: usize,
    places_reserved: usize,
    rounds_max: usize,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    protecting: VecDeque<Job>,
    ordinary: VecDeque<Job>,
    /// Whose rows wait or are evaluated: one of a urgency for each patient. A record takes one
    /// operation after the other anyway, and so nobody fills the places with copies of one.
    under_way: BTreeSet<(PatientIndex, Urgency)>,
}

impl RowPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system starts no further thread.
    pub fn start(
        config: &AdmissionConfig,
        rows: Arc<dyn Evaluate>,
        metrics: Arc<Metrics>,
    ) -> io::Result<RowPool> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(config.evaluation_threads)
            .thread_name(|number| format!("rows-{number}"))
            .build()
            .map_err(io::Error::other)?;
        Ok(RowPool::of(Some(threads), config, rows, metrics))
    }

    /// Without threads: a row is evaluated by whoever pushes it. For whoever needs one order of all
    /// that happens, as a simulation does.
    pub fn by_caller(
        config: &AdmissionConfig,
        rows: Arc<dyn Evaluate>,
        metrics: Arc<Metrics>,
    ) -> RowPool {
        RowPool::of(None, config, rows, metrics)
    }

    fn of(
        threads: Option<ThreadPool>,
        config: &AdmissionConfig,
        rows: Arc<dyn Evaluate>,
        metrics: Arc<Metrics>,
    ) -> RowPool {
        let (places_max, places_reserved) = (config.evaluations_max, config.evaluations_reserved);
        let (rounds_max, queues) = (config.evaluation_rounds_max, Mutex::default());
        let shared =
            Shared { threads, rows, metrics, places_max, places_reserved, rounds_max, queues };
        RowPool { shared: Arc::new(shared) }
    }

    /// How often an operation whose record moved is evaluated again.
    pub fn rounds_max(&self) -> usize {
        self.shared.rounds_max
    }

    /// Queues a row; never waits. `done` is called once and must not block: on a thread of the
    /// pool, or on this one if there is no place.
    pub fn push(
        &self,
        row: Box<OperationRow>,
        done: impl FnOnce(Result<EvaluatedRow, NotEvaluated>) + Send + 'static,
    ) {
        let urgency = Urgency::of(&row.signed.operation.action);
        let job = Job { urgency, row, done: Box::new(done) };
        if let Err((job, items_max)) = self.shared.enqueue(job) {
            return (job.done)(Err(NotEvaluated::Full { items_max }));
        }
        // One task a row, and each takes the row that is most urgent by then.
        let shared = Arc::clone(&self.shared);
        match &self.shared.threads {
            Some(threads) => threads.spawn(move || shared.evaluate_next()),
            None => shared.evaluate_next(),
        }
    }
}

impl Shared {
    /// Gives the row a place, or hands it back with the number of places.
    fn enqueue(&self, job: Job) -> Result<(), (Job, usize)> {
        // Counted over both queues: what withdraws may take every place, the rest only those that
        // are not reserved.
        let items_max = match job.urgency {
            Urgency::Protecting => self.places_max,
            Urgency::Ordinary => self.places_max.saturating_sub(self.places_reserved),
        };
        let mut queues = self.queues();
        if queues.under_way.len() >= items_max {
            return Err((job, items_max));
        }
        if !queues.under_way.insert((job.row.signed.operation.patient, job.urgency)) {
            return Err((job, 1));
        }
        self.metrics.evaluations_waiting.set(queues.under_way.len() as i64);
        match job.urgency {
            Urgency::Protecting => queues.protecting.push_back(job),
            Urgency::Ordinary => queues.ordinary.push_back(job),
        }
        Ok(())
    }

    fn evaluate_next(&self) {
        let job = {
            let mut queues = self.queues();
            let Queues { protecting, ordinary, .. } = &mut *queues;
            protecting.pop_front().or_else(|| ordinary.pop_front())
        };
        let Some(Job { urgency, row, done }) = job else { return };
        let patient = row.signed.operation.patient;
        let begun = Instant::now();
        let rows = &*self.rows;
        // A panic is a row that nobody may promise; the thread goes on with the next one.
        let evaluated = catch_unwind(AssertUnwindSafe(|| row.evaluate(rows)));
        let evaluated = evaluated.unwrap_or(Err(NotProvable::Panicked));
        self.metrics.evaluation_seconds.observe(begun.elapsed().as_secs_f64());
        if let Err(why) = &evaluated {
            self.metrics.operations_unprovable_total.inc();
            // Never an operation's or a patient's fault alone: the twin accepts what the circuit
            // does not, and that is a bug of this program to be reported.
            let why = with_causes(why);
            tracing::error!(why, "twin and circuit differ: an operation is refused, not journaled");
        }
        // Before it is told: who hears of the answer finds the place free.
        let mut queues = self.queues();
        queues.under_way.remove(&(patient, urgency));
        self.metrics.evaluations_waiting.set(queues.under_way.len() as i64);
        drop(queues);
        // What it calls must not take this thread with it, or rows would wait for ever.
        let evaluated = evaluated.map_err(NotEvaluated::from);
        if catch_unwind(AssertUnwindSafe(|| done(evaluated))).is_err() {
            tracing::error!("the answer to an evaluated operation panicked");
        }
    }

    /// No caller's code runs under the lock, so a panic cannot leave the queues half changed.
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
