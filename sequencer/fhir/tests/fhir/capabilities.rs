//! The CapabilityStatement of `vitals fhir` against what FHIR R4 requires of one.

use fhir::{Instance, capability_statement};
use serde_json::{Value, json};

use crate::conformance::faults;

fn statement(is_open: bool) -> Value {
    let base = "http://127.0.0.1:8080/fhir";
    capability_statement(Instance { base, version: "1", date: "2026-11-30", is_open })
}

#[test]
fn a_statement_is_one_of_fhir_r4_and_names_nothing_that_is_not_served() {
    for is_open in [false, true] {
        let statement = statement(is_open);
        assert_eq!(faults(&statement), [""; 0]);
        let rest = &statement["rest"][0];
        assert_eq!(rest["resource"][0]["interaction"], json!([{ "code": "create" }]));
        assert_eq!(rest["security"]["service"].is_null(), is_open);
    }
}

#[test]
fn what_fhir_does_not_allow_in_a_statement_is_found() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("CapabilityStatement.date: expected, found none", |it| {
            it.as_object_mut().unwrap().remove("date");
        }),
        ("CapabilityStatement.kind: expected another value", |it| it["kind"] = "server".into()),
        ("CapabilityStatement.format: expected a list", |it| it["format"] = json!([])),
        ("cpb-14", |it| _ = it.as_object_mut().unwrap().remove("implementation")),
        ("cpb-9", |it| {
            let resources = it["rest"][0]["resource"].as_array_mut().unwrap();
            resources.push(resources[0].clone());
        }),
        ("CapabilityStatement.rest.modes: expected an element", |it| {
            it["rest"][0]["modes"] = "server".into();
        }),
    ];
    for (expected, change) in changes {
        let mut changed = statement(false);
        change(&mut changed);
        let found = faults(&changed);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}: {found:?}");
    }
}
