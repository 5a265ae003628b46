//! A journal of the version before, in one file: refused with the command that moves it.

use std::process::{Command, Output};

use journal::fault;
use model::with_causes;
use sequencer::stages::ledger::Answer;

use crate::support::{Site, check_settled, close_and_settle};

fn convert(site: &Site) -> Output {
    let dir = site.layout.folder().display().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    program.args(["journal", "convert", "--dir", &dir]).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_one_file_is_moved_by_command_and_gone_on_with() {
    let site = Site::new().await;
    let mut desk = site.desk();
    (1..=3).for_each(|sequence| drop(desk.submit(site.frame(sequence))));
    drop(desk);
    // As the version before would have written it.
    let (new, old) = (site.journal_file(), site.layout.old_journal());
    let bytes = fault::as_one_file(&std::fs::read(&new).unwrap());
    files::replace(&old, &[&bytes], files::Audience::Owner).unwrap();

    // Beside a journal of this version it is one of two, and nobody here knows which.
    check(&convert(&site), 1, "expected one journal");
    std::fs::remove_dir_all(site.layout.journal()).unwrap();
    let refused = with_causes(&site.start_error().await);
    assert!(refused.contains("sequencer journal convert --dir"), "{refused}");
    assert_eq!(std::fs::read(&old).unwrap(), bytes, "left as it is");
    let running = files::open_locked(&old, files::Audience::Owner).unwrap().unwrap();
    check(&convert(&site), 3, "stop it first");
    drop(running);

    check(&convert(&site), 0, "00000001.log");
    assert!(!old.exists());
    assert_eq!(std::fs::read(&new).unwrap(), bytes);
    check(&convert(&site), 0, "nothing to convert");
    let (node, edge) = site.start().await;
    assert!(matches!(node.submit(site.frame(3)).await.unwrap(), Answer::FrameDuplicate { .. }));
    assert!(matches!(node.submit(site.frame(4)).await.unwrap(), Answer::FrameStored));
    assert_eq!(close_and_settle(&node).await, 1);
    check_settled(&edge, node.store(), 1).await;
    node.stop().await.unwrap();
    assert!(std::fs::read(&new).unwrap().starts_with(&bytes[..bytes.len() - 8]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_one_file_that_was_never_begun_gives_way() {
    let site = Site::new().await;
    std::fs::remove_dir_all(site.layout.journal()).unwrap();
    let old = site.layout.old_journal();
    files::replace(&old, &[b"VITALLOG"], files::Audience::Owner).unwrap();
    check(&convert(&site), 0, "is now");
    assert!(!old.exists());
    files::replace(&old, &[b"something else"], files::Audience::Owner).unwrap();
    check(&convert(&site), 1, "not a log");
    assert!(old.exists());
}
