//! Streams: receipts, loss, restart, credit, rejection, evidence.

use std::time::Duration;

use client::{
    Connection, ConnectionConfig, ConnectionError, Stream, StreamError, Waits, read_receipt,
};
use model::{EpochNumber, RejectCode, Sequence};
use wire::{Frame, Lane, ServerLimits, StopReason, Violation, signer_address};

use crate::node::{Behaviour, Node, authority, descriptor, reading, signing_key, stream_key};
use crate::stream_file::stream_file;

async fn open(connection: &Connection) -> Stream {
    connection.open_stream(Lane::Live, descriptor(1)).await.expect("opened")
}

async fn send(stream: &Stream, frames: usize) {
    for number in 0..frames {
        stream.send(&[reading(60 + number as i32 % 40)]).await.expect("sent");
    }
}

fn sequences(node: &Node) -> Vec<u64> {
    let log = node.log();
    let streams = log.frames.values();
    streams.flat_map(|frames| frames.keys().map(|sequence| sequence.0)).collect()
}

#[tokio::test]
async fn every_frame_gets_a_verified_receipt_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let receipts = folder.path().join("receipts");
    let kept = receipts.clone();
    let connection = node.connect_as(|config| config.receipts = Some(kept)).await.unwrap();
    let stream = open(&connection).await;
    send(&stream, 50).await;
    stream.end().await.unwrap();
    let counts = connection.counts();
    assert_eq!((counts.frames_sent, counts.frames_receipted), (50, 50));
    assert_eq!((counts.readings_sent, counts.reconnects), (50, 0));
    connection.close().await;
    assert_eq!(sequences(&node), (1..=50).collect::<Vec<_>>());
    let files: Vec<_> = std::fs::read_dir(&receipts).unwrap().collect();
    assert_eq!(files.len() as u64, counts.receipts);
    for file in files {
        let receipt = read_receipt(&file.unwrap().path()).unwrap();
        assert_eq!(receipt.verify(signer_address(&signing_key())), Ok(()));
    }
}

#[tokio::test]
async fn the_example_streams_a_file_until_every_reading_has_a_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let identity = folder.path().join("gw-01");
    node.write_identity(&identity, "gateway", "gw-01");
    let lines: String = (0..600).map(|n| format!("{},72\n", 1_777_624_200_000u64 + n)).collect();
    let file = folder.path().join("beats.csv");
    std::fs::write(&file, format!("time,value\n{lines}")).unwrap();
    let last = stream_file(node.address, &identity, &file).await.unwrap();
    assert_eq!((last, sequences(&node)), (Sequence(3), vec![1, 2, 3]));
}

#[tokio::test]
async fn a_lost_connection_loses_and_doubles_nothing() {
    let behaviour = Behaviour { silent: true, drop_after_frames: Some(5), ..Behaviour::default() };
    let node = Node::start(behaviour);
    let connection = node.connect().await;
    let stream = open(&connection).await;
    send(&stream, 20).await;
    stream.flush().await.unwrap();
    assert_eq!(sequences(&node), (1..=20).collect::<Vec<_>>());
    assert_eq!(connection.counts().reconnects, 1);
    assert_eq!(connection.counts().frames_receipted, 20);
}

#[tokio::test]
async fn a_restart_goes_on_from_the_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let state = || Some(folder.path().join("state"));
    let connection = node.connect_as(|config| config.state = state()).await.unwrap();
    let stream = open(&connection).await;
    send(&stream, 3).await;
    node.stored(3).await;
    drop((stream, connection));

    node.behave(Behaviour::default());
    let connection = node.connect_as(|config| config.state = state()).await.unwrap();
    assert_eq!(connection.epoch(&stream_key()).unwrap(), EpochNumber(1));
    let stream = open(&connection).await;
    assert_eq!(stream.next_sequence(), Sequence(4));
    send(&stream, 1).await;
    stream.flush().await.unwrap();
    assert_eq!(stream.last_receipted(), Sequence(4));
    assert_eq!(sequences(&node), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_stream_that_ended_goes_on_in_another_epoch_from_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let state = Some(folder.path().join("state"));
    let connection = node.connect_as(|config| config.state = state).await.unwrap();
    for epoch in [1, 2] {
        let stream = connection.open_stream(Lane::Live, descriptor(epoch)).await.unwrap();
        send(&stream, 2).await;
        stream.end().await.unwrap();
    }
    assert_eq!(sequences(&node), [1, 2, 1, 2]);
}

#[tokio::test]
async fn a_restart_without_a_state_folder_begins_the_epoch_after_the_nodes() {
    let node = Node::start(Behaviour::default());
    let connection = node.connect().await;
    assert_eq!(connection.epoch(&stream_key()).unwrap(), EpochNumber(1));
    let stream = open(&connection).await;
    send(&stream, 1).await;
    stream.end().await.unwrap();
    connection.close().await;

    let connection = node.connect().await;
    assert_eq!(connection.epoch(&stream_key()).unwrap(), EpochNumber(2));
    let again = connection.open_stream(Lane::Live, descriptor(1)).await;
    let why = StopReason::Ahead { durable: Sequence(1) };
    assert!(matches!(again, Err(StreamError::Stopped { why: found }) if found == why));
}

#[tokio::test]
async fn backfill_and_live_readings_leave_each_other_room_without_receipts() {
    for lanes in [[Lane::Backfill, Lane::Live], [Lane::Live, Lane::Backfill]] {
        let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
        let few = |config: &mut ConnectionConfig| config.limits.held_bytes_max = 64 << 10;
        let connection = node.connect_as(few).await.unwrap();
        let mut streams = Vec::new();
        for (epoch, lane) in (1..).zip(lanes) {
            streams.push(connection.open_stream(lane, descriptor(epoch)).await.unwrap());
        }
        let mut taken = Vec::new();
        // One after the other, each until it is told to wait.
        for stream in streams {
            let mut frames = 0;
            while stream.try_send(&[reading(60)]).unwrap().is_some() {
                frames += 1;
            }
            taken.push(frames);
        }
        assert!(taken[1] >= taken[0] / 8, "{lanes:?} took {taken:?} frames");
    }
}

#[tokio::test]
async fn no_more_is_sent_than_the_credit_allows() {
    let limits = ServerLimits { unacknowledged_frames_max: 2, ..ServerLimits::default() };
    let node = Node::start(Behaviour { limits, ..Behaviour::default() });
    let connection = node.connect().await;
    let stream = open(&connection).await;
    send(&stream, 40).await;
    stream.flush().await.unwrap();
    // The node rejects what exceeds its credit, and that would be counted.
    assert_eq!(connection.counts().frames_delayed, 0);
}

#[tokio::test]
async fn sending_waits_while_as_much_as_may_be_lacks_a_receipt() {
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let one = 48;
    let connection =
        node.connect_as(|config| config.limits.held_bytes_max = 2 * one).await.unwrap();
    let stream = open(&connection).await;
    send(&stream, 2).await;
    assert_eq!(connection.held_bytes(), 2 * one);
    assert_eq!(stream.try_send(&[reading(60)]).unwrap(), None);
    node.stored(2).await;
    // The node answers what comes again after a loss.
    node.behave(Behaviour::default());
    node.hang_up();
    assert_eq!(stream.send(&[reading(60)]).await.unwrap(), Sequence(3));
    stream.flush().await.unwrap();
    assert_eq!(sequences(&node), [1, 2, 3]);
}

#[tokio::test]
async fn a_refused_stream_stops_and_hands_its_frames_back() {
    let reject_frame = Some(RejectCode::NotPermitted);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let connection = node.connect().await;
    let stream = open(&connection).await;
    let sequence = stream.send(&[reading(60)]).await.unwrap();
    let stopped = stream.wait_for_receipt(sequence).await.unwrap_err();
    let why = StopReason::Refused(RejectCode::NotPermitted);
    assert!(matches!(&stopped, StreamError::Stopped { why: found } if *found == why));
    assert!(stopped.to_string().contains("no consent rule covers this"));
    assert_eq!(stream.take_unacknowledged().len(), 1);
    assert!(connection.is_connected(), "other streams go on");
}

#[tokio::test]
async fn a_busy_node_gets_the_frames_again() {
    let reject_frame = Some(RejectCode::Busy);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let connection = node.connect().await;
    let stream = open(&connection).await;
    send(&stream, 3).await;
    stream.flush().await.unwrap();
    assert_eq!(sequences(&node), [1, 2, 3]);
    assert_eq!(connection.counts().frames_delayed, 1);
}

#[tokio::test]
async fn a_forged_receipt_ends_the_connection_with_evidence() {
    let node = Node::start(Behaviour { forge: true, ..Behaviour::default() });
    let connection = node.connect().await;
    let stream = open(&connection).await;
    send(&stream, 1).await;
    let ended = connection.flush().await.unwrap_err();
    let ConnectionError::Violation { violation, evidence } = ended else { panic!("{ended:?}") };
    assert!(matches!(violation, Violation::Receipt(_)));
    assert!(evidence.is_some());
    assert_eq!(stream.last_receipted(), Sequence(0));
}

#[tokio::test]
async fn two_receipts_for_one_group_end_the_connection_with_both() {
    let node = Node::start(Behaviour { equivocate: true, ..Behaviour::default() });
    let connection = node.connect().await;
    let stream = open(&connection).await;
    send(&stream, 1).await;
    stream.flush().await.unwrap();
    send(&stream, 1).await;
    let ended = stream.flush().await.unwrap_err();
    let StreamError::Connection(ConnectionError::Equivocation { first, second }) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!(first.receipt.group.group, second.receipt.group.group);
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_node_of_another_deployment_is_left_at_its_welcome() {
    let node = Node::start(Behaviour::default());
    let refused = node.connect_as(|config| config.deployment.scope.chain_id += 1).await;
    let Err(ConnectionError::Violation { violation, .. }) = refused else { panic!() };
    assert_eq!(violation, Violation::Welcome);
}

#[tokio::test]
async fn silence_is_explained_as_blocked_udp() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let node = Node::start(Behaviour::default());
    let waits = Waits { connect: Duration::from_millis(50), ..Waits::default() };
    let refused = node.connect_as(|config| (config.address, config.waits) = (address, waits)).await;
    let error = refused.err().unwrap();
    assert!(error.is_passing());
    let text = error.to_string();
    let port = format!("UDP port {}", address.port());
    assert!(text.contains(&port) && text.contains("no fallback to TCP"), "{text}");
}

#[tokio::test]
async fn certificates_of_another_authority_are_refused_on_both_sides() {
    let (node, other) = (Node::start(Behaviour::default()), Node::start(Behaviour::default()));
    let foreign = other.identity("gateway", "gw-01");
    let refused = node.connect_as(|config| config.identity = foreign).await;
    assert!(matches!(refused, Err(ConnectionError::Certificate(_))));

    let strangers = authority();
    let (cert, key) = {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "gateway");
        params.distinguished_name.push(rcgen::DnType::CommonName, "gw-01");
        (params.signed_by(&key, &strangers).unwrap().pem(), key.serialize_pem())
    };
    let ca = node.authority_pem();
    let unknown =
        client::Identity::from_pem(ca.as_bytes(), cert.as_bytes(), key.as_bytes()).unwrap();
    let refused = node.connect_as(|config| config.identity = unknown).await;
    let error = refused.err().unwrap();
    assert!(matches!(error, ConnectionError::Certificate(_)), "{error:?}");
}

#[tokio::test]
async fn a_node_that_never_comes_back_is_given_up() {
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let waits = Waits { retry_for: Duration::ZERO, ..Waits::default() };
    let connection = node.connect_as(|config| config.waits = waits).await.unwrap();
    let stream = open(&connection).await;
    send(&stream, 1).await;
    node.stored(1).await;
    node.endpoint.close(1u32.into(), b"test");
    let ended = stream.flush().await.unwrap_err();
    assert!(matches!(ended, StreamError::Connection(ConnectionError::GaveUp { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_frame_beyond_its_limit_is_refused_before_anything_is_kept() {
    let node = Node::start(Behaviour::default());
    let connection = node.connect().await;
    let stream = open(&connection).await;
    let many = vec![reading(60); Frame::RAW_READINGS_MAX + 1];
    assert!(matches!(stream.send(&many).await, Err(StreamError::Session(_))));
    assert!(stream.send(&[]).await.is_err());
    assert_eq!(stream.next_sequence(), Sequence(1));
}

#[tokio::test]
async fn the_newest_receipt_is_shown_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let (state, receipts) = (folder.path().join("state"), folder.path().join("receipts"));
    for keeps_receipts in [false, true] {
        for _ in 0..2 {
            let kept = keeps_receipts.then(|| receipts.clone());
            let state = (!keeps_receipts).then(|| state.clone());
            let config = |config: &mut client::ConnectionConfig| {
                (config.state, config.receipts) = (state, kept);
            };
            let connection = node.connect_as(config).await.unwrap();
            let epoch = connection.epoch(&stream_key()).unwrap();
            let described = wire::Descriptor { epoch, ..descriptor(1) };
            let stream = connection.open_stream(Lane::Live, described).await.unwrap();
            send(&stream, 3).await;
            stream.end().await.unwrap();
            connection.close().await;
        }
        let log = node.log();
        let shown = log.shown[log.shown.len() - 2..].to_vec();
        assert_eq!(shown[0], None, "a new folder holds nothing");
        assert!(shown[1].is_some_and(|group| group > 0 && group <= log.groups), "{shown:?}");
    }
}

#[tokio::test]
async fn a_loss_that_the_operator_accepted_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let state = || Some(folder.path().join("state"));
    let connection = node.connect_as(|config| config.state = state()).await.unwrap();
    let stream = open(&connection).await;
    send(&stream, 1).await;
    stream.end().await.unwrap();
    assert_eq!((connection.counts().term, connection.counts().losses_accepted), (0, 0));
    connection.close().await;
    node.log().term = 2;
    let connection = node.connect_as(|config| config.state = state()).await.unwrap();
    assert_eq!((connection.counts().term, connection.counts().losses_accepted), (2, 2));
    connection.close().await;
}
