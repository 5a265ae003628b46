//! What is wrong is said, with the exit code that means it.

use std::path::Path;
use std::process::{Command, Output};

use files::Audience;
use loadgen::scenario::SHIPPED;
use model::ExitCode;

use crate::node::{Behaviour, Node};

fn loadgen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).output().expect("it runs")
}

fn check(args: &[&str], code: ExitCode, says: &str) {
    let output = loadgen(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(code.number())), "{args:?}: {error}");
    assert!(error.contains(says), "{args:?}: expected `{says}` in: {error}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

const LINE: &str = r#"{"identity":"gw","device":"monitor-1","patient":7,"signal":"ecg"}"#;

#[test]
fn help_teaches_every_command() {
    let output = loadgen(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for word in ["run", "scenario", "idle", "verify", "Exit codes", "--ledger", "receipt"] {
        assert!(help.contains(word), "expected `{word}` in: {help}");
    }
    let run = loadgen(&["run", "--help"]);
    assert!(String::from_utf8_lossy(&run.stdout).contains("open loop"));
    assert_eq!(help.matches("Exit codes").count(), 1);
}

#[test]
fn the_first_lines_of_help_say_what_for_for_whom_and_how_to_begin() {
    let help = |args: &[&str]| String::from_utf8(loadgen(args).stdout).expect("text");
    for flag in ["-h", "--help"] {
        let whole = help(&[flag]);
        let first: Vec<_> = whole.lines().take(4).collect();
        assert!(first[0].starts_with("Streams real recordings to a node"), "{whole}");
        assert!(first[1].contains("for whoever runs a node, or changes one"), "{whole}");
        assert!(first[2].starts_with("  loadgen run") && first[3].starts_with("  loadgen verify"));
    }
    for command in ["run", "scenario", "idle", "verify"] {
        let (short, long) = (help(&[command, "-h"]), help(&[command, "--help"]));
        assert_eq!(short.lines().next(), long.lines().next());
        assert!(long.contains("\n\nFor ") && !short.contains("\n\nFor "), "{long}");
        assert!(long.contains(&format!("\n  loadgen {command} ")), "{long}");
        assert!(!long.contains("Exit codes"), "{long}");
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    check(&["run"], ExitCode::Usage, "--assignments");
    check(&["run", "--assignments", "a", "--rate", "fast"], ExitCode::Usage, "250k or 4M");
    check(&["run", "--assignments", "a", "--duration", "10"], ExitCode::Usage, "500ms, 10s");
    check(&["run", "--assignments", "a", "--node", "nowhere"], ExitCode::Usage, "--node");
    check(&["verify", "--ledger", "a"], ExitCode::Usage, "--identity");
    check(&["idle", "--identity", "a"], ExitCode::Usage, "--connections");
}

#[test]
fn scenarios_that_ship_are_listed_and_printed_and_others_are_named() {
    let text = |args: &[&str]| String::from_utf8(loadgen(args).stdout).expect("text");
    let list = text(&["scenario", "--list"]);
    let names: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, SHIPPED.map(|one| one.name));
    for one in SHIPPED {
        assert_eq!(text(&["scenario", one.name, "--print"]), one.text);
    }
    check(&["scenario"], ExitCode::Usage, "--assignments");
    check(&["scenario", "nowhere", "--print"], ExitCode::Usage, "hostile-mix, reconnect-storm");
    let unknown = ["scenario", "nowhere", "--assignments", "a"];
    check(&unknown, ExitCode::Usage, "hostile-mix, reconnect-storm");
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    check(&["run", "--assignments", text(&missing)], ExitCode::Usage, "missing");
    let file = folder.path().join("assignments.json");
    std::fs::write(&file, "{}\n").expect("written");
    check(&["run", "--assignments", text(&file)], ExitCode::Usage, "line 1: expected");
    std::fs::write(&file, LINE).expect("written");
    // Before anything is sent or made: the report says which deployment was measured.
    let new = folder.path().join("ledger");
    let run = ["run", "--assignments", text(&file), "--ledger", text(&new)];
    check(&run, ExitCode::Usage, "gw/deployment.json");
    assert!(!new.exists());
    let identity = folder.path().join("gw");
    // The node is there for its authority only: it issues the identity.
    Node::start(Behaviour::default()).write_identity(&identity, "gateway", "gw");
    let readings = ["run", "--assignments", text(&file), "--frame-readings", "4095"];
    check(&readings, ExitCode::Usage, "from 1 to 4094, found 4095");
    let authority = identity.join("ca.pem");
    let kept = std::fs::read(&authority).expect("readable");
    std::fs::remove_file(&authority).expect("removed");
    check(&["run", "--assignments", text(&file)], ExitCode::Usage, "gw/ca.pem");
    files::create(&authority, &kept, Audience::Owner).expect("written");
    let page = missing.join("a.html");
    let nowhere = ["run", "--assignments", text(&file), "--html", text(&page)];
    check(&nowhere, ExitCode::Usage, "missing/a.html");
    let there = ["run", "--assignments", text(&file), "--html", text(&file)];
    check(&there, ExitCode::Usage, "--overwrite");
    let ledger = ["run", "--assignments", text(&file), "--ledger", text(&file)];
    check(&ledger, ExitCode::Usage, "expected to make the new file");
}

#[tokio::test]
async fn a_ledger_without_frames_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ledger, identity) = (folder.path().join("ledger"), folder.path().join("gw"));
    Node::start(Behaviour::default()).write_identity(&identity, "gateway", "gw");
    files::create(&ledger, b"", Audience::Owner).expect("written");
    let args = ["verify", "--ledger", text(&ledger), "--identity", text(&identity)];
    check(&args, ExitCode::Usage, "expected acknowledged frames");
}
