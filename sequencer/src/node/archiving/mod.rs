//! The archiving stage: brings sealed files and public batch files to the archive, and removes here
//! what is there and nobody needs. Whatever it meets, collection goes on.
//!
//! ```text
//!   sealed file -> checked, hashed, put, read back -> manifest, read back
//!               -> old enough or too many -> read back once more -> stub, sync -> removed
//! ```

mod keep;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::{ArchiveError, Archiver, Digest, Pushed};
use journal::{FileMedium, PutAwayError, Reader, SealedFile};
use model::{BatchNumber, Clock as _, Millis, with_causes};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

pub(super) use self::keep::Keep;
use self::keep::{Needed, may_go};
use super::archive::{OpenedArchive, beginning, remember, settled_files};
use super::blocking::Blocking;
use super::head::{HeadError, Memories};
use super::snapshots::Snapshots;
use super::watched::Watched;
use crate::clock::NodeClock;
use crate::folder::checked::CheckedError;
use crate::folder::layout::Layout;
use crate::folder::store::{BatchRow, FileDigest, Store, StoreError};
use crate::guard::UnplannedEnd;

/// First pause after a round that failed; it doubles up to the pause between two rounds.
const RETRY: Duration = Duration::from_secs(5);
/// Batches that are looked at together.
const BATCHES_AT_ONCE: usize = 500;

/// Why a round ended early.
#[derive(Debug, Error)]
enum RoundError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    PutAway(#[from] PutAwayError),
    #[error("the store cannot be asked what is settled")]
    Store(#[from] StoreError),
    #[error("what is settled cannot be told")]
    Head(#[from] HeadError),
    #[error("the journal's files or its snapshots cannot be listed")]
    Files(#[from] io::Error),
    #[error(transparent)]
    Mark(#[from] CheckedError),
    #[error(transparent)]
    Panicked(#[from] UnplannedEnd),
}

impl RoundError {
    fn is_lasting(&self) -> bool {
        matches!(self, RoundError::Archive(error) if error.is_lasting())
    }
}

/// What the stage works with. Clones share all of it.
#[derive(Clone)]
pub(super) struct Archiving {
    pub(super) archive: OpenedArchive,
    pub(super) journal: Reader<FileMedium>,
    pub(super) layout: Layout,
    pub(super) edge: l1_contracts::Edge,
    pub(super) store: Arc<Store>,
    pub(super) snapshots: Snapshots,
    pub(super) every: Duration,
    pub(super) keep: Keep,
    pub(super) clock: Arc<NodeClock>,
    pub(super) watched: Watched,
    pub(super) blocking: Blocking,
    /// The last batch that was looked at since the start, whether its file may go.
    pub(super) looked_at: Arc<AtomicU64>,
}

/// Batches that were looked at.
struct Batches {
    /// Those whose public file may go.
    go: Vec<(BatchNumber, FileDigest)>,
    /// The last one that was looked at.
    last: BatchNumber,
}

impl Archiving {
    /// Works until it is stopped. What fails is told and tried again; a place that is another
    /// node's is told and left alone.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails itself.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
        let mut archiver = None;
        tokio::select! {
            () = self.rounds(&mut archiver) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // Until the node stops: an end before would be a failure.
        drop(stop.wait_for(|stop| *stop).await);
        self.ended(archiver).await;
        Ok(())
    }

    /// Waits for what still reads the journal, which the next start opens.
    async fn ended(&self, archiver: Option<Archiver<FileMedium>>) {
        if let Some(archiver) = archiver {
            archiver.cancel().await;
        }
        self.blocking.ended().await;
    }

    /// Ends once the archive turns out to be another's.
    async fn rounds(&self, archiver: &mut Option<Archiver<FileMedium>>) {
        let metrics = self.watched.metrics();
        let mut pause = RETRY.min(self.every);
        loop {
            let ended = self.round(archiver).await;
            self.count();
            let failed = ended.err();
            metrics.archive_failing.set(i64::from(failed.is_some()));
            metrics.archive_failures_total.inc_by(u64::from(failed.is_some()));
            let is_lasting = failed.as_ref().is_some_and(RoundError::is_lasting);
            metrics.archive_stopped.set(i64::from(is_lasting));
            self.watched.count_archive_round();
            let Some(error) = failed else {
                pause = RETRY.min(self.every);
                sleep(self.every).await;
                continue;
            };
            let cause = with_causes(&error);
            if is_lasting {
                tracing::error!(
                    cause,
                    "nothing is archived until the next start, and nothing removed here: \
                     collection goes on"
                );
                return;
            }
            tracing::warn!(cause, "a round of the archive failed: it is tried again");
            sleep(pause).await;
            pause = (pause * 2).min(self.every);
        }
    }

    async fn round(&self, archiver: &mut Option<Archiver<FileMedium>>) -> Result<(), RoundError> {
        if self.is_held() {
            return Ok(());
        }
        let archiver = match archiver {
            Some(archiver) => archiver,
            None => {
                let this = self.clone();
                let beginning = move || beginning(&this.layout, this.genesis());
                let beginning = self.blocking.run(beginning).await??;
                let (objects, journal) = (self.archive.objects.clone(), self.journal.clone());
                archiver.insert(Archiver::open(objects, journal, beginning).await?)
            }
        };
        self.remember(archiver).await?;
        loop {
            let waiting = archiver.waiting().await?;
            self.tell_waiting(waiting).await?;
            let (store, last) = (Arc::clone(&self.store), archiver.chain().last_batch());
            let batches = self.blocking.run(move || settled_files(&store, last)).await??;
            if self.is_held() {
                return Ok(());
            }
            let Some(pushed) = archiver.push(batches).await? else { break };
            self.remember(archiver).await?;
            self.tell_pushed(pushed);
        }
        self.tell_waiting(Vec::new()).await?;
        self.put_away(archiver).await?;
        self.put_away_batches(archiver).await
    }

    /// A journal that lacks something shall be mended first: what it holds may not stay.
    fn is_held(&self) -> bool {
        self.watched.hold().is_set()
    }

    fn genesis(&self) -> [u8; 32] {
        statement::journal::genesis(self.edge.scope())
    }

    /// Keeps in the folder how far the archive is: a place without that is another one.
    async fn remember(&self, archiver: &Archiver<FileMedium>) -> Result<(), RoundError> {
        let (this, last) = (self.clone(), archiver.chain().last());
        let keep = move || remember(&this.layout, this.genesis(), last);
        Ok(self.blocking.run(keep).await??)
    }

    /// Removes what may go, one after the other; each is read back from the archive before.
    async fn put_away(&self, archiver: &Archiver<FileMedium>) -> Result<(), RoundError> {
        let (this, unarchived) = (self.clone(), archiver.chain().next_file());
        for file in self.blocking.run(move || this.may_go(unarchived)).await?? {
            let Some(entry) = archiver.archived(file.file).await? else { break };
            archiver.confirm(&entry).await?;
            // Whoever showed what the journal lacks may have done so meanwhile.
            if self.is_held() {
                break;
            }
            let (journal, number, digest) = (self.journal.clone(), file.file, entry.digest);
            match self.blocking.run(move || journal.put_away(number, &digest)).await? {
                Ok(()) => {}
                // Its index is being written: the next round comes again. What holds a loss stays.
                Err(PutAwayError::NotIndexed { .. } | PutAwayError::HoldsGap { .. }) => break,
                Err(error) => return Err(error.into()),
            }
            self.watched.metrics().archive_put_away_total.inc();
            tracing::info!(file = number, bytes = file.length, "a file left for the archive");
        }
        Ok(())
    }

    /// Removes public files of batches whose windows stand in files of the journal that have left,
    /// each read back before: what says how long those stay says it of these.
    async fn put_away_batches(&self, archiver: &Archiver<FileMedium>) -> Result<(), RoundError> {
        let archived = archiver.chain().last_batch();
        let mut next = self.looked_at.load(Ordering::SeqCst) + 1;
        loop {
            let this = self.clone();
            let look = move || this.batches_that_may_go(BatchNumber(next), archived);
            let Batches { go, last } = self.blocking.run(look).await??;
            for (number, digest) in go {
                let FileDigest { blake3, bytes } = digest;
                archiver.confirm_batch(&Digest { bytes, blake3 }).await?;
                if self.is_held() {
                    return Ok(());
                }
                let store = Arc::clone(&self.store);
                if self.blocking.run(move || store.put_away_public(number)).await?? {
                    self.watched.metrics().archive_batches_put_away_total.inc();
                }
            }
            if last.0 < next {
                return Ok(());
            }
            // Of each batch once: there are more of them than a round should look at.
            self.looked_at.store(last.0, Ordering::SeqCst);
            next = last.0 + 1;
        }
    }

    /// Which of some batches from this one on may go. Reads the disk.
    fn batches_that_may_go(&self, from: BatchNumber, archived: u64) -> Result<Batches, RoundError> {
        let nothing = Batches { go: Vec::new(), last: BatchNumber(from.0 - 1) };
        let Some(left) = self.journal.archived_files().map_err(PutAwayError::from)?.pop() else {
            return Ok(nothing);
        };
        let left_until = self.journal.sealed_file(left.file)?.last_time;
        // The last one is asked at each start how far the journal has to reach.
        let most = archived.min(self.store.last_settled()?.0.saturating_sub(1));
        let rows = self.store.assembled_from(from, BATCHES_AT_ONCE)?;
        let may_go = |(number, row): &(BatchNumber, BatchRow)| {
            number.0 <= most && row.settled.is_some() && row.t1.get() <= left_until
        };
        let mut batches = nothing;
        for (number, row) in rows.into_iter().take_while(may_go) {
            batches.last = number;
            // One that could not be fetched any more stays.
            if row.public.bytes <= self.keep.fetched && self.store.has_public(number) {
                batches.go.push((number, row.public));
            }
        }
        Ok(batches)
    }

    /// The files that may go, the first ones. Reads the disk.
    fn may_go(&self, unarchived: u64) -> Result<Vec<SealedFile>, RoundError> {
        let numbers = self.journal.local_files()?.into_iter();
        let local = numbers.map(|file| self.journal.sealed_file(file));
        let mut local = local.collect::<Result<Vec<_>, _>>()?;
        let bytes: u64 = local.iter().map(|file| file.length).sum();
        self.watched.metrics().archive_local_bytes.set(bytes as i64);
        let needed = Needed { unarchived, from_group: self.needed_from()? };
        local.truncate(may_go(&local, needed, self.keep, self.clock.now()));
        Ok(local)
    }

    /// The first group that has to be here: a start reads from the last snapshot on, from the one
    /// before where that is damaged, and windows that are not settled are read back from theirs.
    /// Without a snapshot all of it.
    fn needed_from(&self) -> Result<u64, RoundError> {
        let snapshots = self.snapshots.groups_confirmed(&self.journal)?;
        // One alone is no reason: on the day on which it is damaged a start would need the archive.
        let [first, _, ..] = snapshots[..] else { return Ok(0) };
        let settled = self.store.last_settled()?;
        if settled.0 == 0 {
            return Ok(0);
        }
        let memories = Memories { layout: &self.layout, edge: &self.edge, store: &self.store };
        let close = memories.assembled(settled)?;
        let close = close.and_then(|close| self.journal.group_of(close.position.0).ok());
        // Each welcome reads which losses were accepted from the group behind the last one.
        let gap = self.journal.given_up().first().map(|gap| gap.until.group);
        Ok(first.min(close.unwrap_or(0)).min(gap.unwrap_or(u64::MAX)))
    }

    async fn tell_waiting(&self, waiting: Vec<u64>) -> Result<(), RoundError> {
        let this = self.clone();
        let since = self.blocking.run(move || {
            let metrics = this.watched.metrics();
            metrics.archive_waiting_files.set(waiting.len() as i64);
            let Some(first) = waiting.first() else { return Ok(0) };
            let last_time = this.journal.sealed_file(*first)?.last_time;
            let now = this.clock.now();
            Ok::<_, PutAwayError>(now.since(Millis::new(last_time).unwrap_or(now)))
        });
        let since = since.await??;
        self.watched.metrics().archive_oldest_waiting_seconds.set(since as f64 / 1_000.0);
        Ok(())
    }

    fn tell_pushed(&self, pushed: Pushed) {
        let (metrics, Pushed { files, batches, bytes }) = (self.watched.metrics(), pushed);
        metrics.archive_files_total.inc_by(files);
        metrics.archive_batches_total.inc_by(batches);
        metrics.archive_bytes_total.inc_by(bytes);
        tracing::info!(files, batches, bytes, "archived");
    }

    /// Counts what readers had fetched.
    fn count(&self) {
        let metrics = self.watched.metrics();
        let (fetched, failed) = self.archive.fetcher.counts();
        let (told, told_failed) =
            (&metrics.archive_fetched_total, &metrics.archive_fetch_failures_total);
        told.inc_by(fetched.saturating_sub(told.get()));
        told_failed.inc_by(failed.saturating_sub(told_failed.get()));
        metrics.archive_kept_bytes.set(self.archive.fetcher.kept_bytes() as i64);
    }
}

/// Stands for the stage where nothing is archived.
pub(super) async fn idle(mut stop: watch::Receiver<bool>) -> Result<(), Infallible> {
    drop(stop.wait_for(|stop| *stop).await);
    Ok(())
}
