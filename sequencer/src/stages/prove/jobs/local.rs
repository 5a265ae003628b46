//! The node's own workers: a thread each, which takes a job, assigns it, proves it and answers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prover::Priority;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::chunk::ChunkJob;
use super::cores::Cores;
use super::error::JobError;
use super::lease::{Answer, Jobs};
use super::names::WorkerName;
use super::service::{ProvingService, Taken};
use super::table::ProofBytes;
use crate::guard::{self, Guard, GuardedThread, Stage};
use crate::metrics::ProvingStep;

/// Starts a thread for each local worker of the service. They end once it stops, each with the
/// proof that it is making. Proofs are made in threads of that priority, which do nothing else: no
/// lock of the service or of its figures is ever held in the background. `seed` gives fresh bytes
/// of the operating system: they blind proofs.
///
/// # Errors
/// If the system starts no further thread, or has no random bytes.
pub fn start_workers(
    service: &Arc<ProvingService>,
    guard: &Guard,
    priority: Priority,
    mut seed: impl FnMut() -> io::Result<[u8; 32]>,
) -> io::Result<Vec<GuardedThread>> {
    let mut threads = Vec::new();
    let all_cores = Arc::new(pool(ThreadPoolBuilder::new(), "proofs".into(), priority)?);
    for (number, name) in service.workers().iter().enumerate() {
        let one_core = ThreadPoolBuilder::new().num_threads(1);
        let mut worker = LocalWorker {
            service: service.clone(),
            name: name.clone(),
            one_core: pool(one_core, format!("proof-{number}"), priority)?,
            all_cores: all_cores.clone(),
            // A generator fit for keys: no two proofs share their blinding.
            entropy: StdRng::from_seed(seed()?),
        };
        let (jobs, taker) = (service.clone(), name.clone());
        let jobs = std::iter::from_fn(move || jobs.take(&taker));
        let work = move |taken| {
            worker.work(taken);
            Ok::<_, Infallible>(())
        };
        threads.push(guard.thread(Stage::Proving, &format!("prover-{number}"), jobs, work)?);
    }
    Ok(threads)
}

/// Threads for proofs. Where the system does not let them be in the background they prove as well.
fn pool(threads: ThreadPoolBuilder, name: String, priority: Priority) -> io::Result<ThreadPool> {
    let named = threads.thread_name(move |number| format!("{name}.{number}"));
    let pool = named.build().map_err(io::Error::other)?;
    if let Err(error) = priority.give(&pool) {
        tracing::warn!(%error, "proofs compete with receipts for the cores");
    }
    Ok(pool)
}

struct LocalWorker {
    service: Arc<ProvingService>,
    name: WorkerName,
    /// One thread: for proofs that have a core each.
    one_core: ThreadPool,
    /// Shared by all of them: for proofs that are alone.
    all_cores: Arc<ThreadPool>,
    entropy: StdRng,
}

impl LocalWorker {
    fn work(&mut self, taken: Taken) {
        let Taken { job, cores } = taken;
        let chunk = &job.work;
        self.service.metrics().count_cores(cores == Cores::All);
        let LocalWorker { one_core, all_cores, entropy, .. } = &mut *self;
        let pool: &ThreadPool = if cores == Cores::One { one_core } else { all_cores };
        // A panic is this job's: the thread goes on with the next one.
        let proven = guard::caught(|| pool.install(|| prove(chunk, entropy)));
        let proven = proven.map_err(JobError::from).and_then(|proven| proven);
        let worker = self.name.clone();
        // Refused only if nobody waits for it any more, or if the proof is none, which the service
        // tells and counts.
        match proven {
            Ok(Proven { proof, assigning, proving }) => {
                let metrics = self.service.metrics();
                metrics.observe_step(ProvingStep::Witness, assigning);
                metrics.observe_step(ProvingStep::Prove, proving);
                let (token, input_hash) = (job.token, job.input_hash);
                self.service.answer(Answer { token, input_hash, worker, proof }).ok();
            }
            Err(why) => {
                self.service.give_up(job.token, &worker, why).ok();
            }
        }
    }
}

/// A proof, and how long its steps took.
struct Proven {
    proof: ProofBytes,
    assigning: Duration,
    proving: Duration,
}

fn prove(chunk: &ChunkJob, entropy: &mut StdRng) -> Result<Proven, JobError> {
    let begun = Instant::now();
    let assignment = chunk.assign()?;
    let assigned = Instant::now();
    let proof = chunk.prove(&assignment, entropy)?;
    Ok(Proven { proof, assigning: assigned - begun, proving: assigned.elapsed() })
}
