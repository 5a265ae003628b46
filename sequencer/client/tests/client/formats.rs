//! The page of formats: its files and commands are run as they stand there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::blocks::{Block, blocks};

/// What a command of the page says, with the options that the page leaves out.
fn say(folder: &Path, command: &str) -> String {
    let words: Vec<_> = command.split_whitespace().collect();
    let (program, arguments) = words.split_first().expect("a command");
    assert_eq!(*program, "vitals");
    let mut vitals = Command::new(env!("CARGO_BIN_EXE_vitals"));
    vitals.current_dir(folder).args(arguments);
    if arguments[0] == "stream" {
        vitals.args(["--identity", "gateway"]);
    }
    let output = vitals.output().expect("vitals runs");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
}

#[test]
fn every_example_of_the_page_runs_as_it_is_shown() {
    let member = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(member.join("docs/formats.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut commands = 0;
    for Block { info, text } in blocks(&page) {
        for word in info.split_whitespace() {
            if let Some(name) = word.strip_prefix("file=") {
                std::fs::write(folder.path().join(name), &text).unwrap();
            }
            if let Some(from) = word.strip_prefix("from=") {
                let source = member.join("../..").join(from);
                let name = source.file_name().expect("a file").to_owned();
                std::fs::copy(&source, folder.path().join(name)).unwrap();
            }
        }
        if !info.starts_with("console") {
            continue;
        }
        for example in text.split("$ ").filter(|example| !example.is_empty()) {
            let (command, expected) = example.split_once('\n').expect("a line of its own");
            assert_eq!(say(folder.path(), command), expected, "{command}");
            commands += 1;
        }
    }
    assert!(commands > 15, "the page is read: {commands}");
}
