//! A node of the chain, and a source of files, that do everything to mislead or exhaust.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auditor::{Options, Place, Quiet, Source, Verdict, audit};
use l1_contracts::{Patience, RPC_ANSWER_BYTES_MAX};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::chain::live;
use crate::proxy::{Proxy, Reply, read_question, send};

/// Clears the screen and prints a green-looking end of a report.
const ESCAPES: &str = "\u{1b}[2J\u{1b}[32mverdict       holds\u{1b}[0m\n\u{202e}\u{9b}1m";
/// In an address: what must not be seen anywhere.
const SECRET: &str = "hunter2";

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// An answer without an end.
    Endless,
    /// Its length is declared small, and more comes.
    EndlessError,
    /// An error in JSON-RPC with a message that acts on terminals.
    Escapes,
    /// A good answer, to another question.
    WrongId,
    /// A status and a page that are no JSON-RPC.
    Page,
}

struct Hostile {
    url: String,
    sent: Arc<AtomicUsize>,
}

impl Hostile {
    async fn serve(mode: Mode) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = sent.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A peer that hangs up ends its answer.
                let _ = answer(stream, mode, &counter).await;
            }
        });
        Hostile { url: format!("http://me:{SECRET}@{address}/v2/{SECRET}?key={SECRET}"), sent }
    }
}

async fn answer(mut stream: TcpStream, mode: Mode, sent: &AtomicUsize) -> std::io::Result<()> {
    let id = read_question(&mut stream).await?["id"].clone();
    let body = match mode {
        Mode::Endless | Mode::EndlessError => return send_endlessly(stream, mode, sent).await,
        Mode::Escapes => json!({
            "jsonrpc": "2.0", "id": id, "error": { "code": -1, "message": ESCAPES },
        }),
        Mode::WrongId => json!({ "jsonrpc": "2.0", "id": 999_999, "result": "0x7a69" }),
        Mode::Page => json!(ESCAPES),
    };
    let status = if mode == Mode::Page { "500 Internal Server Error" } else { "200 OK" };
    send(stream, status, &body.to_string()).await
}

/// A node that answers as the one at `upstream` does, and names a head that is never reached.
async fn serve_far_head(upstream: String) -> Proxy {
    let far = |block: &mut Value| block["number"] = json!("0x7fffffffffffffff");
    let decide = move |question: &Value, _| match question["params"][0].as_str() {
        Some("latest") => Reply::Changed(Box::new(far)),
        _ => Reply::Through,
    };
    Proxy::serve(upstream, decide).await
}

async fn send_endlessly(
    mut stream: TcpStream,
    mode: Mode,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let status = if mode == Mode::Endless { "200 OK" } else { "500 Internal Server Error" };
    let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let begin = br#"{"jsonrpc":"2.0","id":0,"result":"0x"#;
    stream.write_all(format!("{:x}\r\n", begin.len()).as_bytes()).await?;
    stream.write_all(begin).await?;
    let block = vec![b'0'; 1 << 20];
    loop {
        stream.write_all(format!("\r\n{:x}\r\n", block.len()).as_bytes()).await?;
        stream.write_all(&block).await?;
        sent.fetch_add(block.len(), Ordering::Relaxed);
    }
}

/// Everything that the program printed, which must act on no terminal and show no secret.
fn said(output: &std::process::Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    let text = String::from_utf8(both).expect("text");
    for hostile in ['\u{1b}', '\u{202e}', '\u{9b}'] {
        assert!(!text.contains(hostile), "{text:?}");
    }
    assert!(!text.contains(SECRET), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_cut_off_and_called_unavailable() {
    let live = live().await;
    for mode in [Mode::Endless, Mode::EndlessError] {
        let node = Hostile::serve(mode).await;
        let done = live.program_at(&node.url, "verify", &[]).await;
        assert_eq!(done.status.code(), Some(3));
        let text = said(&done);
        assert!(text.contains(&format!("at most {RPC_ANSWER_BYTES_MAX} bytes")), "{text}");
        // What lies in the sockets' buffers is sent, and not read.
        let sent = node.sent.load(Ordering::Relaxed);
        assert!(sent < 2 * RPC_ANSWER_BYTES_MAX, "{sent} bytes were taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_node_act_on_no_terminal_and_its_address_stays_hidden() {
    let live = live().await;
    let opening = live.folder().join("batch-1.opening").display().to_string();
    for mode in [Mode::Escapes, Mode::Page] {
        let node = Hostile::serve(mode).await;
        for more in [&["verify"][..], &["verify", "--json"], &["open", "--opening", &opening]] {
            let done = live.program_at(&node.url, more[0], &more[1..]).await;
            assert_eq!(done.status.code(), Some(3), "{}", said(&done));
            let text = said(&done);
            if mode == Mode::Escapes {
                assert!(text.contains("the node answers with error -1"), "{text}");
            }
            let last = text.lines().filter(|line| line.starts_with("verdict")).collect::<Vec<_>>();
            assert!(last.len() <= 1 && !text.contains("\nverdict       holds"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_never_reached_keeps_no_audit_busy() {
    let live = live().await;
    let node = serve_far_head(live.rpc()).await;
    let done = live.program_at(&node.url, "verify", &[]).await;
    assert_eq!(done.status.code(), Some(3));
    let text = said(&done);
    assert!(text.contains("blocks to search, and the node of the base chain names more"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_another_question_is_none() {
    let live = live().await;
    let node = Hostile::serve(Mode::WrongId).await;
    let done = live.program_at(&node.url, "verify", &[]).await;
    assert_eq!(done.status.code(), Some(3));
    let text = said(&done);
    assert!(text.contains("expected the answer to question") && text.contains("999999"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_nobody_answers_or_that_are_none_hide_their_secrets() {
    let live = live().await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = free.local_addr().expect("bound");
    drop(free);
    let keyed = format!("http://me:{SECRET}@{nobody}/{SECRET}");
    let done = live.program_at(&keyed, "verify", &[]).await;
    assert_eq!(done.status.code(), Some(3));
    assert!(said(&done).contains(&nobody.to_string()));

    let data = Source::parse(&keyed).expect("an address");
    let rpc = format!("http://{nobody}").parse().expect("an address");
    let place = Place { rpc: &rpc, deployment: &live.deployment, data: &data };
    assert!(!format!("{place:?}").contains(SECRET));
    let report = audit(place, &Options::default(), Arc::new(Quiet)).await;
    assert_eq!(report.verdict, Verdict::Unavailable);

    let missing =
        data.public_file(model::BatchNumber(1), &Patience::short()).await.expect_err("nobody");
    assert!(!missing.to_string().contains(SECRET), "{missing}");
    assert!(missing.to_string().contains("/batches/1"), "{missing}");
    for text in [format!("ftp://me:{SECRET}@node"), format!("me:{SECRET}@node")] {
        let wrong = Source::parse(&text).expect_err("no address");
        assert!(!model::with_causes(&wrong).contains(SECRET), "{wrong}");
        let done = live.program_at(&text, "verify", &[]).await;
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shape_in_a_deployment_file_acts_on_no_terminal() {
    let live = live().await;
    let mut other = live.deployment.clone();
    other.keys[0].shape = ESCAPES.to_owned();
    let report = live.audit(&other, &Options::default()).await;
    assert_eq!(report.verdict, Verdict::Broken);
    let text = report.text(auditor::Colour::Plain);
    assert!(!text.contains('\u{1b}') && text.matches("\nverdict").count() == 1, "{text:?}");
}
