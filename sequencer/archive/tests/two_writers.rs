//! One place is one node's: whoever else writes there finds out, and so does the node.

use archive::{ArchiveError, Archiver, ObjectName, Put};
use journal::Genesis;
use journal::fault::salts;

use crate::support::{GENESIS, archiver, batches, fill, journal, memory, open, small};

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
    let opened = Archiver::open(objects.clone(), log.reader(), [9; 32]).await;
    let error = opened.expect_err("another deployment");
    assert!(matches!(error, ArchiveError::OtherDeployment), "{error}");

    // Restored from a backup: shorter than the archive, and later on another way.
    let medium = small();
    let mut restored = open(&medium);
    fill(&mut restored, 12);
    let genesis = GENESIS.journal_hash;
    let opened = Archiver::open(objects.clone(), restored.reader(), genesis).await;
    let error = opened.expect_err("shorter");
    assert!(matches!(error, ArchiveError::OtherHistory { .. }), "{error}");
    let another = journal::Log::open(small(), Genesis { log_id: [3; 16], ..GENESIS }, salts());
    let (mut another, _) = another.expect("open");
    for position in 1..=60 {
        let entry = journal::Entry { time: 3_976_214_400_000, ..crate::support::entry(position) };
        another.append(&[entry]).expect("append");
    }
    let opened = Archiver::open(objects, another.reader(), genesis).await;
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
    let error = archiver(&second, &log).await.waiting().expect_err("the first is away");
    assert!(matches!(error, ArchiveError::NotHere { file: 1 }), "{error}");
    assert!(!medium.files().is_empty());
}
