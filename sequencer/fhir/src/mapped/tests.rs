use serde_json::{Value as Json, json};

use super::*;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "2.999.1"
identifier = "4711"
patient = 7
[[patient]]
identifier = "Patient/8"
patient = 8
[[device]]
authority = "urn:x"
identifier = "m-1"
device = "monitor-1"
"#;

fn posted(changes: Json) -> Observation {
    let mut whole = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": coded(&["8867-4"]),
        "subject": { "identifier": { "system": "urn:oid:2.999.1", "value": "4711" } },
        "device": { "identifier": { "system": "urn:x", "value": "m-1" } },
        "effectiveDateTime": "2026-05-01T08:30:00Z",
        "valueQuantity": { "value": 72, "unit": "/min" },
    });
    for (name, value) in changes.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    Observation::parse(whole.to_string().as_bytes()).unwrap()
}

/// Codes of LOINC; those of six digits are MDC's.
fn coded(codes: &[&str]) -> Json {
    let coding = |code: &&str| {
        let mdc = code.len() == 6 && !code.contains('-');
        let system = if mdc { "urn:iso:std:iso:11073:10101" } else { "http://loinc.org" };
        json!({ "system": system, "code": code })
    };
    json!({ "coding": codes.iter().map(coding).collect::<Vec<_>>() })
}

fn map_with(more: &str, changes: Json, defaults: &Defaults) -> Result<Mapped, Issue> {
    // Keys of the whole stand before the first row.
    let map = Map::parse(&MAP.replacen("version = 1", &format!("version = 1\n{more}"), 1)).unwrap();
    map_observation(&posted(changes), &map, defaults)
}

fn check_value(changes: Json, expected: (&str, Option<i32>)) {
    let mapped = map_with("", changes, &Defaults::default()).unwrap();
    let [one] = &mapped.measurements[..] else { panic!("one reading") };
    assert_eq!((one.signal.name, one.value), expected);
}

fn check_refused(changes: Json, at: &str, code: &str) {
    let issue = map_with("unknown = \"refuse\"", changes, &Defaults::default()).unwrap_err();
    assert_eq!((issue.expression.as_str(), issue.fault.code().as_str()), (at, code), "{issue}");
}

#[test]
fn names_are_looked_for_with_their_authority_and_an_oid_is_one_however_it_is_written() {
    let mapped = map_with("", json!({}), &Defaults::default()).unwrap();
    let one = &mapped.measurements[0];
    assert_eq!((one.patient.get(), one.device.to_string().as_str()), (7, "monitor-1"));
    let referred = json!({ "subject": { "reference": "Patient/8" } });
    let mapped = map_with("", referred, &Defaults::default()).unwrap();
    assert_eq!(mapped.measurements[0].patient.get(), 8);
    let both = MAP.replace("\"2.999.1\"", "\"urn:oid:2.999.1\"");
    let map = Map::parse(&both).unwrap();
    assert!(map_observation(&posted(json!({})), &map, &Defaults::default()).is_ok());
    let subject = "Observation.subject";
    let of = |subject: Json| json!({ "subject": subject });
    check_refused(of(json!({ "reference": "Patient/9" })), subject, "patient-unknown");
    check_refused(of(json!({ "display": "Anna" })), subject, "patient-missing");
    let both = json!({
        "reference": "Patient/8",
        "identifier": { "system": "urn:oid:2.999.1", "value": "4711" },
    });
    check_refused(of(both), subject, "patient-ambiguous");
    // Without its authority a number is somebody else's.
    check_refused(of(json!({ "identifier": { "value": "4711" } })), subject, "patient-unknown");
}

#[test]
fn an_observation_without_a_device_has_the_one_that_was_said_or_none() {
    check_refused(json!({ "device": null }), "Observation.device", "device-missing");
    let defaults = Defaults { device: DeviceId::new("by-hand").ok(), period_at: None };
    let mapped = map_with("", json!({ "device": null }), &defaults).unwrap();
    assert_eq!(mapped.measurements[0].device.to_string(), "by-hand");
    // A device that is named and not known is not another one.
    let unknown = json!({ "device": { "reference": "Device/9" } });
    let issue = map_with("", unknown, &defaults).unwrap_err();
    assert_eq!(issue.fault.code(), "device-unknown");
}

#[test]
fn the_code_of_the_device_wins_and_no_other_code_widens_its_category() {
    let code = |codes: &[&str]| json!({ "code": coded(codes) });
    check_value(code(&["8867-4", "149530"]), ("pulse-rate", Some(720)));
    check_value(code(&["8867-4"]), ("heart-rate", Some(720)));
    check_value(code(&["8867-4", "999999"]), ("heart-rate", Some(720)));
    check_refused(code(&["149530", "9279-1"]), "Observation.code", "code-ambiguous");
    check_refused(code(&["8867-4", "8889-8"]), "Observation.code", "code-ambiguous");
    check_refused(code(&["1-1"]), "Observation.code", "code-unknown");
    check_refused(code(&[]), "Observation.code", "code-missing");
}

#[test]
fn units_are_read_by_their_code_and_without_annotations() {
    let ucum = "http://unitsofmeasure.org";
    let of = |quantity: Json| json!({ "valueQuantity": quantity });
    let rate = |code: &str| of(json!({ "value": 1.2, "system": ucum, "code": code }));
    check_value(rate("{beat}/min"), ("heart-rate", Some(12)));
    check_value(rate("/s"), ("heart-rate", Some(720)));
    let at = "Observation.valueQuantity.code";
    check_refused(rate("mV"), at, "unit-unknown");
    check_refused(of(json!({ "value": 72 })), at, "unit-missing");
    // The code is what programs agree on, whatever people read beside it.
    let both = of(json!({ "value": 60, "unit": "mV", "system": ucum, "code": "/min" }));
    check_value(both, ("heart-rate", Some(600)));
    let fine = of(json!({ "value": 72.55, "unit": "/min" }));
    check_refused(fine, "Observation.valueQuantity.value", "value-finer");
    let beyond = of(json!({ "value": 4001, "unit": "/min" }));
    check_refused(beyond, "Observation.valueQuantity.value", "value-range");
}

#[test]
fn a_quantity_over_a_period_is_placed_only_by_who_runs_the_bridge() {
    let over = |period: Json| json!({ "effectiveDateTime": null, "effectivePeriod": period });
    let period = json!({ "start": "2026-05-01T08:30:00Z", "end": "2026-05-01T08:31:00Z" });
    let at = "Observation.effectivePeriod";
    check_refused(over(period.clone()), at, "period-of-quantity");
    let micros = |text: &str| model::calendar::parse_instant(text).unwrap();
    for (side, expected) in
        [(PeriodAt::Start, "2026-05-01T08:30:00Z"), (PeriodAt::End, "2026-05-01T08:31:00Z")]
    {
        let defaults = Defaults { period_at: Some(side), device: None };
        let mapped = map_with("", over(period.clone()), &defaults).unwrap();
        assert_eq!(mapped.measurements[0].at, micros(expected));
    }
    let open = over(json!({ "start": "2026-05-01T08:30:00Z" }));
    let defaults = Defaults { period_at: Some(PeriodAt::End), device: None };
    assert_eq!(map_with("", open, &defaults).unwrap_err().fault.code(), "element-missing");
}

fn wave(data: &str, end: Option<&str>) -> Json {
    let mut period = json!({ "start": "2026-05-01T08:30:00Z" });
    if let Some(end) = end {
        period["end"] = json!(end);
    }
    json!({
        "code": coded(&["131328"]),
        "effectiveDateTime": null,
        "effectivePeriod": period,
        "valueQuantity": null,
        "valueSampledData": {
            "origin": { "value": 1, "code": "mV" }, "factor": 0.005, "period": 2.7777777777777777,
            "dimensions": 1, "data": data,
        },
    })
}

#[test]
fn samples_are_placed_from_the_first_one_and_scaled_exactly() {
    let long = "0 ".repeat(361);
    let mapped = map_with("", wave(&long, None), &Defaults::default()).unwrap();
    let micros = |n: usize| mapped.measurements[n].at.micros() - mapped.measurements[0].at.micros();
    // 360 Hz, written as a program writes a float: after a second one microsecond is missing.
    assert_eq!((micros(1), micros(360)), (2777, 999_999));
    assert_eq!(mapped.measurements[0].value, Some(1000));
    let three = map_with("", wave("-1 E 3", None), &Defaults::default()).unwrap();
    let values: Vec<_> = three.measurements.iter().map(|one| one.value).collect();
    assert_eq!(values, [Some(995), None, Some(1015)]);
    let left = map_with("missing = \"leave-out\"", wave("-1 E 3", None), &Defaults::default());
    let left = left.unwrap().measurements;
    assert_eq!(left.len(), 2);
    assert_eq!(left[1].at, three.measurements[2].at);
    let refused = map_with("missing = \"refuse\"", wave("1 E", None), &Defaults::default());
    assert_eq!(refused.unwrap_err().fault.code(), "value-missing");
}

#[test]
fn a_period_holds_its_samples() {
    let ends = |end: &str| map_with("", wave("1 2 3", Some(end)), &Defaults::default());
    assert!(ends("2026-05-01T08:30:00.006Z").is_ok());
    let issue = ends("2026-05-01T08:30:00.005Z").unwrap_err();
    assert_eq!(issue.expression, "Observation.effectivePeriod");
    assert_eq!(issue.fault.code(), "period-short");
}

#[test]
fn a_value_that_is_absent_is_what_the_map_says_unless_nobody_measured() {
    let absent = |reason: &str| {
        json!({
            "valueQuantity": null,
            "dataAbsentReason": { "coding": [{ "code": reason }] },
        })
    };
    let mapped = |more: &str, reason: &str| map_with(more, absent(reason), &Defaults::default());
    check_value(absent("error"), ("heart-rate", None));
    let masked = mapped("", "masked").unwrap();
    assert_eq!((masked.measurements.len(), masked.left_out.len()), (0, 1));
    let left = mapped("missing = \"leave-out\"", "error").unwrap();
    assert_eq!((left.measurements.len(), left.left_out.len()), (0, 1));
    let refused = mapped("missing = \"refuse\"", "masked").unwrap_err();
    assert_eq!(refused.expression, "Observation.dataAbsentReason");
    let text = json!({ "valueQuantity": null, "valueString": "72" });
    check_refused(text, "Observation.valueString", "value-type");
}

#[test]
fn a_refusal_has_the_status_that_says_what_the_sender_can_do() {
    use model::RejectCode;
    for (cause, status, kind) in [
        (Cause::Node(RejectCode::NotPermitted), 403, "forbidden"),
        (Cause::Away, 503, "transient"),
        (Cause::Busy, 503, "throttled"),
        (Cause::TimeAhead { seconds: 240 }, 503, "transient"),
        (Cause::TimeFar { hours: 24 }, 422, "value"),
        (Cause::Reused, 409, "conflict"),
        (Cause::PatientUnknown, 422, "not-found"),
        (Cause::CodeUnknown, 422, "code-invalid"),
    ] {
        let fault = Fault::Map(cause);
        assert_eq!((fault.status(), fault.issue_type().code()), (status, kind), "{fault}");
    }
}

#[test]
fn a_component_that_stands_there_twice_is_taken_once_and_told() {
    let quantity = json!({ "value": 72, "unit": "/min" });
    let one = json!({ "code": coded(&["8867-4"]), "valueQuantity": quantity });
    let panel = json!({
        "code": coded(&["85353-1"]), "valueQuantity": null, "component": [one, one],
    });
    let mapped = map_with("", panel, &Defaults::default()).unwrap();
    let expression = "Observation.component[1].code".to_owned();
    assert_eq!(mapped.measurements.len(), 1);
    assert_eq!(mapped.left_out, [LeftOut::Repeated { expression }]);
}
