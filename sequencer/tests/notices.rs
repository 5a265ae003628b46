//! A patient's app is told by a whole node that somebody read their data: from the request to
//! subscribe to the notice at a receiver that speaks TLS, which goes away and comes back.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use accounting::notices::is_public;
use aws_lc_rs::hmac;
use model::{BatchNumber, Clock as _, SystemClock};
use reqwest::Client;
use sequencer::node::Node;
use sequencer::stages::notices::{Judged, Poster};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::receiver::{Got, Receiver};
use crate::doctor::{connect, permit, reconnect};
use crate::issued::{Issuer, bearer, trust};
use crate::pages::read_and_settle;
use crate::support::{Site, close_and_settle, stream_key};
use crate::watching::send;

#[allow(dead_code, reason = "the tests of the stage need the rest")]
#[path = "../src/stages/notices/tests/receiver.rs"]
mod receiver;

const HOST: &str = "app.example.org";
/// Longest wait for anything: what does not come fails its test.
const WAIT: Duration = Duration::from_secs(60);

/// A site whose patients may have the receiver told, which tries again as soon as may be.
async fn site(issuer: &Issuer, receiver: &Receiver) -> Site {
    let mut site = Site::new().await;
    trust(&mut site, issuer);
    let notices = &mut site.config.notices;
    notices.hosts = vec![format!("{HOST}:{}", receiver.port())];
    (notices.retry_first_ms, notices.retry_max_ms) = (100, 200);
    site.poster = Some(poster(receiver, |_| true));
    site
}

/// Sends to this machine, whatever the name of a host, as far as that may be.
fn poster(receiver: &Receiver, may_connect: fn(IpAddr) -> bool) -> Poster {
    let here = |_| vec![Ipv4Addr::LOCALHOST.into()];
    let trusts = Client::builder().tls_certs_only([receiver.authority()]);
    Poster::of(trusts, Judged::of(here, may_connect)).unwrap()
}

/// Status and resource of the answer to the patient's app.
async fn ask(node: &Node, issuer: &Issuer, line: &str, body: &str) -> (u16, Value) {
    let patient = stream_key().patient.get();
    let token = bearer(
        issuer,
        json!({
            "sub": "anna", "patient": patient.to_string(),
            "fhirUser": format!("Patient/{patient}"),
            "scope": "patient/Subscription.crds patient/AuditEvent.s",
        }),
    );
    let head = format!("host: node\r\ncontent-type: application/fhir+json\r\n{token}");
    let (status, _, body) = send(node.endpoints().http, line, head.trim_end(), body).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// Asks that this endpoint be told.
async fn subscribe(node: &Node, issuer: &Issuer, endpoint: &str) -> (u16, Value) {
    let asked = json!({
        "resourceType": "Subscription", "status": "requested", "reason": "tell my app",
        "criteria": format!("AuditEvent?patient={}", stream_key().patient.get()),
        "channel": {"type": "rest-hook", "endpoint": endpoint},
    });
    ask(node, issuer, "POST /fhir/Subscription", &asked.to_string()).await
}

/// What is told to nobody: another host or port than those of the list, plain HTTP, and an address
/// in place of a name.
async fn check_refused(node: &Node, issuer: &Issuer, port: u16) {
    let (malformed, unserved) = ((400, "subscription-malformed"), (422, "subscription-unserved"));
    for (endpoint, (status, code)) in [
        (format!("https://other.example.org:{port}/hook"), unserved),
        (format!("https://{HOST}/hook"), unserved),
        (format!("http://{HOST}:{port}/hook"), malformed),
        (format!("https://127.0.0.1:{port}/hook"), malformed),
        ("https://10.0.0.1/hook".to_owned(), malformed),
        (format!("https://[::1]:{port}/hook"), malformed),
    ] {
        let (found, outcome) = subscribe(node, issuer, &endpoint).await;
        let issue = &outcome["issue"][0];
        assert_eq!((found, &outcome["resourceType"]), (status, &json!("OperationOutcome")));
        assert_eq!(issue["details"]["coding"][0]["code"], code, "{endpoint}: {outcome}");
        assert_eq!(issue["expression"], json!(["Subscription.channel.endpoint"]), "{endpoint}");
    }
    let (status, none) = ask(node, issuer, "GET /fhir/Subscription", "").await;
    assert_eq!((status, &none["total"]), (200, &json!(0)));
}

/// A subscription, as its receiver knows it.
struct Subscribed {
    id: String,
    key: hmac::Key,
}

impl Subscribed {
    fn of(resource: &Value) -> Subscribed {
        let secret = resource["channel"]["extension"][0]["valueString"].as_str().unwrap();
        let secret = decode(secret.strip_prefix("whsec_").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Subscribed { id: resource["id"].as_str().unwrap().to_owned(), key }
    }

    /// Waits for the next notice, which is about this batch, whole and signed for this receiver.
    async fn is_told_of(&self, batch: BatchNumber, receiver: &mut Receiver) {
        let got: Got = receiver.next().await;
        let id = format!("{}-{}", self.id, batch.0);
        assert_eq!((got.header("webhook-id"), got.body_bytes), (id.as_str(), 0));
        assert_eq!(got.line, "post /hook?key=k http/1.1");
        let sent = got.header("webhook-timestamp");
        let now = SystemClock.now().unix_ms() / 1000;
        assert!(now.abs_diff(sent.parse().unwrap()) < 300, "{sent}");
        let tag = decode(got.signature.strip_prefix("v1,").unwrap());
        let signed = format!("{id}.{sent}.");
        assert!(hmac::verify(&self.key, signed.as_bytes(), &tag).is_ok(), "{}", got.signature);
        let other = format!("{id}.{sent}.{{}}");
        assert!(hmac::verify(&self.key, other.as_bytes(), &tag).is_err());
    }

    /// Waits until this is why nothing arrives, which does not end it.
    async fn fails_by(&self, node: &Node, issuer: &Issuer, error: &str) {
        let line = format!("GET /fhir/Subscription/{}", self.id);
        let failing = async {
            loop {
                let (_, shown) = ask(node, issuer, &line, "").await;
                assert_eq!(shown["status"], "active", "{shown}");
                if shown["error"] == error {
                    return;
                }
            }
        };
        timeout(WAIT, failing).await.expect("it is told");
    }
}

/// base64 with padding.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').chars();
    let digits = digits.map(|digit| ALPHABET.find(digit).expect("a digit") as u32);
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0, 0);
    for digit in digits {
        (word, bits) = ((word << 6 | digit) & 0xffff, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}

/// A frame comes, and nobody reads it.
async fn settle_unread(site: &Site, node: &Node, sequence: u64) {
    node.submit(site.frame(sequence)).await.unwrap();
    close_and_settle(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_told_once_of_each_batch_with_an_access_also_after_it_was_away_over_a_start() {
    let (issuer, mut receiver) = (Issuer::new(), Receiver::start(&[HOST]));
    let mut site = site(&issuer, &receiver).await;
    let (node, edge) = site.start().await;
    permit(&mut site, &node).await;
    let doctor = connect(&site, &node).await;
    node.submit(site.frame(1)).await.unwrap();
    read_and_settle(&site, &node, &doctor, 1..2).await;
    check_refused(&node, &issuer, receiver.port()).await;
    let endpoint = format!("https://{HOST}:{}/hook?key=k", receiver.port());
    let (status, made) = subscribe(&node, &issuer, &endpoint).await;
    assert_eq!((status, &made["status"]), (201, &json!("active")), "{made}");
    let anna = Subscribed::of(&made);

    // Of what was settled before it is not told, nor of a batch in which nobody read.
    settle_unread(&site, &node, 2).await;
    let read = read_and_settle(&site, &node, &doctor, 2..4).await;
    anna.is_told_of(read, &mut receiver).await;

    receiver.goes_away();
    let first = read_and_settle(&site, &node, &doctor, 4..5).await;
    let unreached = "expected a connection with a good certificate, found none";
    anna.fails_by(&node, &issuer, unreached).await;
    settle_unread(&site, &node, 3).await;
    let second = read_and_settle(&site, &node, &doctor, 5..6).await;
    doctor.close().await;
    drop(edge);
    node.stop().await.unwrap();

    // The name of the host leads into the hospital by now: nobody connects there.
    receiver.comes_back();
    site.poster = Some(poster(&receiver, is_public));
    let (node, edge) = site.start().await;
    let private = "expected a host with public addresses alone, found another";
    anna.fails_by(&node, &issuer, private).await;
    assert!(receiver.has_no_more());
    drop(edge);
    node.stop().await.unwrap();

    site.poster = Some(poster(&receiver, |_| true));
    let (node, edge) = site.start().await;
    anna.is_told_of(first, &mut receiver).await;
    anna.is_told_of(second, &mut receiver).await;
    let doctor = reconnect(&site, &node).await;
    let last = read_and_settle(&site, &node, &doctor, 6..7).await;
    anna.is_told_of(last, &mut receiver).await;
    let (status, made) = subscribe(&node, &issuer, &endpoint).await;
    assert_eq!(status, 201, "{made}");
    let second = Subscribed::of(&made);
    let (status, _) =
        ask(&node, &issuer, &format!("DELETE /fhir/Subscription/{}", anna.id), "").await;
    assert_eq!(status, 204);
    // Two batches: what was sent of the first by a subscription that is deleted would have arrived.
    for nonces in [7..8, 8..9] {
        let batch = read_and_settle(&site, &node, &doctor, nonces).await;
        second.is_told_of(batch, &mut receiver).await;
    }
    doctor.close().await;
    drop(edge);
    node.stop().await.unwrap();
    assert!(receiver.has_no_more());
}
