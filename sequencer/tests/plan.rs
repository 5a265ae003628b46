//! `sequencer plan`: what it says of a node that ran, against what that node did; and what it
//! refuses.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use l1_contracts::Deployment;
use model::BatchNumber;
use sequencer::demo::{DemoOptions, record_day};
use sequencer::folder::layout::Layout;
use sequencer::folder::store::Store;
use sequencer::forecast::Expected;
use serde_json::Value;
use statement::batch::PublicFile;

use crate::blocks::blocks;
use crate::support::{Site, prepare_small, proving_keys};
use crate::walker;

/// Nobody measured the small circuits of tests.
const PROOF_SECONDS: [&str; 6] = [
    "--proof-seconds",
    "c1-test=0.2",
    "--proof-seconds",
    "c2-test=0.2",
    "--proof-seconds",
    "c2-test-1=0.2",
];

fn plan(journal: &Path, more: &[&str]) -> Output {
    let journal = journal.display().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    program.args(["plan", "--journal", &journal]).args(PROOF_SECONDS).args(more);
    program.env_remove("RUST_LOG").output().unwrap()
}

#[track_caller]
fn object(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
}

/// What a node did: batches, proofs by shape, gas of each batch's transaction.
#[derive(Debug, PartialEq)]
struct Did {
    batches: u64,
    proofs: BTreeMap<String, u64>,
    gas: Vec<u64>,
}

impl Did {
    fn of(layout: &Layout) -> Did {
        let (store, deployment) = (
            Store::open(&layout.store()).unwrap(),
            Deployment::read(&layout.deployment()).unwrap(),
        );
        let shape = |id: [u8; 32]| {
            let key = deployment.keys.iter().find(|key| key.id.0 == id);
            key.unwrap().shape.clone()
        };
        let (mut proofs, mut gas) = (BTreeMap::new(), Vec::new());
        let batches = store.last_assembled().unwrap().unwrap().0.0;
        for number in (1..=batches).map(BatchNumber) {
            let bytes = store.public_bytes(number).unwrap().unwrap();
            let file = PublicFile::from_bytes(&bytes).unwrap();
            let operations = file.operations.iter().map(|chunk| chunk.key_id);
            for id in operations.chain(file.claims.iter().map(|chunk| chunk.key_id)) {
                *proofs.entry(shape(id)).or_insert(0) += 1;
            }
            gas.push(store.batch(number).unwrap().unwrap().settled.unwrap().gas);
        }
        Did { batches, proofs, gas }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_of_a_recorded_day_is_what_that_day_was() {
    proving_keys();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("day");
    let options = DemoOptions { dir: Some(dir.clone()), seed: 7, keep: false, json: true };
    let report = record_day(&options, 8, |config| {
        prepare_small(config);
        // However fast the machine is, each batch is in a transaction of its own.
        config.settle.batches_max = 1;
    });
    let report = report.await.unwrap();
    let layout = Layout::new(&dir.join("node"));
    let did = Did::of(&layout);
    assert_eq!((did.batches, did.gas.iter().sum()), (report.batches_settled, report.gas_total));

    let found =
        object(&plan(&layout.journal(), &["--json", "--set", "batch.close_after_ms=60000"]));
    assert_eq!(found["schema"], "vitals-plan-1");
    let [configured, by_the_minute] = &found["rows"].as_array().unwrap()[..] else {
        panic!("expected two rows: {found}")
    };
    println!("gas of each transaction: {:?}, proofs {:?}", did.gas, did.proofs);
    assert_eq!(configured["batches"], did.batches);
    let proofs: BTreeMap<String, u64> =
        serde_json::from_value(configured["proofs_by_shape"].clone()).unwrap();
    assert_eq!(proofs, did.proofs);
    assert_eq!(configured["left"]["operations"], 0);
    assert_eq!(configured["transactions"], did.batches);
    let (expected, gas) = (configured["gas"].as_u64().unwrap(), report.gas_total);
    println!("gas planned {expected}, used {gas}");
    assert!(expected.abs_diff(gas) * 50 <= gas, "expected {expected} gas within 2 %: {gas}");

    // The clock was moved ahead by 25 hours between the second and the third close by hand.
    assert!(by_the_minute["batches"].as_u64().unwrap() > 24, "{by_the_minute}");
    assert_eq!(by_the_minute["operations"], configured["operations"]);
    assert_eq!(by_the_minute["set"]["batch.close_after_ms"], "60000");
    walk_the_page(&dir);
    check_saved(&layout, folder.path(), configured);
    assert_eq!(Did::of(&layout), did, "a plan changes nothing");
    let page = std::fs::read_to_string(dir.join("plan.html")).unwrap();
    assert!(page.contains("batch.close_after_ms=60000") && page.matches("<svg").count() >= 4);
    let more: Value =
        serde_json::from_slice(&std::fs::read(dir.join("plan.json")).unwrap()).unwrap();
    let row = &more["rows"][0];
    // Three times the ward, and what of it came after the last close.
    let operations = &configured["operations"].as_u64().unwrap();
    let all = ["operations", "left"].map(|key| match key {
        "left" => row[key]["operations"].as_u64().unwrap(),
        key => row[key].as_u64().unwrap(),
    });
    assert_eq!(all.iter().sum::<u64>() + row["refused"].as_u64().unwrap(), 3 * operations, "{row}");
    assert_eq!(more["assumed"]["fork"], "amsterdam");
}

/// A row that is written down says of a day what the plan does, and is overwritten by no other.
fn check_saved(layout: &Layout, folder: &Path, configured: &Value) {
    let file = folder.join("expected.json");
    let text = file.display().to_string();
    let save = ["--set", "batch.close_after_ms=60000", "--save", &text, "--row"];
    refused(
        &plan(layout.folder(), &[&save[..], &["3"]].concat()),
        2,
        "expected --row to be 1 to 2",
    );
    assert!(!file.exists());
    let saved = plan(layout.folder(), &[&save[..], &["1"]].concat());
    assert_eq!(saved.status.code(), Some(0));
    let bytes = std::fs::read(&file).unwrap();
    Expected::parse(&bytes).unwrap();
    let said: Value = serde_json::from_slice(&bytes).unwrap();
    for figure in ["batches", "proofs", "gas"] {
        assert_eq!(said[figure], configured["day"][figure], "{figure}");
    }
    refused(&plan(layout.folder(), &["--save", &text]), 1, "expected.json, a new file");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

/// Runs the page's commands beside the folder `node`; those that plan are told how long the small
/// circuits take.
fn walk_the_page(dir: &Path) {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(member.join("docs/plan.md")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_sequencer")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut commands = 0;
    for block in blocks(&page).into_iter().filter(|block| block.info == "console") {
        for example in block.text.split("$ ").filter(|example| !example.is_empty()) {
            let (command, expected) = example.split_once('\n').expect("a line of its own");
            let really = command
                .replace("sequencer plan", &format!("sequencer plan {}", PROOF_SECONDS.join(" ")));
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(really).current_dir(dir).env("PATH", &path);
            let output = shell.env_remove("RUST_LOG").output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            walker::check(command, expected, &said);
            commands += 1;
        }
    }
    assert_eq!(commands, 3, "the page is read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_planned_is_said_in_the_words_of_the_configuration() {
    let site = Site::new().await;
    let node = site.layout.folder();
    let none = plan(&site.beside("nowhere"), &[]);
    refused(&none, 3, "node.toml cannot be read");
    for (set, words) in [
        ("batch.close_after_ms", "expected KEY=VALUE"),
        ("batch.close_after=1", "expected a key of the configuration"),
        ("journal.queue_items_max=99", "expected a key that a plan depends on, one of batch."),
        ("batch.close_after_ms=1", "expected batch.close_after_ms to be"),
        ("batch.close_after_ms=soon", "expected a value that batch.close_after_ms can have"),
        ("batch.claims_shapes=c3-17", "expected batch.claims_shapes to be distinct names"),
    ] {
        refused(&plan(node, &["--set", set]), 2, words);
    }
    refused(&plan(node, &["--gas-price", "-1"]), 2, "");
    refused(&plan(node, &["--gas-price", "0"]), 2, "expected --gas-price to be above 0");
    refused(&plan(node, &["--fork", "prague"]), 2, "osaka or amsterdam");
    refused(&plan(node, &["--proof-seconds", "c1-test"]), 2, "expected --proof-seconds SHAPE=S");
    let nothing = site.beside("metrics.txt");
    std::fs::write(&nothing, "vitals_proofs_total 0\n").unwrap();
    let nothing = nothing.display().to_string();
    refused(&plan(node, &["--metrics", &nothing]), 2, "expected vitals_proof_seconds of proofs in");
    // Entries there are, and nobody closed a window.
    refused(&plan(node, &[]), 3, "entries and no close");
    site.desk().submit(sequencer::stages::ledger::Item::Close);
    assert_eq!(object(&plan(node, &["--json"]))["rows"][0]["batches"], 1);
    refused(&plan(node, &["--patients", "0"]), 2, "expected --patients to be 1 to 1024");

    let (running, _edge) = site.start().await;
    refused(&plan(node, &[]), 3, "expected a stopped node");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_group_is_named_and_nothing_is_planned_of_the_rest() {
    let site = Site::new().await;
    site.desk().submit(sequencer::stages::ledger::Item::Close);
    let (folder, path) = (site.layout.folder(), site.journal_file());
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = plan(folder, &[]);
    refused(&damaged, 1, "00000001.log");
    refused(&damaged, 1, "byte 128");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a plan changes nothing");

    std::fs::write(&path, &whole).unwrap();
    assert_eq!(object(&plan(&site.layout.journal(), &["--json"]))["rows"][0]["batches"], 1);
    // Of shapes that nobody measured there is no figure to make up.
    let journal = folder.display().to_string();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let unmeasured = program.args(["plan", "--journal", &journal]).output().unwrap();
    refused(&unmeasured, 2, "expected a measured time for proofs of shape c1-test, found none");
    std::fs::remove_file(site.layout.journal().join("00000001.log")).unwrap();
    refused(&plan(folder, &[]), 3, "expected a journal in");
}
