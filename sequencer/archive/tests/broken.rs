//! A store that fails: nothing is believed to be there that is not, and it goes on once it answers.

use archive::{
    ArchiveError, Archiver, BatchEntry, Chain, Digest, Expected, NotFetched, ObjectName,
    PublicFile, verify,
};
use journal::fault::FaultMedium;
use journal::{FileName, Medium as _};

use crate::support::{
    BEGINNING, Failing, GENESIS, archiver, batches, fetcher, fill, journal, memory, path,
};

#[tokio::test]
async fn whichever_call_fails_the_next_try_archives_everything_once() {
    let calls = {
        let (store, _) = memory();
        let failing = Failing::new(store, 0..0);
        let (_, log) = journal();
        archiver(&failing.objects(), &log).await.push(batches(1..3)).await.expect("archived");
        failing.calls.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert!(calls > 20, "each object is put and read again: {calls}");
    for call in 1..=calls {
        let (store, objects) = memory();
        let failing = Failing::new(store, call..call + 1);
        let (_, log) = journal();
        let opened = Archiver::open(failing.objects(), log.reader(), BEGINNING).await;
        let Ok(mut archiver_of) = opened else { continue };
        // A call that only asked whether an object is whole is made good at once.
        let pushed = archiver_of.push(batches(1..3)).await;
        if let Err(error) = pushed {
            assert!(matches!(error, ArchiveError::Object(_)), "call {call}: {error}");
            assert!(!error.is_lasting());
            archiver_of.push(batches(1..3)).await.expect("the store answers again");
        }
        let verified = verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ())
            .await
            .expect("read");
        assert_eq!((verified.files, verified.wrong), (log.head().file - 1, 0), "call {call}");
        assert_eq!(verified.batches, 2, "call {call}");
    }
}

/// Its manifest is there, and names less than what waits by now: that is nobody else's.
#[tokio::test]
async fn a_manifest_whose_answer_was_lost_is_known_again_although_more_waits() {
    let (store, objects) = memory();
    let (_, mut log) = journal();
    let failing = Failing::new(store, 0..0);
    let mut archiver_of =
        Archiver::open(failing.objects(), log.reader(), BEGINNING).await.expect("opens");
    archiver_of.push(batches(1..2)).await.expect("archived");
    // The put goes through, and nobody can read whether it did: each file takes five calls.
    let calls = failing.calls.load(std::sync::atomic::Ordering::SeqCst);
    fill(&mut log, 60);
    let before = archiver_of.waiting().await.expect("listed").len() as u64;
    *failing.fails.lock().expect("whole") = calls + 5 * before + 2..u64::MAX;
    archiver_of.push(vec![]).await.expect_err("cut off behind the put");
    *failing.fails.lock().expect("whole") = 0..0;
    assert!(objects.length(ObjectName::Manifest(2)).await.expect("asked").is_some());
    fill(&mut log, 80);
    archiver_of.push(batches(2..3)).await.expect("goes on behind it");
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.files, verified.wrong), (log.head().file - 1, 0));
    assert_eq!((verified.manifests, verified.batches), (3, 2));
}

#[tokio::test]
async fn a_batch_object_that_is_damaged_before_its_manifest_is_put_again() {
    use object_store::{ObjectStoreExt as _, PutPayload};
    let (store, objects) = memory();
    let (_, log) = journal();
    let file = &batches(1..2)[0];
    let name = path(ObjectName::Batch(*blake3::hash(&file.bytes).as_bytes()));
    for damaged in [&b""[..], &[7; 50], &[1; 49]] {
        store.put(&name, PutPayload::from(damaged.to_vec())).await.expect("put");
        let mut archiver_of = archiver(&objects, &log).await;
        let next = archiver_of.chain().last_batch() + 1;
        let files = (next..next + 1).map(|batch| PublicFile { batch, ..file.clone() }).collect();
        archiver_of.push(files).await.expect("put again");
        let found = store.get(&name).await.expect("there").bytes().await.expect("read");
        assert_eq!(found.to_vec(), file.bytes);
    }
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_said_to_be_there() {
    let (store, objects) = memory();
    let (_, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    archiver_of.push(vec![]).await.expect("archived");
    let entry = archiver_of.archived(1).await.expect("read").expect("archived");
    let failing = Failing::new(store, 0..0);
    let of_failing =
        Archiver::open(failing.objects(), log.reader(), BEGINNING).await.expect("opens");
    *failing.fails.lock().expect("whole") = 0..u64::MAX;
    let error = of_failing.confirm(&entry).await.expect_err("nobody answers");
    assert!(matches!(error, ArchiveError::Object(_)), "{error}");
    verify(&failing.objects(), GENESIS.journal_hash, &Expected::default(), |_| ())
        .await
        .expect_err("nobody answers");
}

#[tokio::test]
async fn a_damaged_file_of_the_journal_is_not_archived() {
    let (_, whole) = journal();
    drop(whole);
    let (medium, log) = journal();
    drop(log);
    let mut files = medium.files();
    let second = files.get_mut(&FileName::Log(2)).expect("a file");
    second[400] ^= 1;
    let damaged = FaultMedium::holding(files).with_lengths(2_048, 2_048);
    let log = crate::support::open(&damaged);
    let (_, objects) = memory();
    let error = archiver(&objects, &log).await.push(vec![]).await.expect_err("damaged");
    assert!(matches!(error, ArchiveError::Journal(_)), "{error}");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.manifests, verified.files), (0, 0), "no manifest names it");
    assert!(damaged.len(FileName::Log(1)).is_ok(), "nothing is removed");
}

#[tokio::test]
async fn a_damaged_manifest_ends_the_row_with_its_number() {
    use object_store::{ObjectStoreExt as _, PutPayload};
    let (store, objects) = memory();
    let (_, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    archiver_of.push(batches(1..3)).await.expect("archived");
    archiver_of.push(batches(3..4)).await.expect("archived");
    let name = path(ObjectName::Manifest(1));
    let whole = store.get(&name).await.expect("there").bytes().await.expect("read");
    for at in [0, 9, 20, 50, 60, 90, 200, whole.len() - 1] {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        store.put(&name, PutPayload::from(changed)).await.expect("changed");
        let error = verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ())
            .await
            .expect_err("damaged");
        assert!(matches!(error, ArchiveError::Manifest { number: 1, .. }), "byte {at}: {error}");
    }
    let long = vec![0; 1 << 20];
    store.put(&name, PutPayload::from(long)).await.expect("changed");
    let error = verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ())
        .await
        .expect_err("too long");
    assert!(matches!(error, ArchiveError::Object(_)), "{error}");
}

#[tokio::test]
async fn a_store_that_sends_without_end_is_cut_off_where_it_should_have_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, objects) = memory();
    let (_, log) = journal();
    archiver(&objects, &log).await.push(batches(1..2)).await.expect("archived");
    let store = Failing::new(inner, 0..0);
    store.endless.store(true, std::sync::atomic::Ordering::SeqCst);
    let small = store.objects().small(ObjectName::Manifest(1), 10_000).await.expect_err("too much");
    let why = std::error::Error::source(&small).expect("a cause").to_string();
    assert!(why.contains("found more"), "{why}");
    let bytes = &batches(1..2)[0].bytes;
    let digest = Digest { bytes: bytes.len() as u64, blake3: *blake3::hash(bytes).as_bytes() };
    match fetcher(&store.objects(), folder.path(), 1 << 20).batch(digest) {
        Err(NotFetched::Failed(why)) => assert!(why.contains("found more"), "{why}"),
        other => panic!("expected too much, found {other:?}"),
    }
}

/// Whoever may write there writes a manifest that is whole, of objects longer than there can be.
#[tokio::test]
async fn what_a_manifest_says_is_summed_up_to_the_last_number_and_no_further() {
    let (_, objects) = memory();
    let mut chain = Chain::new(GENESIS.journal_hash);
    for batch in 1..3 {
        let entry = BatchEntry { batch, bytes: u64::MAX, digest: [batch as u8; 32] };
        let manifest = chain.next(vec![], vec![entry]).to_bytes();
        objects.put_new(ObjectName::Manifest(batch), manifest.clone()).await.expect("put");
        chain.take(&manifest).expect("whole");
    }
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.bytes, verified.wrong), (u64::MAX, 2));
}
