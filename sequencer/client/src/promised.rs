//! Receipts of a folder against settled batches: an operation that was promised and left out shows
//! here, and a journal that was receipted and is not the settled one, with the evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use model::{
    BatchHeader, BatchNumber, ChainScope, Digest, Millis, Operation, PatientIndex, Position,
};
use statement::batch::{
    GroupSummary, GroupsError, Inclusion, JournalEnd, NotFound, Receipted, ReceiptedGroup,
    WaitingReceipts,
};
use statement::operation::SignedOperation;
use thiserror::Error;
use wire::{Address, OperationItem, SignedErasure};

use crate::erasure;
use crate::headers;
use crate::log::SeenOperation;
use crate::receipts::{journal_before, operation_path, read_receipt};

/// Most files of a folder that are read.
const FILES_MAX: usize = 1_000_000;
/// Largest operation that is read, bytes.
const OPERATION_BYTES_MAX: u64 = 64 << 10;

/// A folder of receipts that cannot be compared.
#[derive(Debug, Error)]
pub enum PromisedError {
    /// A file or the folder cannot be read, or is no receipt.
    #[error("expected receipts in {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing in the folder is a receipt by its name: a check of nothing would hold.
    #[error(
        "expected receipts (GROUP.receipt) in {path}, found none: give the folder that keeps them"
    )]
    None {
        /// Which folder.
        path: PathBuf,
    },
    /// More files than any wallet has.
    #[error("expected at most {FILES_MAX} files in the folder of receipts, found more")]
    Many,
    /// A receipt of another deployment, or signed by somebody else.
    #[error("expected a receipt that this deployment's node signed in {path}, found another")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
}

/// An operation that a receipt names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promised {
    /// The receipt's file.
    pub receipt: PathBuf,
    /// Group of the journal.
    pub group: u64,
    /// Where the operation stands in the journal.
    pub position: Position,
    /// When it takes effect.
    pub time: Millis,
    /// Digest of the signed operation.
    pub digest: Digest,
    /// The operation that was kept beside the receipt, which says whose it is; `None` if it is not
    /// there.
    pub operation: Option<Operation>,
}

/// A receipt of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// What is compared of it.
    pub receipted: Receipted,
}

/// That readings were erased, as a receipt says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedBy {
    /// The receipt's file.
    pub receipt: PathBuf,
    /// Group of the journal.
    pub group: u64,
    /// Where the tombstone stands in the journal.
    pub position: Position,
    /// When.
    pub time: Millis,
    /// The request that was kept beside the receipt.
    pub request: SignedErasure,
}

/// A folder of receipts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeptReceipts {
    /// Every receipt, by name.
    pub receipts: Vec<Kept>,
    /// Every operation that they name.
    pub promised: Vec<Promised>,
    /// Every erasure whose request was kept beside its receipt.
    pub erased: Vec<ErasedBy>,
}

/// What became of promised operations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PromisesFound {
    /// In the batch of their position.
    pub kept: usize,
    /// Later than the last of the headers.
    pub not_settled: usize,
    /// Of positions before the first of the headers, or without the signed operation beside the
    /// receipt: nothing is known of those.
    pub not_compared: usize,
    /// Of this patient and absent from the batch that has their position: the receipt is evidence
    /// against its signer.
    pub absent: Vec<(Promised, BatchNumber)>,
    /// Those of this patient that are later than the last of the headers, by position.
    pub later: Vec<SeenOperation>,
}

/// Who must have signed receipts, and of which deployment they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromisedBy {
    /// Chain and contract.
    pub scope: ChainScope,
    /// The node's key for receipts.
    pub signer: Address,
}

/// Reads the receipts of a folder (`GROUP.receipt`), with the signed bytes of each operation and
/// request to erase if they were kept beside them (`DIGEST.operation`, `DIGEST.erasure`).
///
/// # Errors
/// [`PromisedError`] names the file; also of a folder without any receipt.
pub fn read_kept(folder: &Path, by: PromisedBy) -> Result<KeptReceipts, PromisedError> {
    let wrong = |path: &Path, source| PromisedError::File { path: path.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(|source| wrong(folder, source))?;
    let mut paths = Vec::new();
    for entry in entries.take(FILES_MAX + 1) {
        paths.push(entry.map_err(|source| wrong(folder, source))?.path());
    }
    if paths.len() > FILES_MAX {
        return Err(PromisedError::Many);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "receipt"));
    if paths.is_empty() {
        return Err(PromisedError::None { path: folder.to_owned() });
    }
    paths.sort();
    let mut kept = KeptReceipts::default();
    for path in paths {
        let receipt = read_receipt(&path).map_err(|source| wrong(&path, source))?;
        let group = receipt.receipt.group;
        // Before it counts as a promise: anybody could have written the file.
        if group.scope != by.scope || receipt.verify(by.signer).is_err() {
            return Err(PromisedError::Foreign { path });
        }
        for OperationItem { position, time, digest } in &receipt.receipt.items().operations {
            let request =
                erasure::read_kept(folder, digest).map_err(|source| wrong(&path, source))?;
            if let Some(request) = request {
                let (receipt, position, time) = (path.clone(), *position, *time);
                let group = group.group;
                kept.erased.push(ErasedBy { receipt, group, position, time, request });
                continue;
            }
            let operation = read_operation(folder, digest)
                .map_err(|source| wrong(&operation_path(folder, digest), source))?;
            kept.promised.push(Promised {
                receipt: path.clone(),
                group: group.group,
                position: *position,
                time: *time,
                digest: *digest,
                operation,
            });
        }
        let last = receipt.receipt.items().last_position();
        let group = ReceiptedGroup { group: group.group, journal_hash: group.journal_hash };
        kept.receipts.push(Kept { path, receipted: Receipted { group, last } });
    }
    Ok(kept)
}

/// Whether a folder holds anything that is a receipt by its name: one that nothing was kept in yet
/// need not be there. Of a folder that cannot be looked into, [`read_kept`] says why.
pub fn has_any(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(entries) => entries
            .flatten()
            .any(|entry| entry.path().extension().is_some_and(|end| end == "receipt")),
    }
}

/// The operation that was kept; `None` if its bytes were not, or are another's.
fn read_operation(folder: &Path, digest: &Digest) -> io::Result<Option<Operation>> {
    let path = operation_path(folder, digest);
    let bytes = match files::read(&path, OPERATION_BYTES_MAX, files::Audience::Owner) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let operation = wire::SignedOperation::new(bytes).ok();
    // A receipt names an operation by its digest alone: other bytes say nothing of it.
    let named = operation.filter(|operation| operation.digest() == *digest);
    let signed = named.and_then(|named| SignedOperation::from_bytes(named.as_bytes()).ok());
    Ok(signed.map(|signed| signed.operation))
}

/// Looks for promised operations of a patient among those that batches hold, which `seen` names by
/// batch.
pub fn find_promised(
    mut promised: Vec<Promised>,
    patient: PatientIndex,
    headers: &[BatchHeader],
    seen: &BTreeMap<BatchNumber, BTreeSet<[u8; 31]>>,
) -> PromisesFound {
    let mut found = PromisesFound::default();
    let last = headers.last().map_or(Position(0), |header| header.journal_position);
    promised.sort_by_key(|one| one.position);
    for one in promised {
        // Somebody else's: a wallet may keep all its receipts in one folder.
        if one.operation.as_ref().is_some_and(|operation| operation.patient != patient) {
            continue;
        }
        let settling = headers::find_settling(headers, one.position).map(|header| header.number);
        match (settling, &one.operation) {
            (_, operation) if one.position > last => {
                found.not_settled += 1;
                let seen = |operation: &Operation| SeenOperation {
                    operation: operation.clone(),
                    t_op: one.time,
                    digest: one.digest,
                };
                found.later.extend(operation.as_ref().map(seen));
            }
            (Some(batch), _) if has(seen, batch, &one.digest) => found.kept += 1,
            (Some(batch), Some(_)) => found.absent.push((one, batch)),
            _ => found.not_compared += 1,
        }
    }
    found
}

fn has(
    seen: &BTreeMap<BatchNumber, BTreeSet<[u8; 31]>>,
    batch: BatchNumber,
    digest: &Digest,
) -> bool {
    seen.get(&batch).is_some_and(|digests| digests.contains(&digest.0))
}

/// What became of the journal that receipts name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JournalFound {
    /// Receipts whose groups are settled with the hashes that they name.
    pub settled: usize,
    /// Later than the last of the headers.
    pub not_settled: usize,
    /// Of groups before those of the first header whose predecessor is known, or of batches that
    /// were not read.
    pub not_compared: usize,
    /// Of another journal than the one that was settled: each receipt is evidence against its
    /// signer.
    pub other: Vec<OtherJournal>,
}

/// A receipt of another journal than the one that was settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherJournal {
    /// The receipt.
    pub receipt: Kept,
    /// The batch that has its group with another hash, and the hash; `None` if no batch has its
    /// group, although its position is settled.
    pub settled: Option<SettledHash>,
}

/// The journal hash that a batch settled after a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettledHash {
    /// Which batch.
    pub batch: BatchNumber,
    /// The hash.
    pub hash: [u8; 32],
}

/// Holds receipts against the journal groups of batches, which come one after the other.
pub struct JournalCheck<'a> {
    receipts: &'a [Kept],
    headers: &'a [BatchHeader],
    waiting: WaitingReceipts,
    found: JournalFound,
    /// Close of the last batch that came.
    last: Position,
}

impl<'a> JournalCheck<'a> {
    /// All receipts of a folder, and the headers that an auditor verified.
    pub fn new(receipts: &'a [Kept], headers: &'a [BatchHeader]) -> JournalCheck<'a> {
        let waiting = WaitingReceipts::new(receipts.iter().map(|kept| kept.receipted));
        let found = JournalFound::default();
        JournalCheck { receipts, headers, waiting, found, last: Position(0) }
    }

    /// The groups of the public file of the header at this index, which was found to be its own.
    ///
    /// # Errors
    /// [`GroupsError`] if they do not lead to the header's journal hash.
    pub fn take(
        &mut self,
        at: usize,
        scope: ChainScope,
        groups: &[GroupSummary],
    ) -> Result<(), GroupsError> {
        let header = &self.headers[at];
        self.last = header.journal_position;
        // Of headers that begin later than the first batch nothing says what the first continues.
        let Some(hash) = journal_before(self.headers, at, scope) else { return Ok(()) };
        let position =
            at.checked_sub(1).map_or(Position(0), |at| self.headers[at].journal_position);
        for (number, inclusion) in
            self.waiting.take(JournalEnd { position, hash }, header, groups)?
        {
            let settled = match inclusion {
                Inclusion::Included => {
                    self.found.settled += 1;
                    continue;
                }
                Inclusion::OtherHash { settled, .. } => Some(settled),
                Inclusion::NotInBatch => None,
            };
            let settled = settled.map(|hash| SettledHash { batch: header.number, hash });
            self.found.other.push(OtherJournal { receipt: self.receipts[number].clone(), settled });
        }
        Ok(())
    }

    /// What was found, when the last batch has come.
    pub fn conclude(mut self) -> JournalFound {
        for (number, not_found) in self.waiting.conclude(self.last) {
            match not_found {
                NotFound::NotSettled => self.found.not_settled += 1,
                NotFound::NotCompared => self.found.not_compared += 1,
                NotFound::Missing => {
                    let receipt = self.receipts[number].clone();
                    self.found.other.push(OtherJournal { receipt, settled: None });
                }
            }
        }
        self.found
    }
}
