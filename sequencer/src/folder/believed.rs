//! What a node believed of the machine's clocks, for its next start on the same boot.
//!
//! The wall clock can be set while the node does not run, or just before it is started again. The
//! boot-time clock goes on, so the difference of the two, as it was believed, tells a start whether
//! the wall clock was set meanwhile. After another boot it says nothing.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use model::BootId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The believed difference of a boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Believed {
    /// Which boot.
    pub boot: BootId,
    /// Wall clock less boot-time clock, milliseconds.
    pub difference_ms: i64,
}

/// Why nothing is remembered.
#[derive(Debug, Error)]
pub enum BelievedError {
    /// The file cannot be read or written.
    #[error("{path} cannot be {action}")]
    File {
        /// What was done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not as it was written.
    #[error("expected what was believed of the clocks in {path}, found a damaged file")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    schema: String,
    /// Hex digits.
    boot: String,
    difference_ms: i64,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-clock-1";
/// Largest file that is read; one that was written has less than half.
const FILE_BYTES_MAX: u64 = 512;

impl Believed {
    fn form(&self) -> Form {
        let Believed { boot, difference_ms } = self;
        let mut hasher = blake3::Hasher::new();
        hasher.update(SCHEMA.as_bytes()).update(&boot.0).update(&difference_ms.to_be_bytes());
        Form {
            schema: SCHEMA.to_owned(),
            boot: hex::encode(boot.0),
            difference_ms: *difference_ms,
            check: hex::encode(&hasher.finalize().as_bytes()[..16]),
        }
    }

    fn of_form(form: &Form) -> Option<Believed> {
        let mut boot = [0; 16];
        hex::decode_to_slice(&form.boot, &mut boot).ok()?;
        let believed = Believed { boot: BootId(boot), difference_ms: form.difference_ms };
        let again = believed.form();
        (again.schema == form.schema && again.check == form.check).then_some(believed)
    }

    /// Reads what an earlier run left; `None` if there was none.
    ///
    /// # Errors
    /// [`BelievedError`].
    pub fn read(path: &Path) -> Result<Option<Believed>, BelievedError> {
        let damaged = || BelievedError::Damaged { path: path.into() };
        let bytes = match files::read(path, FILE_BYTES_MAX, Audience::Owner) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(damaged()),
            found => found.map_err(|source| BelievedError::File {
                action: "read",
                path: path.into(),
                source,
            })?,
        };
        let form: Form = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        Believed::of_form(&form).map(Some).ok_or_else(damaged)
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// [`BelievedError::File`].
    pub fn write(&self, path: &Path) -> Result<(), BelievedError> {
        let text = serde_json::to_string_pretty(&self.form()).expect("numbers and hex digits");
        let failed = |source| BelievedError::File { action: "written", path: path.into(), source };
        files::replace(path, &[text.as_bytes(), b"\n"], Audience::Owner).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const BELIEVED: Believed = Believed { boot: BootId([7; 16]), difference_ms: -4_000 };

    #[test]
    fn it_is_read_as_it_was_written_and_a_changed_digit_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock.witness");
        assert_eq!(Believed::read(&path).unwrap(), None);
        BELIEVED.write(&path).unwrap();
        assert_eq!(Believed::read(&path).unwrap(), Some(BELIEVED));
        let text = fs::read_to_string(&path).unwrap();
        for (was, is) in [("-4000", "-4001"), ("0707", "0706"), ("clock-1", "clock-2"), ("}", "")] {
            fs::write(&path, text.replacen(was, is, 1)).unwrap();
            let found = Believed::read(&path);
            assert!(matches!(found, Err(BelievedError::Damaged { .. })), "{was} -> {is}");
        }
        fs::write(&path, "0".repeat(600)).unwrap();
        assert!(matches!(Believed::read(&path), Err(BelievedError::Damaged { .. })));
    }
}
