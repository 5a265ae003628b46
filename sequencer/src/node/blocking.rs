//! Work that blocks a thread for a task, and outlives it: a task that is cut off leaves what it
//! began running, with all that the work holds. Who opens the same files next waits for it.

use std::sync::Arc;

use tokio::sync::RwLock;
use tokio::task::spawn_blocking;

use crate::guard::{UnplannedEnd, caught};

/// Runs work off the runtime's threads, and knows when none runs any more. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Blocking(Arc<RwLock<()>>);

impl Blocking {
    /// Runs `work` to its end, also where the caller is cut off meanwhile.
    ///
    /// # Errors
    /// It panicked, or the runtime ends.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, UnplannedEnd> {
        let running = self.0.clone().read_owned().await;
        let done = spawn_blocking(move || {
            // What the work holds is gone with its call, and only then is it over.
            let done = caught(work);
            drop(running);
            done
        });
        // The panic is caught, so only a runtime that ends cuts it off.
        done.await.unwrap_or(Err(UnplannedEnd::Early))
    }

    /// Ends when no work runs.
    pub(super) async fn ended(&self) {
        drop(self.0.write().await);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn work_whose_caller_is_cut_off_is_waited_for_with_what_it_holds() {
        let blocking = Blocking::default();
        let ((began, is_begun), (go, gate)) = (tokio::sync::oneshot::channel(), channel::<()>());
        let held = Arc::new(());
        let holds = held.clone();
        let work = blocking.run(move || {
            began.send(()).unwrap();
            gate.recv().unwrap();
            drop(holds);
        });
        tokio::select! {
            biased;
            _ = work => panic!("expected it to wait"),
            begun = is_begun => begun.unwrap(),
        }
        let mut ended = pin!(blocking.ended());
        let looked_at = ended.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(looked_at.is_pending(), "it runs, and nobody asks for it");
        go.send(()).unwrap();
        ended.await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
