//! Files that exist whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::error::StoreError;
use super::row::FileDigest;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::File { action, path: path.to_path_buf(), source }
}

/// Makes a folder and its name durable.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    // The name of a folder stands in its parent, which has to be synced for it.
    match folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

/// Writes beside the file, syncs, then renames: a reader sees the old file or the new one. The
/// name is durable after [`sync_folder`].
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    // In the same folder: a rename across file systems would be a copy, which a crash can cut.
    let beside = path.with_extension("bin.new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(failed("write", &beside))?;
    fs::rename(&beside, path).map_err(failed("rename to", path))
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
    let bytes = fs::read(path).map_err(failed("read", path))?;
    Ok(Some(bytes).filter(|bytes| FileDigest::of(bytes) == *expected))
}
