//! A backup of a node's folder as it lies on a disk.
//!
//! ```text
//! DIR/node/...    copies, under the names that they have in the node's folder
//! DIR/manifest    a line for each copy: blake3, bytes, name; in the order in which they were made
//! DIR/end.json    the end record, written and synced last of all
//! ```
//!
//! A backup without its end record was cut off, and is refused: how much of it is missing nobody
//! can tell from what is there. The end record holds the hash of the manifest and the manifest that
//! of every copy, so that one flipped bit anywhere is found before anything rests on it.
//!
//! The node's secrets are a backup of their own ([`Part::Secrets`]) in the same form, because one
//! beside the other opens every patient's claims.

mod contents;
mod end;
mod manifest;
mod restored;

use std::path::{Path, PathBuf};

pub use contents::{CONTENTS, Content, Fate};
pub use end::{EndRecord, Part};
pub use manifest::{Line, LineError, Lines, Name};
pub use restored::Restored;

/// Where the parts of a backup stand.
#[derive(Clone, Debug)]
pub struct BackupFolder(PathBuf);

impl BackupFolder {
    /// The backup in this folder, which need not exist.
    pub fn new(folder: &Path) -> BackupFolder {
        BackupFolder(folder.to_owned())
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The copies, as a node's folder.
    pub fn node(&self) -> PathBuf {
        self.0.join("node")
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("manifest")
    }

    /// The end record.
    pub fn end(&self) -> PathBuf {
        self.0.join("end.json")
    }
}
