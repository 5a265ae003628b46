//! The witness: a small file beside the journal that says how far the journal was.
//!
//! A log whose end is gone looks whole. The witness is another file, renamed into place, so that
//! whatever shortens the log leaves it behind: a damaged or exchanged disk region, a copy that was
//! cut, a restored backup of the journal alone. It is written after a group is durable, never
//! before, and so never remembers what nobody was told.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checked::{self, Checked, CheckedError};

/// How far the journal was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Witness {
    /// The journal hash before the first group: which deployment's journal it is.
    pub genesis: [u8; 32],
    /// Losses that were accepted.
    pub term: u32,
    /// The last group.
    pub group: u64,
    /// Its last position.
    pub position: u64,
    /// Journal hash after it.
    pub journal_hash: [u8; 32],
}

/// The file: names as in the page about the journal, hashes in hex.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    schema: String,
    genesis: String,
    term: u32,
    group: u64,
    position: u64,
    journal_hash: String,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-witness-1";

impl Checked for Witness {
    type Form = Form;
    const WHAT: &'static str = "a whole witness";
    const REMEDY: &'static str = ": compare the journal with a copy of it, then move the file \
                                  away, and the next start writes it anew";
    const FILE_BYTES_MAX: u64 = 1024;

    fn form(&self) -> Form {
        let Witness { genesis, term, group, position, journal_hash } = self;
        let (number, at) = (group.to_be_bytes(), position.to_be_bytes());
        let values: [&[u8]; 5] = [genesis, &term.to_be_bytes(), &number, &at, journal_hash];
        Form {
            schema: SCHEMA.to_owned(),
            genesis: hex::encode(genesis),
            term: *term,
            group: *group,
            position: *position,
            journal_hash: hex::encode(journal_hash),
            check: checked::check(SCHEMA, &values),
        }
    }

    fn of_form(form: &Form) -> Option<Witness> {
        let Form { term, group, position, .. } = *form;
        let genesis = checked::hash(&form.genesis)?;
        let journal_hash = checked::hash(&form.journal_hash)?;
        let witness = Witness { genesis, term, group, position, journal_hash };
        Some(witness)
    }
}

impl Witness {
    /// Reads the witness; `None` if there is none.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<Witness>, CheckedError> {
        checked::read(path)
    }

    /// Replaces the witness, durably.
    ///
    /// # Errors
    /// [`CheckedError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const WITNESS: Witness =
        Witness { genesis: [1; 32], term: 2, group: 30, position: 400, journal_hash: [5; 32] };

    #[test]
    fn a_witness_is_read_as_it_was_written_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.witness");
        assert_eq!(Witness::read(&path).unwrap(), None);
        WITNESS.write(&path).unwrap();
        let later = Witness { group: 31, ..WITNESS };
        later.write(&path).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), Some(later));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn every_changed_byte_and_every_cut_of_a_witness_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.witness");
        WITNESS.write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut images: Vec<Vec<u8>> = (0..whole.len() - 1).map(|n| whole[..n].to_vec()).collect();
        // Another blank between its words is the same witness.
        for at in (0..whole.len()).filter(|at| !whole[*at].is_ascii_whitespace()) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            images.push(changed);
        }
        for image in images.iter().filter(|image| !image.is_empty()) {
            fs::write(&path, image).unwrap();
            let found = Witness::read(&path);
            let text = String::from_utf8_lossy(image);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{text}");
        }
    }
}
