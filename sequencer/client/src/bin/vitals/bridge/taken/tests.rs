use std::io::Write;

use files::Audience;

use super::*;
use crate::bridge::content::Content;

const SAID: Said = Said::without_readings(Content([9; 16]));

fn id(number: u8) -> MessageId {
    MessageId([number; 16])
}

fn receipt(group: u64) -> ReceiptName {
    ReceiptName { group, journal: [7; 8] }
}

impl Taken {
    /// Its disk takes nothing in any more; gives the file that was written.
    pub(in crate::bridge) async fn break_disk(&self) -> std::sync::Arc<std::fs::File> {
        // What is no file of a disk cannot be synced.
        let (_reader, pipe) = std::io::pipe().unwrap();
        let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
        let file = self.log.lock().await.replace_file(pipe);
        assert!(self.sync().await.is_err());
        file
    }
}

/// A record as the version wrote it that kept the hash of a message's bytes alone: a message that
/// is stored (kind 1) by receipts, or a part of one (kind 2).
pub(in crate::bridge) fn record_of_before(
    (kind, count): (u8, u8),
    (name, content): (u8, u8),
    rest: &[u8],
) -> Vec<u8> {
    let mut bytes = [&[kind, count][..], &[name; 16], &[content; 16], rest].concat();
    bytes.resize(88, 0);
    let check = blake3::hash(&bytes);
    bytes.extend(&check.as_bytes()[..8]);
    bytes
}

async fn store(taken: &Taken, number: u8) {
    let receipts = [receipt(number.into())];
    taken.store(&[(id(number), SAID)], &receipts).await.unwrap();
}

async fn store_part(taken: &Taken, number: u8, part: u8) {
    let messages = std::iter::once((id(number), SAID));
    taken.store_part([part; 16], messages, || true).await.unwrap();
}

fn parts(taken: &Taken, number: u8) -> Option<Vec<PartId>> {
    taken.find(id(number)).map(|entry| entry.parts().to_vec())
}

async fn records(taken: &Taken) -> usize {
    taken.log.lock().await.records()
}

#[test]
fn what_is_known_of_a_message_takes_little_memory() {
    assert_eq!(size_of::<Entry>(), 48);
}

#[tokio::test]
async fn what_is_stored_is_known_after_a_restart_and_a_torn_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    store_part(&taken, 1, 5).await;
    let receipts: Vec<_> = (1..=4).map(receipt).collect();
    taken.store(&[(id(2), SAID)], &receipts).await.unwrap();
    store(&taken, 3).await;
    drop(taken);
    let path = folder.path().join("messages.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    files::replace(&path, &[&bytes], Audience::Owner).unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    let found = taken.find(id(2)).unwrap();
    assert_eq!(found.receipts(), Some(&receipts[1..]));
    assert_eq!(parts(&taken, 1), Some(vec![[5; 16]]));
    assert_eq!((taken.find(id(3)), records(&taken).await), (None, 2));
    drop(taken);
    // What was not synced a disk may have taken in in any order.
    bytes[4] ^= 1;
    files::replace(&path, &[&bytes], Audience::Owner).unwrap();
    assert_eq!(records(&Taken::open(folder.path()).unwrap()).await, 0);
    // Before more records than may be unsynced, one that does not read is no torn end.
    let good = bytes[record::RECORD_BYTES..][..record::RECORD_BYTES].repeat(512);
    files::replace(&path, &[&bytes[..record::RECORD_BYTES], &good], Audience::Owner).unwrap();
    let error = Taken::open(folder.path()).err().expect("damage");
    assert!(error.to_string().contains("record 1 of"), "{error}");
}

#[tokio::test]
async fn what_follows_a_write_that_failed_in_the_middle_of_a_record_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.log");
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 1).await;
    // A disk that is full, on which nothing can be cut either.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = taken.log.lock().await.replace_file(full);
    for _ in 0..2 {
        assert!(taken.store(&[(id(2), SAID)], &[receipt(2)]).await.is_err());
    }
    // Some of the record went, and then there is room again.
    let file = file.try_clone().unwrap();
    taken.log.lock().await.replace_file(file);
    files::append(&path).unwrap().write_all(&[1; 40]).unwrap();
    taken.store(&[(id(3), SAID), (id(4), SAID)], &[receipt(3)]).await.unwrap();
    drop(taken);
    let taken = Taken::open(folder.path()).unwrap();
    let found = [1, 2, 3, 4].map(|number| taken.find(id(number)).is_some());
    assert_eq!((found, records(&taken).await), ([true, false, true, true], 3));
}

#[tokio::test]
async fn a_part_that_is_given_up_is_forgotten_of_its_messages_and_stays_that_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut taken = Taken::open(folder.path()).unwrap();
    for part in [5, 6] {
        store_part(&taken, 1, part).await;
    }
    for number in [2, 3] {
        store_part(&taken, number, 5).await;
    }
    taken.forget_part([5; 16], [1, 2, 4].map(id).into_iter()).await.unwrap();
    assert_eq!(taken.log.lock().await.unsynced(), 0, "the disk has it");
    for _ in 0..2 {
        assert_eq!(parts(&taken, 1), Some(vec![[6; 16]]));
        // What was refused as a whole may be corrected.
        assert_eq!((parts(&taken, 2), parts(&taken, 3)), (None, Some(vec![[5; 16]])));
        drop(taken);
        taken = Taken::open(folder.path()).unwrap();
    }
}

#[tokio::test]
async fn a_part_that_stands_no_more_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    let messages = std::iter::once((id(1), SAID));
    taken.store_part([5; 16], messages, || false).await.unwrap();
    assert_eq!(taken.find(id(1)), None);
}

#[tokio::test]
async fn a_message_that_the_node_may_have_is_unsure_over_a_restart_and_what_is_stored_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 1).await;
    store_part(&taken, 2, 5).await;
    let all = [1, 2, 3].map(|number| (id(number), SAID));
    taken.doubt(all.into_iter()).await.unwrap();
    drop(taken);
    let taken = Taken::open(folder.path()).unwrap();
    let kept = [1, 2, 3].map(|number| taken.find(id(number)).unwrap().kept);
    assert_eq!(kept, [Kept::ByOne(receipt(1)), Kept::Unsure, Kept::Unsure]);
}

#[tokio::test]
async fn files_and_memory_are_bounded_and_the_last_messages_are_known_after_a_restart() {
    const MOST: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let open = || Taken::of_at_most(folder.path(), MOST, 3 * MOST).unwrap();
    let mut taken = open();
    let path = |name: &str| folder.path().join(name);
    for number in 0..200u8 {
        store_part(&taken, number, number).await;
        store(&taken, number).await;
        if number % 7 == 0 {
            drop(taken);
            taken = open();
        }
        let first = number.saturating_sub(MOST as u8 - 1);
        let is_known = |one| taken.find(id(one)).is_some_and(|found| found.receipts().is_some());
        assert!((first..=number).all(is_known), "at {number}");
        let held = {
            let known = taken.lock();
            known.order.len().max(known.entries.len())
        };
        assert!(held <= MOST, "{held} at {number}");
        assert!(records(&taken).await <= 2 * MOST);
    }
    let lengths = ["messages.log", "messages.before"].map(|name| {
        let length = std::fs::metadata(path(name)).unwrap().len() as usize;
        length / record::RECORD_BYTES
    });
    assert!(lengths.iter().all(|length| *length <= 2 * MOST), "{lengths:?}");
    // Of what was synced before another file followed it, nothing is a torn end.
    let bytes = std::fs::read(path("messages.before")).unwrap();
    drop(taken);
    files::replace(&path("messages.before"), &[&bytes[..bytes.len() - 1]], Audience::Owner)
        .unwrap();
    let error = Taken::open(folder.path()).err().expect("damage");
    assert!(error.to_string().contains("messages.before"), "{error}");
}

#[tokio::test]
async fn a_file_that_stood_between_two_renames_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 1).await;
    drop(taken);
    let [log, before, next] =
        ["messages.log", "messages.before", "messages.next"].map(|name| folder.path().join(name));
    files::replace(&next, &[], Audience::Owner).unwrap();
    files::rename(&log, &before).unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 2).await;
    drop(taken);
    let taken = Taken::open(folder.path()).unwrap();
    assert!(taken.find(id(1)).is_some() && taken.find(id(2)).is_some());
}

#[tokio::test]
async fn where_there_is_no_room_for_the_next_file_the_last_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::of_at_most(folder.path(), 4, 12).unwrap();
    // A folder in its place is no file that could be replaced.
    let next = folder.path().join("messages.next");
    files::make_folder(&next, Audience::Owner).unwrap();
    for number in 0..20 {
        store(&taken, number).await;
    }
    assert_eq!(records(&taken).await, 20);
    drop(taken);
    std::fs::remove_dir(&next).unwrap();
    let taken = Taken::of_at_most(folder.path(), 4, 12).unwrap();
    store(&taken, 20).await;
    assert_eq!(records(&taken).await, 0, "the next file is there");
    assert!(taken.find(id(20)).is_some());
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_nothing_more_is_kept_before_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 1).await;
    let file = taken.break_disk().await;
    taken.log.lock().await.replace_file(file.try_clone().unwrap());
    let error = taken.store(&[(id(2), SAID)], &[receipt(2)]).await.unwrap_err();
    assert!(error.to_string().contains("the disk failed"), "{error}");
    assert_eq!(taken.find(id(2)), None);
    assert!(taken.disk_failed().await.is_some());
    drop(taken);
    let taken = Taken::open(folder.path()).unwrap();
    store(&taken, 2).await;
    assert!(taken.find(id(1)).is_some() && taken.find(id(2)).is_some());
}

#[tokio::test]
async fn no_message_is_answered_while_more_is_unsynced_than_the_marks_of_a_stream_say() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::sync::Arc::new(Taken::open(folder.path()).unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2000u16 {
        let taken = taken.clone();
        tasks.spawn(async move {
            let mut whole = [0; 16];
            whole[..2].copy_from_slice(&n.to_be_bytes());
            taken.store(&[(MessageId(whole), SAID)], &[receipt(1)]).await.unwrap();
            assert!(taken.log.lock().await.unsynced() <= 256);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(taken.log.lock().await.unsynced() <= 256);
    taken.sync().await.unwrap();
    assert_eq!(taken.log.lock().await.unsynced(), 0);
    drop(taken);
    let taken = Taken::open(folder.path()).unwrap();
    assert_eq!(records(&taken).await, 2000);
    assert_eq!(taken.lock().entries.len(), 2000);
}

#[tokio::test]
async fn a_file_of_the_version_before_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = [[0, 0, 0, 0, 0, 0, 0, 4u8], [7; 8], [0, 0, 0, 0, 0, 0, 0, 5], [7; 8]];
    let records = [
        record_of_before((2, 0), (1, 9), &[5; 16]),
        record_of_before((1, 2), (1, 9), &receipts.concat()),
        record_of_before((2, 0), (2, 9), &[5; 16]),
        record_of_before((2, 0), (2, 9), &[6; 16]),
        record_of_before((1, 0), (3, 9), &[]),
    ];
    let bytes = records.concat();
    assert_eq!(bytes.len(), 5 * 96);
    let path = folder.path().join("messages.log");
    files::replace(&path, &[&bytes], Audience::Owner).unwrap();
    for _ in 0..2 {
        let taken = Taken::open(folder.path()).unwrap();
        let found = [1, 2, 3].map(|number| taken.find(id(number)).unwrap());
        assert!(found.iter().all(|entry| entry.said == SAID));
        assert_eq!(found[0].receipts(), Some(&[receipt(4), receipt(5)][..]));
        assert_eq!(found[1].parts(), [[5; 16], [6; 16]]);
        assert_eq!(found[2].receipts(), Some(&[][..]));
        store(&taken, 4).await;
    }
}
