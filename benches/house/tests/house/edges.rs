//! The crate edges: one table, compared with what cargo reads from the manifests.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo;

/// Layers from the ground up. A crate uses crates of lower layers only; its tests may also use a
/// crate of its own layer that stands before it.
const LAYERS: &[(&str, &[Row])] = &[
    (
        "vocabulary",
        &[
            ("model", &[], &[]),
            ("charts", &[], &[]),
            ("files", &[], &[]),
            ("machine", &[], &[]),
            ("page", &[], &[]),
            ("udp", &[], &[]),
        ],
    ),
    ("statement", &[("recordings", &["model"], &[]), ("statement", &["model"], &[])]),
    (
        "proofs",
        &[
            ("bodies", &["files", "model"], &[]),
            ("bridge", &["model", "recordings"], &[]),
            ("circuits", &["model", "statement"], &[]),
            ("l1-contracts", &["files", "model", "statement"], &[]),
            ("journal", &["files"], &[]),
            ("kernel", &[], &[]),
            ("pcf", &["model", "statement"], &[]),
            ("tokens", &["model"], &[]),
            ("wire", &["model"], &[]),
            ("world", &["model"], &[]),
        ],
    ),
    ("accounts", &[("accounting", &["model", "statement", "wire"], &[])]),
    (
        "edges",
        &[
            ("prover", &["circuits", "files", "kernel", "statement"], &[]),
            ("archive", &["files", "journal"], &[]),
            ("jobs", &["files", "statement"], &[]),
            ("devchain", &["files"], &[]),
            ("extract", &["accounting", "bridge", "model", "pcf", "statement", "wire"], &[]),
            ("fhir", &["bridge", "model", "recordings"], &[]),
            ("page-server", &["l1-contracts", "model", "page"], &[]),
            ("hl7", &["bridge", "model", "recordings"], &[]),
            ("payloads", &["bridge", "model", "recordings"], &[]),
        ],
    ),
    (
        "carriers",
        &[
            ("workers", &["circuits", "files", "jobs", "model", "prover"], &["statement"]),
            ("client", CLIENT, &[]),
        ],
    ),
    (
        "programs",
        &[
            ("auditor", AUDITOR, AUDITOR_TESTS),
            ("sequencer", SEQUENCER, &["auditor"]),
            ("loadgen", &["charts", "client", "files", "model", "wire", "world"], &[]),
        ],
    ),
];

/// Above all layers: they may use every crate and are in no row, so that nobody may use them.
const OBSERVERS: &[&str] = &["benches", "hostile", "house", "sim"];

/// Crate, own crates that it uses, and own crates that its tests and benches use besides.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Gateways, wallets and readers: nothing of the node, the prover or the chain.
const CLIENT: &[&str] = &[
    "accounting",
    "bridge",
    "extract",
    "fhir",
    "files",
    "hl7",
    "machine",
    "model",
    "page",
    "pcf",
    "payloads",
    "recordings",
    "statement",
    "tokens",
    "udp",
    "wire",
];

/// The auditor reads chain and files, and nothing of the node.
const AUDITOR: &[&str] = &[
    "accounting",
    "extract",
    "files",
    "l1-contracts",
    "model",
    "page-server",
    "statement",
    "wire",
];

/// The auditor's tests make batches with real proofs on a chain in process, and show each tampered
/// file to the patient's program, too.
const AUDITOR_TESTS: &[&str] = &["circuits", "client", "devchain", "prover"];

/// The node is the composition root: it knows everyone but the other programs.
const SEQUENCER: &[&str] = &[
    "accounting",
    "archive",
    "bodies",
    "charts",
    "circuits",
    "client",
    "devchain",
    "files",
    "jobs",
    "journal",
    "l1-contracts",
    "machine",
    "model",
    "page-server",
    "pcf",
    "prover",
    "statement",
    "tokens",
    "udp",
    "wire",
    "workers",
    "world",
];

#[test]
fn crates_have_the_edges_of_the_table() {
    let members = cargo::members();
    let own: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut rows: BTreeMap<_, _> = rows().map(|(_, row)| (row.0, row)).collect();
    let mut wrong = Vec::new();
    for member in members.iter().filter(|member| !OBSERVERS.contains(&member.name.as_str())) {
        let name = member.name.as_str();
        let Some((_, uses, tests)) = rows.remove(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for (in_tests, row) in [(false, uses), (true, tests)] {
            let used = member.dependencies.iter().filter(|(_, dev)| *dev == in_tests);
            let found: BTreeSet<_> = used.map(|(used, _)| used.as_str()).collect();
            let found: BTreeSet<_> = found.intersection(&own).copied().collect();
            let expected: BTreeSet<_> = row.iter().copied().collect();
            if found != expected {
                let of = if in_tests { "tests of " } else { "" };
                wrong.push(format!("{of}{name}: expected {expected:?}, found {found:?}"));
            }
        }
    }
    wrong.extend(rows.keys().map(|name| format!("{name} is in the table and nowhere else")));
    assert!(wrong.is_empty(), "edges between own crates:\n{}", wrong.join("\n"));
}

#[test]
fn no_edge_of_the_table_points_upwards() {
    let layer: BTreeMap<_, _> = rows().map(|(layer, row)| (row.0, layer)).collect();
    let place: BTreeMap<_, _> = rows().enumerate().map(|(at, (_, row))| (row.0, at)).collect();
    for (own, (name, uses, tests)) in rows() {
        for used in uses {
            let found = layer.get(used);
            assert!(found.is_some_and(|found| *found < own), "{name} -> {used} points upwards");
        }
        for used in tests {
            let found = place.get(used);
            let before = found.is_some_and(|found| *found < place[name]);
            assert!(before, "tests of {name} -> {used} points upwards");
        }
    }
}

/// Every row with the number of its layer.
fn rows() -> impl Iterator<Item = (usize, Row)> {
    LAYERS.iter().enumerate().flat_map(|(at, (_, rows))| rows.iter().map(move |row| (at, *row)))
}
