//! What is refused again and again, and nobody sends anything after it.

use model::{RejectCode, RuleSlot, SystemClock};
use wire::RefusedKind;

use super::around::wait_for;
use super::support::{Site, operation_item};
use crate::clock::tests::TwoClocks;
use crate::node::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_again_is_an_entry_within_the_minute_although_nothing_follows() {
    let clocks = TwoClocks::at(model::Clock::now(&SystemClock));
    let mut site = Site::with_clock(clocks.clone()).await;
    let (node, _) = site.start().await;
    let begun = node.core.journal.head().position;
    node.submit(site.frame(1)).await.unwrap();
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let answer = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &answer);
    for full in [true, false, false] {
        match node.submit(site.frame(2)).await {
            Err(NodeError::Refused(refusal)) => {
                assert_eq!(refusal.code, RejectCode::NotPermitted);
                assert_eq!(refusal.position.is_some(), full);
            }
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    let before = node.core.journal.head().position;
    clocks.pass(61_000);
    let entries = before + 1 - begun;
    wait_for(&node, "/metrics", &format!("\nvitals_journal_entries_total {entries}\n")).await;
    match node.entry(Position(before + 1)).unwrap() {
        Entry::RefusalCount(counted) => {
            assert_eq!((counted.what, counted.count), (RefusedKind::Frame, 2));
        }
        other => panic!("expected a count, found {other:?}"),
    }
    node.stop().await.unwrap();
}
