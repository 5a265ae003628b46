//! Bundles: what is wrong with one entry, and with the whole.

use fhir::{Bundle, BundleType, ENTRIES_MAX};
use serde_json::{Value, json};

fn observation() -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": "Patient/example" },
        "effectiveDateTime": "2026-05-01T08:30:00Z",
        "valueQuantity": { "value": 72, "code": "/min" },
    })
}

fn entry(request: Value) -> Value {
    json!({ "resource": observation(), "request": request })
}

fn post() -> Value {
    json!({ "method": "POST", "url": "Observation" })
}

fn parse(kind: &str, entries: &[Value]) -> Result<Bundle, fhir::Issue> {
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    Bundle::parse(bundle.to_string().as_bytes())
}

#[test]
fn one_entry_that_cannot_be_taken_leaves_the_others_as_they_are() {
    let mut late = entry(post());
    late["resource"]["status"] = json!("amended");
    let patient = json!({ "resource": { "resourceType": "Patient" }, "request": post() });
    let put = entry(json!({ "method": "PUT", "url": "Observation/1" }));
    let elsewhere = entry(json!({ "method": "POST", "url": "Patient" }));
    let no_request = json!({ "resource": observation() });
    let condition = json!({ "method": "POST", "url": "Observation", "ifNoneExist": "_id=1" });
    let entries = [entry(post()), late, patient, put, elsewhere, no_request, entry(condition)];
    let bundle = parse("batch", &entries).unwrap();
    assert_eq!(bundle.bundle_type, BundleType::Batch);
    assert!(bundle.entries[0].is_ok());
    let refused = bundle.entries[1..].iter().map(|entry| {
        let issue = entry.as_ref().unwrap_err();
        (issue.expression.as_str(), issue.fault.code())
    });
    let refused: Vec<_> = refused.collect();
    let expected = [
        ("Bundle.entry[1].resource.status", "status"),
        ("Bundle.entry[2].resource.resourceType", "resource-type"),
        ("Bundle.entry[3].request.method", "request"),
        ("Bundle.entry[4].request.url", "request"),
        ("Bundle.entry[5].request", "element-missing"),
        ("Bundle.entry[6].request.ifNoneExist", "condition"),
    ];
    let expected = expected.map(|(at, code)| (at, code.to_owned()));
    assert_eq!(refused, expected);
}

#[test]
fn a_bundle_that_is_none_is_refused_whole() {
    let code = |kind: &str, entries: &[Value]| parse(kind, entries).unwrap_err().fault.code();
    assert_eq!(code("searchset", &[entry(post())]), "bundle-type");
    let many = vec![json!({}); ENTRIES_MAX + 1];
    assert_eq!(code("batch", &many), "too-many");
    assert!(parse("transaction", &many[..ENTRIES_MAX]).is_ok());
    let observation = observation().to_string();
    assert_eq!(Bundle::parse(observation.as_bytes()).unwrap_err().fault.code(), "resource-type");
}

#[test]
fn waveforms_of_one_bundle_have_a_limit_together() {
    let mut wave = entry(post());
    let samples = "1 ".repeat(fhir::SAMPLES_MAX);
    wave["resource"]["valueQuantity"] = Value::Null;
    wave["resource"].as_object_mut().unwrap().remove("valueQuantity");
    wave["resource"]["valueSampledData"] = json!({
        "origin": { "value": 0, "code": "uV" }, "period": 1, "dimensions": 1, "data": samples,
    });
    assert!(parse("batch", &vec![wave.clone(); 4]).is_ok());
    let issue = parse("batch", &vec![wave; 5]).unwrap_err();
    assert_eq!(
        (issue.expression.as_str(), issue.fault.code()),
        ("Bundle.entry", "too-many".into())
    );
}
