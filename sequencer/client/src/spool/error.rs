//! Why what was kept cannot be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What was kept cannot be read or written.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The file system refuses.
    #[error("the spool file {path} is not accessible")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was written may not be there any more.
    #[error(
        "expected the disk to keep what was written to {path}, found that it failed to: nothing \
         more of this stream is kept or sent. See to the disk, then start anew: what is read back \
         is sent again"
    )]
    Unsynced {
        /// Which folder.
        path: PathBuf,
    },
    /// A kept frame cannot be encrypted.
    #[error("expected a kept frame that can be encrypted")]
    Encrypt(#[source] wire::FrameError),
    /// The file begins with something else.
    #[error("expected a file of frames without a receipt, of version 1 or 2, at {path}")]
    Format {
        /// Which file.
        path: PathBuf,
    },
    /// What was stored is not what is read.
    #[error(
        "expected the frames that were kept in {path}, found damage at byte {at}: nothing of this \
         stream is sent. Keep its folder elsewhere, remove it from the state folder, and send \
         again from its source what has no receipt"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it begins.
        at: u64,
    },
    /// Files of frames are gone.
    #[error(
        "expected frame {expected} of this stream in {path}, found frame {found}: a file of frames \
         is missing before it. Put it back, or keep the stream's folder elsewhere, remove it from \
         the state folder, and send again from its source what has no receipt"
    )]
    Missing {
        /// The file that goes on too late.
        path: PathBuf,
        /// Number of the frame that should stand there.
        expected: u64,
        /// Number of the frame that does.
        found: u64,
    },
    /// A release before this one wrote to its file after that was taken over.
    #[error(
        "expected the frames of this stream in {path} alone, found {old} too: a release before \
         this one wrote it since. Nothing of this stream is sent, because both may have used a \
         sequence: keep one of the two elsewhere, remove it from the state folder, and send again \
         from its source what of it has no receipt"
    )]
    Old {
        /// Where the frames are.
        path: PathBuf,
        /// The file of the release before.
        old: PathBuf,
    },
    /// Another program sends the same stream.
    #[error(
        "expected to be the only program that sends this stream from its folder, found that \
         another holds {path}: let that one end, or give this one a state folder of its own"
    )]
    Held {
        /// The file that it holds.
        path: PathBuf,
    },
    /// Frames of another patient lack receipts, or were given up and nobody was told.
    #[error(
        "expected readings of the patient whose readings of this device have no receipt yet in \
         {path}, or are given up and not told, found another patient: send those first, with \
         their patient, or give this one a state folder of its own"
    )]
    Patient {
        /// Which folder.
        path: PathBuf,
    },
    /// Frames of another epoch lack receipts.
    #[error("expected to go on in epoch {expected}, found {found} asked for")]
    Epoch {
        /// Epoch of the frames kept.
        expected: u16,
        /// Epoch asked for.
        found: u16,
    },
    /// No epoch is left for another patient, or behind what was refused.
    #[error(
        "expected an epoch that is left for the stream of {path}, found that all 65,535 are used: \
         register another name for the device, and send under that"
    )]
    EpochsUsed {
        /// Which folder.
        path: PathBuf,
    },
}

impl SpoolError {
    /// Whether it is room on the disk that is missing.
    pub(super) fn is_of_full_disk(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, SpoolError::File { source, .. } if full.contains(&source.kind()))
    }
}
