//! The program: what it compares beside the batches, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use client::batches::BatchFiles;
use client::hand_in::Pending;
use client::{Wallet, keep_operation};
use files::Audience;
use model::{
    Action, BatchHeader, Categories, Digest, Interval, Millis, Operation, Party, Position, Record,
    RuleSlot,
};
use serde_json::{Value, json};
use statement::batch::{ReleasedFrame, ReleasedFrames};
use statement::operation::SignedOperation as Signed;
use statement::scope;
use tokio::process::Command;
use wire::{
    GroupIdentity, Holder, Items, OperationItem, Receipt, RefusalItem, Role, SignedOperation,
};

use super::world::{ANNA, CLOSE, EMERGENCY, Fault, REASON, World};
use super::world::{anna, deployment, frames, hashes, patient, request};
use crate::node::{Behaviour, Node, signing_key};

/// A settled batch, the key of its patient, the headers that an auditor saved, and an identity.
pub(super) struct Settled {
    folder: tempfile::TempDir,
    pub(super) world: World,
}

impl Settled {
    pub(super) fn new() -> Settled {
        let folder = tempfile::tempdir().unwrap();
        // The node is there for its authority only: it issues the identity.
        let node = Node::start(Behaviour::default());
        node.write_identity(&folder.path().join("wallet"), "wallet", "wallet-1");
        anna().write(&folder.path().join("anna.key")).unwrap();
        let settled = Settled { folder, world: World::new(Fault::None) };
        let (header, files) = settled.world.files();
        settled.write_batch(1, files);
        settled.save_headers(&[header]);
        settled
    }

    pub(super) fn write_batch(&self, number: u64, files: BatchFiles) {
        let batch = self.path(&format!("batches/{number:06}"));
        std::fs::create_dir_all(&batch).unwrap();
        std::fs::write(batch.join("public.bin"), files.public).unwrap();
        std::fs::write(batch.join("private.bin"), files.private).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save_headers(&self, headers: &[BatchHeader]) {
        let saved = headers.iter().map(|header| {
            let hash = hex::encode(scope::header_hash(header));
            json!({ "hash": hash, "words": hex::encode(header.to_bytes()) })
        });
        let saved: Vec<_> = saved.collect();
        let file = json!({ "schema": "vitals-headers-1", "headers": saved });
        std::fs::write(self.path("headers.json"), file.to_string()).unwrap();
    }

    /// The wallet's copy of the record, changed.
    fn write_copy(&self, change: impl FnOnce(&mut Record)) {
        let mut record = self.world.openings[0].record.clone();
        change(&mut record);
        let wallet = Wallet { record: Some(record), ..Wallet::new(deployment(), patient(ANNA)) };
        wallet.write(&Wallet::path(&self.path("anna.key"))).unwrap();
    }

    /// Keeps the receipt of a group in `DIR/receipts`.
    fn keep_receipt(&self, group: u64, journal_hash: [u8; 32], items: Items) {
        let group = GroupIdentity { scope: deployment(), group, term: 0, journal_hash };
        let receipt = Receipt::new(group, Holder::new(Role::Wallet, "wallet-1"), items).unwrap();
        let signed = receipt.sign(&signing_key());
        let folder = self.path("receipts");
        files::make_folder(&folder, Audience::Owner).unwrap();
        let path = folder.join(format!("{:020}.receipt", group.group));
        files::replace(&path, &[&signed.to_bytes()], Audience::Owner).unwrap();
    }

    /// Keeps a stop with its receipt, later than the batch; the time that the receipt has.
    fn keep_later_stop(&self) -> Millis {
        let time = super::world::at(2000);
        let operation = Operation {
            patient: patient(ANNA),
            nonce: 2,
            signed_at: time,
            valid_until: super::world::at(9000),
            action: Action::Stop,
        };
        let domain = scope::sig_domain(deployment());
        let signed = Signed::sign(operation, domain, &anna().signer());
        let signed = SignedOperation::new(signed.to_bytes().to_vec()).unwrap();
        let position = Position(CLOSE + 1);
        let operations = vec![OperationItem { position, time, digest: signed.digest() }];
        self.keep_receipt(3, [9; 32], Items { operations, ..Items::default() });
        keep_operation(&self.path("receipts"), &signed).unwrap();
        time
    }

    /// Keeps in `DIR/ecg.frames` what an access to everything released.
    fn keep_frames(&self, frames: Vec<ReleasedFrame>) {
        let released = ReleasedFrames {
            scope: deployment(),
            patient: patient(ANNA),
            categories: Categories::ALL,
            data: Interval::ALWAYS,
            source: Party::Any,
            frames,
        };
        let bytes = released.to_bytes();
        files::replace(&self.path("ecg.frames"), &[&bytes], Audience::Owner).unwrap();
    }

    pub(super) async fn log(&self, more: &str) -> Logged {
        let line = format!(
            "log --patient-key DIR/anna.key --patient {ANNA} --identity DIR/wallet \
             --headers DIR/headers.json --data DIR/batches {more}"
        );
        let line = line.replace("DIR", self.folder.path().to_str().unwrap());
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let run = async |json: &[&str]| -> Output {
            let mut vitals = Command::new(env!("CARGO_BIN_EXE_vitals"));
            vitals.args(&words).args(json).output().await.expect("vitals runs")
        };
        let (shown, object) = (run(&[]).await, run(&["--json"]).await);
        assert_eq!(shown.status.code(), object.status.code());
        Logged {
            code: shown.status.code(),
            report: serde_json::from_slice(&object.stdout).unwrap_or_default(),
            text: String::from_utf8([shown.stdout, shown.stderr].concat()).unwrap(),
        }
    }
}

/// How the program ended, and what it said.
pub(super) struct Logged {
    pub(super) code: Option<i32>,
    pub(super) report: Value,
    pub(super) text: String,
}

impl Logged {
    pub(super) fn expect(&self, code: i32, said: &str) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        assert!(self.text.contains(said), "expected `{said}` in: {}", self.text);
    }
}

/// What acknowledges something at this position.
fn at(position: u64) -> Items {
    let item = RefusalItem { position: Position(position), digest: Digest([1; 31]) };
    Items { refusals: vec![item], ..Items::default() }
}

/// The promise of an operation at this position.
fn promise(position: u64, digest: Digest) -> Items {
    let time = Millis::from_unix_ms(1_777_624_200_000);
    let operations = vec![OperationItem { position: Position(position), time, digest }];
    Items { operations, ..Items::default() }
}

#[tokio::test]
async fn a_log_that_holds_shows_every_entry_and_its_deployment() {
    let logged = Settled::new().log("").await;
    logged.expect(0, "6 entries in 1 batches: all are included, and none is missing");
    logged.expect(0, &crate::node::facts().fingerprint().to_string());
    logged.expect(0, "there is no wallet's copy");
    assert_eq!(logged.report["not_compared"], json!([]));
}

#[tokio::test]
async fn broken_glass_is_shown_with_its_rule_and_the_reason_that_was_signed() {
    let mut settled = Settled::new();
    let know = "--know practitioner:dr-001,organisation:ward-3";
    let logged = settled.log(know).await;
    let line = "practitioner dr-001 for organisation ward-3 broke the glass and read ecg of ";
    logged.expect(0, line);
    // The mark that turns a line around is written out.
    let why = "for emergency-treatment, under policy:0, reason: \"found on the \\u{202e}floor\"";
    logged.expect(0, why);
    logged.expect(0, "under permit:0, and the operator withholds its signed request");
    let entries = logged.report["entries"].as_array().unwrap();
    let at = |position: u64| entries.iter().find(|one| one["position"] == position).unwrap();
    let broken = at(EMERGENCY);
    assert_eq!((&broken["kind"], &broken["rule"]), (&"break-glass".into(), &"policy:0".into()));
    assert_eq!(broken["purpose"], "emergency-treatment");
    assert_eq!((&broken["covered"], &broken["reason"]), (&true.into(), &REASON.into()));
    assert_eq!(broken["digest"], hex::encode(request(REASON).digest().0));
    assert_eq!(at(12)["reason"], Value::Null);
    // The operator shows another reason than was signed.
    settled.world.anna().claims[1].request = request("planned operation").to_bytes();
    let (header, files) = settled.world.files();
    settled.write_batch(1, files);
    settled.save_headers(&[header]);
    let swapped = settled.log(know).await;
    let told = format!("expected with the claim at position {EMERGENCY} the signed request");
    swapped.expect(1, &told);
    assert!(!swapped.text.contains("planned operation"), "{}", swapped.text);
}

#[tokio::test]
async fn the_wallets_copy_is_compared_or_the_log_says_that_it_was_not() {
    let settled = Settled::new();
    settled.write_copy(|_| ());
    settled.log("").await.expect(0, "the wallet's copy is the settled record");
    // One more operation, which no batch has: a stop after the window.
    settled.write_copy(|record| {
        (record.nonce, record.closed_at) = (3, super::world::at(2000));
    });
    let logged = settled.log("").await;
    logged.expect(5, "NOT COMPARED: 1 operations of the wallet's copy");
    assert_eq!(logged.report["compared"]["copy_ahead_in"], json!(["time of the stop"]));
    // It counts more operations than are settled, and the rule is another than the settled one.
    settled.write_copy(|record| {
        record.nonce = 3;
        record.rules[usize::from(RuleSlot::Permit(0).number())] = None;
    });
    let logged = settled.log("").await;
    logged.expect(1, "THE WALLET'S COPY DIFFERS");
    assert_eq!(logged.report["compared"]["copy_differs_in"], json!(["permit:0"]));
    // Nothing is settled: there is nothing that the copy could be held against.
    settled.save_headers(&[]);
    let logged = settled.log("").await;
    logged.expect(5, "the wallet's copy was not compared");
    assert_eq!(logged.report["compared"]["copy"], "not-compared");
}

#[tokio::test]
async fn what_had_no_answer_is_forgotten_once_it_can_have_no_effect_any_more() {
    let settled = Settled::new();
    let pending = Pending::of_key(&settled.path("anna.key"));
    let keep = |nonce, valid_until| {
        let operation = Operation {
            patient: patient(ANNA),
            nonce,
            signed_at: super::world::at(500),
            valid_until,
            action: Action::Stop,
        };
        let domain = scope::sig_domain(deployment());
        pending.keep(&Signed::sign(operation, domain, &anna().signer())).unwrap();
    };
    // The batch ends at 1000, and its record has seen two operations.
    for (nonce, valid_until, found, said) in [
        (2, 1001, "waiting", "may still take effect, and is kept"),
        (2, 1000, "over", "is over and had no effect"),
        (1, 9000, "settled", "is in the log"),
    ] {
        keep(nonce, super::world::at(valid_until));
        // Without being asked to make the copy anew it only reads.
        settled.log("").await;
        assert!(pending.path().exists());
        let logged = settled.log("--rebuild").await;
        logged.expect(0, said);
        assert_eq!(pending.path().exists(), found == "waiting", "{found}");
    }
    assert!(pending.read().unwrap().is_none());
}

#[tokio::test]
async fn another_patient_than_that_of_the_copy_is_refused() {
    let settled = Settled::new();
    let wallet = Wallet::new(deployment(), patient(ANNA + 1));
    wallet.write(&Wallet::path(&settled.path("anna.key"))).unwrap();
    settled.log("").await.expect(2, "expected --patient to be that of the wallet's copy");
}

#[tokio::test]
async fn receipts_show_what_a_copy_has_more_than_the_batches() {
    let settled = Settled::new();
    let stop = settled.keep_later_stop();
    settled.write_copy(|record| (record.nonce, record.closed_at) = (3, stop));
    settled.keep_receipt(1, hashes()[0], at(3));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(0, "which changed time of the stop, and is else the settled record");
    assert_eq!(logged.report["compared"]["copy_receipted"], json!(true));
    // The copy says another time than the receipt.
    settled.write_copy(|record| {
        (record.nonce, record.closed_at) = (3, stop.plus(1));
    });
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(5, "1 operations of the wallet's copy, which changed time of the stop");
}

#[tokio::test]
async fn a_receipt_of_another_journal_than_the_settled_one_is_evidence() {
    let settled = Settled::new();
    let hashes = hashes();
    settled.keep_receipt(3, [9; 32], at(CLOSE + 1));
    settled.log("--receipts DIR/receipts").await.expect(5, "of any receipt, all being later");
    settled.keep_receipt(1, hashes[0], at(3));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(0, "1 are of the settled journal, 1 are later than the last batch");
    // The node signed another second group than it settled.
    settled.keep_receipt(2, [0xee; 32], at(17));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(1, "NOT THE SETTLED JOURNAL: after group 2");
    for hash in [[0xee; 32], hashes[1]] {
        logged.expect(1, &hex::encode(hash));
    }
    assert_eq!(logged.report["compared"]["journal"]["other"][0]["group"], 2);
    settled.keep_receipt(2, hashes[1], at(17));
    settled.keep_receipt(7, [0xee; 32], at(17));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(1, "no batch has that group, although its position is settled");
}

#[tokio::test]
async fn promised_operations_are_kept_absent_or_not_compared() {
    let settled = Settled::new();
    let hash = hashes()[0];
    let permit = settled.world.openings[0].operations[1].signed.clone();
    let permit = SignedOperation::new(permit).unwrap();
    settled.keep_receipt(1, hash, promise(12, permit.digest()));
    settled.log("--receipts DIR/receipts").await.expect(0, "1 operations stand in their batches");
    // Whose a digest is, nobody can say without the operation.
    settled.keep_receipt(1, hash, promise(12, Digest([9; 31])));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(5, "NOT COMPARED: 1 operations of receipts");
    // With it, the log knows that it is this patient's and absent.
    let mut other = settled.world.openings[0].operations[1].signed.clone();
    *other.last_mut().unwrap() ^= 1;
    let other = SignedOperation::new(other).unwrap();
    keep_operation(&settled.path("receipts"), &other).unwrap();
    settled.keep_receipt(1, hash, promise(12, other.digest()));
    let logged = settled.log("--receipts DIR/receipts").await;
    logged.expect(1, "ABSENT: operation");
    logged.expect(1, &hex::encode(other.digest().0));
}

#[tokio::test]
async fn released_frames_are_those_that_were_collected_or_the_log_says_which_are_not() {
    let settled = Settled::new();
    let log = async || settled.log("--frames DIR/ecg.frames").await;
    settled.keep_frames(frames());
    log().await.expect(0, "are those of its digest");
    // The last frame is withheld: of a part nobody can say anything.
    settled.keep_frames(frames()[..1].to_vec());
    let logged = log().await;
    logged.expect(5, "NOT COMPARED: 1 collections that were released in part");
    assert_eq!(logged.report["compared"]["frames"][0]["found"], "partial");
    settled.keep_frames(Vec::new());
    log().await.expect(5, "are none of it: not compared");
    let mut changed = frames();
    changed[0].bytes[3] ^= 1;
    settled.keep_frames(changed);
    log().await.expect(1, "ARE NOT those of its digest");
    // A later frame was released, so that the last one of the segment is withheld.
    let later = ReleasedFrame { position: Position(30), ..frames()[0].clone() };
    settled.keep_frames(vec![frames()[0].clone(), later.clone()]);
    log().await.expect(1, "ARE NOT those of its digest, or some are missing");
    settled.keep_frames([frames(), vec![later]].concat());
    log().await.expect(1, "the released frame at position 30 IS IN NO COLLECTION");
    // Of a batch that is not settled yet.
    let unsettled = ReleasedFrame { position: Position(CLOSE + 9), ..frames()[0].clone() };
    settled.keep_frames([frames(), vec![unsettled]].concat());
    log().await.expect(5, "NOT COMPARED: 1 released frames of batches that were not compared");
}

#[tokio::test]
async fn headers_that_begin_late_say_what_was_not_compared() {
    let settled = Settled::new();
    let (first, _) = settled.world.files();
    let (second, files) = settled.world.next().files();
    settled.write_batch(2, files);
    settled.write_copy(|_| ());
    settled.keep_frames(frames());
    settled.keep_receipt(1, hashes()[0], at(3));
    let all = "--frames DIR/ecg.frames --receipts DIR/receipts";
    settled.save_headers(&[first, second.clone()]);
    settled.log(all).await.expect(0, "6 entries in 2 batches");
    settled.save_headers(&[second]);
    let late = settled.log(all).await;
    late.expect(5, "0 entries in 1 batches");
    for what in ["the wallet's copy (", "the journal of 1 receipts", "2 released frames"] {
        late.expect(5, what);
    }
    assert_eq!(late.report["not_compared"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_folder_without_receipts_and_files_of_others_are_refused() {
    let settled = Settled::new();
    std::fs::create_dir(settled.path("empty")).unwrap();
    let empty = settled.log("--receipts DIR/empty").await;
    empty.expect(2, "expected receipts (GROUP.receipt)");
    settled.log("--receipts DIR/none").await.expect(2, "expected receipts in");
    // The folder of batches is none of receipts.
    settled.log("--receipts DIR/batches").await.expect(2, "found none");
    settled.log("--frames DIR/none.frames").await.expect(2, "none.frames");
    settled.log("--frames DIR/headers.json").await.expect(2, "chmod go-rwx");
    let closed = |name: &str| {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(settled.path(name), mode).unwrap();
    };
    closed("headers.json");
    settled.log("--frames DIR/headers.json").await.expect(2, "file of released frames");
}

#[tokio::test]
async fn a_copy_and_frames_that_others_may_open_are_refused_with_the_command() {
    let settled = Settled::new();
    settled.write_copy(|_| ());
    settled.keep_frames(frames());
    for name in ["anna.key.record", "ecg.frames"] {
        let path = settled.path(name);
        let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        set(0o644);
        let refused = settled.log("--frames DIR/ecg.frames").await;
        refused.expect(2, &format!("chmod go-rwx {}", path.display()));
        set(0o600);
    }
}
