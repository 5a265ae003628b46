//! A prover that works all the while, in a process of its own: what ingest keeps beside it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;

use crate::child::{Child, Started};
use crate::name::Name;
use crate::request::{Programs, Request};
use crate::subject::{Cache, Subject};

/// What is proven: a chunk of claims as a node in production proves it.
const SUBJECT: &str = "c2-17";

/// Proves until it is dropped.
pub(super) struct Bystander {
    stop: Arc<AtomicBool>,
    proving: Option<JoinHandle<anyhow::Result<usize>>>,
}

impl Bystander {
    /// Opens the accelerated engine without tables, with so many threads, and begins.
    ///
    /// # Errors
    /// If it is not here: a table beside a prover that does not prove says nothing.
    pub(super) fn start(threads: NonZeroUsize) -> anyhow::Result<Bystander> {
        let subject: Subject = SUBJECT.parse().map_err(anyhow::Error::msg)?;
        let cache = Cache::open(Cache::default_folder())?;
        let (r1cs, assignment) = subject.build()?;
        // Made once; the worker finds it.
        let (key, _) = cache.key(&r1cs)?;
        cache.export(subject, &key, &r1cs, &assignment)?;
        let prover = Name::AcceleratedFirst;
        let programs = Programs::default();
        let request = Request { subject, prover, threads, table_bytes_max: 0, programs, cache };
        let mut child = match Child::start(&request)? {
            Started::Ready(child) => child,
            Started::Missing(why) => anyhow::bail!("the prover beside it: {why}"),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let proving = std::thread::spawn(move || {
            let mut proofs = 0;
            while !stopped.load(Ordering::Relaxed) {
                child.prove().context("the prover beside it")?;
                proofs += 1;
            }
            Ok(proofs)
        });
        Ok(Bystander { stop, proving: Some(proving) })
    }

    /// Ends it; says how many proofs were counted, each after one that is not counted.
    ///
    /// # Errors
    /// If it failed on the way: then ingest was not measured beside it.
    pub(super) fn finish(mut self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let proving = self.proving.take().context("it runs until here")?;
        proving.join().map_err(|_| anyhow::Error::msg("the prover beside it panicked"))?
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It ends with its next proof; nobody waits for it any more.
        self.stop.store(true, Ordering::Relaxed);
    }
}
