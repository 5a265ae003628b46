//! The scrub: reads every stored batch file again, and makes damaged ones anew.
//!
//! A file is what the row says, by its digest, or it is damaged. Of a settled batch it is made
//! again to the byte: contents, groups and openings from the journal, proofs from the calldata of
//! the transaction that settled it. Nothing that differs in a byte replaces a file.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l1_contracts::{Edge, EdgeError, SettledProof};
use model::BatchNumber;
use statement::batch::PublicFile;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use super::recover::RecoverError;
use super::replay::Replay;
use super::watched::Watched;
use crate::folder::store::{BatchFile, BatchRow, Store, StoreError};
use crate::guard::UnplannedEnd;
use crate::stages::batch::{BatchBinding, PlanError, ProvenBatch, ProvenChunk, assemble, plan};
use crate::stages::prove::groups_of;
use crate::window::{Capacities, ClosedWindow};

/// Pause after each batch: its files are read at the pace of a slow disk, and never for long.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a damaged file was not made anew.
#[derive(Debug, Error)]
pub(super) enum ScrubError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The batch is not settled.
    #[error(
        "batch {number} is not settled, so its proofs stand nowhere else: start the node again, and \
         it makes the batch anew from the journal, unless a transaction with it is sent already"
    )]
    NotSettled {
        /// Which.
        number: u64,
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
    /// Something panicked.
    #[error(transparent)]
    Panicked(#[from] UnplannedEnd),
}

/// What the scrub works with.
#[derive(Clone)]
pub(super) struct Scrub {
    pub(super) store: Arc<Store>,
    pub(super) edge: Edge,
    pub(super) replay: Replay,
    pub(super) binding: BatchBinding,
    pub(super) capacities: Capacities,
    pub(super) every: Duration,
    pub(super) watched: Watched,
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
                self.round(&cancelled).await;
                sleep(self.every).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // What blocks a thread sees this, so that the process can end.
        cancelled.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn round(&self, cancelled: &Arc<AtomicBool>) {
        let (mut number, mut damaged) = (BatchNumber(1), 0);
        loop {
            let store = Arc::clone(&self.store);
            let found = blocking(move || store.damaged_files(number)).await;
            match found.and_then(|found| Ok(found?)) {
                Ok(None) => break,
                Ok(Some(files)) if files.is_empty() => {}
                Ok(Some(files)) => damaged += self.mend_all(number, files, cancelled).await,
                // A store that does not answer is others' failure; the next pass asks again.
                Err(error) => return self.tell(number, &error),
            }
            // As it is known so far: a long round must not hide what it found.
            let metrics = self.watched.metrics();
            metrics.batch_files_damaged.set(metrics.batch_files_damaged.get().max(damaged));
            number = BatchNumber(number.0 + 1);
            sleep(PAUSE).await;
        }
        self.watched.metrics().batch_files_damaged.set(damaged);
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
        blocking(move || scrub.make_anew(number, proofs, &files, &cancelled)).await?
    }

    /// From the public file if that is whole, else from the chain.
    async fn proofs(
        &self,
        number: BatchNumber,
        row: &BatchRow,
        files: &[BatchFile],
    ) -> Result<Proofs, ScrubError> {
        if !files.contains(&BatchFile::Public) {
            let bytes = self.store.public_bytes(number)?;
            let file = bytes.and_then(|bytes| PublicFile::from_bytes(&bytes).ok());
            let corrupt = StoreError::Corrupt { what: "the public file", key: number.0 };
            return Ok(Proofs::of_file(&file.ok_or(corrupt)?));
        }
        let settled = row.settled.ok_or(ScrubError::NotSettled { number: number.0 })?;
        let found = self.edge.proofs(settled.transaction, number.0).await?;
        let found = found.ok_or_else(|| ScrubError::NoProofs {
            number: number.0,
            transaction: hex::encode(settled.transaction),
        })?;
        let chunks = |proofs: Vec<SettledProof>| {
            let chunk = |SettledProof { key_id, proof }| ProvenChunk { key_id, proof };
            proofs.into_iter().map(chunk).collect()
        };
        Ok(Proofs { operations: chunks(found.operations), claims: chunks(found.claims) })
    }

    fn make_anew(
        &self,
        number: BatchNumber,
        proofs: Proofs,
        files: &[BatchFile],
        cancelled: &AtomicBool,
    ) -> Result<(), ScrubError> {
        let (window, after) = self.window(number, cancelled)?;
        let unread = |source| ScrubError::Window { number: number.0, source };
        let groups = groups_of(&self.replay.journal, after, &window);
        let groups = groups.map_err(|error| unread(error.into()))?;
        let planned = plan(&window.contents, &self.binding, self.capacities);
        let plan = planned.map_err(|source| ScrubError::Plan { number: number.0, source })?;
        let Proofs { operations, claims } = proofs;
        let file = files.first().copied().unwrap_or(BatchFile::Public);
        let differs = move || ScrubError::Differs { number: number.0, file };
        if (operations.len(), claims.len()) != (plan.operations.len(), plan.claims.len()) {
            return Err(differs());
        }
        let contents = window.contents.as_ref().clone();
        let (operation_proofs, claim_proofs) = (operations, claims);
        let proven = ProvenBatch { contents, plan, operation_proofs, claim_proofs };
        let made = assemble(&proven, self.previous(number)?, &self.binding, groups);
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

fn missing(number: BatchNumber) -> StoreError {
    StoreError::Missing { what: "batches", key: number.0 }
}

/// Off the runtime's threads; a panic is an error.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ScrubError> {
    let done = tokio::task::spawn_blocking(move || crate::guard::caught(work)).await;
    // The panic is caught, so only a runtime that ends cuts it off.
    Ok(done.unwrap_or(Err(UnplannedEnd::Early))?)
}
