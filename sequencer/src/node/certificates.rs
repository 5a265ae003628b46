//! Counts certificates, so that a monitor sees those that nobody renews.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use model::Clock as _;
use tokio::sync::watch;

use super::watched::Watched;
use crate::clock::NodeClock;
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
}

impl CertificateCount {
    /// Counts until it is stopped.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
        loop {
            self.count();
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
}
