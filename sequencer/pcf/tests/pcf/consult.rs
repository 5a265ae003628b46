//! Questions of systems, in the shape of a CDS Hook.

use model::{Categories, Category, ClaimKind, Label, Purpose};
use pcf::{Consult, ConsultError};
use serde_json::{Value, json};

use crate::documents::names;

fn question() -> Value {
    json!({
        "hook": "patient-consent-consult",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "patientId": [{"system": "urn:vitals-rollup:patient", "value": "7"}],
            "scope": "patient-privacy",
            "actor": [
                {"system": "urn:vitals-rollup:practitioner", "value": "dr-001"},
                {"system": "urn:vitals-rollup:organisation", "value": "st-anne"},
            ],
            "purposeOfUse": "TREAT",
            "category": [{"system": "urn:vitals-rollup:consent:category", "code": "ecg"}],
            "class": [{"system": "urn:vitals-rollup:consent:category", "code": "spo2"}],
        },
    })
}

fn ask(question: &Value) -> Result<Consult, ConsultError> {
    pcf::consult(question.to_string().as_bytes(), &names())
}

#[test]
fn a_question_says_whom_about_what_and_why() {
    let asked = ask(&question()).unwrap();
    assert_eq!((asked.patient, asked.purpose), (7, Purpose::Treatment));
    assert_eq!(asked.kind, ClaimKind::Access);
    assert_eq!(asked.individual.unwrap().to_string(), "practitioner:dr-001");
    assert_eq!(asked.organisation.unwrap().to_string(), "organisation:st-anne");
    let both: Categories = [Category::Ecg, Category::Spo2].into_iter().collect();
    assert_eq!((asked.categories, asked.labels), (both, Label::Normal.only()));
    assert_eq!(asked.measured, None);
    let mut emergency = question();
    emergency["context"]["purposeOfUse"] = json!("BTG");
    let asked = ask(&emergency).unwrap();
    assert_eq!((asked.purpose, asked.kind), (Purpose::EmergencyTreatment, ClaimKind::BreakGlass));
}

/// The element and code of what keeps a changed question from being one.
fn refused(change: &dyn Fn(&mut Value)) -> String {
    let mut asked = question();
    change(&mut asked["context"]);
    match ask(&asked).unwrap_err() {
        ConsultError::Element(finding) => {
            format!("{}: {}", finding.element, finding.reason.code())
        }
        other => other.to_string(),
    }
}

#[test]
fn an_index_has_one_text() {
    for value in ["+7", "007", " 7", "16777216"] {
        let changed = |context: &mut Value| context["patientId"][0]["value"] = json!(value);
        assert_eq!(refused(&changed), "context.patientId: patient-unknown", "{value}");
    }
}

#[test]
fn what_is_missing_or_unknown_is_named_and_nothing_is_guessed() {
    let pair = |system: &str, value: &str| json!({"system": system, "value": value});
    let patients =
        json!([pair("urn:vitals-rollup:patient", "7"), pair("urn:vitals-rollup:patient", "8"),]);
    let half = json!([pair("urn:vitals-rollup:patient", "7"), pair("http://x.example", "1")]);
    let alone = json!([pair("urn:vitals-rollup:practitioner", "dr-001")]);
    let team = json!([pair("urn:vitals-rollup:care-team", "night")]);
    let stranger = json!([pair("http://x.example", "1")]);
    let doctors = json!([
        pair("urn:vitals-rollup:practitioner", "dr-001"),
        pair("urn:vitals-rollup:practitioner", "dr-002"),
    ]);
    let dated = json!({"start": "2026-05-01"});
    let values = [
        ("patientId", patients, "context.patientId: patient-unknown"),
        ("patientId", stranger.clone(), "context.patientId: patient-unknown"),
        ("patientId", half, "context.patientId: patient-unknown"),
        ("actor", alone, "context.actor: form"),
        ("actor", team, "context.actor[0]: actor-type"),
        ("actor", stranger, "context.actor[0]: actor-unknown"),
        ("actor", doctors, "context.actor[1]: too-many"),
        ("purposeOfUse", json!("CURIOUS"), "context.purposeOfUse: purpose"),
        ("scope", json!("research"), "context.scope: scope"),
        ("dataPeriod", dated, "context.dataPeriod: period"),
        ("encounter", json!("1"), "context.encounter: unread"),
    ];
    for (name, value, expected) in values {
        assert_eq!(refused(&|context| context[name] = value.clone()), expected);
    }
    for (name, expected) in
        [("actor", "context.actor: form"), ("purposeOfUse", "context.purposeOfUse: form")]
    {
        let without = |context: &mut Value| {
            context.as_object_mut().unwrap().remove(name);
        };
        assert_eq!(refused(&without), expected);
    }
    let other = json!({"hook": "patient-view"});
    assert!(matches!(ask(&other), Err(ConsultError::Element(one)) if one.element == "hook"));
    assert!(matches!(pcf::consult(b"[]", &names()), Err(ConsultError::Json)));
    let long = vec![b' '; pcf::CONSULT_BYTES_MAX + 1];
    assert!(matches!(pcf::consult(&long, &names()), Err(ConsultError::Size { .. })));
}

#[test]
fn a_question_or_a_consent_with_a_name_twice_is_none() {
    let asked = question().to_string();
    let twice = asked.replacen("\"scope\":", "\"patientId\":[],\"scope\":", 1);
    assert_ne!(asked, twice);
    assert!(matches!(pcf::consult(twice.as_bytes(), &names()), Err(ConsultError::Json)));
    let consent = r#"{"resourceType": "Consent", "status": "active", "scope": {"text": "a"}}"#;
    assert!(pcf::in_words(consent.as_bytes()).is_ok());
    // Also where it is written another way, and below the top.
    for (from, to) in [("\"scope\"", "\"st\\u0061tus\""), ("\"text\"", "\"text\": \"b\", \"text\"")]
    {
        let twice = consent.replacen(from, to, 1);
        let error = pcf::in_words(twice.as_bytes()).expect_err("a name twice");
        assert!(matches!(error, pcf::NotJson::Json { line: 1 }), "{error}");
    }
}

#[test]
fn the_card_says_what_was_decided_and_no_rule() {
    let yes = pcf::card(true, 12);
    assert_eq!(yes["cards"][0]["summary"], "CONSENT_PERMIT");
    assert_eq!(yes["cards"][0]["extension"]["position"], 12);
    let no = pcf::card(false, 13);
    assert_eq!(no["cards"][0]["extension"]["decision"], "CONSENT_DENY");
    assert!(!no.to_string().contains("C2"));
}
