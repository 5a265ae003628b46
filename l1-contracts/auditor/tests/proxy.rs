//! A node that answers as another one does, but for the faults of a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of one question.
pub(crate) enum Reply {
    /// The other node's answer.
    Through,
    /// The other node's answer, changed.
    Changed(Box<dyn Fn(&mut Value) + Send>),
    /// Half of the other node's answer, as if it were the whole.
    Half,
    /// Half of the other node's answer; its length is that of the whole.
    Cut,
    /// The other node's answer to another question, with these parameters.
    Instead(Value),
    /// None: the connection is dropped.
    Drop,
    /// An error in JSON-RPC.
    Error { status: &'static str, code: i64, words: String },
    /// Something else: status with further lines of the head, and a body.
    Other { head: &'static str, body: &'static str },
}

/// Decides what becomes of the question with this number, from 1, of its method.
type Decide = dyn Fn(&Value, u64) -> Reply + Send + Sync;

/// A running proxy; it ends with its runtime.
pub(crate) struct Proxy {
    pub(crate) url: String,
    asked: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn serve(
        upstream: String,
        decide: impl Fn(&Value, u64) -> Reply + Send + Sync + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(AtomicU64::new(0));
        let node: Arc<Node> = Arc::new(Node {
            client: l1_contracts::http_client(&upstream.parse().expect("an address"))
                .expect("a client"),
            upstream,
            decide: Box::new(decide),
            asked: asked.clone(),
            by_method: std::sync::Mutex::default(),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let node = node.clone();
                // A peer that hangs up ends its answer.
                tokio::spawn(async move { node.answer(stream).await });
            }
        });
        Proxy { url, asked }
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

struct Node {
    client: reqwest::Client,
    upstream: String,
    decide: Box<Decide>,
    asked: Arc<AtomicU64>,
    by_method: std::sync::Mutex<std::collections::BTreeMap<String, u64>>,
}

impl Node {
    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let question = read_question(&mut stream).await?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let method = question["method"].as_str().expect("a method").to_owned();
        let number = {
            let mut by_method = self.by_method.lock().expect("not poisoned");
            let number = by_method.entry(method).or_default();
            *number += 1;
            *number
        };
        let id = question["id"].clone();
        match (self.decide)(&question, number) {
            Reply::Through => send(stream, "200 OK", &self.ask(&question).await.to_string()).await,
            Reply::Changed(change) => {
                let mut answer = self.ask(&question).await;
                change(&mut answer["result"]);
                send(stream, "200 OK", &answer.to_string()).await
            }
            Reply::Half => {
                let answer = self.ask(&question).await.to_string();
                send(stream, "200 OK", &answer[..answer.len() / 2]).await
            }
            Reply::Cut => {
                let answer = self.ask(&question).await.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    answer.len()
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&answer.as_bytes()[..answer.len() / 2]).await
            }
            Reply::Instead(params) => {
                let mut other = question.clone();
                other["params"] = params;
                send(stream, "200 OK", &self.ask(&other).await.to_string()).await
            }
            Reply::Drop => Ok(()),
            Reply::Error { status, code, words } => {
                let error = json!({ "code": code, "message": words });
                let body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                send(stream, status, &body.to_string()).await
            }
            Reply::Other { head, body } => send(stream, head, body).await,
        }
    }

    async fn ask(&self, question: &Value) -> Value {
        let post = self.client.post(&self.upstream).header("content-type", "application/json");
        let answer = post.body(question.to_string()).send().await.expect("answers");
        let text = answer.text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// The number of blocks that a question about logs is about.
pub(crate) fn blocks_of(question: &Value) -> u64 {
    let number = |name: &str| {
        let text = question["params"][0][name].as_str().expect("a number in hexadecimal");
        u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
    };
    number("toBlock") - number("fromBlock") + 1
}

/// `status` may hold further lines of the head behind it.
pub(crate) async fn send(mut stream: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await
}

/// The question; head and body may come apart.
pub(crate) async fn read_question(stream: &mut TcpStream) -> std::io::Result<Value> {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        let asked = body.and_then(|body| serde_json::from_str::<Value>(body).ok());
        if let Some(asked) = asked {
            return Ok(asked);
        }
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
