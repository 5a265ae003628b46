//! What a running node shows of itself: the desk over HTTP, beside its page and by `sequencer
//! status`; and to anybody how far its windows are.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use sequencer::node::Node;
use sequencer::node::desk::Figures;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::reload::sequencer;
use crate::support::{Site, check_settled, close_and_settle};

/// Status, head and body of the answer to a request: its first line, further lines of its head, and
/// its body.
pub(crate) async fn send(
    to: SocketAddr,
    line: &str,
    head: &str,
    body: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nconnection: close\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// Status and JSON of what stands at a path.
async fn get(from: SocketAddr, path: &str, head: &str) -> (u16, Value) {
    let (status, _, body) = send(from, &format!("GET {path}"), head, "").await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Status and JSON of `GET /desk` with these lines of a head.
async fn desk(node: &Node, head: &str) -> (u16, Value) {
    get(node.endpoints().http, "/desk", head).await
}

/// Waits for the first point, which the node takes within some seconds.
async fn wait_for_figures(node: &Node) -> Figures {
    let mut looks = node.watched().follow_conditions();
    loop {
        if let Some(figures) = node.watched().desk().last() {
            return figures;
        }
        looks.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desk_and_the_status_tell_the_same_figures() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let figures = wait_for_figures(&node).await;
    assert!(figures.free_bytes > 0 && figures.resident_bytes > 0, "{figures:?}");
    assert_eq!(figures.journal_queue_items_max, site.config.journal.queue_items_max as i64);
    let (status, told) = desk(&node, "host: localhost").await;
    assert_eq!((status, &told["schema"]), (200, &"vitals-desk-1".into()));
    let points = &told["points"];
    for name in Figures::NAMES {
        let row = points[name].as_array().unwrap();
        assert_eq!(row.last(), told["now"].get(name), "{name}");
    }
    assert_eq!(desk(&node, "host: node.example.org").await.0, 403);
    let health = &told["health"];
    assert_eq!((&health["schema"], &health["healthy"]), (&"vitals-health-1".into(), &true.into()));
    assert!(health["stages"].as_array().is_some_and(|stages| stages.len() > 10), "{health}");

    let status = sequencer(&site, &["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let names = |figures: &Value| {
        let mut names: Vec<_> = figures.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&status["figures"]), names(&told["now"]));
    assert_eq!((&status["rejects"], &told["rejects"]), (&json!([]), &json!([])));
    let text = String::from_utf8(sequencer(&site, &["status"]).stdout).unwrap();
    for line in
        ["\ntaken in ", "\nreceipts ", "\nqueues ", "\nproving ", "\nmemory ", "\nrejected "]
    {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_the_desk_is_for_whoever_has_it() {
    let mut site = Site::new().await;
    let (path, token) = (site.beside("desk.token"), "0123456789abcdef".repeat(2));
    site.config.web.token_file = Some(path.clone());
    let missing = site.start_error().await;
    assert!(missing.to_string().contains("web.token_file"), "{missing}");
    files::replace(&path, &[token.as_bytes()], files::Audience::Owner).unwrap();
    site.config.web.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (node, _) = site.start().await;
    let (status, head, told) =
        send(node.endpoints().http, "GET /desk", "host: localhost", "").await;
    assert!(status == 401 && told.contains("desk-token"), "{told}");
    assert!(head.contains("www-authenticate: Bearer"), "{head}");
    let host = "host: node.example.org";
    let bearer = format!("{host}\r\nauthorization: Bearer {token}");
    let (status, told) = desk(&node, &bearer).await;
    assert_eq!((status, &told["erasures"]["waiting"]), (200, &json!(0)), "{told}");

    // Beside the page a browser gives it once.
    let page = node.endpoints().page.expect("a page is configured");
    assert_eq!(get(page, "/desk", host).await.0, 401);
    let question = json!({ "token": token }).to_string();
    let kind = format!("{host}\r\ncontent-type: application/json");
    let (status, head, _) = send(page, "POST /desk/session", &kind, &question).await;
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.and_then(|cookie| cookie.split(';').next()).expect("a session");
    assert!(status == 204 && !head.contains(&token), "{head}");
    let (status, told) = get(page, "/desk", &format!("{host}\r\ncookie: {cookie}")).await;
    assert_eq!((status, &told["access"]), (200, &"session".into()));
    // What is for everybody needs none of it.
    let (status, told) = get(page, "/page.json", host).await;
    assert_eq!((status, &told["desk"]), (200, &true.into()));
    assert_eq!(get(page, "/batches", host).await.0, 200);
    node.stop().await.unwrap();
}

/// What is under way as the node tells anybody, once its last window is this one and open.
async fn wait_for_open(node: &Node, number: u64) -> Value {
    let mut looks = node.watched().follow_conditions();
    loop {
        let (_, told) = get(node.endpoints().http, "/batches", "host: x").await;
        let last = told["under_way"].as_array().unwrap().last().cloned().unwrap_or_default();
        if last["batch"] == number {
            assert_eq!(last["state"], "open", "{told}");
            assert!(last["since_unix_ms"].as_u64().is_some_and(|ms| ms > 0), "{told}");
            return told;
        }
        looks.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_told_from_the_open_one_on_until_the_chain_has_them() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    let told = wait_for_open(&node, 1).await;
    assert_eq!((&told["assembled"], &told["under_way_left_out"]), (&json!(0), &json!(0)));
    node.submit(site.frame(1)).await.unwrap();
    let batch = close_and_settle(&node).await;
    assert_eq!(batch, 1);
    check_settled(&edge, node.store(), batch).await;
    // Nothing of it is under way any more, and no window but the one that is open.
    let told = wait_for_open(&node, 2).await;
    assert_eq!((&told["settled"], told["under_way"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!(node.watched().metrics().batch_sent.get(), 1);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_prints_an_object_a_line_until_it_is_interrupted_and_outlives_the_node() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    let mut watch = Command::new(env!("CARGO_BIN_EXE_sequencer"))
        .args(["status", "--watch", "--json", "--dir"])
        .arg(site.layout.folder())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = lines.next().expect("a further line").unwrap();
        serde_json::from_str::<Value>(&line).expect(&line)
    };
    for _ in 0..2 {
        let told = next();
        assert_eq!(told["schema"], "vitals-status-1");
        assert!(told["stages"].is_array(), "{told}");
    }
    node.stop().await.unwrap();
    // A look may have been under way.
    let gone = std::iter::repeat_with(next).take(3).find(|told| told.get("error").is_some());
    let why = gone.expect("it says that the node is gone")["error"].clone();
    assert!(why.as_str().unwrap().contains("no node runs"), "{why}");
    let sent = Command::new("kill").args(["-INT", &watch.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}
