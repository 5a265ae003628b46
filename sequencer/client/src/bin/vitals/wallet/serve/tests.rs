//! The page over a socket, as a browser and as a stranger ask it.

use std::net::SocketAddr;

use client::hand_in::Door;
use client::{Deployment, Key, KeyKind};
use model::{ChainScope, Word};
use serde_json::Value;
use tokio::sync::oneshot;
use wire::{SigningKey, signer_address};

use super::super::gate::Secret;
use super::super::patient::{Given, Receipts};
use super::*;
use crate::known;

const HOUR: Duration = Duration::from_secs(3600);

/// A page of a patient of whom nothing is there.
struct Page {
    at: SocketAddr,
    desk: Arc<Desk>,
    ended: tokio::task::JoinHandle<End>,
    stop: Option<oneshot::Sender<()>>,
    _folder: tempfile::TempDir,
}

async fn page(idle: Duration) -> Page {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let signer = SigningKey::from_slice(&[9; 32]).unwrap();
    let given = Given {
        key_path: folder.path().join("anna.key"),
        identity: folder.path().to_owned(),
        deployment: Deployment {
            scope: ChainScope { chain_id: 31337, contract: [9; 20] },
            receipt_signer: signer_address(&signer),
            registrar: Word::ZERO,
            fingerprint: "00".repeat(20).parse().unwrap(),
        },
        door: Door::parse("http://127.0.0.1:1").unwrap(),
        data: folder.path().display().to_string(),
        headers: folder.path().join("headers.json"),
        receipts: Receipts { folder: folder.path().join("receipts"), is_named: false },
        frames: Vec::new(),
        know: Vec::new(),
        patient: None,
        ask_names: Box::new(|_| known::Answer::Nothing(String::new())),
    };
    let patient = Patient::new(Key::from_secret(KeyKind::Patient, [7; 32]), given);
    let gate = Gate::new(at, Secret::of([5; 32]), || Some([6; 32]));
    let (stop, stopped) = oneshot::channel::<()>();
    let desk = Arc::new(Desk::new(gate, patient, idle));
    let ended = tokio::spawn(serve(listener, Arc::clone(&desk), async { drop(stopped.await) }));
    Page { at, desk, ended, stop: Some(stop), _folder: folder }
}

/// Status and body of an answer.
async fn send(to: SocketAddr, request: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A page that does not read on to the end may cut what it answered; what came counts.
    drop(stream.read_to_end(&mut answer).await);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn post(page: &Page, path: &str, more: &str, body: &str) -> String {
    let (at, length) = (page.at, body.len());
    format!(
        "POST {path} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nContent-Length: {length}\r\n\
         Content-Type: application/json\r\n{more}\r\n{body}"
    )
}

#[tokio::test]
async fn a_page_is_opened_asked_and_closed() {
    let page = page(HOUR).await;
    let at = page.at;
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{more}\r\n");
    let (status, body) = send(at, &get("/", "")).await;
    assert!(status == 200 && body.starts_with(b"<!doctype html>"));
    assert_eq!(send(at, &get("/state", "")).await.0, 401);
    assert_eq!(send(at, &get("/", "").replace(&at.to_string(), "evil.example")).await.0, 421);
    let token = format!(r#"{{"token":"{}"}}"#, "05".repeat(32));
    let (status, body) = send(at, &post(&page, "/session", "", &token)).await;
    assert_eq!(status, 200);
    let word = serde_json::from_slice::<Value>(&body).unwrap()["word"].clone();
    assert_eq!(word, "06".repeat(32));
    let port = at.port();
    let session =
        format!("Cookie: vitals-wallet-{port}={0}\r\nX-Vitals-Page: {0}\r\n", "06".repeat(32));
    let (status, body) = send(at, &get("/state", &session)).await;
    let state: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &state["record"]["kind"]), (200, &"copy-missing".into()));
    let head = get("/", "").replace("GET", "HEAD");
    assert_eq!(send(at, &head).await, (200, Vec::new()));
    let (status, _) = send(at, &post(&page, "/close", &session, "{}")).await;
    assert_eq!(status, 200, "the last answer is sent before the page ends");
    assert_eq!(page.ended.await.unwrap(), End::Closed);
    assert!(TcpStream::connect(at).await.is_err());
}

#[tokio::test]
async fn what_is_too_long_or_no_request_is_not_read() {
    let page = page(HOUR).await;
    let at = page.at;
    let long = format!("GET / HTTP/1.1\r\nHost: {at}\r\nx: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(send(at, &long).await.0, 413);
    let body = format!("POST /sign HTTP/1.1\r\nHost: {at}\r\nContent-Length: 999999\r\n\r\n");
    assert_eq!(send(at, &body).await.0, 413);
    assert_eq!(send(at, "nonsense\r\n\r\n").await.0, 400);
    assert_eq!(send(at, &format!("PUT / HTTP/1.1\r\nHost: {at}\r\n\r\n")).await.0, 405);
    let chunks = format!("POST / HTTP/1.1\r\nHost: {at}\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(send(at, &chunks).await.0, 411);
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_for_one() {
    let page = page(HOUR).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(page.at).await.unwrap());
    }
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", page.at);
    let waiting = tokio::spawn(async move { send(page.at, &request).await.0 });
    silent.pop();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn a_page_that_nobody_asks_ends_and_one_that_is_stopped_does() {
    assert_eq!(page(Duration::ZERO).await.ended.await.unwrap(), End::Idle);
    let mut page = page(HOUR).await;
    drop(page.stop.take());
    assert_eq!(page.ended.await.unwrap(), End::Stopped);
}

#[tokio::test]
async fn a_page_whose_machine_slept_ends_at_the_first_question() {
    let page = page(HOUR).await;
    assert!(!page.desk.has_slept(now()));
    page.desk.touched_ms.store(0, Ordering::SeqCst);
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", page.at);
    assert_eq!(send(page.at, &request).await.0, 401);
    assert_eq!(page.ended.await.unwrap(), End::Idle);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_gives_the_place_back() {
    let page = page(HOUR).await;
    let mut stream = TcpStream::connect(page.at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}
