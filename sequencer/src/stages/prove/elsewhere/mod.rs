//! Jobs that workers elsewhere prove: one more worker of the proving service, which leases jobs,
//! carries them through the queue of crate `workers`, and hands beats and answers back.
//!
//! ```text
//! service --lease--> offering --seal--> queue --> workers
//! service <--beat, answer-- listening <---------- workers
//! ```
//! It decides nothing: which job is next, whose a lease is and what an answer is worth says the
//! service. No job waits in the queue, because none is offered that no worker waits for; so a
//! server that is away, or has lost everything, costs the leases that were under way and no more.

mod desk;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::jobs::{
    FAILED_ON_MAX, JobHead, Lease, LeaseToken as WireToken, Outcome, SealError, TooManyColumns,
    Verdict, WorkersKey,
};
use rand::RngCore;
use rand::rngs::OsRng;
use thiserror::Error;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use workers::{Offered, Queue, QueueError, Request, Requests, Server};

use self::desk::{Desk, EndedBecause};
use super::jobs::{Answer, ChunkJob, InputHash, Jobs, LeasedJob, WorkerName};
use super::keys::ProverKeysError;
use crate::metrics::Metrics;

/// By which name jobs are leased until a worker says that it has one.
const CARRIER: &str = "queue";

/// How often it is asked who waits, if nothing else happens.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// What the carrier is given.
pub struct CarrierConfig {
    /// Where the queue is.
    pub server: Server,
    /// To which jobs are sealed.
    pub key: WorkersKey,
    /// Most jobs elsewhere at once.
    pub at_once: usize,
    /// How long a lease holds after a sign of life.
    pub lasts: Duration,
}

/// Why a job is not offered.
#[derive(Debug, Error)]
enum OfferError {
    /// The queue did not take it.
    #[error("the queue did not take it")]
    Queue(#[from] QueueError),
    /// It has no assignment.
    #[error("it cannot be assigned")]
    Assign(#[from] ProverKeysError),
    /// It is larger than any message.
    #[error("it is too large to be sent")]
    Columns(#[from] TooManyColumns),
    /// Its seal cannot be closed.
    #[error("it cannot be sealed")]
    Seal(#[from] SealError),
    /// Making its bytes panicked.
    #[error("sealing it panicked")]
    Panicked,
}

/// Carries jobs to workers elsewhere, and their answers back.
pub struct Carrier {
    shared: Arc<Shared>,
    requests: Requests,
}

struct Shared {
    jobs: Arc<dyn Jobs>,
    queue: Queue,
    config: CarrierConfig,
    desk: Mutex<Desk<Offered>>,
    metrics: Arc<Metrics>,
    name: WorkerName,
}

impl Carrier {
    /// A carrier for `jobs`. The server need not be there yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn connect(
        config: CarrierConfig,
        jobs: Arc<dyn Jobs>,
        metrics: Arc<Metrics>,
    ) -> Result<Carrier, QueueError> {
        let (queue, requests) = Queue::connect(&config.server, &config.key).await?;
        let desk = Mutex::new(Desk::new(config.at_once, config.lasts));
        let name = WorkerName::new(CARRIER).expect("five small letters are a name");
        let shared = Shared { jobs, queue, config, desk, metrics, name };
        Ok(Carrier { shared: Arc::new(shared), requests })
    }

    /// Carries until it is dropped. Leases that are then elsewhere end by themselves, and workers
    /// find that nobody listens.
    pub async fn run(self) {
        let Carrier { shared, requests } = self;
        // Apart: a job is being stored for seconds, and no beat waits for that. Neither is of use
        // without the other.
        tokio::select! {
            () = offer_jobs(shared.clone()) => {}
            () = listen(shared, requests) => {}
        }
    }
}

async fn offer_jobs(shared: Arc<Shared>) {
    let mut changes = shared.jobs.changes();
    let mut looks = interval(LOOKS_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reachable = None;
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = looks.tick() => {}
        }
        shared.tidy().await;
        let waiting = shared.queue.waiting().await;
        tell_reachable(&mut reachable, &waiting);
        let waiting = waiting.unwrap_or(0);
        shared.metrics.prove_queue_reachable.set(i64::from(reachable == Some(true)));
        shared.metrics.prove_workers_waiting.set(waiting as i64);
        // Asked in a statement of its own: the lock is not held while a job is offered.
        let room = shared.desk().room(waiting);
        for _ in 0..room {
            let Some(job) = shared.jobs.lease(&shared.name, shared.config.lasts) else { break };
            shared.offer(job).await;
        }
    }
}

/// Once for each change, and not for each of the many looks.
fn tell_reachable(reachable: &mut Option<bool>, waiting: &Result<usize, QueueError>) {
    let before = reachable.replace(waiting.is_ok());
    match waiting {
        Ok(_) if before != Some(true) => tracing::info!("the queue of proving jobs is reachable"),
        Err(error) if before != Some(false) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "no queue of proving jobs: this node proves alone");
        }
        _ => {}
    }
}

async fn listen(shared: Arc<Shared>, mut requests: Requests) {
    while let Some(request) = requests.next().await {
        match request {
            Request::Beat(beat, reply) => reply.send(shared.beat(&beat)).await,
            Request::Answer(answer, reply) => {
                let told = shared.clone();
                // Verified for some milliseconds; a panic in there answers nothing.
                let verdict = spawn_blocking(move || told.answer(answer)).await;
                reply.send(verdict.unwrap_or(Verdict::Over)).await;
            }
            Request::Malformed(error) => {
                shared.metrics.prove_requests_malformed_total.inc();
                tracing::debug!(%error, "what is neither a beat nor an answer");
            }
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk<Offered>> {
        // Each call leaves it whole, whoever panics afterwards.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the service of leases that nobody took, and the queue of those that are over.
    async fn tidy(&self) {
        let ended = self.desk().expire(Instant::now());
        for ended in ended {
            // Refused where the service ended the lease itself, which is as well.
            match ended.why {
                EndedBecause::Untaken => {
                    self.metrics.prove_offers_untaken_total.inc();
                    let _ = self.jobs.give_back(ended.token);
                }
                EndedBecause::Unwanted => {
                    self.metrics.prove_offers_untaken_total.inc();
                    let why = "those that did not fail at it do not take it";
                    let _ = self.jobs.fail(ended.token, &self.name, why);
                }
                EndedBecause::Silent => {}
            }
        }
        let over = self.desk().take_over();
        for offered in over {
            self.queue.withdraw(&offered).await;
        }
        self.metrics.prove_jobs_elsewhere.set(self.desk().len() as i64);
    }

    /// Seals a job and puts it into the queue; gives it back if that fails.
    async fn offer(&self, job: LeasedJob) {
        let (token, mut wire) = (job.token, WireToken([0; 16]));
        OsRng.fill_bytes(&mut wire.0);
        let failed_before = job.failed_on.iter().any(|name| !name.is_local());
        // Before it is in the queue: a worker may be faster than this task.
        self.desk().add(wire, token, failed_before, Instant::now());
        match self.seal_and_offer(job, wire).await {
            Ok(offered) => self.desk().offered(wire, offered, Instant::now()),
            Err(error) => {
                self.desk().close(wire);
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "a job is not offered to workers elsewhere");
                // Refused where the service ended the lease itself, as above.
                let _ = match error {
                    OfferError::Queue(_) => self.jobs.give_back(token),
                    // It would fail again. A thread of the node finds out why.
                    _ => self.jobs.fail(token, &self.name, "it cannot be sent"),
                };
            }
        }
    }

    async fn seal_and_offer(&self, job: LeasedJob, wire: WireToken) -> Result<Offered, OfferError> {
        let head = self.head(&job, wire);
        let (chunk, key) = (job.work, self.config.key);
        // Seconds of computing at the largest shapes, and the one assignment that lives here.
        let sealed = spawn_blocking(move || seal(&chunk, &head, &key)).await;
        let sealed = sealed.map_err(|_| OfferError::Panicked)??;
        Ok(self.queue.offer(sealed).await?)
    }

    fn head(&self, job: &LeasedJob, token: WireToken) -> JobHead {
        let lasts_ms = u32::try_from(self.config.lasts.as_millis());
        // Names of the node's own threads are none of the wire's, and concern no worker.
        let failed_on = job.failed_on.iter().filter(|name| name.as_str() != CARRIER);
        let failed_on = failed_on.filter_map(|name| name.as_str().parse().ok());
        JobHead {
            shape: job.work.shape().name.parse().expect("names of shapes are short and small"),
            circuit_hash: job.work.circuit_hash(),
            key_id: job.work.key_id(),
            input_hash: job.input_hash.to_bytes(),
            reply_to: self.queue.reply_to(),
            lease: Lease {
                token,
                attempt: job.attempt,
                lasts_ms: lasts_ms.expect("the configuration was checked: at most minutes"),
            },
            failed_on: failed_on.take(FAILED_ON_MAX).collect(),
        }
    }

    fn beat(&self, beat: &::jobs::Beat) -> Verdict {
        let worker = WorkerName::new(beat.worker.as_str());
        let token = self.desk().beat(beat.token, Instant::now());
        let (Ok(worker), Some(token)) = (worker, token) else { return Verdict::Over };
        match self.jobs.beat(token, &worker) {
            Ok(()) => Verdict::Holds,
            Err(_) => {
                self.desk().close(beat.token);
                Verdict::Over
            }
        }
    }

    /// Hands an answer on. It closes the lease whatever comes of it, so that each is answered once.
    fn answer(&self, answer: ::jobs::Answer) -> Verdict {
        let worker = WorkerName::new(answer.worker.as_str());
        let token = self.desk().close(answer.token);
        let (Ok(worker), Some(token)) = (worker, token) else {
            // Of a lease that expired, was answered, or never was.
            self.metrics.count_answer("late");
            return Verdict::Over;
        };
        let taken = match answer.outcome {
            Outcome::Proven { proof, .. } => {
                let input_hash = InputHash::from_bytes(answer.input_hash);
                let answer = Answer { token, input_hash, worker: worker.clone(), proof: *proof };
                self.jobs.answer(answer).map_err(|error| error.to_string())
            }
            Outcome::Failed(because) => {
                let why = because.to_string();
                tracing::warn!(%worker, why, "a worker elsewhere has no proof");
                return match self.jobs.fail(token, &worker, &why) {
                    Ok(()) => Verdict::Holds,
                    Err(_) => Verdict::Over,
                };
            }
        };
        match taken {
            Ok(()) => Verdict::Holds,
            Err(error) => {
                tracing::warn!(%worker, error, "the answer of a worker elsewhere is refused");
                Verdict::Over
            }
        }
    }
}

/// The sealed bytes of a job. Its assignment lives no longer than this call.
fn seal(chunk: &ChunkJob, head: &JobHead, key: &WorkersKey) -> Result<Vec<u8>, OfferError> {
    let assignment = chunk.assign()?;
    let job = ::jobs::encode(head, chunk.inputs(), &assignment.witness)?;
    Ok(key.seal(&job)?)
}
