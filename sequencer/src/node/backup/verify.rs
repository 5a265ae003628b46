//! Reads what was restored, as a start would and further: every group, every entry, every batch.

use journal::{FileMedium, Reader};
use l1_contracts::{Deployment, DeploymentError};
use model::{BatchNumber, Position};
use statement::batch::PublicFile;
use thiserror::Error;

use crate::folder::backup::EndRecord;
use crate::folder::layout::Layout;
use crate::folder::store::{Store, StoreError};
use crate::history::{Comparison, Contradiction, HistoryError, Keeper, Remembered, compare};
use crate::node::archive::batches_of;
use crate::node::recover::{RecoverError, absorb_next};
use crate::node::survey::{self, SurveyError};
use crate::stages::ledger::{BodySeal, Ledger};

/// Batches whose rows are looked at together.
const ROWS_AT_ONCE: usize = 1_000;

/// What was read and holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Entries of the journal that were absorbed.
    pub entries: u64,
    /// Batches of the store that the journal holds.
    pub batches: u64,
    /// Windows that are closed and in no batch: a start proves them again.
    pub backlog: u64,
}

/// What does not hold.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The journal ends elsewhere.
    #[error("expected the journal to end at group {expected}, found {found}")]
    End {
        /// As the backup says.
        expected: u64,
        /// Where it ends.
        found: u64,
    },
    /// A batch is of another journal.
    #[error("batch {batch} of the store is not of this journal")]
    Batch {
        /// Which.
        batch: u64,
        /// What the journal lacks.
        source: Box<Contradiction>,
    },
    /// A batch's file does not decode.
    #[error("expected the public file of batch {batch}, found other bytes")]
    PublicFile {
        /// Which.
        batch: u64,
    },
    /// The deployment file is missing or damaged.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The journal does not open.
    #[error(transparent)]
    Journal(#[from] SurveyError),
    /// It cannot be absorbed.
    #[error("the journal cannot be absorbed")]
    Recover(#[from] RecoverError),
    /// It cannot be compared.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
}

/// Reads all of a folder that no node has open, and holds it against the end of its backup.
///
/// # Errors
/// [`VerifyError`] for the first thing that does not hold.
pub(super) fn verify(layout: &Layout, end: &EndRecord) -> Result<Verified, VerifyError> {
    let deployment = Deployment::read(&layout.deployment())?;
    let genesis = statement::journal::genesis(deployment.scope());
    let (log, _) = survey::open(layout, genesis)?;
    let (found, reader) = (log.head(), log.reader());
    if (found.group, found.journal_hash) != (end.group, end.journal_hash) {
        return Err(VerifyError::End { expected: end.group, found: found.group });
    }
    let store = Store::open(&layout.store())?;
    store.read_from(batches_of(layout));
    store.bind(deployment.scope())?;
    let assembled = store.last_number()?;
    // Nothing is asked of a reading: a backup is verified where no key is.
    let bodies = BodySeal::keyless(log.reader().log_id());
    let mut ledger = Ledger::new(survey::ledger_config(layout, &deployment, bodies)?);
    let (mut entries, mut closed) = (0, BatchNumber(0));
    let mut all = log.iter_from(1);
    while let Some(found) = all.next() {
        let (position, entry) = found.map_err(RecoverError::Read)?;
        entries += 1;
        let in_group = all.in_group();
        if let Some(window) = absorb_next(&mut ledger, Position(position), &entry, in_group)? {
            closed = window.number;
        }
    }
    let batches = check_batches(&store, &reader)?;
    Ok(Verified { entries, batches, backlog: closed.0.saturating_sub(assembled.0) })
}

/// Every batch of the store against the journal; gives how many there are. A file that is not as
/// its row says is passed over: a start makes it again.
fn check_batches(store: &Store, journal: &Reader<FileMedium>) -> Result<u64, VerifyError> {
    let (mut next, mut count) = (BatchNumber(1), 0);
    loop {
        let rows = store.assembled_from(next, ROWS_AT_ONCE)?;
        let Some((last, _)) = rows.last() else { return Ok(count) };
        next = BatchNumber(last.0 + 1);
        for (number, _) in rows {
            let bytes = match store.public_bytes(number) {
                Err(StoreError::Corrupt { .. }) => continue,
                bytes => bytes?.unwrap_or_default(),
            };
            let batch = number.0;
            let file = PublicFile::from_bytes(&bytes);
            let header = file.map_err(|_| VerifyError::PublicFile { batch })?.header;
            let remembered = Remembered {
                by: Keeper::Store,
                group: None,
                position: header.journal_position,
                term: None,
                journal_hash: header.journal_hash,
            };
            if let Comparison::Contradicted(source) = compare(journal, &remembered)? {
                return Err(VerifyError::Batch { batch, source: Box::new(source) });
            }
            count += 1;
        }
    }
}
