//! What a gateway compiles: no node, prover, EVM, database or chain library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates of the normal dependency tree; a new dependency has to raise this where all see it.
const CRATES_MAX: usize = 178;

/// What the program `vitals` alone needs, some 45 crates with what they bring: bridges, exports,
/// pages and a command line. One package has both: whoever takes the library compiles them, and
/// links none. With features of their own the tests of a workspace and the build of one program
/// would each compile the same crates; a package of its own for the program would be the way.
const OF_THE_PROGRAM: &[&str] = &[
    "accounting",
    "anyhow",
    "bridge",
    "clap",
    "extract",
    "fhir",
    "hl7",
    "page",
    "payloads",
    "pcf",
    "recordings",
    "rumqttc",
    "tokens",
    "tokio_rustls",
];

#[test]
fn the_library_names_nothing_that_its_program_alone_needs() {
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut read, mut wrong) = (0, Vec::new());
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path: PathBuf = entry.expect("listed").path();
            if path.is_dir() && !path.ends_with("src/bin") {
                waiting.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                read += 1;
                let text = std::fs::read_to_string(&path).expect("a source");
                let words: BTreeSet<_> = names_of_paths(&text).collect();
                let named = OF_THE_PROGRAM.iter().filter(|name| words.contains(**name));
                wrong.extend(named.map(|name| format!("{}: {name}", path.display())));
            }
        }
    }
    assert!(read > 20, "the library's files: {read}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The words that paths begin with: `hl7` of `hl7::read`, and not of `crate::hl7::read`.
fn names_of_paths(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    parts.filter_map(|part| part.split_once("::")).map(|(first, _)| first)
}

#[test]
fn a_client_compiles_without_node_prover_chain_and_database() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", "client", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("names");
    let crates: BTreeSet<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("client") && crates.contains("wire"), "{crates:?}");
    for heavy in [
        "alloy",
        "alloy-primitives",
        "redb",
        "revm",
        "axum",
        "reqwest",
        "hyper",
        "ring",
        "rcgen",
        "circuits",
        "prover",
        "journal",
        "sequencer",
        "l1-contracts",
        "devchain",
    ] {
        assert!(!crates.contains(heavy), "a client would compile {heavy}");
    }
    assert!(
        crates.len() <= CRATES_MAX,
        "expected at most {CRATES_MAX} crates, found {}",
        crates.len()
    );
}
