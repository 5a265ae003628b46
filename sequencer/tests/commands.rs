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
async fn a_node_of_another_deployment_than_was_told_is_neither_run_nor_shown() {
    let site = Site::new().await;
    let endpoints = r#"{"ingest":"127.0.0.1:4433","http":"127.0.0.1:8080","rpc":""}"#;
    std::fs::write(site.layout.endpoints(), endpoints).unwrap();
    let own = l1_contracts::Deployment::read(&site.layout.deployment()).unwrap();
    let own = own.fingerprint.to_string();
    let other = format!("{}{}", if own.starts_with('0') { '1' } else { '0' }, &own[1..]);
    let folder = site.layout.folder().display().to_string();
    let config = site.layout.config();
    if !config.exists() {
        let text = sequencer::doors::config::Config::default().to_toml();
        std::fs::write(&config, text).unwrap();
    }
    let config = config.display().to_string();
    let status = ["status", "--dir", &folder, "--fingerprint"];
    let run = ["run", "--config", &config, "--fingerprint"];
    for command in [status, run] {
        let refused = sequencer(&[&command[..], &[other.as_str()]].concat());
        check(&refused, 1, &own);
        check(&refused, 1, &other);
        assert!(refused.stdout.is_empty(), "nothing is shown of another deployment");
        check(&sequencer(&[&command[..], &["12-34"]].concat()), 2, "40 hex digits");
    }
    check(&sequencer(&[&status[..], &[own.as_str()]].concat()), 0, "");
}

#[tokio::test]
async fn an_address_that_is_missing_is_not_taken_for_an_empty_one() {
    let site = Site::new().await;
    std::fs::write(site.layout.endpoints(), "{}").unwrap();
    let out = site.beside("gw-1");
    check(&add_gateway(&site, &out), 1, "expected the address of ingest");
    assert!(!out.exists());
}

#[test]
fn config_check_prints_what_holds_and_names_limits_that_exceed_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml").display().to_string();
    let check_file = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).unwrap();
        sequencer(&[&["config", "check", "--config", &path], more].concat())
    };
    let small = "[ingest.limits]\nconnections_max = 16\n";
    let printed = check_file(small, &[]);
    check(&printed, 0, "");
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("# batch.claims_max = 1343 (above 4096)"), "{text}");
    assert!(text.contains("open connections: 16"), "{text}");
    // What is printed is a file that says the same.
    check(&check_file(&text, &[]), 0, "");
    let json = check_file(small, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["config"]["ingest"]["limits"]["connections_max"], 16);
    assert_eq!(json["effective"][1]["effective"], 1343);
    assert_eq!(json["memory_fits"], true);
    assert!(json["memory"]["sum_bytes"].as_u64() > Some(1 << 28));

    let large = "[ingest.limits]\nconnections_max = 100000\n";
    check(&check_file(large, &[]), 1, "of which open connections take");
    check(&check_file(&format!("{large}[memory]\nover = \"warn\"\n"), &[]), 0, "warning: ");
    check(&check_file("[log]\nlevel = \"loud\"\n", &[]), 2, "log.level");
}

#[tokio::test]
async fn a_node_refuses_limits_that_exceed_the_machine_and_a_filter_that_is_none() {
    let site = Site::new().await;
    let mut config = site.config.clone();
    config.ingest.limits.connections_max = 100_000;
    std::fs::write(site.layout.config(), config.to_toml()).unwrap();
    let path = site.layout.config().display().to_string();
    check(&sequencer(&["run", "--config", &path]), 2, "of which open connections take");
    let mut loud = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let loud = loud
        .args(["run", "--config", &path])
        .env("RUST_LOG", "info,sequencer=loud")
        .output()
        .unwrap();
    check(&loud, 2, "RUST_LOG");
}

#[tokio::test]
async fn a_client_is_told_the_name_that_the_certificate_has() {
    let mut site = Site::new().await;
    site.config.ingest.server_names = vec!["node.ward.example".into(), "localhost".into()];
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
    let node = answer_once(&site, r#"{"position":7}"#);
    let out = site.beside("gw-1");
    check(&add_gateway(&site, &out), 0, "");
    node.join().unwrap();
    let told = std::fs::read_to_string(out.join("deployment.json")).unwrap();
    assert!(told.contains(r#""server_name": "node.ward.example""#), "{told}");
}
