//! `vitals access`: every page, what was not delivered, and the file that is streamed again.

use std::path::Path;

use model::RejectCode;
use serde_json::Value;

use crate::command_line::{done, folder_with_identities, vitals};
use crate::node::{Behaviour, Node};

const ACCESS: &str = "access --key DIR/dr.key --identity DIR/practitioner \
                      --organisation ward-3 --patient 7 --categories heart-rate \
                      --purpose treatment --data-from 2020-01-01 --data-until now";

/// 600 readings in 12 frames, of which a page holds five.
async fn ward() -> (Node, tempfile::TempDir) {
    let node = Node::start(Behaviour { page_frames: Some(5), ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let values: String = (0..600).map(|n| format!("{}\n", 60 + n % 40)).collect();
    std::fs::write(folder.path().join("beats.csv"), format!("value\n{values}")).unwrap();
    stream(folder.path(), &node, "--rate-hz 2 --end now DIR/beats.csv").await;
    done(folder.path(), &node, "key new --kind practitioner --out DIR/dr.key").await;
    (node, folder)
}

async fn stream(folder: &Path, node: &Node, what: &str) {
    let line = "stream --identity DIR/gateway --device m-1 --patient 7 --signal heart-rate \
                --frame-readings 50 --frame-ms 60000";
    done(folder, node, &format!("{line} {what}")).await;
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn all_pages_come_under_one_request() {
    let (node, folder) = ward().await;
    let read = done(folder.path(), &node, &format!("{ACCESS} --out DIR/all.csv")).await;
    assert_eq!((&read["complete"], &read["readings"]), (&true.into(), &600.into()));
    assert_eq!((&read["frames"], &read["claims"]), (&12.into(), &1.into()));
    let all = lines(folder.path(), "all.csv");
    assert_eq!(all.len(), 600);
    let last = read["last_reading"].as_str().unwrap();
    assert!(all[599].contains(last), "{last}");
    // What is there is not written over, and nobody is asked before that is said.
    let asked = node.log().shown.len();
    let again = vitals(folder.path(), &node, &format!("{ACCESS} --out DIR/all.csv")).await;
    assert_eq!((again.status.code(), node.log().shown.len()), (Some(2), asked));
    let error = String::from_utf8_lossy(&again.stderr);
    assert!(error.contains("--overwrite"), "{error}");
    done(folder.path(), &node, &format!("{ACCESS} --out DIR/all.csv --overwrite")).await;
}

#[tokio::test]
async fn what_was_asked_for_in_part_says_how_to_go_on() {
    let (node, folder) = ward().await;
    let run = async |more: &str| done(folder.path(), &node, &format!("{ACCESS} {more}")).await;
    run("--out DIR/all.csv").await;
    let all = lines(folder.path(), "all.csv");
    let first = run("--limit 75 --out DIR/first.csv").await;
    assert_eq!((&first["complete"], &first["readings"]), (&false.into(), &75.into()));
    assert_eq!(lines(folder.path(), "first.csv"), all[..75]);
    // The second frame is not in it whole, so that what follows begins with it.
    let rest = run(&format!("--after {} --out DIR/rest.csv", first["after"])).await;
    assert_eq!((&rest["complete"], &rest["readings"]), (&true.into(), &550.into()));
    assert_eq!(lines(folder.path(), "rest.csv"), all[50..]);
    let latest = run("--latest 120 --out DIR/latest.csv").await;
    assert_eq!((&latest["complete"], &latest["readings"]), (&false.into(), &120.into()));
    assert_eq!(lines(folder.path(), "latest.csv"), all[480..]);
}

#[tokio::test]
async fn less_than_a_frame_says_what_brings_more() {
    let (node, folder) = ward().await;
    let run = async |more: &str| done(folder.path(), &node, &format!("{ACCESS} {more}")).await;
    let whole = run("--limit 50").await;
    let line = format!("--limit 10 --after {}", whole["after"]);
    let part = run(&line).await;
    assert_eq!((&part["after"], &part["readings"]), (&whole["after"], &10.into()));
    assert!(run("--limit 10").await["after"].is_null());
}

#[tokio::test]
async fn frames_partly_in_the_period_are_told_and_no_success() {
    let (node, folder) = ward().await;
    node.behave(Behaviour { page_frames: Some(5), partly: 2, ..Behaviour::default() });
    let line = format!("{ACCESS} --out DIR/read.csv");
    let read = vitals(folder.path(), &node, &line).await;
    assert_eq!(read.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&read.stdout).unwrap();
    // Two of each of three pages.
    assert_eq!((&report["complete"], &report["readings"]), (&false.into(), &600.into()));
    assert_eq!(report["frames_partly_in_period"], 6);
    let why = report["why_incomplete"].as_str().unwrap();
    assert!(why.contains("6 frames") && why.contains("--data-from"), "{why}");
    assert!(report["after"].is_null() && !folder.path().join("read.csv").exists());
    // What came is not written over unasked either.
    let asked = node.log().shown.len();
    let again = vitals(folder.path(), &node, &line).await;
    assert_eq!((again.status.code(), node.log().shown.len()), (Some(2), asked));
    assert!(String::from_utf8_lossy(&again.stderr).contains("read.csv.part"));
}

#[tokio::test]
async fn a_busy_node_is_asked_again_for_its_decision() {
    let (node, folder) = ward().await;
    node.behave(Behaviour { busy_accesses: 1, ..Behaviour::default() });
    let read = done(folder.path(), &node, ACCESS).await;
    assert_eq!((&read["complete"], &read["claims"]), (&true.into(), &1.into()));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_no_success_and_no_whole_file() {
    let (node, folder) = ward().await;
    let reject_request = Some(RejectCode::NotPermitted);
    node.behave(Behaviour { page_frames: Some(5), reject_request, ..Behaviour::default() });
    let line = format!("{ACCESS} --out DIR/read.csv");
    let cut = vitals(folder.path(), &node, &line).await;
    assert_eq!(cut.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&cut.stdout).unwrap();
    assert_eq!((&report["complete"], &report["readings"]), (&false.into(), &250.into()));
    assert!(report["why_incomplete"].as_str().unwrap().contains("consent ended"), "{report}");
    assert!(report["after"].is_u64() && report["last_reading"].is_string(), "{report}");
    assert!(!folder.path().join("read.csv").exists());
    assert_eq!(lines(folder.path(), "read.csv.part").len(), 250);
}

/// The window of the claim ends behind the first page.
fn window_ends() -> Behaviour {
    let reject_page = Some(RejectCode::Validity);
    Behaviour { page_frames: Some(5), reject_page, ..Behaviour::default() }
}

#[tokio::test]
async fn a_window_that_ends_between_two_pages_costs_a_further_claim() {
    let (node, folder) = ward().await;
    node.behave(window_ends());
    let read = done(folder.path(), &node, &format!("{ACCESS} --out DIR/all.csv")).await;
    assert_eq!(node.log().behaviour.reject_page, None, "it was asked for");
    assert_eq!((&read["complete"], &read["readings"]), (&true.into(), &600.into()));
    assert_eq!((&read["frames"], &read["claims"]), (&12.into(), &2.into()));
    let receipts = read["receipts"].as_array().unwrap();
    assert!(receipts.len() == 2 && receipts[0] != receipts[1] && receipts[0] == read["receipt"]);
    assert_eq!(lines(folder.path(), "all.csv").len(), 600);
}

#[tokio::test]
async fn glass_is_not_broken_a_second_time_for_the_rest() {
    let (node, folder) = ward().await;
    node.behave(window_ends());
    let line = format!("{ACCESS} --break-glass --reason unconscious --out DIR/read.csv");
    let cut = vitals(folder.path(), &node, &line).await;
    assert_eq!(cut.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&cut.stdout).unwrap();
    assert_eq!((&report["complete"], &report["readings"]), (&false.into(), &250.into()));
    assert_eq!((&report["claims"], &report["permitted"]), (&1.into(), &true.into()));
    let why = report["why_incomplete"].as_str().unwrap();
    assert!(why.contains("glass is broken once for one request"), "{why}");
    assert!(report["after"].is_u64(), "{report}");
    assert!(!folder.path().join("read.csv").exists());
    assert_eq!(lines(folder.path(), "read.csv.part").len(), 250);
}

#[tokio::test]
async fn what_was_read_is_streamed_again_as_it_lies() {
    let (node, folder) = ward().await;
    let rows = "2026-05-01T08:30:00.000250Z,71.5\n2026-05-01T08:30:01Z,off\n\
                2026-05-01T08:30:02Z,72\n";
    std::fs::write(folder.path().join("own.csv"), format!("time,value\n{rows}")).unwrap();
    stream(folder.path(), &node, "DIR/own.csv").await;
    done(folder.path(), &node, &format!("{ACCESS} --out DIR/read.csv")).await;
    let read = std::fs::read_to_string(folder.path().join("read.csv")).unwrap();
    assert!(read.contains("T08:30:00.000250Z,71.5,/min\n"), "{read}");
    assert!(read.contains("T08:30:01.000Z,off,/min\n"), "{read}");

    let other = Node::start(Behaviour::default());
    let there = folder_with_identities(&other);
    for name in ["read.csv", "dr.key"] {
        std::fs::copy(folder.path().join(name), there.path().join(name)).unwrap();
    }
    stream(there.path(), &other, "DIR/read.csv").await;
    done(there.path(), &other, &format!("{ACCESS} --out DIR/again.csv")).await;
    let again = std::fs::read_to_string(there.path().join("again.csv")).unwrap();
    assert!(again == read, "the same readings");
}
