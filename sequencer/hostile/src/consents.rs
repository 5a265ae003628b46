//! A FHIR Consent that somebody was sent, a question of a system about one, and the file of names
//! by which both are read.

use std::collections::BTreeSet;

use model::{Millis, Record, RuleSlot, Word};
use pcf::{CONSULT_BYTES_MAX, Document, Effect, InUtc, Names, NamesError, Reading, Stated};

use crate::quoted::repeats;

/// What stands in the samples, and what an export asks for.
const NAMES: &str = r#"
    [patients]
    "Patient/ex-patient" = 7
    [actors]
    "Practitioner/ex-practitioner" = "practitioner:dr-001"
    "Organization/ex-org-researcher" = "organisation:research-lab"
    "Group/ex-privilegedUsers" = "care-team:emergency"
    [document]
    organization = "Organization/ex-organization"
    policy = "http://example.org/policies/basePrivacyConsentPolicy.txt"
"#;

/// What becomes rules leads back to a document that becomes the same rules; everything else is
/// refused with at least one element, and can be shown. A question that is one asks about somebody
/// and something; names that are none say so without one of them.
///
/// # Panics
/// If it does not, or a reader does.
pub fn consent(bytes: &[u8]) {
    let names = Names::parse(NAMES).expect("names that can be read");
    if let Ok(asked) = pcf::consult(bytes, &names) {
        assert!(bytes.len() <= CONSULT_BYTES_MAX, "no longer than it may be");
        assert!(!asked.categories.is_empty() && !asked.labels.is_empty(), "about something");
        let acts = asked.individual.is_none() || asked.organisation.is_some();
        assert!(acts, "a practitioner or device acts for an organisation");
    }
    if let Err(error) = std::str::from_utf8(bytes).map_or(Ok(names.clone()), Names::parse) {
        assert!(names_nobody(&error, bytes), "names stand in {error:#}");
    }
    let Ok(reading) = pcf::read(bytes, &names, Some(&InUtc)) else { return };
    assert!(pcf::in_words(bytes).is_ok(), "what is read can be shown");
    match reading.compiled() {
        Err(refused) => assert!(!refused.findings.is_empty(), "a refusal names an element"),
        Ok(read) => leads_back(&read, &names),
    }
}

/// Whether an error, and whatever caused it, repeats no part of a text that is too long to stand
/// there by chance.
fn names_nobody(error: &NamesError, text: &[u8]) -> bool {
    let mut causes: Vec<&dyn std::error::Error> = vec![error];
    while let Some(next) = causes.last().and_then(|last| last.source()) {
        causes.push(next);
    }
    let said: String = causes.iter().map(ToString::to_string).collect();
    !repeats(&said, text)
}

fn leads_back(read: &Reading, names: &Names) {
    let record = record(&read.rules);
    let known = read.rules.iter().flat_map(|one| [one.actor.clone(), one.source.clone()]);
    let known: Vec<_> = known.flatten().collect();
    let party = |party| known.iter().find(|one| model::Party::Named(one.word()) == party).cloned();
    let document = Document {
        patient: read.patient.expect("whose it is was asked for"),
        at: Millis::UNBOUNDED_PAST,
        signed: "",
        party: &party,
        names,
    };
    let written = pcf::write(&record, &document).expect("what was read can be written");
    let again = pcf::read(written.to_string().as_bytes(), names, Some(&InUtc));
    let again = again.expect("a Consent").compiled().expect("rules");
    assert_eq!((said(&again.rules), again.patient), (said(&read.rules), read.patient));
}

fn said(rules: &[Stated]) -> BTreeSet<String> {
    rules.iter().map(|one| format!("{:?} {:?}", one.effect, one.rule)).collect()
}

fn record(rules: &[Stated]) -> Record {
    let mut record = Record::enrolled(Word::ZERO, Word::ZERO, Word::ZERO);
    for effect in Effect::ALL {
        for (number, one) in rules.iter().filter(|one| one.effect == effect).enumerate() {
            let slot = match effect {
                Effect::Permit => RuleSlot::Permit(number as u8),
                Effect::Deny => RuleSlot::Deny(number as u8),
                Effect::Policy => RuleSlot::Policy(number as u8),
            };
            record.rules[usize::from(slot.number())] = Some(one.rule);
        }
    }
    record
}
