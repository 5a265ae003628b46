use fhir::request::Reader;
use serde_json::{Value, json};

use super::*;
use crate::fhir::double::Double;
use crate::fhir::tally::Counts;

const MAP: &str = r#"
version = 1
[[patient]]
identifier = "Patient/7"
patient = 7
[[device]]
identifier = "Device/1"
device = "monitor-1"
"#;

pub(crate) fn desk() -> Desk<Double> {
    Desk {
        map: Map::parse(MAP).unwrap(),
        defaults: Defaults::default(),
        door: Door::Open,
        store: Double::default(),
        base: "http://127.0.0.1:1/fhir".to_owned(),
        work: Semaphore::new(WORK_MAX),
        tally: Tally::default(),
    }
}

/// A heart rate, with other fields in the place of its own.
pub(crate) fn rate(changes: Value) -> Value {
    let mut whole = json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "reference": "Patient/7" }, "device": { "reference": "Device/1" },
        "effectiveDateTime": "2026-05-01T08:30:00Z",
        "valueQuantity": { "value": 72, "code": "/min" },
    });
    for (name, value) in changes.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

fn saturation() -> Value {
    rate(json!({
        "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
        "valueQuantity": { "value": 97, "code": "%" },
    }))
}

fn named(value: &str) -> Value {
    json!([{ "system": "urn:x", "value": value }])
}

async fn post(desk: &Desk<Double>, target: &str, body: &Value) -> Answer {
    post_if(desk, target, body, None).await
}

async fn post_if(desk: &Desk<Double>, target: &str, body: &Value, none: Option<&str>) -> Answer {
    let (admitted, head) = admit(desk, target, none);
    desk.answer(admitted, &head, body.to_string().as_bytes()).await
}

/// The same by a token with a scope of its own.
async fn post_by(desk: &Desk<Double>, grant: Grant, target: &str, body: &Value) -> Answer {
    let (admitted, head) = admit(desk, target, None);
    desk.answer(Admitted { grant, ..admitted }, &head, body.to_string().as_bytes()).await
}

fn admit(desk: &Desk<Double>, target: &str, none: Option<&str>) -> (Admitted, Head) {
    let none = none.map(|none| format!("If-None-Exist: {none}\r\n")).unwrap_or_default();
    let text = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: 0\r\n{none}\r\n"
    );
    let mut reader = Reader::new(0);
    reader.push(text.as_bytes());
    let head = reader.head().unwrap().unwrap();
    (desk.admit(&head, Millis::from_unix_ms(0)).unwrap(), head)
}

async fn create(desk: &Desk<Double>, body: &Value) -> Answer {
    post(desk, "/fhir/Observation", body).await
}

/// Code and place of each issue of an outcome.
fn issues(outcome: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issue =
        |one: &Value| (text(&one["details"]["coding"][0]["code"]), text(&one["expression"][0]));
    outcome["issue"].as_array().unwrap().iter().map(issue).collect()
}

fn check_issue(answer: &Answer, status: u16, code: &str, at: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let first = issues(answer.body.as_ref().unwrap()).remove(0);
    assert_eq!(first, (code.to_owned(), at.to_owned()), "{answer:?}");
}

fn bundle(kind: &str, resources: &[Value]) -> Value {
    let request = json!({ "method": "POST", "url": "Observation" });
    let entry = |resource: &Value| json!({ "resource": resource, "request": request });
    let entries: Vec<_> = resources.iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn statuses(answer: &Answer) -> Vec<String> {
    let entries = answer.body.as_ref().unwrap()["entry"].as_array().unwrap();
    entries.iter().map(|one| one["response"]["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_observation_is_created_when_it_is_kept_and_has_an_address_then() {
    let desk = desk();
    let answer = create(&desk, &rate(json!({}))).await;
    assert_eq!(answer.status, 201);
    assert!(answer.location.unwrap().starts_with("http://127.0.0.1:1/fhir/Observation/"));
    assert_eq!(issues(&answer.body.unwrap()), [("receipt".to_owned(), String::new())]);
    let kept = desk.store.kept.lock().unwrap();
    let one = &kept[0].measurements[0];
    assert_eq!((one.signal.name, one.value, one.patient.get()), ("heart-rate", Some(720), 7));
}

#[tokio::test]
async fn what_cannot_be_taken_is_answered_at_its_element_and_nothing_is_sent() {
    let desk = desk();
    let answer = create(&desk, &rate(json!({ "status": "amended" }))).await;
    check_issue(&answer, 422, "status", "Observation.status");
    let other = json!({ "subject": { "reference": "Patient/8" } });
    let answer = create(&desk, &rate(other)).await;
    check_issue(&answer, 422, "patient-unknown", "Observation.subject");
    let answer = create(&desk, &json!("text")).await;
    check_issue(&answer, 400, "json-type", "Observation");
    // Of a code that the map leaves out nothing is created: that is said as an error.
    let unknown = json!({ "code": { "coding": [{ "system": "urn:x", "code": "1" }] } });
    let answer = create(&desk, &rate(unknown)).await;
    check_issue(&answer, 422, "nothing-taken", "Observation");
    let told = issues(answer.body.as_ref().unwrap());
    assert_eq!(told[1], ("left-out-code".to_owned(), "Observation.code".to_owned()));
    assert_eq!(*desk.store.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn what_was_done_is_counted_by_its_answer() {
    let desk = desk();
    let observation = rate(json!({ "identifier": named("a") }));
    create(&desk, &observation).await;
    create(&desk, &observation).await;
    let wrong = rate(json!({ "status": "amended" }));
    let unknown = rate(json!({ "code": { "coding": [] } }));
    post(&desk, "/fhir", &bundle("batch", &[saturation(), wrong.clone(), unknown])).await;
    post(&desk, "/fhir", &bundle("transaction", &[saturation(), wrong])).await;
    desk.store.refusals.lock().unwrap().insert("heart-rate", Cause::Away);
    create(&desk, &rate(json!({}))).await;
    let expected = Counts {
        accepted: 3,
        taken_before: 1,
        errors: 1,
        rejected: 1 + 2,
        readings: 3,
        left_out: 1,
        ..Counts::default()
    };
    assert_eq!(desk.tally.counts(), expected, "{}", desk.tally.sentence());
}

#[tokio::test]
async fn what_the_node_refuses_says_whether_it_may_be_sent_again() {
    let desk = desk();
    for (cause, status, code) in [
        (Cause::Node(RejectCode::NotPermitted), 403, Cause::Node(RejectCode::NotPermitted).code()),
        (Cause::Away, 503, "node-away".to_owned()),
        (Cause::Busy, 503, "bridge-busy".to_owned()),
    ] {
        desk.store.refusals.lock().unwrap().insert("heart-rate", cause);
        let answer = create(&desk, &rate(json!({}))).await;
        check_issue(&answer, status, &code, "Observation");
        assert_eq!(answer.location, None);
    }
}

#[tokio::test]
async fn a_scope_for_vital_signs_takes_those_and_of_others_says_which_scope_they_take() {
    let desk = desk();
    let vital = json!({ "category": [{ "coding": [{ "code": "vital-signs" }] }] });
    let (vital, other) = (rate(vital), saturation());
    let by = |target: &'static str, body: Value| {
        let desk = &desk;
        async move { post_by(desk, Grant::AnyVitalSigns, target, &body).await }
    };
    assert_eq!(by("/fhir/Observation", vital.clone()).await.status, 201);
    // Nor is anything told of the map.
    let stranger = rate(json!({ "subject": { "reference": "Patient/8" } }));
    for body in [other.clone(), stranger] {
        let answer = by("/fhir/Observation", body).await;
        check_issue(&answer, 403, "scope-category", "Observation.category");
        assert!(answer.challenge.unwrap().contains("insufficient_scope"));
        let said = answer.body.unwrap().to_string();
        assert!(said.contains("system/Observation.c?category=vital-signs"), "{said}");
    }
    let both = [vital, other];
    let answer = by("/fhir", bundle("batch", &both)).await;
    assert_eq!(statuses(&answer), ["200 OK", "403 Forbidden"]);
    let answer = by("/fhir", bundle("transaction", &both)).await;
    check_issue(&answer, 403, "scope-category", "Bundle.entry[1].resource.category");
    assert_eq!(desk.store.kept.lock().unwrap().len(), 1);
    let counts = desk.tally.counts();
    assert_eq!((counts.accepted, counts.errors, counts.rejected), (2, 0, 2 + 1 + 2));
}

#[tokio::test]
async fn the_same_identifier_is_stored_once_and_another_content_is_a_conflict() {
    let desk = desk();
    let first = create(&desk, &rate(json!({ "identifier": named("a") }))).await;
    let again = create(&desk, &rate(json!({ "identifier": named("a") }))).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.location, again.location);
    let other =
        json!({ "identifier": named("a"), "valueQuantity": { "value": 9, "code": "/min" } });
    let answer = create(&desk, &rate(other.clone())).await;
    check_issue(&answer, 409, "identifier-reused", "Observation");
    // A condition finds what was sent before; of something else its sender would otherwise believe
    // that it is stored.
    let condition = Some("identifier=urn:x|a");
    let answer = post_if(&desk, "/fhir/Observation", &rate(other), condition).await;
    check_issue(&answer, 409, "identifier-reused", "Observation");
    let same = rate(json!({ "identifier": named("a") }));
    let answer = post_if(&desk, "/fhir/Observation", &same, condition).await;
    assert_eq!((answer.status, answer.location), (200, first.location));
    assert_eq!(desk.store.kept.lock().unwrap().len(), 1);
    // Without an identifier the same readings are the same.
    let answers = [create(&desk, &rate(json!({}))).await, create(&desk, &rate(json!({}))).await];
    assert_eq!(answers.map(|answer| answer.status), [201, 200]);
    assert_eq!(desk.store.kept.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_observation_of_two_identifiers_is_stored_once_by_whichever_it_comes() {
    let pair = |first: &str, second: &str| -> Value {
        let [first, second] = [first, second].map(|name| named(name)[0].clone());
        rate(json!({ "identifier": [first, second] }))
    };
    let both = pair("a", "b");
    let by = |name: &str| Some(format!("identifier=urn:x|{name}"));
    let (second, alone) = (named("b"), rate(json!({ "identifier": named("b") })));
    for (first, then) in [
        ((&both, None), (&both, by("b"))),
        ((&both, by("b")), (&both, None)),
        ((&both, None), (&alone, None)),
        ((&alone, None), (&both, None)),
        ((&both, by("b")), (&pair("c", "a"), None)),
    ] {
        let desk = desk();
        let mut answers = Vec::new();
        for (body, condition) in [&first, &then, &first, &then] {
            let target = "/fhir/Observation";
            answers.push(post_if(&desk, target, body, condition.as_deref()).await);
        }
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [201, 200, 200, 200], "{then:?}");
        assert_eq!(desk.store.kept.lock().unwrap().len(), 1);
        assert_eq!(answers[0].location, answers[2].location);
        assert_eq!(answers[1].location, answers[3].location);
        // Other readings that share an identifier which is not their own are another Observation.
        let other = rate(json!({
            "identifier": [named("d")[0], second[0]],
            "valueQuantity": { "value": 9, "code": "/min" },
        }));
        assert_eq!(create(&desk, &other).await.status, 201);
    }
}

#[tokio::test]
async fn the_address_is_the_same_by_each_identifier() {
    let desk = desk();
    let both = rate(json!({ "identifier": [named("a")[0], named("b")[0]] }));
    let first = create(&desk, &both).await;
    let condition = Some("identifier=urn:x|b");
    let again = post_if(&desk, "/fhir/Observation", &both, condition).await;
    assert_eq!((again.status, again.location), (200, first.location));
}

#[tokio::test]
async fn a_condition_that_cannot_be_looked_for_is_refused() {
    let desk = desk();
    let observation = rate(json!({ "identifier": named("a") }));
    let post = |condition| post_if(&desk, "/fhir/Observation", &observation, Some(condition));
    check_issue(&post("code=x").await, 422, "condition", "If-None-Exist");
    let absent = post("identifier=urn:x|b").await;
    check_issue(&absent, 422, "condition", "Observation.identifier");
}

#[tokio::test]
async fn a_batch_is_answered_entry_by_entry_and_waits_once() {
    let desk = desk();
    let node = Cause::Node(RejectCode::NotPermitted);
    desk.store.refusals.lock().unwrap().insert("spo2", node);
    let wrong = rate(json!({ "status": "amended" }));
    let unknown = rate(json!({ "code": { "coding": [] } }));
    let posted = bundle("batch", &[rate(json!({})), wrong, saturation(), unknown]);
    let answer = post(&desk, "/fhir", &posted).await;
    assert_eq!(answer.status, 200);
    let expected = ["201 Created", "422 Unprocessable Content", "403 Forbidden", "200 OK"];
    assert_eq!(statuses(&answer), expected);
    let entries = &answer.body.as_ref().unwrap()["entry"];
    let told = |n: usize| issues(&entries[n]["response"]["outcome"]).remove(0);
    assert_eq!(told(1).1, "Bundle.entry[1].resource.status");
    assert_eq!(told(2).1, "Bundle.entry[2].resource");
    assert_eq!(told(3).0, "left-out-code");
    assert_eq!(answer.body.as_ref().unwrap()["type"], "batch-response");
    assert_eq!(*desk.store.calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn of_a_transaction_nothing_is_sent_unless_every_entry_can_be() {
    let desk = desk();
    let wrong = rate(json!({ "status": "amended" }));
    let posted = bundle("transaction", &[rate(json!({})), wrong]);
    let answer = post(&desk, "/fhir", &posted).await;
    check_issue(&answer, 422, "status", "Bundle.entry[1].resource.status");
    let told = issues(answer.body.as_ref().unwrap());
    assert_eq!(told[1], ("with-others".to_owned(), "Bundle.entry".to_owned()));
    assert_eq!(*desk.store.calls.lock().unwrap(), 0);
    let good = bundle("transaction", &[rate(json!({})), saturation()]);
    let answer = post(&desk, "/fhir", &good).await;
    assert_eq!(statuses(&answer), ["201 Created", "201 Created"]);
    assert_eq!(answer.body.unwrap()["type"], "transaction-response");
}

#[tokio::test]
async fn a_transaction_that_consent_refuses_is_answered_as_one_and_can_be_sent_again() {
    let desk = desk();
    let node = Cause::Node(RejectCode::NotPermitted);
    desk.store.refusals.lock().unwrap().insert("spo2", node.clone());
    let first = rate(json!({ "identifier": named("a") }));
    let posted = bundle("transaction", &[first.clone(), saturation()]);
    let answer = post(&desk, "/fhir", &posted).await;
    check_issue(&answer, 403, &node.code(), "Bundle");
    let told = issues(answer.body.as_ref().unwrap());
    assert_eq!(told[1], ("in-part".to_owned(), "Bundle.entry".to_owned()));
    desk.store.refusals.lock().unwrap().clear();
    assert_eq!(create(&desk, &first).await.status, 201);
    let answer = post(&desk, "/fhir", &posted).await;
    assert_eq!(statuses(&answer), ["200 OK", "201 Created"]);
    assert_eq!(desk.store.kept.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_identifier_without_a_system_is_one_of_its_patient() {
    let subject = |reference: &str| {
        let observation = rate(json!({
            "subject": { "reference": reference }, "identifier": [{ "value": "1" }],
        }));
        let observation = Observation::parse(observation.to_string().as_bytes()).unwrap();
        names_of(&observation, None).unwrap().own.unwrap()
    };
    assert_ne!(subject("Patient/7"), subject("Patient/8"));
    assert_eq!(subject("Patient/7"), subject("Patient/7"));
}

#[tokio::test]
async fn two_observations_without_a_name_have_two_locations_also_by_one_receipt() {
    let desk = desk();
    let mut locations = Vec::new();
    for value in [72, 73, 72] {
        let body = rate(json!({ "valueQuantity": { "value": value, "code": "/min" } }));
        let answer = post(&desk, "/fhir/Observation", &body).await;
        locations.push(answer.location.expect("a location"));
    }
    assert_ne!(locations[0], locations[1]);
    assert_eq!(locations[0], locations[2]);
}
