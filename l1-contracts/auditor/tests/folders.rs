//! Folders on the command line: what is given is compared, or the program says that it was not.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use files::Audience;
use model::{Categories, Interval, Millis, Party, PatientIndex};
use serde_json::Value;
use statement::batch::ReleasedFrames;
use statement::{eddsa, field};
use wire::{ErasureRequest, SignedErasure};

use crate::chain::{Live, live};
use crate::world::{PATIENT, patient_key};

/// Keeps what an access to everything of a patient released: nothing.
fn keep_frames(live: &Live, patient: u32) -> PathBuf {
    let released = ReleasedFrames {
        scope: live.deployment.scope(),
        patient: PatientIndex::new(patient).expect("24 bits"),
        categories: Categories::ALL,
        data: Interval::ALWAYS,
        source: Party::Any,
        frames: Vec::new(),
    };
    let path = live.folder().join(format!("{patient}.frames"));
    files::replace(&path, &[&released.to_bytes()], Audience::Owner).expect("written");
    path
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_what_was_asked_for_is_refused() {
    let live = live().await;
    let openings = live.folder().display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none").display().to_string();
    let empty = folder.path().display().to_string();
    // The first batch's folder is there and holds other files.
    let other = live.folder().join("000001").display().to_string();
    for option in ["--openings", "--frames", "--erasures", "--receipts"] {
        let beside = ["--openings", &openings];
        let is_beside = ["--frames", "--erasures"].contains(&option);
        let beside = if is_beside { &beside[..] } else { &[] };
        for folder in [empty.as_str(), &other] {
            let done = live.program("verify", &[beside, &[option, folder]].concat()).await;
            assert_eq!(done.status.code(), Some(2), "{option} {folder}");
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            let expected = format!("*.{}", option[2..].trim_end_matches('s'));
            let named = said.contains(&expected) || said.contains("*.frames");
            assert!(named && said.contains("found none") && said.contains(folder), "{said}");
            assert!(done.stdout.is_empty(), "nothing was audited");
        }
        let done = live.program("verify", &[beside, &[option, missing.as_str()]].concat()).await;
        assert_eq!(done.status.code(), Some(2), "{option} {missing}");
        assert!(String::from_utf8_lossy(&done.stderr).contains(&missing));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_that_nobody_gives_are_withheld_until_their_patients_request_is_shown() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    let asked = ["--openings", &folder, "--readings"];
    let done = live.program("verify", &asked).await;
    assert_eq!(done.status.code(), Some(5), "{}", text(&done));
    assert!(
        text(&done).contains("0 are erased at their patients' signed requests, 2 are withheld")
    );

    let at = Millis::from_unix_ms(1_777_624_200_000);
    let request = ErasureRequest {
        scope: live.deployment.scope(),
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        nonce: 99,
        requested_at: at,
        valid_until: at.plus(60_000),
    };
    let hash = field::from_word(&request.signing_hash().expect("valid").word());
    let (key, path) = (patient_key(), live.folder().join("a.erasure"));
    let signature = eddsa::sign(&key, hash).encode();
    let mut signed = SignedErasure { request, public_key: key.public().encode(), signature };
    let write = |signed: &SignedErasure| std::fs::write(&path, signed.to_bytes().expect("valid"));
    write(&signed).expect("written");
    let asked = ["--openings", &folder, "--erasures", &folder, "--json"];
    let done = live.program("verify", &asked).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let counts = ["readings_given", "readings_erased", "readings_withheld"].map(|one| &report[one]);
    assert_eq!(counts, [&Value::from(0), &2.into(), &0.into()]);

    // Nobody but the patient can call them erased.
    signed.request.nonce += 1;
    write(&signed).expect("written");
    let done = live.program("verify", &asked[..4]).await;
    assert_eq!(done.status.code(), Some(1), "{}", text(&done));
    assert!(text(&done).contains("request to erase a.erasure, signature"), "{}", text(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_and_compared_with_nothing_does_not_pass_as_clean() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    let all = ["--openings", &folder, "--frames", &folder];
    // Nothing of the two collections was released.
    keep_frames(&live, PATIENT);
    let done = live.program("verify", &all).await;
    assert_eq!(done.status.code(), Some(5), "{}", text(&done));
    let said = text(&done);
    assert!(said.contains("released frames") && said.contains("NOT COMPARED: 2 coll"), "{said}");
    let done = live.program("verify", &[&all[..], &["--json"]].concat()).await;
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((&report["verdict"], &report["frames_not_compared"]), (&"holds".into(), &2.into()));
    assert_eq!(report["not_compared"].as_array().map(Vec::len), Some(1), "{report}");

    // An opening of the first batch, whose file is not read.
    let done = live.program("verify", &["--openings", &folder, "--from", "2"]).await;
    assert_eq!(done.status.code(), Some(5), "{}", text(&done));
    assert!(text(&done).contains("NOT COMPARED: 1 openings"), "{}", text(&done));
    let done = live.program("verify", &["--openings", &folder]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_may_open_is_refused_with_the_command_that_closes_it() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    let frames = keep_frames(&live, PATIENT);
    let opening = live.folder().join("batch-1.opening");
    let receipt = live.folder().join("1.receipt");
    files::create(&receipt, b"a receipt", Audience::Owner).expect("written");
    let given = [
        (&opening, &["--openings", folder.as_str()][..]),
        (&frames, &["--openings", &folder, "--frames", &folder]),
        (&receipt, &["--receipts", &folder]),
    ];
    for (path, options) in given {
        let set = |mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
        set(0o640).expect("changed");
        let done = live.program("verify", options).await;
        assert_eq!(done.status.code(), Some(2), "{}", text(&done));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(&format!("chmod go-rwx {}", path.display())), "{said}");
        set(0o600).expect("changed");
    }
}
