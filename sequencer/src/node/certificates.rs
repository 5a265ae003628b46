//! Counts certificates, so that a monitor sees those that nobody renews.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use model::{Clock as _, Millis};
use tokio::sync::watch;

use super::watched::Watched;
use crate::clock::NodeClock;
use crate::folder::layout::Layout;
use crate::folder::validity;
use crate::stages::ingest::Renewals;
use crate::stages::ledger::LedgerView;

/// Between two counts: each looks at every record, and certificates live for days.
const EVERY: Duration = Duration::from_secs(10);

/// What is counted, and where it is told.
pub(super) struct CertificateCount {
    pub(super) view: LedgerView,
    pub(super) renewals: Arc<Renewals>,
    pub(super) clock: Arc<NodeClock>,
    pub(super) watched: Watched,
    pub(super) layout: Layout,
}

/// Below zero once it is over.
fn seconds_until(at: Millis, now: Millis) -> i64 {
    let [at, now] = [at, now].map(|time| i64::try_from(time.get() / 1000).unwrap_or(i64::MAX));
    at.saturating_sub(now)
}

impl CertificateCount {
    /// Counts until it is stopped.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
        loop {
            self.count();
            self.look_at_own().await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    fn count(&self) {
        let now = self.clock.now();
        let registry = self.view.registry();
        let ending =
            registry.certificates().filter(|(_, one)| validity::is_ending(one.valid, now)).count();
        let metrics = self.watched.metrics();
        metrics.certificates_ending.set(i64::try_from(ending).unwrap_or(i64::MAX));
        let waiting = self.renewals.waiting_count(&self.view, now);
        metrics.renewals_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Read again each time: SIGHUP takes over what was renewed meanwhile. What cannot be read is
    /// said by `sequencer status`, and its last value stands.
    async fn look_at_own(&self) {
        let (layout, now) = (self.layout.clone(), self.clock.now());
        let endings = tokio::task::spawn_blocking(move || validity::endings(&layout)).await;
        let Ok(Ok([authority, server])) = endings else { return };
        for (name, ending) in [("authority", authority), ("server", server)] {
            let seconds = seconds_until(ending.at, now);
            self.watched.metrics().set_own_certificate(name, seconds);
        }
    }
}
