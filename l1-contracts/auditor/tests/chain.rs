//! The whole way: a chain behind HTTP, batch files in a folder or behind HTTP, the program.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use alloy::primitives::Address;
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use auditor::check::{Coverage, NamedOpening};
use auditor::{Options, Place, Quiet, Report, Source, Verdict, audit};
use devchain::{DevChain, Genesis, HttpServer, Limits, serve_http};
use files::Audience;
use l1_contracts::{DeployConfig, Deployment, Edge, KeyWords, SetupKind, deploy, expect_success};
use model::{Word, limits};
use serde_json::Value;
use statement::batch::PublicFile;
use statement::proof::VerifyingKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use wire::{SigningKey, signer_address};

use crate::world::{Built, Forge, Plan, Prove, REASON, SHAPES, START_S, layout};
use crate::world::{build, genesis_time, registrar};

/// A chain with the story settled, and the files of the batches in a folder.
pub(crate) struct Live {
    pub(crate) deployment: Deployment,
    pub(crate) built: Vec<Built>,
    pub(crate) chain: DevChain,
    server: HttpServer,
    folder: tempfile::TempDir,
}

impl Live {
    pub(crate) async fn start(prover: &dyn Prove) -> Live {
        let signer = PrivateKeySigner::from_slice(&[3; 32]).expect("a key");
        let sequencer = signer.address();
        let genesis = Genesis::funding([sequencer]);
        let chain = DevChain::in_memory(genesis, Limits::default(), Arc::new(|| START_S));
        let provider = chain.provider(signer);
        let keys = prover.keys().into_iter().zip(SHAPES);
        let config = DeployConfig {
            sequencer,
            registrar: registrar(),
            receipt_signer: Address::from(signer_address(&receipt_key()).0),
            genesis_time: genesis_time(),
            setup: SetupKind::DevInsecure,
            keys: keys.map(key_words).collect(),
        };
        let deployment = deploy(&provider, config).await.expect("deploys");
        let built = build(deployment.scope(), prover, &Plan::default());
        let edge = Edge::connect(provider, deployment.clone()).await.expect("connects");
        // The first alone, the others in one transaction.
        settle(&edge, &built[..1]).await;
        settle(&edge, &built[1..]).await;
        let server = serve_http(chain.clone(), 0).await.expect("listens");
        let folder = tempfile::tempdir().expect("a folder");
        let live = Live { deployment, built, chain, server, folder };
        live.publish();
        live
    }

    fn publish(&self) {
        for (number, built) in (1..).zip(&self.built) {
            let folder = self.batch_folder(number);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("public.bin"), built.file.to_bytes()).expect("written");
            std::fs::write(folder.join("private.bin"), &built.private).expect("written");
            for opening in &built.openings {
                let path = self.folder.path().join(format!("batch-{number}.opening"));
                files::replace(&path, &[&opening.to_bytes()], Audience::Owner).expect("written");
            }
        }
        self.deployment.write(&self.deployment_file()).expect("written");
    }

    pub(crate) fn batch_folder(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("{number:06}"))
    }

    pub(crate) fn deployment_file(&self) -> PathBuf {
        self.folder.path().join("deployment.json")
    }

    /// Where the chain's node answers.
    pub(crate) fn rpc(&self) -> String {
        self.server.url()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn audit(&self, deployment: &Deployment, options: &Options) -> Report {
        let data = Source::parse(&self.folder().display().to_string()).expect("a folder");
        let rpc = self.server.url().parse().expect("an address");
        let place = Place { rpc: &rpc, deployment, data: &data };
        audit(place, options, Arc::new(Quiet)).await
    }

    /// Audits with defaults, from this chain and these files.
    pub(crate) async fn audit_from(&self, rpc: &str, data: &Source) -> Report {
        let rpc = rpc.parse().expect("an address");
        let place = Place { rpc: &rpc, deployment: &self.deployment, data };
        audit(place, &Options::default(), Arc::new(Quiet)).await
    }

    pub(crate) fn all_openings(&self) -> Options {
        let openings = self.built.iter().flat_map(|built| &built.openings).cloned();
        let openings = openings.enumerate().map(|(n, opening)| {
            let name = format!("{n}.opening");
            NamedOpening { name, opening }
        });
        let openings = Some(openings.collect());
        Options { openings, coverage: Coverage::All, ..Options::default() }
    }

    /// Runs the program as its own process.
    pub(crate) async fn program(&self, command: &str, more: &[&str]) -> Output {
        self.program_at(&self.server.url(), command, more).await
    }

    /// The same with another node of the chain.
    pub(crate) async fn program_at(&self, rpc: &str, command: &str, more: &[&str]) -> Output {
        let folder = self.folder().display().to_string();
        self.command(command, rpc, &folder).args(more).output().await.expect("runs")
    }

    /// The program with everything that a command needs.
    pub(crate) fn command(&self, command: &str, rpc: &str, data: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_auditor"));
        let deployment = self.deployment_file().display().to_string();
        let place = ["--rpc", rpc, "--deployment", &deployment, "--data", data];
        program.arg(command).args(place);
        program
    }
}

/// What signs receipts of the story.
pub(crate) fn receipt_key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).expect("a key")
}

fn key_words((key, shape): (VerifyingKey, &str)) -> KeyWords {
    let circuit = layout(shape).circuit() as u8;
    KeyWords { shape: shape.to_owned(), circuit, words: key.key_words() }
}

async fn settle(edge: &Edge, built: &[Built]) {
    let files: Vec<PublicFile> = built.iter().map(|built| built.file.clone()).collect();
    edge.simulate(&files).await.expect("the contract accepts");
    let sent = edge.provider().send_transaction(edge.transaction(&files)).await.expect("is taken");
    expect_success(&sent.get_receipt().await.expect("is mined")).expect("settles");
}

pub(crate) async fn live() -> Live {
    Live::start(&Forge::new()).await
}

pub(crate) fn broken(report: &Report) -> String {
    let broken = report.broken.as_ref().expect("a broken item");
    assert_eq!(report.verdict, Verdict::Broken);
    broken.item.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_story_holds_with_all_openings_and_everything_is_counted() {
    let live = live().await;
    let report = live.audit(&live.deployment, &live.all_openings()).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    assert_eq!((report.settled, report.batches, report.proofs_verified), (3, 3, 6));
    assert_eq!((report.operations, report.enrolments), (3, 1));
    assert_eq!((report.access, report.collect, report.break_glass), (1, 2, 1));
    assert_eq!(report.excluded, 1);
    assert_eq!((report.openings, report.private_files), (2, 3));
    // Block times follow one another by a second from START_S on, where the last window ends.
    assert!(report.lateness_max_ms > 40_000 && report.late_batches == 0);
    assert_eq!(report.setup, SetupKind::DevInsecure);
    let names: Vec<_> = report.sections.iter().map(|section| section.name).collect();
    let expected = ["deployment", "headers", "public files", "private files", "openings", "head"];
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_files_and_a_chain_that_does_not_answer_are_unavailable() {
    let live = live().await;
    std::fs::remove_file(live.batch_folder(2).join("public.bin")).expect("removed");
    let report = live.audit(&live.deployment, &Options::default()).await;
    assert_eq!(report.verdict, Verdict::Unavailable);
    let missing = report.unavailable.as_ref().expect("named");
    assert_eq!(missing.item, "the public file of batch 2");
    let later = Options { from: Some(3), ..Options::default() };
    let report = live.audit(&live.deployment, &later).await;
    assert!(report.holds());
    // A part is never taken for the whole.
    assert_eq!(report.unchecked, Some([1, 2]));
    let text = report.text(auditor::Colour::Plain);
    assert!(
        text.ends_with("holds for batches 3 to 3; files of batches 1 to 2 NOT CHECKED\n"),
        "{text}"
    );

    let data = Source::parse(&live.folder().display().to_string()).expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = format!("http://{}", free.local_addr().expect("bound"));
    drop(free);
    let report = live.audit_from(&nobody, &data).await;
    assert_eq!(report.unavailable.expect("named").item, "the base chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_file_that_is_not_the_chains_is_broken() {
    let live = live().await;
    type Change = fn(&mut Deployment);
    let changes: [(&str, Change); 3] = [
        ("deployment, contract code", |file| file.settlement = file.keys[0].code),
        ("key c2-test, id", |file| file.keys[1].id.0[0] ^= 1),
        ("deployment, registrar", |file| file.registrar = Word::from_u64(1).to_hex()),
    ];
    for (expected, change) in changes {
        let mut other = live.deployment.clone();
        change(&mut other);
        let report = live.audit(&other, &Options::default()).await;
        assert_eq!(broken(&report), expected);
    }
    // A node of another chain, or one that is behind, knows nothing about this contract.
    let elsewhere: [(&str, Change); 2] = [
        ("expected chain id 1, found 31337", |file| file.chain_id = 1),
        ("found no code", |file| file.settlement.0[0] ^= 1),
    ];
    for (expected, change) in elsewhere {
        let mut other = live.deployment.clone();
        change(&mut other);
        let report = live.audit(&other, &Options::default()).await;
        assert_eq!(report.verdict, Verdict::Unavailable);
        let missing = report.unavailable.expect("named");
        assert!(missing.why.contains(expected), "{missing:?}");
        assert_eq!(missing.item, "the base chain");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_would_begin_behind_the_last_batch_does_not_hold() {
    let live = live().await;
    let nothing = Options { from: Some(1000), ..Options::default() };
    let report = live.audit(&live.deployment, &nothing).await;
    assert_eq!(report.verdict, Verdict::Refused);
    for more in [&["--from", "4"][..], &["--from", "4", "--json"]] {
        let done = live.program("verify", more).await;
        assert_eq!(done.status.code(), Some(2));
        let text = String::from_utf8(done.stdout).expect("text");
        assert!(text.contains("expected a batch from 1 to 3, found 4"), "{text}");
    }
    assert_eq!(live.program("verify", &["--from", "3"]).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_than_the_one_that_was_told_is_refused() {
    let live = live().await;
    let own = live.deployment.fingerprint.to_string();
    let opening = live.folder().join("batch-1.opening").display().to_string();
    let done = live.program("verify", &["--fingerprint", &own.replace('-', "")]).await;
    assert_eq!(done.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&done.stdout).contains(&format!("fingerprint   {own}")));
    let other = format!("{}{}", if own.starts_with('0') { '1' } else { '0' }, &own[1..]);
    for command in [&["verify"][..], &["open", "--opening", &opening]] {
        let more = [&command[1..], &["--fingerprint", &other]].concat();
        let done = live.program(command[0], &more).await;
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(said.contains(&own) && said.contains(&other), "{said}");
        assert!(done.stdout.is_empty(), "nothing is shown of another deployment");
    }
    let done = live.program("verify", &["--fingerprint", "12-34"]).await;
    assert_eq!(done.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_of_a_batch_that_never_settled_is_broken() {
    let live = live().await;
    let mut options = live.all_openings();
    options.openings.as_mut().expect("given")[1].opening.batch.0 = 4;
    let report = live.audit(&live.deployment, &options).await;
    assert_eq!(broken(&report), "opening 1.opening, batch");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_tells_its_verdict_by_exit_code_and_json() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    let saved = live.folder().join("headers.json").display().to_string();
    let all = ["--json", "--openings", &folder, "--complete", "--save-headers", &saved];
    for _ in 0..2 {
        let done = live.program("verify", &all).await;
        assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
        let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        assert_eq!(report["schema"], "vitals-audit-1");
        assert_eq!(report["verdict"], "holds");
        assert_eq!(report["openings"], 2);
    }
    let text = live.program("verify", &[]).await;
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(
        text.ends_with("verdict       holds\n") && text.contains("ANYBODY CAN FORGE"),
        "{text}"
    );

    let path = live.batch_folder(1).join("public.bin");
    let mut file = live.built[0].file.clone();
    file.claims[1].excluded = 0;
    std::fs::write(&path, file.to_bytes()).expect("written");
    let done = live.program("verify", &["--json"]).await;
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(report["broken"]["item"], "all claims chunks, excluded claims");
    assert_eq!(report["broken"]["batch"], 1);
    assert_eq!(
        (&report["broken"]["expected"], &report["broken"]["found"]),
        (&"1".into(), &"0".into())
    );

    std::fs::remove_file(&path).expect("removed");
    assert_eq!(live.program("verify", &[]).await.status.code(), Some(3));
    assert_eq!(live.program("verify", &["--complete"]).await.status.code(), Some(2));
    assert_eq!(live.program("verify", &["--from", "0"]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_shows_one_patients_claims_with_what_was_proven() {
    let live = live().await;
    let opening = live.folder().join("batch-1.opening").display().to_string();
    let done = live.program("open", &["--opening", &opening]).await;
    let text = String::from_utf8(done.stdout).expect("text");
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(text.contains("collect for treatment: proven covered by Permit(0)"), "{text}");
    assert!(text.contains("excluded: no rule names this actor (C2.12)"), "{text}");
    // As the JSON does: of the broken glass as it was signed, of the access that it is withheld.
    assert!(text.contains(&format!("\n  reason \"{REASON}\"\n")), "{text}");
    assert_eq!(text.matches("reason unknown: the operator withholds").count(), 1, "{text}");
    let done = live.program("open", &["--opening", &opening, "--json"]).await;
    let shown: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(shown["claims"].as_array().map(Vec::len), Some(3));
    let broken = &shown["claims"][1];
    assert_eq!((&broken["kind"], &broken["reason"]), (&"break-glass".into(), &"Policy(0)".into()));
    assert_eq!(broken["asked_because"], REASON);
    assert_eq!(shown["claims"][0]["asked_because"], Value::Null);

    let mut other = live.built[0].openings[0].clone();
    other.claims.pop();
    std::fs::write(&opening, other.to_bytes()).expect("written");
    let done = live.program("open", &["--opening", &opening]).await;
    assert_eq!(done.status.code(), Some(1));
    std::fs::write(&opening, b"no opening").expect("written");
    let done = live.program("open", &["--opening", &opening]).await;
    assert_eq!(done.status.code(), Some(2));
}

/// Serves `files` as `GET /node/batches/N` until it is dropped with its runtime.
pub(crate) async fn serve_files(files: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&request[..read]).into_owned();
            let asked = head.strip_prefix("GET /node/batches/").and_then(|rest| {
                let number: usize = rest.split(' ').next()?.parse().ok()?;
                files.get(number.checked_sub(1)?)
            });
            let (status, body) = match asked {
                Some(file) => ("200 OK", file.as_slice()),
                None => ("404 Not Found", &b""[..]),
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body).await;
        }
    });
    format!("http://{address}/node/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sends_without_end_is_cut_off_at_the_limit() {
    let live = live().await;
    let endless = serve_files(vec![vec![0; limits::BATCH_FILE_BYTES_MAX + 1000]]).await;
    let data = Source::parse(&endless).expect("an address");
    let report = live.audit_from(&live.server.url(), &data).await;
    let found = &report.broken.as_ref().expect("a broken item").found;
    assert_eq!(broken(&report), "public file, size");
    assert_eq!(*found, format!("{} bytes", limits::BATCH_FILE_BYTES_MAX + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_over_http_as_well() {
    let live = live().await;
    let files: Vec<_> = live.built.iter().map(|built| built.file.to_bytes()).collect();
    let whole = serve_files(files.clone()).await;
    let part = serve_files(files[..2].to_vec()).await;
    for (address, expected) in [(whole, Verdict::Holds), (part, Verdict::Unavailable)] {
        let data = Source::parse(&address).expect("an address");
        let report = live.audit_from(&live.server.url(), &data).await;
        assert_eq!(report.verdict, expected, "{}", report.text(auditor::Colour::Plain));
        assert_eq!(report.private_files, 0);
    }
}
