//! Which claims a file has, in which lines.

use accounting::{
    About, Document, Entry, EntryError, ExportKind, KEPT_ACCESS_LOG_MS, KEPT_DISCLOSURES_MS, Known,
    Purposes, Settled,
};
use model::calendar::parse_instant;
use model::{BatchNumber, Digest, PatientIndex, Purpose};

use crate::claims::{
    Access, RESEARCH, about, at, collection, document, entry, known, patient, settled,
};

const TREATMENT: Access = Access { purpose: Purpose::Treatment, ..RESEARCH };

fn days(document: &Document) -> Vec<u32> {
    document.entries().iter().map(|entry| entry.place().1).collect()
}

#[test]
fn an_accounting_leaves_out_what_the_law_exempts_and_nothing_else() {
    let of = |day, purpose| Access { day, purpose, ..RESEARCH };
    let accesses = [
        of(1, Purpose::Treatment),
        of(2, Purpose::EmergencyTreatment),
        of(3, Purpose::Payment),
        of(4, Purpose::Operations),
        of(5, Purpose::PatientRequest),
        of(6, Purpose::Research),
        of(7, Purpose::PublicHealth),
        // The exemption is of what is allowed: nobody allowed this one.
        Access { covered: false, ..of(8, Purpose::Treatment) },
    ];
    assert_eq!(days(&document(ExportKind::Disclosures, &accesses)), [6, 7, 8]);
    let all = About { purposes: Purposes::All, ..about(ExportKind::Disclosures) };
    let all = Document::new(all, accesses.iter().map(Access::entry)).expect("few");
    assert_eq!(days(&all), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(days(&document(ExportKind::AccessLog, &accesses)), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_collection_is_no_disclosure_and_no_access_and_is_an_event() {
    let with = |kind| Document::new(about(kind), [entry(collection(3))]).expect("one");
    assert!(with(ExportKind::Disclosures).entries().is_empty());
    assert!(with(ExportKind::AccessLog).entries().is_empty());
    assert_eq!(days(&with(ExportKind::AuditEvents)), [3]);
}

#[test]
fn repeated_disclosures_to_one_recipient_for_one_purpose_are_one_line() {
    let of = |day| Access { day, ..RESEARCH };
    let other = Access { who: "dr-002", ..of(4) };
    let uncovered = Access { covered: false, ..of(5) };
    let document = document(ExportKind::Disclosures, &[of(9), of(2), other, uncovered, of(6)]);
    let lines = document.lines();
    let found: Vec<Vec<u32>> = lines
        .iter()
        .map(|line| line.members.iter().map(|entry| entry.place().1).collect())
        .collect();
    assert_eq!(found, [vec![2, 6, 9], vec![4], vec![5]]);
}

#[test]
fn a_file_has_its_period_and_its_patient() {
    let narrow = About { from: at(2), until: at(4), ..about(ExportKind::AccessLog) };
    let accesses = [1, 2, 3, 4].map(|day| Access { day, ..TREATMENT }.entry());
    let document = Document::new(narrow, accesses.clone()).expect("few");
    assert_eq!(days(&document), [2, 3]);
    let patient = PatientIndex::new(8).expect("24 bits");
    let other = About { patient, ..about(ExportKind::AccessLog) };
    assert!(Document::new(other, accesses.clone()).expect("few").entries().is_empty());
    let twice = accesses.iter().chain(&accesses).cloned();
    assert_eq!(
        days(&Document::new(about(ExportKind::AccessLog), twice).expect("few")),
        [1, 2, 3, 4]
    );
    // The same leaf with other names, with or without its transaction, is the same access.
    let bare = [1, 2, 3, 4].map(|day| {
        let opening = Access { day, ..TREATMENT }.opening();
        Entry::new(BatchNumber(4), None, opening, Known::default()).expect("an entry")
    });
    let both = accesses.iter().chain(&bare).cloned();
    let document = Document::new(about(ExportKind::AccessLog), both).expect("few");
    assert_eq!(document.entries(), accesses);
}

#[test]
fn files_reach_back_at_least_as_far_as_the_law_has_it() {
    let at = |text| parse_instant(text).expect("a time").millis();
    let until = at("2032-03-01T00:00:00Z");
    // Both with as many leap days as so many years can have.
    let begins = [
        (KEPT_DISCLOSURES_MS, "2026-03-01T00:00:00Z"),
        (KEPT_ACCESS_LOG_MS, "2029-03-01T00:00:00Z"),
    ];
    for (kept_ms, from) in begins {
        assert!(until.since(at(from)) <= kept_ms, "{from}");
    }
}

#[test]
fn what_a_file_is_about_has_one_text() {
    let suspended_until = Some(at(30));
    let all = About { purposes: Purposes::All, suspended_until, ..about(ExportKind::Disclosures) };
    for about in [about(ExportKind::AuditEvents), about(ExportKind::AccessLog), all] {
        let text = about.to_string();
        assert_eq!(About::parse(&text), Ok(about));
        for wrong in [text.replace("=7", "=07"), format!("{text} "), text.to_uppercase()] {
            assert!(About::parse(&wrong).is_err(), "{wrong}");
        }
    }
    assert!(About::parse("").is_err());
}

#[test]
fn an_entry_is_found_in_its_leaf_and_nowhere_else() {
    let opening = RESEARCH.opening();
    let (entry, found) = (RESEARCH.entry(), settled(&opening));
    assert_eq!(entry.check(&found), Ok(()));
    let unknown = Settled { transaction: None, ..found };
    assert_eq!(entry.check(&unknown), Ok(()));
    let leaf = EntryError::Leaf { batch: BatchNumber(4), chunk: 0, leaf: 1 };
    let nothing = Settled { committed: None, ..found };
    assert_eq!(entry.check(&nothing), Err(leaf.clone()));
    let other = settled(&TREATMENT.opening());
    assert_eq!(entry.check(&other), Err(leaf));
    let moved = Settled { transaction: Some([1; 32]), ..found };
    assert_eq!(entry.check(&moved), Err(EntryError::Transaction { batch: BatchNumber(4) }));
    // Committed all the same, and signed for another deployment.
    let mut elsewhere = found;
    elsewhere.scope.chain_id = 1;
    assert!(matches!(entry.check(&elsewhere), Err(EntryError::Request { .. })));
}

#[test]
fn a_claim_that_is_not_what_was_signed_is_noticed_though_it_is_committed() {
    let mut opening = RESEARCH.opening();
    opening.claim.purpose = Purpose::Treatment;
    let found = settled(&opening);
    let refused = entry(opening).check(&found);
    assert_eq!(refused, Err(EntryError::Request { part: "purpose" }));
}

#[test]
fn names_stand_for_the_words_of_the_claim_or_are_refused() {
    let make = |known| Entry::new(BatchNumber(4), None, collection(3), known);
    let named = make(known()).expect("its names");
    assert_eq!((named.individual(), named.organisation()), (Some("monitor-1"), Some("ward-3")));
    for (individual, organisation) in [("monitor-2", "ward-3"), ("monitor-1", "ward 3"), ("", "x")]
    {
        let [individual, organisation] = [individual, organisation].map(|n| Some(n.to_owned()));
        let refused = make(Known { individual, organisation });
        assert!(matches!(refused, Err(EntryError::Name { .. })), "{refused:?}");
    }
    let mut other = RESEARCH.opening();
    other.claim.digest = Digest([1; 31]);
    let refused = Entry::new(BatchNumber(4), None, other, Known::default());
    assert_eq!(refused, Err(EntryError::Request { part: "digest" }));
    assert_eq!(RESEARCH.entry().individual(), Some("dr-001"));
    assert_eq!(patient().get(), 7);
}

#[test]
fn an_entry_is_one_byte_string() {
    let named = Entry::new(BatchNumber(4), None, collection(3), known()).expect("an entry");
    for entry in [RESEARCH.entry(), entry(collection(2)), named] {
        let bytes = entry.to_bytes();
        assert_eq!(Entry::from_bytes(&bytes), Ok(entry.clone()));
        for length in 0..bytes.len() {
            assert!(Entry::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Entry::from_bytes(&longer).is_err());
    }
    // Names beside a signed request would be a second text of the same entry.
    let mut bytes = RESEARCH.entry().to_bytes();
    bytes.truncate(bytes.len() - 2);
    bytes.extend(b"\x06dr-001\x00");
    assert!(matches!(Entry::from_bytes(&bytes), Err(EntryError::Name { .. })));
}
