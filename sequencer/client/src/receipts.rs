//! Receipts kept as files: evidence of what the node promised, for as long as somebody may ask.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
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
        files::make_folder(folder, Audience::Owner)?;
        files::check_folder(folder)?;
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
        // Durable before it counts: the frame that it acknowledges is forgotten next.
        files::replace(&path, &[&receipt.to_bytes()], Audience::Owner).map_err(NotKept::Io)
    }
}

/// Reads a receipt file. Who signed it is not checked here.
///
/// # Errors
/// An IO error, or [`ReceiptError`] inside one if the bytes are no receipt.
pub fn read_receipt(path: &Path) -> io::Result<SignedReceipt> {
    let bytes = files::read(path, FILE_BYTES_MAX)?;
    let wrong = |error: ReceiptError| io::Error::new(io::ErrorKind::InvalidData, error);
    SignedReceipt::from_bytes(&bytes).map_err(wrong)
}
