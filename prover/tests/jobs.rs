//! From a witness file to the files of a proof, for a real shape.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ark_bn254::Fr;
use prover::export::{self, WtnsError};
use prover::job::{Job, JobError};
use prover::{Blinding, KeyStore};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::Value;
use statement::proof::{Proof, VerifyingKey, verify};

use crate::cli::run;
use crate::{enrolment, sample};

/// Where the value of a column stands in a `.wtns` file.
fn place(column: usize) -> usize {
    76 + 32 * column
}

/// Reads back what a proof's folder holds, and verifies it.
fn check(folder: &Path, key: &VerifyingKey, inputs: &[Fr]) {
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).expect("written")).expect("JSON")
    };
    let proof = export::read_proof(&json("proof.json")).expect("a proof");
    let bytes = fs::read(folder.join("proof.bin")).expect("written");
    assert_eq!((bytes.len(), Proof::decode(&bytes)), (Proof::BYTES, Ok(proof.clone())));
    assert_eq!(export::read_public(&json("public.json")).as_deref(), Ok(inputs));
    assert_eq!(verify(key, inputs, &proof), Ok(()));
}

#[test]
fn the_witness_file_of_an_enrolment_becomes_a_proof() {
    let folder = tempfile::tempdir().expect("a folder");
    let assignment = enrolment::assignment();
    let wtns = export::wtns(&assignment);
    let r1cs = enrolment::shape().matrices();
    let job = Job::read(&r1cs, &wtns).expect("an honest chunk");
    let store = KeyStore::new(folder.path().join("keys"));
    let key = Arc::new(store.open_or_make(&r1cs).expect("a key"));
    let blinding = Blinding::draw(&mut StdRng::seed_from_u64(1));
    let proven = job.prove(key.clone(), &blinding).expect("a proof");
    proven.write(&folder.path().join("library")).expect("writable");
    let (key, inputs) = (key.verifying_key(), &assignment.instance[1..]);
    check(&folder.path().join("library"), key, inputs);

    fs::write(folder.path().join("c1.wtns"), wtns).expect("writable");
    let arguments = ["prove", "--shape", "c1-test", "--wtns", "c1.wtns", "--out", "program"];
    let (code, report) = run(folder.path(), &[&arguments, ["--json"].as_slice()].concat());
    assert_eq!((code, &report["schema"]), (Some(0), &"prover.prove.v1".into()));
    assert_eq!(report["dev_insecure"], Value::Bool(true));
    assert_eq!(report["key_id"], format!("0x{}", hex::encode(key.id())));
    check(&folder.path().join("program"), key, inputs);
}

#[test]
fn a_tampered_witness_file_is_refused_by_the_name_of_the_rule() {
    let assignment = enrolment::assignment();
    let r1cs = enrolment::shape().matrices();
    // Public columns in the contract's order: the domain is used by C1.26 alone, the number of
    // operations by C1.25.
    for (column, rule) in [(7, "C1.26"), (10, "C1.25")] {
        let mut tampered = assignment.clone();
        tampered.instance[column] += Fr::from(1);
        let Err(JobError::Violated { rule: found, row }) =
            Job::read(&r1cs, &export::wtns(&tampered))
        else {
            panic!("expected a violated rule for column {column}");
        };
        assert_eq!((found, r1cs.rules[row]), (rule, rule));
        assert_eq!(r1cs.violated_rule(&tampered), Some(rule));
    }
    let mut entropy = StdRng::seed_from_u64(2);
    for _ in 0..8 {
        let mut file = export::wtns(&assignment);
        let column = r1cs.instances + entropy.next_u32() as usize % r1cs.witnesses;
        file[place(column)] ^= 1;
        let refused = Job::read(&r1cs, &file).err();
        let named = matches!(refused, Some(JobError::Violated { rule, .. }) if !rule.is_empty());
        assert!(named, "column {column}: {refused:?}");
    }
    let mut scaled = assignment;
    scaled.instance[0] = Fr::from(2);
    assert_eq!(Job::read(&r1cs, &export::wtns(&scaled)).err(), Some(JobError::Constant));
}

#[test]
fn a_truncated_or_foreign_witness_file_is_refused_with_the_exit_code_of_a_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut truncated = export::wtns(&enrolment::assignment()).to_vec();
    truncated.truncate(truncated.len() - 1);
    fs::write(folder.path().join("truncated.wtns"), truncated).expect("writable");
    let foreign = export::wtns(&sample::ladder(10, 5).1);
    fs::write(folder.path().join("foreign.wtns"), &foreign).expect("writable");
    let prove = |file: &str| {
        let arguments = ["prove", "--json", "--shape", "c1-test", "--out", "out", "--wtns", file];
        let (code, report) = run(folder.path(), &arguments);
        (code, report["error"].as_str().unwrap_or_default().to_owned())
    };
    let (code, error) = prove("truncated.wtns");
    assert!(code == Some(1) && error.contains("the last"), "{code:?}: {error}");
    let (code, error) = prove("foreign.wtns");
    assert!(code == Some(1) && error.contains("columns: expected"), "{code:?}: {error}");
    assert_eq!(prove("missing.wtns").0, Some(3));
    assert!(!folder.path().join("out").exists() && !folder.path().join("keys").exists());

    let (r1cs, _) = sample::ladder(11, 5);
    let what = "columns";
    let wrong = JobError::Wtns(WtnsError::Number { what, expected: 13, found: 12 });
    assert_eq!(Job::read(&r1cs, &foreign).err(), Some(wrong));
}
