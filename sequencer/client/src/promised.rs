//! Operations that have a receipt against those that settled batches hold: one that was promised
//! and left out shows here, with the evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use model::{BatchHeader, BatchNumber, ChainScope, Digest, PatientIndex, Position};
use statement::operation::SignedOperation;
use thiserror::Error;
use wire::{Address, OperationItem};

use crate::headers;
use crate::receipts::{operation_path, read_receipt};

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
    /// Digest of the signed operation.
    pub digest: Digest,
    /// Whose it is, from the signed operation kept beside the receipt; `None` if it is not there.
    pub patient: Option<PatientIndex>,
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
}

/// Who must have signed receipts, and of which deployment they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromisedBy {
    /// Chain and contract.
    pub scope: ChainScope,
    /// The node's key for receipts.
    pub signer: Address,
}

/// Reads the operations that the receipts of a folder name (`GROUP.receipt`), each with its
/// signed bytes if they were kept beside it (`DIGEST.operation`).
///
/// # Errors
/// [`PromisedError`] names the file.
pub fn read_promised(folder: &Path, by: PromisedBy) -> Result<Vec<Promised>, PromisedError> {
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
    paths.sort();
    let mut promised = Vec::new();
    for path in paths {
        let receipt = read_receipt(&path).map_err(|source| wrong(&path, source))?;
        let group = receipt.receipt.group;
        // Before it counts as a promise: anybody could have written the file.
        if group.scope != by.scope || receipt.verify(by.signer).is_err() {
            return Err(PromisedError::Foreign { path });
        }
        for OperationItem { position, digest, .. } in &receipt.receipt.items().operations {
            promised.push(Promised {
                receipt: path.clone(),
                group: group.group,
                position: *position,
                digest: *digest,
                patient: whose(folder, digest),
            });
        }
    }
    Ok(promised)
}

/// Whose operation it is; `None` if its bytes were not kept, or are another's.
fn whose(folder: &Path, digest: &Digest) -> Option<PatientIndex> {
    let bytes = files::read(&operation_path(folder, digest), OPERATION_BYTES_MAX).ok()?;
    let operation = wire::SignedOperation::new(bytes).ok()?;
    let signed = SignedOperation::from_bytes(operation.as_bytes()).ok()?;
    // A receipt names an operation by its digest alone: other bytes say nothing of it.
    (operation.digest() == *digest).then_some(signed.operation.patient)
}

/// Looks for promised operations of a patient among those that batches hold, which `seen` names by
/// batch.
pub fn find_promised(
    promised: Vec<Promised>,
    patient: PatientIndex,
    headers: &[BatchHeader],
    seen: &BTreeMap<BatchNumber, BTreeSet<[u8; 31]>>,
) -> PromisesFound {
    let mut found = PromisesFound::default();
    let last = headers.last().map_or(Position(0), |header| header.journal_position);
    for one in promised {
        // Somebody else's: a wallet may keep all its receipts in one folder.
        if one.patient.is_some_and(|whose| whose != patient) {
            continue;
        }
        let settling = headers::find_settling(headers, one.position).map(|header| header.number);
        match (settling, one.patient) {
            _ if one.position > last => found.not_settled += 1,
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
