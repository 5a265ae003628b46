use accounting::notices::{Hosts, Limits, Pace};
use axum::body::to_bytes;

use super::super::audit_events::tests::{Bench, PER_MINUTE, bearer};
use super::*;
use crate::folder::operator_log::OperatorLog;

const ALL: &str = "patient/Subscription.cruds patient/AuditEvent.s";

/// Who answers, over the store and the reads of the AuditEvents' own tests.
struct Case {
    bench: Bench,
    answering: Answering,
}

impl Case {
    fn new() -> Case {
        let bench = Bench::new();
        let hosts = Hosts::parse(&["app.example.org".to_owned()]).unwrap();
        let limits = Limits { of_patient: 2, of_all: 3 };
        let pace = Pace { first_ms: 1, most_ms: 1, give_up_after_ms: 1 };
        let path = bench.folder.path().join("subscriptions.json");
        let desk = NoticeDesk::open(&path, hosts, limits, pace);
        let (audit, store) = (bench.audit.clone(), bench.store.clone());
        Case { bench, answering: Answering { audit, desk, store } }
    }

    async fn create(&self, of: &str, posted: &Value) -> (u16, Option<String>, Value) {
        let asking = asking(ALL, of, Verb::Create).ok().unwrap();
        said(self.answering.subscribe(&asking, posted.to_string().as_bytes())).await
    }

    /// What was noted, the first before.
    fn orders(&self) -> Vec<String> {
        let log = OperatorLog::new(&self.bench.folder.path().join("audit-reads.log"));
        log.last().unwrap().into_iter().map(|line| line.order).collect()
    }
}

fn asking(scope: &str, patient: &str, verb: Verb) -> Result<Asking, Refused> {
    Asking::of(bearer(scope, None, Some(patient)), Unnamed::IsThePatient, verb)
}

fn posted(patient: &str) -> Value {
    json!({
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "tell my app",
        "criteria": format!("AuditEvent?patient={patient}"),
        "channel": {"type": "rest-hook", "endpoint": "https://app.example.org/hook"},
    })
}

/// Status, `Location` and body of an answer.
async fn said(answer: Result<Response, Refused>) -> (u16, Option<String>, Value) {
    let response = answer.unwrap_or_else(IntoResponse::into_response);
    let location = response.headers().get(header::LOCATION);
    let location = location.map(|found| found.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap();
    (status, location, serde_json::from_slice(&body).unwrap_or_default())
}

/// The code of a refusal, and the element that it names.
fn code(outcome: &Value) -> (&str, &str) {
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let issue = &outcome["issue"][0];
    let code = issue["details"]["coding"][0]["code"].as_str().unwrap();
    (code, issue["expression"][0].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_subscription_is_made_with_its_secret_shown_once_and_ended_by_its_patient() {
    let case = Case::new();
    let (status, location, made) = case.create("7", &posted("7")).await;
    assert_eq!((status, &made["status"]), (201, &json!("active")));
    let id = made["id"].as_str().unwrap();
    assert_eq!(location, Some(format!("https://node.example.org/fhir/Subscription/{id}")));
    let secret = &made["channel"]["extension"][0]["valueString"];
    assert!(secret.as_str().unwrap().starts_with("whsec_"), "{made}");
    let id = parse_id(id).ok().unwrap();
    let own = asking(ALL, "7", Verb::Read).ok().unwrap();
    let kept = case.answering.desk.get(id, own.patient).unwrap();
    assert_eq!(kept.told.0, 2, "what is settled already is not told");
    assert!(!resource(&kept, case.answering.audit.now(), None).to_string().contains("whsec_"));
    let lines = OperatorLog::new(&case.bench.folder.path().join("audit-reads.log"));
    let noted = || lines.last().unwrap().pop().map(|line| (line.order, line.key));
    let line = |word: &str| Some((word.to_owned(), Some("7".to_owned())));
    assert_eq!(noted(), line("subscribe-audit-events"));

    // Somebody else's token finds none.
    let other = asking(ALL, "8", Verb::Delete).ok().unwrap();
    let (status, _, refused) = said(case.answering.end(&other, id)).await;
    assert_eq!((status, code(&refused)), (404, ("subscription-unknown", "")));
    assert_eq!(noted(), line("subscribe-audit-events"));
    let (status, _, body) = said(case.answering.end(&own, id)).await;
    assert_eq!((status, body), (204, Value::Null));
    assert_eq!(noted(), line("unsubscribe-audit-events"));
    assert_eq!(said(case.answering.end(&own, id)).await.0, 404);
}

#[tokio::test]
async fn what_is_refused_says_so_with_its_code_and_element() {
    let case = Case::new();
    let (status, _, refused) = case.create("8", &posted("7")).await;
    assert_eq!(status, 403);
    assert_eq!(code(&refused), ("subscription-forbidden", "Subscription.criteria"));
    let mut other = posted("7");
    other["channel"]["endpoint"] = json!("https://other.example.org/secret");
    let (status, _, refused) = case.create("7", &other).await;
    assert_eq!(status, 422);
    assert_eq!(code(&refused), ("subscription-unserved", "Subscription.channel.endpoint"));
    assert!(!refused.to_string().contains("secret"), "{refused}");
    let (status, _, refused) = case.create("7", &json!({"resourceType": "Patient"})).await;
    assert_eq!((status, code(&refused)), (400, ("subscription-malformed", "Subscription")));
    for (of, expected) in [("7", 201), ("7", 201), ("7", 409), ("8", 201), ("9", 409)] {
        let (status, _, answer) = case.create(of, &posted(of)).await;
        assert_eq!(status, expected, "{of}");
        if status == 409 {
            assert_eq!(code(&answer).0, "subscriptions-full");
        }
    }
    // Of what found no room no line says that somebody subscribed.
    assert_eq!(case.orders(), ["subscribe-audit-events"; 3]);
}

#[tokio::test]
async fn what_was_noted_and_could_not_be_kept_is_noted_as_refused_and_one_subject_has_its_limit() {
    let case = Case::new();
    std::fs::create_dir(case.bench.folder.path().join("subscriptions.json")).unwrap();
    let mut answers = Vec::new();
    for _ in 0..PER_MINUTE + 2 {
        let (status, _, refused) = case.create("7", &posted("7")).await;
        answers.push((status, code(&refused).0.to_owned()));
    }
    let mut expected = vec![(503, "notices-unavailable".to_owned()); PER_MINUTE as usize];
    expected.extend(vec![(429, "reads-too-often".to_owned()); 2]);
    assert_eq!(answers, expected);
    let lines = case.orders();
    assert_eq!(lines[..2], ["subscribe-audit-events", "subscribe-audit-events-refused"]);
    assert_eq!(lines.len(), 2 * PER_MINUTE as usize);
}

#[test]
fn a_token_that_names_no_user_subscribes_where_it_counts_as_the_patients_alone() {
    let asked = |unnamed| Asking::of(bearer(ALL, None, Some("7")), unnamed, Verb::Create);
    let refused = asked(Unnamed::IsNobody).err().unwrap().into_response();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(asked(Unnamed::IsThePatient).is_ok());
}

#[tokio::test]
async fn where_it_cannot_be_noted_nobody_subscribes_and_whoever_did_may_end_it() {
    let case = Case::new();
    let (_, _, made) = case.create("7", &posted("7")).await;
    let id = parse_id(made["id"].as_str().unwrap()).ok().unwrap();
    std::fs::remove_file(case.bench.folder.path().join("audit-reads.log")).unwrap();
    std::fs::create_dir(case.bench.folder.path().join("audit-reads.log")).unwrap();
    let (status, _, refused) = case.create("7", &posted("7")).await;
    assert_eq!((status, code(&refused).0), (503, "notices-unavailable"));
    let own = asking(ALL, "7", Verb::Delete).ok().unwrap();
    assert_eq!(case.answering.desk.of(own.patient).unwrap().len(), 1);
    assert_eq!(said(case.answering.end(&own, id)).await.0, 204);
    assert!(case.answering.desk.of(own.patient).unwrap().is_empty());
}

#[tokio::test]
async fn a_token_grants_each_verb_of_the_own_patient_and_making_one_takes_the_events_scope_too() {
    let (create, read) = (Verb::Create, Verb::Read);
    let (search, delete) = (Verb::Search, Verb::Delete);
    for (scope, verb, granted) in [
        (ALL, create, true),
        ("patient/Subscription.c", create, false),
        ("patient/AuditEvent.s", create, false),
        ("patient/Subscription.c patient/AuditEvent.rs", create, true),
        ("patient/Subscription.r", read, true),
        ("patient/Subscription.r", delete, false),
        ("patient/Subscription.d", delete, true),
        ("patient/Subscription.s", search, true),
        ("user/Subscription.cruds system/Subscription.cruds user/AuditEvent.s", create, false),
        ("system/*.cruds", read, false),
    ] {
        let found = asking(scope, "7", verb);
        assert_eq!(found.is_ok(), granted, "{scope} {verb:?}");
        if let Err(refused) = found {
            let (status, _, outcome) = said(Err(refused)).await;
            assert_eq!((status, code(&outcome).0), (403, "subscription-forbidden"));
        }
    }
    for patient in ["x", "007", "99999999", ""] {
        assert!(asking(ALL, patient, read).is_err(), "{patient}");
    }
    assert!(Asking::of(bearer(ALL, None, None), Unnamed::IsThePatient, read).is_err());
}

#[tokio::test]
async fn whoever_opens_an_app_from_a_record_subscribes_to_nothing_of_it() {
    use tokens::UserKind::{Patient, Practitioner, RelatedPerson};
    let launched = |kind, id: &str| {
        let user = Some(tokens::User { kind, id: id.into() });
        let launched = Bearer { user, ..bearer(ALL, None, Some("7")) };
        Asking::of(launched, Unnamed::IsThePatient, Verb::Create)
    };
    for (kind, id) in [(Practitioner, "dr-001"), (Practitioner, "7"), (Patient, "8")] {
        let (status, _, outcome) = said(launched(kind, id).map(|_| unreachable!())).await;
        assert_eq!((status, code(&outcome).0), (403, "subscription-forbidden"), "{kind:?} {id}");
    }
    assert!(launched(Patient, "7").is_ok() && launched(RelatedPerson, "mother-1").is_ok());
}

#[test]
fn a_search_is_of_the_own_subscriptions_and_of_nothing_else() {
    let own = asking(ALL, "7", Verb::Search).ok().unwrap().patient;
    let search = |query: &str| {
        let uri: Uri = format!("/fhir/Subscription{query}").parse().unwrap();
        check_search(&uri, own).is_ok()
    };
    for query in ["", "?", "?patient=7", "?patient=Patient/7&_format=json"] {
        assert!(search(query), "{query}");
    }
    for query in ["?patient=8", "?patient=7&patient=7", "?status=active", "?_format=xml"] {
        assert!(!search(query), "{query}");
    }
}

#[test]
fn a_body_is_said_to_be_json() {
    let said = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.append(header::CONTENT_TYPE, text.parse().unwrap());
        is_json(&headers)
    };
    assert!(said("application/fhir+json; charset=utf-8") && said("Application/JSON"));
    assert!(!said("text/plain") && !said("application/jsonx") && !is_json(&HeaderMap::new()));
}
