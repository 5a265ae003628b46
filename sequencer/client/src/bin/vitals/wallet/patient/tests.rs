//! A patient in a folder, and a node that answers one operation after the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;

use client::KeyKind;
use model::{Action, ChainScope, Operation, Position, Record, Rule as ModelRule, Word};
use statement::operation::SignedOperation;
use statement::{field, scope};
use wire::{GroupIdentity, Holder, Items, OperationItem, Receipt, SigningKey, signer_address};

use super::*;

const SCOPE: ChainScope = ChainScope { chain_id: 31337, contract: [9; 20] };

fn node_key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn anna() -> Key {
    Key::from_secret(KeyKind::Patient, [7; 32])
}

fn deployment() -> Deployment {
    Deployment {
        scope: SCOPE,
        receipt_signer: signer_address(&node_key(9)),
        registrar: Word::ZERO,
        fingerprint: "00".repeat(20).parse().unwrap(),
    }
}

/// A key file with the copy of a record beside it, in which a doctor may read.
fn write_copy(folder: &Path, of: &Key, nonce: u32) {
    let mut wallet = Wallet::new(SCOPE, PatientIndex::new(7).unwrap());
    let mut record = Record::enrolled(of.key_hash(), of.view_key(), of.record_salt());
    let doctor = client::party::actor("practitioner:dr-001").unwrap();
    wallet.names.learn("practitioner:dr-001", &doctor);
    record.rules[0] = Some(ModelRule::widest(doctor, ClaimKind::Access.only()));
    record.nonce = nonce;
    wallet.record = Some(record);
    wallet.write(&Wallet::path(&folder.join("anna.key"))).unwrap();
}

fn patient(folder: &Path, node: SocketAddr) -> Patient {
    let given = Given {
        key_path: folder.join("anna.key"),
        identity: folder.to_owned(),
        deployment: deployment(),
        door: Door::parse(&format!("http://{node}")).unwrap(),
        data: folder.display().to_string(),
        headers: folder.join("headers.json"),
        receipts: Receipts { folder: folder.join("receipts"), is_named: false },
        frames: Vec::new(),
        know: Vec::new(),
        patient: None,
        ask_names: Box::new(|_| Answer::Nothing("nobody is asked".into())),
    };
    Patient::new(anna(), given)
}

/// A node that gives each operation a receipt by the key of the next of these bytes.
fn node(keys: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for key in keys {
            let (mut stream, _) = listener.accept().unwrap();
            let body = receipt(&read_operation(&mut stream), &node_key(*key));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        }
    });
    (address, thread)
}

/// A node that does not take the next operation.
fn refusing() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_operation(&mut stream);
        let body = r#"{"error":"operation-not-taken"}"#;
        let head = format!("HTTP/1.1 403 X\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    });
    (address, thread)
}

/// Keeps a stop beside the key that was sent and not answered, good until this time.
fn keep_pending(folder: &Path, valid_until: Millis) -> Pending {
    let operation = Operation {
        patient: PatientIndex::new(7).unwrap(),
        nonce: 1,
        signed_at: client::date_back(now()),
        valid_until,
        action: Action::Stop,
    };
    let signed = SignedOperation::sign(operation, scope::sig_domain(SCOPE), &anna().signer());
    let pending = Pending::of_key(&folder.join("anna.key"));
    pending.keep(&signed).unwrap();
    pending
}

fn read_operation(stream: &mut std::net::TcpStream) -> SignedOperation {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if bytes.len() == end + 4 + SignedOperation::BYTES {
            return SignedOperation::from_bytes(&bytes[end + 4..]).unwrap();
        }
    }
}

fn receipt(signed: &SignedOperation, key: &SigningKey) -> String {
    let operation = wire::SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
    let (position, time) = (Position(41), now());
    let item = OperationItem { position, time, digest: operation.digest() };
    let items = Items { operations: vec![item], ..Items::default() };
    let group = GroupIdentity { scope: SCOPE, group: 5, term: 0, journal_hash: [3; 32] };
    let holder = Holder::signer(&field::to_word(&signed.signer.hash()));
    let receipt = hex::encode(Receipt::new(group, holder, items).unwrap().sign(key).to_bytes());
    json!({ "schema": "vitals-operation-receipt-1", "position": 41, "receipt": receipt })
        .to_string()
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const REVOKE: &[u8] = br#"{"action":"revoke","slot":"permit:0"}"#;

fn preview(patient: &Patient, body: &[u8]) -> Value {
    patient.answer(Question::Preview(body.to_vec()))
}

fn sign(patient: &Patient, shown: &Value) -> Value {
    patient.answer(Question::Sign(agreed(shown, false)))
}

/// What somebody says who looked at this preview.
fn agreed(shown: &Value, allow_unknown: bool) -> Agreed {
    Agreed { preview: shown["preview"].as_u64().expect("a preview"), allow_unknown }
}

fn nonce(folder: &Path) -> u32 {
    let wallet = Wallet::read(&Wallet::path(&folder.join("anna.key")), SCOPE).unwrap();
    wallet.record().unwrap().nonce
}

#[test]
fn what_was_shown_is_signed_once_and_its_receipt_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_copy(folder, &anna(), 1);
    let (address, thread) = node(&[9]);
    let patient = patient(folder, address);
    let shown = preview(&patient, REVOKE);
    assert!(shown["says"].as_str().unwrap().starts_with("ends permit:0"), "{shown}");
    assert_eq!(nonce(folder), 1, "a look is a look");
    let report = sign(&patient, &shown);
    assert_eq!((&report["applied"], &report["done"]), (&true.into(), &true.into()), "{report}");
    thread.join().unwrap();
    assert_eq!(nonce(folder), 2);
    assert_eq!(std::fs::read_dir(folder.join("receipts")).unwrap().count(), 2);
    assert!(!Pending::of_key(&folder.join("anna.key")).path().exists());
    let state = patient.answer(Question::State);
    assert_eq!(state["record"]["rules"][0]["state"], "ended", "{state}");
    assert_eq!(
        (&state["pending"], &state["names"][0]),
        (&Value::Null, &"practitioner:dr-001".into())
    );
    // The same preview, and one that there never was.
    for preview in [1, 2] {
        let again = patient.answer(Question::Sign(Agreed { preview, allow_unknown: true }));
        assert_eq!(again["kind"], "preview-gone", "{again}");
    }
}

#[test]
fn a_rule_is_previewed_by_the_native_rules_with_the_answer_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let patient = patient(folder.path(), nobody());
    let deny = json!({ "action": "deny", "rule": {
        "actor": "practitioner:dr-001", "categories": "ecg", "purposes": "all",
        "preview-actor": "practitioner:dr-001", "preview-category": "ecg",
    } });
    let shown = preview(&patient, deny.to_string().as_bytes());
    let (before, after) = (shown["before"].as_str().unwrap(), shown["after"].as_str().unwrap());
    assert!(before.starts_with("yes, practitioner dr-001 could read ecg"), "{before}");
    assert!(after.starts_with("no, ") && after.ends_with("a deny applies"), "{after}");
    assert_eq!(shown["names_not_checked"], json!(["practitioner dr-001"]));
    assert!(shown["text"].as_str().unwrap().contains("letter by letter"), "{shown}");
    let empty = preview(&patient, br#"{"action":"revoke","slot":"deny:0"}"#);
    assert_eq!(empty["kind"], "not-allowed", "{empty}");
    let unread = preview(&patient, br#"{"action":"permit","rule":{"actor":"Dr X"}}"#);
    assert_eq!(unread["kind"], "given-wrongly", "{unread}");
}

#[test]
fn a_node_that_does_not_say_whom_it_knows_keeps_no_other_question_waiting() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let mut patient = patient(folder.path(), "127.0.0.1:9".parse().unwrap());
    let (asked, was_asked) = std::sync::mpsc::channel();
    let (answer, answered) = std::sync::mpsc::channel();
    let answered = Mutex::new(answered);
    patient.given.ask_names = Box::new(move |_| {
        asked.send(()).unwrap();
        answered.lock().unwrap().recv().unwrap();
        Answer::Nothing("it came late".into())
    });
    let patient = &patient;
    let (is_free, shown) = std::thread::scope(|scope| {
        let shown = scope.spawn(move || preview(patient, REVOKE));
        was_asked.recv().unwrap();
        let is_free = patient.previews.try_lock().is_ok();
        answer.send(()).unwrap();
        (is_free, shown.join().unwrap())
    });
    assert!(is_free, "another question would wait for the node");
    assert_eq!(shown["preview"], 1, "{shown}");
}

#[test]
fn a_name_that_the_registry_does_not_know_is_told_before_and_signed_by_a_word_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_copy(folder, &anna(), 1);
    let (address, thread) = node(&[9]);
    let mut patient = patient(folder, address);
    // Of the first name it says yes, of any other no.
    let said = |named: &[Named]| Answer::Said((0..named.len()).map(|at| at == 0).collect());
    patient.given.ask_names = Box::new(said);
    let rule = |actor: &str, source: &str| {
        json!({ "action": "permit", "rule": {
            "actor": actor, "source": source, "categories": "ecg", "purposes": "treatment",
        } })
        .to_string()
    };
    let misspelt = preview(&patient, rule("practitioner:dr-002", "device:m-0o1").as_bytes());
    assert_eq!(misspelt["names_unknown"], json!(["device m-0o1"]), "{misspelt}");
    let text = misspelt["text"].as_str().unwrap();
    assert!(text.contains("the registry knows practitioner dr-002"), "{text}");
    assert!(text.contains("THE REGISTRY DOES NOT KNOW device m-0o1"), "{text}");
    for _ in 0..2 {
        let refused = sign(&patient, &misspelt);
        assert_eq!((&refused["kind"], nonce(folder)), (&"name-unknown".into(), 1), "{refused}");
    }
    // It stayed shown, and is signed once somebody says so.
    let report = patient.answer(Question::Sign(agreed(&misspelt, true)));
    assert_eq!((&report["done"], nonce(folder)), (&true.into(), 2), "{report}");
    assert_eq!(report["names_unknown"], json!(["device m-0o1"]), "and is still told");
    thread.join().unwrap();
    // What only ends something names nobody, and a category that there is not is no rule.
    let ends = preview(&patient, REVOKE);
    assert_eq!(ends["names_unknown"], json!([]), "{ends}");
    let other = rule("practitioner:dr-002", "device:m-1").replace("ecg", "egc");
    assert_eq!(preview(&patient, other.as_bytes())["kind"], "given-wrongly");
}

#[test]
fn a_node_that_is_away_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_copy(folder, &anna(), 1);
    let patient = patient(folder, nobody());
    let shown = preview(&patient, br#"{"action":"stop"}"#);
    let found = sign(&patient, &shown);
    assert_eq!((&found["kind"], &found["exit"]), (&"node-away".into(), &3.into()), "{found}");
    assert_eq!(nonce(folder), 1);
    assert_eq!(patient.answer(Question::State)["pending"], Value::Null);
}

#[test]
fn what_has_no_receipt_that_holds_waits_and_is_asked_again_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_copy(folder, &anna(), 1);
    // By somebody else's key first, and then by the node's.
    let (address, thread) = node(&[8, 9]);
    let patient = patient(folder, address);
    let shown = preview(&patient, REVOKE);
    assert_eq!(sign(&patient, &shown)["kind"], "receipt");
    assert_eq!(nonce(folder), 1, "nothing is taken over that nobody promised");
    let state = patient.answer(Question::State);
    assert_eq!(state["pending"]["says"], shown["says"], "{state}");
    assert_eq!(preview(&patient, REVOKE)["kind"], "pending");
    let finished = patient.answer(Question::Finish);
    assert_eq!((&finished["found"], &finished["position"]), (&"applied".into(), &41.into()));
    thread.join().unwrap();
    assert_eq!(nonce(folder), 2);
    assert_eq!(patient.answer(Question::Finish)["found"], "nothing");
}

#[test]
fn what_is_refused_is_kept_while_somebody_might_take_it_and_not_for_ever() {
    for (valid_until, kind, kept) in [
        (now().plus(VALID_FOR_MS), json!("refused"), true),
        (Millis::from_unix_ms(1000), Value::Null, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_copy(folder.path(), &anna(), 1);
        let (address, thread) = refusing();
        let patient = patient(folder.path(), address);
        let pending = keep_pending(folder.path(), valid_until);
        let found = patient.answer(Question::Finish);
        thread.join().unwrap();
        assert_eq!(found["kind"], kind, "{found}");
        assert_eq!((found["found"] == "over", pending.path().exists()), (!kept, kept), "{found}");
        // The way to everything else is free again.
        let next = preview(&patient, REVOKE);
        assert_eq!(next["kind"] == "pending", kept, "{next}");
    }
}

#[test]
fn what_the_copy_has_already_is_not_taken_over_twice() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 2);
    let (address, thread) = node(&[9]);
    let patient = patient(folder.path(), address);
    let pending = keep_pending(folder.path(), now().plus(VALID_FOR_MS));
    let found = patient.answer(Question::Finish);
    thread.join().unwrap();
    assert_eq!(found["found"], "applied", "{found}");
    assert!(!pending.path().exists() && nonce(folder.path()) == 2);
}

#[test]
fn a_record_that_changed_since_the_look_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let patient = patient(folder.path(), nobody());
    let shown = preview(&patient, REVOKE);
    write_copy(folder.path(), &anna(), 2);
    assert_eq!(sign(&patient, &shown)["kind"], "look-again");
    // A new look makes the one before worth nothing.
    let first = preview(&patient, REVOKE);
    preview(&patient, br#"{"action":"stop"}"#);
    assert_eq!(sign(&patient, &first)["kind"], "preview-gone");
}

#[test]
fn nobody_signs_while_another_program_does_or_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let patient = patient(folder.path(), nobody());
    let held = KeyLock::take(&folder.path().join("anna.key")).unwrap();
    let shown = preview(&patient, REVOKE);
    let found = sign(&patient, &shown);
    assert_eq!((&found["kind"], &found["exit"]), (&"key-in-use".into(), &3.into()), "{found}");
    drop(held);
    let shown = preview(&patient, REVOKE);
    patient.end();
    let found = sign(&patient, &shown);
    assert!(found["error"].to_string().contains("nothing was signed"), "{found}");
    assert!(!Pending::of_key(&folder.path().join("anna.key")).path().exists());
}

#[test]
fn on_a_copy_that_a_log_showed_to_lack_something_nothing_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let patient = patient(folder.path(), nobody());
    *patient.doubt.lock().unwrap() = Some(Doubt { nonce: 1, found: Misfit::Behind });
    assert_eq!(preview(&patient, REVOKE)["kind"], "copy-behind");
    assert_eq!(patient.answer(Question::State)["copy_misfit"], "behind");
    // Another copy is not the one that was compared.
    write_copy(folder.path(), &anna(), 2);
    assert_eq!(preview(&patient, REVOKE)["applied"], false);
    assert_eq!(patient.answer(Question::State)["copy_misfit"], Value::Null);
}

#[test]
fn one_log_is_read_at_a_time_and_rules_are_signed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &anna(), 1);
    let patient = patient(folder.path(), nobody());
    let read = patient.reading.lock().unwrap();
    assert_eq!(patient.answer(Question::Log)["kind"], "reading");
    let shown = preview(&patient, REVOKE);
    assert_eq!(sign(&patient, &shown)["kind"], "node-away");
    drop(read);
    assert_ne!(patient.answer(Question::Log)["kind"], "reading");
}

#[test]
fn the_copy_of_another_key_is_neither_shown_nor_signed_on() {
    let folder = tempfile::tempdir().unwrap();
    write_copy(folder.path(), &Key::from_secret(KeyKind::Patient, [8; 32]), 1);
    let patient = patient(folder.path(), nobody());
    let state = patient.answer(Question::State);
    assert_eq!((&state["record"]["kind"], &state["names"]), (&"key-other".into(), &json!([])));
    assert_eq!(preview(&patient, REVOKE)["kind"], "key-other");
}

#[test]
fn what_is_missing_in_the_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let patient = patient(folder.path(), nobody());
    let state = patient.answer(Question::State);
    assert_eq!(state["record"]["kind"], "copy-missing", "{state}");
    assert_eq!(state["headers"]["kind"], "headers-missing", "{state}");
    assert_eq!(state["words"]["purposes"][0], "treatment");
    assert_eq!(patient.answer(Question::Log)["kind"], "given-wrongly");
    let text = state.to_string();
    assert!(!text.contains(&"07".repeat(8)), "no part of the key is in an answer");
    write_copy(folder.path(), &anna(), 1);
    assert_eq!(patient.answer(Question::Rebuild)["schema"], "vitals-error-1");
}
