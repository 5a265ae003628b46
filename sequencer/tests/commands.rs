//! The program from outside: what it answers and what it leaves behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sequencer::doors::config::Config;
use sequencer::folder::layout::Layout;
use x509_parser::extensions::GeneralName;

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

/// What a node says that has nothing registered.
const NOTHING: &str = r#"{"organisations":[],"practitioners":[],"gateways":[],"devices":[],
"wallets":[],"operators":[]}"#;

/// A node that answers the requests of its operator with these words, one after the other; the
/// requests.
fn answer(site: &Site, answers: &[&str]) -> JoinHandle<Vec<String>> {
    let endpoints = r#"{"ingest":"127.0.0.1:4433","http":"127.0.0.1:8080","rpc":""}"#;
    std::fs::write(site.layout.endpoints(), endpoints).unwrap();
    // That of a node before, which ended.
    drop(std::fs::remove_file(site.layout.admin_socket()));
    let listener = UnixListener::bind(site.layout.admin_socket()).unwrap();
    let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
    std::thread::spawn(move || {
        let one = |answer: String| {
            let (stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            writeln!(&stream, "{}", answer.replace('\n', "")).unwrap();
            request
        };
        answers.into_iter().map(one).collect()
    })
}

fn in_node(site: &Site, words: &[&str]) -> Output {
    let node = site.layout.folder().display().to_string();
    sequencer(&[words, &["--dir", &node]].concat())
}

fn issue_gateway(site: &Site, out: &Path) -> Output {
    let out = out.display().to_string();
    let gateway = ["identity", "issue", "gw-1", "--role", "gateway", "--organisation", "hospital"];
    in_node(site, &[&gateway[..], &["--out", &out]].concat())
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
    check(&issue_gateway(&site, &out), 3, "no node runs in this folder");
    assert!(!out.exists());
    let node = answer(&site, &[NOTHING, r#"{"error":"not today"}"#]);
    check(&issue_gateway(&site, &out), 1, "the node refused: not today");
    let requests = node.join().unwrap();
    assert!(requests[0] == "list\n" && requests[1].starts_with("issue "), "{requests:?}");
    assert!(!out.exists());
}

#[tokio::test]
async fn an_accepted_registration_writes_the_folder_or_says_how_to_repair_it() {
    let site = Site::new().await;
    let accepted = r#"{"position":7}"#;
    let node = answer(&site, &[NOTHING, accepted]);
    let out = site.beside("gw-1");
    check(&issue_gateway(&site, &out), 0, "");
    node.join().unwrap();
    for file in ["ca.pem", "cert.pem", "key.pem", "deployment.json"] {
        assert!(out.join(file).exists(), "{file}");
    }
    check(&issue_gateway(&site, &out), 2, "expected --out to be a new folder");

    let node = answer(&site, &[NOTHING, accepted]);
    // Below a file no folder can be made.
    let nowhere = out.join("key.pem/gw-1");
    let failed = issue_gateway(&site, &nowhere);
    node.join().unwrap();
    check(&failed, 1, "registered (journaled at position 7)");
    check(&failed, 1, "`sequencer identity renew gw-1 --role gateway --dir ");

    // Of one whose holder has the key, the repair is for that key as well.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let file = site.beside("anna.csr").display().to_string();
    std::fs::write(&file, request.pem().unwrap()).unwrap();
    let node = answer(&site, &[NOTHING, accepted]);
    let issue = ["identity", "issue", "anna", "--role", "wallet", "--request", &file, "--out"];
    let failed = in_node(&site, &[&issue[..], &[&nowhere.display().to_string()]].concat());
    node.join().unwrap();
    check(&failed, 1, "`sequencer identity renew anna --role wallet --dir ");
    check(&failed, 1, &format!(" --request {file} --out NEW_FOLDER`"));
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
    // The right one is looked for, and nobody answers there.
    check(&sequencer(&[&status[..], &[own.as_str()]].concat()), 3, "no node runs in ");
}

#[tokio::test]
async fn an_address_that_is_missing_is_not_taken_for_an_empty_one() {
    let site = Site::new().await;
    std::fs::write(site.layout.endpoints(), "{}").unwrap();
    let out = site.beside("gw-1");
    check(&issue_gateway(&site, &out), 1, "expected the address of ingest");
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
    assert!(text.contains("# batch.claims_max = 2015 (above 4096)"), "{text}");
    assert!(text.contains("open connections: 16"), "{text}");
    // What is printed is a file that says the same.
    check(&check_file(&text, &[]), 0, "");
    let json = check_file(small, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["config"]["ingest"]["limits"]["connections_max"], 16);
    assert_eq!(json["effective"][1]["effective"], 2015);
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

#[test]
fn init_makes_the_servers_certificate_for_the_names_of_a_configuration_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("node"));
    let folder = layout.folder().display().to_string();
    let init = || sequencer(&["init", "--dir", &folder]);
    check(&init(), 0, "");
    let mut config = Config::read(&layout.config()).unwrap();
    config.ingest.server_names = vec!["node.ward.example".into(), "192.0.2.7".into()];
    std::fs::write(layout.config(), config.to_toml()).unwrap();
    // As `keys.md` says of a certificate that ended.
    std::fs::remove_dir_all(layout.server()).unwrap();
    check(&init(), 0, "");
    let der = CertificateDer::from_pem_file(layout.server().join("cert.pem")).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let expected =
        [GeneralName::DNSName("node.ward.example"), GeneralName::IPAddress(&[192, 0, 2, 7])];
    assert_eq!(names.value.general_names, expected);

    std::fs::write(layout.config(), "[ingest]\nserver_names = []\n").unwrap();
    check(&init(), 2, "ingest.server_names");
}

#[tokio::test]
async fn a_client_is_told_the_name_that_the_certificate_has() {
    let mut site = Site::new().await;
    site.config.ingest.server_names = vec!["node.ward.example".into(), "localhost".into()];
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
    let node = answer(&site, &[NOTHING, r#"{"position":7}"#]);
    let out = site.beside("gw-1");
    check(&issue_gateway(&site, &out), 0, "");
    node.join().unwrap();
    let told = std::fs::read_to_string(out.join("deployment.json")).unwrap();
    assert!(told.contains(r#""server_name": "node.ward.example""#), "{told}");
}

#[tokio::test]
async fn a_device_keeps_its_gateways_or_gets_the_only_one_and_nobody_chooses_among_several() {
    let site = Site::new().await;
    let forever = r#""valid":{"from":0,"until":null}"#;
    let gateway = |id: &str, of: &str, until: &str| {
        format!(r#"{{"id":"{id}","organisation":"{of}","valid":{{"from":0,"until":{until}}}}}"#)
    };
    let registered = |gateways: &[String], devices: &str| {
        let gateways = gateways.join(",");
        NOTHING
            .replace(r#""gateways":[]"#, &format!(r#""gateways":[{gateways}]"#))
            .replace(r#""devices":[]"#, &format!(r#""devices":[{devices}]"#))
    };
    let add = |answers: &[&str]| {
        let node = answer(&site, answers);
        let words = ["device", "add", "monitor", "--organisation", "hospital", "--patient", "7"];
        let output = in_node(&site, &[&words[..], &["--signals", "ecg"]].concat());
        // It asked no more than that.
        node.join().unwrap();
        output
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let accepted = r#"{"position":7}"#;
    let (one, other) = (gateway("gw-1", "hospital", "null"), gateway("gw-2", "hospital", "null"));
    let foreign = gateway("gw-3", "elsewhere", "null");
    let ended = gateway("gw-0", "hospital", "1");

    check(&add(&[&registered(&[foreign.clone(), ended.clone()], "")]), 2, "which has none");
    let only = add(&[&registered(&[one.clone(), foreign, ended], ""), accepted]);
    check(&only, 0, "");
    assert!(said(&only).contains("sent by gw-1"), "{}", said(&only));
    let several = [one, other];
    check(&add(&[&registered(&several, "")]), 2, "choose of gw-1, gw-2");
    // One of its own was revoked since.
    let known = format!(
        r#"{{"id":"monitor","organisation":"hospital","gateways":["gw-0","gw-2"],{forever}}}"#
    );
    let kept = add(&[&registered(&several, &known), accepted]);
    check(&kept, 0, "");
    assert!(said(&kept).contains("sent by gw-2"), "{}", said(&kept));
}

#[tokio::test]
async fn an_identity_is_issued_once_renewed_while_it_holds_and_issued_anew_after_its_end() {
    let site = Site::new().await;
    let wallet = |until: &str| {
        let one = format!(r#"{{"id":"anna","valid":{{"from":0,"until":{until}}}}}"#);
        NOTHING.replace(r#""wallets":[]"#, &format!(r#""wallets":[{one}]"#))
    };
    let ask = |words: &[&str], out: &str, answers: &[&str]| {
        let (node, out) = (answer(&site, answers), site.beside(out).display().to_string());
        let words = [words, &["anna", "--role", "wallet", "--out", &out]].concat();
        let output = in_node(&site, &[&["identity"], &words[..]].concat());
        node.join().unwrap();
        output
    };
    let (good, over, accepted) = (wallet("null"), wallet("5"), r#"{"position":7}"#);
    check(&ask(&["issue"], "a", &[&good]), 1, "`sequencer identity renew anna --role wallet");
    check(&ask(&["renew"], "a", &[&over]), 1, "it was revoked, is over, or never was");
    check(&ask(&["renew"], "a", &[NOTHING]), 1, "found none of wallet anna");
    assert!(!site.beside("a").exists());
    check(&ask(&["renew"], "a", &[&good, accepted]), 0, "");
    check(&ask(&["issue"], "b", &[&over, accepted]), 0, "");

    let wrong = ["identity", "issue", "anna", "--role", "wallet", "--out", "nowhere"];
    let refused = in_node(&site, &[&wrong[..], &["--organisation", "hospital"]].concat());
    check(&refused, 2, "expected no --organisation for a wallet");
    let request = site.beside("b/cert.pem").display().to_string();
    let refused = in_node(&site, &[&wrong[..], &["--request", &request]].concat());
    check(&refused, 2, "expected one certificate request in PEM");
}

#[tokio::test]
async fn lists_say_when_each_ends_as_text_and_as_json() {
    let site = Site::new().await;
    let one = r#"{"id":"anna","fingerprint":"ab","valid":{"from":0,"until":5}}"#;
    let registered = NOTHING.replace(r#""wallets":[]"#, &format!(r#""wallets":[{one}]"#));
    let list = |words: &[&str]| {
        let node = answer(&site, &[&registered]);
        let output = in_node(&site, words);
        node.join().unwrap();
        check(&output, 0, "");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = list(&["identity", "list"]);
    assert!(text.starts_with("wallet ") && text.contains("anna"), "{text}");
    assert!(text.contains("1970-01-01T00:00:00.005Z: it is over"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&list(&["identity", "list", "--json"])).unwrap();
    assert_eq!(json["identities"][0]["role"], "wallet");
    assert_eq!(json["identities"][0]["state"], "ended");
    assert_eq!(list(&["identity", "list", "--role", "gateway"]), "");
    assert_eq!(list(&["org", "list"]), "");
}

#[tokio::test]
async fn every_command_with_a_fingerprint_ends_with_one_at_another_deployment() {
    let site = Site::new().await;
    let config = site.layout.config().display().to_string();
    let endpoints = r#"{"ingest":"127.0.0.1:4433","http":"127.0.0.1:8080","rpc":""}"#;
    std::fs::write(site.layout.endpoints(), endpoints).unwrap();
    let other = "00".repeat(20);
    let says = "expected the deployment with fingerprint 0000";
    for words in [&["journal", "check"][..], &["journal", "recover"], &["status"]] {
        let words = [words, &["--fingerprint", &other]].concat();
        check(&in_node(&site, &words), 1, says);
    }
    check(&sequencer(&["run", "--config", &config, "--fingerprint", &other]), 1, says);
    // The one that was written down, with the marks that people put between its digits.
    let own = site.deployment.fingerprint.to_string();
    check(&in_node(&site, &["journal", "check", "--fingerprint", &own]), 5, "witness");
    let words = ["journal", "check", "--fingerprint", "0123"];
    check(&in_node(&site, &words), 2, "--fingerprint");
}
