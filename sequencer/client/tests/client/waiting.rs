//! `vitals stream` while its node is not there, and after it was killed.

use std::path::Path;
use std::process::Stdio;

use model::Sequence;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use wire::ServerLimits;

use crate::command_line::{command, done, folder_with_identities};
use crate::files::{STREAM, beats, failed, write};
use crate::node::{Behaviour, Node, stream_key};

/// A command that runs, and what it says to people.
pub(crate) struct Running {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Running {
    pub(crate) fn start(folder: &Path, node: &Node, line: &str) -> Running {
        let mut command = command(folder, node, line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("vitals runs");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        Running { child, said }
    }

    /// Writes lines, and ends with them.
    pub(crate) async fn feed(&mut self, text: &str) {
        let mut stdin = self.child.stdin.take().expect("piped");
        stdin.write_all(text.as_bytes()).await.expect("read");
    }

    /// Reads until a line has these words.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        loop {
            let line = self.said.next_line().await.expect("text");
            let line = line.unwrap_or_else(|| panic!("it ended without `{words}`"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Nobody reads what it says at its end.
    pub(crate) fn hear_nothing(&mut self) {
        drop(self.child.stdout.take());
    }

    pub(crate) async fn interrupt(&mut self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = tokio::process::Command::new("kill").args(["-INT", &id]).status().await;
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn end(mut self) -> (Option<i32>, serde_json::Value) {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().await.unwrap();
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), said)
    }
}

/// The times of all readings that the node has, in milliseconds, in the order of their frames.
fn times(node: &Node) -> Vec<u64> {
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    let signal = stream_key().signal().unwrap();
    let readings = frames.flat_map(|(frame, ..)| frame.readings(signal).unwrap());
    readings.map(|reading| reading.at.millis().unix_ms()).collect()
}

/// One each second from half past eight on.
fn expected(count: u64) -> Vec<u64> {
    (0..count).map(|n| 1_777_624_200_000 + 1000 * n).collect()
}

#[tokio::test]
async fn a_gateway_that_starts_before_its_node_delivers_when_the_node_comes() {
    let node = Node::start(Behaviour::default());
    node.hide();
    let folder = folder_with_identities(&node);
    let line = format!("{STREAM} --stdin --state DIR/state");
    let mut gateway = Running::start(folder.path(), &node, &line);
    gateway.feed(&beats(20)).await;
    gateway.says("the node does not answer yet").await;
    gateway.says("20 readings are kept meanwhile").await;
    node.appear();
    assert_eq!(gateway.end().await.0, Some(0));
    assert_eq!(times(&node), expected(20));
}

#[tokio::test]
async fn a_file_waits_for_its_node_without_a_folder_too() {
    let node = Node::start(Behaviour::default());
    node.hide();
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &beats(20));
    let mut gateway = Running::start(folder.path(), &node, &format!("{STREAM} DIR/beats.csv"));
    gateway.says("the node does not answer yet").await;
    node.appear();
    assert_eq!(gateway.end().await.0, Some(0));
    assert_eq!(times(&node), expected(20));
}

#[tokio::test]
async fn who_stops_waiting_is_told_what_is_kept_and_the_next_run_sends_it() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let line = format!("{STREAM} --stdin --state DIR/state");
    node.hide();
    let mut gateway = Running::start(folder.path(), &node, &line);
    gateway.feed(&beats(20)).await;
    gateway.says("20 readings are kept meanwhile").await;
    gateway.interrupt().await;
    let said = gateway.says("interrupted").await;
    assert!(said.contains("20 readings in") && said.contains("the same command again"), "{said}");
    assert_eq!(gateway.end().await.0, Some(4));
    node.appear();
    let mut gateway = Running::start(folder.path(), &node, &format!("{line} --json"));
    gateway.feed("").await;
    let (code, said) = gateway.end().await;
    assert_eq!((code, &said["restored"], &said["durable"]), (Some(0), &20.into(), &20.into()));
    assert_eq!(times(&node), expected(20));
}

#[tokio::test]
async fn frames_that_had_no_epoch_get_the_one_after_the_nodes() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    // Another machine sent the stream before.
    write(folder.path(), "first.csv", &beats(3));
    done(folder.path(), &node, &format!("{STREAM} DIR/first.csv")).await;
    node.hide();
    write(folder.path(), "beats.csv", &beats(20).replacen(&beats(3), "", 1));
    let line = format!("{STREAM} --state DIR/state DIR/beats.csv");
    let mut gateway = Running::start(folder.path(), &node, &line);
    gateway.says("17 readings are kept meanwhile").await;
    node.appear();
    assert_eq!(gateway.end().await.0, Some(0));
    assert_eq!(times(&node), expected(20));
    let epochs: Vec<_> = node.log().frames.keys().map(|stream| stream.epoch.0).collect();
    assert_eq!(epochs, [1, 2]);
}

#[tokio::test]
async fn what_no_waiting_mends_is_said_at_once_and_what_is_not_there_in_the_end() {
    let (node, other) = (Node::start(Behaviour::default()), Node::start(Behaviour::default()));
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &beats(3));
    let stream = format!("{STREAM} --state DIR/state DIR/beats.csv");
    let (code, said) = failed(folder.path(), &other, &stream).await;
    assert_eq!(code, Some(1));
    assert!(said["error"].to_string().contains("both certificates"), "{said}");
    let (code, said) = failed(folder.path(), &node, &format!("{stream} --node localhost")).await;
    assert_eq!(code, Some(2), "{said}");
    let nowhere = format!("{stream} --node nowhere.invalid:4433 --wait 0s");
    let (code, said) = failed(folder.path(), &node, &nowhere).await;
    assert_eq!(code, Some(3));
    assert!(said["error"].to_string().contains("not known here"), "{said}");
    assert!(said["error"].to_string().contains("the same command again"), "{said}");
    assert_eq!(done(folder.path(), &node, &stream).await["durable"], 3);
}

#[tokio::test]
async fn a_killed_gateway_goes_on_and_each_reading_is_durable_once() {
    let limits = ServerLimits { unacknowledged_frames_max: 4, ..ServerLimits::default() };
    let node = Node::start(Behaviour { limits, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &beats(600));
    let line = format!("{STREAM} --frame-readings 10 --state DIR/state DIR/beats.csv");
    // Without receipts it stops within what may be without one, so it is at work when it dies.
    for stored in [1, 2, 17, 30] {
        let silent_from = Some(stored);
        node.behave(Behaviour { silent_from, limits, ..Behaviour::default() });
        let mut gateway = Running::start(folder.path(), &node, &line);
        node.stored(stored).await;
        gateway.child.kill().await.unwrap();
        node.hang_up();
    }
    node.behave(Behaviour { limits, ..Behaviour::default() });
    let last = done(folder.path(), &node, &line).await;
    assert_eq!(last["read"], 600, "{last}");
    assert_eq!(times(&node), expected(600));
    let frames: Vec<_> = node.log().frames.values().flat_map(|one| one.keys().copied()).collect();
    assert_eq!(frames, (1..=frames.len() as u64).map(Sequence).collect::<Vec<_>>());
    let again = done(folder.path(), &node, &line).await;
    assert_eq!((&again["readings"], &again["sent_before"]), (&0.into(), &600.into()));
}

#[tokio::test]
async fn two_programs_do_not_send_one_stream_from_one_folder() {
    let node = Node::start(Behaviour::default());
    node.hide();
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &beats(3));
    let line = format!("{STREAM} --state DIR/state DIR/beats.csv");
    let mut first = Running::start(folder.path(), &node, &line);
    first.says("the node does not answer yet").await;
    let (code, said) = failed(folder.path(), &node, &line).await;
    assert_eq!(code, Some(2));
    assert!(said["error"].to_string().contains("m-1.147842.lock"), "{said}");
    node.appear();
    assert_eq!(first.end().await.0, Some(0));
}
