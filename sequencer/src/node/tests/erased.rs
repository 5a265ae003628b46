//! A patient is erased after a snapshot was written in which a segment of theirs is open, or their
//! key is away for a time.

use bodies::{KeyBackup, RecoverySecret, restore};

use super::support::{Site, check_settled, close_and_settle, stream_key};
use crate::folder::body_keys;
use crate::node::snapshots::SnapshotSays;
use crate::node::survey::{self, UnreadFrames};
use crate::stages::ledger::Answer;

const FRAMES: u64 = 20;

fn says(site: &Site) -> (Vec<SnapshotSays>, UnreadFrames) {
    let full = survey::survey_full(&site.layout).unwrap();
    assert_eq!(full.absent, UnreadFrames::default(), "every other key is here");
    (full.snapshots.into_iter().map(|(_, says)| says).collect(), full.erased)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_before_an_erasure_is_the_same_state_and_a_start_from_it_settles() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    for sequence in 1..=FRAMES {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    drop(edge);
    node.stop().await.unwrap();
    let (before, erased) = says(&site);
    assert!(!before.is_empty() && before.iter().all(|says| *says == SnapshotSays::Same));
    assert_eq!(erased, UnreadFrames::default());

    let keys = body_keys::open(&site.layout, &site.config.keys.folder, 1).unwrap();
    let now = site.clock.now();
    assert_eq!(keys.destroy(&[stream_key().patient], now).unwrap().keys, 1);
    drop(keys);
    // Looked at twice: a look changes nothing.
    for _ in 0..2 {
        let (after, erased) = says(&site);
        let same = SnapshotSays::SameButUnread { segments: 1 };
        assert!(after.iter().all(|says| *says == same), "{after:?}");
        assert_eq!((after.len(), erased.frames), (before.len(), FRAMES));
        assert_eq!(erased.first.len(), UnreadFrames::NAMED_MAX);
        assert!(erased.first.is_sorted() && erased.last > erased.first[0] + 15, "{erased:?}");
    }

    // A start from it goes on with the segment, and the window settles.
    let (node, edge) = site.start().await;
    let answer = node.submit(site.frame(1)).await.unwrap();
    assert!(matches!(answer, Answer::FrameDuplicate { .. }), "{answer:?}");
    let answer = node.submit(site.frame(FRAMES + 1)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    let last = close_and_settle(&node).await;
    check_settled(&edge, node.store(), last).await;
    drop(edge);
    node.stop().await.unwrap();
}

/// The key folder's disk is lost, and its backup is found later: what a snapshot of the time
/// between holds nobody can make again, and it is no other state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_time_without_a_key_is_the_same_state_once_the_key_is_back() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    for sequence in 1..=FRAMES {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    drop(edge);
    node.stop().await.unwrap();
    let (folder, now) = (&site.config.keys.folder, site.clock.now());
    let secret = RecoverySecret::create(&site.beside("recovery.key")).unwrap();
    let keys = body_keys::open(&site.layout, folder, 1).unwrap();
    let backup = keys.backup(&secret.public(), now, now.plus(60_000)).unwrap();
    drop(keys);

    // All but the ledger.
    for file in std::fs::read_dir(body_keys::path(&site.layout, folder)).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|ends| ends != "json") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let places = || body_keys::places(&site.layout, folder).unwrap();
    assert_eq!(restore(&places(), None, now).unwrap().kept, 0);
    let (node, edge) = site.start().await;
    let answer = node.submit(site.frame(FRAMES + 1)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    drop(edge);
    node.stop().await.unwrap();

    let backup = KeyBackup::open(&backup, &secret, now).unwrap();
    assert_eq!(restore(&places(), Some(backup), now).unwrap().brought_back, 1);
    let (says, erased) = says(&site);
    assert_eq!(erased, UnreadFrames::default());
    let unread = SnapshotSays::SameButUnread { segments: 1 };
    assert_eq!(says.first(), Some(&unread), "that of the time between: {says:?}");
    assert!(says[1..].iter().all(|says| *says == SnapshotSays::Same), "{says:?}");
}
