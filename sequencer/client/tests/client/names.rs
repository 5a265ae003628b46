//! Whom a rule names is asked about before anybody signs it.

use std::path::Path;
use std::process::Stdio;

use model::{PractitionerId, RejectCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use wire::RegistryKey;

use crate::command_line::{command, done, enrol, folder_with_identities, vitals};
use crate::node::{Behaviour, Node};

const PERMIT: &str = "consent permit --patient-key DIR/anna.key --identity DIR/wallet \
                      --categories ecg --purposes treatment --actor";

fn practitioner(name: &str) -> RegistryKey {
    RegistryKey::Practitioner(PractitionerId::new(name).unwrap())
}

/// A node whose registry knows everybody but `dr-0O1`, as close as a misread name comes.
fn without_dr_0o1() -> Behaviour {
    Behaviour { unknown: vec![practitioner("dr-0o1")], ..Behaviour::default() }
}

async fn nonce(folder: &Path, node: &Node) -> Value {
    let show = "consent show --patient-key DIR/anna.key --identity DIR/wallet";
    done(folder, node, show).await["nonce"].clone()
}

#[tokio::test]
async fn a_name_that_the_registry_knows_is_told_once_and_signed() {
    let node = Node::start(without_dr_0o1());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let line = format!("{PERMIT} practitioner:dr-001 --source device:m-1 --yes");
    let output = command(folder.path(), &node, &line).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for name in ["practitioner dr-001", "device m-1"] {
        let told = format!("the registry knows {name}, which this wallet names for the first time");
        assert!(text.contains(&told), "{text}");
    }
    let again = done(folder.path(), &node, &line).await;
    let names = json!([
        { "name": "practitioner dr-001", "registry": "known", "why": null, "new": false },
        { "name": "device m-1", "registry": "known", "why": null, "new": false },
    ]);
    assert_eq!(again["names"], names);
    assert_eq!((&again["names_unknown"], &again["names_not_checked"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn for_a_name_that_the_registry_does_not_know_yes_is_not_enough() {
    let node = Node::start(without_dr_0o1());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let before = (nonce(folder.path(), &node).await, node.log().operations.len());
    let line = format!("{PERMIT} practitioner:dr-0o1 --yes");
    let output = command(folder.path(), &node, &line).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("THE REGISTRY DOES NOT KNOW practitioner dr-0o1"), "{text}");
    assert!(text.contains("--yes does not answer for practitioner dr-0o1"), "{text}");
    let output = vitals(folder.path(), &node, &line).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["names_unknown"], json!(["practitioner dr-0o1"]));
    assert_eq!(report["applied"], false);
    // A denial of nobody protects from nobody: it is no better.
    let deny = line.replace("permit", "deny");
    assert_eq!(vitals(folder.path(), &node, &deny).await.status.code(), Some(1));
    let after = (nonce(folder.path(), &node).await, node.log().operations.len());
    assert_eq!(after, before, "nothing was signed, sent or taken over");
    // A look at it is a look.
    let preview = done(folder.path(), &node, &format!("{line} --dry-run")).await;
    assert_eq!(preview["names_unknown"], json!(["practitioner dr-0o1"]));

    let line = format!("{line} --allow-unknown");
    let output = command(folder.path(), &node, &line).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("THE REGISTRY DOES NOT KNOW practitioner dr-0o1"), "{text}");
    let report = done(folder.path(), &node, &line).await;
    assert_eq!(report["applied"], true);
    assert_eq!(report["names_unknown"], json!(["practitioner dr-0o1"]), "once named, still told");
}

#[tokio::test]
async fn a_node_that_does_not_say_leaves_a_name_not_checked_and_takes_the_operation() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let busy = Some(RejectCode::Busy);
    for (behaviour, why) in [
        (Behaviour { before_names: true, ..Behaviour::default() }, "an earlier version"),
        (Behaviour { reject_names: busy, ..Behaviour::default() }, "(code 12)"),
    ] {
        node.behave(behaviour);
        let line = format!("{PERMIT} practitioner:dr-001 --yes");
        let report = done(folder.path(), &node, &line).await;
        assert_eq!(report["applied"], true);
        assert_eq!(report["names_not_checked"], json!(["practitioner dr-001"]));
        let found = report["names"][0]["why"].as_str().unwrap();
        assert!(found.contains(why), "{found}");
        let output = command(folder.path(), &node, &line).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("whether the registry knows practitioner dr-001"), "{text}");
        assert!(text.contains("is not checked") && text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn a_care_team_stands_in_no_registry_and_anybody_is_not_asked_about() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    node.log().shown.clear();
    let report = done(folder.path(), &node, &format!("{PERMIT} care-team:night --dry-run")).await;
    assert_eq!(report["names_not_checked"], json!(["care-team night"]));
    assert_eq!(report["names"][0]["why"], "the registry has no care teams");
    let report = done(folder.path(), &node, &format!("{PERMIT} any --dry-run")).await;
    assert_eq!(report["names"], json!([]));
    assert_eq!(node.log().shown, [], "no session for a question without names");
}

#[tokio::test]
async fn without_a_node_a_look_says_not_checked_and_nothing_is_signed() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let before = nonce(folder.path(), &node).await;
    let without = async |line: &str| {
        let mut command = command(folder.path(), &node, &format!("{PERMIT} {line} --json"));
        command.env_remove("VITALS_NODE").output().await.unwrap()
    };
    let output = without("practitioner:dr-001 --dry-run").await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["names_not_checked"], json!(["practitioner dr-001"]));
    assert!(report["names"][0]["why"].as_str().unwrap().contains("expected --node HOST:PORT"));
    assert_eq!(without("practitioner:dr-001 --yes").await.status.code(), Some(2));
    // Whoever cannot be asked is told so before the node is.
    node.log().shown.clear();
    let line = format!("{PERMIT} practitioner:dr-001");
    let asked = vitals(folder.path(), &node, &line).await;
    assert_eq!(asked.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("expected --yes where nobody"));
    assert_eq!(node.log().shown, [], "no session");
    assert_eq!(nonce(folder.path(), &node).await, before);
}

#[tokio::test]
async fn what_goes_over_http_is_asked_about_at_the_node_that_is_named_beside_it() {
    let node = Node::start(without_dr_0o1());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let before = nonce(folder.path(), &node).await;
    // Where nobody listens: what is told is told before anything is sent.
    let line = format!("{PERMIT} practitioner:dr-0o1 --http http://127.0.0.1:1");
    let output = vitals(folder.path(), &node, &format!("{line} --yes")).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["names_unknown"], json!(["practitioner dr-0o1"]));
    let mut alone = command(folder.path(), &node, &format!("{line} --dry-run --json"));
    let output = alone.env_remove("VITALS_NODE").output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["names_not_checked"], json!(["practitioner dr-0o1"]));
    assert!(
        report["names"][0]["why"].as_str().unwrap().contains("--node HOST:PORT is"),
        "{report}"
    );
    assert_eq!(nonce(folder.path(), &node).await, before);
}

/// Head and JSON of the answer to what the page posts.
async fn post(at: &str, path: &str, more: &str, body: &Value) -> (String, Value) {
    let (mut stream, body) = (TcpStream::connect(at).await.unwrap(), body.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nContent-Length: {}\r\n\
         Content-Type: application/json\r\n{more}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn the_patients_page_tells_of_a_name_that_the_registry_does_not_know_before_it_signs() {
    let node = Node::start(without_dr_0o1());
    let folder = folder_with_identities(&node);
    enrol(folder.path(), &node).await;
    let line = "wallet --key DIR/anna.key --identity DIR/wallet --http http://127.0.0.1:1 \
                --headers DIR/headers.json --json";
    let mut page = command(folder.path(), &node, line).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(page.stdout.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).await.unwrap();
    let first: Value = serde_json::from_str(&first).expect(&first);
    let url = first["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let (at, token) = url.split_once("/#token=").unwrap();
    let (head, opened) = post(at, "/session", "", &json!({ "token": token })).await;
    let (_, cookie) = head.split_once("set-cookie: ").expect(&head);
    let (cookie, word) = (cookie.split(';').next().unwrap(), opened["word"].as_str().unwrap());
    let session = format!("Cookie: {cookie}\r\nX-Vitals-Page: {word}\r\n");
    let rule = json!({
        "actor": "practitioner:dr-0o1", "categories": "ecg", "purposes": "treatment",
    });
    let wanted = json!({ "action": "permit", "rule": rule });
    let (_, shown) = post(at, "/preview", &session, &wanted).await;
    assert_eq!(shown["names_unknown"], json!(["practitioner dr-0o1"]), "{shown}");
    let sign = |more: Value| {
        let mut asked = json!({ "preview": shown["preview"] });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    let (_, refused) = post(at, "/sign", &session, &sign(json!({}))).await;
    assert_eq!(refused["kind"], "name-unknown", "{refused}");
    // Agreed to, it goes out, where nobody listens.
    let (_, sent) = post(at, "/sign", &session, &sign(json!({ "allow_unknown": true }))).await;
    assert_eq!(sent["kind"], "node-away", "{sent}");
}
