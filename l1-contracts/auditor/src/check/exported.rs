//! One settled claim of an export against the public file of its batch.

use accounting::{Entry, EntryError, Settled};
use model::ChainScope;
use statement::batch::PublicFile;

/// A batch that was checked, and how it settled.
#[derive(Clone, Copy, Debug)]
pub struct ExportedBatch<'a> {
    /// Which deployment.
    pub scope: ChainScope,
    /// The transaction that settled it.
    pub transaction: [u8; 32],
    /// Its public file, which [`crate::check::batch`] accepted.
    pub file: &'a PublicFile,
}

/// Whether the batch has the claim where the export says, with what was signed for it.
///
/// The place of a tag is no claim, although it is committed the same way: a tag is hashed under
/// another domain, so that no claim has it for its word.
///
/// # Errors
/// [`EntryError`] names what is not as it has to be.
pub fn exported(of: ExportedBatch<'_>, entry: &Entry) -> Result<(), EntryError> {
    let ExportedBatch { scope, transaction, file } = of;
    let (chunk, leaf) = entry.place();
    let committed = file.claims.get(chunk as usize);
    let committed = committed.and_then(|chunk| chunk.leaves.get(leaf as usize)).copied();
    entry.check(&Settled { scope, committed, transaction: Some(transaction) })
}
