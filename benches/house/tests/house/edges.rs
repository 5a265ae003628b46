//! The allowed crate edges: one table, compared with `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crate, what it may depend on, and what its tests and benches may depend on besides.
/// Values travel down the list; nobody depends on what stands below.
const EDGES: &[(&str, &[&str], &[&str])] = &[
    ("model", &[], &[]),
    ("statement", &["model"], &[]),
    ("circuits", &["model", "statement"], &[]),
    ("journal", &[], &[]),
    ("wire", &["model", "statement"], &[]),
    ("world", &["model"], &[]),
    ("l1-contracts", &["model", "statement"], &["devchain", "circuits", "prover"]),
    ("prover", &["model", "statement", "circuits"], &[]),
    ("devchain", &[], &[]),
    ("client", &["model", "statement", "wire"], &[]),
    (
        "auditor",
        &["model", "statement", "l1-contracts"],
        &["devchain", "circuits", "prover", "world"],
    ),
    (
        "sequencer",
        &[
            "model",
            "statement",
            "circuits",
            "journal",
            "wire",
            "world",
            "l1-contracts",
            "prover",
            "devchain",
            "client",
        ],
        &[],
    ),
    ("loadgen", &["model", "statement", "wire", "world", "client"], &["sequencer"]),
    (
        "benches",
        &[
            "model",
            "statement",
            "circuits",
            "journal",
            "wire",
            "world",
            "l1-contracts",
            "prover",
            "devchain",
            "client",
            "sequencer",
            "loadgen",
        ],
        &[],
    ),
    ("house", &[], &[]),
];

#[test]
fn crates_depend_only_downwards() {
    let metadata = metadata();
    let own: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|p| p.name.as_str()).collect();
    let table: BTreeMap<_, _> =
        EDGES.iter().map(|(name, use_, test)| (*name, (*use_, *test))).collect();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        let Some((uses, tests)) = table.get(package.name.as_str()) else {
            wrong.push(format!("{} is not in the table of edges", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| own.contains(d.name.as_str())) {
            let name = dependency.name.as_str();
            let in_test = dependency.kind == DependencyKind::Development;
            if !uses.contains(&name) && !(in_test && tests.contains(&name)) {
                wrong.push(format!("{} may not depend on {name}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "expected the edges of the table, found:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_itself_has_no_upward_edge() {
    for (at, (name, uses, _)) in EDGES.iter().enumerate() {
        for used in *uses {
            let found = EDGES.iter().position(|(other, ..)| other == used);
            assert!(found.is_some_and(|found| found < at), "{name} -> {used} points upwards");
        }
    }
}

pub(crate) fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(vec!["--offline".into(), "--locked".into()])
        .exec()
        .expect("cargo metadata of the workspace")
}
