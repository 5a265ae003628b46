//! `vitals fhir`: what a sender of FHIR is told, and what the node has then.

use std::path::Path;

use ::files::Audience;
use model::RejectCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command_line::folder_with_identities;
use crate::node::{Behaviour, Node};
use crate::waiting::Running;

const MAP: &str = r#"
version = 1
[[patient]]
authority = "2.999.1"
identifier = "4711"
patient = 7
[[device]]
identifier = "Device/1"
device = "m-1"
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

impl Server {
    async fn start(folder: &Path, node: &Node) -> Server {
        let map = folder.join("ward.toml");
        ::files::replace(&map, &[MAP.as_bytes()], Audience::Owner).unwrap();
        let line = "--json fhir --identity DIR/gateway --listen 127.0.0.1:0 --map DIR/ward.toml \
                    --base https://fhir.example.org/fhir --state DIR/state --open";
        let mut running = Running::start(folder, node, line);
        let said = running.says("FHIR R4 on http://").await;
        let address = said.rsplit("http://").next().and_then(|rest| rest.strip_suffix("/fhir"));
        let address = address.expect("an address").to_owned();
        Server { running, address }
    }

    async fn post(&self, target: &str, body: &Value) -> Answered {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let location = head.lines().find_map(|line| line.strip_prefix("Location: "));
        Answered {
            status: head["HTTP/1.1 ".len()..][..3].to_owned(),
            location: location.map(str::to_owned),
            body: serde_json::from_str(body).expect("JSON"),
        }
    }

    async fn end(mut self) -> Value {
        self.running.interrupt().await;
        let (code, said) = self.running.end().await;
        assert_eq!(code, Some(0), "{said}");
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
    server.end().await;
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
