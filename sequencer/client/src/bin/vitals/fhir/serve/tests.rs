use std::net::SocketAddr;

use bridge::Cause;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::fhir::desk::tests::{desk, rate};
use crate::fhir::door::Door;
use crate::fhir::double::Double;
use crate::fhir::keys::KeyFile;

const VECTORS: &[u8] = include_bytes!("../../../../../../tokens/tests/tokens/vectors/jwks.json");

struct Served {
    address: SocketAddr,
    desk: Arc<Desk<Double>>,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn new(desk: Desk<Double>) -> Served {
        Served::waiting(desk, Duration::from_secs(600)).await
    }

    /// Waits so long for a whole request.
    async fn waiting(desk: Desk<Double>, request_wait: Duration) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (desk, (stop, stopped)) = (Arc::new(desk), oneshot::channel());
        let entrance = Entrance { listener, tls: None };
        let limits = Limits { connections_max: 4, body_bytes_max: 4096, request_wait };
        let serving = serve(entrance, Arc::clone(&desk), limits, async { drop(stopped.await) });
        Served { address, desk, stop, done: tokio::spawn(serving) }
    }

    /// Everything that is answered to some bytes, until the other side closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn post(target: &str, body: &str, more: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: {}\r\n{more}\r\n{body}",
        body.len()
    )
}

fn statuses(answers: &str) -> Vec<&str> {
    let lines = answers.split("\r\n").flat_map(|line| line.split("}HTTP"));
    let lines = lines.filter_map(|line| line.split_once("/1.1 "));
    lines.map(|(_, status)| &status[..3]).collect()
}

const CLOSE: &str = "Connection: close\r\n";

#[tokio::test]
async fn requests_of_one_connection_are_answered_in_their_order() {
    let served = Served::new(desk()).await;
    let good = post("/fhir/Observation", &rate(json!({})).to_string(), "");
    let bad = post("/fhir/Observation", "{", "");
    let metadata = "GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = post("/fhir/Observation", &rate(json!({})).to_string(), CLOSE);
    let answers = served.exchange(format!("{good}{bad}{metadata}{last}").as_bytes()).await;
    assert_eq!(statuses(&answers), ["201", "400", "200", "200"]);
    assert!(answers.contains("\r\nLocation: http://127.0.0.1:1/fhir/Observation/"), "{answers}");
    assert!(answers.contains("\"fhirVersion\":\"4.0.1\""), "{answers}");
    // The last is the first once more.
    assert_eq!(served.desk.store.kept.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_in_chunks_is_asked_for_and_taken() {
    let served = Served::new(desk()).await;
    let body = rate(json!({})).to_string();
    let (first, second) = body.split_at(17);
    let bytes = format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let answers = served.exchange(bytes.as_bytes()).await;
    assert_eq!(statuses(&answers), ["100", "201"]);
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_an_outcome_and_ends_the_connection() {
    let served = Served::new(desk()).await;
    for (text, status, code) in [
        ("nothing\r\n\r\n".to_owned(), "400", "request-malformed"),
        ("GET /fhir HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "405", "method-not-served"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "404", "path-unknown"),
        (post("/fhir", &"x".repeat(4097), ""), "413", "body-long"),
        (post("/fhir", "{}", "Origin: http://evil.example\r\n"), "403", "origin"),
        (post("/fhir", "{}", "Accept: text/html\r\n"), "406", "accept-unknown"),
        (post("/fhir", "{}", "Transfer-Encoding: chunked\r\n"), "400", "request-malformed"),
    ] {
        let answer = served.exchange(text.as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{text}");
        assert!(answer.contains(code) && answer.contains("OperationOutcome"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    let xml = post("/fhir", "<x/>", "").replace("fhir+json", "fhir+xml");
    assert_eq!(statuses(&served.exchange(xml.as_bytes()).await), ["415"]);
}

#[tokio::test]
async fn whoever_has_no_token_is_turned_away_before_the_body() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, VECTORS).unwrap();
    let expected = tokens::Expected {
        issuer: "https://auth.example.org".into(),
        audience: "https://node.example.org/fhir".into(),
        skew_ms: tokens::SKEW_MS,
        lifetime_ms_max: tokens::LIFETIME_MS_MAX,
    };
    let keys = KeyFile::open(&path, expected, now()).unwrap();
    let served = Served::new(Desk { door: Door::Tokens(keys), ..desk() }).await;
    // The body never comes, and nobody waits for it.
    let head = post("/fhir/Observation", "", "").replace("Length: 0", "Length: 100");
    let answer = served.exchange(head.as_bytes()).await;
    assert_eq!(statuses(&answer), ["401"]);
    assert!(answer.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{answer}");
    let old = include_str!("../../../../../../tokens/tests/tokens/vectors/es384.jwt").trim();
    let shown = post("/fhir/Observation", "{}", &format!("Authorization: Bearer {old}\r\n"));
    let answer = served.exchange(shown.as_bytes()).await;
    assert!(answer.contains("Bearer error=\"invalid_token\""), "{answer}");
    assert!(!answer.contains(old), "{answer}");
    // What is served may be asked for by anybody.
    let metadata = format!("GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n");
    let answer = served.exchange(metadata.as_bytes()).await;
    assert_eq!(statuses(&answer), ["200"]);
    assert!(answer.contains("SMART-on-FHIR"), "{answer}");
    let counts = served.desk.tally.counts();
    assert_eq!((counts.connections, counts.requests, counts.turned_away), (3, 3, 2));
}

#[tokio::test]
async fn what_may_be_sent_again_says_when() {
    let served = Served::new(desk()).await;
    served.desk.store.refusals.lock().unwrap().insert("heart-rate", Cause::Away);
    let body = rate(json!({})).to_string();
    let answer = served.exchange(post("/fhir/Observation", &body, CLOSE).as_bytes()).await;
    assert_eq!(statuses(&answer), ["503"]);
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
}

#[tokio::test]
async fn half_a_request_gives_its_place_back_and_says_so() {
    let served = Served::waiting(desk(), Duration::from_millis(50)).await;
    let answer = served.exchange(b"POST /fhir HTTP/1.1\r\n").await;
    assert_eq!(statuses(&answer), ["408"]);
}

#[tokio::test]
async fn a_body_that_comes_drop_by_drop_has_its_time_from_the_first_byte_of_the_head_on() {
    let served = Served::waiting(desk(), Duration::from_millis(50)).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    let head = post("/fhir/Observation", "", "").replace("Length: 0", "Length: 4096");
    slow.write_all(head.as_bytes()).await.unwrap();
    let metadata = format!("GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n");
    let mut answer = Vec::new();
    // A drop for each answer to somebody else, until it has one itself.
    while answer.is_empty() {
        assert_eq!(statuses(&served.exchange(metadata.as_bytes()).await), ["200"]);
        drop(slow.write_all(b" ").await);
        drop(slow.try_read_buf(&mut answer));
    }
    drop(slow.read_to_end(&mut answer).await);
    assert_eq!(statuses(&String::from_utf8(answer).unwrap()), ["408"]);
}

#[tokio::test]
async fn slow_senders_give_their_places_back_to_who_waits_for_one() {
    let served = Served::waiting(desk(), Duration::from_millis(50)).await;
    let mut slow = Vec::new();
    // As many as there are places.
    for _ in 0..4 {
        let mut one = TcpStream::connect(served.address).await.unwrap();
        one.write_all(b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Le").await.unwrap();
        slow.push(one);
    }
    let metadata = format!("GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n");
    assert_eq!(statuses(&served.exchange(metadata.as_bytes()).await), ["200"]);
    let mut slow_answers = 0;
    for mut one in slow {
        let mut answer = String::new();
        drop(one.read_to_string(&mut answer).await);
        slow_answers += statuses(&answer).iter().filter(|status| **status == "408").count();
    }
    assert_eq!((slow_answers, served.desk.tally.counts().turned_away), (4, 4));
}

#[tokio::test]
async fn when_it_ends_idle_connections_end_and_what_is_asked_is_answered() {
    let served = Served::new(desk()).await;
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let metadata = "GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.write_all(metadata.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    served.stop.send(()).unwrap();
    served.done.await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}
