//! Files: read with a limit, written whole or not at all, secrets for the owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads a whole file of at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells too long from just fitting; the length that the file system
    // says is not asked, since a pipe has none and a file may grow.
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let why = format!("expected at most {bytes_max} bytes, found more");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Replaces a file as a whole, readable for the owner alone: written beside it, synced, renamed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    // In the same folder: a rename is atomic only within one file system.
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file =
        owners(OpenOptions::new().write(true).create(true).truncate(true)).open(beside)?;
    file.write_all(bytes)?;
    // Before the rename, or a crash could leave the name with nothing behind it.
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    sync_folder(path)
}

/// Makes a file that must not exist yet, readable for the owner alone.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = owners(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(path)
}

/// Opens a file to append to it, readable for the owner alone.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    owners(OpenOptions::new().append(true).create(true)).open(path)
}

/// Whether others than the owner may read the file; never where there are no such modes.
pub(crate) fn others_may_read(path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(path).map(|_| false)
    }
}

fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // At the opening: a mode set afterwards leaves a moment in which others may read.
        options.mode(0o600);
    }
    options
}

/// Makes a new name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    // A name is an entry of its folder; syncing the file alone does not keep it.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_once_replaced_whole_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, b"one").unwrap();
        assert!(create(&path, b"two").is_err());
        replace(&path, b"three").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"three");
        assert!(!others_may_read(&path).unwrap());
        assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
