//! What nobody sends by mistake: each ends with an answer that names the element.

use fhir::{Bundle, Issue, Observation, Valued};

/// An Observation of one quantity, whose number and whatever stands behind it is another's.
fn posted(value: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType": "Observation", "status": "final",
        "code": {{"coding": [{{"system": "http://loinc.org", "code": "8867-4"}}]}},
        "subject": {{"reference": "Patient/7"}}, "effectiveDateTime": "2026-05-01T08:30:00Z",
        "valueQuantity": {{"value": {value}, "code": "/min"}}{more}}}"#
    )
}

fn refused(text: &str) -> (String, String) {
    let Issue { expression, fault } = Observation::parse(text.as_bytes()).expect_err("refused");
    let said = fault.to_string();
    assert!(said.len() < 256 && !said.contains("secret"), "{said}");
    (expression, fault.code())
}

fn check(text: &str, expression: &str, code: &str) {
    assert_eq!(refused(text), (expression.to_owned(), code.to_owned()));
}

#[test]
fn a_number_is_read_by_its_digits_and_one_that_is_too_long_costs_no_more_than_its_bytes() {
    assert!(Observation::parse(posted("72", "").as_bytes()).is_ok());
    let value = "Observation.valueQuantity.value";
    let long = "9".repeat(1_000_000);
    for number in [&long, &format!("0.{long}"), "1e999999999", "-1E-999999999", "1e99999999999999"]
    {
        check(&posted(number, ""), value, "decimal");
    }
    check(&posted("\"NaN\"", ""), value, "json-type");
    // JSON has no such numbers.
    for number in ["NaN", "-Infinity", "+1", "01", ".5", "1.", "0x10", "1_000"] {
        check(&posted(number, ""), "Observation", "json-malformed");
    }
}

#[test]
fn what_is_deep_or_stands_twice_is_refused_also_where_nobody_looks() {
    for levels in [40, 32_768] {
        let (begin, end) = ("[".repeat(levels), "]".repeat(levels));
        let more = format!(r#", "extension": {begin}{end}"#);
        check(&posted("72", &more), "Observation", "too-deep");
    }
    check(&posted("72", r#", "status": "final""#), "Observation", "name-twice");
    let names: String = (0..10_000).map(|n| format!(", \"x{n}\": 0")).collect();
    check(&posted("72", &names), "Observation", "too-many");
}

#[test]
fn half_a_surrogate_pair_is_no_letter_and_a_byte_order_mark_no_json() {
    let text = posted("72", r#", "device": {"reference": "\ud800secret"}"#);
    check(&text, "Observation.device.reference", "json-type");
    let text = posted("72", r#", "\udc00": 0"#);
    check(&text, "Observation", "json-type");
    let whole = posted("72", r#", "device": {"reference": "\ud83d\ude00"}"#);
    assert!(Observation::parse(whole.as_bytes()).is_ok());
    check(&format!("\u{feff}{whole}"), "Observation", "json-malformed");
}

#[test]
fn a_name_that_a_sender_makes_up_stands_in_no_place() {
    let text = posted("72", "").replace("valueQuantity", "valueSecret-4711");
    let observation = Observation::parse(text.as_bytes()).expect("read, and no reading");
    let [Valued { element, .. }] = &observation.values[..] else { panic!("one value") };
    assert_eq!(element, "value[x]");
}

#[test]
fn a_waveform_is_held_to_its_samples_and_a_bundle_to_those_of_all() {
    let waveform = |samples: usize| {
        let data = "1 ".repeat(samples);
        posted("72", "").replace(
            r#""valueQuantity": {"value": 72, "code": "/min"}"#,
            &format!(
                r#""valueSampledData": {{"origin": {{"value": 0, "unit": "mV"}}, "period": 4,
                "dimensions": 1, "data": "{data}"}}"#
            ),
        )
    };
    assert!(Observation::parse(waveform(fhir::SAMPLES_MAX).as_bytes()).is_ok());
    let long = waveform(fhir::SAMPLES_MAX + 1);
    check(&long, "Observation.valueSampledData.data", "too-many");
    let request = r#""request": {"method": "POST", "url": "Observation"}"#;
    let entry = format!("{{\"resource\": {}, {request}}}", waveform(fhir::SAMPLES_MAX));
    let bundle = |count: usize| {
        let entries = vec![entry.as_str(); count].join(",");
        let text =
            format!(r#"{{"resourceType": "Bundle", "type": "batch", "entry": [{entries}]}}"#);
        Bundle::parse(text.as_bytes())
    };
    let most = fhir::BUNDLE_SAMPLES_MAX / fhir::SAMPLES_MAX;
    assert!(bundle(most).is_ok());
    assert_eq!(bundle(most + 1).expect_err("too many").expression, "Bundle.entry");
}
