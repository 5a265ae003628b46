//! A node to which nothing happens, for a while or for good.

use std::sync::Arc;

use l1_contracts::Edge;
use model::{Clock as _, Millis, SystemClock};

use super::around::wait_for;
use super::support::{Site, check_settled};
use crate::clock::tests::TwoClocks;
use crate::node::*;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// A node with windows of a minute; its first one, with the enrolment, is settled.
struct Alone {
    site: Site,
    clocks: Arc<TwoClocks>,
    node: Node,
    edge: Edge,
}

impl Alone {
    async fn start(set: impl FnOnce(&mut Site)) -> Alone {
        let clocks = TwoClocks::at(SystemClock.now());
        let mut site = Site::with_clock(clocks.clone()).await;
        site.config.batch.close_after_ms = MINUTE_MS;
        set(&mut site);
        let (node, edge) = site.start().await;
        let alone = Alone { site, clocks, node, edge };
        alone.node.submit(Item::Close).await.unwrap();
        alone.settle(1).await;
        alone
    }

    /// Waits until this batch, whose window is due, is settled.
    async fn settle(&self, number: u64) {
        let assembled = format!("\nvitals_batch_assembled {number}\n");
        wait_for(&self.node, "/metrics", &assembled).await;
        // It ended at this very time: the chain's clock has to have passed it.
        self.clocks.pass(2_000);
        self.node.wait_until_settled(number).await.unwrap();
        check_settled(&self.edge, self.node.store(), number).await;
    }

    /// Lets time go by until this time, and waits until the timer has done what it does then.
    async fn pass_until(&self, time: Millis) {
        self.clocks.pass(time.since(self.clocks.now()));
        // It tells the age first: that of a look later says that this one is through.
        for _ in 0..2 {
            self.clocks.pass(1);
            let age_ms = self.clocks.now().since(self.node.status().t0);
            let age = format!("\nvitals_window_age_seconds {}\n", age_ms as f64 / 1000.0);
            wait_for(&self.node, "/metrics", &age).await;
        }
    }

    async fn settled(&self) -> usize {
        self.edge.settled_batches().await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_idle_windows_send_nothing_and_the_next_reading_settles_with_them_at_its_boundary() {
    let alone = Alone::start(|_| ()).await;
    let Alone { site, node, edge, .. } = &alone;
    let t0 = node.status().t0;
    alone.pass_until(t0.plus(10 * MINUTE_MS)).await;
    assert_eq!((node.status().window.0, node.status().window_is_empty), (2, true));
    assert_eq!(alone.settled().await, 1, "no transaction");
    wait_for(node, "/readyz", "\"status\":\"ready\"").await;

    node.submit(site.frame(1)).await.unwrap();
    let due = t0.plus(11 * MINUTE_MS);
    assert_eq!(node.status().due, due);
    alone.pass_until(due.before().before().before()).await;
    assert_eq!(node.status().window.0, 2, "not before its boundary");
    alone.clocks.pass(1);
    alone.settle(2).await;
    let batch = edge.settled_batches().await.unwrap().pop().unwrap();
    assert_eq!((batch.header.window.t0(), batch.header.collect), (t0, 1));
    assert!(batch.header.window.t1().since(due) < MINUTE_MS);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_time_goes_on_over_a_stop_and_ends_at_its_age() {
    let alone = Alone::start(|_| ()).await;
    let open = alone.node.status();
    alone.pass_until(open.t0.plus(30 * MINUTE_MS)).await;
    let Alone { site, clocks, node, edge } = alone;
    drop(edge);
    node.stop().await.unwrap();
    clocks.pass(20 * MINUTE_MS);

    let (node, edge) = site.start().await;
    let alone = Alone { site, clocks, node, edge };
    assert_eq!(alone.node.status(), open, "the same window, as old as it was");
    assert_eq!(open.due, open.t0.plus(HOUR_MS));
    alone.pass_until(open.t0.plus(59 * MINUTE_MS)).await;
    assert_eq!((alone.node.status().window.0, alone.settled().await), (2, 1));
    alone.clocks.pass(MINUTE_MS);
    alone.settle(2).await;
    let batch = alone.edge.settled_batches().await.unwrap().pop().unwrap();
    assert_eq!((batch.header.collect, batch.header.operations), (0, 0));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_cadence_settles_each_window_whatever_happens() {
    let alone = Alone::start(|site| site.config.batch.fixed_cadence = true).await;
    for number in 2..=4 {
        let due = alone.node.status().due;
        assert_eq!(due, alone.node.status().t0.plus(MINUTE_MS));
        alone.clocks.pass(due.since(alone.clocks.now()));
        alone.settle(number).await;
    }
    alone.node.stop().await.unwrap();
}
