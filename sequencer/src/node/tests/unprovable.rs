//! A node with a window that cannot be proven.

use std::sync::atomic::{AtomicBool, Ordering};

use circuits::builder::Assignment;
use l1_contracts::Edge;
use model::RuleSlot;
use prover::{Blinding, Engine, ProveError, ProvingKey};
use statement::proof::Proof;
use wire::Holder;

use super::get;
use super::support::{Site, check_settled, gateway, operation_item};
use crate::node::*;
use crate::stages::prove::Wanted;
use crate::stages::standing::Cause;

/// Finds that a constraint does not hold for as long as a test says so.
struct Refuses {
    engine: Box<dyn Engine>,
    refuses: Arc<AtomicBool>,
}

impl Engine for Refuses {
    fn name(&self) -> &'static str {
        "refuses"
    }

    fn key(&self) -> &ProvingKey {
        self.engine.key()
    }

    fn prove(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Proof, ProveError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ProveError::Violated { row: 7 });
        }
        self.engine.prove(assignment, blinding)
    }
}

fn is_unprovable(found: &Result<(), NodeError>) -> bool {
    matches!(found, Err(NodeError::Degraded { stage: Stage::Proving, cause: "unprovable" }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_cannot_be_proven_stops_neither_collection_nor_receipts_and_is_tried_again() {
    let mut site = Site::new().await;
    (site.config.prover.retry_first_ms, site.config.prover.retry_max_ms) = (20, 20);
    let refuses = Arc::new(AtomicBool::new(true));
    let keys = site.config.prover.keys.clone().unwrap();
    let keys = ProverKeys::open(&keys, Wanted::TEST, |_| {}).unwrap();
    let before =
        |engine| -> Box<dyn Engine> { Box::new(Refuses { engine, refuses: refuses.clone() }) };
    let keys = Arc::new(keys.behind(before));
    let chain = site.chain();
    let edge = Edge::connect(chain.provider.clone(), site.deployment.clone()).await.unwrap();
    let provided = Provided { chain, keys, clock: site.clock.clone(), space: None, poster: None };
    let node = Node::start(site.layout.folder(), &site.config, provided).await.unwrap();

    node.submit(site.frame(1)).await.unwrap();
    node.submit(Item::Close).await.unwrap();
    let found = node.wait_until_settled(1).await;
    assert!(is_unprovable(&found), "{found:?}");
    let readyz = get(&node, "/readyz").await.unwrap();
    for text in ["HTTP/1.1 503", "stage-degraded", "\"unprovable\"", "\"proving\""] {
        assert!(readyz.contains(text), "expected {text} in {readyz}");
    }
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    let page = include_str!("../../../docs/codes.md");
    for sentence in [Cause::Unprovable.meaning(), Cause::Unprovable.what_to_do()] {
        assert!(page.contains(sentence), "expected on the page of codes: {sentence}");
    }
    // Frames, receipts, revocations and closes go on.
    let mut receipts = node.core.hub.subscribe(Holder::gateway(&gateway()));
    node.submit(site.frame(2)).await.unwrap();
    assert_eq!(receipts.recv().await.unwrap().receipt.items().len(), 1);
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &answer);
    node.submit(Item::Close).await.unwrap();
    assert_eq!(node.watched().failure(), None);
    assert_eq!(node.store().last_number().unwrap().0, 0, "none is skipped");

    // The release that mends it, without a start in between.
    refuses.store(false, Ordering::SeqCst);
    let mut settled = node.wait_until_settled(2).await;
    while is_unprovable(&settled) {
        settled = node.wait_until_settled(2).await;
    }
    settled.unwrap();
    check_settled(&edge, node.store(), 2).await;
    assert!(get(&node, "/readyz").await.unwrap().starts_with("HTTP/1.1 200"));
    drop(edge);
    node.stop().await.unwrap();
}
