//! What one audit leaves for the next, and what the next takes over.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::chain::{Live, live};
use crate::proxy::{Proxy, Reply};

fn saved(live: &Live) -> PathBuf {
    live.folder().join("headers.json")
}

/// Audits and keeps the headers; gives exit code and report.
async fn verify(live: &Live, more: &[&str]) -> (i32, Value) {
    verify_at(live, &live.rpc(), more).await
}

async fn verify_at(live: &Live, rpc: &str, more: &[&str]) -> (i32, Value) {
    let path = saved(live).display().to_string();
    let all = [&["--json", "--save-headers", path.as_str()], more].concat();
    let done = live.program_at(rpc, "verify", &all).await;
    let code = done.status.code().expect("an exit code");
    (code, serde_json::from_slice(&done.stdout).unwrap_or(Value::Null))
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).expect("text")
}

fn change_saved(live: &Live, change: impl FnOnce(&mut Value)) {
    let text = std::fs::read_to_string(saved(live)).expect("saved");
    let mut saved_headers = serde_json::from_str(&text).expect("JSON");
    change(&mut saved_headers);
    std::fs::write(saved(live), saved_headers.to_string()).expect("written");
}

fn remove_files(live: &Live, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        std::fs::remove_file(live.batch_folder(number).join("public.bin")).expect("removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_verified_and_final_is_taken_over_and_the_verdict_says_so() {
    let live = live().await;
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(3)));
    assert_eq!(report["verified_before"], Value::Null);
    // Nobody delivers them any more, and nobody asks for them.
    remove_files(&live, 1..=3);
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"], &report["settled"]), (0, &json!(0), &json!(3)));
    assert_eq!((&report["verified_before"], &report["unchecked"]), (&json!([1, 3]), &Value::Null));
    let path = saved(&live).display().to_string();
    let done = live.program("verify", &["--save-headers", &path]).await;
    let text = said(&done);
    assert!(text.contains("holds; batches 1 to 3 were verified by an earlier audit"), "{text}");
    // Unless it is asked for, or something is compared with them.
    let openings = live.folder().display().to_string();
    for more in [&["--from", "1"][..], &["--openings", &openings]] {
        let (code, report) = verify(&live, more).await;
        assert_eq!((code, &report["verdict"]), (3, &json!("unavailable")));
        assert_eq!(report["unavailable"]["item"], "the public file of batch 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_chain_behind_the_last_verified_batch_is_read() {
    let live = live().await;
    verify(&live, &[]).await;
    let node = Proxy::serve(live.rpc(), |question, _| {
        match question["method"] == "eth_getLogs"
            && question["params"][0]["fromBlock"] == question["params"][0]["toBlock"]
        {
            true => Reply::Through,
            false if question["method"] == "eth_getLogs" => {
                let words = "the history is gone".to_owned();
                Reply::Error { status: "200 OK", code: -32000, words }
            }
            false => Reply::Through,
        }
    })
    .await;
    let (code, report) = verify_at(&live, &node.url, &[]).await;
    assert_eq!((code, &report["verified_before"]), (0, &json!([1, 3])));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_broke_off_is_continued_where_it_was() {
    let live = live().await;
    let file = live.batch_folder(3).join("public.bin");
    let bytes = std::fs::read(&file).expect("a file");
    remove_files(&live, 3..=3);
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (3, &json!(2)));
    remove_files(&live, 1..=2);
    std::fs::write(&file, bytes).expect("written");
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"], &report["from"]), (0, &json!(1), &json!(3)));
    assert_eq!(report["verified_before"], json!([1, 2]));
}

/// Serves this file for the first batch, and gives the connection that asks for another one.
async fn answer_once(listener: TcpListener, file: Vec<u8>) -> tokio::net::TcpStream {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 2048];
        let read = stream.read(&mut head).await.expect("a question");
        if !head[..read].starts_with(b"GET /batches/1 ") {
            return stream;
        }
        let length = file.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&file).await.expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_was_killed_is_continued_where_it_was() {
    let live = live().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let data = format!("http://{}", listener.local_addr().expect("bound"));
    let path = saved(&live).display().to_string();
    let mut program = live.command("verify", &live.rpc(), &data);
    let mut program = program.args(["--save-headers", &path]).spawn().expect("runs");
    // Whoever asks for the second file has verified the first.
    let asks = answer_once(listener, live.built[0].file.to_bytes()).await;
    program.kill().await.expect("killed");
    drop(asks);
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["verified_before"], &report["from"]), (0, &json!([1, 1]), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_the_saved_headers_is_unavailable() {
    let live = live().await;
    verify(&live, &[]).await;
    let first = json!([format!("{:#x}", live.deployment.block), false]);
    let node = Proxy::serve(live.rpc(), move |question, _| match &question["params"][0] {
        tag if tag == "latest" && question["method"] == "eth_getBlockByNumber" => {
            Reply::Instead(first.clone())
        }
        _ => Reply::Through,
    })
    .await;
    for more in [&[][..], &["--from", "1"]] {
        let (code, report) = verify_at(&live, &node.url, more).await;
        assert_eq!((code, &report["verdict"]), (3, &json!("unavailable")), "{report}");
        let why = report["unavailable"]["why"].as_str().expect("a reason");
        assert!(why.contains("the node is at block") && why.contains("batch 3 settled"), "{why}");
    }
    // Of headers that nobody verified no block is known.
    change_saved(&live, |saved| {
        for header in saved["headers"].as_array_mut().expect("a list") {
            header.as_object_mut().expect("a header").remove("verified");
        }
    });
    let (code, report) = verify_at(&live, &node.url, &[]).await;
    assert_eq!((code, &report["verdict"]), (3, &json!("unavailable")), "{report}");
    assert_eq!(verify(&live, &[]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_final_is_verified_again_and_may_be_another() {
    let live = live().await;
    live.chain.set_finality(1000);
    let (code, _) = verify(&live, &[]).await;
    assert_eq!(code, 0);
    let text = std::fs::read_to_string(saved(&live)).expect("saved");
    assert_eq!(text.matches("\"pending\": true").count(), 3, "{text}");
    live.chain.set_finality(0);
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(3)), "verified again");
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(0)), "final by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_began_later_verifies_nothing_for_the_next() {
    let live = live().await;
    let (code, report) = verify(&live, &["--from", "2"]).await;
    assert_eq!((code, &report["unchecked"]), (0, &json!([1, 1])));
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(3)));
    // And takes nothing away from it.
    verify(&live, &["--from", "3"]).await;
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["verified_before"]), (0, &json!([1, 3])));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_than_the_saved_one_is_named() {
    let live = live().await;
    verify(&live, &[]).await;
    change_saved(&live, |saved| {
        let header = &mut saved["headers"][2];
        let words = header["words"].as_str().expect("words").to_owned();
        let mut bytes = hex::decode(words).expect("hexadecimal");
        // The journal hash.
        bytes[20 * 32 + 31] ^= 1;
        let changed = model::BatchHeader::from_bytes(&bytes).expect("a header");
        header["words"] = json!(hex::encode(&bytes));
        header["hash"] = json!(hex::encode(statement::scope::header_hash(&changed)));
    });
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["verdict"]), (1, &json!("broken")));
    assert_eq!(report["broken"]["item"], "saved header");
    assert_eq!(report["broken"]["batch"], 3);
    // One that was not final had every right to be replaced.
    change_saved(&live, |saved| saved["headers"][2]["pending"] = json!(true));
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["verified_before"]), (0, &json!([1, 2])));
    let headers = &report["groups"][1]["holds"];
    assert!(headers.as_str().is_some_and(|text| text.contains("1 that were saved")), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_in_another_block_than_it_was_is_verified_again() {
    let live = live().await;
    verify(&live, &[]).await;
    change_saved(&live, |saved| {
        saved["headers"][2]["verified"]["block_hash"] = json!(format!("0x{}", "12".repeat(32)));
    });
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(3)));
    let (code, report) = verify(&live, &[]).await;
    assert_eq!((code, &report["batches"]), (0, &json!(0)), "the new place was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_or_is_of_another_deployment_is_refused_before_the_work() {
    let live = live().await;
    verify(&live, &[]).await;
    // Nobody answers there, and nobody is asked.
    let nobody = "http://127.0.0.1:1";
    let missing = live.folder().join("no/such/headers.json").display().to_string();
    let done = live.program_at(nobody, "verify", &["--save-headers", &missing]).await;
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains(&missing), "{}", said(&done));
    let path = saved(&live).display().to_string();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 4] = [
        ("saved headers of vitals-headers-1 31337", |saved| saved["chain_id"] = json!(1)),
        ("saved headers of fingerprint", |saved| saved["fingerprint"] = json!("12-34")),
        ("expected header 2 in hexadecimal", |saved| saved["headers"][1]["hash"] = json!("")),
        ("expected saved header 1 to follow", |saved| {
            saved["headers"].as_array_mut().expect("a list").remove(0);
        }),
    ];
    let sound = std::fs::read(saved(&live)).expect("saved");
    for (expected, change) in changes {
        std::fs::write(saved(&live), &sound).expect("written");
        change_saved(&live, change);
        let done = live.program_at(nobody, "verify", &["--save-headers", &path]).await;
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).contains(expected), "{}", said(&done));
    }
}
