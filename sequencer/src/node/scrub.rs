//! The scrub: reads every stored batch file again, and makes damaged ones anew.
//!
//! A file is what the row says, by its digest, or it is damaged. It is made again to the byte:
//! contents, groups and openings from the journal, proofs from the transaction that settles the
//! batch, on the chain or in the outbox. Nothing that differs in a byte replaces a file, but for a
//! batch that is in no transaction yet: its proofs stand nowhere, so it is proven again.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l1_contracts::{Edge, EdgeError, SettledProof, SettledProofs};
use model::BatchNumber;
use statement::batch::PublicFile;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use super::blocking::Blocking;
use super::index_scrub::{IndexScrubError, Mended, look_and_mend};
use super::recover::RecoverError;
use super::replay::Replay;
use super::watched::Watched;
use crate::folder::store::{BatchFile, BatchRow, Store, StoreError};
use crate::guard::UnplannedEnd;
use crate::stages::batch::{
    BatchGroups, BatchPlan, PlanError, ProvenBatch, ProvenChunk, assemble, plan,
};
use crate::stages::prove::jobs::SetError;
use crate::stages::prove::{Planner, groups_of};
use crate::stages::standing::{Cause, Standing};
use crate::window::ClosedWindow;

/// Pause after each batch: its files are read at the pace of a slow disk, and never for long.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest pause after a round in which the database did not answer.
const RETRY: Duration = Duration::from_secs(60);

/// Why a damaged file was not made anew.
#[derive(Debug, Error)]
pub(super) enum ScrubError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was proven again, and is in a transaction by now or has another header.
    #[error(
        "batch {number} was proven again and cannot take the place of the stored one: the next pass \
         reads the lost proofs from its transaction; if this comes back, the journal is not the \
         one that the batch was made from"
    )]
    NotReplaced {
        /// Which.
        number: u64,
    },
    /// It cannot be proven again.
    #[error("the proofs of batch {number} cannot be made again")]
    Prove {
        /// Which.
        number: u64,
        /// Why.
        source: SetError,
    },
    /// The chain does not answer.
    #[error("the proofs cannot be read from the base chain")]
    Chain(#[from] EdgeError),
    /// The chain's node has dropped the transaction.
    #[error(
        "expected transaction 0x{transaction} with the proofs of batch {number}, found none; use a \
         chain's node that keeps transactions"
    )]
    NoProofs {
        /// Which batch.
        number: u64,
        /// Its transaction.
        transaction: String,
    },
    /// The journal does not give the window.
    #[error("the window of batch {number} cannot be read back from the journal")]
    Window {
        /// Which.
        number: u64,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The window cannot be laid out.
    #[error("the window of batch {number} cannot be laid out")]
    Plan {
        /// Which.
        number: u64,
        /// Why.
        source: PlanError,
    },
    /// Other bytes came out.
    #[error("expected the stored bytes of {file:?} of batch {number}, made others: not replaced")]
    Differs {
        /// Which batch.
        number: u64,
        /// Which file.
        file: BatchFile,
    },
    /// The index of stored frames is damaged and stays so.
    #[error(transparent)]
    Index(#[from] IndexScrubError),
    /// Something panicked.
    #[error(transparent)]
    Panicked(#[from] UnplannedEnd),
}

impl ScrubError {
    fn is_of_database(&self) -> bool {
        matches!(self, ScrubError::Store(error) if error.is_of_database())
    }
}

/// What the scrub works with.
#[derive(Clone)]
pub(super) struct Scrub {
    pub(super) store: Arc<Store>,
    pub(super) edge: Edge,
    pub(super) replay: Replay,
    pub(super) planner: Planner,
    pub(super) every: Duration,
    pub(super) watched: Watched,
    /// Says so while rows cannot be read.
    pub(super) standing: Arc<dyn Standing>,
    pub(super) blocking: Blocking,
}

impl Scrub {
    /// Looks through all batches at once, and again and again, until it is stopped. What cannot be
    /// mended is told and tried again the next time; it keeps nothing else from going on.
    ///
    /// # Errors
    /// None: a panic is the only way in which it fails itself.
    pub(super) async fn run(
        self,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), std::convert::Infallible> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let rounds = async {
            loop {
                let answered = self.round(&cancelled).await;
                self.watched.count_scrub();
                sleep(if answered { self.every } else { self.every.min(RETRY) }).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // What blocks a thread sees this, and is waited for: it holds store and chain, which the
        // next start opens.
        cancelled.store(true, Ordering::SeqCst);
        self.planner.service.wake();
        self.blocking.ended().await;
        Ok(())
    }

    /// False if the database did not answer.
    async fn round(&self, cancelled: &Arc<AtomicBool>) -> bool {
        let store = Arc::clone(&self.store);
        let last = self.blocking.run(move || store.last_number()).await;
        let last = match last.map_err(ScrubError::from).and_then(|last| Ok(last?)) {
            Ok(last) => last,
            Err(error) => {
                self.standing.degrade(Cause::StoreFails, &error);
                return false;
            }
        };
        let (mut damaged, mut unread) = (0, None);
        for number in (1..=last.0).map(BatchNumber) {
            match self.damaged_files(number).await {
                Ok(files) if files.is_empty() => {}
                Ok(files) => damaged += self.mend_all(number, files, cancelled).await,
                Err(error) if error.is_of_database() => {
                    self.standing.degrade(Cause::StoreFails, &error);
                    return false;
                }
                // A row that cannot be read says nothing of the others.
                Err(error) => {
                    self.standing.degrade(Cause::StoreFails, &error);
                    unread = Some(number);
                }
            }
            // As it is known so far: a long round must not hide what it found.
            let metrics = self.watched.metrics();
            metrics.batch_files_damaged.set(metrics.batch_files_damaged.get().max(damaged));
            sleep(PAUSE).await;
        }
        self.watched.metrics().batch_files_damaged.set(damaged);
        let index_is_whole = self.index(cancelled).await;
        if unread.is_none() && index_is_whole {
            self.standing.recover();
        }
        true
    }

    /// Looks through the index of stored frames; whether it is whole by now.
    async fn index(&self, cancelled: &Arc<AtomicBool>) -> bool {
        let (replay, cancelled) = (self.replay.clone(), Arc::clone(cancelled));
        let work = move || look_and_mend(&replay, &|| !cancelled.load(Ordering::SeqCst));
        let ended = self.blocking.run(work).await;
        let (mended, error) = match ended {
            Ok(Ok(mended)) => (mended, None),
            Ok(Err(unmended)) => (unmended.mended, Some(ScrubError::from(unmended.error))),
            Err(panicked) => (Mended::default(), Some(panicked.into())),
        };
        let metrics = self.watched.metrics();
        metrics.frame_index_damaged.set(mended.damaged as i64);
        metrics.frame_index_mended_total.inc_by(mended.nodes);
        if let Some(error) = &error {
            self.standing.degrade(Cause::IndexDamaged, error);
        }
        error.is_none()
    }

    async fn damaged_files(&self, number: BatchNumber) -> Result<Vec<BatchFile>, ScrubError> {
        let store = Arc::clone(&self.store);
        let look = move || damaged_twice(|| store.damaged_files(number));
        let found = self.blocking.run(look).await??;
        // Batches are numbered without a hole, so one before the last is damage.
        Ok(found.ok_or(missing(number))?)
    }

    /// How many of the files stay damaged.
    async fn mend_all(
        &self,
        number: BatchNumber,
        files: Vec<BatchFile>,
        cancelled: &Arc<AtomicBool>,
    ) -> i64 {
        tracing::warn!(number = number.0, ?files, "files of a batch are damaged");
        match self.mend(number, &files, cancelled).await {
            Ok(()) => {
                tracing::info!(number = number.0, ?files, "damaged files were made anew");
                self.watched.metrics().batch_files_mended_total.inc_by(files.len() as u64);
                0
            }
            Err(error) => {
                self.tell(number, &error);
                files.len() as i64
            }
        }
    }

    fn tell(&self, number: BatchNumber, error: &ScrubError) {
        let error: &dyn Error = error;
        tracing::error!(number = number.0, error, "damaged batch files were not made anew");
    }

    async fn mend(
        &self,
        number: BatchNumber,
        files: &[BatchFile],
        cancelled: &Arc<AtomicBool>,
    ) -> Result<(), ScrubError> {
        let row = self.store.batch(number)?.ok_or(missing(number))?;
        let proofs = self.proofs(number, &row, files).await?;
        let (scrub, cancelled, files) = (self.clone(), Arc::clone(cancelled), files.to_vec());
        let work = move || {
            let laid_out = scrub.lay_out(number, &cancelled)?;
            match proofs {
                Some(proofs) => scrub.make_anew(laid_out, proofs, &files),
                None => scrub.prove_anew(laid_out, &cancelled),
            }
        };
        self.blocking.run(work).await?
    }

    /// From the public file if that is whole, else from the transaction; `None` if there is none.
    async fn proofs(
        &self,
        number: BatchNumber,
        row: &BatchRow,
        files: &[BatchFile],
    ) -> Result<Option<Proofs>, ScrubError> {
        if !files.contains(&BatchFile::Public) {
            // From the archive, perhaps: it blocks for as long as that takes.
            let store = Arc::clone(&self.store);
            let bytes = self.blocking.run(move || store.public_bytes(number)).await??;
            let file = bytes.and_then(|bytes| PublicFile::from_bytes(&bytes).ok());
            let corrupt = StoreError::Corrupt { what: "the public file", key: number.0 };
            return Ok(Some(Proofs::of_file(&file.ok_or(corrupt)?)));
        }
        let (transaction, found) = match row.settled {
            Some(settled) => {
                let found = self.edge.proofs(settled.transaction, number.0).await?;
                (settled.transaction, found)
            }
            None => {
                let pending = self.store.outbox_pending()?.into_iter();
                let mut carrying = pending.map(|(_, row)| row).filter(|row| row.carries(number));
                let Some(row) = carrying.next() else { return Ok(None) };
                (row.hash, SettledProofs::of_signed(&row.signed, number.0))
            }
        };
        let found = found.ok_or_else(|| ScrubError::NoProofs {
            number: number.0,
            transaction: hex::encode(transaction),
        })?;
        let chunks = |proofs: Vec<SettledProof>| {
            let chunk = |SettledProof { key_id, proof }| ProvenChunk { key_id, proof };
            proofs.into_iter().map(chunk).collect()
        };
        Ok(Some(Proofs { operations: chunks(found.operations), claims: chunks(found.claims) }))
    }

    /// Everything of a batch but its proofs, from the journal.
    fn lay_out(&self, number: BatchNumber, cancelled: &AtomicBool) -> Result<LaidOut, ScrubError> {
        let (window, after) = self.window(number, cancelled)?;
        let unread = |source| ScrubError::Window { number: number.0, source };
        let groups = groups_of(&self.replay.journal, after, &window);
        let groups = groups.map_err(|error| unread(error.into()))?;
        let planned = plan(&window.contents, &self.planner.binding, self.planner.keys.capacities());
        let plan = planned.map_err(|source| ScrubError::Plan { number: number.0, source })?;
        Ok(LaidOut { number, window, plan, groups, previous: self.previous(number)? })
    }

    /// Proves a batch again that is in no transaction. The proofs are others, and the statement is
    /// the same. A stop ends the waiting, and the file stays damaged until the next start.
    fn prove_anew(&self, laid_out: LaidOut, cancelled: &AtomicBool) -> Result<(), ScrubError> {
        let LaidOut { number, window, plan, groups, previous } = laid_out;
        tracing::warn!(number = number.0, "a damaged batch that is not sent is proven again");
        let planned = self.planner.prove(window, plan);
        let proven = planned.wait(&|| !cancelled.load(Ordering::SeqCst));
        let number = number.0;
        let proven = proven.map_err(|source| ScrubError::Prove { number, source })?;
        let made = assemble(&proven, previous, &self.planner.binding, groups);
        let replaced = self.store.replace_unsent(&made)?;
        if replaced { Ok(()) } else { Err(ScrubError::NotReplaced { number }) }
    }

    fn make_anew(
        &self,
        laid_out: LaidOut,
        proofs: Proofs,
        files: &[BatchFile],
    ) -> Result<(), ScrubError> {
        let LaidOut { number, window, plan, groups, previous } = laid_out;
        let Proofs { operations, claims } = proofs;
        let file = files.first().copied().unwrap_or(BatchFile::Public);
        let differs = move || ScrubError::Differs { number: number.0, file };
        if (operations.len(), claims.len()) != (plan.operations.len(), plan.claims.len()) {
            return Err(differs());
        }
        let contents = window.contents.as_ref().clone();
        let (operation_proofs, claim_proofs) = (operations, claims);
        let proven = ProvenBatch { contents, plan, operation_proofs, claim_proofs };
        let made = assemble(&proven, previous, &self.planner.binding, groups);
        for file in files {
            let bytes = match file {
                BatchFile::Public => made.public.to_bytes(),
                BatchFile::Private => made.private.to_bytes(),
            };
            if !self.store.restore_file(number, *file, &bytes)? {
                return Err(ScrubError::Differs { number: number.0, file: *file });
            }
        }
        Ok(())
    }

    /// The window, and the journal group of the close before it.
    fn window(
        &self,
        number: BatchNumber,
        cancelled: &AtomicBool,
    ) -> Result<(ClosedWindow, u64), ScrubError> {
        let unread = |source| ScrubError::Window { number: number.0, source };
        let before = BatchNumber(number.0.saturating_sub(1).max(1));
        let most = if number.0 == 1 { 1 } else { 2 };
        let go_on = || !cancelled.load(Ordering::SeqCst);
        let found = self.replay.windows(before, most, go_on);
        let mut found = found.map_err(|error| unread(error.into()))?;
        let absent = || unread(RecoverError::NoWindow { number: number.0 }.into());
        let window = found.pop().filter(|last| last.contents.number == number);
        let window = window.ok_or_else(absent)?;
        Ok((window, found.pop().map_or(0, |before| before.group)))
    }

    /// What the header names as its predecessor.
    fn previous(&self, number: BatchNumber) -> Result<[u8; 32], ScrubError> {
        if number.0 > 1 {
            let before = BatchNumber(number.0 - 1);
            let row = self.store.batch(before)?.ok_or(missing(before))?;
            return Ok(row.header_hash);
        }
        let first = super::open::genesis_hash(&self.edge);
        first.map_err(|error| ScrubError::Window { number: number.0, source: error.into() })
    }
}

/// A batch without its proofs.
struct LaidOut {
    number: BatchNumber,
    window: ClosedWindow,
    plan: BatchPlan,
    groups: BatchGroups,
    previous: [u8; 32],
}

/// Proofs in the order of a batch's chunks.
struct Proofs {
    operations: Vec<ProvenChunk>,
    claims: Vec<ProvenChunk>,
}

impl Proofs {
    fn of_file(file: &PublicFile) -> Proofs {
        let operations = file.operations.iter();
        let claims = file.claims.iter();
        Proofs {
            operations: operations
                .map(|c| ProvenChunk { key_id: c.key_id, proof: c.proof })
                .collect(),
            claims: claims.map(|c| ProvenChunk { key_id: c.key_id, proof: c.proof }).collect(),
        }
    }
}

/// The damage that a second look finds as well: one read that failed once must not cost minutes of
/// proving.
fn damaged_twice(
    mut look: impl FnMut() -> Result<Option<Vec<BatchFile>>, StoreError>,
) -> Result<Option<Vec<BatchFile>>, StoreError> {
    match look()? {
        Some(damaged) if !damaged.is_empty() => look(),
        whole => Ok(whole),
    }
}

fn missing(number: BatchNumber) -> StoreError {
    StoreError::Missing { what: "batches", key: number.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_damaged_if_a_second_look_says_so() {
        let found = |mut looks: Vec<Vec<BatchFile>>| {
            let damaged = damaged_twice(|| Ok(looks.pop())).unwrap();
            (damaged, looks.len())
        };
        let both = BatchFile::ALL.to_vec();
        // The last is looked at first.
        assert_eq!(found(vec![vec![], both.clone()]), (Some(vec![]), 0));
        assert_eq!(found(vec![both.clone(), both.clone()]), (Some(both), 0));
        assert_eq!(found(vec![vec![], vec![]]), (Some(vec![]), 1));
    }
}
