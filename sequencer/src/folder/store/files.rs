//! Files that exist whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ::files::Audience;

use super::error::StoreError;
use super::row::FileDigest;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::File { action, path: path.to_path_buf(), source }
}

/// Makes a folder and its name durable.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    ::files::make_folder(folder, Audience::Owner).map_err(failed("make", folder))
}

/// Replaces a file, durable when it returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    ::files::replace(path, &[bytes], Audience::Owner).map_err(failed("write", path))
}

/// Removes a file, durable when it returns.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(failed("remove", path))?,
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    ::files::sync_folder(folder).map_err(failed("sync", folder))
}

/// Opens the database's file, which is made if it is not there.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    ::files::open(path, Audience::Owner).map_err(failed("open", path))
}

/// Reads a file of this digest; `None` if it is gone or another.
pub(super) fn read(path: &Path, expected: &FileDigest) -> Result<Option<Vec<u8>>, StoreError> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed("inspect", path))?,
    };
    // Checked first, so that a file of any size costs no memory.
    if found.len() != expected.bytes {
        return Ok(None);
    }
    let bytes = match fs::read(path) {
        // It leaves for the archive just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(failed("read", path))?,
    };
    Ok(Some(bytes).filter(|bytes| FileDigest::of(bytes) == *expected))
}
