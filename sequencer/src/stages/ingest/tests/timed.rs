//! How long receipts take, and withdrawals until they take effect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RejectCode;
use wire::{ClientEvent, Role};

use super::support::{Node, readings};
use super::{refused, stopped, streams_on};
use crate::stages::ingest::{IngestConfig, Observe, Observed};
use crate::stages::ledger::Item;

/// What was timed, in order.
#[derive(Default)]
struct Timed(Mutex<Vec<Observed>>);

impl Observe for Timed {
    fn observe(&self, what: Observed) {
        if matches!(what, Observed::FrameReceipted { .. } | Observed::Withdrawn { .. }) {
            self.0.lock().unwrap().push(what);
        }
    }
}

impl Timed {
    fn take(&self) -> Vec<Observed> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Once something is timed: a receipt may be with its client before its session has noted it.
    async fn next(&self) -> Vec<Observed> {
        loop {
            let found = self.take();
            if !found.is_empty() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn node() -> (Node, Arc<Timed>) {
    let timed = Arc::new(Timed::default());
    (Node::start_with(IngestConfig::default(), timed.clone()).await, timed)
}

#[tokio::test]
async fn one_frame_at_a_time_is_timed_until_its_receipt_leaves() {
    let (node, timed) = node().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    for sequence in 1..=3 {
        streams_on(&mut client, handle, sequence).await;
    }
    let took = |found: &Observed| matches!(found, Observed::FrameReceipted { .. });
    let found = timed.take();
    assert!(found.len() == 3 && found.iter().all(took), "{found:?}");

    // While the first one waits none of those behind it is timed.
    // With an item in its hand that becomes no entry.
    let held = node.hold_writer();
    node.admit.submit_with(Item::CountDue, |_| ()).unwrap();
    node.until_waiting(0).await;
    let began = std::time::Instant::now();
    for sequence in 4..=8 {
        client.session.push(handle, &readings(sequence)).unwrap();
    }
    client.transmit().await;
    node.until_waiting(5).await;
    assert_eq!(timed.take(), []);
    drop(held);
    client.durable(8).await;
    let found = timed.take();
    let [Observed::FrameReceipted { took }, ..] = &found[..] else { panic!("{found:?}") };
    assert!(*took > Duration::ZERO && *took <= began.elapsed(), "{took:?}");
    assert_eq!(found.len(), 1, "of five frames under way at once one is timed: {found:?}");
}

#[tokio::test]
async fn a_frame_that_is_refused_is_not_timed_and_a_withdrawal_is() {
    let (mut node, timed) = node().await;
    let mut client = node.gateway().await.welcomed().await;
    let handle = client.open().await;
    streams_on(&mut client, handle, 1).await;
    timed.take();
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let applied =
        |event: &ClientEvent| matches!(event, ClientEvent::OperationApplied { .. }).then_some(());
    // What gives somebody a right waits with everything else.
    let permit = node.sign_permit(2).signed();
    wallet.session.submit(permit).unwrap();
    wallet.until(applied).await;
    assert_eq!(timed.take(), []);
    wallet.session.submit(node.revocation(0)).unwrap();
    wallet.until(applied).await;
    let found = timed.next().await;
    let [Observed::Withdrawn { signed_at, time }] = &found[..] else { panic!("{found:?}") };
    assert!(time >= signed_at, "{found:?}");

    wallet.session.submit(node.revocation(1)).unwrap();
    wallet.until(applied).await;
    timed.next().await;
    client.session.push(handle, &readings(2)).unwrap();
    assert_eq!(client.until(stopped).await, refused(RejectCode::NotPermitted));
    assert_eq!(timed.take(), []);
}
