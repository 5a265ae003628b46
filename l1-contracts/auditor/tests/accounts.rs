//! Files that a patient hands on, against the chain: every line is found again, or named.

use accounting::{About, Document, Entry, EntryError, Export, ExportKind, Format, Known, Purposes};
use auditor::check::{ExportedBatch, exported};
use files::Audience;
use model::{BatchNumber, ChainScope, Millis, PatientIndex};
use serde_json::Value;
use statement::batch::ClaimOpening;

use crate::chain::{Live, live};
use crate::world::{Built, PATIENT, World, a_scope, word};

const TRANSACTION: [u8; 32] = [7; 32];

fn entry(batch: u64, opening: ClaimOpening) -> Entry {
    Entry::new(BatchNumber(batch), None, opening, Known::default()).expect("an entry")
}

/// Every claim of every batch.
fn entries(built: &[Built]) -> Vec<Entry> {
    let batches = (1..).zip(built);
    let openings = batches.flat_map(|(batch, built)| {
        built.openings.iter().flat_map(move |one| one.claims.iter().map(move |c| (batch, c)))
    });
    openings.map(|(batch, claim)| entry(batch, claim.clone())).collect()
}

fn export(scope: ChainScope, format: Format, entries: Vec<Entry>) -> Export {
    let about = About {
        kind: ExportKind::AccessLog,
        scope,
        patient: PatientIndex::new(PATIENT).expect("24 bits"),
        from: Millis::UNBOUNDED_PAST,
        until: Millis::UNBOUNDED_FUTURE,
        purposes: Purposes::Required,
        suspended_until: None,
    };
    Export { document: Document::new(about, entries).expect("few"), format }
}

#[test]
fn a_claim_is_found_in_its_leaf_of_the_public_file_and_in_no_other() {
    let world = World::sound();
    let built = &world.built[0];
    let of = ExportedBatch { scope: a_scope(), transaction: TRANSACTION, file: &built.file };
    let claims = &built.openings[0].claims;
    for claim in claims {
        assert_eq!(exported(of, &entry(1, claim.clone())), Ok(()));
    }
    let changed = |change: fn(&mut ClaimOpening)| {
        let mut claim = claims[0].clone();
        change(&mut claim);
        exported(of, &entry(1, claim))
    };
    let changes: [fn(&mut ClaimOpening); 5] = [
        |claim| claim.salt = word(1),
        |claim| claim.covered = !claim.covered,
        |claim| claim.leaf += 1,
        |claim| claim.chunk = 99,
        |claim| claim.claim.position.0 += 1,
    ];
    for change in changes {
        assert!(matches!(changed(change), Err(EntryError::Leaf { .. })));
    }
    let opening = claims[0].clone();
    let elsewhere = Entry::new(BatchNumber(1), Some([8; 32]), opening, Known::default());
    let found = exported(of, &elsewhere.expect("an entry"));
    assert_eq!(found, Err(EntryError::Transaction { batch: BatchNumber(1) }));
}

async fn check(live: &Live, name: &str, text: &str) -> (Option<i32>, Value) {
    let path = live.folder().join(name);
    files::replace(&path, &[text.as_bytes()], Audience::Owner).expect("written");
    let path = path.display().to_string();
    let done = live.program("accounting", &[&path, "--json"]).await;
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_finds_every_line_of_a_file_again_or_names_it() {
    let live = live().await;
    let (scope, all) = (live.deployment.scope(), entries(&live.built));
    for format in [Format::Csv, Format::Json, Format::Html] {
        let export = export(scope, format, all.clone());
        let count = export.document.entries().len();
        assert!(count > 0, "an access in the story");
        let (code, found) = check(&live, "log", &export.to_text()).await;
        assert_eq!((code, &found["files"][0]["found"]), (Some(0), &count.into()), "{found}");
    }

    let text = export(scope, Format::Csv, all.clone()).to_text();
    let changed = text.replacen("line,1,", "line,9,", 1);
    let (code, found) = check(&live, "log", &changed).await;
    assert_eq!((code, &found["holds"]), (Some(1), &false.into()));
    assert!(found["files"][0]["changed"].as_str().is_some_and(|why| why.ends_with("lines 2")));

    let built = live.built[0].openings[0].claims.iter();
    let mut claim = built.clone().find(|one| !one.request.is_empty()).expect("one").clone();
    claim.salt = word(1);
    let made_up = vec![entry(1, claim.clone()), entry(1000, claim)];
    let made_up = export(scope, Format::Json, made_up).to_text();
    let (code, found) = check(&live, "log", &made_up).await;
    let not_found = &found["files"][0]["not_found"];
    assert_eq!((code, not_found.as_array().map(Vec::len)), (Some(1), Some(2)), "{found}");
    assert_eq!(not_found[1]["why"], "batch 1000 is not settled");

    let other = ChainScope { chain_id: 1, ..scope };
    let (code, _) = check(&live, "log", &export(other, Format::Csv, all).to_text()).await;
    assert_eq!(code, Some(2));
    assert_eq!(check(&live, "log", "no export").await.0, Some(2));
}
