//! A backfill that fills every budget delays nothing that is urgent: counted in groups, not in
//! time.

use std::sync::Arc;

use model::{Action, EpochNumber, OrganisationId, Sequence, StreamHandle};
use wire::{ClientEvent, Descriptor, Entry, Holder, Lane, RegistryChange, RegistryRecord, Role};

use super::floods;
use super::support::{COMMON_ITEMS_MAX, Client, Held, Node, descriptor, large_frame, readings};
use crate::stages::ingest::IngestConfig;
use crate::stages::ledger::{Answer, Item};
use crate::stages::rows::Urgency;

/// What each connection backfills: frames of so many readings, within the half of 480 frames and of
/// 1 MiB that is backfill's.
#[derive(Clone, Copy)]
struct Backfill {
    connections: u16,
    frames: usize,
    readings: usize,
}

/// Together more frames than the half of the writer's queue that backfill may take.
const MANY: Backfill = Backfill { connections: 3, frames: 240, readings: 130 };
/// As many frames as that, in more bytes than a group takes of backfill.
const LARGE: Backfill = Backfill { connections: 4, frames: 120, readings: 270 };
const BACKFILL_MAX: usize = COMMON_ITEMS_MAX / 2;
/// The epoch of the alarms; those of backfill begin at 1.
const ALARMS: EpochNumber = EpochNumber(9);

/// Limits that hold from the first frame on, as they do for a connection that has a receipt.
fn proven() -> IngestConfig {
    let limits = IngestConfig::default();
    IngestConfig { idle_window_bytes: limits.connection_window_bytes, ..limits }
}

async fn start() -> Node {
    Node::start_with(proven(), Arc::new(())).await
}

async fn open(client: &mut Client, lane: Lane, epoch: EpochNumber) -> StreamHandle {
    let descriptor = Descriptor { epoch, ..descriptor() };
    let handle = client.session.open_stream(lane, descriptor, Sequence(0)).unwrap();
    client.until(|event| matches!(event, ClientEvent::StreamReady { .. }).then_some(())).await;
    handle
}

/// The entries of each group.
fn groups(node: &Node) -> Vec<Vec<Entry>> {
    let decode = |entry: journal::Entry| Entry::from_bytes(entry.kind.code(), &entry.body).unwrap();
    let read = |number| node.journal.group(number).unwrap().entries.into_iter().map(decode);
    (1..=node.journal.head().group).map(|number| read(number).collect()).collect()
}

fn epoch(entry: &Entry) -> Option<EpochNumber> {
    match entry {
        Entry::SealedFrame(stored) => Some(stored.header().epoch),
        _ => None,
    }
}

/// Gateways, each with a stream of backfill.
async fn gateways(node: &Node, backfill: Backfill) -> Vec<(Client, StreamHandle)> {
    let mut gateways = Vec::new();
    for connection in 1..=backfill.connections {
        let mut client = node.gateway().await.welcomed().await;
        let handle = open(&mut client, Lane::Backfill, EpochNumber(connection)).await;
        gateways.push((client, handle));
    }
    gateways
}

/// Holds the writer, with an item in hand that becomes no entry, and fills every budget of
/// backfill.
async fn fill(node: &Node, gateways: &mut [(Client, StreamHandle)], backfill: Backfill) -> Held {
    let held = node.hold_writer();
    node.admit.submit_with(Item::CountDue, |_| ()).unwrap();
    node.until_waiting(0).await;
    for (client, handle) in gateways {
        for _ in 0..2 * backfill.frames {
            client.session.push(*handle, &vec![readings(5)[0]; backfill.readings]).unwrap();
        }
        client.transmit().await;
        assert_eq!(client.session.under_way().frames as usize, backfill.frames, "its whole share");
    }
    node.until_waiting(BACKFILL_MAX).await;
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_beside_full_backfills_is_stored_in_the_next_group() {
    let node = start().await;
    let mut gateways = gateways(&node, MANY).await;
    let alarms = open(&mut gateways[0].0, Lane::Control, ALARMS).await;
    let last = node.journal.head().group;
    let held = fill(&node, &mut gateways, MANY).await;
    let client = &mut gateways[0].0;
    client.session.push(alarms, &readings(7)).unwrap();
    client.transmit().await;
    node.until_waiting(BACKFILL_MAX + 1).await;
    let id = OrganisationId::new("laboratory").unwrap();
    let change = RegistryChange::Add(RegistryRecord::Organisation { id });
    let (tell, told) = tokio::sync::oneshot::channel();
    let reply = move |answer| drop(tell.send(answer));
    node.admit.submit_with(Item::Registry(change), reply).unwrap();
    drop(held);
    told.await.unwrap().unwrap();
    let durable = client.until(|event| match event {
        ClientEvent::Durable { handle, .. } => (*handle == alarms).then_some(()),
        _ => None,
    });
    durable.await;
    let groups = groups(&node);
    let next = &groups[last as usize];
    assert_eq!(epoch(&next[0]), Some(ALARMS), "before all backfill of its group");
    assert!(matches!(next[1], Entry::RegistryChange(_)), "found {:?}", next[1]);
    let backfill = next[2..].iter().filter(|entry| epoch(entry).is_some()).count();
    assert!(backfill > 0, "and backfill behind it");
}

/// An operation passes the writer twice, and neither pass waits for another lane: its row is asked
/// for in the next group, and it is first in the group behind the one that is filled when the row
/// is evaluated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_beside_full_backfills_waits_for_no_lane_in_either_pass() {
    let mut node = start().await;
    let mut gateways = gateways(&node, LARGE).await;
    let last = node.journal.head().group;
    let held = fill(&node, &mut gateways, LARGE).await;
    // The row waits until the writer has begun a group; and that takes on no item before the row is
    // evaluated, because of an item that is answered with the first pass.
    let rows = node.hold_rows();
    let (tell, told) = tokio::sync::oneshot::channel();
    let (hold, admit) = (node.writer_holder(), node.admit.clone());
    let reply = move |_| drop(tell.send((hold(), admit.waiting())));
    node.admit.submit_with(Item::CountDue, reply).unwrap();
    let (requester, operation) =
        (Holder::new(Role::Wallet, "patient-app"), node.sign(Action::Stop));
    let (answer, answered) = tokio::sync::oneshot::channel();
    let stop = Item::Operation { requester, operation };
    let reply = move |answered| drop(answer.send(answered));
    node.admit.submit_as(Urgency::Protecting, stop, reply).unwrap();
    node.until_waiting(BACKFILL_MAX + 2).await;
    drop(held);
    let (held, waiting) = told.await.unwrap();
    node.until_writer_waits().await;
    assert_eq!(node.journal.head().group, last + 1, "the first pass is in the next group");
    drop(rows);
    // One is in the writer's hand, and the stop in its place.
    node.until_waiting(waiting).await;
    drop(held);
    let answer = answered.await.unwrap().unwrap();
    assert!(matches!(answer, Answer::OperationApplied { .. }), "{answer:?}");
    let groups = groups(&node);
    let [first, filled, behind, ..] = &groups[last as usize..] else {
        panic!("expected three groups or more, found {}", groups.len() - last as usize);
    };
    for backfill in [first, filled] {
        assert!(backfill.iter().all(|entry| epoch(entry).is_some()), "backfill alone");
    }
    assert!(matches!(behind[0], Entry::Operation { .. }), "found {:?}", behind[0]);
}

/// Whatever the client keeps to: the node reads no more of a lane than leaves the others theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_is_read_to_a_half_of_the_budget_and_live_readings_to_seven_eighths() {
    // Four large frames.
    let config = IngestConfig { unacknowledged_bytes_max: 256 << 10, ..proven() };
    let node = Node::start().await;
    let (mut session, mut replies) = node.session(config);
    floods::greet(&mut session);
    let lanes = [Lane::Backfill, Lane::Backfill, Lane::Backfill, Lane::Backfill, Lane::Live];
    for (stream, lane) in (1..).zip(lanes) {
        floods::open(&mut session, &mut replies, stream, lane).await;
    }
    let held = node.hold_writer();
    let mut taken = Vec::new();
    for (stream, lane) in (1..).zip(lanes) {
        if session.may_read(lane) {
            session.handle_bytes(lane, large_frame(stream.into(), stream).as_bytes());
            taken.push(stream);
        }
    }
    // The third one came when two were still less than a half.
    assert_eq!(taken, [1, 2, 3, 5]);
    assert_eq!(Lane::ALL.map(|lane| session.may_read(lane)), [true, false, false]);
    drop(held);
    for _ in taken {
        session.handle_reply(replies.recv().await.unwrap());
    }
}
