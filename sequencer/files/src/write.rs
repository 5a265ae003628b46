//! Making and replacing files and folders.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::audience::Audience;
use crate::closed::{check_file, folder_of};

/// Makes a folder with those that lead to it, and makes their names durable. One that is there
/// stays as it is: whether it is open to others asks [`crate::check_folder`], or for all of a
/// node's [`crate::check_tree`].
///
/// # Errors
/// What the system says.
pub fn make_folder(folder: &Path, audience: Audience) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|one| !one.as_os_str().is_empty());
    let missing: Vec<_> = missing.take_while(|one| !one.exists()).collect();
    // From the top, each with its own mode: a folder on the way is as secret as what it leads to.
    for new in missing.into_iter().rev() {
        let made = DirBuilder::new().mode(audience.folder_mode()).create(new);
        match made {
            // Made by another process since it was looked for.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        // The name of a folder stands in its parent, which has to be synced for it.
        sync_folder(folder_of(new))?;
    }
    Ok(())
}

/// Makes a file that must not exist yet, with this content, durable.
///
/// # Errors
/// What the system says.
pub fn create(path: &Path, bytes: &[u8], audience: Audience) -> io::Result<()> {
    let mut file = create_stream(path, audience)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(folder_of(path))
}

/// Makes a file that must not exist yet and gives it to whoever writes it piece by piece.
///
/// # Errors
/// What the system says.
pub fn create_stream(path: &Path, audience: Audience) -> io::Result<File> {
    // With the mode from the start, so that there is no moment in which others may open it; and
    // new, which also means that no link is followed.
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(audience.file_mode()).open(path)?;
    if audience == Audience::Public {
        // The umask of a program keeps others out; here they are wanted.
        file.set_permissions(Permissions::from_mode(audience.file_mode()))?;
    }
    Ok(file)
}

/// Replaces a file as a whole, durably: the parts are written beside it, synced, renamed, and the
/// folder is synced. A reader finds the old content or the new one. What is no file, such as
/// `/dev/stdout`, is written to as it is.
///
/// # Errors
/// What the system says; the old content is then still there.
pub fn replace(path: &Path, parts: &[&[u8]], audience: Audience) -> io::Result<()> {
    replace_stream(path, audience, |file| parts.iter().try_for_each(|part| file.write_all(part)))
}

/// As [`replace`], for content that is written piece by piece.
///
/// # Errors
/// What the system or `write` says; the old content is then still there.
pub fn replace_stream(
    path: &Path,
    audience: Audience,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // A link stays one: its target is what is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return write(&mut OpenOptions::new().write(true).open(&target)?);
    }
    // In the same folder: a rename is atomic only within one file system.
    let beside = beside(&target);
    let written = write_beside(&beside, audience, write);
    let renamed = written.and_then(|()| fs::rename(&beside, &target));
    renamed.inspect_err(|_| {
        // The error that stopped us is the one to report; a leftover is only waste.
        drop(fs::remove_file(&beside));
    })?;
    // A name is an entry of its folder; syncing the file alone does not keep it.
    sync_folder(folder_of(&target))
}

fn write_beside(
    beside: &Path,
    audience: Audience,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Left by a crash, perhaps, and then with any content and mode.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_stream(beside, audience)?;
    write(&mut file)?;
    // Before the rename, or a crash could leave the name with nothing behind it.
    file.sync_all()
}

/// Opens a file to read and write it in place, and makes it if need be. An owner's file that is
/// open to others is refused.
///
/// # Errors
/// [`TooOpen`](crate::TooOpen) inside, or what the system says.
pub fn open(path: &Path, audience: Audience) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    opened(path, options.mode(audience.file_mode()), audience)
}

/// As [`open`], but a file that is not there is an error.
///
/// # Errors
/// As [`open`].
pub fn open_existing(path: &Path, audience: Audience) -> io::Result<File> {
    opened(path, OpenOptions::new().read(true).write(true), audience)
}

/// As [`open_existing`], to write past the system's cache of file pages: whole blocks, from memory
/// that begins at one. What is written is durable no earlier than otherwise.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::InvalidInput`] where the file system does not do this.
pub fn open_direct(path: &Path, audience: Audience) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    opened(path, OpenOptions::new().read(true).write(true).custom_flags(flags), audience)
}

/// Gives a file another name in the same file system; what had that name is gone. Durable once both
/// folders are synced ([`sync_folder`]).
///
/// # Errors
/// What the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Whether an open file is the one that has this name now: it may have been renamed or removed
/// since.
///
/// # Errors
/// What the system says; that nothing has the name is an answer.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens an owner's file to append to it, and makes it if need be.
///
/// # Errors
/// [`TooOpen`](crate::TooOpen) inside, or what the system says.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(Audience::Owner.file_mode());
    opened(path, &options, Audience::Owner)
}

fn opened(path: &Path, options: &OpenOptions, audience: Audience) -> io::Result<File> {
    let file = options.open(path)?;
    if audience == Audience::Owner {
        // Of what was opened, not of the name: that could be another file's a moment later.
        check_file(path, &file.metadata()?)?;
    }
    Ok(file)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TooOpen;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_created_once_replaced_whole_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, b"one", Audience::Owner).unwrap();
        assert!(create(&path, b"two", Audience::Owner).is_err());
        replace(&path, &[b"th", b"ree"], Audience::Owner).unwrap();
        assert_eq!(crate::read(&path, 5, Audience::Owner).unwrap(), b"three");
        assert_eq!(
            crate::read(&path, 4, Audience::Owner).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(mode(&path), 0o600);
        replace(&path, &[b"for all"], Audience::Public).unwrap();
        assert_eq!(mode(&path), 0o644);
    }

    #[test]
    fn what_a_crash_left_beside_a_file_decides_neither_content_nor_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let left = beside(&path);
        fs::write(&left, "torn and longer than what follows").unwrap();
        fs::set_permissions(&left, Permissions::from_mode(0o666)).unwrap();
        replace(&path, &[b"new"], Audience::Owner).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        assert!(!left.exists());
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"old", Audience::Owner).unwrap();
        fs::create_dir(beside(&path)).unwrap();
        assert!(replace(&path, &[b"new"], Audience::Owner).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_link_stays_one_and_what_is_no_file_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        create(&path, b"old", Audience::Owner).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, &[b"new"], Audience::Owner).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        replace(Path::new("/dev/null"), &[b"gone"], Audience::Owner).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn folders_are_made_closed_with_those_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        make_folder(&folder, Audience::Owner).unwrap();
        make_folder(&folder, Audience::Owner).unwrap();
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
        let public = root.path().join("c");
        make_folder(&public, Audience::Public).unwrap();
        assert_eq!(mode(&public) & 0o700, 0o700);
    }

    #[test]
    fn an_open_file_is_refused_at_its_opening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        drop(open(&path, Audience::Owner).unwrap());
        drop(append(&path).unwrap());
        drop(open_existing(&path, Audience::Owner).unwrap());
        let missing = open_existing(&folder.path().join("missing"), Audience::Owner).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = crate::read(&path, 9, Audience::Owner).unwrap_err();
        let opened = open(&path, Audience::Owner).unwrap_err();
        let existing = open_existing(&path, Audience::Owner).unwrap_err();
        for error in [read, opened, existing, append(&path).unwrap_err()] {
            let found = TooOpen::in_error(&error).expect("it says what is wrong");
            assert!(found.mend.starts_with("chmod go-rwx /"), "{found}");
        }
        drop(open(&path, Audience::Public).unwrap());
        assert_eq!(crate::read(&path, 9, Audience::Public).unwrap(), b"");
    }
}
