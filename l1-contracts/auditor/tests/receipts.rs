//! Receipts against the journal that was settled.

use auditor::{NamedReceipt, Options, ReceiptsError, ReceiptsOf, Report};
use files::Audience;
use model::{ChainScope, Digest, Position};
use statement::journal;
use wire::{
    Address, GroupIdentity, Holder, Items, Receipt, RefusalItem, Role, SigningKey, signer_address,
};

use crate::chain::{Live, broken, live, receipt_key};

/// The journal hash after each group of the story, by number from 1.
fn hashes(live: &Live) -> Vec<[u8; 32]> {
    let mut hash = journal::genesis(live.deployment.scope());
    let groups = live.built.iter().flat_map(|built| &built.file.groups);
    let after = groups.map(|group| {
        hash = journal::journal_hash(&hash, group);
        hash
    });
    after.collect()
}

/// A receipt of a group for something at a position, as a node gives it.
struct Given {
    group: u64,
    hash: [u8; 32],
    position: u64,
    key: SigningKey,
}

impl Given {
    fn of(live: &Live, group: u64, position: u64) -> Given {
        Given { group, hash: hashes(live)[group as usize - 1], position, key: receipt_key() }
    }

    fn named(&self, live: &Live) -> NamedReceipt {
        self.read(live).expect("a receipt of this deployment")
    }

    fn read(&self, live: &Live) -> Result<NamedReceipt, ReceiptsError> {
        let scope = live.deployment.scope();
        self.read_as(live, scope)
    }

    /// The same, naming any chain and contract.
    fn read_as(&self, live: &Live, scope: ChainScope) -> Result<NamedReceipt, ReceiptsError> {
        let group = GroupIdentity { scope, group: self.group, term: 0, journal_hash: self.hash };
        let item = RefusalItem { position: Position(self.position), digest: Digest([1; 31]) };
        let items = Items { refusals: vec![item], ..Items::default() };
        let holder = Holder::new(Role::Gateway, "gateway-001");
        let receipt = Receipt::new(group, holder, items).expect("a receipt");
        let signed = receipt.sign(&self.key);
        let path = live.folder().join(format!("{:020}.receipt", self.group));
        files::replace(&path, &[&signed.to_bytes()], Audience::Owner).expect("written");
        let signer = Address(live.deployment.receipt_signer.into_array());
        let of = ReceiptsOf { scope: live.deployment.scope(), signer };
        NamedReceipt::new("a.receipt".to_owned(), &signed, of)
    }
}

async fn audit(live: &Live, from: u64, given: &[Given]) -> Report {
    let receipts = Some(given.iter().map(|given| given.named(live)).collect());
    live.audit(&live.deployment, &Options { from: Some(from), receipts, ..Options::default() })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_the_settled_journal_hold_and_are_counted() {
    let live = live().await;
    let given = [
        Given::of(&live, 1, 2),
        Given::of(&live, 2, 8),
        // Behind the close of the third batch, in a group that the second one settled.
        Given::of(&live, 3, 14),
        // Nobody knows it yet.
        Given { group: 4, hash: [9; 32], position: 15, key: receipt_key() },
    ];
    let report = audit(&live, 1, &given).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    let counts = report.receipts;
    assert_eq!((counts.settled, counts.not_settled, counts.not_compared), (3, 1, 0));
    let report = audit(&live, 2, &given).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    let counts = report.receipts;
    assert_eq!((counts.settled, counts.not_settled, counts.not_compared), (1, 1, 2));
    // The third batch has no group of its own: what it settles stands in the second one's last.
    let report = audit(&live, 3, &[Given::of(&live, 3, 13)]).await;
    assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
    assert_eq!(report.receipts.not_compared, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_another_journal_than_the_settled_one_is_broken() {
    let live = live().await;
    let forked = Given { hash: [0xee; 32], ..Given::of(&live, 2, 6) };
    let report = audit(&live, 1, &[Given::of(&live, 1, 2), forked]).await;
    assert_eq!(broken(&report), "receipt a.receipt, settled journal hash");
    let found = report.broken.as_ref().expect("broken");
    // Both hashes are the evidence.
    assert!(found.expected.contains(&"ee".repeat(32)), "{found:?}");
    assert_eq!(found.found, format!("0x{}", hex::encode(hashes(&live)[1])));
    assert_eq!(found.batch, Some(1));

    let nowhere = Given { group: 7, hash: [0xee; 32], position: 6, key: receipt_key() };
    let report = audit(&live, 1, &[nowhere]).await;
    assert_eq!(report.broken.expect("broken").found, "no group of that number");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receipt_of_another_journal_hides_neither_the_next_nor_the_rest_of_the_audit() {
    let live = live().await;
    let forked = Given { hash: [0xee; 32], ..Given::of(&live, 2, 6) };
    let nowhere = Given { group: 7, hash: [0xdd; 32], position: 6, key: receipt_key() };
    let given = [forked, nowhere, Given::of(&live, 1, 2)];
    let receipts = Some(given.iter().map(|given| given.named(&live)).collect());
    let report = live.audit(&live.deployment, &Options { receipts, ..live.all_openings() }).await;
    assert_eq!(broken(&report), "receipt a.receipt, settled journal hash");
    let expected: Vec<_> = report.broken_receipts.iter().map(|one| one.expected.as_str()).collect();
    assert!(expected.len() == 2 && expected[1].contains(&"dd".repeat(32)), "{expected:?}");
    let sections: Vec<_> = report.sections.iter().map(|section| section.name).collect();
    for name in ["public files", "openings", "head"] {
        assert!(sections.contains(&name), "{sections:?}");
    }
    assert!(!sections.contains(&"receipts"));
    assert_eq!(report.receipts.settled, 1);
    let text = report.text(auditor::Colour::Plain);
    assert_eq!(text.matches("receipts      broken: ").count(), 2, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_or_is_of_another_deployment_is_no_evidence() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    let refused = async || {
        let done = live.program("verify", &["--receipts", &folder]).await;
        assert_eq!(done.status.code(), Some(2), "{}", String::from_utf8_lossy(&done.stdout));
        String::from_utf8(done.stderr).expect("text")
    };
    let key = SigningKey::from_slice(&[6; 32]).expect("a key");
    let stranger = format!("{:?}", signer_address(&key));
    let found = Given { key, ..Given::of(&live, 1, 2) }.read(&live);
    assert!(matches!(found, Err(ReceiptsError::Unsigned { .. })), "{found:?}");
    let said = refused().await;
    assert!(said.contains("00000000000000000001.receipt") && said.contains(&stranger), "{said}");

    let scope = ChainScope { chain_id: 5, contract: [1; 20] };
    let found = Given::of(&live, 1, 2).read_as(&live, scope);
    assert!(matches!(found, Err(ReceiptsError::OtherDeployment { .. })), "{found:?}");
    let said = refused().await;
    assert!(said.contains("00000000000000000001.receipt"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_compares_a_folder_of_receipts() {
    let live = live().await;
    let folder = live.folder().display().to_string();
    // All later than the last batch: nothing was compared.
    Given { group: 4, hash: [9; 32], position: 15, key: receipt_key() }.named(&live);
    let done = live.program("verify", &["--receipts", &folder]).await;
    assert_eq!(done.status.code(), Some(5), "{}", String::from_utf8_lossy(&done.stdout));
    Given::of(&live, 1, 2).named(&live);
    let done = live.program("verify", &["--json", "--receipts", &folder]).await;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(report["receipts"]["settled"], 1);

    Given { hash: [0xee; 32], ..Given::of(&live, 2, 6) }.named(&live);
    let done = live.program("verify", &["--receipts", &folder]).await;
    assert_eq!(done.status.code(), Some(1));
    let other = live.folder().join("x.receipt");
    files::create(&other, b"none", Audience::Owner).expect("written");
    let done = live.program("verify", &["--receipts", &folder]).await;
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("expected a receipt in x.receipt"));
}
