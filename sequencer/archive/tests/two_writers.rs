//! One place is one node's: whoever else writes there finds out, and so does the node.

use archive::{ArchiveError, Archiver, Beginning, Expected, ObjectName, Objects, Put, verify};
use journal::Genesis;
use journal::fault::salts;

use crate::support::{
    BEGINNING, GENESIS, archiver, batches, fill, journal, memory, open, path, small,
};

#[tokio::test]
async fn of_two_archivers_one_writes_each_manifest_and_the_other_is_told() {
    let (_, objects) = memory();
    let (_, log) = journal();
    let mut one = archiver(&objects, &log).await;
    let mut other = archiver(&objects, &log).await;
    one.push(batches(1..3)).await.expect("archived");
    // The same to the byte is its own earlier try, whose answer was lost.
    let mut again = other;
    again.push(batches(1..3)).await.expect("the same manifest");
    one.push(batches(3..4)).await.expect("archived");
    let error = again.push(batches(3..5)).await.expect_err("somebody else wrote it");
    assert!(matches!(error, ArchiveError::OtherWriter { number: 2 }), "{error}");
    assert!(error.is_lasting());
    // Whoever reads again goes on behind it.
    other = archiver(&objects, &log).await;
    other.push(batches(4..5)).await.expect("archived");
}

#[tokio::test]
async fn a_name_is_given_once() {
    let (_, objects) = memory();
    let name = ObjectName::Manifest(7);
    assert_eq!(objects.put_new(name, vec![1]).await.expect("put"), Put::New);
    assert_eq!(objects.put_new(name, vec![2]).await.expect("refused"), Put::Taken);
    assert_eq!(objects.small(name, 1).await.expect("read"), Some(vec![1]));
    objects.small(name, 0).await.expect_err("longer than asked for");
    assert_eq!(objects.small(ObjectName::Manifest(8), 1).await.expect("read"), None);
}

#[tokio::test]
async fn the_archive_of_another_deployment_or_another_history_is_refused() {
    let (_, objects) = memory();
    let (_, log) = journal();
    archiver(&objects, &log).await.push(vec![]).await.expect("archived");
    let opened =
        Archiver::open(objects.clone(), log.reader(), Beginning { genesis: [9; 32], known: None })
            .await;
    let error = opened.expect_err("another deployment");
    assert!(matches!(error, ArchiveError::OtherDeployment), "{error}");

    // Restored from a backup: shorter than the archive, and later on another way.
    let medium = small();
    let mut restored = open(&medium);
    fill(&mut restored, 12);
    let opened = Archiver::open(objects.clone(), restored.reader(), BEGINNING).await;
    let error = opened.expect_err("shorter");
    assert!(matches!(error, ArchiveError::OtherHistory { .. }), "{error}");
    let another = journal::Log::open(small(), Genesis { log_id: [3; 16], ..GENESIS }, salts());
    let (mut another, _) = another.expect("open");
    for position in 1..=60 {
        let entry = journal::Entry { time: 3_976_214_400_000, ..crate::support::entry(position) };
        another.append(&[entry]).expect("append");
    }
    let opened = Archiver::open(objects, another.reader(), BEGINNING).await;
    let error = opened.expect_err("another way");
    assert!(matches!(error, ArchiveError::OtherHistory { file: 1 }), "{error}");
    assert!(error.is_lasting());
}

#[tokio::test]
async fn a_journal_whose_first_files_are_elsewhere_says_so() {
    let (_, first) = memory();
    let (medium, log) = journal();
    crate::support::put_away(&mut archiver(&first, &log).await, &log).await;
    let (_, second) = memory();
    let error = archiver(&second, &log).await.waiting().await.expect_err("the first is away");
    assert!(matches!(error, ArchiveError::NotHere { file: 1 }), "{error}");
    assert!(!medium.files().is_empty());
}

#[tokio::test]
async fn a_place_that_lacks_what_was_archived_is_another_place() {
    let (_, objects) = memory();
    let (_, mut log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    archiver_of.push(batches(1..2)).await.expect("archived");
    let known = archiver_of.chain().last();
    archiver_of.push(batches(2..3)).await.expect("archived");
    let last = archiver_of.chain().last();
    let opened = async |objects: &Objects, known| {
        let beginning = Beginning { known, ..BEGINNING };
        Archiver::open(objects.clone(), log.reader(), beginning).await.map(drop)
    };
    opened(&objects, known).await.expect("it goes on behind it");
    opened(&objects, last).await.expect("it ends there");
    // Emptied, or not mounted.
    let (_, empty) = memory();
    let error = opened(&empty, last).await.expect_err("nothing is there");
    assert!(matches!(error, ArchiveError::Lost { known: 2, found: 0 }), "{error}");
    assert!(error.is_lasting());
    let expected = Expected { known: last, files: vec![] };
    let verified = verify(&empty, GENESIS.journal_hash, &expected, |_| ()).await;
    assert!(matches!(verified, Err(ArchiveError::Lost { .. })));
    // Another one of the same length.
    let mut other = archiver(&empty, &log).await;
    other.push(batches(1..3)).await.expect("archived");
    let error = opened(&empty, known).await.expect_err("another manifest");
    assert!(matches!(error, ArchiveError::OtherWriter { number: 1 }), "{error}");
    fill(&mut log, 60);
}

#[tokio::test]
async fn a_manifest_that_is_missing_is_no_end() {
    use object_store::ObjectStoreExt as _;
    let (store, objects) = memory();
    let (_, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    for batch in 1..=3 {
        archiver_of.push(batches(batch..batch + 1)).await.expect("archived");
    }
    store.delete(&path(ObjectName::Manifest(2))).await.expect("removed");
    let verified = verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await;
    let error = verified.expect_err("the third is there");
    assert!(error.to_string().contains("manifests/00000002"), "{error}");
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn files_that_a_node_has_nowhere_else_are_verified_whatever_manifests_name() {
    let (_, objects) = memory();
    let (_, log) = journal();
    crate::support::put_away(&mut archiver(&objects, &log).await, &log).await;
    let files = log.reader().archived_files().expect("stubs");
    let expected = Expected { known: None, files };
    let verified = verify(&objects, GENESIS.journal_hash, &expected, |_| ()).await.expect("read");
    assert_eq!(verified.wrong, 0);
    let (_, empty) = memory();
    let verified = verify(&empty, GENESIS.journal_hash, &expected, |_| ()).await.expect("read");
    assert_eq!(verified.wrong as usize, expected.files.len());
}
