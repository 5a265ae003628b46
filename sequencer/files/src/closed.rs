//! What is refused because others may open it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::audience::Audience;

/// Bits of a mode that let others than the owner do anything.
const OTHERS: u32 = 0o077;
/// Bits of a mode that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// A file or folder that others may open. Stands in an [`io::Error`] of kind
/// [`io::ErrorKind::PermissionDenied`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "expected {path} to be closed to others, found mode {mode:04o}: whoever could open it may \
     have; to close it: {mend}"
)]
pub struct TooOpen {
    /// Which file or folder.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// The command that closes it.
    pub mend: String,
}

impl TooOpen {
    /// What an error says of a file or folder that is too open, if that is why.
    pub fn in_error(error: &io::Error) -> Option<&TooOpen> {
        error.get_ref()?.downcast_ref()
    }
}

/// Refuses a folder that others may open; one that is not there is not too open.
///
/// # Errors
/// [`TooOpen`] inside, or what the system says.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        found => refuse(folder, &found?, OTHERS, folder_command(folder)),
    }
}

/// Refuses a secret that others may read, or whose folder others may write: they could put another
/// file in its place.
///
/// # Errors
/// [`TooOpen`] inside, or what the system says.
pub fn check_secret(path: &Path) -> io::Result<()> {
    refuse(path, &fs::metadata(path)?, OTHERS, file_command(path))?;
    let folder = folder_of(path);
    let found = fs::metadata(folder)?;
    // Whoever may write a folder with the sticky bit, as /tmp, may not replace another's file.
    if found.permissions().mode() & 0o1000 != 0 {
        return Ok(());
    }
    refuse(folder, &found, OTHERS_WRITE, folder_command(folder))
}

/// Closes to others what something else made, such as a socket.
///
/// # Errors
/// What the system says.
pub fn close(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(Audience::Owner.file_mode()))
}

/// Refuses a folder if it or anything below it is open to others, but for the `public` paths, which
/// others may read and not write.
///
/// # Errors
/// [`TooOpen`] inside that names the first one and the command for the whole folder, or what the
/// system says.
pub fn check_tree(folder: &Path, public: &[PathBuf]) -> io::Result<()> {
    let command = folder_command(folder);
    let mut ahead = vec![folder.to_path_buf()];
    while let Some(path) = ahead.pop() {
        let found = match fs::metadata(&path) {
            // Gone since it was listed, or a link that leads nowhere: nobody reads it either way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        let is_public = public.iter().any(|one| path.starts_with(one));
        let refused = if is_public { OTHERS_WRITE } else { OTHERS };
        refuse(&path, &found, refused, command.clone())?;
        // A link's target is looked at and not followed further: links could lead in a circle.
        if found.is_dir() && (path == folder || !path.is_symlink()) {
            for entry in fs::read_dir(&path)? {
                ahead.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Refuses what has one of the bits.
fn refuse(path: &Path, found: &Metadata, bits: u32, mend: String) -> io::Result<()> {
    let mode = found.permissions().mode() & 0o7777;
    if mode & bits == 0 {
        return Ok(());
    }
    let too_open = TooOpen { path: path.to_owned(), mode, mend };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, too_open))
}

/// Refuses an opened file that others may open as well.
pub(crate) fn check_file(path: &Path, found: &Metadata) -> io::Result<()> {
    // A device or pipe, as `/dev/stdout`, is the system's or the shell's.
    if !found.is_file() {
        return Ok(());
    }
    refuse(path, found, OTHERS, file_command(path))
}

/// The folder that a path stands in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn folder_command(folder: &Path) -> String {
    format!("chmod -R go-rwx {}", quoted(folder))
}

fn file_command(path: &Path) -> String {
    format!("chmod go-rwx {}", quoted(path))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A closed folder with one file two levels down.
    fn closed_tree() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        set_mode(root.path(), 0o700);
        let below = root.path().join("a/b");
        crate::make_folder(&below, crate::Audience::Owner).unwrap();
        let file = below.join("file");
        crate::create(&file, b"x", crate::Audience::Owner).unwrap();
        (root, file)
    }

    #[test]
    fn one_open_file_in_a_folder_is_named_with_the_command_for_the_folder() {
        let (root, file) = closed_tree();
        check_tree(root.path(), &[]).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            set_mode(&file, mode);
            let error = check_tree(root.path(), &[]).unwrap_err();
            let found = TooOpen::in_error(&error).unwrap();
            assert_eq!((&found.path, found.mode), (&file, mode));
            let command = format!("chmod -R go-rwx {}", root.path().display());
            assert!(error.to_string().ends_with(&command), "{error}");
        }
    }

    #[test]
    fn what_is_public_may_be_read_by_others_and_not_written() {
        let (root, file) = closed_tree();
        let public = [file.clone()];
        set_mode(&file, 0o644);
        check_tree(root.path(), &public).unwrap();
        set_mode(&file, 0o666);
        assert!(check_tree(root.path(), &public).is_err());
    }

    #[test]
    fn an_open_folder_is_refused_and_links_end_the_walk() {
        let (root, file) = closed_tree();
        std::os::unix::fs::symlink(root.path(), root.path().join("circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("broken")).unwrap();
        check_tree(root.path(), &[]).unwrap();
        set_mode(file.parent().unwrap(), 0o755);
        assert!(check_folder(file.parent().unwrap()).is_err());
        assert!(check_tree(root.path(), &[]).is_err());
        check_folder(&root.path().join("none")).unwrap();
    }

    #[test]
    fn a_secret_in_a_folder_that_others_may_write_is_refused() {
        let (_root, file) = closed_tree();
        check_secret(&file).unwrap();
        let folder = file.parent().unwrap();
        set_mode(folder, 0o755);
        check_secret(&file).unwrap();
        set_mode(folder, 0o775);
        assert!(check_secret(&file).is_err());
        set_mode(folder, 0o1777);
        check_secret(&file).unwrap();
        set_mode(&file, 0o640);
        assert!(check_secret(&file).is_err());
        close(&file).unwrap();
        check_secret(&file).unwrap();
    }

    #[test]
    fn a_command_can_be_pasted_whatever_the_path() {
        assert_eq!(folder_command(Path::new("node")), "chmod -R go-rwx node");
        assert_eq!(file_command(Path::new("it's a")), "chmod go-rwx 'it'\\''s a'");
    }
}
