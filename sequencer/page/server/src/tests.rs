//! A server on a free port, asked as a browser and as a stranger would.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderValue};
use l1_contracts::RPC_ANSWER_BYTES_MAX;
use model::BatchNumber;
use page::{HEADERS, assets};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::{
    Admitted, CHAINS_MAX, Closed, Desk, Files, Found, PageError, PageServer, Reach, Shown, Trust,
};

const DEPLOYMENT: &[u8] = br#"{"settlement":"0x5FbDB2315678afecb367f032d93F642f64180aa3"}"#;

/// One batch, whose file is nine bytes; number 5 is withheld.
struct OneBatch;

impl Files for OneBatch {
    fn reach(&self) -> Found<'_, Reach> {
        Box::pin(async { Ok(Reach::of(BatchNumber(2), BatchNumber(1))) })
    }

    fn public_file(&self, number: BatchNumber) -> Found<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            match number {
                BatchNumber(1) => Ok(Some(b"batch one".to_vec())),
                BatchNumber(5) => Err("the host\u{1b}[2J is away".to_owned()),
                _ => Ok(None),
            }
        })
    }
}

fn shown(trust: Trust, chains: &[SocketAddr]) -> Shown {
    let chains = chains.iter().map(|at| format!("http://{at}").parse().unwrap()).collect();
    Shown { trust, deployment: DEPLOYMENT.to_vec(), chains, files: Box::new(OneBatch), desk: None }
}

/// A desk whose token is `open sesame`, and whose cookie says so.
struct OneDesk;

const REFUSED: Closed = Closed { status: 401, code: "desk-token" };

impl Desk for OneDesk {
    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Closed> {
        let is_session = headers.get(header::COOKIE).is_some_and(|cookie| cookie == "desk=open");
        let since = uri.query().and_then(|query| query.strip_prefix("since=")?.parse().ok());
        let since_unix_ms = since.ok_or(Closed { status: 400, code: "since-malformed" })?;
        if is_session { Ok(Admitted { since_unix_ms, is_session }) } else { Err(REFUSED) }
    }

    fn tell(&self, Admitted { since_unix_ms, is_session }: Admitted) -> String {
        // Of a question that has it fail.
        assert_ne!(since_unix_ms, 500);
        json!({ "asked": since_unix_ms, "by_cookie": is_session }).to_string()
    }

    fn begin(&self, token: &str, _: &HeaderMap) -> Result<HeaderValue, Closed> {
        let cookie = HeaderValue::from_static("desk=open; Path=/desk; HttpOnly");
        if token == "open sesame" { Ok(cookie) } else { Err(REFUSED) }
    }

    fn end(&self, _: &HeaderMap) -> HeaderValue {
        HeaderValue::from_static("desk=; Path=/desk; Max-Age=0")
    }
}

pub(crate) fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn with_desk() -> Shown {
    Shown { desk: Some(Arc::new(OneDesk)), ..shown(Trust::Operator, &[any()]) }
}

/// Serves until the sender is dropped.
async fn serve(trust: Trust, chains: &[SocketAddr]) -> (SocketAddr, oneshot::Sender<()>) {
    serve_shown(shown(trust, chains)).await
}

async fn serve_shown(shown: Shown) -> (SocketAddr, oneshot::Sender<()>) {
    let server = PageServer::bind(any(), shown).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let address = server.local_addr();
    tokio::spawn(server.serve(async { drop(stopped.await) }));
    (address, stop)
}

/// A node of the base chain that gives every question of its connections this answer.
async fn node(answer: Value) -> SocketAddr {
    node_that(move |_| answer.clone()).await
}

/// One that answers as it is told, by method, parameters and id.
pub(crate) async fn node_that(
    mut answer: impl FnMut(&Value) -> Value + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(any()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let body = answer(&read_question(&mut stream).await).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            drop(stream.write_all((head + &body).as_bytes()).await);
        }
    });
    address
}

/// The JSON behind the head, which may come in parts.
async fn read_question(stream: &mut TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        let begin = text.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        let found = begin.and_then(|begin| serde_json::from_slice(&text[begin..]).ok());
        if let Some(question) = found {
            return question;
        }
        if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
            return Value::Null;
        }
    }
}

/// Status, head in lower case, and body.
async fn send(to: SocketAddr, request: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

async fn get(to: SocketAddr, path: &str, more: &str) -> (u16, String, Vec<u8>) {
    let host = if more.contains("host:") { String::new() } else { format!("host: {to}\r\n") };
    send(to, &format!("GET {path} HTTP/1.1\r\n{host}{more}connection: close\r\n\r\n")).await
}

async fn ask(to: SocketAddr, path: &str, kind: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let (status, _, body) = send(
        to,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {to}\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ),
    )
    .await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn every_file_of_the_page_comes_with_its_headers_and_once() {
    let (page, _stop) = serve_shown(with_desk()).await;
    for asset in assets() {
        let (status, head, body) = get(page, asset.path, "").await;
        assert_eq!((status, body.as_slice()), (200, asset.bytes), "{}", asset.path);
        for (name, value) in HEADERS {
            assert!(head.contains(&format!("{name}: {}", value.to_lowercase())), "{head}");
        }
        assert!(head.contains(&format!("content-type: {}", asset.content_type)), "{head}");
        let tag = format!("if-none-match: {}\r\n", asset.etag());
        let (status, head, body) = get(page, asset.path, &tag).await;
        assert_eq!((status, body.len()), (304, 0), "{head}");
        assert!(head.contains("content-security-policy"), "{head}");
    }
    let head_of = format!("HEAD / HTTP/1.1\r\nhost: {page}\r\nconnection: close\r\n\r\n");
    let (status, _, body) = send(page, &head_of).await;
    assert_eq!((status, body.len()), (200, 0));
}

#[tokio::test]
async fn a_page_says_who_serves_it_and_shows_what_there_is() {
    let (page, _stop) = serve(Trust::Operator, &[any(), any()]).await;
    let (_, _, body) = get(page, "/page.json", "").await;
    assert_eq!(body, br#"{"schema":1,"trust":"operator","chains":2}"#);
    assert_eq!(get(page, "/deployment.json", "").await.2, DEPLOYMENT);
    let (status, _, body) = get(page, "/batches", "").await;
    let reach = Reach::of(BatchNumber(2), BatchNumber(1)).to_json();
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()), (200, reach));
    assert_eq!(get(page, "/batches/1", "").await.2, b"batch one");
    for (path, status, code) in [
        ("/batches/2", 404, "batch-unknown"),
        ("/batches/x", 400, "number-malformed"),
        ("/batches/+1", 400, "number-malformed"),
        ("/batches/5", 503, "files-unavailable"),
        ("/batches/1/private", 400, "number-malformed"),
        ("/other", 404, "path-unknown"),
        ("/../Cargo.toml", 404, "path-unknown"),
        ("/chain/1", 405, "method-not-served"),
        // This page has no desk.
        ("/desk", 404, "path-unknown"),
        ("/desk.html", 404, "path-unknown"),
        ("/desk/app.js", 404, "path-unknown"),
        ("/desk/session", 404, "path-unknown"),
    ] {
        let (found, head, body) = get(page, path, "").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((found, body["error"].as_str()), (status, Some(code)), "{path}");
        assert!(!body.to_string().contains("\\u001b"), "{body}");
        assert!(head.contains("content-security-policy"), "{head}");
    }
    let (status, answer) = ask(page, "/batches", "application/json", "{}").await;
    assert_eq!((status, &answer["error"]), (405, &json!("method-not-served")));
}

#[tokio::test]
async fn a_desk_is_told_to_whoever_is_let_in_and_kept_by_no_cache() {
    let (page, _stop) = serve_shown(with_desk()).await;
    let (_, _, body) = get(page, "/page.json", "").await;
    assert_eq!(body, br#"{"schema":1,"trust":"operator","chains":1,"desk":true}"#);
    let (status, head, body) = get(page, "/desk?since=5", "").await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]), (401, &json!("desk-token")));
    assert!(!head.contains("www-authenticate"), "the browser would ask in words of its own");

    let json_type = "content-type: application/json\r\n";
    let sent = async |method: &str, more: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} /desk/session HTTP/1.1\r\nhost: {page}\r\n{more}");
        send(page, &format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"))
            .await
    };
    let token = r#"{"token":"open sesame"}"#;
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(1024));
    for (method, more, body, status, code) in [
        ("POST", json_type, r#"{"token":"sesame"}"#, 401, "desk-token"),
        ("POST", json_type, r#"{"token":7}"#, 400, "question-malformed"),
        ("POST", json_type, "open sesame", 400, "question-malformed"),
        ("POST", json_type, &long, 413, "question-long"),
        // As a form of another site would send it, which asks nobody before.
        ("POST", "content-type: text/plain\r\n", token, 415, "question-type"),
        ("POST", "", token, 415, "question-type"),
        ("GET", json_type, "", 405, "method-not-served"),
        ("OPTIONS", json_type, "", 405, "method-not-served"),
    ] {
        let (found, head, answer) = sent(method, more, body).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let error = answer["error"].as_str();
        assert_eq!((found, error), (status, Some(code)), "{method} {body}");
        assert!(!head.contains("set-cookie") && !head.contains("access-control"), "{head}");
    }
    let (status, head, body) = sent("POST", json_type, token).await;
    assert_eq!((status, body.len()), (204, 0), "{head}");
    assert!(head.contains("set-cookie: desk=open; path=/desk; httponly"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let (status, head, body) = get(page, "/desk?since=5", "cookie: desk=open\r\n").await;
    assert_eq!((status, body.as_slice()), (200, &br#"{"asked":5,"by_cookie":true}"#[..]));
    assert!(head.contains("cache-control: no-store"), "{head}");
    for (since, status, code) in [("x", 400, "since-malformed"), ("500", 500, "internal")] {
        let path = format!("/desk?since={since}");
        let (found, _, body) = get(page, &path, "cookie: desk=open\r\n").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((found, body["error"].as_str()), (status, Some(code)), "{since}");
    }
    let (status, head, _) = sent("DELETE", "", "").await;
    assert!(status == 204 && head.contains("set-cookie: desk=; path=/desk; max-age=0"), "{head}");
    let (status, answer) = ask(page, "/desk", "application/json", "{}").await;
    assert_eq!((status, &answer["error"]), (405, &json!("method-not-served")));
}

#[tokio::test]
async fn the_nodes_of_a_readers_own_page_are_named_without_what_is_secret() {
    let mut of_reader = shown(Trust::Verifier, &[]);
    of_reader.chains = vec!["http://me:hunter2@127.0.0.1:8545/v2/key?token=1".parse().unwrap()];
    let server = PageServer::bind(any(), of_reader).await.unwrap();
    let page = server.local_addr();
    tokio::spawn(server.serve(std::future::pending()));
    let (status, _, body) = get(page, "/nodes.json", "").await;
    let named = json!(["http://<hidden>@127.0.0.1:8545/<hidden>?<hidden>"]);
    let expected = json!({ "schema": 1, "nodes": named });
    assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()), (200, expected));
    let (operators, _stop) = serve(Trust::Operator, &[any()]).await;
    assert_eq!(get(operators, "/nodes.json", "").await.0, 404);
}

#[tokio::test]
async fn a_name_that_somebody_pointed_here_reads_nothing_of_a_verifier() {
    let (page, _stop) = serve(Trust::Verifier, &[any()]).await;
    let port = page.port();
    for host in ["localhost", "127.0.0.1", &format!("localhost:{port}"), "[::1]:80", "[::1]"] {
        let (status, ..) = get(page, "/page.json", &format!("host: {host}\r\n")).await;
        assert_eq!(status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "::1"] {
        let (status, ..) = get(page, "/page.json", &format!("host: {host}\r\n")).await;
        assert_eq!(status, 421, "{host}");
    }
    let (operators, _stop) = serve(Trust::Operator, &[any()]).await;
    assert_eq!(get(operators, "/page.json", "host: node.example\r\n").await.0, 200);
}

#[tokio::test]
async fn questions_that_read_are_passed_on_and_no_others() {
    let good = node(json!({ "jsonrpc": "2.0", "id": 0, "result": "0x7a69" })).await;
    let error = json!({ "code": -32000, "message": "key hunter2 has used its credits" });
    let bad = node(json!({ "jsonrpc": "2.0", "id": 0, "error": error })).await;
    let away = TcpListener::bind(any()).await.unwrap().local_addr().unwrap();
    let result = "0".repeat(RPC_ANSWER_BYTES_MAX);
    let large = node(json!({ "jsonrpc": "2.0", "id": 0, "result": result })).await;
    let (page, _stop) = serve(Trust::Verifier, &[good, bad, away, large]).await;
    let question =
        |method: &str| json!({ "jsonrpc": "2.0", "id": 7, "method": method }).to_string();
    let json_type = "application/json";
    let (status, answer) = ask(page, "/chain/1", json_type, &question("eth_chainId")).await;
    let expected = json!({ "jsonrpc": "2.0", "id": 7, "result": "0x7a69" });
    assert_eq!((status, answer), (200, expected));
    let (status, answer) = ask(page, "/chain/2", json_type, &question("eth_chainId")).await;
    assert_eq!(
        (status, &answer["error"]["message"]),
        (200, &json!("the node refuses the question"))
    );
    let long = format!("{}{}", question("eth_call"), " ".repeat(64 * 1024));
    for (path, kind, body, status, code) in [
        ("/chain/3", json_type, question("eth_chainId"), 502, "chain-unreachable"),
        ("/chain/4", json_type, question("eth_chainId"), 502, "chain-answer-large"),
        ("/chain/5", json_type, question("eth_chainId"), 404, "chain-unknown"),
        ("/chain/0", json_type, question("eth_chainId"), 404, "chain-unknown"),
        ("/chain/1", "text/plain", question("eth_chainId"), 415, "question-type"),
        ("/chain/1", json_type, question("eth_sendRawTransaction"), 403, "question-not-served"),
        ("/chain/1", json_type, "[]".to_owned(), 400, "question-malformed"),
        ("/chain/1", json_type, long, 413, "question-long"),
    ] {
        let (found, answer) = ask(page, path, kind, &body).await;
        assert_eq!((found, answer["error"].as_str()), (status, Some(code)), "{path} {kind}");
    }
}

#[tokio::test]
async fn a_page_is_for_loopback_and_has_a_chain() {
    let open = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = PageServer::bind(open, shown(Trust::Operator, &[any()])).await.unwrap_err();
    assert!(matches!(refused, PageError::Open(_)), "{refused}");
    for count in [0, CHAINS_MAX + 1] {
        let shown = shown(Trust::Operator, &vec![any(); count]);
        let refused = PageServer::bind(any(), shown).await.unwrap_err();
        assert!(matches!(refused, PageError::Chains(found) if found == count), "{refused}");
    }
    let (page, stop) = serve(Trust::Verifier, &[any()]).await;
    let taken = PageServer::bind(page, shown(Trust::Verifier, &[any()])).await.unwrap_err();
    assert!(matches!(taken, PageError::Bind { .. }), "{taken}");
    drop(stop);
    // Free again once it has ended.
    while PageServer::bind(page, shown(Trust::Verifier, &[any()])).await.is_err() {
        tokio::task::yield_now().await;
    }
}
