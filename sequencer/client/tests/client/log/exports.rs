//! The files that `vitals log` writes: what stands in them is in the batches, and of a log that
//! does not hold there is none.

use accounting::{Export, ExportKind, Settled as Chain};
use serde_json::json;
use statement::scope;

use super::command::Settled;
use super::world::deployment;

const FILES: [&str; 3] = ["disclosures", "accesses", "events"];
const ALL: &str =
    "--accounting DIR/disclosures --ehds DIR/accesses --audit-events DIR/events --all-purposes";

fn read(settled: &Settled, name: &str) -> Export {
    let bytes = std::fs::read(settled.path(name)).expect("a file");
    Export::read(&bytes).expect("an export")
}

#[tokio::test]
async fn every_line_of_the_files_is_in_the_batch_that_it_names() {
    let settled = Settled::new();
    for format in ["csv", "json", "html"] {
        let logged = settled.log(&format!("{ALL} --format {format}")).await;
        logged.expect(0, "2 lines of 2 settled claims are written to");
        logged.expect(0, "3 lines of 3 settled claims are written to");
        let counts: Vec<_> = logged.report["written"]
            .as_array()
            .expect("what is written")
            .iter()
            .map(|one| (one["kind"].clone(), one["claims"].clone()))
            .collect();
        let expected = [("disclosures", 2), ("access-log", 2), ("audit-events", 3)];
        assert_eq!(counts, expected.map(|(kind, claims)| (kind.into(), claims.into())));
        for name in FILES {
            for entry in read(&settled, name).document.entries() {
                let (chunk, leaf) = entry.place();
                let leaves = &settled.world.public.claims[chunk as usize].leaves;
                let committed = Some(leaves[leaf as usize]);
                let found =
                    entry.check(&Chain { scope: deployment(), committed, transaction: None });
                assert_eq!(found, Ok(()));
            }
        }
    }
}

#[tokio::test]
async fn an_accounting_is_of_what_the_law_asks_for_unless_all_is_wanted() {
    let settled = Settled::new();
    let logged =
        settled.log("--accounting DIR/disclosures --suspended-until 2027-01-01T00:00Z").await;
    // Both accesses were for treatment, and a rule covers them.
    logged.expect(0, "0 lines of 0 settled claims are written to");
    let about = *read(&settled, "disclosures").document.about();
    assert_eq!((about.kind, about.suspended_until.is_some()), (ExportKind::Disclosures, true));
}

#[tokio::test]
async fn names_come_from_what_was_signed_or_from_the_wallet() {
    let settled = Settled::new();
    settled.log("--ehds DIR/accesses --know practitioner:dr-001").await.expect(0, "2 lines");
    let export = read(&settled, "accesses");
    let names = export.document.entries().iter().map(|one| (one.individual(), one.organisation()));
    // The first one's request is withheld: its organisation is nobody that the wallet knows.
    let expected = [(Some("dr-001"), None), (Some("dr-001"), Some("ward-3"))];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_transaction_is_the_one_that_the_auditor_found() {
    let settled = Settled::new();
    let (header, _) = settled.world.files();
    let transaction = format!("0x{}", "ab".repeat(32));
    let saved = json!({
        "hash": hex::encode(scope::header_hash(&header)),
        "words": hex::encode(header.to_bytes()),
        "verified": { "transaction": transaction, "block": 1 },
    });
    let file = json!({ "schema": "vitals-headers-1", "headers": [saved] }).to_string();
    std::fs::write(settled.path("headers.json"), file).expect("written");
    settled.log("--ehds DIR/accesses").await.expect(0, "2 lines");
    let text = std::fs::read_to_string(settled.path("accesses")).expect("text");
    assert_eq!(text.matches(&transaction).count(), 2, "{text}");
}

#[tokio::test]
async fn of_a_log_that_does_not_hold_no_file_is_written() {
    let settled = Settled::new();
    std::fs::write(settled.path("batches/000001/private.bin"), b"another").expect("written");
    let logged = settled.log(ALL).await;
    logged.expect(1, "no file is written: the log does not hold");
    assert_eq!(logged.report["written"], json!([]));
    for name in FILES {
        assert!(!settled.path(name).exists(), "{name}");
    }
}
