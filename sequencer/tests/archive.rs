//! `sequencer archive` and what other commands say of a journal whose first files are there.

use std::path::PathBuf;
use std::process::{Command, Output};

use journal::FileName;
use serde_json::Value;

use crate::support::Site;

fn sequencer(args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    // What the machine itself may have of an account.
    let program = program.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    program.args(args).output().unwrap()
}

#[track_caller]
fn object(output: &Output, code: i32) -> Value {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::String(said))
}

/// A stopped node with three sealed files, which is to archive to a folder beside it.
async fn site() -> Site {
    let mut site = Site::new().await;
    let mut desk = site.desk();
    for sequence in 1..=55 {
        desk.submit(site.large_frame(sequence));
    }
    drop(desk);
    site.config.archive.url = format!("file://{}", site.beside("archive").display());
    write_config(&site);
    // As a node leaves it: with indexes.
    site.open_log().0.make_ahead().unwrap();
    site
}

fn write_config(site: &Site) {
    let text = site.config.to_toml();
    files::replace(&site.layout.config(), &[text.as_bytes()], files::Audience::Owner).unwrap();
}

fn log_file(site: &Site, number: u64) -> PathBuf {
    site.layout.journal().join(FileName::Log(number).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_nodes_files_are_pushed_verified_and_fetched_by_command() {
    let site = site().await;
    let dir = site.layout.folder().display().to_string();
    let archive =
        |more: &[&str]| sequencer(&[&["archive"], more, &["--json", "--dir", &dir]].concat());
    let status = object(&archive(&["status"]), 0);
    assert_eq!((&status["files"], &status["waiting"]), (&0.into(), &3.into()), "{status}");
    assert_eq!(object(&archive(&["push"]), 0)["files"], 3);
    assert_eq!(object(&archive(&["push"]), 0)["files"], 0, "nothing waits");
    let status = object(&archive(&["status"]), 0);
    assert_eq!((&status["files"], &status["waiting"]), (&3.into(), &0.into()), "{status}");
    assert_eq!(object(&archive(&["verify"]), 0)["wrong"], 0);

    let to = site.beside("fetched");
    let to_text = to.display().to_string();
    let fetched = object(&archive(&["fetch", "--to", &to_text, "--file", "2"]), 0);
    assert_eq!(fetched["files"].as_array().unwrap().len(), 1);
    let whole = std::fs::read(log_file(&site, 2)).unwrap();
    assert!(std::fs::read(to.join("00000002.log")).unwrap() == whole);
    // What is there stays, and what is not archived is said.
    assert_eq!(
        object(&archive(&["fetch", "--to", &to_text]), 0)["files"].as_array().unwrap().len(),
        2
    );
    let error = object(&archive(&["fetch", "--to", &to_text, "--file", "4"]), 2);
    assert!(error.as_str().unwrap().contains("00000004.log"), "{error}");

    let name = format!("archive/journal/{}.log", blake3::hash(&whole).to_hex());
    let object_file = site.beside(&name);
    let mut changed = whole.clone();
    changed[9_000] ^= 1;
    std::fs::write(&object_file, &changed).unwrap();
    let output = archive(&["verify"]);
    let found = object(&output, 1);
    assert_eq!(found["wrong"], 1, "{found}");
    assert!(found["findings"][0]["why"].as_str().unwrap().contains("others"), "{found}");
    std::fs::remove_file(to.join("00000002.log")).unwrap();
    object(&archive(&["fetch", "--to", &to_text, "--file", "2"]), 1);
    assert!(!to.join("00000002.log").exists(), "half a file is none");
    let journal = site.layout.journal().display().to_string();
    let error = object(&archive(&["fetch", "--to", &journal]), 2);
    assert!(error.as_str().unwrap().contains("leave --to out"), "{error}");
    // Emptied, or another disk in its place: what was archived before is missed.
    std::fs::remove_dir_all(site.beside("archive")).unwrap();
    for command in ["verify", "push"] {
        let error = object(&archive(&[command]), 1);
        assert!(error.as_str().unwrap().contains("reach manifest 1"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_an_inspection_and_a_backup_know_what_is_in_the_archive_alone() {
    let mut site = site().await;
    let dir = site.layout.folder().display().to_string();
    object(&sequencer(&["archive", "push", "--json", "--dir", &dir]), 0);
    let (log, _) = site.open_log();
    let mut names = Vec::new();
    for file in [1, 2] {
        let digest = *blake3::hash(&std::fs::read(log_file(&site, file)).unwrap()).as_bytes();
        log.reader().put_away(file, &digest).unwrap();
        names.push(format!("journal/{}.log", hex::encode(digest)));
    }
    let head = log.head();
    drop(log);
    let status = object(&sequencer(&["archive", "status", "--json", "--dir", &dir]), 0);
    assert_eq!((&status["here"], &status["there_alone"]), (&1.into(), &2.into()), "{status}");
    // Without a witness beside it, which no node has written yet: 5.
    let checked = sequencer(&["journal", "check", "--dir", &dir]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains(&format!("head: group {}", head.group)), "{said}");
    let inspected = object(&sequencer(&["journal", "inspect", "--json", "--dir", &dir]), 0);
    assert_eq!(inspected["files"].as_array().unwrap().len() as u64, head.file);
    // A plan goes through all of it, too, and finds no window to plan with.
    let said = object(&sequencer(&["plan", "--journal", &dir]), 3).to_string();
    assert!(said.contains(&format!("found {} entries and no close", head.position)), "{said}");

    let backup = site.beside("backup").display().to_string();
    let taken = object(&sequencer(&["backup", &backup, "--json", "--dir", &dir, "--rate", "0"]), 0);
    let relies_on = taken["relies_on"].as_array().unwrap();
    assert_eq!(relies_on.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>(), names);

    assert!(!site.beside("backup/node/archived").exists());
    // A backup asks nothing of the archive, and has no need of what opens it.
    let place = std::mem::replace(&mut site.config.archive.url, "s3://vitals/ward".into());
    write_config(&site);
    let backup = site.beside("second").display().to_string();
    object(&sequencer(&["backup", &backup, "--json", "--dir", &dir, "--rate", "0"]), 0);
    let checked = sequencer(&["journal", "check", "--dir", &dir]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("AWS_ACCESS_KEY_ID") && said.contains("00000001.log"), "{said}");
    site.config.archive.url = place;
    write_config(&site);
    // Back again, and nothing but what was put away.
    let fetched = object(&sequencer(&["archive", "fetch", "--json", "--dir", &dir]), 0);
    assert_eq!(fetched["files"].as_array().unwrap().len(), 2);
    let status = object(&sequencer(&["archive", "status", "--json", "--dir", &dir]), 0);
    assert_eq!((&status["here"], &status["there_alone"]), (&3.into(), &0.into()), "{status}");
    for file in [1, 2] {
        std::fs::remove_file(log_file(&site, file)).unwrap();
    }

    site.config.archive.url = "off".into();
    write_config(&site);
    let checked = sequencer(&["journal", "check", "--dir", &dir]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("00000001.log is in the archive"), "{said}");
    let said = object(&sequencer(&["plan", "--journal", &dir]), 1).to_string();
    assert!(said.contains("00000001.log is in the archive"), "{said}");
    let error = object(&sequencer(&["archive", "status", "--json", "--dir", &dir]), 2);
    assert!(error.as_str().unwrap().contains("`[archive] url`"), "{error}");
}
