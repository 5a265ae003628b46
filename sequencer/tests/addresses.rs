//! The address of a chain's node holds the key of whoever pays for it: nothing shows it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sequencer::node::Endpoints;
use sequencer::node::setup::{self, BaseChain, Reach};

use crate::support::Site;

const SECRET: &str = "hunter2";

/// Runs the program; whatever it prints holds no secret.
fn said(args: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sequencer")).args(args).output().unwrap();
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    let text = String::from_utf8(both).unwrap();
    assert!(!text.contains(SECRET), "{args:?}: {text}");
    (output, text)
}

/// What a node prints until it runs; none of it is a secret. It runs also without its chain.
fn told_by_a_start(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let command = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(node.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    node.kill().unwrap();
    let output = node.wait_with_output().unwrap();
    let text = first + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains(SECRET), "{args:?}: {text}");
    text
}

/// Writes the configuration with this line in `[chain]`.
fn configure(site: &Site, rpc: &str) -> String {
    let path = site.layout.config();
    let text = site.config.to_toml();
    let with = text.replacen("[chain]", &format!("[chain]\nrpc = \"{rpc}\""), 1);
    assert_ne!(with, text, "there is a section");
    std::fs::write(&path, with).unwrap();
    path.display().to_string()
}

/// An address with a secret in every part, where nobody listens.
fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    format!("http://me:{SECRET}@{at}/v2/{SECRET}?key={SECRET}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_shows_the_secrets_of_the_chains_address() {
    let site = Site::new().await;
    let rpc = nobody();
    let config = configure(&site, &rpc);
    let (output, text) = said(&["config", "check", "--config", &config]);
    assert!(output.status.success() && text.contains("<hidden>@127.0.0.1"), "{text}");

    for format in ["text", "json"] {
        let asked = std::fs::read_to_string(&config).unwrap();
        let asked = asked.replace("format = \"text\"", &format!("format = \"{format}\""));
        assert!(asked.contains(&format!("format = \"{format}\"")), "{asked}");
        std::fs::write(&config, asked).unwrap();
        let run = ["run", "--config", &config];
        for args in [&run[..], &[&run[..], &["--rpc", &rpc]].concat()] {
            let text = told_by_a_start(args);
            assert!(text.contains("the base chain does not answer"), "{text}");
            assert!(text.contains("<hidden>@127.0.0.1"), "{text}");
        }
    }

    std::fs::remove_file(site.layout.deployment()).unwrap();
    let dir = site.layout.folder().display().to_string();
    let registrar = format!("0x{}", "01".repeat(32));
    let deploy = ["deploy", "--dir", &dir, "--registrar", &registrar];
    let (output, text) = said(&deploy);
    assert_eq!(output.status.code(), Some(1), "{text}");

    // One that does not parse is not quoted either.
    let wrong = format!("ftp://me:{SECRET}@node/{SECRET}");
    let (output, text) = said(&[&deploy[..], &["--rpc", &wrong]].concat());
    assert_eq!(output.status.code(), Some(2), "{text}");
    let config = configure(&site, &wrong);
    for command in [&["config", "check"][..], &["run"]] {
        let (output, text) = said(&[command, &["--config", &config]].concat());
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("at line"), "{text}");
    }
    // What was shown is not taken for an address.
    let shown = configure(&site, "http://<hidden>@127.0.0.1:8545/<hidden>");
    let (output, text) = said(&["config", "check", "--config", &shown]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("secrets hidden"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_stores_and_tells_its_chains_address_without_secrets() {
    let mut site = Site::new().await;
    let BaseChain { reach, .. } = site.chain();
    let Reach::Embedded(chain) = reach else { panic!("the site's chain is in this process") };
    let server = devchain::serve_http(chain, 0).await.unwrap();
    let url = server.url();
    let keyed = url.trim_end_matches('/').replace("http://", &format!("http://me:{SECRET}@"));
    site.config.chain.rpc = Some(format!("{keyed}/?key={SECRET}").parse().unwrap());

    let chain = setup::open_chain(&site.layout, &site.config, site.clock.clone()).unwrap();
    let node = site.start_on(chain).await.unwrap();
    let stored = std::fs::read_to_string(site.layout.endpoints()).unwrap();
    assert!(!stored.contains(SECRET), "{stored}");
    let endpoints: Endpoints = serde_json::from_str(&stored).unwrap();
    assert!(endpoints.rpc.starts_with("http://<hidden>@127.0.0.1:"), "{}", endpoints.rpc);
    assert_eq!(endpoints.fingerprint, site.deployment.fingerprint.to_string());
    let dir = site.layout.folder().display().to_string();
    let (output, text) = said(&["status", "--dir", &dir]);
    assert!(output.status.success() && text.contains(&endpoints.fingerprint), "{text}");
    // Nothing in the node's folder holds it but what the operator wrote.
    for entry in std::fs::read_dir(site.layout.folder()).unwrap() {
        expect_no_secret(&entry.unwrap().path());
    }
    node.stop().await.unwrap();
}

fn expect_no_secret(path: &Path) {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().for_each(|e| expect_no_secret(&e.unwrap().path()));
    }
    // A socket cannot be read.
    let bytes = std::fs::read(path).unwrap_or_default();
    let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    assert!(!found, "{}", path.display());
}
