//! The end record: what a backup holds, written when all of it is durable.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::folder::checked::{self, Checked, CheckedError};

/// What a backup holds of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Journal, store and what goes with them.
    Node,
    /// Keys and certificates.
    Secrets,
}

impl Part {
    /// As texts name it.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Node => "node",
            Part::Secrets => "secrets",
        }
    }
}

/// What a whole backup says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndRecord {
    /// What it holds.
    pub part: Part,
    /// The journal hash before the first group: which deployment's journal it is.
    pub genesis: [u8; 32],
    /// Losses that were accepted in the journal that is copied.
    pub term: u32,
    /// Its last group.
    pub group: u64,
    /// Its last position.
    pub position: u64,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
    /// When the journal's end was chosen, milliseconds since 1970.
    pub taken_at_ms: u64,
    /// Copies.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// blake3 of the manifest.
    pub manifest: [u8; 32],
}

/// The file: hashes in hex.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::folder) struct Form {
    schema: String,
    part: Part,
    genesis: String,
    term: u32,
    group: u64,
    position: u64,
    journal_hash: String,
    taken_at_ms: u64,
    files: u64,
    bytes: u64,
    manifest: String,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-backup-1";

impl Checked for EndRecord {
    type Form = Form;
    const WHAT: &'static str = "the end record of a backup";
    const REMEDY: &'static str = ": nothing of this backup is believed; restore another one";
    const FILE_BYTES_MAX: u64 = 2048;

    fn form(&self) -> Form {
        let EndRecord { part, genesis, term, group, position, .. } = self;
        let EndRecord { journal_hash, taken_at_ms, files, bytes, manifest, .. } = self;
        let numbers = [*group, *position, *taken_at_ms, *files, *bytes].map(u64::to_be_bytes);
        let values: [&[u8]; 6] = [
            part.name().as_bytes(),
            genesis,
            &term.to_be_bytes(),
            &numbers.concat(),
            journal_hash,
            manifest,
        ];
        Form {
            schema: SCHEMA.to_owned(),
            part: *part,
            genesis: hex::encode(genesis),
            term: *term,
            group: *group,
            position: *position,
            journal_hash: hex::encode(journal_hash),
            taken_at_ms: *taken_at_ms,
            files: *files,
            bytes: *bytes,
            manifest: hex::encode(manifest),
            check: checked::check(SCHEMA, &values),
        }
    }

    fn of_form(form: &Form) -> Option<EndRecord> {
        let Form { part, term, group, position, taken_at_ms, files, bytes, .. } = *form;
        let record = EndRecord {
            part,
            genesis: checked::hash(&form.genesis)?,
            term,
            group,
            position,
            journal_hash: checked::hash(&form.journal_hash)?,
            taken_at_ms,
            files,
            bytes,
            manifest: checked::hash(&form.manifest)?,
        };
        Some(record)
    }
}

impl EndRecord {
    /// Reads the end record; `None` if there is none: then the backup was cut off.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<EndRecord>, CheckedError> {
        checked::read(path)
    }

    /// Writes the end record, durably.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_changed_byte_and_every_cut_of_an_end_record_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("end.json");
        assert_eq!(EndRecord::read(&path).unwrap(), None);
        let record = EndRecord {
            part: Part::Node,
            genesis: [1; 32],
            term: 2,
            group: 30,
            position: 400,
            journal_hash: [5; 32],
            taken_at_ms: 6,
            files: 7,
            bytes: 8,
            manifest: [9; 32],
        };
        record.write(&path).unwrap();
        assert_eq!(EndRecord::read(&path).unwrap(), Some(record));
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() < EndRecord::FILE_BYTES_MAX as usize / 2);
        let mut images: Vec<Vec<u8>> = (0..whole.len() - 1).map(|n| whole[..n].to_vec()).collect();
        // Another blank between its words is the same record.
        for at in (0..whole.len()).filter(|at| !whole[*at].is_ascii_whitespace()) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            images.push(changed);
        }
        for image in images {
            fs::write(&path, &image).unwrap();
            let found = EndRecord::read(&path);
            let text = String::from_utf8_lossy(&image);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{text}");
        }
    }
}
