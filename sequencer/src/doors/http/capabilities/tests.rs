//! What is stated of FHIR is valid, and is what is answered.

use accounting::Search;

use super::*;

#[path = "../../../../fhir/tests/fhir/conformance.rs"]
mod conformance;

#[test]
fn what_is_switched_on_is_stated_and_is_valid_r4() {
    for (audit_events, decisions, notices) in
        [(true, false, false), (false, true, false), (true, true, true)]
    {
        let statement = Served { audit_events, decisions, notices }.statement().unwrap();
        assert_eq!(conformance::faults(&statement), [""; 0]);
        let text = statement.to_string();
        assert_eq!(text.contains("search-type"), audit_events);
        assert_eq!(text.contains("$consent-decision"), decisions);
        assert_eq!(text.contains("Subscription"), notices);
    }
    let none = Served { audit_events: false, decisions: false, notices: false };
    assert_eq!(none.statement(), None);
}

#[test]
fn every_parameter_that_is_stated_is_searched_by() {
    let stated = audit_event()["searchParam"].as_array().unwrap().clone();
    for name in stated.iter().map(|one| one["name"].as_str().unwrap()) {
        let value = match name {
            "patient" => "7",
            "agent" => "Practitioner/dr-001",
            _ => "ge2026-05-01",
        };
        let all = [("patient".to_owned(), "7".to_owned()), (name.to_owned(), value.to_owned())];
        let all = if name == "patient" { &all[..1] } else { &all[..] };
        assert!(Search::parse(all).is_ok(), "{name}");
    }
}
