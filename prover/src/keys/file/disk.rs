//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::KeyFileError;

/// Writes `parts` to `path` by way of a neighbour that is renamed once it is on disk.
pub(crate) fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), KeyFileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = File::create(&temporary).and_then(|mut file| {
        parts.iter().try_for_each(|part| file.write_all(part))?;
        // Synced before the rename: the name must never lead to bytes that a power cut can take.
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        // The error that stopped us is the one to report; a leftover is only waste.
        let _ = fs::remove_file(&temporary);
        KeyFileError::io(path, source)
    })
}
