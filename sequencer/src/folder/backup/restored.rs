//! The mark of a restored folder: how far the backup went, while nobody has accepted that what came
//! after it is lost.
//!
//! A restored journal looks like one that is whole: store, witness and often the contract end where
//! it ends. Without the mark the node would go on, and give numbers that were acknowledged before
//! to other entries. It is the first file of a folder that is restored, and goes when the loss is
//! accepted.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::end::EndRecord;
use crate::folder::checked::{self, Checked, CheckedError};

/// Where the backup ended that a folder was restored from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The journal hash before the first group: which deployment's journal it is.
    pub genesis: [u8; 32],
    /// Losses that were accepted in it.
    pub term: u32,
    /// Its last group.
    pub group: u64,
    /// Its last position.
    pub position: u64,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
    /// When the backup was taken, milliseconds since 1970.
    pub taken_at_ms: u64,
}

/// The file: hashes in hex.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::folder) struct Form {
    schema: String,
    genesis: String,
    term: u32,
    group: u64,
    position: u64,
    journal_hash: String,
    taken_at_ms: u64,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-restored-1";

impl Checked for Restored {
    type Form = Form;
    const WHAT: &'static str = "a whole mark of a restored folder";
    const REMEDY: &'static str = ": restore the backup again, into another folder";
    const FILE_BYTES_MAX: u64 = 1024;

    fn form(&self) -> Form {
        let Restored { genesis, term, group, position, journal_hash, taken_at_ms } = self;
        let numbers = [*group, *position, *taken_at_ms].map(u64::to_be_bytes);
        let values: [&[u8]; 4] = [genesis, &term.to_be_bytes(), &numbers.concat(), journal_hash];
        Form {
            schema: SCHEMA.to_owned(),
            genesis: hex::encode(genesis),
            term: *term,
            group: *group,
            position: *position,
            journal_hash: hex::encode(journal_hash),
            taken_at_ms: *taken_at_ms,
            check: checked::check(SCHEMA, &values),
        }
    }

    fn of_form(form: &Form) -> Option<Restored> {
        let Form { term, group, position, taken_at_ms, .. } = *form;
        let genesis = checked::hash(&form.genesis)?;
        let journal_hash = checked::hash(&form.journal_hash)?;
        let mark = Restored { genesis, term, group, position, journal_hash, taken_at_ms };
        Some(mark)
    }
}

impl Restored {
    /// The mark of a folder that is restored from a backup with this end.
    pub fn of(end: &EndRecord) -> Restored {
        let EndRecord { genesis, term, group, position, journal_hash, taken_at_ms, .. } = *end;
        Restored { genesis, term, group, position, journal_hash, taken_at_ms }
    }

    /// Reads the mark; `None` for a folder that was not restored, or whose loss was accepted.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<Restored>, CheckedError> {
        checked::read(path)
    }

    /// Writes the mark, durably.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }

    /// Takes the mark away, if there is one: the loss is accepted, and the journal itself says so.
    ///
    /// # Errors
    /// [`CheckedError::File`].
    pub fn remove(path: &Path) -> Result<(), CheckedError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let removed = match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| files::sync_folder(folder)),
        };
        let path = path.to_path_buf();
        removed.map_err(|source| CheckedError::File { action: "removed", path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_changed_digit_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("restored.mark");
        assert_eq!(Restored::read(&path).unwrap(), None);
        let mark = Restored {
            genesis: [1; 32],
            term: 2,
            group: 30,
            position: 400,
            journal_hash: [5; 32],
            taken_at_ms: 6,
        };
        mark.write(&path).unwrap();
        assert_eq!(Restored::read(&path).unwrap(), Some(mark));
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [("30", "31"), ("400", "401"), ("0505", "0506"), (" 6", " 7"), ("}", "")] {
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            let found = Restored::read(&path);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{was} -> {is}");
        }
        Restored::remove(&path).unwrap();
        Restored::remove(&path).unwrap();
        assert_eq!(Restored::read(&path).unwrap(), None);
    }
}
