//! A node that is away for longer than memory holds: what is sent meanwhile is on disk.

use client::{Connection, ConnectionConfig, StateBounds, Stream, StreamError, WhenFull};
use model::{DeviceId, EpochNumber, Sequence};
use wire::{Lane, Reading, StreamKey};

use crate::command_line::{folder_with_identities, vitals};
use crate::files::{STREAM, write};
use crate::node::{Behaviour, Node, descriptor, reading, stream_key};
use crate::waiting::Running;

const FRAME_BYTES: usize = 48;

async fn open(connection: &Connection) -> Stream {
    connection.open_stream(Lane::Live, descriptor(1)).await.expect("opened")
}

/// The values that the node has, in the order of their sequences.
fn values(node: &Node) -> Vec<i32> {
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    let signal = stream_key().signal().expect("a signal");
    let readings = frames.flat_map(|(frame, ..)| frame.readings(signal).expect("readings"));
    readings.map(|one| one.value.expect("a value")).collect()
}

/// A line each millisecond.
fn lines(count: u64) -> String {
    let line = |n: u64| format!("{},{}\n", 1_777_624_200_000 + n, 60 + n % 40);
    (0..count).map(line).collect()
}

#[tokio::test]
async fn what_memory_does_not_hold_waits_on_disk_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let connect = || {
        node.connect_as(|config| {
            config.state = Some(folder.path().join("state"));
            config.limits.held_bytes_max = 8 * FRAME_BYTES;
        })
    };
    let connection = connect().await.unwrap();
    let stream = open(&connection).await;
    for value in 0..100 {
        let sequence = stream.send(&[reading(value)]).await.unwrap();
        assert_eq!(sequence, Sequence(value as u64 + 1));
        assert!(connection.held_bytes() <= 8 * FRAME_BYTES);
    }
    node.stored(8).await;
    // The node was never heard of the first ones, and the program starts anew.
    drop((stream, connection));
    node.behave(Behaviour::default());
    let connection = connect().await.unwrap();
    let stream = open(&connection).await;
    assert_eq!(connection.counts().readings_restored, 100);
    assert_eq!(stream.next_sequence(), Sequence(101));
    for value in 100..120 {
        stream.send(&[reading(value)]).await.unwrap();
    }
    stream.flush().await.unwrap();
    assert_eq!(values(&node), (0..120).collect::<Vec<_>>());
    let counts = connection.counts();
    assert_eq!((counts.frames_sent, counts.frames_receipted), (120, 120));
    assert_eq!((counts.readings_receipted, counts.readings_given_up), (120, 0));
}

#[tokio::test]
async fn a_backlog_on_disk_does_not_keep_other_streams_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let connection = node.connect_as(|config| {
        config.state = Some(folder.path().join("state"));
        config.limits.held_bytes_max = 8 * FRAME_BYTES;
    });
    let connection = connection.await.unwrap();
    let key = StreamKey { signal: 149_530, ..stream_key() };
    let other = wire::Descriptor { key, ..descriptor(1) };
    let quiet = connection.open_stream(Lane::Live, other).await.unwrap();
    let stream = open(&connection).await;
    for value in 0..50 {
        stream.send(&[reading(value)]).await.unwrap();
    }
    node.stored(4).await;
    quiet.send(&[reading(500)]).await.unwrap();
    // No receipt came: it went although the other has as much as it may.
    node.stored(5).await;
    assert!(values(&node).contains(&500));
}

/// However many streams have a share: those of one lane together leave the other lane an eighth.
#[tokio::test]
async fn many_streams_with_backlogs_on_one_lane_do_not_keep_another_lane_waiting() {
    for (many, one) in [(Lane::Live, Lane::Backfill), (Lane::Backfill, Lane::Live)] {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
        let connection = node.connect_as(|config| {
            config.state = Some(folder.path().join("state"));
            config.limits.held_bytes_max = 64 * FRAME_BYTES;
        });
        let connection = connection.await.unwrap();
        let of_device = |number: u32| {
            let device = DeviceId::new(&format!("m-{number}")).unwrap();
            wire::Descriptor { key: StreamKey { device, ..stream_key() }, ..descriptor(1) }
        };
        let other = connection.open_stream(one, of_device(100)).await.unwrap();
        let mut streams = Vec::new();
        for number in 0..15 {
            streams.push(connection.open_stream(many, of_device(number)).await.unwrap());
        }
        // Four of each were its share, of 64, and 56 are seven eighths.
        for stream in &streams {
            for value in 0..10 {
                stream.send(&[reading(value)]).await.unwrap();
            }
        }
        node.stored(56).await;
        other.send(&[reading(500)]).await.unwrap();
        // No receipt came.
        node.stored(57).await;
        assert!(values(&node).contains(&500), "{many:?} first");
    }
}

#[tokio::test]
async fn a_full_folder_gives_up_the_oldest_that_was_never_sent_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let connect = || {
        node.connect_as(|config| {
            config.state = Some(folder.path().join("state"));
            config.limits.held_bytes_max = 8 * FRAME_BYTES;
            let when_full = WhenFull::GiveUp;
            config.state_bounds =
                StateBounds { bytes_max: 8192, when_full, ..StateBounds::default() };
        })
    };
    let connection = connect().await.unwrap();
    let stream = open(&connection).await;
    let mut last = Sequence(0);
    for value in 0..400 {
        last = stream.send(&[reading(value)]).await.unwrap();
    }
    node.stored(8).await;
    let given_up = connection.counts().readings_given_up;
    assert!(given_up > 200 && last < Sequence(200), "{given_up} given up, {last:?} last");
    assert!(matches!(stream.wait_for_receipt(Sequence(20)).await, Err(StreamError::GivenUp)));
    let gaps = stream.gaps();
    assert_eq!(gaps.iter().map(|gap| gap.readings).sum::<u64>(), given_up);
    drop((stream, connection));
    node.behave(Behaviour::default());
    let connection = connect().await.unwrap();
    let stream = open(&connection).await;
    stream.flush().await.unwrap();
    // Without a hole in the sequences, and of the readings only the told ones are missing.
    let held: Vec<_> = values(&node);
    let sequences: Vec<_> =
        node.log().frames.values().flat_map(|one| one.keys().map(|one| one.0)).collect();
    assert_eq!(sequences, (1..=held.len() as u64).collect::<Vec<_>>());
    assert_eq!((stream.gaps(), held.len() as u64 + given_up), (gaps, 400));
    assert_eq!(held[..8], [0, 1, 2, 3, 4, 5, 6, 7], "those may have been sent");
    assert!(held.ends_with(&[397, 398, 399]) && held.is_sorted());
    stream.forget_gaps(&stream.gaps()).unwrap();
    assert_eq!(stream.gaps(), []);
    drop(stream);
    connection.close().await;
    let connection = connect().await.unwrap();
    assert_eq!(connection.epoch(&stream_key()).unwrap(), EpochNumber(1));
    assert_eq!(open(&connection).await.gaps(), []);
}

#[tokio::test]
async fn a_folder_that_is_smaller_than_memory_gives_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let connection = node.connect_as(|config| {
        config.state = Some(folder.path().join("state"));
        let when_full = WhenFull::GiveUp;
        config.state_bounds = StateBounds { bytes_max: 8192, when_full, ..StateBounds::default() };
    });
    let connection = connection.await.unwrap();
    let stream = open(&connection).await;
    for value in 0..400 {
        stream.send(&[reading(value)]).await.unwrap();
    }
    let given_up = connection.counts().readings_given_up;
    assert!(given_up > 200, "{given_up}");
    let told: u64 = stream.gaps().iter().map(|gap| gap.readings).sum();
    assert_eq!(told, given_up);
}

#[tokio::test]
async fn a_frame_that_is_larger_than_its_streams_share_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let first = reading(0);
    let readings = (0..40).map(|value| Reading { value: Some(value), ..first });
    let readings: Vec<_> = readings.collect();
    let connection = node.connect_as(|config| {
        config.state = Some(folder.path().join("state"));
        // Just the frame of all of them: half of it is each stream's.
        config.limits.held_bytes_max = 32 + 16 * readings.len();
    });
    let connection = connection.await.unwrap();
    let key = StreamKey { signal: 149_530, ..stream_key() };
    let other = wire::Descriptor { key, ..descriptor(1) };
    let _other = connection.open_stream(Lane::Live, other).await.unwrap();
    let stream = open(&connection).await;
    for _ in 0..3 {
        // One finds its place at once, and those behind it wait on disk.
        stream.send(&readings).await.unwrap();
    }
    stream.flush().await.unwrap();
    assert_eq!(values(&node).len(), 3 * readings.len());
}

#[tokio::test]
async fn a_folder_is_free_once_its_connection_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour::default());
    let config = |config: &mut ConnectionConfig| config.state = Some(folder.path().join("state"));
    let (first, second) =
        (node.connect_as(config).await.unwrap(), node.connect_as(config).await.unwrap());
    let stream = open(&first).await;
    drop(first);
    // Nothing is waited for in between, in which the task of the first could end.
    let again = second.begin_stream(Lane::Live, descriptor(1));
    assert!(again.is_ok(), "{:?}", again.err());
    assert!(stream.send(&[reading(1)]).await.is_err());
}

#[tokio::test]
async fn a_gateway_whose_folder_is_full_tells_what_it_gave_up_and_fails() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let line = format!(
        "{STREAM} --stdin --state DIR/state --state-max 1 --frame-readings 1000 --time-unit ms \
         --codec raw --json"
    );
    node.hide();
    let mut gateway = Running::start(folder.path(), &node, &line);
    // Rows of 16 bytes: three times what the folder holds.
    gateway.feed(&lines(200_000)).await;
    // Everything is read once the pipe is empty.
    node.appear();
    let (code, said) = gateway.end().await;
    assert_eq!(code, Some(1), "{said}");
    let count = |key: &str| said[key].as_u64().unwrap_or_default();
    let (read, durable, given_up) = (count("read"), count("durable"), count("given_up"));
    assert_eq!((read, durable + given_up), (200_000, 200_000), "{said}");
    assert_eq!(values(&node).len() as u64, durable);
    let gaps = said["gaps"].as_array().expect("a list");
    let told = gaps.iter().map(|gap| gap["readings"].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(told, given_up, "{said}");
    let again = Running::start(folder.path(), &node, &line);
    let (code, said) = again.end().await;
    assert_eq!((code, &said["gaps"]), (Some(0), &serde_json::json!([])), "told once");
}

#[tokio::test]
async fn what_was_given_up_is_told_again_if_nobody_was_there_to_hear_it() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let line = format!(
        "{STREAM} --stdin --state DIR/state --state-max 1 --frame-readings 1000 --time-unit ms \
         --codec raw --json"
    );
    node.hide();
    let mut gateway = Running::start(folder.path(), &node, &line);
    gateway.feed(&lines(200_000)).await;
    gateway.hear_nothing();
    node.appear();
    assert_eq!(gateway.end().await.0, Some(1));
    for (expected, is_told) in [(Some(1), true), (Some(0), false)] {
        let again = Running::start(folder.path(), &node, &line);
        let (code, said) = again.end().await;
        let gaps = said["gaps"].as_array().expect("a list");
        assert_eq!((code, !gaps.is_empty()), (expected, is_told), "{said}");
    }
}

#[tokio::test]
async fn a_file_waits_for_room_and_loses_nothing() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &lines(10_000));
    // Of 120 bytes each, so that a MiB does not hold them.
    let line = format!(
        "{STREAM} --time-unit ms --frame-readings 1 --state DIR/state DIR/beats.csv --state-max"
    );
    node.hide();
    let none = vitals(folder.path(), &node, &format!("{line} 0")).await;
    assert_eq!(none.status.code(), Some(2));
    let mut gateway = Running::start(folder.path(), &node, &format!("{line} 1"));
    gateway.says("holds as much as it may (--state-max)").await;
    node.appear();
    assert_eq!(gateway.end().await.0, Some(0));
    let expected: Vec<_> = (0..10_000).map(|n| 10 * (60 + n % 40)).collect();
    assert!(values(&node) == expected, "each once and in order");
}
