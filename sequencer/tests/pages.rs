//! Accesses over QUIC, of a node that runs: to more frames than one answer holds, and more of them
//! than one slot does.

use std::collections::BTreeSet;

use client::{Connection, RequestError};
use model::{BatchNumber, RejectCode};
use sequencer::node::Node;
use statement::batch::PublicFile;
use wire::{AccessKind, Page, Reason};

use crate::doctor::{connect, permit, read_pages, request};
use crate::support::{Site, check_settled, close_and_settle};

/// Frames that one answer holds.
const ANSWER_FRAMES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_over_several_answers_arrives_whole_and_is_one_claim() {
    let mut site = Site::new().await;
    site.config.ingest.released_frames_max = ANSWER_FRAMES;
    let (node, edge) = site.start().await;
    permit(&mut site, &node).await;
    for sequence in 1..=5 {
        node.submit(site.frame(sequence)).await.unwrap();
    }
    let connection = connect(&site, &node).await;
    let reason = |text| Reason::new(text).unwrap();
    let ordinary = request(&site, 1, AccessKind::Access { reason: reason("") });
    let emergency = AccessKind::BreakGlass { reason: reason("unconscious on arrival") };
    let emergency = request(&site, 2, emergency);
    let mut first = None;
    for signed in [&ordinary, &emergency] {
        let pages = read_pages(&connection, signed).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        let frames = pages.iter().flatten().map(|one| one.frame.sequence().0);
        assert_eq!(frames.collect::<Vec<_>>(), [1, 2, 3, 4, 5], "each once, in order");
        first = pages[0].last().map(|one| one.position);
    }

    // Behind the close both are settled, and a page that was read before is read no more.
    let batch = close_and_settle(&node).await;
    let page = Page::FIRST.behind(first.expect("a page"));
    for signed in [ordinary, emergency] {
        let refused = connection.read_on(signed, page).await;
        let validity =
            matches!(refused, Err(RequestError::Rejected { code: RejectCode::Validity }));
        assert!(validity, "{refused:?}");
    }
    check_settled(&edge, node.store(), batch).await;
    let settled = edge.settled_batches().await.unwrap();
    let counts = settled.iter().map(|one| (one.header.access, one.header.break_glass));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 1)]);
    connection.close().await;
    node.stop().await.unwrap();
}

/// Has the doctor read `nonces` times, and settles the window.
pub(crate) async fn read_and_settle(
    site: &Site,
    node: &Node,
    connection: &Connection,
    nonces: std::ops::Range<u64>,
) -> BatchNumber {
    for nonce in nonces {
        let kind = AccessKind::Access { reason: Reason::new("").unwrap() };
        let answered = connection.access(request(site, nonce, kind), Page::FIRST).await.unwrap();
        assert!(answered.permitted);
    }
    BatchNumber(close_and_settle(node).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_settles_in_chunks_of_two_shapes_where_these_leave_less_empty() {
    let mut site = Site::new().await;
    let (node, edge) = site.start().await;
    permit(&mut site, &node).await;
    let connection = connect(&site, &node).await;
    // A collection and some accesses, all of one patient: two claims in a slot of four, then five
    // in one of one and one of four.
    for (sequence, nonces, leaves, padding) in [(1, 1..2, &[5][..], 0.5), (2, 2..6, &[2, 5], 0.0)] {
        node.submit(site.frame(sequence)).await.unwrap();
        let batch = read_and_settle(&site, &node, &connection, nonces).await;
        let bytes = node.store().public_bytes(batch).unwrap().expect("a stored batch");
        let file = PublicFile::from_bytes(&bytes).unwrap();
        let found: Vec<_> = file.claims.iter().map(|chunk| chunk.leaves.len()).collect();
        assert_eq!(found, leaves);
        let keys: BTreeSet<_> = file.claims.iter().map(|chunk| chunk.key_id).collect();
        assert_eq!(keys.len(), leaves.len(), "a key for each shape");
        assert_eq!(node.watched().metrics().prove_padding_ratio.get(), padding);
    }
    check_settled(&edge, node.store(), 2).await;
    connection.close().await;
    node.stop().await.unwrap();
}
