//! Frames in every codec, on their way over a state folder to nodes that speak them or do not.

use std::path::Path;

use client::{Connection, Stream};
use wire::{Codec, Descriptor, DeviceTime, Frame, Lane, Period, Reading};

use crate::command_line::{folder_with_identities, vitals};
use crate::files::{STREAM, write};
use crate::node::{Behaviour, Node, descriptor, reading, stream_key};

/// Readings of 4 a second; the last one of a frame is late where `is_steady` is false.
fn frame_of(number: u64, is_steady: bool) -> Vec<Reading> {
    let start = reading(0).at.micros() / 1_000_000 * 1_000_000 - 60_000_000;
    let at = |n: u64| DeviceTime::from_micros(start + 250_000 * n).expect("of today");
    let mut readings: Vec<_> =
        (0..16).map(|n| Reading::new(at(16 * number + n), 600 + (n as i32 * 7) % 5)).collect();
    if !is_steady {
        readings[15].at = DeviceTime::from_micros(readings[15].at.micros() + 1).expect("of today");
    }
    readings
}

async fn connect(node: &Node, state: &Path) -> (Connection, Stream) {
    let connection = node.connect_as(|config| {
        (config.state, config.codec) = (Some(state.to_owned()), None);
    });
    let connection = connection.await.expect("connected");
    let period = Some(Period::new(250_000_000, 1).expect("above zero"));
    let descriptor = Descriptor { period, ..descriptor(1) };
    let stream = connection.begin_stream(Lane::Live, descriptor).expect("begun");
    (connection, stream)
}

/// The frames that the node has, in order.
fn frames(node: &Node) -> Vec<Frame> {
    let log = node.log();
    log.frames
        .values()
        .flat_map(|frames| frames.values())
        .map(|(frame, ..)| frame.clone())
        .collect()
}

fn readings(frames: &[Frame]) -> Vec<Reading> {
    let signal = stream_key().signal().expect("a signal");
    frames.iter().flat_map(|frame| frame.readings(signal).expect("sound")).collect()
}

#[tokio::test]
async fn what_is_kept_on_a_grid_reaches_a_node_that_speaks_rows_alone() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let state = folder.path().join("state");
    let (connection, stream) = connect(&node, &state).await;
    let sent: Vec<_> = (0..4).map(|number| frame_of(number, number != 2)).collect();
    for readings in &sent {
        stream.send(readings).await.expect("kept");
    }
    node.stored(4).await;
    let codecs: Vec<_> = frames(&node).iter().map(|frame| frame.header().codec).collect();
    assert_eq!(codecs, [Codec::GRID, Codec::GRID, Codec::COLUMNAR, Codec::GRID]);
    assert_eq!(readings(&frames(&node)), sent.concat());
    drop((stream, connection));
    // Kept without a receipt; a node of before has nothing of it.
    let before = Node::start(Behaviour { before_names: true, ..Behaviour::default() });
    let (connection, stream) = connect(&before, &state).await;
    stream.flush().await.expect("receipts");
    let stored = frames(&before);
    assert!(stored.iter().all(|frame| frame.header().codec == Codec::RAW));
    assert_eq!(readings(&stored), sent.concat());
    connection.close().await;
}

#[tokio::test]
async fn a_file_of_a_rate_goes_on_a_grid_and_what_is_asked_for_is_done_or_refused() {
    let lines: String = (0..1000).map(|n| format!("{}\n", 60 + n % 40)).collect();
    let stamped: String =
        (0..100).map(|n| format!("{},{}\n", 1_777_624_200_000u64 + n * n, 60)).collect();
    let steady = "--rate-hz 360 --start 2026-05-01T08:30:00Z DIR/steady.csv";
    for (options, codec) in [
        (steady.to_owned(), Codec::GRID),
        (format!("--codec raw {steady}"), Codec::RAW),
        (format!("--codec columnar {steady}"), Codec::COLUMNAR),
        (format!("--codec grid --state DIR/state {steady}"), Codec::GRID),
        ("--time-unit ms DIR/stamped.csv".to_owned(), Codec::COLUMNAR),
    ] {
        let node = Node::start(Behaviour::default());
        let folder = folder_with_identities(&node);
        write(folder.path(), "steady.csv", &lines);
        write(folder.path(), "stamped.csv", &stamped);
        let output = vitals(folder.path(), &node, &format!("{STREAM} {options}")).await;
        assert!(output.status.success(), "{options}: {output:?}");
        let stored = frames(&node);
        assert!(stored.iter().all(|frame| frame.header().codec == codec), "{options}");
        let expected = if options.ends_with("stamped.csv") { 100 } else { 1000 };
        assert_eq!(readings(&stored).len(), expected, "{options}");
    }
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    write(folder.path(), "stamped.csv", &stamped);
    let line = format!("{STREAM} --codec grid --time-unit ms DIR/stamped.csv");
    let output = vitals(folder.path(), &node, &line).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("times on the grid of the stream's period"), "{said}");
}
