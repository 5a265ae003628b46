//! Small files of a node that say by themselves whether they are as they were written.
//!
//! Each is a JSON object for people with a check over its values, read whole and replaced whole.
//! What stands in it, and what is checked, its own module says.

use std::io;
use std::path::{Path, PathBuf};

use files::Audience;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why such a file is of no use.
#[derive(Debug, Error)]
pub enum CheckedError {
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
    #[error("expected {what} in {path}, found a damaged one{remedy}")]
    Damaged {
        /// What it holds.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do, after a colon, if somebody has to.
        remedy: &'static str,
    },
}

/// What is kept in such a file.
pub(super) trait Checked: Sized {
    /// The object, check included.
    type Form: PartialEq + Serialize + DeserializeOwned;
    /// What it is called.
    const WHAT: &'static str;
    /// What to do with a damaged one, after a colon; empty if nobody has to do anything.
    const REMEDY: &'static str;
    /// Largest file that is read; one that was written has less than half.
    const FILE_BYTES_MAX: u64;

    /// The object of a value.
    fn form(&self) -> Self::Form;

    /// The value of an object; `None` if its digits are none. Schema and check are compared by
    /// whoever reads: the object of the value has to be the one that was read.
    fn of_form(form: &Self::Form) -> Option<Self>;
}

/// Reads what an earlier run left; `None` if there is no such file.
///
/// # Errors
/// [`CheckedError`].
pub(super) fn read<T: Checked>(path: &Path) -> Result<Option<T>, CheckedError> {
    let (what, remedy) = (T::WHAT, T::REMEDY);
    let damaged = || CheckedError::Damaged { what, path: path.into(), remedy };
    let bytes = match files::read(path, T::FILE_BYTES_MAX, Audience::Owner) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(damaged()),
        found => found.map_err(failed("read", path))?,
    };
    let form: T::Form = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    // The whole object again: a changed schema, digit or check is damage, whichever it is.
    let value = T::of_form(&form).filter(|value| value.form() == form);
    value.map(Some).ok_or_else(damaged)
}

/// Replaces it, durably.
///
/// # Errors
/// [`CheckedError::File`].
pub(super) fn write<T: Checked>(value: &T, path: &Path) -> Result<(), CheckedError> {
    let text = serde_json::to_string_pretty(&value.form()).expect("numbers and hex digits");
    files::replace(path, &[text.as_bytes(), b"\n"], Audience::Owner)
        .map_err(failed("written", path))
}

/// The check: the first 16 bytes of blake3 over schema and values.
pub(super) fn check(schema: &str, values: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(schema.as_bytes());
    for value in values {
        hasher.update(value);
    }
    hex::encode(&hasher.finalize().as_bytes()[..16])
}

/// 32 bytes of hex digits.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckedError {
    let path = path.to_path_buf();
    move |source| CheckedError::File { action, path, source }
}
