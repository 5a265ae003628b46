//! Nodes of the chain as they are: with limits, out of step, repeating themselves, or the wrong
//! address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use auditor::{Colour, Options, Place, Progress, Report, Source, Step, Verdict, audit};
use l1_contracts::Wait;
use serde_json::{Value, json};

use crate::chain::{Live, live};
use crate::proxy::{Proxy, Reply, blocks_of};

/// Audits through a node with faults.
async fn audit_through(
    live: &Live,
    decide: impl Fn(&Value, u64) -> Reply + Send + Sync + 'static,
) -> Report {
    let node = Proxy::serve(live.rpc(), decide).await;
    let data = Source::parse(&live.folder().display().to_string()).expect("a folder");
    live.audit_from(&node.url, &data).await
}

fn assert_holds(report: &Report, case: &str) {
    assert!(report.holds(), "{case}: {}", report.text(Colour::Plain));
    assert_eq!(report.batches, 3, "{case}");
}

fn why(report: &Report) -> String {
    let text = report.text(Colour::Plain);
    assert_eq!(report.verdict, Verdict::Unavailable, "{text}");
    report.unavailable.as_ref().expect("named").why.clone()
}

fn is_logs(question: &Value) -> bool {
    question["method"] == "eth_getLogs"
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_blocks_that_are_refused_in_any_words_are_made_smaller() {
    let live = live().await;
    let ok = "200 OK";
    for (status, code, words) in [
        (ok, -32005, "query returned more than 10000 results"),
        (ok, -32005, "block range is too large, max is 2 blocks"),
        (ok, -32602, "query exceeds max block range 2"),
        (ok, -32000, "exceed maximum block range: 2"),
        (ok, -32701, "Please specify an address in your request or reduce the block range"),
        (ok, -32614, "eth_getLogs is limited to a 10,000 range"),
        (ok, -32602, "Log response size exceeded. This block range should work: [0x1, 0x2]"),
        ("400 Bad Request", -32600, "you can make requests with up to a 2 block range"),
        ("413 Payload Too Large", -32000, "backend response too large"),
    ] {
        let refuse = move |question: &Value, _| match is_logs(question) {
            true if blocks_of(question) > 2 => Reply::Error { status, code, words: words.into() },
            _ => Reply::Through,
        };
        assert_holds(&audit_through(&live, refuse).await, words);
    }
    for (head, body) in [
        ("400 Bad Request", "block range"),
        ("413 Payload Too Large", "<html>413 Request Entity Too Large</html>"),
        ("500 Internal Server Error", ""),
        ("200 OK", "query timeout exceeded"),
        ("200 OK", "<html>upstream timed out</html>"),
    ] {
        let refuse = move |question: &Value, _| match is_logs(question) {
            true if blocks_of(question) > 1 => Reply::Other { head, body },
            _ => Reply::Through,
        };
        assert_holds(&audit_through(&live, refuse).await, head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_cut_short_are_asked_for_in_parts() {
    let live = live().await;
    let half = |question: &Value, _| match is_logs(question) {
        true if blocks_of(question) > 1 => Reply::Half,
        _ => Reply::Through,
    };
    assert_holds(&audit_through(&live, half).await, "half of the JSON");
    let cut = |question: &Value, _| match is_logs(question) {
        true if blocks_of(question) > 1 => Reply::Cut,
        _ => Reply::Through,
    };
    assert_holds(&audit_through(&live, cut).await, "half of the bytes");
    let dropped = |question: &Value, _| match is_logs(question) {
        true if blocks_of(question) > 1 => Reply::Drop,
        _ => Reply::Through,
    };
    assert_holds(&audit_through(&live, dropped).await, "no byte");
    for nothing in [Value::Null, json!("too many"), json!({})] {
        let case = nothing.to_string();
        let empty = move |question: &Value, _| match is_logs(question) {
            true if blocks_of(question) > 1 => {
                let nothing = nothing.clone();
                Reply::Changed(Box::new(move |logs| *logs = nothing.clone()))
            }
            _ => Reply::Through,
        };
        assert_holds(&audit_through(&live, empty).await, &case);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_names_a_time_is_not_asked_for_less_at_once() {
    let live = live().await;
    let away = |question: &Value, _| match is_logs(question) {
        true => {
            Reply::Other { head: "503 Service Unavailable\r\nretry-after: 3600", body: "closed" }
        }
        false => Reply::Through,
    };
    let node = Proxy::serve(live.rpc(), away).await;
    let data = Source::parse(&live.folder().display().to_string()).expect("a folder");
    let why = why(&live.audit_from(&node.url, &data).await);
    assert!(why.contains("asks to wait 3600 s"), "{why}");
    let others = Proxy::serve(live.rpc(), |_, _| Reply::Through).await;
    assert_holds(&live.audit_from(&others.url, &data).await, "without a fault");
    assert!(node.asked() < others.asked(), "{} questions", node.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_one_block_is_the_error() {
    let live = live().await;
    let refuse = |question: &Value, _| match is_logs(question) {
        true => Reply::Error { status: "200 OK", code: -32000, words: "history is pruned".into() },
        false => Reply::Through,
    };
    let node = Proxy::serve(live.rpc(), refuse).await;
    let done = live.program_at(&node.url, "verify", &[]).await;
    assert_eq!(done.status.code(), Some(3));
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(text.contains("error -32000: history is pruned"), "{text}");
    assert!(node.asked() < 60, "{} questions for what cannot be had", node.asked());
}

/// Keeps what it is told.
#[derive(Default)]
struct Told {
    waits: Mutex<Vec<Wait>>,
    steps: Mutex<Vec<(Step, [u64; 2])>>,
}

impl Progress for Told {
    fn at(&self, step: Step, done: u64, of: u64) {
        self.steps.lock().expect("not poisoned").push((step, [done, of]));
    }

    fn waits(&self, wait: &Wait) {
        self.waits.lock().expect("not poisoned").push(wait.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_is_waited_for_and_each_wait_is_told() {
    let live = live().await;
    let busy = |_: &Value, number: u64| match number {
        1 => Reply::Other { head: "429 Too Many Requests\r\nretry-after: 0", body: "slow down" },
        2 => Reply::Other {
            head: "503 Service Unavailable\r\nretry-after: Sat, 28 Nov 2026 10:00:00 GMT\r\n\
                   date: Sat, 28 Nov 2026 10:00:00 GMT",
            body: "<html>busy</html>",
        },
        _ => Reply::Through,
    };
    let node = Proxy::serve(live.rpc(), busy).await;
    let rpc = node.url.parse().expect("an address");
    let data = Source::parse(&live.folder().display().to_string()).expect("a folder");
    let place = Place { rpc: &rpc, deployment: &live.deployment, data: &data };
    let told = Arc::new(Told::default());
    let report = audit(place, &Options::default(), told.clone()).await;
    assert_holds(&report, "busy");
    let waits = told.waits.lock().expect("not poisoned");
    let (first, second) = (&waits[0], &waits[1]);
    assert_eq!((first.status, first.number, second.status, second.number), (429, 1, 503, 2));
    assert_eq!(first.node, node.url);
    let steps = told.steps.lock().expect("not poisoned");
    let last = |step| steps.iter().rfind(|(of, _)| *of == step).map(|(_, at)| *at);
    assert_eq!(last(Step::Headers), Some([3, 3]));
    assert_eq!(last(Step::Batches), Some([3, 3]));
    assert!(last(Step::Blocks).is_some_and(|[done, of]| done == of && of > 1), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_in_words_is_waited_for_too() {
    let live = live().await;
    let busy = |question: &Value, number: u64| match is_logs(question) && number == 1 {
        true => Reply::Error {
            status: "200 OK",
            code: -32005,
            words: "project ID request rate exceeded".into(),
        },
        false => Reply::Through,
    };
    assert_holds(&audit_through(&live, busy).await, "words");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_to_come_back_tomorrow_ends_the_audit() {
    let live = live().await;
    let busy = |_: &Value, _| Reply::Other {
        head: "429 Too Many Requests\r\nretry-after: 86400",
        body: r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"daily limit"}}"#,
    };
    let why = why(&audit_through(&live, busy).await);
    assert!(why.contains("asks to wait 86400 s, at most 60 s are waited"), "{why}");
    assert!(why.contains("daily limit") && why.contains("ask another node"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_logs_count_once_and_contradictory_ones_are_told() {
    let live = live().await;
    let twice = |logs: &mut Value| {
        let logs = logs.as_array_mut().expect("logs");
        logs.extend(logs.clone());
    };
    let repeat = move |question: &Value, _| match is_logs(question) {
        true => Reply::Changed(Box::new(twice)),
        false => Reply::Through,
    };
    assert_holds(&audit_through(&live, repeat).await, "twice");
    let other = move |logs: &mut Value| {
        twice(logs);
        let data = logs[0]["data"].as_str().expect("data").to_owned();
        // The last digit of the lateness, which stands behind the header.
        let digit = if data.ends_with('0') { '1' } else { '0' };
        logs[0]["data"] = json!(format!("{}{digit}", &data[..data.len() - 1]));
    };
    let contradict = move |question: &Value, _| match is_logs(question) {
        true => Reply::Changed(Box::new(other)),
        false => Reply::Through,
    };
    let why = why(&audit_through(&live, contradict).await);
    assert!(why.contains("two different logs at index 0 of block"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_that_changes_while_it_is_read_is_read_again() {
    let live = live().await;
    // As if the last block had been another one when the logs were asked for.
    let reorganised = |logs: &mut Value| {
        let last = logs.as_array_mut().expect("logs").last_mut().expect("a log");
        last["blockHash"] = json!(format!("0x{}", "ab".repeat(32)));
    };
    let fork = move |question: &Value, number| match is_logs(question) && number == 1 {
        true => Reply::Changed(Box::new(reorganised)),
        false => Reply::Through,
    };
    assert_holds(&audit_through(&live, fork).await, "a fork");
    // Of nodes behind one address one is some blocks late.
    let late = |logs: &mut Value| {
        logs.as_array_mut().expect("logs").pop();
    };
    let late = move |question: &Value, number| match question["method"].as_str() {
        Some("eth_getLogs") if number == 1 => Reply::Changed(Box::new(late)),
        _ => Reply::Through,
    };
    assert_holds(&audit_through(&live, late).await, "a late node");
    let asked = AtomicU64::new(0);
    let unknown = move |question: &Value, _| {
        let at_block = question["params"][1]["blockHash"].is_string();
        match at_block && asked.fetch_add(1, Ordering::Relaxed) < 2 {
            true => {
                Reply::Error { status: "200 OK", code: -32000, words: "header not found".into() }
            }
            false => Reply::Through,
        }
    };
    assert_holds(&audit_through(&live, unknown).await, "a node without the head");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_told_by_what_was_found_there() {
    let live = live().await;
    let page = "<!DOCTYPE html><html><body>Welcome</body></html>";
    for (head, body, expected) in [
        ("200 OK", page, "found an HTML page with status 200"),
        ("404 Not Found", page, "check the path in the address"),
        ("404 Not Found", "", "found 404 (nothing is served there"),
        ("401 Unauthorized", "no key", "found 401 (access is refused: check the key"),
        ("403 Forbidden", "{}", "found 403 (access is refused"),
        ("301 Moved\r\nlocation: https://node/hunter2", "", "which is not followed"),
        ("200 OK", "hello", "expected JSON-RPC, found something else"),
    ] {
        let node = Proxy::serve(live.rpc(), move |_, _| Reply::Other { head, body }).await;
        let keyed = format!("{}/v2/hunter2?key=hunter2", node.url);
        let done = live.program_at(&keyed, "verify", &[]).await;
        assert_eq!(done.status.code(), Some(3), "{head}");
        let said = String::from_utf8([done.stdout, done.stderr].concat()).expect("text");
        assert!(said.contains(expected), "{head}: expected {expected} in {said}");
        assert!(!said.contains("hunter2") && node.asked() == 1, "{said}");
    }
}
