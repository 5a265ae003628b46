//! The mark of an archive: the last manifest that this node wrote or saw there.
//!
//! A bucket that was emptied, a disk that is not mounted or another address looks like an archive
//! that is new. The mark is what tells them apart: a place without that manifest is not the one
//! that holds what left this folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checked::{self, Checked, CheckedError};

/// The last manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchiveMark {
    /// The journal hash before the first group: which deployment's archive it is.
    pub genesis: [u8; 32],
    /// Its number.
    pub number: u64,
    /// blake3 of it.
    pub hash: [u8; 32],
}

/// The file: hashes in hex.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    schema: String,
    genesis: String,
    number: u64,
    hash: String,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-archive-mark-1";

impl Checked for ArchiveMark {
    type Form = Form;
    const WHAT: &'static str = "a whole mark of the archive";
    const REMEDY: &'static str = ": compare the archive (`sequencer archive verify`) with a copy, \
                                  then move the file away, and the next round writes it anew";
    const FILE_BYTES_MAX: u64 = 1024;

    fn form(&self) -> Form {
        let ArchiveMark { genesis, number, hash } = self;
        let values: [&[u8]; 3] = [genesis, &number.to_be_bytes(), hash];
        Form {
            schema: SCHEMA.to_owned(),
            genesis: hex::encode(genesis),
            number: *number,
            hash: hex::encode(hash),
            check: checked::check(SCHEMA, &values),
        }
    }

    fn of_form(form: &Form) -> Option<ArchiveMark> {
        let (genesis, hash) = (checked::hash(&form.genesis)?, checked::hash(&form.hash)?);
        let mark = ArchiveMark { genesis, number: form.number, hash };
        Some(mark)
    }
}

impl ArchiveMark {
    /// Reads the mark; `None` where nothing was archived yet.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<ArchiveMark>, CheckedError> {
        checked::read(path)
    }

    /// Writes the mark, durably.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_changed_digit_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.mark");
        assert_eq!(ArchiveMark::read(&path).unwrap(), None);
        let mark = ArchiveMark { genesis: [1; 32], number: 30, hash: [5; 32] };
        mark.write(&path).unwrap();
        assert_eq!(ArchiveMark::read(&path).unwrap(), Some(mark));
        let text = std::fs::read_to_string(&path).unwrap();
        for (was, is) in [("30", "31"), ("0505", "0506"), ("0101", "0102"), ("}", "")] {
            std::fs::write(&path, text.replacen(was, is, 1)).unwrap();
            let found = ArchiveMark::read(&path);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{was} -> {is}");
        }
    }
}
