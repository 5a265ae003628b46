use serde_json::{Value as Json, json};

use super::*;
use crate::sampled::Sample;

/// An Observation that is taken, with other fields in the place of its own; null takes one away.
fn posted(changes: Json) -> String {
    let mut whole = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": "Patient/7" },
        "effectiveDateTime": "2026-05-01T08:30:00.250+02:00",
        "valueQuantity": { "value": 72, "unit": "bpm", "code": "/min" },
    });
    for (name, value) in changes.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    whole.to_string()
}

fn read(changes: Json) -> Result<Observation, Issue> {
    Observation::parse(posted(changes).as_bytes())
}

fn check_refused(changes: Json, expression: &str, code: &str) {
    let issue = read(changes).expect_err(expression);
    let (at, found_code) = (issue.expression.as_str(), issue.fault.code());
    assert_eq!((at, found_code.as_str()), (expression, code), "{issue}");
}

fn micros(text: &str) -> Instant {
    model::calendar::parse_instant(text).unwrap()
}

#[test]
fn a_vital_sign_is_read_with_everything_that_a_reading_needs() {
    let read = read(json!({
        "identifier": [{ "system": "urn:x", "value": "o-1" }, { "system": "urn:x" }],
        "device": { "identifier": { "system": "urn:d", "value": "m-1" } },
        "valueQuantity": { "value": 36.50, "unit": "C", "system": "urn:u", "code": "Cel" },
        "note": [{ "text": "passed over" }],
    }));
    let read = read.unwrap();
    assert_eq!(read.effective, Effective::Instant(micros("2026-05-01T06:30:00.250Z")));
    assert_eq!(read.subject.reference.as_deref(), Some("Patient/7"));
    let identifier =
        |system: &str, value: &str| Identifier { system: Some(system.into()), value: value.into() };
    assert_eq!(read.identifiers, [identifier("urn:x", "o-1")]);
    assert_eq!(read.device.unwrap().identifiers, [identifier("urn:d", "m-1")]);
    let [valued] = &read.values[..] else { panic!("one value") };
    let unit =
        Unit { system: Some("urn:u".into()), code: Some("Cel".into()), text: Some("C".into()) };
    assert_eq!(valued.value, Value::Quantity { value: "36.5".into(), unit });
    assert_eq!(valued.expression, "Observation");
    assert_eq!(valued.element, "valueQuantity");
}

#[test]
fn a_number_keeps_the_digits_that_were_sent() {
    let sent = posted(json!({})).replace("\"value\":72", "\"value\": 72.50");
    let read = Observation::parse(sent.as_bytes()).unwrap();
    assert!(matches!(&read.values[0].value, Value::Quantity { value, .. } if value == "72.50"));
}

#[test]
fn a_value_beside_the_reason_that_there_is_none_is_refused_with_the_reason() {
    let reason = json!({ "coding": [{ "code": "error" }] });
    let both = json!({ "dataAbsentReason": reason });
    check_refused(both, "Observation.dataAbsentReason", "value-and-absent");
    let text = json!({
        "valueQuantity": null, "valueString": "72", "dataAbsentReason": { "text": "masked" },
    });
    check_refused(text, "Observation.dataAbsentReason", "value-and-absent");
    let code = json!({ "coding": [{ "code": "a" }] });
    let value = json!({ "value": 107 });
    let parts = json!([
        { "code": code, "valueQuantity": value },
        { "code": code, "valueQuantity": value, "dataAbsentReason": reason },
    ]);
    let part = json!({ "valueQuantity": null, "component": parts });
    check_refused(part, "Observation.component[1].dataAbsentReason", "value-and-absent");
}

#[test]
fn components_are_values_and_a_reason_stands_in_the_place_of_one() {
    let code = |code: &str| json!({ "coding": [{ "code": code }] });
    let absent = |reason: &str| json!({ "code": code("b"), "dataAbsentReason": { "coding": [{ "code": reason }] } });
    let panel = |parts: Json| read(json!({ "valueQuantity": null, "component": parts }));
    let first = json!({ "code": code("a"), "valueQuantity": { "value": 107 } });
    let read = panel(json!([first, absent("not-performed"), absent("error")])).unwrap();
    let values: Vec<_> = read.values.iter().map(|it| (it.expression.as_str(), &it.value)).collect();
    assert_eq!(values[1], ("Observation.component[1]", &Value::Absent(Absent::NotMeasured)));
    assert_eq!(values[2], ("Observation.component[2]", &Value::Absent(Absent::Failed)));
    assert_eq!(read.values[0].codings, [Coding { system: None, code: "a".into() }]);
    let issue = panel(json!([first, { "code": code("b") }])).unwrap_err();
    assert_eq!(issue.expression, "Observation.component[1]");
    let many = vec![first; COMPONENTS_MAX + 1];
    assert_eq!(panel(json!(many)).unwrap_err().fault.code(), "too-many");
}

#[test]
fn a_subject_that_stands_within_has_the_names_that_stand_there() {
    let read = read(json!({
        "contained": [
            { "resourceType": "Patient", "id": "p", "identifier": [{ "value": "A" }] },
            { "resourceType": "Patient", "id": "q", "identifier": [{ "value": "B" }] },
        ],
        "subject": { "reference": "#q" },
    }));
    let bare = Identifier { system: None, value: "B".into() };
    assert_eq!(read.unwrap().subject.identifiers, [bare]);
}

#[test]
fn what_would_have_to_be_guessed_is_refused_at_its_element() {
    let at = |time: &str| json!({ "effectiveDateTime": time });
    let time = "Observation.effectiveDateTime";
    check_refused(at("2026-05-01"), time, "date-only");
    check_refused(at("2026"), time, "date-only");
    check_refused(at("2026-05-01T08:30:00"), time, "zone-missing");
    check_refused(at("2026-05-01T08:30Z"), time, "time-malformed");
    check_refused(at("20260501T083000Z"), time, "time-malformed");
    check_refused(at("1777624200000"), time, "time-malformed");
    check_refused(at("now"), time, "time-malformed");
    check_refused(at("2026-13-01T08:30:00Z"), time, "time-malformed");
    let without = |name: &str| json!({ name: null });
    check_refused(without("effectiveDateTime"), "Observation.effective", "element-missing");
    check_refused(without("subject"), "Observation.subject", "element-missing");
    check_refused(without("status"), "Observation.status", "element-missing");
    check_refused(without("code"), "Observation.code", "element-missing");
    check_refused(without("valueQuantity"), "Observation", "panel-without-values");
    let quantity = |quantity: Json| json!({ "valueQuantity": quantity });
    let bound = quantity(json!({ "value": 30, "comparator": "<" }));
    check_refused(bound, "Observation.valueQuantity.comparator", "comparator");
    let text = quantity(json!({ "value": "72" }));
    check_refused(text, "Observation.valueQuantity.value", "json-type");
    check_refused(quantity(json!({})), "Observation.valueQuantity.value", "element-missing");
}

#[test]
fn what_changes_the_meaning_of_the_rest_is_refused() {
    for status in ["entered-in-error", "amended", "corrected", "cancelled", "registered", "x"] {
        check_refused(json!({ "status": status }), "Observation.status", "status");
    }
    assert!(read(json!({ "status": "preliminary" })).is_ok());
    let modifier = json!([{ "url": "urn:x", "valueBoolean": true }]);
    let whole = json!({ "modifierExtension": modifier });
    check_refused(whole, "Observation.modifierExtension", "modifier-extension");
    let part = json!({
        "component": [{ "code": {}, "valueQuantity": { "value": 1 }, "modifierExtension": modifier }]
    });
    check_refused(part, "Observation.component[0].modifierExtension", "modifier-extension");
    let rules = json!({ "implicitRules": "urn:x" });
    check_refused(rules, "Observation.implicitRules", "implicit-rules");
    let two = json!({ "valueString": "a" });
    check_refused(two, "Observation", "choice-several");
    let other = json!({ "resourceType": "Patient" });
    check_refused(other, "Observation.resourceType", "resource-type");
}

#[test]
fn a_period_has_a_begin_and_an_end_that_is_not_before_it() {
    let over = |begin: &str, end: Option<&str>| {
        read(json!({
            "effectiveDateTime": null,
            "effectivePeriod": { "start": begin, "end": end.unwrap_or(begin) },
        }))
    };
    let (first, last) = ("2026-05-01T08:30:00Z", "2026-05-01T08:30:10Z");
    let expected = Effective::Period { begin: micros(first), end: Some(micros(last)) };
    assert_eq!(over(first, Some(last)).unwrap().effective, expected);
    let issue = over(last, Some(first)).unwrap_err();
    assert_eq!(issue.fault, Fault::PeriodShort);
    let timing = json!({ "effectiveDateTime": null, "effectiveTiming": {} });
    check_refused(timing, "Observation.effectiveTiming", "choice-type");
}

fn waveform(changes: Json) -> Json {
    let mut sampled = json!({
        "origin": { "value": 0.5, "unit": "mV", "code": "mV" },
        "period": 2.5, "factor": 0.01, "dimensions": 1, "data": "1 -2 E 3.5",
    });
    for (name, value) in changes.as_object().unwrap() {
        sampled[name] = value.clone();
    }
    sampled.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json!({ "valueQuantity": null, "valueSampledData": sampled })
}

#[test]
fn a_waveform_is_read_with_its_samples_and_their_time() {
    let read = read(waveform(json!({}))).unwrap();
    let Value::Sampled(sampled) = &read.values[0].value else { panic!("a waveform") };
    assert_eq!((sampled.count, sampled.length_us()), (4, Some(7500)));
    assert_eq!((sampled.origin, sampled.factor), ("0.5".parse().unwrap(), "0.01".parse().unwrap()));
    let numbers = sampled.samples().map(|sample| match sample {
        Sample::Number(text) => Some(text),
        Sample::Error => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [Some("1"), Some("-2"), None, Some("3.5")]);
    assert!(!format!("{read:?}").contains("3.5"));
}

#[test]
fn a_waveform_that_leaves_something_open_is_refused() {
    let check = |changes: Json, element: &str, code: &str| {
        let expression = format!("Observation.valueSampledData.{element}");
        check_refused(waveform(changes), &expression, code);
    };
    check(json!({ "dimensions": 2 }), "dimensions", "dimensions");
    check(json!({ "dimensions": null }), "dimensions", "element-missing");
    check(json!({ "dimensions": 1.5 }), "dimensions", "decimal");
    check(json!({ "period": 0 }), "period", "sample-period");
    check(json!({ "period": -10 }), "period", "sample-period");
    check(json!({ "period": 86_400_001 }), "period", "sample-period");
    check(json!({ "period": null }), "period", "element-missing");
    check(json!({ "origin": null }), "origin", "element-missing");
    check(json!({ "data": null }), "data", "element-missing");
    check(json!({ "data": "" }), "data", "sample-malformed");
    check(json!({ "data": "1 2,5" }), "data", "sample-malformed");
    check(json!({ "data": "1 U" }), "data", "sample-beyond");
    check(json!({ "data": "L" }), "data", "sample-beyond");
    let many = "1 ".repeat(crate::sampled::SAMPLES_MAX + 1);
    check(json!({ "data": many }), "data", "too-many");
}

#[test]
fn nothing_that_was_sent_is_repeated_in_what_is_said_of_it() {
    let secret = "Anna-4711";
    for changes in [
        json!({ "status": secret }),
        json!({ "effectiveDateTime": secret }),
        json!({ "valueQuantity": { "value": secret } }),
        json!({ "subject": secret }),
        json!({ "resourceType": secret }),
    ] {
        let issue = read(changes).unwrap_err();
        assert!(!format!("{issue} {issue:?}").contains(secret), "{issue:?}");
    }
    let whole = read(json!({
        "subject": { "reference": secret, "identifier": { "value": secret } },
        "identifier": [{ "value": secret }],
    }));
    assert!(!format!("{:?}", whole.unwrap()).contains(secret));
}
