//! The table of jobs behind a lock, with the clock, the verifier and what is counted.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use statement::proof::{Proof, verify};
use tokio::sync::watch;

use super::chunk::ChunkJob;
use super::cores::{Company, Cores, cores};
use super::error::{AnswerError, JobError};
use super::lease::{Answer, Jobs, LeasedJob};
use super::names::{InputHash, LeaseToken, WorkerName};
use super::table::{Failure, JobState, JobTable, LeaseError, Outcome, ProofBytes, Urgency};
use crate::metrics::{Metrics, ProvingStep};
use crate::stages::prove::progress::Progress;

/// How long a thread of the node may have a job: far longer than any proof takes, because it gives
/// no sign of life and does not get lost.
const LOCAL_LEASE: Duration = Duration::from_secs(24 * 3600);

/// What surrounds the service.
pub struct Around {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told of each proof.
    pub tell: Box<dyn Fn(Progress) + Send + Sync>,
}

/// Jobs, and who waits for them. Memory: the chunks of at most two windows and of one batch that is
/// proven again; each worker holds the one assignment that it is proving, and nothing else does.
pub struct ProvingService {
    inner: Mutex<Inner>,
    /// Somebody may go on: a worker, or who waits for proofs.
    changed: Condvar,
    changes: watch::Sender<u64>,
    workers: Vec<WorkerName>,
    around: Around,
}

struct Inner {
    table: JobTable<Arc<ChunkJob>, Arc<JobError>>,
    /// Sets of jobs to which more will be added.
    growing: usize,
    /// From then on no job is begun and nobody waits.
    stop_at: Option<Instant>,
    /// How long the last proof of a thread of the node took.
    usual: Option<Duration>,
}

/// A job for a thread of the node.
pub(super) struct Taken {
    pub(super) job: LeasedJob,
    pub(super) cores: Cores,
}

/// Why a job that was waited for has no proof.
#[derive(Debug)]
pub(super) enum Unproven {
    Failed { hash: InputHash, why: Arc<JobError> },
    Stopped,
}

/// Whether more jobs of a set follow this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    More,
    Nothing,
}

impl ProvingService {
    /// No jobs, for `workers` threads. `epoch` is drawn at random for each run of the node.
    pub fn new(workers: usize, epoch: u64, around: Around) -> Arc<ProvingService> {
        let workers: Vec<WorkerName> = (0..workers).map(WorkerName::local).collect();
        let table = JobTable::new(epoch, BTreeSet::from_iter(workers.clone()));
        let inner = Mutex::new(Inner { table, growing: 0, stop_at: None, usual: None });
        let (changed, changes) = (Condvar::new(), watch::Sender::new(0));
        Arc::new(ProvingService { inner, changed, changes, workers, around })
    }

    /// The node's own workers.
    pub(super) fn workers(&self) -> &[WorkerName] {
        &self.workers
    }

    pub(in crate::stages::prove) fn metrics(&self) -> &Metrics {
        &self.around.metrics
    }

    /// Tells of a step.
    pub fn tell(&self, progress: Progress) {
        (self.around.tell)(progress);
    }

    /// Says that a set begins, to which jobs will be added.
    pub(super) fn begin_set(&self) {
        self.lock().growing += 1;
    }

    /// Wants a job. With `Follows::Nothing` its set ends in the same step, so that a worker who
    /// takes the last job knows that it is the last.
    pub(super) fn submit(&self, urgency: Urgency, job: ChunkJob, follows: Follows) -> InputHash {
        let hash = job.input_hash();
        let mut inner = self.lock();
        inner.table.submit(hash, urgency, Arc::new(job));
        if follows == Follows::Nothing {
            inner.growing -= 1;
        }
        self.changed(inner);
        hash
    }

    /// Says that a set that was begun gets no further job.
    pub(super) fn end_set(&self) {
        let mut inner = self.lock();
        inner.growing -= 1;
        self.changed(inner);
    }

    /// Wants these no more.
    pub(super) fn forget(&self, hashes: &[InputHash]) {
        let mut inner = self.lock();
        for hash in hashes {
            inner.table.forget(hash);
        }
        self.changed(inner);
    }

    /// Queues those of them that failed once more.
    pub(super) fn retry(&self, hashes: &[InputHash]) {
        let mut inner = self.lock();
        for hash in hashes {
            inner.table.retry(hash);
        }
        self.changed(inner);
    }

    /// Waits until all are proven, or the first of them is failed, or the node stops, or `go_on`
    /// says no when somebody [wakes](ProvingService::wake) it.
    pub(super) fn wait(
        &self,
        hashes: &[InputHash],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<ProofBytes>, Unproven> {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            self.expire(&mut inner, now);
            let mut proofs = Vec::with_capacity(hashes.len());
            for hash in hashes {
                match inner.table.outcome(hash) {
                    Some(Outcome::Proven(proof)) => proofs.push(*proof),
                    Some(Outcome::Failed(why)) => {
                        return Err(Unproven::Failed { hash: *hash, why });
                    }
                    Some(Outcome::Waiting) | None => {}
                }
            }
            if proofs.len() == hashes.len() {
                return Ok(proofs);
            }
            if inner.is_over(now) || !go_on() {
                return Err(Unproven::Stopped);
            }
            inner = self.wait_for_change(inner);
        }
    }

    /// Lets everybody who waits look whether to go on.
    pub fn wake(&self) {
        self.changed(self.lock());
    }

    /// From `stop_at` on, or from the earlier time that was said before, no job is begun and nobody
    /// waits for a proof.
    pub fn stop_at(&self, stop_at: Instant) {
        let mut inner = self.lock();
        inner.stop_at = Some(inner.stop_at.map_or(stop_at, |before| before.min(stop_at)));
        self.changed(inner);
    }

    /// The next job for a thread of the node; waits for it. None once the node stops.
    pub(super) fn take(&self, worker: &WorkerName) -> Option<Taken> {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if inner.is_over(now) {
                return None;
            }
            self.expire(&mut inner, now);
            // Those elsewhere take no core of this machine.
            let local = inner.table.leases().filter(|(worker, _)| worker.is_local());
            let others: Vec<Duration> = local.map(|(_, since)| now - since).collect();
            if let Some(job) = inner.table.lease(worker, now, LOCAL_LEASE) {
                let follows = inner.growing > 0 || inner.table.count(JobState::Queued) > 0;
                let cores = cores(Company { follows, others: &others, usual: inner.usual });
                self.metrics().count_lease(worker.is_local());
                self.tell_begun(&mut inner, &job, now);
                self.changed(inner);
                return Some(Taken { job, cores });
            }
            inner = self.wait_for_change(inner);
        }
    }

    /// The work of a lease came to nothing. One that is over by now is nobody's any more.
    pub(super) fn give_up(
        &self,
        token: LeaseToken,
        worker: &WorkerName,
        why: JobError,
    ) -> Result<(), LeaseError> {
        // Of what a worker elsewhere says nothing is final: the node finds out itself.
        let is_final = worker.is_local() && why.is_final();
        let mut inner = self.lock();
        let why = Arc::new(why);
        let failure = Failure { worker, why: why.clone(), is_final };
        let state = inner.table.fail(token, failure, Instant::now())?;
        self.changed(inner);
        self.metrics().count_failed_attempt(worker.is_local());
        let (worker, state) = (worker.as_str(), state.name());
        let why = model::with_causes(&*why);
        tracing::warn!(worker, state, why, "a proof came to nothing");
        Ok(())
    }

    /// The proof of an answer that is one, and of the right statement.
    fn check(&self, work: &ChunkJob, proof: &ProofBytes) -> Result<(), AnswerError> {
        let begun = Instant::now();
        let proof = Proof::decode(proof)?;
        verify(work.verifying_key(), work.inputs(), &proof)?;
        self.metrics().observe_step(ProvingStep::Verify, begun.elapsed());
        Ok(())
    }

    fn take_answer(&self, answer: &Answer) -> Result<(), AnswerError> {
        let Answer { token, input_hash, worker, proof } = answer;
        let expected = self.lock().table.expected(*token, *input_hash, Instant::now())?;
        // Without the lock: a pairing takes some milliseconds.
        if let Err(error) = self.check(&expected.work, proof) {
            let (found, source) = (worker.clone(), Box::new(error.clone()));
            // Its lease may have ended meanwhile; then the job is another's already.
            self.give_up(*token, worker, JobError::False { worker: found, source }).ok();
            return Err(error);
        }
        let mut inner = self.lock();
        inner.table.complete(*token, Box::new(*proof), Instant::now())?;
        let (urgency, took) = (expected.urgency, expected.since.elapsed());
        if worker.is_local() {
            inner.usual = Some(took);
        }
        self.metrics().count_constraints(expected.work.constraints(), took);
        let (number, circuit) = (urgency.batch(), urgency.circuit());
        // Under the lock: whoever follows hears of the proof before the batch that is made of it.
        self.tell(Progress::Proven { number, circuit, millis: took.as_millis() as u64 });
        Ok(())
    }

    /// Moves the jobs whose leases are over.
    fn expire(&self, inner: &mut Inner, now: Instant) {
        let lost = |worker: &WorkerName| {
            tracing::warn!(worker = worker.as_str(), "a lease is over without an answer");
            Arc::new(JobError::Lost { worker: worker.clone() })
        };
        let count = inner.table.expire(now, lost);
        self.metrics().prove_leases_expired_total.inc_by(count as u64);
        if count > 0 {
            self.show(inner);
        }
    }

    /// What changed may let anybody go on.
    fn changed(&self, inner: MutexGuard<'_, Inner>) {
        self.show(&inner);
        drop(inner);
        self.changed.notify_all();
        self.changes.send_modify(|count| *count += 1);
    }

    fn show(&self, inner: &Inner) {
        for state in JobState::ALL {
            self.metrics().set_jobs(state.name(), inner.table.count(state));
        }
    }

    fn wait_for_change<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let ends = [inner.stop_at, inner.table.next_expiry()].into_iter().flatten();
        // A lease that ends wakes nobody by itself.
        let Some(first) = ends.min() else {
            return self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        };
        let left = first.saturating_duration_since(Instant::now());
        let woken = self.changed.wait_timeout(inner, left);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Under the lock: whoever follows hears that a proof is begun before it is made.
    fn tell_begun(&self, inner: &mut Inner, job: &LeasedJob, now: Instant) {
        // Leased a moment ago, so that it is expected.
        if let Ok(expected) = inner.table.expected(job.token, job.input_hash, now) {
            self.tell(Progress::Begun { number: expected.urgency.batch() });
        }
    }

    /// The table is changed in one step each time, so a panic cannot leave it half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_over(&self, now: Instant) -> bool {
        self.stop_at.is_some_and(|stop_at| stop_at <= now)
    }
}

impl Jobs for ProvingService {
    fn lease(&self, worker: &WorkerName, length: Duration) -> Option<LeasedJob> {
        let (mut inner, now) = (self.lock(), Instant::now());
        if inner.is_over(now) {
            return None;
        }
        self.expire(&mut inner, now);
        let job = inner.table.lease(worker, now, length)?;
        self.tell_begun(&mut inner, &job, now);
        self.changed(inner);
        self.metrics().count_lease(worker.is_local());
        Some(job)
    }

    fn beat(&self, token: LeaseToken, worker: &WorkerName) -> Result<(), LeaseError> {
        self.lock().table.beat(token, worker, Instant::now())
    }

    fn answer(&self, answer: Answer) -> Result<(), AnswerError> {
        let taken = self.take_answer(&answer);
        self.metrics().count_answer(taken.as_ref().map_or_else(AnswerError::name, |()| "taken"));
        // Also one that is not taken may have changed where its job stands.
        self.changed(self.lock());
        taken
    }

    fn fail(&self, token: LeaseToken, worker: &WorkerName, why: &str) -> Result<(), LeaseError> {
        let told = JobError::Told { worker: worker.clone(), why: why.to_owned() };
        self.give_up(token, worker, told)
    }

    fn give_back(&self, token: LeaseToken) -> Result<(), LeaseError> {
        let mut inner = self.lock();
        inner.table.give_back(token, Instant::now())?;
        self.changed(inner);
        Ok(())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn is_stopping(&self) -> bool {
        self.lock().is_over(Instant::now())
    }
}
