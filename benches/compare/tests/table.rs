//! The program from outside: a small table, and provers that do not do what they should.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the smallest table with a cache in this folder.
fn table(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["prover", "--json", "--sizes", "13", "--rounds", "2", "--cache"])
        .arg(folder.join("cache"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn entries(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["circuits"][0]["entries"].as_array().expect("a list").clone()
}

/// A program that stands for rapidsnark.
fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("made executable");
    path
}

/// The entry of `script` in place of rapidsnark, in a table that is not whole.
fn failure(script: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = program(folder.path(), script);
    let path = path.to_str().expect("a path in UTF-8");
    let output = table(folder.path(), &["--provers", "rapidsnark", "--rapidsnark", path]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let entry = &entries(&output)[0];
    assert_eq!((&entry["prover"], &entry["outcome"]), (&"rapidsnark".into(), &"failed".into()));
    entry["why"].as_str().expect("a reason").to_owned()
}

#[test]
fn an_engine_is_compared_with_ark_and_what_is_not_here_is_skipped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = table(folder.path(), &["--provers", "sketch,ark_groth16,portable"]);
    assert!(output.status.success(), "{output:?}");
    let entries = entries(&output);
    let found: Vec<&Value> = entries.iter().map(|entry| &entry["prover"]).collect();
    assert_eq!(found, ["portable", "products", "ark_groth16", "sketch"]);
    assert!(entries[0]["ratio_vs"]["ark_groth16"].as_f64() > Some(0.0), "{}", entries[0]);
    assert_eq!(entries[2]["rounds_cpu_s"].as_array().map(Vec::len), Some(2));
    assert_eq!(entries[3]["outcome"], "skipped");
    let why = entries[3]["why"].as_str().expect("a reason");
    assert!(why.contains("--sketch"), "{why}");
    let said = String::from_utf8_lossy(&output.stderr);
    let row = said.lines().find(|line| line.starts_with("sketch ")).expect("the table beside it");
    assert!(row.contains(why), "{row}");
}

#[test]
fn a_program_that_ends_with_an_error_is_named_with_its_words() {
    let why = failure("echo no such key >&2; exit 3");
    assert!(why.contains("exit status: 3") && why.contains("no such key"), "{why}");
}

#[test]
fn a_program_that_writes_no_proof_has_failed_whatever_it_ends_with() {
    let why = failure("exit 0");
    assert!(why.contains("no proof"), "{why}");
}

#[test]
fn a_proof_that_does_not_hold_does_not_count() {
    // Three generators: points of a proof, and no proof of anything.
    let g2 = r#"[["10857046999023057135944570762232829481370756359578518086990519993285655852781",
        "11559732032986387107991004021392285783925812861821192530917403151452391805634"],
        ["8495653923123431417604973247489272438418190587263600148770280649306958101930",
        "4082367875863433681332203403145435568316851327593401208105741076214120093531"],
        ["1","0"]]"#;
    let g1 = r#"["1","2","1"]"#;
    let proof =
        format!(r#"{{"pi_a":{g1},"pi_b":{g2},"pi_c":{g1},"protocol":"groth16","curve":"bn128"}}"#);
    let why = failure(&format!("cat > \"$3\" <<'PROOF'\n{proof}\nPROOF"));
    assert!(why.contains("does not hold"), "{why}");
}

#[test]
fn a_cache_that_others_may_open_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = folder.path().join("cache");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("opened");
    let output = table(folder.path(), &["--provers", "products"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the cache") && output.stdout.is_empty(), "{said}");
}
