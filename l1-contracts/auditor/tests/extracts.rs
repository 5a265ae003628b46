//! A patient's record that left the rollup: every line against the header of its batch.

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
use statement::eddsa::SecretKey;

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

/// The break-glass access of the story is no study's, and its claims are of a practitioner whom
/// nobody named: a world of one research access, in a batch made by hand.
mod study {
    use auditor::{KnownHeaders, audit_study};
    use extract::{
        ClaimsWriter, Reader, SoundClaims, Study, StudyError, StudyReading, Times, check_study,
        read_claims,
    };
    use model::{
        Category, ClaimKind, ExitCode, Interval, Millis, Party, PatientIndex, Purpose,
        signal_by_name,
    };
    use statement::batch::{PatientOpening, PublicFile};
    use statement::scope::{self, ActorKind, header_hash};

    use super::expected;
    use crate::world::{PATIENT, committed_again};

    const DOCTOR: &str = "dr-study";

    fn at(ms: u64) -> Millis {
        crate::world::genesis_time().plus(ms)
    }

    /// The first batch with its access made one for research, covered as the flag says, and
    /// committed again: the proofs of the batch are not looked at here.
    fn opened(covered: bool, purpose: Purpose) -> (PublicFile, PatientOpening) {
        committed_again(ClaimKind::Access, |one| {
            one.covered = covered;
            one.claim.individual = scope::actor(ActorKind::Practitioner, DOCTOR);
            one.claim.source = Party::Named(scope::actor(ActorKind::Device, "monitor"));
            one.claim.purpose = purpose;
            one.claim.measured = Interval { from: at(1000), until: at(5000) };
        })
    }

    fn claims(covered: bool, purpose: Purpose) -> SoundClaims {
        let (file, opening) = opened(covered, purpose);
        let reader = Reader { practitioner: DOCTOR.to_owned(), purpose };
        let mut writer = ClaimsWriter::new(&expected(), reader).expect("a head");
        writer.add(&file, &[opening]).expect("of each other");
        assert_eq!(writer.len(), 1);
        let text = writer.finish();
        assert!(!text.contains(&crate::world::view_key().to_hex()));
        read_claims(&text, &expected()).expect("sound")
    }

    fn study() -> Study {
        Study {
            name: "hrv".to_owned(),
            practitioner: DOCTOR.to_owned(),
            purpose: Purpose::Research,
            categories: Category::Ecg.only(),
            times: Times::Relative,
            key: [5; 32],
        }
    }

    fn reading(ms: u64, signal: &str, value: &str) -> StudyReading {
        StudyReading {
            patient: PatientIndex::new(PATIENT).expect("24 bits"),
            device: "monitor".to_owned(),
            signal: signal_by_name(signal).expect("known"),
            at: at(ms),
            value: value.to_owned(),
        }
    }

    fn readings() -> Vec<StudyReading> {
        let inside = (0..3000).map(|n| reading(1000 + n, "ecg", &n.to_string()));
        let outside = [reading(999, "ecg", "1"), reading(5000, "ecg", "1")];
        inside.chain(outside).chain([reading(2000, "spo2", "97.00")]).collect()
    }

    #[test]
    fn a_set_has_what_a_covered_claim_permits_and_nothing_that_names_anybody() {
        let sound = claims(true, Purpose::Research);
        let made = study().export(&expected(), &readings(), &sound).expect("a set");
        assert_eq!((made.rows, made.participants), (3000, 1));
        assert_eq!((made.uncovered, made.others), (2, 1));
        let checked = check_study(&made.data, &made.proofs, &expected()).expect("holds");
        assert_eq!((checked.rows, checked.claims, checked.root), (3000, 1, made.root));
        assert!(made.data.contains(",ecg,0,0,uV\n") && made.data.contains(",ecg,2999,2999,uV\n"));
        for secret in ["monitor", DOCTOR, "\"patient\""] {
            assert!(!made.data.contains(secret) && made.proofs.contains(secret), "{secret}");
        }
        // The same patient has another pseudonym in another study, and under another key.
        let (of, patient) = (expected().scope, PatientIndex::new(PATIENT).expect("24 bits"));
        let own = study().pseudonym(of, patient);
        for other in [Study { name: "b".into(), ..study() }, Study { key: [6; 32], ..study() }] {
            assert_ne!(other.pseudonym(of, patient), own);
        }
    }

    #[test]
    fn what_was_excluded_or_read_for_another_purpose_or_by_another_makes_no_set() {
        let export = |study: &Study, sound| study.export(&expected(), &readings(), &sound);
        let excluded = claims(false, Purpose::Research);
        assert_eq!(export(&study(), excluded).err(), Some(StudyError::Nothing));
        let treatment = claims(true, Purpose::Treatment);
        assert_eq!(export(&study(), treatment).err(), Some(StudyError::Nothing));
        let other = Study { practitioner: "dr-002".to_owned(), ..study() };
        assert_eq!(
            export(&other, claims(true, Purpose::Research)).err(),
            Some(StudyError::Nothing)
        );
    }

    #[test]
    fn a_changed_set_or_proof_is_named() {
        let sound = claims(true, Purpose::Research);
        let made = study().export(&expected(), &readings(), &sound).expect("a set");
        let part = |data: &str, proofs: &str| {
            check_study(data, proofs, &expected()).expect_err("changed").part
        };
        let value = made.data.replacen(",2999,2999,", ",2999,2998,", 1);
        assert_eq!(part(&value, &made.proofs), "root");
        let cut = made.data.trim_end().rsplit_once('\n').expect("rows").0;
        assert_eq!(part(&format!("{cut}\n"), &made.proofs), "rows");
        let other = Study { key: [6; 32], ..study() };
        let other = other.export(&expected(), &readings(), &sound).expect("a set");
        assert_eq!(part(&made.data, &other.proofs), "root");
        let renamed = made.proofs.replacen("\"patient\":12", "\"patient\":13", 1);
        assert_eq!(part(&made.data, &renamed), "participant");
        let covered = made.proofs.replacen("\"covered\":true", "\"covered\":false", 1);
        assert_eq!(part(&made.data, &covered), "leaf");
        let fewer = made.proofs.replacen("\"rows\":3000", "\"rows\":2999", 1);
        assert_eq!(part(&made.data, &fewer), "rows that a claim covers");
        // A time that the claim does not cover: the participant's clock is moved.
        let zero = format!("\"zero\":{}", at(1000).get());
        let moved = made.proofs.replacen(&zero, &format!("\"zero\":{}", at(3000).get()), 1);
        assert_eq!(part(&made.data, &moved), "reading");
        // To times that the claim covers as well: the set says that it was made with others.
        let moved = made.proofs.replacen(&zero, &format!("\"zero\":{}", at(1001).get()), 1);
        assert_eq!(part(&made.data, &moved), "clocks");
    }

    #[test]
    fn accesses_of_another_purpose_are_no_study() {
        let sound = claims(true, Purpose::Treatment);
        let treatment = Study { purpose: Purpose::Treatment, ..study() };
        let made = treatment.export(&expected(), &readings(), &sound).expect("a set");
        let fault = check_study(&made.data, &made.proofs, &expected()).expect_err("no study");
        assert_eq!((fault.line, fault.part), (1, "purpose"));
    }

    #[test]
    fn times_that_count_from_something_else_are_named() {
        let sound = claims(true, Purpose::Research);
        let export = |times| {
            let study = Study { times, ..study() };
            study.export(&expected(), &readings(), &sound).expect("a set")
        };
        for times in [Times::Relative, Times::Absolute] {
            let made = export(times);
            let checked = check_study(&made.data, &made.proofs, &expected()).expect("holds");
            assert_eq!((checked.study.as_str(), checked.practitioner.as_str()), ("hrv", DOCTOR));
        }
        // Half a second later, which the claim covers as well.
        let made = export(Times::Absolute);
        let zero = format!("\"zero\":{}", Millis::from_unix_ms(0).get());
        let later = format!("\"zero\":{}", Millis::from_unix_ms(500).get());
        let moved = made.proofs.replacen(&zero, &later, 1);
        let fault = check_study(&made.data, &moved, &expected()).expect_err("another clock");
        assert_eq!((fault.line, fault.part), (2, "times"));
    }

    #[test]
    fn the_headers_of_a_sets_claims_are_compared_with_those_that_settled() {
        let (deployment, _) = {
            use crate::world::Prove as _;
            crate::world::deployment(crate::world::Forge::new().keys())
        };
        let of =
            extract::Expected { fingerprint: deployment.fingerprint.to_string(), ..expected() };
        let (file, opening) = opened(true, Purpose::Research);
        let reader = Reader { practitioner: DOCTOR.to_owned(), purpose: Purpose::Research };
        let mut writer = ClaimsWriter::new(&of, reader).expect("a head");
        writer.add(&file, &[opening]).expect("of each other");
        let sound = read_claims(&writer.finish(), &of).expect("sound");
        let made = study().export(&of, &readings(), &sound).expect("a set");
        let known = |hash| KnownHeaders {
            from: "the chain",
            hashes: [(1, hash)].into(),
            transactions: [].into(),
        };
        let ends = |known: Option<&KnownHeaders>| {
            audit_study([&made.data, &made.proofs], &deployment, known).exit_code()
        };
        assert_eq!(ends(Some(&known(header_hash(&file.header)))), ExitCode::Ok);
        assert_eq!(ends(Some(&known([0; 32]))), ExitCode::Failed);
        assert_eq!(ends(None), ExitCode::NotCompared);
    }
}
