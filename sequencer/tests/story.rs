//! Consent moves while batches are proven, and time jumps.

use std::sync::Arc;

use model::{ManualClock, RejectCode, RuleSlot, limits};
use sequencer::node::NodeError;
use sequencer::stages::ledger::{Answer, Item};

use crate::support::{Site, check_settled, close_and_settle, operation_item};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_takes_effect_while_the_window_before_it_is_still_being_proven() {
    let mut site = Site::new().await;
    let mut desk = site.desk();
    desk.submit(site.frame(1));
    desk.submit(Item::Close);
    drop(desk);

    let (node, edge) = site.start().await;
    node.submit(site.frame(2)).await.unwrap();
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &answer);
    let Err(NodeError::Refused(refused)) = node.submit(site.frame(3)).await else {
        panic!("expected the frame after the revocation to be refused")
    };
    assert_eq!(refused.code, RejectCode::NotPermitted);
    let stands = node.last_refusal().unwrap().expect("the refusal stands in the journal");
    assert_eq!(stands.code, RejectCode::NotPermitted);

    assert_eq!(close_and_settle(&node).await, 2);
    check_settled(&edge, node.store(), 2).await;
    let settled = edge.settled_batches().await.unwrap();
    let counts = |n: usize| (settled[n].header.operations, settled[n].header.collect);
    assert_eq!((counts(0), counts(1)), ((2, 1), (1, 1)));
    assert!(settled.iter().all(|batch| batch.header.excluded == 0), "admission leaves none");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_stay_within_their_longest_when_nothing_happens_for_days() {
    let clock = Arc::new(ManualClock::running());
    let site = Site::with_clock(clock.clone()).await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    clock.advance(2 * limits::WINDOW_MS_MAX + 1);
    let answer = node.submit(site.frame(2)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored));
    let last = close_and_settle(&node).await;
    assert!(last >= 3, "expected two closes before frame 2, found window {last}");
    check_settled(&edge, node.store(), last).await;
    node.stop().await.unwrap();
}
