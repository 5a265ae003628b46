//! `vitals stream` and the files that people have.

use std::path::Path;

use serde_json::Value;

use crate::command_line::{done, folder_with_identities, vitals};
use crate::node::{Behaviour, Node};

pub(crate) const STREAM: &str =
    "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate";

pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A line a second from 08:30 on.
pub(crate) fn beats(count: usize) -> String {
    let line =
        |n: usize| format!("2026-05-01T08:{:02}:{:02}Z,{}\n", 30 + n / 60, n % 60, 60 + n % 40);
    (0..count).map(line).collect()
}

/// A command that ends otherwise than with success: its code, and what it says.
pub(crate) async fn failed(folder: &Path, node: &Node, line: &str) -> (Option<i32>, Value) {
    let output = vitals(folder, node, line).await;
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let said = serde_json::from_slice(said).expect("one object for programs");
    (output.status.code(), said)
}

#[tokio::test]
async fn the_same_file_with_the_same_state_sends_nothing_twice() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let stream = format!("{STREAM} --state DIR/state DIR/beats.csv");
    write(folder.path(), "beats.csv", &beats(300));
    assert_eq!(done(folder.path(), &node, &stream).await["readings"], 300);
    let again = done(folder.path(), &node, &stream).await;
    assert_eq!((&again["readings"], &again["sent_before"]), (&0.into(), &300.into()));
    // It grew: what is new is sent, and what was sent is not.
    write(folder.path(), "beats.csv", &beats(310));
    let grown = done(folder.path(), &node, &stream).await;
    assert_eq!((&grown["readings"], &grown["sent_before"]), (&10.into(), &300.into()));
    // What was sent was changed: nobody can say what of it the node has.
    write(folder.path(), "beats.csv", &beats(310).replacen(",60", ",61", 1));
    let (code, said) = failed(folder.path(), &node, &stream).await;
    assert_eq!(code, Some(2));
    assert!(said["error"][0].as_str().unwrap().contains("--again"), "{said}");
    let again = done(folder.path(), &node, &format!("{stream} --again")).await;
    assert_eq!(again["readings"], 310);
}

#[tokio::test]
async fn a_device_that_comes_back_to_a_patient_sends_nothing_of_that_one_twice() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    write(folder.path(), "beats.csv", &beats(20));
    write(folder.path(), "other.csv", &beats(5));
    let stream = |patient: &str, file: &str| {
        let stream = STREAM.replace("--patient 7", &format!("--patient {patient}"));
        format!("{stream} --state DIR/state DIR/{file}")
    };
    for (patient, file, sent, sent_before) in [
        ("7", "beats.csv", 20, 0),
        ("8", "other.csv", 5, 0),
        ("7", "beats.csv", 0, 20),
        // The same lines are another's readings too.
        ("8", "beats.csv", 15, 5),
    ] {
        let said = done(folder.path(), &node, &stream(patient, file)).await;
        let found = (&said["readings"], &said["sent_before"]);
        assert_eq!(found, (&sent.into(), &sent_before.into()), "{patient} {file}: {said}");
    }
}

#[tokio::test]
async fn what_stands_before_a_bad_line_is_durable_and_the_rest_follows_it() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let stream = format!("{STREAM} --state DIR/state DIR/beats.csv");
    let good = beats(600);
    write(
        folder.path(),
        "beats.csv",
        &format!("{good}oops\n{}", beats(601).replacen(&good, "", 1)),
    );
    let (code, said) = failed(folder.path(), &node, &stream).await;
    assert_eq!(code, Some(2));
    assert_eq!((&said["readings"], &said["at"]), (&600.into(), &"line 601".into()));
    assert_eq!(said["frames"], said["frames_receipted"]);
    let skipped = done(folder.path(), &node, &format!("{stream} --on-error skip")).await;
    assert_eq!((&skipped["readings"], &skipped["sent_before"]), (&1.into(), &600.into()));
    assert_eq!(skipped["lines_skipped"], 1);
}

#[tokio::test]
async fn a_file_that_is_wrong_throughout_sends_nothing() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    for (text, options, expected) in [
        ("1795867200,70\n1795867201,71\n", "", "--time-unit"),
        ("2026-05-01 08:30:00,72\n", "", "--zone"),
        ("time,value\n", "", "found none"),
        ("when,beats\n2026-05-01T08:30:00Z,72\n", "", "--column time=NAME"),
        ("2026-05-01T08:30:00Z,72\n", "--unit mmHg ", "heart-rate in one of /min, /s"),
        ("70\n71\n", "--rate-hz 1 ", "--start"),
        ("2026-05-01T08:30:00Z,1.2\n2026-05-01T08:30:01Z,1.3\n", "", "none of the usual 20 to 300"),
    ] {
        write(folder.path(), "file.csv", text);
        let line = format!("{STREAM} {options}DIR/file.csv");
        let (code, said) = failed(folder.path(), &node, &line).await;
        assert_eq!(code, Some(2), "{text}: {said}");
        let said = said["error"].to_string();
        assert!(said.contains(expected), "expected `{expected}` in {said}");
    }
    assert_eq!(node.log().frames.len(), 0);
}

#[tokio::test]
async fn several_columns_are_several_streams_and_a_dry_run_sends_nothing() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let text = "Time;HR;SpO2 (%)\n2026-05-01 10:30:00;72;97,5\n2026-05-01 10:30:01;73;\n";
    write(folder.path(), "ward.csv", text);
    let line = format!("{STREAM} --signal spo2 --zone +02:00 --decimal comma DIR/ward.csv");
    let dry = done(folder.path(), &node, &format!("{line} --dry-run")).await;
    assert_eq!((&dry["readings"], &dry["absent"]), (&4.into(), &1.into()));
    assert_eq!(node.log().frames.len(), 0);
    let sent = done(folder.path(), &node, &line).await;
    assert_eq!((&sent["readings"], &sent["frames"]), (&4.into(), &2.into()));
}

#[tokio::test]
async fn what_needs_a_whole_file_is_refused_of_standard_input() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let end = "--end 2026-05-01T08:30:00Z";
    for option in ["--dry-run", end] {
        let line = format!("{STREAM} --stdin --period 60s {option}");
        let (code, said) = failed(folder.path(), &node, &line).await;
        assert_eq!(code, Some(2), "{said}");
        let said = said["error"].to_string();
        assert!(said.contains("expected a file with --dry-run or --end"), "{said}");
    }
    assert_eq!(node.log().frames.len(), 0);
}

#[tokio::test]
async fn a_time_ahead_ends_the_command_and_names_its_line() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    write(folder.path(), "ahead.csv", "2026-05-01T08:30:00Z,72\n2096-05-01T08:30:00Z,72\n");
    let (code, said) = failed(folder.path(), &node, &format!("{STREAM} DIR/ahead.csv")).await;
    assert_eq!((code, &said["at"]), (Some(2), &"line 2".into()));
    assert!(said["error"].as_str().unwrap().contains("ahead of this machine's clock"), "{said}");
}
