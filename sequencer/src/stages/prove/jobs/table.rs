//! The table of jobs: who works on what, as a value. It reads no clock and waits for nothing.
//!
//! ```text
//! submit --> queued --lease--> leased --complete--> proven
//!              ^                 | |
//!              '-- fail, expire -' '--- fail for good ---> failed --retry--> queued
//! forget, by the last who wanted it: aborted while it is leased, else gone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use statement::proof::Proof;
use statement::scope::Circuit;
use thiserror::Error;

use super::names::{InputHash, LeaseToken, WorkerName};

/// Bytes of a proof.
pub type ProofBytes = [u8; Proof::BYTES];

/// Which job is begun first: the least. Older batches before newer ones, because batches settle in
/// their order and a proof of a later one settles nothing sooner; of one batch operations before
/// claims, because every claim is proven under the root that the operations lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    batch: u64,
    is_of_claims: bool,
    chunk: usize,
}

impl Urgency {
    /// That of chunk `chunk` among those of its circuit of batch `batch`.
    pub fn new(batch: u64, circuit: Circuit, chunk: usize) -> Urgency {
        Urgency { batch, is_of_claims: circuit == Circuit::C2, chunk }
    }

    /// The batch.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// The circuit.
    pub fn circuit(&self) -> Circuit {
        if self.is_of_claims { Circuit::C2 } else { Circuit::C1 }
    }

    /// The chunk among those of its circuit.
    pub fn chunk(&self) -> usize {
        self.chunk
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Nobody works on it.
    Queued,
    /// Somebody does.
    Leased,
    /// There is a proof.
    Proven,
    /// There will be none before it is tried again.
    Failed,
    /// Somebody works on it and nobody wants it any more. Not failed: wanted again, it goes on.
    Aborted,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 5] =
        [JobState::Queued, JobState::Leased, JobState::Proven, JobState::Failed, JobState::Aborted];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Leased => "leased",
            JobState::Proven => "proven",
            JobState::Failed => "failed",
            JobState::Aborted => "aborted",
        }
    }
}

/// A lease that is no more, or is not of that job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// It expired, ended, or never was.
    #[error("expected a lease that lasts, found {token}, which is over")]
    Late {
        /// Whose.
        token: LeaseToken,
    },
    /// Nobody wants the job any more.
    #[error("the job of lease {token} was aborted: nobody waits for its proof")]
    Aborted {
        /// Whose.
        token: LeaseToken,
    },
    /// The lease is of another job.
    #[error("expected input hash {expected} with lease {token}, found {found}")]
    OtherInput {
        /// Whose.
        token: LeaseToken,
        /// The job's.
        expected: InputHash,
        /// The answer's.
        found: InputHash,
    },
}

/// A job handed to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased<W> {
    /// What the answer must carry.
    pub token: LeaseToken,
    /// How often it was leased, this time included.
    pub attempt: u32,
    /// Which statement.
    pub input_hash: InputHash,
    /// Who is not to have it.
    pub failed_on: BTreeSet<WorkerName>,
    /// What there is to do.
    pub work: W,
}

/// What an answer is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected<W> {
    /// What there was to do.
    pub work: W,
    /// Which job it is.
    pub urgency: Urgency,
    /// Since when it was leased.
    pub since: Instant,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<E> {
    /// Nothing yet.
    Waiting,
    /// A proof.
    Proven(Box<ProofBytes>),
    /// Why there is none.
    Failed(E),
}

/// Jobs by their input hash: `W` is what there is to do and `E` why it was not done.
///
/// Memory: as many jobs as the chunks of the batches that want them; searched from the first to the
/// last, since that is a few hundred.
#[derive(Debug)]
pub struct JobTable<W, E> {
    epoch: u64,
    /// Leases given.
    leases: u64,
    /// Workers that are always there: a job that each of them failed is failed for good.
    local: BTreeSet<WorkerName>,
    jobs: BTreeMap<InputHash, Job<W, E>>,
}

#[derive(Debug)]
struct Job<W, E> {
    urgency: Urgency,
    work: W,
    /// How many wait for it; none while it is aborted.
    wanted: usize,
    attempts: u32,
    failed_on: BTreeSet<WorkerName>,
    stage: JobStage<E>,
}

#[derive(Debug)]
enum JobStage<E> {
    Queued,
    Leased(Lease),
    Proven(Box<ProofBytes>),
    Failed(E),
}

#[derive(Debug)]
struct Lease {
    token: LeaseToken,
    worker: WorkerName,
    since: Instant,
    length: Duration,
    until: Instant,
}

impl<W, E> Job<W, E> {
    fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            JobStage::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    fn state(&self) -> JobState {
        match self.stage {
            JobStage::Queued => JobState::Queued,
            JobStage::Leased(_) if self.wanted == 0 => JobState::Aborted,
            JobStage::Leased(_) => JobState::Leased,
            JobStage::Proven(_) => JobState::Proven,
            JobStage::Failed(_) => JobState::Failed,
        }
    }
}

impl<W: Clone, E: Clone> JobTable<W, E> {
    /// No jobs. `epoch` is drawn at random for each run, `local` are the workers that are always
    /// there.
    pub fn new(epoch: u64, local: BTreeSet<WorkerName>) -> JobTable<W, E> {
        JobTable { epoch, leases: 0, local, jobs: BTreeMap::new() }
    }

    /// Wants a job. One that there is already is wanted once more; of two urgencies the greater
    /// holds.
    pub fn submit(&mut self, hash: InputHash, urgency: Urgency, work: W) {
        let fresh = Job {
            urgency,
            work,
            wanted: 0,
            attempts: 0,
            failed_on: BTreeSet::new(),
            stage: JobStage::Queued,
        };
        let job = self.jobs.entry(hash).or_insert(fresh);
        job.wanted += 1;
        job.urgency = job.urgency.min(urgency);
    }

    /// Wants it no more. A worker that has it is told when it answers.
    pub fn forget(&mut self, hash: &InputHash) {
        let Some(job) = self.jobs.get_mut(hash) else { return };
        job.wanted = job.wanted.saturating_sub(1);
        if job.wanted == 0 && job.lease().is_none() {
            self.jobs.remove(hash);
        }
    }

    /// Queues a job that failed once more, for every worker.
    pub fn retry(&mut self, hash: &InputHash) {
        let Some(job) = self.jobs.get_mut(hash) else { return };
        if matches!(job.stage, JobStage::Failed(_)) {
            job.failed_on.clear();
            job.stage = JobStage::Queued;
        }
    }

    /// Leases the most urgent job that is queued and that `worker` did not fail.
    pub fn lease(
        &mut self,
        worker: &WorkerName,
        now: Instant,
        length: Duration,
    ) -> Option<Leased<W>> {
        let open = self.jobs.iter_mut().filter(|(_, job)| {
            matches!(job.stage, JobStage::Queued) && !job.failed_on.contains(worker)
        });
        let (hash, job) = open.min_by_key(|(_, job)| job.urgency)?;
        let token = LeaseToken::new(self.epoch, self.leases);
        self.leases += 1;
        job.attempts += 1;
        let (worker, until) = (worker.clone(), now + length);
        job.stage = JobStage::Leased(Lease { token, worker, since: now, length, until });
        Some(Leased {
            token,
            attempt: job.attempts,
            input_hash: *hash,
            failed_on: job.failed_on.clone(),
            work: job.work.clone(),
        })
    }

    /// A sign of life: the lease begins anew, and `worker` is who has it.
    ///
    /// # Errors
    /// [`LeaseError`]; the worker is to drop the job.
    pub fn beat(
        &mut self,
        token: LeaseToken,
        worker: &WorkerName,
        now: Instant,
    ) -> Result<(), LeaseError> {
        let hash = self.live(token, now)?;
        if let Some(JobStage::Leased(lease)) = self.jobs.get_mut(&hash).map(|job| &mut job.stage) {
            (lease.worker, lease.until) = (worker.clone(), now + lease.length);
        }
        Ok(())
    }

    /// What the answer of a lease is to be compared with; asked before the proof is verified.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn expected(
        &mut self,
        token: LeaseToken,
        found: InputHash,
        now: Instant,
    ) -> Result<Expected<W>, LeaseError> {
        let hash = self.live(token, now)?;
        if hash != found {
            return Err(LeaseError::OtherInput { token, expected: hash, found });
        }
        let job = &self.jobs[&hash];
        let since = job.lease().map_or(now, |lease| lease.since);
        Ok(Expected { work: job.work.clone(), urgency: job.urgency, since })
    }

    /// Takes a proof that was verified.
    ///
    /// # Errors
    /// [`LeaseError`] if the lease ended meanwhile.
    pub fn complete(
        &mut self,
        token: LeaseToken,
        proof: Box<ProofBytes>,
        now: Instant,
    ) -> Result<(), LeaseError> {
        let hash = self.live(token, now)?;
        self.set(&hash, JobStage::Proven(proof));
        Ok(())
    }

    /// `worker` could not do it and is not given it again. It is failed if `is_final`, or if every
    /// worker that is always there failed it.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn fail(
        &mut self,
        token: LeaseToken,
        failure: Failure<'_, E>,
        now: Instant,
    ) -> Result<JobState, LeaseError> {
        let hash = self.live(token, now)?;
        Ok(self.fail_on(&hash, failure))
    }

    /// Given back unharmed: queued again, and nobody failed.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub fn give_back(&mut self, token: LeaseToken, now: Instant) -> Result<(), LeaseError> {
        let hash = self.live(token, now)?;
        self.set(&hash, JobStage::Queued);
        Ok(())
    }

    /// Ends the leases whose time is over. Each job moves: whoever had it is not given it again.
    /// `why` is what a job failed of that nobody is left for. Returns how many.
    pub fn expire(&mut self, now: Instant, why: impl Fn(&WorkerName) -> E) -> usize {
        let over = |job: &Job<W, E>| {
            let lease = job.lease().filter(|lease| lease.until <= now);
            lease.map(|lease| lease.worker.clone())
        };
        let found = self.jobs.iter().filter_map(|(hash, job)| Some((*hash, over(job)?)));
        let found: Vec<(InputHash, WorkerName)> = found.collect();
        for (hash, worker) in &found {
            if self.jobs[hash].wanted == 0 {
                self.jobs.remove(hash);
            } else {
                let why = why(worker);
                self.fail_on(hash, Failure { worker, why, is_final: false });
            }
        }
        found.len()
    }

    /// Who has a job now and since when, also one that nobody wants any more.
    pub fn leases(&self) -> impl Iterator<Item = (&WorkerName, Instant)> {
        self.jobs.values().filter_map(|job| job.lease()).map(|lease| (&lease.worker, lease.since))
    }

    /// When the next lease ends, if nobody gives a sign of life.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.jobs.values().filter_map(|job| job.lease()).map(|lease| lease.until).min()
    }

    /// What became of a job; `None` if nobody wants it.
    pub fn outcome(&self, hash: &InputHash) -> Option<Outcome<E>> {
        let job = self.jobs.get(hash)?;
        Some(match &job.stage {
            JobStage::Queued | JobStage::Leased(_) => Outcome::Waiting,
            JobStage::Proven(proof) => Outcome::Proven(proof.clone()),
            JobStage::Failed(why) => Outcome::Failed(why.clone()),
        })
    }

    /// Where a job stands; `None` if there is none.
    pub fn state(&self, hash: &InputHash) -> Option<JobState> {
        self.jobs.get(hash).map(Job::state)
    }

    /// How many jobs stand where.
    pub fn count(&self, state: JobState) -> usize {
        self.jobs.values().filter(|job| job.state() == state).count()
    }

    /// The job of a lease that lasts.
    fn live(&mut self, token: LeaseToken, now: Instant) -> Result<InputHash, LeaseError> {
        let is_its = |job: &Job<W, E>| job.lease().is_some_and(|lease| lease.token == token);
        let found = self.jobs.iter().find(|(_, job)| is_its(job));
        let (hash, job) = found.ok_or(LeaseError::Late { token })?;
        // Also before somebody came by to end it: a late answer is late whoever looks first.
        if job.lease().is_some_and(|lease| lease.until <= now) {
            return Err(LeaseError::Late { token });
        }
        let (hash, wanted) = (*hash, job.wanted);
        if wanted == 0 {
            self.jobs.remove(&hash);
            return Err(LeaseError::Aborted { token });
        }
        Ok(hash)
    }

    /// Puts a worker on the list of those who failed the job, and the job where it belongs then.
    fn fail_on(&mut self, hash: &InputHash, failure: Failure<'_, E>) -> JobState {
        let Failure { worker, why, is_final } = failure;
        let Some(job) = self.jobs.get_mut(hash) else { return JobState::Aborted };
        job.failed_on.insert(worker.clone());
        let nobody_is_left = self.local.is_subset(&job.failed_on);
        let is_failed = is_final || nobody_is_left;
        job.stage = if is_failed { JobStage::Failed(why) } else { JobStage::Queued };
        job.state()
    }

    fn set(&mut self, hash: &InputHash, stage: JobStage<E>) {
        if let Some(job) = self.jobs.get_mut(hash) {
            job.stage = stage;
        }
    }
}

/// An attempt that came to nothing.
#[derive(Clone, Debug)]
pub struct Failure<'a, E> {
    /// On whom.
    pub worker: &'a WorkerName,
    /// Why.
    pub why: E,
    /// Whether every other worker would find the same.
    pub is_final: bool,
}

#[cfg(test)]
mod tests;
