//! What the node tells at its doors of what it watches: to anybody how far windows are, at the desk
//! everything.

use serde_json::{Value, json};

use super::orders::InForce;
use super::watched::Watched;
use crate::doors::http::{Health as _, TellDesk, tell_health};
use crate::doors::reach::{TellWindows, Windows};
use crate::guard::Stage;

impl TellWindows for Watched {
    fn windows(&self) -> Windows {
        let metrics = self.metrics();
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        let (open, mut proving) = self.under_way().look();
        let does_prove =
            self.failure().is_none() && !self.degraded().stages().contains_key(&Stage::Proving);
        if !does_prove {
            // What it began it may never end: until it gets on they wait.
            proving.clear();
        }
        // Of a node that stops or is held nothing goes into it any more.
        let takes_in = self.failure().is_none() && self.contradiction().is_none();
        Windows {
            sent: number(metrics.batch_sent.get()),
            closed: number(metrics.batch_closed.get()),
            open: open.filter(|_| takes_in),
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
        told["recent_rejects"] = json!(self.recent_rejects().tell());
        let InForce { paused, draining, tuned } = self.orders().in_force();
        told["paused"] = json!(paused);
        told["draining"] = json!(draining);
        told["tuned"] = json!(tuned);
        told
    }

    fn erasures(&self) -> Value {
        self.erasure_list().tell()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use model::{GatewayId, RejectCode, SystemClock};

    use super::*;
    use crate::doors::reach::OpenWindow;
    use crate::metrics::Metrics;
    use crate::stages::ingest::{Observe as _, Observed, RejectedPeer};
    use crate::stages::prove::Progress;
    use crate::stages::standing::{Cause, Standing as _};

    /// Windows of a node that proves its fourth and has its sixth open.
    fn proving() -> Watched {
        let watched = Watched::new(Metrics::new(), Arc::new(SystemClock));
        watched.step(Progress::Begun { number: 4 });
        watched.under_way().set_open(OpenWindow { number: 6, since_unix_ms: 7 });
        watched
    }

    fn told(watched: &Watched) -> (Vec<u64>, Option<u64>) {
        let Windows { proving, open, .. } = watched.windows();
        (proving.into_keys().collect(), open.map(|open| open.number))
    }

    #[test]
    fn nothing_is_being_proven_while_the_stage_does_not_get_on() {
        let watched = proving();
        assert_eq!(told(&watched), (vec![4], Some(6)));
        let standing = watched.degraded().standing(Stage::Proving);
        standing.degrade(Cause::Unprovable, &io::Error::other("gone"));
        assert_eq!(told(&watched), (vec![], Some(6)));
        standing.recover();
        assert_eq!(told(&watched), (vec![4], Some(6)));
    }

    #[test]
    fn of_a_node_that_failed_no_window_takes_in() {
        let watched = proving();
        watched.failures().fail(Stage::Journal, &io::Error::other("gone"));
        assert_eq!(told(&watched), (vec![], None));
    }

    #[test]
    fn the_desk_says_how_the_node_stands_and_how_old_its_figures_are() {
        let watched = proving();
        let told = TellDesk::desk(&watched, 0);
        assert_eq!((&told["health"]["ready"], &told["rejects"]), (&json!(false), &json!([])));
        assert_eq!((&told["age_ms"], &told["begun_unix_ms"]), (&Value::Null, &Value::Null));
        // What is rejected is there at once, before the first point.
        let peer = RejectedPeer::Gateway(GatewayId::new("gw-1").unwrap());
        watched.observe(Observed::Rejected { code: RejectCode::Gap, peer });
        let last = TellDesk::desk(&watched, 0)["recent_rejects"][0].clone();
        assert_eq!((&last["code"], &last["gateway"]), (&json!(7), &json!("gw-1")));
        assert_eq!(watched.metrics().rejects().map(|(_, count)| count).sum::<u64>(), 1);
    }
}
