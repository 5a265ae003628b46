//! Receipts kept as files: evidence of what the node promised, for as long as somebody may ask; and
//! [`compare`], which holds one against the journal that was settled.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use model::{BatchHeader, BatchNumber, ChainScope, Digest, Millis};
use statement::batch::{
    FileError, GroupsError, Inclusion, PublicFile, ReceiptedGroup, SettledGroups,
};
use statement::{journal, scope};
use thiserror::Error;
use wire::{GroupIdentity, ReceiptError, SignedReceipt};

use crate::batches::{Batches, FetchError};
use crate::patience::LetPass;

/// Largest receipt file that is read, bytes.
const FILE_BYTES_MAX: u64 = 128 << 10;

/// A folder with one file for each group that acknowledged something to this client:
/// `GROUP.receipt`, twenty digits, the canonical bytes of [`SignedReceipt`].
#[derive(Debug)]
pub(crate) struct ReceiptFolder {
    folder: PathBuf,
    kept: u64,
    kept_max: u64,
}

/// The newest receipt of a holder: what each hello shows the node, also after a restart. It is
/// written at most once a second, because every write costs two syncs; a node that lost its end is
/// found by an older receipt too, unless it lost less than that.
#[derive(Debug)]
pub(crate) struct NewestReceipt {
    path: PathBuf,
    /// The newest one seen, by term and group: a frame that is sent again brings an older one.
    seen: Option<Age>,
    waiting: Option<SignedReceipt>,
    written: Option<Millis>,
}

/// Orders the receipts of a holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Age {
    term: u32,
    group: u64,
}

impl Age {
    fn of(receipt: &SignedReceipt) -> Age {
        let GroupIdentity { term, group, .. } = receipt.receipt.group;
        Age { term, group }
    }
}

/// How long a newer receipt may wait to be written.
const WRITE_EVERY_MS: u64 = 1_000;

impl NewestReceipt {
    /// Where a folder keeps it.
    pub(crate) fn path_in(folder: &Path) -> PathBuf {
        folder.join("newest.receipt")
    }

    /// The one in this file.
    pub(crate) fn at(path: PathBuf) -> NewestReceipt {
        NewestReceipt { path, seen: None, waiting: None, written: None }
    }

    /// Reads it, if there is one.
    pub(crate) fn read(&self) -> io::Result<Option<SignedReceipt>> {
        match read_receipt(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // The kind stays, by which a program ends; a file that is too open names itself.
            Err(error) if files::TooOpen::in_error(&error).is_some() => Err(error),
            Err(error) => {
                let path = self.path.display();
                let why = format!(
                    "expected the newest receipt in {path}, found none there ({error}): move the \
                     file away; it is evidence, if it ever was a receipt"
                );
                Err(io::Error::new(error.kind(), why))
            }
            Ok(receipt) => Ok(Some(receipt)),
        }
    }

    /// Takes note of one that is kept and is this node's.
    pub(crate) fn see(&mut self, receipt: &SignedReceipt) {
        self.seen = self.seen.max(Some(Age::of(receipt)));
    }

    /// Takes a newer one, and writes it if the last one was written long enough ago.
    pub(crate) fn take(&mut self, receipt: &SignedReceipt, now: Millis) -> io::Result<()> {
        if self.seen > Some(Age::of(receipt)) {
            return Ok(());
        }
        self.see(receipt);
        self.waiting = Some(receipt.clone());
        if self.written.is_some_and(|written| now.since(written) < WRITE_EVERY_MS) {
            return Ok(());
        }
        self.written = Some(now);
        self.flush()
    }

    /// Writes what waits, unless another program of this holder has written a newer one.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(receipt) = &self.waiting else { return Ok(()) };
        // Whoever streams has made the folder for its spool; others have none yet.
        if let Some(folder) = self.path.parent() {
            files::make_folder(folder, files::Audience::Owner)?;
        }
        let failed = |error: io::Error| {
            let why = format!("{} cannot be written: {error}", self.path.display());
            io::Error::new(error.kind(), why)
        };
        // Held from reading to renaming: two programs would else tear the file, or the older one
        // would come last.
        let lock = files::open_locked(&self.path.with_extension("lock"), files::Audience::Owner);
        // Another program of this holder writes its own at this moment, which is as new. Nobody
        // waits for it: it may have been stopped, and this one may have a stop to send.
        let Some(_lock) = lock.map_err(failed)? else { return Ok(()) };
        let is_older = |kept: SignedReceipt| Age::of(&kept) > Age::of(receipt);
        if !self.read()?.is_some_and(is_older) {
            let bytes = receipt.to_bytes();
            files::replace(&self.path, &[&bytes], files::Audience::Owner).map_err(failed)?;
        }
        self.waiting = None;
        Ok(())
    }
}

/// Why a receipt was not kept.
pub(crate) enum NotKept {
    /// The file system refuses.
    Io(io::Error),
    /// As many as there may be.
    Full,
}

impl ReceiptFolder {
    /// Opens the folder, making it if need be.
    pub(crate) fn open(folder: &Path, kept_max: u64) -> io::Result<ReceiptFolder> {
        files::make_folder(folder, Audience::Owner)?;
        files::check_folder(folder)?;
        // Counted once: later only new files are added.
        let kept = std::fs::read_dir(folder)?.count() as u64;
        Ok(ReceiptFolder { folder: folder.to_owned(), kept, kept_max })
    }

    /// The receipt of the highest group that a connection kept.
    pub(crate) fn newest(&self) -> io::Result<Option<SignedReceipt>> {
        // Numbers of twenty digits: the last name is the highest. Those of a later term begin
        // beyond all before.
        let mut last = None;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Of an operation over HTTP the holder is another one (`keep_receipt`).
            let is_group = path.file_stem().is_some_and(|stem| stem.len() == 20);
            if is_group && path.extension().is_some_and(|extension| extension == "receipt") {
                last = last.max(Some(path));
            }
        }
        last.map(|path| read_receipt(&path)).transpose()
    }

    /// Most files.
    pub(crate) fn limit(&self) -> u64 {
        self.kept_max
    }

    /// Keeps a receipt. One that is kept already is the same file again.
    pub(crate) fn keep(&mut self, receipt: &SignedReceipt) -> Result<(), NotKept> {
        let path = self.folder.join(format!("{:020}.receipt", receipt.receipt.group.group));
        // One that comes again must not fail for a folder that is full with it.
        if !path.exists() {
            if self.kept >= self.kept_max {
                return Err(NotKept::Full);
            }
            self.kept += 1;
        }
        // Durable before it counts: the frame that it acknowledges is forgotten next.
        files::replace(&path, &[&receipt.to_bytes()], Audience::Owner).map_err(NotKept::Io)
    }
}

/// Where a folder of receipts keeps a signed operation: a receipt names it by its digest alone, and
/// whoever is shown the receipt as evidence needs to see of what.
pub(crate) fn operation_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(format!("{}.operation", hex::encode(digest.0)))
}

/// Keeps a signed operation in a folder of receipts.
///
/// # Errors
/// What the file system says.
pub fn keep_operation(folder: &Path, operation: &wire::SignedOperation) -> io::Result<()> {
    files::make_folder(folder, files::Audience::Owner)?;
    let path = operation_path(folder, &operation.digest());
    files::replace(&path, &[operation.as_bytes()], files::Audience::Owner)
}

/// Keeps the receipt of an operation that was handed in over HTTP in a folder of receipts. Its name
/// has the holder besides the group: the key that signed, whereas a connection's holder has a name.
///
/// # Errors
/// What the file system says.
pub fn keep_receipt(folder: &Path, receipt: &SignedReceipt) -> io::Result<()> {
    files::make_folder(folder, files::Audience::Owner)?;
    let (group, holder) = (receipt.receipt.group.group, receipt.receipt.holder);
    let path = folder.join(format!("{group:020}-{}.receipt", hex::encode(&holder.0[..8])));
    files::replace(&path, &[&receipt.to_bytes()], files::Audience::Owner)
}

/// Reads a receipt file. Who signed it is not checked here.
///
/// # Errors
/// An IO error, or [`ReceiptError`] inside one if the bytes are no receipt.
pub fn read_receipt(path: &Path) -> io::Result<SignedReceipt> {
    let bytes = files::read(path, FILE_BYTES_MAX, Audience::Owner)?;
    let wrong = |error: ReceiptError| io::Error::new(io::ErrorKind::InvalidData, error);
    SignedReceipt::from_bytes(&bytes).map_err(wrong)
}

/// What the settled journal says of a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared {
    /// The receipt's group is settled, with the journal hash that the receipt names.
    Settled {
        /// In this batch.
        batch: BatchNumber,
    },
    /// The group is settled with another hash: the node signed one journal and settled another.
    OtherHash {
        /// In this batch.
        batch: BatchNumber,
        /// The receipt's.
        receipted: [u8; 32],
        /// The settled one.
        settled: [u8; 32],
    },
    /// The receipt's positions are settled, and its group is in no batch: the node signed one
    /// journal and settled another.
    Missing {
        /// The batch that must hold it at the latest.
        batch: BatchNumber,
    },
    /// The receipt's positions are later than the last header.
    NotSettled,
    /// The headers begin after the receipt's batch, or at it: what the journal hash continues is
    /// not known.
    BeforeHeaders,
}

/// A public file with which nothing can be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// It is not there.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It does not decode.
    #[error("expected a public file of batch {batch}")]
    File {
        /// Of which batch.
        batch: u64,
        /// What is wrong.
        source: FileError,
    },
    /// It is another batch's, or of another history.
    #[error("expected the public file of the header of batch {batch}, found another")]
    OtherFile {
        /// Of which batch.
        batch: u64,
    },
    /// Its groups are not those of the header.
    #[error("the journal groups of batch {batch} do not hold")]
    Groups {
        /// Of which batch.
        batch: u64,
        /// What is wrong.
        source: GroupsError,
    },
}

/// Holds a receipt against the journal that was settled: reads the public file of the batch that
/// its last position falls into (or of those before, which may share its group), folds the groups
/// to the header's journal hash, and looks for the receipt's among them.
///
/// `headers` are those that an auditor verified. Who signed the receipt is checked elsewhere.
///
/// # Errors
/// [`CompareError`] if a file is not there or not the header's.
pub fn compare(
    batches: &Batches,
    headers: &[BatchHeader],
    receipt: &SignedReceipt,
    let_pass: LetPass<'_>,
) -> Result<Compared, CompareError> {
    let group = receipt.receipt.group;
    let of = ReceiptedGroup { group: group.group, journal_hash: group.journal_hash };
    let last = receipt.receipt.items().last_position();
    let settling = headers.iter().position(|header| last <= header.journal_position);
    // A group may hold a close and what comes after it: then the batch of the close has it, also
    // if the receipt's own position is not settled yet.
    let latest = settling.unwrap_or(headers.len().saturating_sub(1));
    for (at, header) in headers.iter().enumerate().take(latest + 1).rev() {
        let Some(previous) = journal_before(headers, at, group.scope) else {
            return Ok(Compared::BeforeHeaders);
        };
        let settled = read_groups(batches, header, &previous, let_pass)?;
        match (settled.inclusion(of), settled.numbers()) {
            (Inclusion::Included, _) => return Ok(Compared::Settled { batch: header.number }),
            (Inclusion::OtherHash { receipted, settled }, _) => {
                return Ok(Compared::OtherHash { batch: header.number, receipted, settled });
            }
            // Its groups are older, or it is between them, and so are those of all before.
            (Inclusion::NotInBatch, Some((first, _))) if first <= of.group => break,
            (Inclusion::NotInBatch, _) => {}
        }
    }
    Ok(match settling {
        Some(at) => Compared::Missing { batch: headers[at].number },
        None => Compared::NotSettled,
    })
}

/// The journal hash that the batch of a header continues, as far as the headers tell.
pub(crate) fn journal_before(
    headers: &[BatchHeader],
    at: usize,
    scope: ChainScope,
) -> Option<[u8; 32]> {
    match at.checked_sub(1) {
        Some(before) => Some(headers[before].journal_hash),
        None => (headers[at].number == BatchNumber(1)).then(|| journal::genesis(scope)),
    }
}

fn read_groups(
    batches: &Batches,
    header: &BatchHeader,
    previous: &[u8; 32],
    let_pass: LetPass<'_>,
) -> Result<SettledGroups, CompareError> {
    let batch = header.number.0;
    let bytes = batches.public(header.number, let_pass)?;
    let file = PublicFile::from_bytes(&bytes);
    let file = file.map_err(|source| CompareError::File { batch, source })?;
    // Whoever serves the file is not trusted: it must be the one of the verified header.
    if scope::header_hash(&file.header) != scope::header_hash(header) {
        return Err(CompareError::OtherFile { batch });
    }
    SettledGroups::fold(previous, header, &file.groups)
        .map_err(|source| CompareError::Groups { batch, source })
}

#[cfg(test)]
mod tests;
