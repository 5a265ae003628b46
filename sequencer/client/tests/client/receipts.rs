//! `vitals receipt check`: a receipt against the journal that was settled.

use std::path::Path;
use std::process::Output;

use model::{BatchHeader, Digest, Position};
use serde_json::{Value, json};
use statement::{journal, scope};
use tokio::process::Command;
use wire::{GroupIdentity, Holder, Items, Receipt, RefusalItem, Role};

use crate::node::{Behaviour, Node, facts, signing_key};
use crate::small;

/// A batch of two groups in `DIR/batches`, its header in `DIR/headers.json`, and an identity.
struct Settled {
    folder: tempfile::TempDir,
    /// Hashes after the two groups.
    hashes: Vec<[u8; 32]>,
}

impl Settled {
    fn new() -> Settled {
        let folder = tempfile::tempdir().unwrap();
        // The node is there for its authority only: it issues the identity.
        let node = Node::start(Behaviour::default());
        node.write_identity(&folder.path().join("wallet"), "wallet", "wallet-1");
        let groups = vec![small::group(1, [1, 10], 1), small::group(2, [11, 20], 2)];
        let hashes = small::hashes(journal::genesis(facts().scope), &groups);
        let header = BatchHeader {
            journal_position: Position(20),
            journal_hash: hashes[1],
            ..small::header(1)
        };
        let saved = json!({
            "schema": "vitals-headers-1",
            "headers": [{
                "hash": hex::encode(scope::header_hash(&header)),
                "words": hex::encode(header.to_bytes()),
            }],
        });
        std::fs::write(folder.path().join("headers.json"), saved.to_string()).unwrap();
        let file = small::public_file(header, groups);
        let batch = folder.path().join("batches/000001");
        std::fs::create_dir_all(&batch).unwrap();
        std::fs::write(batch.join("public.bin"), file.to_bytes()).unwrap();
        Settled { folder, hashes }
    }

    /// Writes a receipt of a group with this hash, for something at a position.
    fn write_receipt(&self, group: u64, journal_hash: [u8; 32], position: u64) {
        let group = GroupIdentity { scope: facts().scope, group, term: 0, journal_hash };
        let item = RefusalItem { position: Position(position), digest: Digest([1; 31]) };
        let items = Items { refusals: vec![item], ..Items::default() };
        let receipt = Receipt::new(group, Holder::new(Role::Wallet, "wallet-1"), items).unwrap();
        let signed = receipt.sign(&signing_key());
        let path = self.folder.path().join("a.receipt");
        files::replace(&path, &[&signed.to_bytes()], files::Audience::Owner).unwrap();
    }

    async fn check(&self, more: &str) -> (Option<i32>, Value, String) {
        let path = self.folder.path().to_str().unwrap();
        let line = format!("receipt check DIR/a.receipt --identity DIR/wallet {more}");
        let line = line.replace("DIR", path);
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let run = async |json: &[&str]| -> Output {
            let mut vitals = Command::new(env!("CARGO_BIN_EXE_vitals"));
            vitals.args(&words).args(json).output().await.expect("vitals runs")
        };
        let (shown, object) = (run(&[]).await, run(&["--json"]).await);
        assert_eq!(shown.status.code(), object.status.code());
        let code = shown.status.code();
        let text = [shown.stdout, shown.stderr].concat();
        let object = serde_json::from_slice(&object.stdout).unwrap_or_default();
        (code, object, String::from_utf8(text).unwrap())
    }

    fn batch_file(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("batches/000001/public.bin")
    }
}

const DATA: &str = "--headers DIR/headers.json --data DIR/batches";

#[tokio::test]
async fn a_receipt_of_the_settled_journal_holds_and_names_its_batch() {
    let settled = Settled::new();
    for (group, position) in [(1, 3), (2, 20)] {
        settled.write_receipt(group, settled.hashes[group as usize - 1], position);
        let (code, report, text) = settled.check(DATA).await;
        assert_eq!(code, Some(0), "{text}");
        assert_eq!((&report["compared"], &report["batch"]), (&"settled".into(), &1.into()));
        assert!(text.contains(&facts().fingerprint().to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_receipt_of_a_forked_journal_fails_with_both_hashes_as_evidence() {
    let settled = Settled::new();
    settled.write_receipt(2, [0xee; 32], 15);
    let (code, report, text) = settled.check(DATA).await;
    assert_eq!((code, &report["holds"]), (Some(1), &false.into()), "{text}");
    for hash in [[0xee; 32], settled.hashes[1]] {
        assert!(text.contains(&hex::encode(hash)), "{text}");
    }
    assert_eq!(report["compared"], "other-journal");
    settled.write_receipt(7, [0xee; 32], 15);
    let (code, report, text) = settled.check(DATA).await;
    assert_eq!((code, &report["compared"]), (Some(1), &"missing".into()), "{text}");
}

#[tokio::test]
async fn what_is_not_compared_says_so_with_a_code_of_its_own() {
    let settled = Settled::new();
    settled.write_receipt(2, [0xee; 32], 15);
    // The forked receipt again: a signature and a position say nothing of the journal.
    for more in ["", "--headers DIR/headers.json"] {
        let (code, report, text) = settled.check(more).await;
        assert_eq!((code, &report["compared"]), (Some(5), &"no".into()), "{text}");
        assert!(text.contains("NOT COMPARED"), "{text}");
    }
    settled.write_receipt(9, [0xee; 32], 21);
    for more in ["--headers DIR/headers.json", DATA] {
        let (code, report, _) = settled.check(more).await;
        assert_eq!((code, &report["compared"]), (Some(5), &"not-settled".into()));
    }
    // Neither is a file that is not there, or not the header's.
    settled.write_receipt(2, settled.hashes[1], 15);
    let mut bytes = std::fs::read(settled.batch_file()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(settled.batch_file(), bytes).unwrap();
    let (code, _, text) = settled.check(DATA).await;
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("journal groups of batch 1"), "{text}");
    std::fs::remove_file(settled.batch_file()).unwrap();
    assert_eq!(settled.check(DATA).await.0, Some(3));
}

#[tokio::test]
async fn another_deployment_than_was_told_and_a_damaged_file_are_refused() {
    let settled = Settled::new();
    settled.write_receipt(1, settled.hashes[0], 3);
    let own = facts().fingerprint().to_string();
    assert_eq!(settled.check(&format!("{DATA} --fingerprint {own}")).await.0, Some(0));
    let other = format!("{}{}", if own.starts_with('0') { '1' } else { '0' }, &own[1..]);
    let (code, _, text) = settled.check(&format!("{DATA} --fingerprint {other}")).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&own) && text.contains(&other), "{text}");

    let path = settled.folder.path().join("wallet/deployment.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (code, _, text) = settled.check(DATA).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("deployment.json is damaged"), "{text}");
}
