//! What a gateway compiles: no node, prover, EVM, database or chain library.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates of the normal dependency tree; a new dependency has to raise this where all see it.
const CRATES_MAX: usize = 178;

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
