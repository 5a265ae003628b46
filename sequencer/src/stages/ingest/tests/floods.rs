//! What a flood may take: nothing that a stop needs, no entry, and no memory beyond the budget.

use std::sync::Arc;

use model::{Action, EpochNumber, ManualClock, RejectCode, StreamHandle};
use tokio::sync::mpsc::Receiver;
use wire::{
    ClientEvent, ClientMessage, ClientName, Descriptor, Hello, Lane, OpenStream, Role,
    SignedOperation,
};

use super::support::{
    COMMON_ITEMS_MAX, Client, Node, QUEUE_ITEMS_MAX, descriptor, for_nobody, junk, large_frame,
    now, request,
};
use crate::stages::ingest::config::READ_BYTES_MAX;
use crate::stages::ingest::session::{Reply, Session};
use crate::stages::ingest::{AdmitError, IngestConfig};
use crate::stages::ledger::Item;

/// Submits an operation; what came of it.
pub(super) async fn submit(
    client: &mut Client,
    operation: SignedOperation,
) -> Result<(), RejectCode> {
    let asked = client.session.submit(operation).unwrap();
    client
        .until(|event| match event {
            ClientEvent::OperationApplied { request, .. } if *request == asked => Some(Ok(())),
            ClientEvent::RequestRejected { request, code } if *request == asked => Some(Err(*code)),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn junk_operations_leave_nothing_and_a_stop_on_the_same_connection_still_goes_in() {
    let clock = ManualClock::fixed(now());
    let mut node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    let before = node.journal.head();
    let permit = node.sign_permit(2);
    let mut codes = [0, 0];
    // Permits that somebody else signed: as many as the flood had in eleven seconds.
    for nonce in 0..6_936 {
        match submit(&mut wallet, permit.forged(nonce)).await {
            Err(RejectCode::Signature) => codes[0] += 1,
            Err(RejectCode::Busy) => codes[1] += 1,
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    // The burst was looked at, and nothing after it: no time passes on this clock.
    assert_eq!(codes, [240, 6_936 - 240]);
    assert_eq!(node.journal.head(), before, "nothing of it is in the journal");
    println!("6,936 junk operations: {} bytes", node.journal.head().end - before.end);
    assert_eq!(submit(&mut wallet, permit.signed()).await, Err(RejectCode::Busy));
    node.take_back();
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut wallet, stop).await, Ok(()));
}

#[tokio::test]
async fn an_unknown_index_and_a_wrong_signature_are_answered_alike() {
    let node = Node::start().await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    for operation in [for_nobody(), junk(3)] {
        assert_eq!(submit(&mut wallet, operation).await, Err(RejectCode::Signature));
    }
}

#[tokio::test]
async fn a_patient_who_signs_too_often_is_told_so_and_can_still_stop() {
    let clock = ManualClock::fixed(now());
    let mut node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
    // Signed well, each one another, and none of them the one that is next.
    node.sign_permit(2);
    for _ in 0..48 {
        let permit = node.sign_permit(2).signed();
        assert_eq!(submit(&mut wallet, permit).await, Err(RejectCode::Nonce));
    }
    let permit = node.sign_permit(2).signed();
    assert_eq!(submit(&mut wallet, permit).await, Err(RejectCode::Busy));
    (0..50).for_each(|_| node.take_back());
    let stop = node.sign(Action::Stop);
    assert_eq!(submit(&mut wallet, stop).await, Ok(()));
}

#[tokio::test]
async fn requests_to_read_beyond_the_rate_are_busy() {
    let clock = ManualClock::fixed(now());
    let node = Node::start_at(IngestConfig::default(), Arc::new(()), clock).await;
    let mut doctor = node.client(Role::Practitioner, "dr").await.welcomed().await;
    let mut codes = Vec::new();
    for _ in 0..122 {
        // One nonce: all but the first are refused for it, and leave nothing.
        let asked = doctor
            .session
            .request_access(request(1, model::Category::Ecg), wire::Page::FIRST)
            .unwrap();
        let answered = doctor.until(|event| match event {
            ClientEvent::ReleaseEnded { request, .. } if *request == asked => Some(None),
            ClientEvent::RequestRejected { request, code } if *request == asked => {
                Some(Some(*code))
            }
            _ => None,
        });
        codes.push(answered.await);
    }
    assert_eq!(codes[0], None);
    assert!(codes[1..120].iter().all(|code| *code == Some(RejectCode::Nonce)));
    assert_eq!(codes[120..], [Some(RejectCode::Busy); 2]);
}

/// Fills the writer's queue with frames, first to last; how many each lane took.
async fn fill_queue(node: &Node, lanes: [Lane; 3]) -> [usize; 3] {
    let item = || Item::OpenStream { gateway: super::gateway_id(), descriptor: descriptor() };
    // One that the writer takes off the queue and waits with, so that the rest stays.
    node.admit.submit_with(item(), |_| ()).unwrap();
    node.until_waiting(0).await;
    lanes.map(|lane| {
        let mut taken = 0;
        let error = loop {
            match node.admit.submit_on(lane, item(), |_| ()) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AdmitError::Full { items_max, .. } if items_max == taken));
        taken
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_lanes_full_of_frames_have_places_left_for_a_stop() {
    let eighth = COMMON_ITEMS_MAX / 8;
    // What comes first takes what leaves the others their own.
    let orders = [
        ([Lane::Backfill, Lane::Live, Lane::Control], [4 * eighth, 3 * eighth, eighth]),
        // Control beyond its own: of its lane nothing is left to anybody.
        ([Lane::Control, Lane::Live, Lane::Backfill], [4 * eighth, 3 * eighth, eighth]),
        ([Lane::Live, Lane::Backfill, Lane::Control], [6 * eighth, eighth, eighth]),
    ];
    for (lanes, expected) in orders {
        let mut node = Node::start().await;
        let mut wallet = node.client(Role::Wallet, "patient-app").await.welcomed().await;
        let stop = node.sign(Action::Stop);
        let held = node.hold_writer();
        assert_eq!(fill_queue(&node, lanes).await, expected);
        assert_eq!(node.admit.waiting(), COMMON_ITEMS_MAX);
        let asked = wallet.session.submit(stop).unwrap();
        // A certificate's own junk takes no reserved place.
        let other = wallet.session.submit(junk(9)).unwrap();
        wallet.transmit().await;
        let rejected = wallet.until(|event| match event {
            ClientEvent::RequestRejected { request, code } => Some((*request, *code)),
            _ => None,
        });
        assert_eq!(rejected.await, (other, RejectCode::Signature));
        assert_eq!(node.admit.waiting(), COMMON_ITEMS_MAX + 1, "the stop waits");
        // As many more as are reserved, and no further one.
        for _ in COMMON_ITEMS_MAX + 1..QUEUE_ITEMS_MAX {
            node.admit.submit_with(Item::CloseDue, |_| ()).unwrap();
        }
        assert!(node.admit.submit_with(Item::CloseDue, |_| ()).is_err());
        drop(held);
        let applied = wallet.until(|event| match event {
            ClientEvent::OperationApplied { request, .. } => Some(*request),
            _ => None,
        });
        assert_eq!(applied.await, asked);
    }
}

/// Says something on the lane of a session where it belongs.
fn tell(session: &mut Session, message: ClientMessage) {
    let is_data = matches!(message, ClientMessage::Frame(_) | ClientMessage::Block(_));
    let lane = if is_data { Lane::Live } else { Lane::Control };
    session.handle_bytes(lane, &message.encode());
}

/// Begins a session on its three lanes.
pub(super) fn greet(session: &mut Session) {
    for lane in Lane::ALL {
        session.handle_bytes(lane, &lane.preamble());
    }
    tell(session, ClientMessage::Hello(Hello::new(ClientName::new("raw").unwrap(), false)));
}

/// Opens a stream of this number on a lane.
pub(super) async fn open(
    session: &mut Session,
    replies: &mut Receiver<Reply>,
    stream: u16,
    lane: Lane,
) {
    let (handle, epoch) = (StreamHandle(stream.into()), EpochNumber(stream));
    let descriptor = Descriptor { epoch, ..descriptor() };
    tell(session, ClientMessage::OpenStream(OpenStream { handle, lane, descriptor }));
    session.handle_reply(replies.recv().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_an_ended_stream_count_until_the_writer_has_answered_them() {
    let budget = 256 << 10;
    let config = IngestConfig { unacknowledged_bytes_max: budget, ..IngestConfig::default() };
    let node = Node::start().await;
    let (mut session, mut replies) = node.session(config);
    greet(&mut session);
    let streams = 40;
    for stream in 1..=streams {
        open(&mut session, &mut replies, stream, Lane::Live).await;
    }
    let held = node.hold_writer();
    let mut submitted = 0;
    for stream in 1..=streams {
        if !session.may_read(Lane::Live) {
            break;
        }
        let handle = StreamHandle(stream.into());
        tell(&mut session, ClientMessage::Frame(large_frame(stream.into(), stream)));
        tell(&mut session, ClientMessage::EndStream { handle });
        submitted += 1;
    }
    let size = large_frame(1, 1).as_bytes().len() as u64;
    assert!(submitted * size <= budget + size + READ_BYTES_MAX as u64, "{submitted} frames");
    assert!(submitted > 1 && !session.may_read(Lane::Live));
    drop(held);
    for _ in 0..submitted {
        session.handle_reply(replies.recv().await.unwrap());
    }
    assert!(session.may_read(Lane::Live), "room comes back with the answers");
}
