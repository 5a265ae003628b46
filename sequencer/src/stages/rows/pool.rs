//! The bounded queue of rows and the threads that evaluate them.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use model::{Action, Operation, PatientIndex, RuleSlot, with_causes};
use rayon::{ThreadPool, ThreadPoolBuilder};
use thiserror::Error;

use super::config::AdmissionConfig;
use super::evaluate::{Evaluate, EvaluatedRow, NotProvable, OperationRow};
use crate::metrics::Metrics;

/// Which places an operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A stop, a revocation, a denial: the patient takes something back. Evaluated first, and with
    /// places that nothing else takes.
    Withdrawing,
    /// Any other.
    Other,
}

/// Why a row is not evaluated, or not with success.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotEvaluated {
    /// No place for it.
    #[error("expected at most {items_max} operations waiting for their evaluation")]
    Full {
        /// Places that the lane may take; 1 if the patient has an operation of it under way.
        items_max: usize,
    },
    /// It cannot be proven.
    #[error(transparent)]
    NotProvable(#[from] NotProvable),
}

/// What is told of a row.
type Done = Box<dyn FnOnce(Result<EvaluatedRow, NotEvaluated>) + Send>;

struct Job {
    lane: Lane,
    row: Box<OperationRow>,
    done: Done,
}

/// Evaluates rows on threads of its own. Cheap to clone.
#[derive(Clone)]
pub struct RowPool {
    shared: Arc<Shared>,
}

struct Shared {
    threads: ThreadPool,
    rows: Arc<dyn Evaluate>,
    metrics: Arc<Metrics>,
    places_max: usize,
    places_reserved: usize,
    rounds_max: usize,
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    withdrawing: VecDeque<Job>,
    other: VecDeque<Job>,
    /// Whose rows wait or are evaluated: one of a lane for each patient. A record takes one
    /// operation after the other anyway, and so nobody fills the places with copies of one.
    under_way: BTreeSet<(PatientIndex, Lane)>,
}

impl Lane {
    /// The lane of an operation.
    pub fn of(operation: &Operation) -> Lane {
        match &operation.action {
            Action::Stop
            | Action::Revoke { .. }
            | Action::Write { slot: RuleSlot::Deny(_), .. } => Lane::Withdrawing,
            Action::Enrol { .. } | Action::Write { .. } => Lane::Other,
        }
    }
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
        let (places_max, places_reserved) = (config.evaluations_max, config.evaluations_reserved);
        let (rounds_max, lanes) = (config.evaluation_rounds_max, Mutex::default());
        let shared =
            Shared { threads, rows, metrics, places_max, places_reserved, rounds_max, lanes };
        Ok(RowPool { shared: Arc::new(shared) })
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
        let lane = Lane::of(&row.signed.operation);
        let job = Job { lane, row, done: Box::new(done) };
        if let Err((job, items_max)) = self.shared.enqueue(job) {
            return (job.done)(Err(NotEvaluated::Full { items_max }));
        }
        // One task a row, and each takes the row that is most urgent by then.
        let shared = Arc::clone(&self.shared);
        self.shared.threads.spawn(move || shared.evaluate_next());
    }
}

impl Shared {
    /// Gives the row a place, or hands it back with the number of places.
    fn enqueue(&self, job: Job) -> Result<(), (Job, usize)> {
        // Counted over both lanes: what withdraws may take every place, the rest only those that
        // are not reserved.
        let items_max = match job.lane {
            Lane::Withdrawing => self.places_max,
            Lane::Other => self.places_max.saturating_sub(self.places_reserved),
        };
        let mut lanes = self.lanes();
        if lanes.under_way.len() >= items_max {
            return Err((job, items_max));
        }
        if !lanes.under_way.insert((job.row.signed.operation.patient, job.lane)) {
            return Err((job, 1));
        }
        self.metrics.evaluations_waiting.set(lanes.under_way.len() as i64);
        match job.lane {
            Lane::Withdrawing => lanes.withdrawing.push_back(job),
            Lane::Other => lanes.other.push_back(job),
        }
        Ok(())
    }

    fn evaluate_next(&self) {
        let job = {
            let mut lanes = self.lanes();
            let Lanes { withdrawing, other, .. } = &mut *lanes;
            withdrawing.pop_front().or_else(|| other.pop_front())
        };
        let Some(Job { lane, row, done }) = job else { return };
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
        let mut lanes = self.lanes();
        lanes.under_way.remove(&(patient, lane));
        self.metrics.evaluations_waiting.set(lanes.under_way.len() as i64);
        drop(lanes);
        // What it calls must not take this thread with it, or rows would wait for ever.
        let evaluated = evaluated.map_err(NotEvaluated::from);
        if catch_unwind(AssertUnwindSafe(|| done(evaluated))).is_err() {
            tracing::error!("the answer to an evaluated operation panicked");
        }
    }

    /// No caller's code runs under the lock, so a panic cannot leave the lanes half changed.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
