//! Receipts kept as files: evidence of what the node promised, for as long as somebody may ask.

use std::io;
use std::path::{Path, PathBuf};

use model::Digest;
use wire::{ReceiptError, SignedReceipt};

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
        std::fs::create_dir_all(folder)?;
        // Counted once: later only new files are added.
        let kept = std::fs::read_dir(folder)?.count() as u64;
        Ok(ReceiptFolder { folder: folder.to_owned(), kept, kept_max })
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
        std::fs::write(&path, receipt.to_bytes()).map_err(NotKept::Io)
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

/// Reads a receipt file. Who signed it is not checked here.
///
/// # Errors
/// An IO error, or [`ReceiptError`] inside one if the bytes are no receipt.
pub fn read_receipt(path: &Path) -> io::Result<SignedReceipt> {
    let bytes = crate::file::read(path, FILE_BYTES_MAX)?;
    let wrong = |error: ReceiptError| io::Error::new(io::ErrorKind::InvalidData, error);
    SignedReceipt::from_bytes(&bytes).map_err(wrong)
}
