//! What `sequencer journal inspect` says of journals: of a node that runs, of one that is stopped,
//! of a damaged one.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Site, stream_key};

fn inspect(site: &Site, more: &[&str]) -> Output {
    let dir = site.layout.folder().display().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    program.args(["journal", "inspect", "--dir", &dir]).args(more).output().unwrap()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[track_caller]
fn object(output: &Output) -> Value {
    said(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_is_told_while_it_grows_and_nobody_in_it_by_name() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    drop(edge);
    let load = async {
        let mut sequence = 1;
        loop {
            node.submit(site.frame(sequence)).await.unwrap();
            sequence += 1;
        }
    };
    let asked = async {
        let dir = site.layout.folder().display().to_string();
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sequencer"));
        program.args(["journal", "inspect", "--json", "--dir", &dir]).output().await.unwrap()
    };
    let output = tokio::select! {
        () = load => unreachable!("it never ends"),
        output = asked => output,
    };
    let grown = object(&output);
    assert_eq!(grown["schema"], "vitals-journal-1");
    // However much was written while it was read.
    assert_eq!(grown["torn_bytes"], 0);
    node.stop().await.unwrap();

    let all = object(&inspect(&site, &["--json"]));
    let frames = all["kinds"]["Frame"]["entries"].as_u64().unwrap();
    assert!(frames > 0 && frames >= grown["kinds"]["Frame"]["entries"].as_u64().unwrap_or(0));
    assert_eq!(all["codecs"]["raw"]["frames"], frames);
    assert_eq!(all["readings"], frames, "one reading a frame");
    assert!(all["bytes_per_reading"].as_f64().unwrap() > 16.0);
    let (log, recovery) = site.open_log();
    let file = &all["files"][0];
    assert_eq!((&file["number"], &file["sealed"]), (&1.into(), &false.into()));
    assert_eq!(file["groups"], recovery.groups);
    assert_eq!(file["entries"], recovery.entries);
    assert_eq!(file["bytes"], log.head().end - 128, "behind the file's header");
    let last = log.head();
    drop(log);
    let group = object(&inspect(&site, &["--json", "--group", &last.group.to_string()]));
    assert_eq!(group["journal_hash"], hex::encode(last.journal_hash));
    assert_eq!(group["last"], last.position);

    let names = [stream_key().device.to_string(), stream_key().patient.get().to_string()];
    let position = last.position.to_string();
    let hidden = said(&inspect(&site, &["--position", &position]), 0);
    assert!(hidden.contains(", Frame") && hidden.contains("sequence"), "{hidden}");
    let all = said(&inspect(&site, &[]), 0);
    for text in [&hidden, &all] {
        assert!(names.iter().all(|name| !text.contains(name.as_str())), "{text}");
    }
    let shown = said(&inspect(&site, &["--position", &position, "--bodies"]), 0);
    assert!(names.iter().all(|name| shown.contains(name.as_str())), "{shown}");
    // The keys of readings are not asked for: who looks into a journal reads no vital sign.
    assert!(shown.contains("1, sealed") && !shown.contains("72 at"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_of_a_journal_is_explained_without_names() {
    let site = Site::new().await;
    let (log, _) = site.open_log();
    let last = log.head().position;
    drop(log);
    let names = [stream_key().device.to_string(), stream_key().patient.get().to_string()];
    for position in 1..=last {
        let text = said(&inspect(&site, &["--position", &position.to_string()]), 0);
        // Values alone: lengths and offsets are numbers, too.
        let fields =
            text.lines().filter(|line| !line.starts_with("bytes") && !line.contains("offset"));
        for line in fields {
            assert!(names.iter().all(|name| !line.contains(name.as_str())), "{text}");
        }
    }
    assert!(said(&inspect(&site, &["--position", &(last + 1).to_string()]), 3).contains("number"));
    assert!(said(&inspect(&site, &["--bodies"]), 2).contains("--position"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_named_with_its_file_and_offset_and_nothing_is_changed() {
    let site = Site::new().await;
    let path = site.journal_file();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let text = said(&inspect(&site, &[]), 1);
    assert!(text.contains("byte 128") && text.contains("00000001.log"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    std::fs::remove_file(&path).unwrap();
    assert!(said(&inspect(&site, &[]), 3).contains("found none"));
}
