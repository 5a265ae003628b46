//! Senders that wait for each answer before they send the next message, as MLLP wants it.

use std::future::Future;
use std::time::{Duration, Instant};

use benches::pace::quantile;
use tokio::task::LocalSet;

/// What came of a load.
pub(crate) struct Loaded {
    pub(crate) count: usize,
    pub(crate) took: Duration,
    /// Times from sending to the answer, the shortest first.
    times: Vec<Duration>,
}

/// When a sender ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    At(Instant),
    /// After so many messages.
    Count(usize),
}

impl Until {
    fn is_over(self, sent: usize) -> bool {
        match self {
            Until::At(at) => Instant::now() >= at,
            Until::Count(count) => sent >= count,
        }
    }
}

impl Loaded {
    /// Runs all senders at once on this thread; each gives its times.
    pub(crate) async fn of<F>(senders: impl Iterator<Item = F>) -> Loaded
    where
        F: Future<Output = Vec<Duration>> + 'static,
    {
        let began = Instant::now();
        let local = LocalSet::new();
        let tasks: Vec<_> = senders.map(|one| local.spawn_local(one)).collect();
        local.await;
        let took = began.elapsed();
        let mut times = Vec::new();
        for one in tasks {
            times.extend(one.await.expect("a sender that ends well"));
        }
        times.sort_unstable();
        Loaded { count: times.len(), took, times }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn quantile(&self, part: f64) -> Duration {
        quantile(&self.times, part)
    }
}

/// Sends until it is over; the future that `send` makes ends with the answer.
pub(crate) async fn send_each(until: Until, mut send: impl AsyncFnMut(usize)) -> Vec<Duration> {
    let mut times = Vec::new();
    while !until.is_over(times.len()) {
        let began = Instant::now();
        send(times.len()).await;
        times.push(began.elapsed());
    }
    times
}

/// All senders and their sockets on one thread: the cores are the programs'.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
