//! `vitals fhir`: what a sender of FHIR is told, and what the node has then.

use std::path::Path;

use ::files::Audience;
use model::{Clock as _, RejectCode, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command_line::folder_with_identities;
use crate::node::{Behaviour, Node};
use crate::tls::{self, Sender, Ward};
use crate::waiting::Running;

#[path = "../../../tokens/tests/tokens/issuer.rs"]
mod issuer;

use issuer::Issuer;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "2.999.1"
identifier = "4711"
patient = 7
[[device]]
identifier = "Device/1"
device = "m-1"
[[patient]]
authority = "2.999.1"
identifier = "4712"
patient = 8
[[device]]
identifier = "Device/2"
device = "m-2"
"#;

/// A server that runs, and where it listens.
struct Server {
    running: Running,
    address: String,
}

/// Status, `Location` and body of an answer.
struct Answered {
    status: String,
    location: Option<String>,
    body: Value,
}

impl Answered {
    fn read(answer: &str) -> Answered {
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let location = head.lines().find_map(|line| line.strip_prefix("Location: "));
        Answered {
            status: head["HTTP/1.1 ".len()..][..3].to_owned(),
            location: location.map(str::to_owned),
            body: serde_json::from_str(body).expect("JSON"),
        }
    }
}

fn request(target: &str, body: &Value, headers: &str) -> String {
    let body = body.to_string();
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n\
         Connection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Server {
    async fn start(folder: &Path, node: &Node) -> Server {
        Server::start_with(folder, node, "--open").await
    }

    async fn start_with(folder: &Path, node: &Node, options: &str) -> Server {
        let map = folder.join("ward.toml");
        ::files::replace(&map, &[MAP.as_bytes()], Audience::Owner).unwrap();
        let line = format!(
            "--json fhir --identity DIR/gateway --listen 127.0.0.1:0 --map DIR/ward.toml \
             --base https://fhir.example.org/fhir --state DIR/state {options}"
        );
        let mut running = Running::start(folder, node, &line);
        let said = running.says("FHIR R4 on http").await;
        let address = said.rsplit("://").next().and_then(|rest| rest.strip_suffix("/fhir"));
        let address = address.expect("an address").to_owned();
        Server { running, address }
    }

    async fn post(&self, target: &str, body: &Value) -> Answered {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request(target, body, "").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answered::read(&answer)
    }

    async fn end(mut self) -> Value {
        self.running.interrupt().await;
        let (code, said) = self.running.end().await;
        assert_eq!(code, Some(4), "{said}");
        assert_eq!(said["schema"], "vitals-fhir-1");
        said
    }
}

fn rate(identifier: &str, value: u32) -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "identifier": [{ "system": "urn:x", "value": identifier }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        "subject": { "identifier": { "system": "urn:oid:2.999.1", "value": "4711" } },
        "device": { "reference": "Device/1" },
        "effectiveDateTime": "2026-05-01T08:30:00Z",
        "valueQuantity": { "value": value, "code": "/min" },
    })
}

fn bundle(kind: &str, resources: &[Value]) -> Value {
    let request = json!({ "method": "POST", "url": "Observation" });
    let entry = |resource: &Value| json!({ "resource": resource, "request": request });
    let entries: Vec<_> = resources.iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn code(outcome: &Value) -> &str {
    outcome["issue"][0]["details"]["coding"][0]["code"].as_str().expect("a code")
}

const CREATE: &str = "/fhir/Observation";

#[tokio::test]
async fn an_observation_of_two_identifiers_is_stored_once_in_both_orders() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let server = Server::start(folder.path(), &node).await;
    let entry = |number: u32, condition: Option<&str>| {
        let mut both = rate(&format!("{number}-a"), 70 + number);
        let second = json!({ "system": "urn:x", "value": format!("{number}-b") });
        both["identifier"].as_array_mut().unwrap().push(second);
        let mut batch = bundle("batch", &[both]);
        if let Some(name) = condition {
            let name = format!("identifier=urn:x|{number}-{name}");
            batch["entry"][0]["request"]["ifNoneExist"] = name.into();
        }
        batch
    };
    let mut told = Vec::new();
    for posted in [entry(1, None), entry(1, Some("b")), entry(2, Some("b")), entry(2, None)] {
        let answer = server.post("/fhir", &posted).await;
        let response = answer.body["entry"][0]["response"].clone();
        told.push((response["status"].clone(), response["location"].clone()));
    }
    let statuses: Vec<_> = told.iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, ["201 Created", "200 OK", "201 Created", "200 OK"]);
    assert!(told[0].1 == told[1].1 && told[2].1 == told[3].1, "{told:?}");
    server.end().await;
    assert_eq!(node.log().stored, 2);
}

#[tokio::test]
async fn an_observation_is_created_by_its_receipt_and_stored_once_also_after_a_restart() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let server = Server::start(folder.path(), &node).await;
    let first = server.post(CREATE, &rate("1", 72)).await;
    assert_eq!((first.status.as_str(), code(&first.body)), ("201", "receipt"), "{}", first.body);
    let location = first.location.expect("an address");
    assert!(location.starts_with("https://fhir.example.org/fhir/Observation/"), "{location}");
    server.end().await;
    let server = Server::start(folder.path(), &node).await;
    let again = server.post(CREATE, &rate("1", 72)).await;
    assert_eq!((again.status.as_str(), again.location), ("200", Some(location)));
    let other = server.post(CREATE, &rate("1", 99)).await;
    assert_eq!((other.status.as_str(), code(&other.body)), ("409", "identifier-reused"));
    let said = server.end().await;
    let counted = ["requests", "accepted", "taken_before", "rejected", "readings"];
    assert_eq!(counted.map(|name| &said[name]), [2, 1, 1, 1, 1], "{said}");
    assert_eq!(node.log().stored, 1);
}

#[tokio::test]
async fn a_bundle_of_both_types_is_durable_when_it_is_answered() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let server = Server::start(folder.path(), &node).await;
    let batch = server.post("/fhir", &bundle("batch", &[rate("1", 72), rate("2", 73)])).await;
    let statuses = |answered: &Answered| -> Vec<String> {
        let entries = answered.body["entry"].as_array().expect("entries");
        entries.iter().map(|one| one["response"]["status"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(batch.status, "200", "{}", batch.body);
    assert_eq!(statuses(&batch), ["201 Created", "201 Created"]);
    let all = [rate("2", 73), rate("3", 74), rate("4", 75)];
    let transaction = server.post("/fhir", &bundle("transaction", &all)).await;
    assert_eq!(statuses(&transaction), ["200 OK", "201 Created", "201 Created"]);
    // One of a transaction is known by its own name, too.
    assert_eq!(server.post(CREATE, &rate("4", 75)).await.status, "200");
    server.end().await;
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    let readings = frames.map(|(frame, ..)| frame.readings(signal()).unwrap().len());
    assert_eq!(readings.sum::<usize>(), 4);
}

fn signal() -> &'static model::Signal {
    model::signal_by_name("heart-rate").unwrap()
}

#[tokio::test]
async fn what_consent_refuses_is_forbidden_with_its_code() {
    let reject_frame = Some(RejectCode::NotPermitted);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let server = Server::start(folder.path(), &node).await;
    let refused = server.post(CREATE, &rate("1", 72)).await;
    assert_eq!((refused.status.as_str(), code(&refused.body)), ("403", "node-9"));
    server.end().await;
}

#[tokio::test]
async fn what_consent_permits_of_a_transaction_is_stored_and_the_rest_when_it_is_sent_again() {
    let without_consent = vec![model::PatientIndex::new(8).unwrap()];
    let node = Node::start(Behaviour { without_consent, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let server = Server::start(folder.path(), &node).await;
    let mut refused = rate("2", 73);
    refused["subject"]["identifier"]["value"] = "4712".into();
    refused["device"]["reference"] = "Device/2".into();
    let posted = bundle("transaction", &[rate("1", 72), refused]);
    let answer = server.post("/fhir", &posted).await;
    assert_eq!((answer.status.as_str(), code(&answer.body)), ("403", "node-9"));
    let text = answer.body.to_string();
    assert!(text.contains("in-part"), "{text}");
    // Of the first one the node was asked besides, and it has it or gets it.
    assert!(matches!(server.post(CREATE, &rate("1", 72)).await.status.as_str(), "200" | "201"));
    assert_eq!(node.log().stored, 1);
    node.log().behaviour.without_consent.clear();
    // A refusal is repeated for a second without asking the node.
    let begin = std::time::Instant::now();
    while server.post("/fhir", &posted).await.status != "200" {
        assert!(begin.elapsed().as_secs() < 30, "it is never completed");
    }
    server.end().await;
    assert_eq!(node.log().stored, 2);
}

#[tokio::test]
async fn a_sender_needs_a_certificate_and_a_token_where_both_are_asked_for() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let (ward, other, issuer) = (Ward::new(), Ward::new(), Issuer::new());
    ward.write(folder.path());
    std::fs::write(folder.path().join("jwks.json"), issuer.jwks()).unwrap();
    let options =
        format!("--jwks DIR/jwks.json --issuer https://auth.example.org {}", tls::OPTIONS);
    let server = Server::start_with(folder.path(), &node, &options).await;
    let now = SystemClock.now().unix_ms() / 1000;
    let by = |scope: &str, posted: &Value| {
        let token = issuer.token(&json!({
            "iss": "https://auth.example.org", "aud": "https://fhir.example.org/fhir",
            "sub": "feed", "iat": now, "exp": now + 300, "scope": scope,
        }));
        request(CREATE, posted, &format!("Authorization: Bearer {token}\r\n"))
    };
    let shown = by("system/Observation.c", &rate("1", 72));
    for sender in [Sender::Unknown, Sender::Of(&other)] {
        assert_eq!(ward.exchange(&server.address, sender, shown.as_bytes()).await, None);
    }
    let without = request(CREATE, &rate("1", 72), "");
    // A scope for vital signs is for what says that it is one.
    let narrow = "system/Observation.c?category=\
                  http://terminology.hl7.org/CodeSystem/observation-category|vital-signs";
    let mut vital = rate("2", 73);
    vital["effectiveDateTime"] = json!("2026-05-01T08:31:00Z");
    vital["category"] = json!([{ "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
        "code": "vital-signs",
    }] }]);
    for (posted, status) in [
        (without, "401"),
        (shown, "201"),
        (by(narrow, &vital), "201"),
        (by(narrow, &rate("3", 74)), "403"),
        (by("system/Observation.c?code=8867-4", &vital), "403"),
    ] {
        let answer = ward.exchange(&server.address, Sender::Of(&ward), posted.as_bytes()).await;
        assert_eq!(Answered::read(&answer.expect("let in")).status, status);
    }
    let said = server.end().await;
    let counted = ["connections", "connections_refused", "turned_away", "accepted"];
    assert_eq!(counted.map(|name| &said[name]), [7, 2, 2, 2], "{said}");
}
