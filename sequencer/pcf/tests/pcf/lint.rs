//! What is refused, where and why; and what is told.

use pcf::{Finding, InUtc, Names, NotJson, Weight};
use serde_json::{Value, json};

use crate::documents::{example, examples, names, reading};

/// Findings of an example after a change, as `element: code`.
fn found(name: &str, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut document: Value = serde_json::from_slice(&example(name)).unwrap();
    change(&mut document);
    let reading = reading(document.to_string().as_bytes());
    let refused = reading.findings.iter().any(|one| one.weight() == Weight::Refused);
    assert!(!refused || reading.rules.is_empty(), "a refused document has no rules");
    reading.findings.iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    assert!(!finding.reason.rewrite().is_empty());
    format!("{}: {}", finding.element, finding.reason.code())
}

const TREAT: &str = "ex-consent-basic-treat";

#[test]
fn no_consent_of_core_r4_or_r5_is_ever_read_as_rules() {
    let core = examples("hl7-core");
    assert_eq!(core.len(), 24);
    for example in core {
        let reading = reading(&example.bytes);
        assert!(reading.rules.is_empty(), "{}", example.name);
        let first = line(&reading.findings[0]);
        assert_eq!(first, "meta.profile: not-pcf", "{}", example.name);
        // More than that it is no PCF: what in it leaves its meaning open.
        let more = reading.findings.iter().skip(1).map(line).collect::<Vec<_>>();
        assert!(!more.is_empty(), "{}", example.name);
        let shown = pcf::in_words(&example.bytes).unwrap();
        assert!(!shown.is_empty(), "{}", example.name);
    }
}

#[test]
fn two_core_examples_of_opposite_meanings_read_alike_and_the_words_leave_it_open() {
    let core = examples("hl7-core");
    let words = |name: &str| {
        let found = core.iter().find(|one| one.name == name).unwrap();
        pcf::in_words(&found.bytes).unwrap()
    };
    let (basic, not_time) = (words("r4-basic"), words("r4-notTime"));
    assert_eq!(basic[0], not_time[0]);
    for (lines, period) in
        [(basic, "1964-01-01 to 2016-01-01"), (not_time, "2015-01-01 to 2015-02-01")]
    {
        let open = "provision: does not say whether it permits or forbids, held from ";
        assert_eq!(lines[1], format!("{open}{period}"));
    }
}

#[test]
fn each_example_is_told_what_is_to_be_known_of_it() {
    let told = |name: &str| found(name, |_| {});
    assert_eq!(told(TREAT), [""; 0]);
    assert_eq!(told("ex-consent-basic-reject"), ["provision: refused-anyway"]);
    assert_eq!(told("ex-consent-intermediate-authoredby"), ["provision.data[0]: source-no-device"]);
    assert_eq!(told("ex-consent-intermediate-purpose"), ["provision.purpose[0]: read-as"]);
    assert_eq!(
        told("ex-dissent-intermediate-break-glass"),
        [
            "provision: refused-anyway",
            "provision.provision[0].actor[0]: care-team",
            "provision.provision[0].purpose: break-glass",
        ]
    );
}

#[test]
fn a_deny_of_a_care_team_would_deny_nobody_and_is_refused() {
    let actor = |reference: &str| {
        let role = json!({"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"
        }]});
        json!([{"role": role, "reference": {"reference": reference}}])
    };
    let team = actor("Group/ex-privilegedUsers");
    let below = |kind: &str| json!([{"type": kind, "actor": team.clone()}]);
    let found =
        |kind: &str| found(TREAT, |document| document["provision"]["provision"] = below(kind));
    let told = "provision.provision[0].actor[0]: care-team";
    assert_eq!(found("permit"), [told]);
    assert_eq!(found("deny"), [told, "provision.provision[0].actor: care-team-denied"]);
}

#[test]
fn a_consent_of_two_patients_is_of_neither() {
    let named = |index: &str| {
        found(TREAT, |document| {
            document["patient"]["identifier"] =
                json!({"system": "urn:vitals-rollup:patient", "value": index});
        })
    };
    assert_eq!(named("7"), [""; 0]);
    assert_eq!(named("8"), ["patient: patient-unknown"]);
    // Nor is one passed over that is no index, though the reference beside it is known.
    for wrong in ["+7", "07", "x", "16777216"] {
        assert_eq!(named(wrong), ["patient: patient-unknown"], "{wrong}");
    }
}

#[test]
fn each_element_that_no_rule_can_say_is_named() {
    let provision = |name: &'static str, value: Value| {
        move |document: &mut Value| document["provision"][name] = value
    };
    let reason = |name: &'static str, value: Value| found(TREAT, provision(name, value));
    let coding = |system: &str, code: &str| json!([{"system": system, "code": code}]);
    let reasons = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    let sensitivity = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    for (found, expected) in [
        (reason("type", json!("maybe")), "provision.type: type-unknown"),
        (reason("type", json!(1)), "provision.type: form"),
        (reason("purpose", json!([])), "provision.purpose: form"),
        (reason("purpose", coding(reasons, "CAREMGT")), "provision.purpose[0]: purpose"),
        (reason("purpose", coding("http://x.example", "TREAT")), "provision.purpose[0]: purpose"),
        (
            reason("securityLabel", coding(sensitivity, "ETHUD")),
            "provision.securityLabel[0]: label",
        ),
        (reason("action", json!([])), "provision.action: forbidden"),
        (reason("class", json!([])), "provision.class: forbidden"),
        (reason("expression", json!({})), "provision.expression: unread"),
        (reason("_type", json!({})), "provision._type: unread"),
        (reason("period", json!({})), "provision.period: form"),
        (reason("period", json!({"end": "tomorrow"})), "provision.period.end: time"),
        (reason("period", json!({"end": "9999-12-31"})), "provision.period.end: time"),
        (
            reason("period", json!({"start": "2026-05-02", "end": "2026-05-01"})),
            "provision.period: period",
        ),
        (
            reason("modifierExtension", json!([{"url": "urn:x", "valueCode": "y"}])),
            "provision.modifierExtension[0]: unread",
        ),
        (
            reason(
                "modifierExtension",
                json!([{"url": pcf::CATEGORIES_EXTENSION, "valueCode": "mood"}]),
            ),
            "provision.modifierExtension[0]: category",
        ),
        (
            reason("modifierExtension", json!([{"url": pcf::KINDS_EXTENSION, "valueCode": "x"}])),
            "provision.modifierExtension[0]: kind",
        ),
        (
            reason("provision", json!([{"type": "deny", "provision": [{"type": "permit"}]}])),
            "provision.provision[0].provision: depth",
        ),
        (reason("provision", json!([{}])), "provision.provision[0].type: type-missing"),
    ] {
        assert_eq!(found, [expected]);
    }
}

#[test]
fn text_of_a_document_begins_no_line_of_its_own() {
    let mut document: Value = serde_json::from_slice(&example(TREAT)).unwrap();
    document["provision"]["purpose"][0]["code"] = json!("TREAT\nto be signed\n  nothing");
    document["provision"]["a\nb"] = json!(1);
    let bytes = document.to_string().into_bytes();
    let mut shown = pcf::in_words(&bytes).unwrap();
    shown.extend(reading(&bytes).findings.iter().map(ToString::to_string));
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|line| !line.contains('\n')), "{shown:?}");
}

#[test]
fn a_date_is_refused_where_nobody_says_its_zone() {
    let bytes = example("ex-consent-intermediate-timeframe");
    let read = pcf::read(&bytes, &names(), None).unwrap();
    let found: Vec<_> = read.findings.iter().map(line).collect();
    assert_eq!(found, ["provision.dataPeriod.start: zone", "provision.dataPeriod.end: zone"]);
}

#[test]
fn an_actor_is_a_recipient_with_a_name_or_is_refused() {
    let actor = |role: &str, reference: Value| {
        let system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        let role = json!({"coding": [{"system": system, "code": role}]});
        let actors = json!([{"role": role, "reference": reference}]);
        found(TREAT, |document| document["provision"]["actor"] = actors)
    };
    let literal = |text: &str| json!({"reference": text});
    let by_name = |value: &str| json!({"identifier": {"system": "urn:vitals-rollup:practitioner", "value": value}});
    let doctor = literal("Practitioner/ex-practitioner");
    assert_eq!(actor("IRCP", doctor.clone()), [""; 0]);
    assert_eq!(actor("IRCP", by_name("dr-002")), [""; 0]);
    for (found, expected) in [
        (actor("CST", doctor), "role: role"),
        (actor("IRCP", literal("Practitioner/stranger")), "reference: actor-unknown"),
        (actor("IRCP", literal("PractitionerRole/ex-practitioner")), "reference: actor-type"),
        (actor("IRCP", literal("Patient/ex-patient")), "reference: actor-type"),
        (actor("IRCP", by_name("Dr X")), "reference.identifier.value: actor-unknown"),
        (actor("IRCP", json!({"display": "Dr X"})), "reference: form"),
    ] {
        assert_eq!(found, [format!("provision.actor[0].{expected}")]);
    }
    let other = Names::parse(
        "[actors]\n\"Practitioner/a\" = \"organisation:a\"\n[patients]\n\"Patient/ex-patient\" = 7",
    );
    let mut document: Value =
        serde_json::from_slice(&example("ex-consent-intermediate-purpose")).unwrap();
    document["provision"]["purpose"][0] = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"});
    document["provision"]["actor"][0]["reference"] = literal("Practitioner/a");
    let read = pcf::read(document.to_string().as_bytes(), &other.unwrap(), Some(&InUtc)).unwrap();
    let found: Vec<_> = read.findings.iter().map(line).collect();
    assert_eq!(found, ["provision.actor[0].reference: actor-other"]);
}

#[test]
fn what_stands_above_the_provisions_is_checked_too() {
    for (change, expected) in [
        ("status", vec!["status: status"]),
        ("scope", vec!["scope: scope"]),
        ("patient", vec!["patient: patient-unknown"]),
        ("provision", vec!["provision: form"]),
    ] {
        let found = found(TREAT, |document| {
            document.as_object_mut().unwrap().remove(change);
        });
        assert_eq!(found, expected);
    }
    let added = |name: &'static str| found(TREAT, |document| document[name] = json!([]));
    assert_eq!(added("verification"), ["verification: forbidden"]);
    assert_eq!(added("implicitRules"), ["implicitRules: unread"]);
    assert_eq!(added("policyRule"), ["policyRule: policy-rule"]);
    let stranger = found(TREAT, |document| document["patient"]["reference"] = json!("Patient/x"));
    assert_eq!(stranger, ["patient: patient-unknown"]);
}

#[test]
fn more_rules_than_a_record_holds_are_refused_before_they_are_made() {
    let many = |count: usize| {
        let provisions: Vec<_> = (0..count)
            .map(|n| json!({"type": "deny", "period": {"start": format!("20{n:02}")}}))
            .collect();
        found(TREAT, |document| document["provision"]["provision"] = provisions.into())
    };
    assert_eq!(many(4), [""; 0]);
    assert_eq!(many(5), ["provision.provision[4]: too-many"]);
    let names = names();
    let actors: Vec<_> = (0..64)
        .map(|n| {
            json!({
                "role": {"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                    "code": "IRCP"}]},
                "reference": {"identifier": {
                    "system": "urn:vitals-rollup:practitioner", "value": format!("dr-{n}")}},
            })
        })
        .collect();
    let mut document: Value = serde_json::from_slice(&example(TREAT)).unwrap();
    document["provision"]["actor"] = actors.into();
    let read = pcf::read(document.to_string().as_bytes(), &names, Some(&InUtc)).unwrap();
    assert_eq!(read.findings.iter().map(line).collect::<Vec<_>>(), ["provision: too-many"]);
}

#[test]
fn bytes_that_are_no_consent_are_refused_without_their_content() {
    let read = |bytes: &[u8]| pcf::read(bytes, &names(), Some(&InUtc)).unwrap_err();
    assert!(matches!(read(b"{\"secret\""), NotJson::Json { line: 1 }));
    assert!(matches!(read(b"{\"resourceType\": \"Patient\"}"), NotJson::Resource));
    assert!(matches!(read(&vec![b' '; (1 << 20) + 1]), NotJson::Size { .. }));
    let deep =
        [b"{\"resourceType\": \"Consent\", \"provision\": ".as_slice(), &[b'['; 5000]].concat();
    assert!(matches!(read(&deep), NotJson::Json { .. }));
}

#[test]
fn names_that_lead_back_to_two_codes_or_name_nobody_are_refused() {
    let twice = "[purposes]\n\"a|1\" = \"research\"\n\"a|2\" = \"research\"";
    for text in
        [twice, "[actors]\n\"a\" = \"nurse:b\"", "[people]\n", "[purposes]\n\"a\" = \"fun\""]
    {
        let error = Names::parse(text).unwrap_err().to_string();
        assert!(error.contains("expected "), "{error}");
    }
}
