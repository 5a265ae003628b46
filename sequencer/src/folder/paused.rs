//! That an operator has paused settling, for as long as it holds: also over a start.
//!
//! Whoever pauses means that nothing goes to the chain until somebody says so. A node that a crash
//! or a service manager started again would not know, so it stands in the folder.

use std::path::Path;
use std::{fs, io};

use model::Millis;
use serde::{Deserialize, Serialize};

use super::checked::{self, Checked, CheckedError};
use super::who::Who;

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub at: Millis,
    /// By whom.
    pub who: Who,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    schema: String,
    /// Since when, milliseconds since 1970.
    since_unix_ms: u64,
    who: Who,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-paused-1";

impl Checked for Paused {
    type Form = Form;
    const WHAT: &'static str = "a whole note of a pause";
    const REMEDY: &'static str = ": `sequencer resume` removes it";
    const FILE_BYTES_MAX: u64 = 8192;

    fn form(&self) -> Form {
        let Paused { at, who } = self;
        let since_unix_ms = at.unix_ms();
        let whom = serde_json::to_vec(who).expect("numbers and words");
        Form {
            schema: SCHEMA.to_owned(),
            since_unix_ms,
            who: who.clone(),
            check: checked::check(SCHEMA, &[&since_unix_ms.to_be_bytes(), &whom]),
        }
    }

    fn of_form(form: &Form) -> Option<Paused> {
        Some(Paused { at: Millis::from_unix_ms(form.since_unix_ms), who: form.who.clone() })
    }
}

impl Paused {
    /// Reads what an earlier run left; `None` where nothing is paused.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<Paused>, CheckedError> {
        checked::read(path)
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// [`CheckedError::File`].
    pub fn write(&self, path: &Path) -> Result<(), CheckedError> {
        checked::write(self, path)
    }

    /// Removes it, durably. That there is none is what is wanted.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        path.parent().map_or(Ok(()), files::sync_folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_it_was_written_until_it_is_removed_and_a_changed_one_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("paused.json");
        assert_eq!(Paused::read(&path).unwrap(), None);
        let who = Who { uid: 7, pid: None, name: Some("anna".into()), reason: None };
        let paused = Paused { at: Millis::from_unix_ms(1_800_000_000_000), who };
        paused.write(&path).unwrap();
        assert_eq!(Paused::read(&path).unwrap(), Some(paused));
        let text = fs::read_to_string(&path).unwrap();
        for (was, is) in [("anna", "anne"), ("1800000000000", "1800000000001"), ("}", "")] {
            fs::write(&path, text.replacen(was, is, 1)).unwrap();
            let found = Paused::read(&path);
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{was} -> {is}");
        }
        for _ in 0..2 {
            Paused::remove(&path).unwrap();
            assert_eq!(Paused::read(&path).unwrap(), None);
        }
    }
}
