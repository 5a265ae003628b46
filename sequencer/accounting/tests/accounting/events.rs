//! AuditEvents against what the IHE BALP profiles ask for.

use accounting::{ExportKind, events};
use serde_json::Value;

use crate::claims::{Access, RESEARCH, collection, deployment, document, entry};

fn all() -> Vec<Value> {
    let glass = Access { day: 2, glass: true, covered: false, ..RESEARCH };
    let of = [RESEARCH.entry(), glass.entry(), entry(collection(3))];
    of.iter().flat_map(|entry| events(entry, deployment())).collect()
}

fn find<'a>(event: &'a Value, list: &str, code: &str) -> &'a Value {
    let is = |one: &&Value| one["type"]["code"] == code || one["type"]["coding"][0]["code"] == code;
    let found = event[list].as_array().expect("a list").iter().find(is);
    found.unwrap_or_else(|| panic!("no {code} in {list} of {event}"))
}

#[test]
fn each_claim_is_a_decision_and_each_access_a_disclosure() {
    let events = all();
    let types: Vec<_> =
        events.iter().map(|event| event["type"]["code"].as_str().expect("a code")).collect();
    assert_eq!(types, ["110113", "110106", "110113", "110106", "110113"]);
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_str().expect("an id")).collect();
    assert_eq!(ids[..2], ["4-0-1-decision", "4-0-1-disclosure"]);
    for id in ids {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        assert!(id.len() <= 64 && id.bytes().all(allowed), "{id}");
    }
}

/// `val-audit-source` of both profiles: the agent that decides or gives is the one that records.
#[test]
fn profiles_find_the_agents_and_entities_that_they_require() {
    for event in all() {
        let is_decision = event["type"]["code"] == "110113";
        let profile = event["meta"]["profile"][0].as_str().expect("a profile");
        let observer = &event["source"]["observer"];
        assert_eq!(find(&event, "entity", "1")["what"]["type"], "Patient");
        assert_eq!(find(&event, "entity", "1")["role"]["code"], "1");
        if is_decision {
            assert!(profile.ends_with("IHE.BasicAudit.AuthZconsent"));
            assert_eq!(event["subtype"][0]["code"], "AuthZ-Consent");
            for agent in ["110150", "IRCP", "PROV", "authserver"] {
                assert!(find(&event, "agent", agent)["who"].is_object(), "{agent}");
            }
            assert!(find(&event, "agent", "110150")["network"].is_object());
            assert_eq!(&find(&event, "agent", "authserver")["who"], observer);
            // The profile closes the list: person, consent, token.
            assert_eq!(event["entity"].as_array().map(Vec::len), Some(2));
            assert_eq!(find(&event, "agent", "IRCP")["requestor"], true);
        } else {
            assert!(profile.ends_with("IHE.BasicAudit.PrivacyDisclosure.Source"));
            assert_eq!(event["subtype"][0]["code"], "disclose");
            assert_eq!(&find(&event, "agent", "110153")["who"], observer);
            assert!(find(&event, "agent", "110152")["network"].is_object());
        }
    }
}

#[test]
fn every_event_names_batch_leaf_and_transaction_and_how_it_is_verified() {
    for event in all() {
        let entities = event["entity"].as_array().expect("entities");
        let details = entities.iter().filter_map(|entity| entity["detail"].as_array()).flatten();
        let types: Vec<_> = details.map(|detail| detail["type"].as_str().expect("text")).collect();
        for needed in ["batch", "chunk", "leaf", "transaction", "verify", "opening"] {
            let count = types.iter().filter(|found| **found == needed).count();
            assert_eq!(count, 1, "{needed} in {event}");
        }
    }
}

#[test]
fn an_access_that_no_rule_covered_is_a_failure_of_the_decision() {
    let events = all();
    let outcomes: Vec<_> = events.iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["0", "0", "8", "0", "0"]);
    let purposes = events[2]["purposeOfEvent"].as_array().expect("purposes");
    let codes: Vec<_> = purposes.iter().map(|one| &one["coding"][0]["code"]).collect();
    assert_eq!(codes, ["HRESCH", "BTG"]);
}

/// The members of the examples of R4, as deep as they are used here.
#[test]
fn members_are_those_of_the_standard() {
    let known = [
        "resourceType",
        "id",
        "meta",
        "type",
        "subtype",
        "action",
        "recorded",
        "outcome",
        "outcomeDesc",
        "purposeOfEvent",
        "source",
        "agent",
        "entity",
    ];
    let agent = ["type", "who", "requestor", "network", "purposeOfUse"];
    let entity = ["what", "type", "role", "detail"];
    let check = |value: &Value, known: &[&str]| {
        for name in value.as_object().expect("an object").keys() {
            assert!(known.contains(&name.as_str()), "{name}");
        }
    };
    for event in all() {
        check(&event, &known);
        event["agent"].as_array().expect("agents").iter().for_each(|one| check(one, &agent));
        event["entity"].as_array().expect("entities").iter().for_each(|one| check(one, &entity));
        check(&event["source"], &["observer", "type"]);
    }
}

/// No name, number of a hospital or place of the patient, and nothing that a reader wrote.
#[test]
fn an_event_says_of_the_patient_the_index_and_nothing_else() {
    let told = Access { reason: "Anna Example, MRN 4711, room 12", ..RESEARCH };
    for event in events(&told.entry(), deployment()) {
        // The opening has what was signed; that is the evidence, and the patient's.
        let mut shown = event.clone();
        for entity in shown["entity"].as_array_mut().expect("entities") {
            if let Some(details) = entity["detail"].as_array_mut() {
                details.retain(|detail| detail["type"] != "opening");
            }
        }
        let text = shown.to_string();
        for word in ["Anna", "4711", "room", "location", "name\"", "birth"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert!(text.contains("\"value\":\"7\""), "{text}");
    }
    let bundle = document(ExportKind::AuditEvents, &[told]);
    assert_eq!(bundle.entries().len(), 1);
}
