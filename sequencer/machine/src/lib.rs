//! What both ends of a connection use of the machine that they run on, beside its clock and its
//! disk: the sockets, timers and tasks of QUIC, randomness, and threads for work that blocks.
//!
//! All of it goes through one value, so that a simulation can be the machine: with a network that
//! loses and delays, with numbers drawn from a seed, and with one order for everything that
//! happens. Programs run on [`System`] and know of no other.
//!
//! ```
//! use machine::{Machine, System};
//!
//! let (first, second) = (System.random(), System.random());
//! assert!(first.is_some() && first != second);
//! ```

use std::sync::Arc;

use quinn::{Runtime, TokioRuntime};

/// Work that may wait for a disk.
pub type Work = Box<dyn FnOnce() + Send>;

/// A machine to run on.
pub trait Machine: Send + Sync + 'static {
    /// Sockets, timers and tasks of QUIC.
    fn quic(&self) -> Arc<dyn Runtime>;

    /// Bytes that nobody can foretell; none where the system has none to give.
    fn random(&self) -> Option<[u8; 32]>;

    /// Runs work beside the tasks of the current runtime. It is dropped undone where the runtime
    /// ends first.
    fn run_blocking(&self, work: Work);
}

/// The machine itself, by tokio. To be used within a tokio runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Machine for System {
    fn quic(&self) -> Arc<dyn Runtime> {
        Arc::new(TokioRuntime)
    }

    fn random(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }

    fn run_blocking(&self, work: Work) {
        // Whoever waits for it is told by what the work itself sends.
        drop(tokio::task::spawn_blocking(work));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_that_blocks_runs_on_another_thread() {
        let (told, tells) = oneshot::channel();
        let work = move || told.send(std::thread::current().id()).expect("somebody waits");
        System.run_blocking(Box::new(work));
        assert_ne!(tells.await.unwrap(), std::thread::current().id());
    }
}
