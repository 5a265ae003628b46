//! A patient's record that left the rollup: every line against the header of its batch.

use std::path::Path;
use std::process::Output;

use auditor::headers::{SavedBatch, save};
use auditor::{Colour, KnownHeaders, audit_record};
use extract::{
    Expected, Fault, Names, RecordWriter, Subject, bundle_text, check_bundle, check_record,
};
use files::Audience;
use l1_contracts::Deployment;
use model::{ChainScope, Digest, ExitCode, Millis, PatientIndex, Position, PractitionerId};
use serde_json::Value;
use statement::batch::{PatientOpening, RefusedAccess, Requester};
use statement::claim::root16;
use statement::domain::Domain;
use statement::eddsa::SecretKey;
use statement::operation::{self, SignedOperation};
use statement::{field, scope};

use crate::chain::{Live, live};
use crate::world::{Built, Forge, PATIENT, Prove, REASON, World, a_scope, view_key};

const FINGERPRINT: &str = "the fingerprint of the tests";

pub(crate) fn expected() -> Expected {
    Expected { scope: a_scope(), fingerprint: FINGERPRINT.to_owned() }
}

pub(crate) fn key() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

fn write(of: (ChainScope, &str), built: &[Built], change: fn(&mut PatientOpening)) -> String {
    write_until(of, built, built.len(), change)
}

/// Of as many batches as are there, with lines of the first ones alone.
fn write_until(
    of: (ChainScope, &str),
    built: &[Built],
    until: usize,
    change: fn(&mut PatientOpening),
) -> String {
    let mut names = Names::default();
    ["practitioner:dr-001", "practitioner:dr-777"].iter().for_each(|name| names.learn(name));
    let mut writer = RecordWriter::new(Subject {
        scope: of.0,
        fingerprint: of.1.to_owned(),
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        batches: [1, built.len() as u64],
        gap_over_ms: 1000,
        names,
    });
    for one in &built[..until] {
        for opening in &one.openings {
            let mut opening = opening.clone();
            change(&mut opening);
            writer.add(&one.file, None, &opening).expect("of each other");
        }
    }
    writer.finish(&key()).expect("lines")
}

pub(crate) fn record() -> String {
    write((a_scope(), FINGERPRINT), &World::sound().built, |_| ())
}

/// Holds a text against the vector of its name, which `UPDATE=1` writes anew. Hostile bytes begin
/// with these (`sequencer/hostile`).
pub(crate) fn check_vector(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sequencer/extract/vectors");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), text).expect("the vector is written");
    }
    let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    assert!(found == text, "{name} moved; UPDATE=1 rewrites it");
}

fn fault(text: &str) -> Fault {
    check_record(text, &expected()).expect_err("a line that does not hold")
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_record_of_every_batch_holds_and_says_what_happened_without_the_view_key() {
    let text = record();
    let checked = check_record(&text, &expected()).expect("holds");
    assert_eq!((checked.operations, checked.claims, checked.excluded), (3, 4, 1));
    assert_eq!((checked.headers.len(), checked.gaps), (2, 1));
    assert!(checked.operations_complete);
    assert!(!text.contains(&view_key().to_hex()), "it would open all there will ever be");
    assert!(text.contains("practitioner:dr-001") && text.contains(REASON));
    assert!(!text.contains("dr-777"), "whom nothing names is nobody's business");
}

#[test]
fn a_line_that_was_changed_is_named_wherever_it_was_changed() {
    let text = record();
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        for part in 0..16 {
            let place = part * line.len() / 16;
            let mut bytes = line.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            let mut all = lines.clone();
            all[at] = &changed;
            let fault = fault(&joined(&all));
            // Of what only the root is over it is the end that does not fit; all else is named.
            let own = fault.line == at + 1 || fault.line == lines.len();
            assert!(own || fault.line == 1 + at.saturating_sub(1), "line {}: {fault}", at + 1);
        }
    }
}

#[test]
fn a_line_that_was_removed_given_twice_or_moved_is_named() {
    let text = record();
    let lines: Vec<_> = text.lines().collect();
    let of = |kind: &str| {
        let begin = format!("{{\"line\":\"{kind}\"");
        lines.iter().position(|line| line.starts_with(&begin)).expect("one")
    };
    for at in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(check_record(&joined(&fewer), &expected()).is_err(), "line {} removed", at + 1);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(check_record(&joined(&twice), &expected()).is_err(), "line {} twice", at + 1);
    }
    let without = |kind| {
        let mut fewer = lines.clone();
        fewer.remove(of(kind));
        fault(&joined(&fewer))
    };
    assert_eq!((without("claim").line, without("claim").part), (2, "claims behind it"));
    // The next operation no longer follows the one before.
    assert_eq!(without("operation").part, "operations behind it");
    assert_eq!(without("gap").part, "gap");
    let mut moved = lines.clone();
    moved.swap(of("claim"), of("claim") + 1);
    assert_eq!(fault(&joined(&moved)).part, "order");
    assert_eq!(fault(&text[..text.len() - 1]).part, "end");
    assert_eq!(fault(&(text.clone() + lines[1] + "\n")).part, "kind");
}

#[test]
fn a_foreign_line_or_deployment_is_named() {
    let text = record();
    let other = text.replacen("\"patient\":12", "\"patient\":13", 1);
    assert_eq!((fault(&other).line, fault(&other).part), (3, "patient"));
    let elsewhere = Expected { fingerprint: "another".to_owned(), ..expected() };
    let found = check_record(&text, &elsewhere).expect_err("of another deployment");
    assert_eq!((found.line, found.part), (1, "deployment"));
    let named = text.replacen("practitioner:dr-001", "practitioner:dr-002", 1);
    assert_eq!((fault(&named).line, fault(&named).part), (1, "names"));
}

#[test]
fn a_head_has_one_text_as_every_other_line() {
    let text = record();
    let (_, names) = text.split_once("\"names\":{").expect("a head");
    let (first, _) = names.split_once(['}', ',']).expect("a name");
    for (own, other) in [
        ("\"patient\":12", "\"patient\":12,\"insurer\":\"acme\""),
        // To a reader who takes the first of two members, or the last, it may be another name.
        ("\"names\":{", &format!("\"names\":{{{first},")),
    ] {
        let changed = text.replacen(own, other, 1);
        assert_ne!(changed, text, "{own}");
        assert_eq!((fault(&changed).line, fault(&changed).part), (1, "words"), "{other}");
    }
}

#[test]
fn an_operation_that_its_own_writer_leaves_out_is_noticed_by_the_nonce_and_a_claim_is_not() {
    let world = World::sound();
    let of = (a_scope(), FINGERPRINT);
    let last = write(of, &world.built, |opening| drop(opening.operations.pop()));
    assert_eq!(fault(&last).part, "nonce");
    let middle = write(of, &world.built, |opening| {
        if opening.operations.len() > 1 {
            opening.operations.remove(1);
        }
    });
    assert_eq!(fault(&middle).part, "nonce");
    // What the page says a record does not show: the tags do, with the openings.
    let fewer = write(of, &world.built, |opening| drop(opening.claims.pop()));
    assert_eq!(check_record(&fewer, &expected()).map(|checked| checked.claims), Ok(2));
}

#[test]
fn a_record_that_its_own_writer_ends_at_an_earlier_batch_says_which_and_that_no_later_one_is_shown()
{
    let built = World::sound().built;
    let (deployment, _) = crate::world::deployment(Forge::new().keys());
    let fingerprint = deployment.fingerprint.to_string();
    let says = |until| {
        let text = write_until((a_scope(), &fingerprint), &built[..2], until, |_| ());
        let report = audit_record(&text, &deployment, None);
        assert_eq!(report.broken, None);
        report.text(Colour::Plain)
    };
    let [all, cut] = [2, 1].map(says);
    assert!(all.contains("up to batch 2") && !all.contains("nothing is shown of batches"), "{all}");
    assert!(all.contains("2 batches of 1 to 2 have lines"), "{all}");
    assert!(cut.contains("up to batch 1"), "{cut}");
    assert!(cut.contains("nothing is shown of batches 2 to 2"), "{cut}");
    assert!(cut.contains("1 batches of 1 to 2 have lines"), "{cut}");
}

#[test]
fn an_enrolment_is_shown_without_its_argument_and_with_nothing_in_its_place() {
    let text = record();
    // No hash is over it, so that whoever signs the file could write there what they like.
    let operation = text.split_once("\"operation\":\"").expect("an enrolment").1;
    let operation = operation.split_once('"').expect("its end").0;
    let (head, argument) = operation.split_at(2 * 27);
    assert_eq!(argument, "0".repeat(2 * 96));
    let other = format!("{head}{}7{}", "0".repeat(63), "0".repeat(128));
    let changed = text.replacen(operation, &other, 1);
    assert_eq!((fault(&changed).line, fault(&changed).part), (3, "argument"));
}

#[test]
fn an_operation_behind_the_largest_nonce_is_none_of_the_record() {
    let mut built = World::sound().built;
    let Built { file, openings, .. } = &mut built[0];
    // Of a header that nobody settled, over operations that a patient signed at home.
    for one in openings[0].operations.iter_mut().skip(1) {
        let mut operation = SignedOperation::from_bytes(&one.signed).expect("signed").operation;
        operation.nonce = u32::MAX;
        let domain = scope::sig_domain(a_scope());
        let message = operation::message(domain, &operation);
        one.signed = SignedOperation::sign(operation, domain, &key()).to_bytes().to_vec();
        let leaf = operation::leaf(message, one.t_op, field::from_word(&one.salt));
        let chunk = &mut file.operations[one.chunk as usize];
        chunk.leaves[one.row as usize] = field::to_word(&leaf);
        let leaves: Vec<_> = chunk.leaves.iter().map(field::from_word).collect();
        chunk.operations_root = field::to_word(&root16(Domain::OperationsNode, &leaves));
    }
    let roots = file.operations.iter().map(|chunk| field::from_word(&chunk.operations_root));
    file.header.operations_root = scope::chunk_roots(&roots.collect::<Vec<_>>());
    let text = write((a_scope(), FINGERPRINT), &built[..1], |opening| {
        // Without the enrolment any number may be the first.
        opening.operations.remove(0);
    });
    assert_eq!((fault(&text).line, fault(&text).part), (4, "nonce"));
    // And none is the last one before the record's own number.
    let text = write((a_scope(), FINGERPRINT), &built[..1], |opening| {
        opening.operations = vec![opening.operations.remove(1)];
    });
    assert_eq!(fault(&text).part, "nonce");
}

#[test]
fn a_refusal_of_a_time_outside_of_its_batch_is_named() {
    let text = write((a_scope(), FINGERPRINT), &World::sound().built, |opening| {
        opening.refused = vec![RefusedAccess {
            position: Position(1),
            time: Millis::from_unix_ms(0),
            digest: Digest([1; 31]),
            requester: Requester::Practitioner(PractitionerId::new("dr-001").expect("a name")),
            uncovered: None,
            count: 1,
        }];
    });
    assert_eq!(fault(&text).part, "time");
}

#[test]
fn a_bundle_holds_with_every_entry_and_names_the_one_that_was_changed() {
    let text = record();
    let written = bundle_text(&text).expect("lines");
    let made: Value = serde_json::from_str(&written).expect("JSON");
    let checked = check_bundle(&written, &expected()).expect("holds");
    // To a reader who takes the first of two members it is a document.
    let twice = written.replacen('{', "{\n  \"type\": \"document\",", 1);
    let found = check_bundle(&twice, &expected()).expect_err("a member twice");
    assert_eq!(found.part, "Bundle");
    assert_eq!(checked, check_record(&text, &expected()).expect("holds"));
    let entries = made["entry"].as_array().expect("entries").len();
    let change = |change: &dyn Fn(&mut Value)| {
        let mut changed = made.clone();
        change(&mut changed);
        let changed = serde_json::to_string_pretty(&changed).expect("JSON");
        check_bundle(&changed, &expected()).expect_err("changed")
    };
    for at in 0..entries {
        let fault = change(&|made| made["entry"][at]["resource"]["added"] = 1.into());
        assert_eq!((fault.line, fault.part), (at + 1, "entry of the Bundle"));
        change(&|made| drop(made["entry"].as_array_mut().map(|all| all.remove(at))));
    }
    assert_eq!(change(&|made| made["type"] = "document".into()).part, "Bundle");
    let foreign = |made: &mut Value| {
        let more = made["entry"][0].clone();
        made["entry"].as_array_mut().expect("entries").push(more);
    };
    assert_eq!(change(&foreign).line, entries + 1);
}

#[test]
fn headers_are_compared_with_what_is_known_and_else_it_is_said_that_they_were_not() {
    let built = World::sound().built;
    let (deployment, _) = crate::world::deployment(Forge::new().keys());
    let fingerprint = deployment.fingerprint.to_string();
    let text = write((a_scope(), &fingerprint), &built, |_| ());
    let saved = |change: fn(&mut SavedBatch)| {
        let kept = built.iter().map(|one| {
            let header = one.file.header.clone();
            let mut saved = SavedBatch { header, is_final: true, edges: vec![], verified: None };
            change(&mut saved);
            saved
        });
        KnownHeaders::of_saved(&kept.collect::<Vec<_>>())
    };
    let ends = |known: Option<&KnownHeaders>| audit_record(&text, &deployment, known).exit_code();
    assert_eq!(ends(Some(&saved(|_| ()))), ExitCode::Ok);
    assert_eq!(ends(None), ExitCode::NotCompared);
    let other = saved(|one| one.header.excluded += 1);
    let report = audit_record(&text, &deployment, Some(&other));
    assert!(report.broken.is_some_and(|says| says.starts_with("line 2, header")), "its line");
}

/// Runs `auditor verify --bundle` on a file, closed to others.
async fn verify(live: &Live, text: &str, more: &[&str]) -> Output {
    let path = live.folder().join("record");
    files::replace(&path, &[text.as_bytes()], Audience::Owner).expect("written");
    let mut auditor = tokio::process::Command::new(env!("CARGO_BIN_EXE_auditor"));
    auditor.args(["verify", "--bundle"]).arg(path);
    auditor.arg("--deployment").arg(live.deployment_file()).args(more);
    auditor.output().await.expect("the auditor runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_checks_a_record_against_the_chain_against_saved_headers_and_alone() {
    let live = live().await;
    let Deployment { fingerprint, .. } = &live.deployment;
    let of = (live.deployment.scope(), fingerprint.to_string());
    let text = write((of.0, &of.1), &live.built, |_| ());
    let rpc = live.rpc();
    let done = verify(&live, &text, &["--rpc", &rpc]).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("2 are those of the chain"), "{said}");
    let as_fhir = bundle_text(&text).expect("lines");
    let done = verify(&live, &as_fhir, &["--rpc", &rpc, "--json"]).await;
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((done.status.code(), &report["broken"]), (Some(0), &Value::Null));

    let kept = live.built.iter().map(|one| {
        let header = one.file.header.clone();
        SavedBatch { header, is_final: true, edges: vec![], verified: None }
    });
    let headers = live.folder().join("headers.json");
    save(&headers, &live.deployment, &kept.collect::<Vec<_>>()).expect("written");
    let headers = headers.display().to_string();
    let done = verify(&live, &text, &["--headers", &headers]).await;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stdout));
    let done = verify(&live, &text, &[]).await;
    assert_eq!(done.status.code(), Some(5), "compared with nothing");
    let missing = live.folder().join("none").display().to_string();
    assert_eq!(verify(&live, &text, &["--headers", &missing]).await.status.code(), Some(2));

    let changed = text.replacen("break-glass", "access", 1);
    let done = verify(&live, &changed, &["--rpc", &rpc]).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("line "), "{said}");
}
