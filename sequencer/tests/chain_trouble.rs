//! A node whose base chain is away, behind, dear or wrong: it starts, collects and proves all the
//! same, and settles everything once, as soon as the trouble is over.

use std::sync::Arc;

use l1_contracts::{Edge, EdgeError};
use sequencer::node::setup::{BaseChain, Reach};
use sequencer::node::{Node, NodeError};
use sequencer::stages::ledger::{Answer, Item};
use sequencer::stages::settle::SettleConfig;

use crate::degraded::get;
use crate::proxy::{Proxy, Trouble};
use crate::support::{Site, check_settled};

/// A deployed folder whose chain is reached through a proxy.
struct Place {
    site: Site,
    proxy: Arc<Proxy>,
    /// The way to the chain without troubles.
    edge: Edge,
}

impl Place {
    async fn new() -> Place {
        let mut site = Site::new().await;
        let BaseChain { provider, reach } = site.chain();
        let edge = Edge::connect(provider, site.deployment.clone()).await.unwrap();
        let Reach::Embedded(chain) = reach else { panic!("the embedded chain") };
        // A node that is two blocks behind has the contract all the same.
        (0..4).for_each(|_| chain.mine_empty().unwrap());
        chain.set_finality(2);
        let (proxy, url) = Proxy::serve(chain).await;
        site.config.chain.rpc = Some(url.parse().unwrap());
        hurry(&mut site.config.settle);
        Place { site, proxy, edge }
    }

    async fn start(&self) -> Node {
        self.site.start_on(self.site.chain()).await.unwrap()
    }
}

/// Short waits, so that a trouble is met soon and often.
pub(crate) fn hurry(settle: &mut SettleConfig) {
    (settle.poll_ms, settle.doubt_ms) = (20, 200);
    settle.resend_after_ms = 300;
    (settle.retry_first_ms, settle.retry_max_ms) = (10, 50);
    settle.refused_retry_ms = 50;
}

/// A frame is stored and a window closed; what the node cannot settle for now it collects.
async fn collect(node: &Node, site: &Site, sequence: u64) {
    let answer = node.submit(site.frame(sequence)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    node.submit(Item::Close).await.unwrap();
}

/// Degraded stages are waited out: what they wait for is over.
async fn settles(node: &Node, place: &Place, number: u64) {
    loop {
        match node.wait_until_settled(number).await {
            Ok(()) => return,
            Err(NodeError::Degraded { .. }) => place.proxy.meets(1).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_while_its_chain_is_away_or_another_one_and_settles_once_it_is_back() {
    let place = Place::new().await;
    *place.proxy.trouble() = Trouble { away: true, ..Trouble::default() };
    let node = place.start().await;
    collect(&node, &place.site, 1).await;
    place.proxy.meets(3).await;
    assert_eq!(get(&node, "/healthz").await.0, 200);
    let (status, body) = get(&node, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("chain-unreachable"), "{body}");

    // Somebody else's node answers under the same address.
    *place.proxy.trouble() = Trouble { chain_id: Some(1), ..Trouble::default() };
    place.proxy.meets(3).await;
    while !get(&node, "/readyz").await.1.contains("other-chain") {
        place.proxy.meets(1).await;
    }
    collect(&node, &place.site, 2).await;
    assert_eq!(node.watched().failure(), None);

    *place.proxy.trouble() = Trouble::default();
    settles(&node, &place, 2).await;
    check_settled(&place.edge, node.store(), 2).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_not_the_deployments_is_refused_at_the_start() {
    let place = Place::new().await;
    *place.proxy.trouble() = Trouble { chain_id: Some(1), ..Trouble::default() };
    let error = place.site.start_error().await;
    let expected = place.site.deployment.chain_id;
    let NodeError::Edge(EdgeError::WrongChain { expected: named, found: 1 }) = error else {
        panic!("expected the two chain ids, found {error}");
    };
    assert_eq!(named, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lacks_what_a_chain_remembers_that_was_away_is_held_once_it_is_back() {
    let place = Place::new().await;
    let (site, early) = (&place.site, place.site.beside("early.log"));
    std::fs::copy(site.journal_file(), &early).unwrap();
    let node = place.start().await;
    collect(&node, site, 1).await;
    settles(&node, &place, 1).await;
    node.stop().await.unwrap();
    // Nobody here remembers any more.
    std::fs::copy(&early, site.journal_file()).unwrap();
    std::fs::remove_dir_all(site.layout.store()).unwrap();
    std::fs::remove_file(site.layout.witness()).unwrap();
    *place.proxy.trouble() = Trouble { away: true, ..Trouble::default() };
    let node = place.start().await;
    place.proxy.meets(3).await;
    assert_eq!(get(&node, "/healthz").await.0, 200);
    *place.proxy.trouble() = Trouble::default();
    let mut held = node.watched().hold().subscribe();
    held.wait_for(Option::is_some).await.unwrap();
    assert_eq!(get(&node, "/healthz").await.0, 503);
    drop(node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_too_long_is_an_alarm_until_it_is_settled() {
    let mut place = Place::new().await;
    place.site.config.settle.alarm_batches = 2;
    let node = place.start().await;
    *place.proxy.trouble() = Trouble { loses: true, ..Trouble::default() };
    for _ in 0..2 {
        node.submit(Item::Close).await.unwrap();
    }
    while !get(&node, "/readyz").await.1.contains("settlement-lags") {
        place.proxy.meets(1).await;
    }
    let (_, metrics) = get(&node, "/metrics").await;
    for line in ["vitals_settle_lagging 1", "vitals_settle_lag_batches 2"] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
    }
    *place.proxy.trouble() = Trouble::default();
    settles(&node, &place, 2).await;
    while get(&node, "/readyz").await.0 != 200 {
        place.proxy.meets(1).await;
    }
    node.stop().await.unwrap();
}

/// One trouble after the other, and two at once, each over some rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_chains_node_does_collection_goes_on_and_all_settles_once_it_is_over() {
    let place = Place::new().await;
    let node = place.start().await;
    let none = Trouble::default();
    let troubles = [
        Trouble { away: true, ..none },
        Trouble { page: true, ..none },
        Trouble { behind: 2, ..none },
        Trouble { nonce: 3, ..none },
        Trouble { lies: true, ..none },
        Trouble { bare: true, ..none },
        Trouble { reverts: true, ..none },
        Trouble { starves: true, ..none },
        Trouble { dear: true, ..none },
        Trouble { loses: true, ..none },
        Trouble { behind: 2, lies: true, ..none },
        Trouble { nonce: 2, starves: true, ..none },
    ];
    let mut closed = 0;
    let answer = node.submit(place.site.frame(1)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    for trouble in troubles {
        *place.proxy.trouble() = trouble;
        node.submit(Item::Close).await.unwrap();
        closed += 1;
        place.proxy.meets(30).await;
        assert_eq!(node.watched().failure(), None, "{trouble:?}");
        assert_eq!(get(&node, "/healthz").await.0, 200, "{trouble:?}");
        *place.proxy.trouble() = none;
        settles(&node, &place, closed).await;
    }
    collect(&node, &place.site, 2).await;
    settles(&node, &place, closed + 1).await;
    check_settled(&place.edge, node.store(), closed + 1).await;
    node.stop().await.unwrap();
}
