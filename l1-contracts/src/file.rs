//! Files that a crash leaves whole: the old one or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Replaces the file at `path` as a whole: written beside it, synced, renamed, and the folder
/// synced, so that what is there after a power cut is all of the one or all of the other.
///
/// # Errors
/// What the file system says; the old file is then still there.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    // Before the rename, or a crash could leave the name with nothing behind it.
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

/// Reads a file, and stops one byte behind `most`: that tells the caller that it is longer.
///
/// # Errors
/// What the file system says.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Not by the length that the file system says: a pipe has none, and a file may grow.
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
