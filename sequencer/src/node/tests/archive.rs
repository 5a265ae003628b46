//! A node whose first files are in the archive: everybody finds what is there, and a store that
//! fails costs nobody anything.

use std::path::PathBuf;

use super::get;
use super::support::{Site, close_and_settle, gateway, stream_key};
use crate::history::{Contradiction, Keeper, Remembered};
use crate::node::archived::{ArchiveOf, OfflineError};
use crate::node::survey::{self, SurveyError};
use crate::node::*;
use crate::stages::deliver::AgainError;

/// A site that archives, and keeps here no more than a start needs.
pub(super) async fn site() -> Site {
    let mut site = Site::new().await;
    let place = site.beside("archive");
    let archive = &mut site.config.archive;
    archive.url = format!("file://{}", place.display());
    (archive.every_ms, archive.keep_local_ms) = (1_000, 0);
    let journal = &mut site.config.journal;
    (journal.file_bytes_max, journal.snapshot_every_entries) = (1 << 20, 10);
    let text = site.config.to_toml();
    files::replace(&site.layout.config(), &[text.as_bytes()], files::Audience::Owner).unwrap();
    site
}

/// Waits until a round of the archive has begun after this and ended.
pub(super) async fn wait_for_round(node: &Node) {
    let mut rounds = node.watched().follow_archive_rounds();
    let seen = *rounds.borrow_and_update();
    rounds.wait_for(|rounds| *rounds > seen + 1).await.unwrap();
}

async fn submit(node: &Node, site: &Site, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        node.submit(site.large_frame(sequence)).await.unwrap();
    }
}

fn objects(site: &Site) -> Vec<PathBuf> {
    let folder = site.beside("archive/journal");
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().path()).collect()
}

/// Frames, settled and with two snapshots behind them, whose files have left.
async fn grown(site: &Site) -> (Node, Position) {
    let (node, _) = site.start().await;
    let first = Position(node.core.journal.head().position + 1);
    submit(&node, site, 1..=45).await;
    close_and_settle(&node).await;
    submit(&node, site, 46..=75).await;
    let metrics = node.watched().metrics().clone();
    for _ in 0..100 {
        if metrics.archive_put_away_total.get() >= 2 {
            break;
        }
        wait_for_round(&node).await;
    }
    let away = metrics.archive_put_away_total.get();
    assert!(away >= 2, "{away} files left, {} failed", metrics.archive_failures_total.get());
    (node, first)
}

fn receipt(node: &Node, position: Position) -> Result<wire::SignedReceipt, AgainError> {
    node.core.hub.receipt_at(position, wire::Holder::gateway(&gateway()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_the_folder_is_found_by_receipts_reads_restarts_and_checks() {
    let site = site().await;
    let (node, _) = site.start().await;
    submit(&node, &site, 1..=1).await;
    let position = Position(node.core.journal.head().position);
    let before = receipt(&node, position).unwrap();
    node.stop().await.unwrap();
    let (node, _) = site.start().await;
    submit(&node, &site, 2..=45).await;
    let settled = close_and_settle(&node).await;
    submit(&node, &site, 46..=75).await;
    while node.watched().metrics().archive_put_away_total.get() < 2 {
        wait_for_round(&node).await;
    }
    assert!(!site.journal_file().exists(), "the first file left");
    assert_eq!(receipt(&node, position).unwrap(), before);
    let Ok(Entry::Frame(stored)) = node.entry(position) else { panic!("expected the frame") };
    assert_eq!(stored.key, stream_key());
    let fetched = node.core.journal.read(1).unwrap();
    // The same frame again is stored nowhere twice.
    let head = node.core.journal.head();
    drop(node.submit(site.large_frame(1)).await);
    assert_eq!(node.core.journal.head().position, head.position);
    assert!(node.store().public_bytes(model::BatchNumber(1)).unwrap().is_some());
    node.stop().await.unwrap();

    // From a snapshot a start asks the archive for nothing.
    let away = site.beside("away");
    std::fs::rename(site.beside("archive/journal"), &away).unwrap();
    let (node, _) = site.start().await;
    submit(&node, &site, 76..=76).await;
    node.stop().await.unwrap();
    std::fs::rename(&away, site.beside("archive/journal")).unwrap();
    // Without one it reads all of it there.
    std::fs::remove_dir_all(site.layout.snapshots()).unwrap();
    let (node, edge) = site.start().await;
    assert_eq!(receipt(&node, position).unwrap(), before);
    assert_eq!(node.core.journal.read(1).unwrap(), fetched);
    super::support::check_settled(&edge, node.store(), settled).await;
    drop(edge);
    node.stop().await.unwrap();

    let checked = survey::survey_full(&site.layout).unwrap();
    assert_eq!(checked.survey.entries, checked.survey.head.position);
    let archive = ArchiveOf::open(&site.layout).unwrap();
    archive.push().await.unwrap();
    let status = archive.status(None).await.unwrap();
    assert!(status.there_alone >= 2 && status.waiting == 0, "{status:?}");
    assert_eq!(status.last_batch, settled);
    let verified = archive.verify(None).await.unwrap();
    assert_eq!((verified.wrong, verified.files), (0, status.files));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_gone_or_changed_is_named_and_the_node_goes_on() {
    let site = site().await;
    let (node, position) = grown(&site).await;
    let first = node.core.journal.archived_files().unwrap()[0];
    let name = ::archive::ObjectName::Log(first.digest).to_string();
    let path = site.beside("archive").join(&name);
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[100_000] ^= 1;
    for (bytes, said) in [(Some(changed), "found other bytes"), (None, "found none")] {
        match &bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = model::with_causes(&receipt(&node, position).unwrap_err());
        assert!(error.contains(said) && error.contains(&name), "{error}");
        let archive = ArchiveOf::open(&site.layout).unwrap();
        assert_eq!(archive.verify(None).await.unwrap().wrong, 1);
    }
    submit(&node, &site, 76..=76).await;
    assert!(receipt(&node, Position(node.core.journal.head().position)).is_ok());
    std::fs::write(&path, &whole).unwrap();
    receipt(&node, position).unwrap();
    node.stop().await.unwrap();
    // Checked without the archive, it is said where the files are.
    let mut config = site.config.clone();
    config.archive.url = "off".into();
    let text = config.to_toml();
    files::replace(&site.layout.config(), &[text.as_bytes()], files::Audience::Owner).unwrap();
    let error = survey::survey(&site.layout).unwrap_err();
    assert!(matches!(error, SurveyError::Read(_)), "{error}");
    let error = model::with_causes(&error);
    assert!(error.contains("00000001.log is in the archive"), "{error}");
    assert!(matches!(ArchiveOf::open(&site.layout), Err(OfflineError::Off { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_fails_the_node_takes_everything_and_removes_nothing() {
    let site = site().await;
    let (node, _) = site.start().await;
    // In the place of the folder stands a file: whatever is put there fails. The node may be
    // putting something there: again, until nothing is in the way.
    let place = site.beside("archive");
    while std::fs::write(&place, "no folder").is_err() {
        drop(std::fs::remove_dir_all(&place));
    }
    submit(&node, &site, 1..=45).await;
    close_and_settle(&node).await;
    submit(&node, &site, 46..=75).await;
    wait_for_round(&node).await;
    let metrics = node.watched().metrics().clone();
    assert!(metrics.archive_failures_total.get() > 0);
    let counted = [&metrics.archive_failing, &metrics.archive_stopped].map(|gauge| gauge.get());
    assert_eq!(counted, [1, 0]);
    assert_eq!(metrics.archive_put_away_total.get(), 0);
    assert!(site.journal_file().exists());
    let ready = get(&node, "/readyz").await.unwrap();
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    // Once it is there again everything goes on by itself.
    std::fs::remove_file(site.beside("archive")).unwrap();
    std::fs::create_dir(site.beside("archive")).unwrap();
    while metrics.archive_put_away_total.get() == 0 {
        wait_for_round(&node).await;
    }
    assert_eq!(metrics.archive_failing.get(), 0);
    assert!(!objects(&site).is_empty());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_settled_or_has_no_snapshot_behind_it_stays() {
    let site = site().await;
    let (node, _) = site.start().await;
    submit(&node, &site, 1..=75).await;
    wait_for_round(&node).await;
    wait_for_round(&node).await;
    let metrics = node.watched().metrics().clone();
    assert!(metrics.archive_files_total.get() > 0, "it is archived");
    assert_eq!(metrics.archive_put_away_total.get(), 0, "and nothing of it is settled");
    assert!(site.journal_file().exists());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_another_node_writes_to_is_left_alone() {
    let (one, mut other) = (site().await, site().await);
    other.config.archive.url = one.config.archive.url.clone();
    let (node, _) = grown(&one).await;
    node.stop().await.unwrap();
    let (node, _) = other.start().await;
    let metrics = node.watched().metrics().clone();
    let mut rounds = node.watched().follow_archive_rounds();
    rounds.wait_for(|rounds| *rounds > 0).await.unwrap();
    assert_eq!((metrics.archive_stopped.get(), metrics.archive_files_total.get()), (1, 0));
    submit(&node, &other, 1..=1).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_during_a_round_ends_it_before_the_next_file_leaves() {
    const FILES: u64 = 12;
    let mut site = site().await;
    site.config.archive.keep_local_ms = 1 << 40;
    let (node, _) = site.start().await;
    submit(&node, &site, 1..=FILES * 18).await;
    close_and_settle(&node).await;
    submit(&node, &site, FILES * 18 + 1..=FILES * 18 + 40).await;
    wait_for_round(&node).await;
    let files = node.watched().metrics().archive_files_total.get();
    assert!(files >= FILES, "{files} files are archived");
    node.stop().await.unwrap();

    site.config.archive.keep_local_ms = 0;
    let (node, _) = site.start().await;
    let metrics = node.watched().metrics().clone();
    while metrics.archive_put_away_total.get() == 0 {
        tokio::task::yield_now().await;
    }
    let head = node.core.journal.head();
    let (by, group, position) =
        (Keeper::Receipt, Some(head.group + 9), Position(head.position + 9));
    let remembered = Remembered { by, group, position, term: None, journal_hash: [7; 32] };
    node.watched().hold().set(Contradiction { remembered, head, found: None });
    wait_for_round(&node).await;
    let away = metrics.archive_put_away_total.get();
    assert!((1..FILES).contains(&away), "{away} files left before it was noticed");
    submit_nothing_is_taken(&node, &site).await;
    wait_for_round(&node).await;
    assert_eq!(metrics.archive_put_away_total.get(), away);
    assert!(node.core.journal.local_files().unwrap().len() as u64 > 0);
    drop(node.stop().await);
}

/// A node that is held takes nothing in, and archives nothing.
async fn submit_nothing_is_taken(node: &Node, site: &Site) {
    let archived = node.watched().metrics().archive_files_total.get();
    assert!(node.submit(site.large_frame(9_000)).await.is_err());
    wait_for_round(node).await;
    assert_eq!(node.watched().metrics().archive_files_total.get(), archived);
}
