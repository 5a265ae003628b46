//! A study's data set that left the rollup: every reading against the claims that cover it.
//!
//! The break-glass access of the story is no study's, and its claims are of a practitioner whom
//! nobody named: a world of one research access, in a batch made by hand.

use auditor::{KnownHeaders, audit_study};
use extract::{
    BatchProof, ClaimsWriter, Reader, SoundClaims, Study, StudyError, StudyReading, Times,
    check_study, read_claims,
};
use model::{
    Category, ClaimKind, ExitCode, Interval, Millis, Party, PatientIndex, Purpose, signal_by_name,
};
use statement::batch::{PatientOpening, PublicFile};
use statement::scope::{self, ActorKind, header_hash};

use crate::extracts::{check_vector, expected};
use crate::world::{PATIENT, World, committed_again};

const DOCTOR: &str = "dr-study";

fn at(ms: u64) -> Millis {
    crate::world::genesis_time().plus(ms)
}

/// The first batch with its access made one for research, covered as the flag says, and committed
/// again.
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
    read_claims(&claims_text(covered, purpose), &expected()).expect("sound")
}

fn claims_text(covered: bool, purpose: Purpose) -> String {
    let (file, opening) = opened(covered, purpose);
    let reader = Reader { practitioner: DOCTOR.to_owned(), purpose };
    let mut writer = ClaimsWriter::new(&expected(), reader).expect("a head");
    writer.add(&file, &[opening]).expect("of each other");
    assert_eq!(writer.len(), 1);
    let text = writer.finish();
    assert!(!text.contains(&crate::world::view_key().to_hex()));
    text
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
fn a_small_set_its_proofs_and_the_claims_behind_it_are_the_vectors() {
    let text = claims_text(true, Purpose::Research);
    let sound = read_claims(&text, &expected()).expect("sound");
    let readings: Vec<_> =
        (0..12).map(|n| reading(1000 + 250 * n, "ecg", &n.to_string())).collect();
    let made = study().export(&expected(), &readings, &sound).expect("a set");
    check_study(&made.data, &made.proofs, &expected()).expect("holds");
    check_vector("claims.jsonl", &text);
    check_vector("data.csv", &made.data);
    check_vector("proofs.jsonl", &made.proofs);
}

#[test]
fn proofs_have_one_text_and_nothing_in_them_that_covers_no_row() {
    let made = study().export(&expected(), &readings(), &claims(true, Purpose::Research));
    let made = made.expect("a set");
    let part =
        |proofs: &str| check_study(&made.data, proofs, &expected()).expect_err("changed").part;
    // To a reader who takes the first of two members it may be another patient.
    for (own, other) in [
        ("\"patient\":12", "\"patient\":12,\"insurer\":\"acme\""),
        ("\"rows\":3000", "\"rows\": 3000"),
        ("\n", "\r\n"),
    ] {
        let changed = made.proofs.replacen(own, other, 1);
        assert_ne!(changed, made.proofs, "{own}");
        assert_eq!(part(&changed), "words", "{other}");
    }
    assert_eq!(part(made.proofs.trim_end()), "end");
    // Whatever covers nothing would be counted among what was proven covered.
    let cover = made.proofs.find("{\"line\":\"cover\"").expect("one");
    let (before, covers) = made.proofs.split_at(cover);
    let claim = before.lines().last().expect("the claim");
    assert_eq!(part(&format!("{before}{claim}\n{covers}")), "claims that cover a row");
    let proof = BatchProof::of(&World::sound().built[1].file);
    let proof = serde_json::to_string(&proof).expect("JSON");
    let batch = format!("{{\"line\":\"batch\",\"batch\":2,\"proof\":{proof}}}");
    assert_eq!(part(&format!("{before}{batch}\n{covers}")), "batches that have a claim");
}

#[test]
fn what_was_excluded_or_read_for_another_purpose_or_by_another_makes_no_set() {
    let export = |study: &Study, sound| study.export(&expected(), &readings(), &sound);
    let excluded = claims(false, Purpose::Research);
    assert_eq!(export(&study(), excluded).err(), Some(StudyError::Nothing));
    let treatment = claims(true, Purpose::Treatment);
    assert_eq!(export(&study(), treatment).err(), Some(StudyError::Nothing));
    let other = Study { practitioner: "dr-002".to_owned(), ..study() };
    assert_eq!(export(&other, claims(true, Purpose::Research)).err(), Some(StudyError::Nothing));
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
    let of = extract::Expected { fingerprint: deployment.fingerprint.to_string(), ..expected() };
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
