//! Who looks at the node's metrics, and how long it takes, concerns nobody who waits for an
//! acknowledgement.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::get;
use super::support::Site;
use crate::node::*;

/// A metric that a scrape hangs at, with every lock held that a scrape takes.
struct Hangs {
    value: IntGauge,
    hangs: watch::Sender<bool>,
    /// Until this is sent, or nobody is left who could.
    goes_on: Mutex<Receiver<()>>,
}

impl Collector for Hangs {
    fn desc(&self) -> Vec<&Desc> {
        self.value.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.hangs.send_replace(true);
        self.goes_on.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        self.value.collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scrape_that_hangs_and_slow_strangers_delay_no_acknowledgement() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let (hangs, (go_on, goes_on)) = (watch::Sender::new(false), channel());
    let mut hanging = hangs.subscribe();
    let value = IntGauge::new("test_hangs", "A scrape hangs here.").unwrap();
    let hangs = Hangs { value, hangs, goes_on: Mutex::new(goes_on) };
    node.watched().metrics().registry().register(Box::new(hangs)).unwrap();
    // As many as may be, each with half a request.
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(node.endpoints().http).await.unwrap();
        stream.write_all(b"GET /batches/1 HT").await.unwrap();
        slow.push(stream);
    }
    let before = node.core.journal.head().group;
    let scrape = get(&node, "/metrics");
    let work = async {
        hanging.wait_for(|hangs| *hangs).await.unwrap();
        for sequence in 1..=100 {
            let answer = node.submit(site.frame(sequence)).await.unwrap();
            assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        }
        // One group each: none waited for another, or for the scrape, which still hangs.
        let groups = node.core.journal.head().group - before;
        go_on.send(()).unwrap();
        groups
    };
    let (scraped, groups) = tokio::join!(scrape, work);
    assert_eq!(groups, 100);
    let scraped = scraped.expect("an answer at last");
    assert!(scraped.contains("vitals_journal_groups_total"), "{scraped}");
    drop(slow);
    node.stop().await.unwrap();
}
