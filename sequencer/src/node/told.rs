//! What the node tells at its doors of what it watches: to anybody how far windows are, at the desk
//! everything.

use serde_json::{Value, json};

use super::orders::InForce;
use super::watched::Watched;
use crate::doors::http::{TellDesk, tell_health};
use crate::doors::reach::{TellWindows, Windows};

impl TellWindows for Watched {
    fn windows(&self) -> Windows {
        let metrics = self.metrics();
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let (open, proving) = self.under_way().look();
        Windows {
            sent: number(metrics.batch_sent.get()),
            closed: number(metrics.batch_closed.get()),
            open,
            proving,
        }
    }
}

impl TellDesk for Watched {
    fn desk(&self, since_unix_ms: u64) -> Value {
        let chain_reachable = self.metrics().chain_reachable.get() == 1;
        let mut told = self.desk().tell(since_unix_ms);
        told["health"] = tell_health(self, chain_reachable);
        told["rejects"] = json!(self.desk().rejects());
        let InForce { paused, draining, tuned } = self.orders().in_force();
        told["paused"] = json!(paused);
        told["draining"] = json!(draining);
        told["tuned"] = json!(tuned);
        told
    }
}
