//! What a node believed of the machine's clocks, for its next start on the same boot.
//!
//! The wall clock can be set while the node does not run, or just before it is started again. The
//! boot-time clock goes on, so the difference of the two, as it was believed, tells a start whether
//! the wall clock was set meanwhile. After another boot it says nothing.

use std::path::Path;

use model::BootId;
use serde::{Deserialize, Serialize};

use super::checked::{self, Checked, CheckedError};

/// The believed difference of a boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Believed {
    /// Which boot.
    pub boot: BootId,
    /// Wall clock less boot-time clock, milliseconds.
    pub difference_ms: i64,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    schema: String,
    /// Hex digits.
    boot: String,
    difference_ms: i64,
    /// The first 16 bytes of blake3 over everything above.
    check: String,
}

const SCHEMA: &str = "vitals-clock-1";

impl Checked for Believed {
    type Form = Form;
    const WHAT: &'static str = "what was believed of the clocks";
    // The next start takes the clocks as they are, as on another boot.
    const REMEDY: &'static str = "";
    const FILE_BYTES_MAX: u64 = 512;

    fn form(&self) -> Form {
        let Believed { boot, difference_ms } = self;
        Form {
            schema: SCHEMA.to_owned(),
            boot: hex::encode(boot.0),
            difference_ms: *difference_ms,
            check: checked::check(SCHEMA, &[&boot.0, &difference_ms.to_be_bytes()]),
        }
    }

    fn of_form(form: &Form) -> Option<Believed> {
        let mut boot = [0; 16];
        hex::decode_to_slice(&form.boot, &mut boot).ok()?;
        let believed = Believed { boot: BootId(boot), difference_ms: form.difference_ms };
        Some(believed)
    }
}

impl Believed {
    /// Reads what an earlier run left; `None` if there was none.
    ///
    /// # Errors
    /// [`CheckedError`].
    pub fn read(path: &Path) -> Result<Option<Believed>, CheckedError> {
        checked::read(path)
    }

    /// Replaces it, durably.
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
            assert!(matches!(found, Err(CheckedError::Damaged { .. })), "{was} -> {is}");
        }
        fs::write(&path, "0".repeat(600)).unwrap();
        assert!(matches!(Believed::read(&path), Err(CheckedError::Damaged { .. })));
    }
}
