//! What a running node shows of itself: the desk over HTTP and the same by `sequencer status`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use sequencer::node::Node;
use sequencer::node::desk::Figures;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::reload::sequencer;
use crate::support::Site;

/// Status and JSON of `GET /desk` with these lines of a head.
async fn desk(node: &Node, head: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(node.endpoints().http).await.unwrap();
    let request = format!("GET /desk HTTP/1.1\r\nconnection: close\r\n{head}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
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

    let status = sequencer(&site, &["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let names = |figures: &Value| {
        let mut names: Vec<_> = figures.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&status["figures"]), names(&told["now"]));
    let text = String::from_utf8(sequencer(&site, &["status"]).stdout).unwrap();
    for line in ["\ntaken in ", "\nreceipts ", "\nqueues ", "\nproving ", "\nmemory "] {
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
    let (node, _) = site.start().await;
    let (status, told) = desk(&node, "host: localhost").await;
    assert_eq!((status, &told["error"]), (401, &"desk-token".into()));
    let bearer = format!("host: node.example.org\r\nauthorization: Bearer {token}");
    assert_eq!(desk(&node, &bearer).await.0, 200);
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
