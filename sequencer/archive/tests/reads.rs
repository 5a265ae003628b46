//! What was archived is found again, by whoever reads the journal.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use archive::{
    Access, CacheLimits, Digest, Expected, Fetcher, NotFetched, ObjectName, Place, Room, verify,
};
use journal::{FetchError, ReadError};
use object_store::{ObjectStoreExt as _, PutPayload};

use crate::support::{
    Failing, GENESIS, archiver, batches, entry, fetcher, fill, journal, memory, open, path,
    put_away, reopened,
};

#[tokio::test]
async fn files_are_archived_put_away_and_read_again_from_a_cache_smaller_than_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let place: Place = format!("file://{}/archive", folder.path().display()).parse().expect("one");
    let objects = place.open(&Access::default()).expect("opens");
    let (medium, mut log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    assert_eq!(archiver_of.waiting().await.expect("listed").len() as u64, log.head().file - 1);
    put_away(&mut archiver_of, &log).await;
    assert_eq!(archiver_of.push(vec![]).await.expect("nothing waits"), None);
    let files = log.head().file;
    // It goes on while the first files are away.
    fill(&mut log, 60);
    drop(log);
    let kept = folder.path().join("archived");
    let fetcher = fetcher(&objects, &kept, 2 * 2_048);
    let mut log = reopened(&medium, &fetcher);
    for position in (1..=60).chain([3, 20, 1]) {
        assert_eq!(log.read(position).expect("found"), entry(position), "{position}");
    }
    let (fetched, failed) = fetcher.counts();
    assert!(fetched >= files - 3 && failed == 0, "{fetched} fetched, {failed} failed");
    assert!(fetcher.kept_bytes() <= 2 * 2_048);
    assert_eq!(std::fs::read_dir(&kept).expect("a folder").count(), 0, "nothing has a name there");
    // And the archive goes on where it was.
    fill(&mut log, 80);
    let mut archiver_of = archiver(&objects, &log).await;
    put_away(&mut archiver_of, &log).await;
    let mut manifests = 0;
    let verified = verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| manifests += 1)
        .await
        .expect("read");
    assert_eq!((verified.files, verified.wrong), (log.head().file - 1, 0));
    assert_eq!(manifests, verified.manifests);
}

#[tokio::test]
async fn public_batch_files_are_archived_in_order_and_confirmed() {
    let (_, objects) = memory();
    let (_, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    let pushed = archiver_of.push(batches(1..4)).await.expect("archived").expect("some");
    assert_eq!((pushed.batches, pushed.files), (3, log.head().file - 1));
    let pushed = archiver_of.push(batches(4..5)).await.expect("archived").expect("one");
    assert_eq!((pushed.batches, pushed.files), (1, 0));
    assert_eq!(archiver_of.chain().last_batch(), 4);
    archiver_of.push(batches(6..7)).await.expect_err("the fifth is missing");
    let mut archiver_of = archiver(&objects, &log).await;
    assert_eq!(archiver_of.chain().last_batch(), 4);
    archiver_of.push(batches(5..6)).await.expect("archived");
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.batches, verified.wrong, verified.manifests), (5, 0, 3));
}

#[tokio::test]
async fn an_object_that_is_gone_or_changed_is_named_and_costs_no_other_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, objects) = memory();
    let (medium, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    put_away(&mut archiver_of, &log).await;
    let first = log.reader().sealed_file(1).expect("a stub");
    let mut names = Vec::new();
    verify(&objects, GENESIS.journal_hash, &Expected::default(), |manifest| {
        names.extend(manifest.files.iter().map(|file| ObjectName::Log(file.digest)));
    })
    .await
    .expect("read");
    drop(log);
    let whole = store.get(&path(names[0])).await.expect("there").bytes().await.expect("read");
    let mut changed = whole.to_vec();
    changed[1_000] ^= 1;
    let read = |bytes_max| {
        let log = reopened(&medium, &fetcher(&objects, folder.path(), bytes_max));
        let behind = log.read(first.last_position + 1).expect("another file");
        assert_eq!(behind, entry(first.last_position + 1));
        match log.read(1) {
            Err(ReadError::Archived(error)) => *error,
            other => panic!("expected the object to be named, found {other:?}"),
        }
    };
    store.put(&path(names[0]), PutPayload::from(changed)).await.expect("changed");
    let error = read(1 << 20);
    assert!(matches!(error, FetchError::Damaged { file: 1, .. }), "{error}");
    assert!(error.to_string().contains(&names[0].to_string()), "{error}");
    store.put(&path(names[0]), PutPayload::from(whole.slice(..2_000))).await.expect("cut");
    let error = read(1 << 20);
    assert!(matches!(error, FetchError::Damaged { .. }), "{error}");
    store.delete(&path(names[0])).await.expect("removed");
    let error = read(1 << 20);
    assert!(matches!(error, FetchError::Missing { file: 1, .. }), "{error}");
    let verified =
        verify(&objects, GENESIS.journal_hash, &Expected::default(), |_| ()).await.expect("read");
    assert_eq!((verified.wrong, verified.findings[0].object), (1, names[0]));
    // Put back, it is served again.
    store.put(&path(names[0]), PutPayload::from(whole)).await.expect("put back");
    let log = reopened(&medium, &fetcher(&objects, folder.path(), 1 << 20));
    assert_eq!(log.read(1).expect("served"), entry(1));
}

#[tokio::test]
async fn a_file_without_room_is_not_fetched_and_the_reason_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, objects) = memory();
    let (medium, log) = journal();
    put_away(&mut archiver(&objects, &log).await, &log).await;
    drop(log);
    let why = |log: &journal::Log<_>| match log.read(1) {
        Err(ReadError::Archived(error)) => {
            let source = std::error::Error::source(&*error).map(ToString::to_string);
            source.unwrap_or_default()
        }
        other => panic!("expected no room, found {other:?}"),
    };
    let log = reopened(&medium, &fetcher(&objects, folder.path(), 2_047));
    assert!(why(&log).contains("cache_bytes"), "{}", why(&log));
    drop(log);
    let (limits, full) = (CacheLimits { bytes_max: 1 << 20 }, Room::new(|_| false));
    let full = Fetcher::start(objects.clone(), folder.path(), limits, full).expect("started");
    let log = reopened(&medium, &full);
    assert!(why(&log).contains("reserve_bytes"), "{}", why(&log));
    log.read(log.head().position).expect("what is here is read");
}

#[tokio::test]
async fn many_readers_of_one_file_fetch_it_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, objects) = memory();
    let (medium, log) = journal();
    put_away(&mut archiver(&objects, &log).await, &log).await;
    drop(log);
    let fetcher = fetcher(&objects, folder.path(), 1 << 20);
    let log = reopened(&medium, &fetcher);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            let reader = log.reader();
            scope.spawn(move || assert_eq!(reader.read(1).expect("served"), entry(1)));
        }
    });
    assert_eq!(fetcher.counts(), (1, 0));
}

/// The object of the first file.
fn first_object(log: &journal::Log<journal::fault::FaultMedium>) -> object_store::path::Path {
    let first = log.reader().archived_files().expect("stubs")[0];
    path(ObjectName::Log(first.digest))
}

#[tokio::test]
async fn readers_that_wait_no_longer_leave_the_file_and_their_places_to_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, objects) = memory();
    let (medium, log) = journal();
    put_away(&mut archiver(&objects, &log).await, &log).await;
    let store = Failing::new(inner, 0..0);
    store.held.send_replace(Some(first_object(&log)));
    drop(log);
    let patient = fetcher(&store.objects(), folder.path(), 1 << 20);
    let hasty = patient.clone().waiting(Duration::from_millis(1));
    let log = reopened(&medium, &hasty);
    // More of them, one after the other, than may wait at once.
    for _ in 0..70 {
        match log.read(1) {
            Err(ReadError::Archived(error)) => {
                let source = std::error::Error::source(&*error).map(ToString::to_string);
                let said = source.unwrap_or_default();
                assert!(said.contains("longer than a read may wait"), "{error}: {said}");
            }
            other => panic!("expected a read that gives up, found {other:?}"),
        }
    }
    assert_eq!(patient.counts(), (0, 0), "it is still being fetched, once");
    store.held.send_replace(None);
    drop(log);
    let log = reopened(&medium, &patient);
    assert_eq!(log.read(1).expect("served"), entry(1));
    assert_eq!(patient.counts(), (1, 0));
}

#[tokio::test]
async fn a_slow_fetch_keeps_neither_the_writer_nor_readers_of_other_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, objects) = memory();
    let (medium, log) = journal();
    put_away(&mut archiver(&objects, &log).await, &log).await;
    let second = log.reader().sealed_file(2).expect("a stub").first_position;
    let store = Failing::new(inner, 0..0);
    store.held.send_replace(Some(first_object(&log)));
    drop(log);
    let mut log = reopened(&medium, &fetcher(&store.objects(), folder.path(), 1 << 20));
    let files = log.head().file;
    std::thread::scope(|scope| {
        let reader = log.reader();
        let slow = scope.spawn(move || reader.read(1).expect("served at last"));
        // It stands still until the store gives the object, and everything else goes on.
        while store.held.receiver_count() == 0 {
            std::thread::yield_now();
        }
        fill(&mut log, 60);
        assert!(log.head().file > files, "files are left meanwhile");
        for position in [second, 41, 60] {
            assert_eq!(log.read(position).expect("served"), entry(position));
        }
        assert!(!slow.is_finished());
        store.held.send_replace(None);
        assert_eq!(slow.join().expect("it read"), entry(1));
    });
}

#[tokio::test]
async fn public_batch_files_are_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, objects) = memory();
    let (_, log) = journal();
    archiver(&objects, &log).await.push(batches(1..3)).await.expect("archived");
    let bytes = batches(1..2)[0].bytes.clone();
    let digest = |bytes: &[u8]| Digest {
        bytes: bytes.len() as u64,
        blake3: *blake3::hash(bytes).as_bytes(),
    };
    let wanted = digest(&bytes);
    let reads = || fetcher(&objects, folder.path(), 1 << 20);
    let kept = reads();
    assert_eq!(kept.batch(wanted), Ok(bytes.clone()));
    assert_eq!(kept.batch(digest(b"another")), Err(NotFetched::Missing));
    let at = path(ObjectName::Batch(wanted.blake3));
    let mut changed = bytes.clone();
    changed[7] ^= 1;
    store.put(&at, PutPayload::from(changed)).await.expect("changed");
    assert_eq!(kept.batch(wanted), Ok(bytes.clone()), "it was compared when it came");
    assert_eq!(reads().batch(wanted), Err(NotFetched::Damaged));
    store.delete(&at).await.expect("removed");
    assert_eq!(reads().batch(wanted), Err(NotFetched::Missing));
}

/// Every file that was fetched to a folder, as whoever has the disk sees it: it has no name.
fn fetched(folder: &std::path::Path) -> Vec<std::fs::File> {
    let open = std::fs::read_dir("/proc/self/fd").expect("the system lists what is open");
    let files = open.filter_map(|entry| {
        let link = entry.ok()?.path();
        let name = std::fs::read_link(&link).ok()?;
        name.starts_with(folder).then(|| std::fs::OpenOptions::new().write(true).open(link).ok())?
    });
    files.collect()
}

#[tokio::test]
async fn a_byte_of_a_fetched_file_that_the_disk_changed_is_served_to_nobody_and_fetched_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, objects) = memory();
    let (medium, log) = journal();
    let mut archiver_of = archiver(&objects, &log).await;
    put_away(&mut archiver_of, &log).await;
    archiver_of.push(batches(1..2)).await.expect("archived");
    drop(log);
    let store = Failing::new(inner, 0..0);
    let fetcher = fetcher(&store.objects(), folder.path(), 1 << 20);
    let log = reopened(&medium, &fetcher);
    let bytes = batches(1..2)[0].bytes.clone();
    let blake3 = *blake3::hash(&bytes).as_bytes();
    let batch = Digest { bytes: bytes.len() as u64, blake3 };
    for round in 1..4 {
        assert_eq!(log.read(1).expect("served"), entry(1));
        let brought = fetcher.bring(batch).expect("here");
        assert_eq!(brought.read(), Ok(bytes.clone()));
        assert_eq!(fetcher.counts(), (2 * round, 0), "each once");
        let files = fetched(folder.path());
        assert_eq!(files.len(), 2);
        for file in files {
            // All of it: where an entry stands in its file is the journal's to know.
            let length = file.metadata().expect("open").len() as usize;
            file.write_all_at(&vec![0xa5; length], 0).expect("changed");
        }
        // Whoever waits for no archive is told, and whoever does has it fetched again.
        assert_eq!(brought.read(), Err(NotFetched::Changed));
    }
    let files = fetched(folder.path());
    assert_eq!(files.len(), 1, "the batch's is let go");
    // The archive does not give it again: then nothing is served.
    store.held.send_replace(Some(path(ObjectName::Batch(blake3))));
    let hasty = fetcher.clone().waiting(Duration::from_millis(1));
    assert_eq!(hasty.batch(batch), Err(NotFetched::Late));
    let all = store.calls.load(std::sync::atomic::Ordering::SeqCst);
    *store.fails.lock().expect("nobody panicked") = all + 1..u64::MAX;
    assert!(matches!(log.read(1), Err(ReadError::Archived(_))));
    store.held.send_replace(None);
}

#[tokio::test]
async fn a_store_that_hangs_gathers_no_more_reads_than_may_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let (inner, objects) = memory();
    let (_, log) = journal();
    archiver(&objects, &log).await.push(batches(1..2)).await.expect("archived");
    let store = Failing::new(inner, 0..0);
    store.held.send_replace(Some(object_store::path::Path::from("ward")));
    let patient = fetcher(&store.objects(), folder.path(), 1 << 20);
    let hasty = patient.clone().waiting(Duration::from_millis(1));
    let digest = |one: u8| Digest { bytes: 50, blake3: [one; 32] };
    for one in 0..64 {
        assert_eq!(hasty.batch(digest(one)), Err(NotFetched::Late));
    }
    // Nobody waits any more; what was asked for does.
    assert_eq!(hasty.batch(digest(64)), Err(NotFetched::Busy { most: 64 }));
    assert_eq!(hasty.batch(digest(7)), Err(NotFetched::Late), "one of them");
    store.held.send_replace(None);
    let bytes = batches(1..2)[0].bytes.clone();
    let wanted = Digest { bytes: 50, blake3: *blake3::hash(&bytes).as_bytes() };
    let read = loop {
        match patient.batch(wanted) {
            Err(NotFetched::Busy { .. }) => std::thread::yield_now(),
            read => break read,
        }
    };
    assert_eq!(read, Ok(bytes));
}

#[test]
fn a_journal_of_an_archive_is_read_without_a_runtime() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, objects) = memory();
    let (medium, log) = journal();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { put_away(&mut archiver(&objects, &log).await, &log).await });
    drop((runtime, log));
    let log = reopened(&medium, &fetcher(&objects, folder.path(), 1 << 20));
    let entries: Vec<_> = log.iter_from(1).map(|found| found.expect("read").1).collect();
    assert_eq!(entries, (1..=40).map(entry).collect::<Vec<_>>());
    // Nothing is asked of the archive to open it.
    drop(open(&medium));
}
