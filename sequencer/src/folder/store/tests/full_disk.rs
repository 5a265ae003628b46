//! A store whose file system takes nothing more.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// Tells this test that it runs in the process of its own.
const ALONE: &str = "VITALS_TEST_ALONE";
const NAME: &str =
    "folder::store::tests::full_disk::a_full_disk_closes_the_database_until_there_is_room_again";

/// From now on no file of this process grows beyond so many bytes.
fn limit(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

#[test]
fn a_full_disk_closes_the_database_until_there_is_room_again() {
    if std::env::var_os(ALONE).is_none() {
        // The limit is the process's; and who exceeds it is killed, unless a parent says otherwise.
        let program = std::env::current_exe().unwrap();
        let mut alone = Command::new("sh");
        alone.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program);
        alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "1");
        let output = alone.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let (folder, store, batches) = filled(1);
    let next = &chain(2)[1];
    // Room for a batch's files, and none for another page of the database.
    limit(Some(4_096));
    for _ in 0..2 {
        let found = store.save_batch(next, millis(5));
        assert!(matches!(found, Err(StoreError::Database(_))), "{found:?}");
        // What was committed is whole and served.
        assert_eq!(store.last_assembled().unwrap().unwrap().0, BatchNumber(1));
    }
    limit(None);
    let first = batches[0].public.to_bytes();
    assert_eq!(store.public_bytes(BatchNumber(1)).unwrap(), Some(first));
    assert_eq!(store.save_batch(next, millis(5)).unwrap(), Saved::New);
    store.outbox_put(7, &row(1, 2, OutboxState::Built), &[]).unwrap();
    // One that is gone is not begun anew.
    limit(Some(4_096));
    assert!(store.outbox_put(8, &row(2, 2, OutboxState::Built), &[]).is_err());
    limit(None);
    let database = folder.path().join("store.redb");
    fs::File::create(&database).unwrap();
    assert!(matches!(store.outbox_pending(), Err(StoreError::File { action: "open", .. })));
    assert_eq!(fs::metadata(&database).unwrap().len(), 0, "an empty one stays as it was found");
    fs::remove_file(database).unwrap();
    assert!(matches!(store.outbox_pending(), Err(StoreError::File { action: "open", .. })));
}
