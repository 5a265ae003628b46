//! `vitals record`: the patient's record of all batches, as a file that others check.

use std::process::Output;

use client::{Key, KeyKind};
use extract::{Expected, check_bundle, check_record};
use statement::batch::PatientOpening;
use tokio::process::Command;

use super::command::Settled;
use super::world::{ANNA, anna, deployment};
use crate::node::facts;

async fn record(settled: &Settled, more: &str) -> Output {
    let line = format!(
        "record --patient-key DIR/anna.key --patient {ANNA} --identity DIR/wallet --headers \
         DIR/headers.json --data DIR/batches --out DIR/anna.jsonl {more}"
    );
    let line = line.replace("DIR", settled.path("").to_str().unwrap().trim_end_matches('/'));
    let words = line.split(' ').filter(|word| !word.is_empty());
    let mut vitals = Command::new(env!("CARGO_BIN_EXE_vitals"));
    vitals.args(words).output().await.expect("vitals runs")
}

fn said(done: &Output) -> String {
    String::from_utf8([done.stdout.as_slice(), &done.stderr].concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_written_as_lines_and_as_a_bundle_that_others_check_without_the_view_key() {
    let settled = Settled::new();
    let fhir = "--fhir DIR/anna.json --know device:monitor,practitioner:nobody";
    let done = record(&settled, fhir).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let [lines, bundle] = ["anna.jsonl", "anna.json"]
        .map(|name| std::fs::read_to_string(settled.path(name)).unwrap());
    let fingerprint = facts().fingerprint().to_string();
    let expected = Expected { scope: deployment(), fingerprint };
    let checked = check_record(&lines, &expected).expect("holds");
    assert_eq!((checked.operations, checked.claims, checked.excluded), (3, 3, 1));
    assert_eq!((checked.refused, checked.batches), (1, [1, 1]));
    assert!(checked.operations_complete);
    assert_eq!(check_bundle(&bundle, &expected), Ok(checked));
    assert!(lines.contains("device:monitor") && !lines.contains("nobody"));
    let view_key = anna().view_key().to_hex();
    assert!(!lines.contains(&view_key) && !bundle.contains(&view_key));

    // What was written is not written over.
    let done = record(&settled, "").await;
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    let done = record(&settled, "--overwrite --openings DIR/openings").await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let opening = std::fs::read(settled.path("openings/000001.opening")).unwrap();
    let opening = PatientOpening::from_bytes(&opening).unwrap();
    assert_eq!(opening, settled.world.openings[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_does_not_hold_and_of_a_record_that_is_in_none_nothing_is_written() {
    let settled = Settled::new();
    let (_, mut files) = settled.world.files();
    files.private.push(0);
    settled.write_batch(1, files);
    let done = record(&settled, "").await;
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("batch 1 does not hold"), "{}", said(&done));
    settled.write_batch(1, settled.world.files().1);
    // Another key opens nothing of any batch.
    let stranger = Key::from_secret(KeyKind::Patient, [77; 32]);
    std::fs::remove_file(settled.path("anna.key")).unwrap();
    stranger.write(&settled.path("anna.key")).unwrap();
    let done = record(&settled, "").await;
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(!settled.path("anna.jsonl").exists());
}

async fn study(settled: &Settled, line: &str) -> Output {
    let line = line.replace("DIR", settled.path("").to_str().unwrap().trim_end_matches('/'));
    let mut vitals = Command::new(env!("CARGO_BIN_EXE_vitals"));
    vitals.arg("study").args(line.split_whitespace()).output().await.expect("vitals runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_nobody_read_for_research_gets_no_set_and_is_told_what_to_do() {
    let settled = Settled::new();
    let done = study(&settled, "key --out DIR/hrv.key").await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let claims = format!(
        "claims --patient-key DIR/anna.key --patient {ANNA} --identity DIR/wallet --headers \
         DIR/headers.json --data DIR/batches --practitioner dr-001 --out DIR/anna.claims"
    );
    let done = study(&settled, &claims).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    // The doctor read, for treatment and in an emergency: nothing of it is the study's.
    assert!(said(&done).contains("0 claims"), "{}", said(&done));

    let plan = |signal: &str| {
        let plan = serde_json::json!({
            "schema": "vitals-study-plan-1", "name": "hrv", "practitioner": "dr-001",
            "categories": [signal], "participants": [{ "patient": ANNA, "readings": "a.csv" }],
        });
        keep(&settled, "hrv.json", &plan.to_string());
    };
    let row = "monitor,ecg,2026-05-01T08:30:00.000Z,12,uV";
    keep(&settled, "a.csv", &format!("device,signal,time,value,unit\n{row}\n"));
    plan("ecg");
    let export = "export --study DIR/hrv.json --key DIR/hrv.key --claims DIR/anna.claims \
                  --headers DIR/headers.json --identity DIR/wallet --out DIR/hrv";
    let done = study(&settled, export).await;
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("found none: ask with the study's purpose"), "{}", said(&done));
    keep(&settled, "a.csv", "device,signal,time,value,unit\nmonitor,ecg,yesterday,12,uV\n");
    let done = study(&settled, export).await;
    assert!(
        said(&done).contains("line 2") && !said(&done).contains("yesterday"),
        "{}",
        said(&done)
    );
    plan("moods");
    assert_ne!(study(&settled, export).await.status.code(), Some(0));
    assert!(!settled.path("hrv").exists());
}

/// A file that names patients, closed to others.
fn keep(settled: &Settled, name: &str, text: &str) {
    files::replace(&settled.path(name), &[text.as_bytes()], files::Audience::Owner).unwrap();
}
