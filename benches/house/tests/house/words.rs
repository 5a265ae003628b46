//! One word, one thing, where a machine can tell (`sequencer/docs/glossary.md`).

use crate::code;
use crate::source::{self, File};

/// Words in code, as a row of tokens, that must not stand anywhere, and what is said instead.
const BANNED: &[(&str, &str)] = &[
    ("enum Kind", "what kind it is: `ClaimKind`, `EntryKind`, `KeyKind`, ..."),
    ("struct Kind", "what kind it is: `ClaimKind`, `EntryKind`, `KeyKind`, ..."),
    ("trait Kind", "what kind it is: `ClaimKind`, `EntryKind`, `KeyKind`, ..."),
    ("struct Rejected", "`Refusal`: the decision not to take an item"),
    ("fn chain error", "`with_causes`: an error has causes, the chain is the base chain"),
    ("chain_hash", "`journal_hash`: the chain is the base chain"),
];

#[test]
fn definitions_use_the_words_of_the_glossary() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        for (n, line) in code::blanked(&file.text).lines().enumerate() {
            let parts = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let words: Vec<_> = parts.filter(|word| !word.is_empty()).collect();
            let line = format!(" {} ", words.join(" "));
            for (text, instead) in BANNED {
                if line.contains(&format!(" {text} ")) {
                    wrong.push(format!("{}:{}: {text}: {instead}", file.path, n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "expected other words:\n{}", wrong.join("\n"));
}

/// Keys of patients and practitioners live in the crate `client`; the demo alone plays their part.
#[test]
fn the_node_names_no_wallet() {
    let is_node = |file: &File| {
        let own = file.path.strip_prefix("/sequencer/src/");
        own.is_some_and(|own| !own.starts_with("demo/") && !own.contains("tests"))
    };
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]).into_iter().filter(is_node) {
        let code = code::production(&code::blanked(&file.text));
        for (n, line) in code.lines().enumerate() {
            let uses = line.find("client::").map(|at| line[..at].ends_with(['_', ':']));
            if uses == Some(false) {
                wrong.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "expected no wallet or key of a patient:\n{}", wrong.join("\n"));
}

/// Disks that fail on purpose, keys that follow from a seed, and what sends notices to a test's own
/// machine stand in libraries because tests of several crates and the simulation share them: no
/// program names them.
#[test]
fn no_program_names_a_disk_that_fails_a_key_of_a_seed_or_a_receiver_of_its_own() {
    let is_program = |file: &File| {
        let of_crate = ["/sequencer/src/", "/sequencer/client/", "/loadgen/", "/prover/"];
        let is_test = file.path.contains("tests") || file.path.ends_with("/fault.rs");
        of_crate.iter().any(|of| file.path.starts_with(of)) && !is_test
    };
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]).into_iter().filter(is_program) {
        let code = code::production(&code::blanked(&file.text));
        for (n, line) in code.lines().enumerate() {
            if ["bodies::fault", "journal::fault", "snapshots::fault", "Judged::of"]
                .iter()
                .any(|of| line.contains(of))
            {
                wrong.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "expected no disk, key or receiver of a test:\n{}", wrong.join("\n"));
}
