//! The node's own workers: a thread each, which takes a job, assigns it, proves it and answers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Instant;

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
/// proof that it is making. `seed` gives fresh bytes of the operating system: they blind proofs.
///
/// # Errors
/// If the system starts no further thread, or has no random bytes.
pub fn start_workers(
    service: &Arc<ProvingService>,
    guard: &Guard,
    mut seed: impl FnMut() -> io::Result<[u8; 32]>,
) -> io::Result<Vec<GuardedThread>> {
    let mut threads = Vec::new();
    for (number, name) in service.workers().iter().enumerate() {
        let pool = ThreadPoolBuilder::new().num_threads(1);
        let pool = pool.thread_name(move |_| format!("proof-{number}"));
        let mut worker = LocalWorker {
            service: service.clone(),
            name: name.clone(),
            pool: pool.build().map_err(io::Error::other)?,
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

struct LocalWorker {
    service: Arc<ProvingService>,
    name: WorkerName,
    /// One thread: for proofs that have a core each.
    pool: ThreadPool,
    entropy: StdRng,
}

impl LocalWorker {
    fn work(&mut self, taken: Taken) {
        let Taken { job, cores } = taken;
        let chunk = &job.work;
        self.service.metrics().count_cores(cores == Cores::All);
        let LocalWorker { service, pool, entropy, .. } = &mut *self;
        // A panic is this job's: the thread goes on with the next one.
        let proven = guard::caught(|| match cores {
            Cores::One => pool.install(|| prove(service, chunk, entropy)),
            // Not from a pool: it runs on the one of all cores.
            Cores::All => prove(service, chunk, entropy),
        });
        let proven = proven.map_err(JobError::from).and_then(|proven| proven);
        let worker = self.name.clone();
        // Refused only if nobody waits for it any more, or if the proof is none, which the service
        // tells and counts.
        match proven {
            Ok(proof) => {
                let (token, input_hash) = (job.token, job.input_hash);
                self.service.answer(Answer { token, input_hash, worker, proof }).ok();
            }
            Err(why) => {
                self.service.give_up(job.token, &worker, why).ok();
            }
        }
    }
}

fn prove(
    service: &ProvingService,
    chunk: &ChunkJob,
    entropy: &mut StdRng,
) -> Result<ProofBytes, JobError> {
    let begun = Instant::now();
    let assignment = chunk.assign()?;
    let assigned = Instant::now();
    service.metrics().observe_step(ProvingStep::Witness, assigned - begun);
    let proof = chunk.prove(&assignment, entropy)?;
    service.metrics().observe_step(ProvingStep::Prove, assigned.elapsed());
    Ok(proof)
}
