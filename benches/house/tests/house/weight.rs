//! What a program must not link, how many crates it may cost, and that one build serves all.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo;

/// Crate, crates that must not be among its normal dependencies, most crates in all, itself
/// included. A little above what is: an update may bring one or two, a decision brings more.
const WEIGHTS: &[(&str, &[&str], usize)] = &[
    ("model", &["serde", "ark-ff"], 8),
    ("charts", &["model", "tokio"], 1),
    ("files", &["model", "tokio"], 12),
    ("udp", &["model", "tokio", "quinn"], 5),
    ("page", &["model", "serde", "tokio"], 8),
    ("page-server", &["axum", "redb", "quinn", "revm", "prover"], 285),
    ("bodies", &["redb", "tokio", "quinn"], 70),
    ("machine", &["model", "alloy", "axum"], 45),
    ("world", &["serde", "ark-ff", "tokio"], 18),
    ("tokens", &["statement", "ark-ff", "tokio", "rustls"], 28),
    ("recordings", &["serde", "ark-ff", "tokio"], 14),
    ("bridge", &["statement", "ark-ff", "tokio", "wire"], 23),
    ("hl7", &["statement", "ark-ff", "tokio", "wire"], 25),
    ("fhir", &["tokio", "ark-ff", "quinn", "alloy"], 32),
    ("payloads", &["statement", "ark-ff", "tokio", "wire"], 28),
    ("journal", &["model", "redb", "tokio"], 27),
    ("archive", &["model", "redb", "alloy", "quinn"], 145),
    ("kernel", &["model", "tokio"], 80),
    ("wire", &["statement", "ark-ff", "tokio", "quinn", "alloy"], 44),
    ("statement", &["circuits", "k256", "tokio", "alloy"], 91),
    ("accounting", &["circuits", "k256", "tokio", "alloy"], 101),
    ("extract", &["circuits", "tokio", "alloy", "quinn"], 115),
    ("circuits", &["k256", "tokio", "alloy"], 92),
    ("prover", &["tokio", "quinn", "alloy", "revm", "redb", "axum"], 121),
    ("pcf", &["circuits", "tokio", "jiff", "alloy"], 105),
    ("jobs", &["circuits", "prover", "tokio", "async-nats", "alloy"], 102),
    ("workers", &["sequencer", "quinn", "alloy", "revm", "redb", "axum"], 193),
    // A third of them is of the program `vitals`: the library names none, which a test of it holds.
    ("client", &["alloy", "revm", "redb", "axum", "circuits", "prover"], 178),
    ("loadgen", &["alloy", "revm", "redb", "axum", "circuits", "prover", "sequencer"], 190),
    ("l1-contracts", &["revm", "circuits", "prover", "quinn", "redb"], 281),
    ("devchain", &["statement", "quinn", "redb"], 274),
    ("auditor", &["sequencer", "prover", "circuits", "redb", "revm", "quinn"], 310),
    ("sequencer", &["proptest", "criterion"], 424),
];

/// Crates that nobody may link: one crypto provider, and no foreign TLS stack.
const NOWHERE: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls"];

/// Selections of programs that must not build a third-party crate anew after the tests.
const PROGRAMS: &[&[&str]] = &[
    &["-p", "sequencer"],
    &[
        "-p",
        "sequencer",
        "-p",
        "auditor",
        "-p",
        "prover",
        "-p",
        "workers",
        "-p",
        "client",
        "-p",
        "loadgen",
    ],
];

#[test]
fn every_crate_stays_as_light_as_it_is() {
    let mut wrong = Vec::new();
    for (program, forbidden, most) in WEIGHTS {
        let linked = linked(&["-e", "normal", "-p", program]);
        for crate_name in forbidden.iter().filter(|name| linked.contains(**name)) {
            wrong.push(format!("{program} links {crate_name}"));
        }
        let found = linked.len();
        if found > *most {
            wrong.push(format!("{program}: expected at most {most} crates, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_is_one_crypto_provider() {
    let linked = linked(&["--workspace", "-e", "normal,build,dev"]);
    assert!(linked.contains("aws-lc-rs"), "expected the provider that is linked");
    let found: Vec<_> = NOWHERE.iter().filter(|name| linked.contains(**name)).collect();
    assert!(found.is_empty(), "some member, or a test of one, links {found:?}");
}

#[test]
fn programs_share_the_build_of_the_tests() {
    let tests = features(&["--workspace", "-e", "normal,build,dev"]);
    let mut wrong = Vec::new();
    for selection in PROGRAMS {
        for (name, sets) in features(&[selection, &["-e", "normal,build"] as &[_]].concat()) {
            for set in sets.difference(&tests[&name]) {
                let built = &tests[&name];
                wrong.push(format!("{name} of {selection:?}: [{set}], in the tests {built:?}"));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected crates with the features the tests have:\n{wrong}");
}

/// Names of the crates that a selection links on this target, itself included.
fn linked(selection: &[&str]) -> BTreeSet<String> {
    let lines = cargo::tree(selection);
    lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Crates with version, and the sets of features that they are built with.
fn features(args: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for line in cargo::tree(&[args, &["-f", "{p}|{f}"]].concat()) {
        let (name, set) = line.split_once('|').expect("the format asked for");
        let name = name.trim_end_matches(" (proc-macro)").to_owned();
        found.entry(name).or_default().insert(set.to_owned());
    }
    found
}
