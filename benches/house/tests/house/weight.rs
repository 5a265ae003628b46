//! What client and auditor must not link, and how many crates they may cost.

use std::collections::BTreeSet;
use std::process::Command;

/// Program, crates that must not be among its normal dependencies, most crates in all.
const WEIGHTS: &[(&str, &[&str], usize)] = &[
    ("client", &["alloy", "revm", "redb", "axum", "circuits", "prover"], 190),
    ("auditor", &["sequencer", "prover", "circuits", "redb", "revm", "quinn", "wire"], 330),
    ("wire", &["tokio", "quinn", "alloy"], 110),
];

/// Crates that nobody may link: one crypto provider, and no foreign TLS stack.
const NOWHERE: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls"];

#[test]
fn client_and_auditor_stay_light() {
    for (program, forbidden, most) in WEIGHTS {
        let linked = linked(program);
        for crate_name in *forbidden {
            assert!(!linked.contains(*crate_name), "{program} links {crate_name}");
        }
        let found = linked.len();
        assert!(found <= *most, "{program}: expected at most {most} crates, found {found}");
    }
}

#[test]
fn there_is_one_crypto_provider() {
    for program in ["sequencer", "loadgen", "auditor", "client"] {
        let linked = linked(program);
        for crate_name in NOWHERE {
            assert!(!linked.contains(*crate_name), "{program} links {crate_name}");
        }
    }
}

/// Names of the crates that `package` links on this target, itself included.
fn linked(package: &str) -> BTreeSet<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let args = ["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "-p", package];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root).output();
    let output = output.expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
