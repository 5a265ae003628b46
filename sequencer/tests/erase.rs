//! A patient's readings are erased at their request, beside a running node: what it waits for, what
//! is left, and that nothing that is put back brings them back.

use std::path::Path;
use std::process::{Command, Output};

use client::erasure;
use client::erasure_door::{ErasureStands, ask_erasure};
use client::hand_in::Door;
use client::{Key, KeyKind};
use model::{Action, BatchNumber, Clock as _, SystemClock};
use sequencer::doors::http::TellDesk;
use sequencer::folder::body_keys;
use sequencer::node::Node;
use serde_json::{Value, json};
use statement::batch::{OpeningKey, PatientOpening, PrivateFile, PublicFile, SealScope};
use wire::{SignedErasure, SignedReceipt};

use crate::support::{
    Site, check_output, close_and_settle, opens, operation_item, patient, stream_key,
};

const VALID_MS: u64 = 60 * 60 * 1000;

fn run(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let dir = site.layout.folder().display().to_string();
    command.args(words).args(["--dir", &dir]).output().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

async fn stop(site: &mut Site, node: &Node) {
    let signed = site.change(Action::Stop);
    let answer = node.submit(operation_item(&signed)).await.unwrap();
    site.apply(&signed, &answer);
}

/// The request as the wallet signs it, in a file.
fn request(site: &Site) -> (SignedErasure, String) {
    let request = erasure::request(&site.wallet, SystemClock.now(), VALID_MS).unwrap();
    let signed = erasure::sign(request, &patient()).unwrap();
    let path = site.beside("anna.erasure");
    std::fs::write(&path, signed.to_bytes().unwrap()).unwrap();
    (signed, path.display().to_string())
}

/// What the batch says of the patient to whoever has their view key.
fn opening(node: &Node, number: u64) -> PatientOpening {
    let store = node.store();
    let bytes = store.private_bytes(BatchNumber(number)).unwrap().unwrap();
    let public = store.public_bytes(BatchNumber(number)).unwrap().unwrap();
    let public = PublicFile::from_bytes(&public).unwrap();
    let private = PrivateFile::from_bytes(&bytes).unwrap();
    let scope = SealScope::of_header(node.deployment().scope(), &public.header);
    let key = OpeningKey { patient: stream_key().patient, view_key: patient().view_key() };
    private.open(&scope, key).unwrap().expect("the patient's opening")
}

/// What the desk lists of requests to erase.
fn listed(node: &Node) -> Value {
    node.watched().erasures()
}

/// The desk lists this request alone, and what it waits for.
fn check_asked(node: &Node, signed: &SignedErasure, state: &str) -> Value {
    let list = listed(node);
    assert_eq!((&list["waiting"], &list["erased"]), (&json!(1), &json!(0)), "{list}");
    let (row, request) = (list["requests"][0].clone(), signed.request);
    assert_eq!((&row["patient"], &row["state"]), (&json!(request.patient.get()), &json!(state)));
    assert_eq!(row["requested_at_unix_ms"], request.requested_at.unix_ms());
    assert_eq!(row["valid_until_unix_ms"], request.valid_until.unix_ms());
    row
}

/// Whoever watches a node that stopped keeps neither store nor keys from the next start.
async fn check_next_start(site: &Site, node: Node) {
    let watched = node.watched().clone();
    node.stop().await.unwrap();
    let (node, edge) = site.start().await;
    assert_eq!(watched.erasures(), Value::Null);
    drop(edge);
    node.stop().await.unwrap();
}

/// The keys went and a state of a release before did not, as on a disk that was full: the next
/// start erases it although no key is left.
async fn check_old_state_goes(site: &Site) {
    let state = site.layout.snapshots().join("0000000000000001.snapshot");
    files::create(&state, b"VITLSNAP\0\0\0\x01 readings", files::Audience::Owner).unwrap();
    let (node, edge) = site.start().await;
    assert!(!state.exists(), "it goes although no key is left");
    drop(edge);
    node.stop().await.unwrap();
}

/// What the hold keeps from being destroyed, and who asked.
async fn check_held_keys_stay(site: &Site, node: &Node, index: &str) {
    let destroy = ["keys", "destroy", "--patient", index, "--as", "anna"];
    check_output(&run(site, &destroy), 1, "expected no legal hold on patient");
    assert!(opens(site, node, 1).await, "the hold keeps them from whoever destroys keys, too");
    let log = std::fs::read_to_string(site.layout.operator_log()).unwrap();
    assert!(log.contains("\"order\":\"destroy-keys\""), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_are_erased_at_the_patients_request_and_nothing_that_is_put_back_brings_them_back()
{
    let mut site = Site::new().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let first = close_and_settle(&node).await;
    let claims = opening(&node, first).claims.len();
    assert_eq!(claims, 1, "the collection");

    stop(&mut site, &node).await;
    let index = stream_key().patient.get().to_string();
    let hold = |change: &str, reason: &str| {
        let signed = ["--as", "anna", "--reason", reason];
        run(&site, &[&["hold", change, "--patient", &index][..], &signed].concat())
    };
    let (signed, file) = request(&site);
    let receipt = site.beside("erased.receipt").display().to_string();
    let erase = ["erase", "--patient", &index, "--request", &file, "--receipt", &receipt];
    check_output(&run(&site, &erase), 1, "on the chain");
    close_and_settle(&node).await;
    check_output(&hold("set", "a claim is pending"), 0, "the legal hold is set");
    check_output(&run(&site, &erase), 1, "expected no legal hold, found one since");
    check_held_keys_stay(&site, &node, &index).await;
    let held = check_output(&run(&site, &["hold", "list"]), 0, "because a claim is pending");
    assert!(held.contains("by anna (user ") && held.contains("patients erased: 0"), "{held}");
    check_output(&hold("clear", "it was withdrawn"), 0, "is cleared");

    // As a backup of the whole disk has them.
    let keys = body_keys::path(&site.layout, &site.config.keys.folder);
    let (ledger, kept) = (site.layout.body_ledger(), site.beside("kept-keys"));
    copy_folder(&keys, &kept);
    let kept_ledger = std::fs::read(&ledger).unwrap();
    assert!(opens(&site, &node, 1).await);

    let said = check_output(&run(&site, &erase), 0, "keys destroyed; no backup of keys holds them");
    assert!(said.contains("who read what"), "{said}");
    let bytes = std::fs::read(&receipt).unwrap();
    let found = SignedReceipt::from_bytes(&bytes).unwrap();
    assert_eq!(found.receipt.items().operations[0].digest, signed.digest().unwrap());
    // Asked again, it says the same; the receipt is there already.
    check_output(&run(&site, &erase), 2, "found one");
    check_output(&run(&site, &erase[..5]), 0, "0 keys destroyed");
    check_output(&run(&site, &["hold", "list"]), 0, "patients erased: 1");

    assert!(!opens(&site, &node, 1).await, "erased");
    assert!(node.submit(site.frame(2)).await.is_err(), "and nothing more is taken");
    assert_eq!(opening(&node, first).claims.len(), claims, "what was claimed stays readable");
    close_and_settle(&node).await;
    drop(edge);
    node.stop().await.unwrap();

    // Key folder and ledger of before are put back: the tombstone has them destroyed again.
    for file in std::fs::read_dir(&keys).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    copy_folder(&kept, &keys);
    std::fs::write(&ledger, kept_ledger).unwrap();
    let (node, edge) = site.start().await;
    assert!(!opens(&site, &node, 1).await, "still erased");
    check_output(&run(&site, &["keys", "status"]), 0, "patients destroyed: 1");
    drop(edge);
    node.stop().await.unwrap();
    check_old_state_goes(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_handed_in_waits_for_the_operator_and_brings_its_receipt() {
    let mut site = Site::new().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    stop(&mut site, &node).await;
    let index = stream_key().patient.get().to_string();
    let deployment = std::fs::read(site.layout.deployment()).unwrap();
    let deployment = client::Deployment::from_json(&deployment).unwrap();
    let (signed, _) = request(&site);
    let door = Door::parse(&format!("http://{}", node.endpoints().http)).unwrap();
    let ask = |signed: SignedErasure| {
        let door = door.clone();
        let ask = move || ask_erasure(&door, &deployment, &signed, &|_| ());
        async { tokio::task::spawn_blocking(ask).await.unwrap() }
    };
    // Before it, the operator has none to carry out; and nobody else asks in the patient's name.
    check_output(&run(&site, &["erase", "--patient", &index]), 1, "found none: --request FILE");
    let stranger = Key::from_secret(KeyKind::Patient, [99; 32]);
    let forged = ask(erasure::sign(signed.request, &stranger).unwrap()).await.unwrap_err();
    assert!(forged.to_string().contains("erasure-not-taken"), "{forged}");
    assert_eq!(listed(&node)["waiting"], 0);
    assert_eq!(ask(signed).await.unwrap(), ErasureStands::Waiting);
    check_asked(&node, &signed, "unsettled");
    close_and_settle(&node).await;
    check_asked(&node, &signed, "ready");

    let reason = ["--as", "anna", "--reason", "a claim is pending"];
    let set = [&["hold", "set", "--patient", &index][..], &reason].concat();
    check_output(&run(&site, &set), 0, "the legal hold is set");
    let held = ask(signed).await.unwrap();
    assert!(matches!(&held, ErasureStands::Held { reason, .. } if reason == "a claim is pending"));
    let row = check_asked(&node, &signed, "held");
    assert_eq!(row["reason"], "a claim is pending");
    assert!(row["who"].as_str().unwrap().starts_with("anna (user "), "{row}");
    let list = check_output(&run(&site, &["hold", "list"]), 0, "and is held");
    assert!(list.contains(&format!("patient {index}: asked at ")), "{list}");
    check_output(&run(&site, &["status"]), 0, "1 patients ask to be erased");
    drop(edge);
    node.stop().await.unwrap();

    // It waits over a start.
    let (node, edge) = site.start().await;
    let clear = [&["hold", "clear", "--patient", &index][..], &reason].concat();
    check_output(&run(&site, &clear), 0, "is cleared");
    check_output(&run(&site, &["erase", "--patient", &index]), 0, "keys destroyed");
    assert!(!opens(&site, &node, 1).await, "erased");
    let list = check_output(&run(&site, &["hold", "list"]), 0, "patients erased: 1");
    assert!(!list.contains("asked at"), "{list}");
    let found = listed(&node);
    assert_eq!((&found["waiting"], &found["erased"]), (&json!(0), &json!(1)), "{found}");
    let done = &found["done"][0];
    assert_eq!(
        (&done["patient"], &done["keys_destroyed"]),
        (&index.parse().unwrap(), &json!(true))
    );
    assert_eq!(done["copies_until_unix_ms"], Value::Null, "no backup of keys was made");
    let door = Door::parse(&format!("http://{}", node.endpoints().http)).unwrap();
    let again = move || ask_erasure(&door, &deployment, &signed, &|_| ());
    let erased = tokio::task::spawn_blocking(again).await.unwrap().unwrap();
    let ErasureStands::Erased { receipt, .. } = erased else { panic!("{erased:?}") };
    let item = receipt.receipt.items().operations[0].clone();
    assert_eq!(item.digest, signed.digest().unwrap());
    assert_eq!(done["position"], item.position.0);
    drop(edge);
    check_next_start(&site, node).await;
}
