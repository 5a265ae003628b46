//! Snapshots: the ledger's state as files, so that a start absorbs the end of the journal alone.
//!
//! ```text
//!   snapshots/0000000000004a11.snapshot     the state after journal group 0x4a11
//!   snapshots/0000000000005203.snapshot     a later one
//!   snapshots/frames.index                  nodes of the index of stored frames, one for all
//! ```
//! A file is written under another name, synced, renamed and its name synced: it is whole or not
//! there. It says of which journal it is, after which group it stands, and the journal's hash
//! there, and ends with the hash of all of it. What is in it is sealed, because it holds what
//! opens patients' claims. Layouts byte by byte: `sequencer/docs/snapshots.md`.
//!
//! Nothing here is the truth: whoever starts holds a snapshot against the journal, and the journal
//! makes all of it again.

mod error;
pub mod fault;
mod head;
mod medium;

use std::io;
use std::sync::Arc;

pub use error::{SNAPSHOT_BYTES_MAX, SnapshotError};
pub use head::{Binding, SnapshotHead};
pub use medium::{FolderMedium, SnapshotMedium};

/// The file of the nodes of the index of stored frames.
pub const INDEX: &str = "frames.index";
/// The name of a snapshot while it is written.
const NEXT: &str = "next";
const EXTENSION: &str = ".snapshot";
/// Bytes of the hash at the end.
const HASH_BYTES: usize = 32;

/// A whole snapshot, its state still sealed.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it stands.
    pub head: SnapshotHead,
    /// The state, sealed for the bytes of the head.
    pub body: Vec<u8>,
}

/// The snapshots of one journal. Clones are of the same folder.
#[derive(Clone)]
pub struct SnapshotFiles {
    medium: Arc<dyn SnapshotMedium>,
    binding: Binding,
}

impl SnapshotFiles {
    /// Those of a journal on a medium.
    pub fn new(medium: Arc<dyn SnapshotMedium>, binding: Binding) -> SnapshotFiles {
        SnapshotFiles { medium, binding }
    }

    /// Where they are stored.
    pub fn medium(&self) -> &Arc<dyn SnapshotMedium> {
        &self.medium
    }

    /// The groups after which a snapshot stands, by the names of the files, the last first.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn groups(&self) -> io::Result<Vec<u64>> {
        let names = self.medium.names()?;
        let mut groups: Vec<u64> = names.iter().filter_map(|name| group_of(name)).collect();
        groups.sort_unstable_by(|a, b| b.cmp(a));
        Ok(groups)
    }

    /// What the head of a snapshot says; that all of it is whole only [`Self::read`] tells.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is of another journal or version, or none.
    pub fn head(&self, group: u64) -> Result<SnapshotHead, SnapshotError> {
        let (name, mut bytes) = (name_of(group), [0; SnapshotHead::BYTES]);
        let found = self.medium.len(&name)?;
        if found < SnapshotHead::BYTES as u64 {
            return Err(SnapshotError::Length { expected: SnapshotHead::BYTES as u64, found });
        }
        self.medium.read_at(&name, 0, &mut bytes)?;
        SnapshotHead::decode(&bytes, &self.binding)
    }

    /// Reads a snapshot and checks all of it. Memory: as much as the file.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read(&self, group: u64) -> Result<Snapshot, SnapshotError> {
        let mut bytes = self.medium.read(&name_of(group), SNAPSHOT_BYTES_MAX)?;
        let found = bytes.len() as u64;
        let Some(first) = bytes.first_chunk() else {
            return Err(SnapshotError::Length { expected: SnapshotHead::BYTES as u64, found });
        };
        let head = SnapshotHead::decode(first, &self.binding)?;
        let expected = head.body_bytes.saturating_add((SnapshotHead::BYTES + HASH_BYTES) as u64);
        if expected != found {
            return Err(SnapshotError::Length { expected, found });
        }
        let hash = bytes.split_off(bytes.len() - HASH_BYTES);
        if blake3::hash(&bytes).as_bytes()[..] != hash[..] {
            return Err(SnapshotError::Damaged);
        }
        let body = bytes.split_off(SnapshotHead::BYTES);
        Ok(Snapshot { head, body })
    }

    /// Writes a snapshot, durably, and gives its length. `seal` is given the bytes of the head,
    /// which nobody can change then without being noticed.
    ///
    /// # Errors
    /// [`SnapshotError`]; then there is none, or the one that was there.
    pub fn write(&self, head: SnapshotHead, body: &[u8]) -> Result<u64, SnapshotError> {
        let head = SnapshotHead { body_bytes: body.len() as u64, ..head };
        let mut bytes = head.encode(&self.binding).to_vec();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        let found = bytes.len() as u64;
        if found > SNAPSHOT_BYTES_MAX {
            return Err(SnapshotError::TooLarge { found });
        }
        let written = self.write_whole(&name_of(head.group), &bytes);
        // A leftover is only waste.
        written.inspect_err(|_| drop(self.medium.remove(NEXT)))?;
        Ok(found)
    }

    fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.medium.write_new(NEXT, bytes)?;
        // Before the rename, or a crash could leave the name with nothing behind it.
        self.medium.sync(NEXT)?;
        self.medium.rename(NEXT, name)?;
        self.medium.sync_names()
    }

    /// Removes every snapshot but those, durably.
    ///
    /// # Errors
    /// The first that the medium says.
    pub fn keep(&self, groups: &[u64]) -> io::Result<()> {
        let mut removed = false;
        for group in self.groups()?.into_iter().filter(|group| !groups.contains(group)) {
            self.medium.remove(&name_of(group))?;
            removed = true;
        }
        if removed { self.medium.sync_names() } else { Ok(()) }
    }

    /// What the head of a snapshot is sealed with its state.
    pub fn sealed_with(&self, head: &SnapshotHead) -> [u8; SnapshotHead::SEALED_BYTES] {
        head.sealed_with(&self.binding)
    }

    /// The first bytes of the index, which say of which journal it is.
    pub fn index_header(&self) -> [u8; Binding::INDEX_BYTES] {
        self.binding.index_header()
    }
}

fn name_of(group: u64) -> String {
    format!("{group:016x}{EXTENSION}")
}

fn group_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?;
    let group = u64::from_str_radix(digits, 16).ok()?;
    // The whole name again: `+1` is a number too.
    (name_of(group) == name).then_some(group)
}

#[cfg(test)]
mod tests;
