//! The program: what it accepts, and the exit codes that scripts rely on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ark_bn254::Fr;
use prover::{Blinding, Engine, PortableEngine, ProvingKey, export};
use serde_json::Value;

use crate::sample::ladder;

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_prover"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program starts");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// vkey.json, proof.json, public.json and other.json, which holds other inputs.
fn write_proof(folder: &Path) {
    let (r1cs, assignment) = ladder(10, 5);
    let engine = PortableEngine::new(Arc::new(ProvingKey::dev_insecure(&r1cs).expect("small")));
    let blinding = Blinding::chosen(Fr::from(1), Fr::from(2));
    let proof = engine.prove(&assignment, &blinding).expect("satisfied");
    let key = export::verification_key_json(engine.key().verifying_key());
    let inputs = &assignment.instance[1..];
    let other = [inputs[1], inputs[0]];
    let files = [
        ("vkey.json", key),
        ("proof.json", export::proof_json(&proof)),
        ("public.json", export::public_json(inputs)),
        ("other.json", export::public_json(&other)),
    ];
    for (name, value) in files {
        fs::write(folder.join(name), value.to_string()).expect("writable");
    }
}

#[test]
fn verify_answers_with_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    write_proof(folder.path());
    let verify = |public: &str| {
        let files = ["--vkey", "vkey.json", "--proof", "proof.json", "--public", public];
        run(folder.path(), &[&["verify", "--json"], files.as_slice()].concat())
    };
    let (code, report) = verify("public.json");
    assert_eq!((code, &report["valid"]), (Some(0), &Value::Bool(true)));
    assert_eq!(report["dev_insecure"], Value::Bool(true));
    let (code, report) = verify("other.json");
    assert_eq!((code, &report["schema"]), (Some(1), &"prover.failure.v1".into()));
    assert_eq!(verify("proof.json").0, Some(1), "not an array of inputs");
    assert_eq!(verify("missing.json").0, Some(3));
}

#[test]
fn an_unknown_shape_is_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(folder.path(), &["setup", "--shape", "c3"]).0, Some(2));
    let (code, report) = run(folder.path(), &["shapes", "--json"]);
    let named = report["shapes"].as_array().map(Vec::len);
    assert_eq!((code, named), (Some(0), Some(circuits::shapes::SHAPES.len())));
}

#[test]
fn inspect_reports_the_header_and_refuses_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = ProvingKey::dev_insecure(&ladder(10, 5).0).expect("small");
    let path = folder.path().join("key");
    key.write(&path).expect("writable");
    let (code, report) = run(folder.path(), &["inspect", "--full", "--json", "key"]);
    assert_eq!((code, &report["provenance"]), (Some(0), &"dev-insecure".into()));
    assert_eq!(report["constraints"], 10);
    let mut bytes = fs::read(&path).expect("readable");
    bytes[1000] ^= 1;
    fs::write(&path, bytes).expect("writable");
    assert_eq!(run(folder.path(), &["inspect", "--json", "key"]).0, Some(1));
}
