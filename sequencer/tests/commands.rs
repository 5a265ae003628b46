//! The program from outside: what it answers and what it leaves behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use crate::support::Site;

fn sequencer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sequencer")).args(args).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
}

/// A node that answers one request of its operator with these words.
fn answer_once(site: &Site, answer: &'static str) -> JoinHandle<String> {
    let endpoints = r#"{"ingest":"127.0.0.1:4433","http":"127.0.0.1:8080","rpc":""}"#;
    std::fs::write(site.layout.endpoints(), endpoints).unwrap();
    let listener = UnixListener::bind(site.layout.admin_socket()).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        writeln!(&stream, "{answer}").unwrap();
        request
    })
}

fn add_gateway(site: &Site, out: &Path) -> Output {
    let (node, out) = (site.layout.folder().display().to_string(), out.display().to_string());
    let gateway = ["gateway", "add", "gw-1", "--organisation", "hospital"];
    sequencer(&[&gateway[..], &["--dir", &node, "--out", &out]].concat())
}

#[test]
fn a_node_that_is_not_deployed_says_that_something_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node").display().to_string();
    check(&sequencer(&["init", "--dir", &node]), 0, "");
    let run = sequencer(&["run", "--config", &format!("{node}/node.toml")]);
    check(&run, 3, "run `sequencer deploy");
    assert!(!dir.path().join("node/chain.journal").exists(), "a chain was made for nothing");
}

#[tokio::test]
async fn a_refused_registration_leaves_no_folder() {
    let site = Site::new().await;
    let out = site.beside("gw-1");
    check(&add_gateway(&site, &out), 3, "no node runs in this folder");
    assert!(!out.exists());
    let node = answer_once(&site, r#"{"error":"not today"}"#);
    check(&add_gateway(&site, &out), 1, "the node refused: not today");
    assert!(node.join().unwrap().starts_with("change "));
    assert!(!out.exists());
}

#[tokio::test]
async fn an_accepted_registration_writes_the_folder_or_says_how_to_repair_it() {
    let site = Site::new().await;
    let accepted = r#"{"position":7}"#;
    let node = answer_once(&site, accepted);
    let out = site.beside("gw-1");
    check(&add_gateway(&site, &out), 0, "");
    node.join().unwrap();
    for file in ["ca.pem", "cert.pem", "key.pem", "deployment.json"] {
        assert!(out.join(file).exists(), "{file}");
    }
    check(&add_gateway(&site, &out), 2, "expected --out to be a new folder");

    std::fs::remove_file(site.layout.admin_socket()).unwrap();
    let node = answer_once(&site, accepted);
    // Below a file no folder can be made.
    let nowhere = out.join("key.pem/gw-1");
    let failed = add_gateway(&site, &nowhere);
    node.join().unwrap();
    check(&failed, 1, "registered (journaled at position 7)");
    check(&failed, 1, "`sequencer gateway add gw-1 --organisation hospital --dir ");
}

#[tokio::test]
async fn an_address_that_is_missing_is_not_taken_for_an_empty_one() {
    let site = Site::new().await;
    std::fs::write(site.layout.endpoints(), "{}").unwrap();
    let out = site.beside("gw-1");
    check(&add_gateway(&site, &out), 1, "expected the address of ingest");
    assert!(!out.exists());
}
