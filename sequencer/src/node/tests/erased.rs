//! A patient is erased after a snapshot was written in which a segment of theirs is open.

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
