//! A backfill that fills every budget delays nothing that is urgent: counted in groups, not in
//! time.

use model::{EpochNumber, OrganisationId, Sequence, StreamHandle};
use wire::{ClientEvent, Descriptor, Entry, Lane, RegistryChange, RegistryRecord};

use super::floods;
use super::support::{Client, Node, QUEUE_ITEMS_MAX, descriptor, large_frame, readings};
use crate::stages::ingest::IngestConfig;
use crate::stages::ledger::Item;

/// With 480 frames and 1 MiB for a connection, half of either is backfill's: so many frames of so
/// many readings.
const BACKFILL_FRAMES: usize = 240;
const BACKFILL_READINGS: usize = 130;
/// Together more than the half of the writer's queue that backfill may take.
const CONNECTIONS: u16 = 3;
/// The epoch of the alarms; those of backfill begin at 1.
const ALARMS: EpochNumber = EpochNumber(9);

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
        Entry::Frame(stored) => Some(stored.frame().header().epoch),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_beside_full_backfills_is_stored_in_the_next_group() {
    let node = Node::start().await;
    let (mut clients, mut backfills) = (Vec::new(), Vec::new());
    for connection in 1..=CONNECTIONS {
        let mut client = node.gateway().await.welcomed().await;
        backfills.push(open(&mut client, Lane::Backfill, EpochNumber(connection)).await);
        clients.push(client);
    }
    let alarms = open(&mut clients[0], Lane::Control, ALARMS).await;
    let (held, last) = (node.hold_writer(), node.journal.head().group);
    // One that the writer takes off the queue and waits with, and that becomes no entry.
    node.admit.submit_with(Item::CountDue, |_| ()).unwrap();
    while node.admit.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    for (client, handle) in clients.iter_mut().zip(backfills) {
        for _ in 0..2 * BACKFILL_FRAMES {
            client.session.push(handle, &[readings(5)[0]; BACKFILL_READINGS]).unwrap();
        }
        client.transmit().await;
        assert_eq!(client.session.under_way().frames as usize, BACKFILL_FRAMES, "its whole share");
    }
    let backfill_max = QUEUE_ITEMS_MAX / 2;
    while node.admit.waiting() < backfill_max {
        tokio::task::yield_now().await;
    }
    clients[0].session.push(alarms, &readings(7)).unwrap();
    clients[0].transmit().await;
    while node.admit.waiting() < backfill_max + 1 {
        tokio::task::yield_now().await;
    }
    let id = OrganisationId::new("laboratory").unwrap();
    let change = RegistryChange::Add(RegistryRecord::Organisation { id });
    let (tell, told) = tokio::sync::oneshot::channel();
    let reply = move |answer| drop(tell.send(answer));
    node.admit.submit_with(Item::Registry(change), reply).unwrap();
    drop(held);
    told.await.unwrap().unwrap();
    let durable = clients[0].until(|event| match event {
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

/// Whatever the client keeps to: the node reads no more of a lane than leaves the others theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_is_read_to_a_half_of_the_budget_and_live_readings_to_seven_eighths() {
    // Four large frames.
    let config = IngestConfig { unacknowledged_bytes_max: 256 << 10, ..IngestConfig::default() };
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
