//! The journal of the version before: one file beside the folder that a journal is now. It becomes
//! the first file of that folder, by command.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use files::Audience;
use journal::{FileName, OpenError};
use thiserror::Error;

use super::layout::Layout;

/// Why a journal of one file is not gone on with.
#[derive(Debug, Error)]
pub enum OldJournalError {
    /// There is one, and no command has moved it yet.
    #[error(
        "expected the journal in {folder}, found one of the version before in {path}: nothing is \
         changed; run `sequencer journal convert --dir {dir}`, which moves it there, and start \
         again"
    )]
    Unconverted {
        /// The old file.
        path: PathBuf,
        /// The folder of the journal.
        folder: PathBuf,
        /// The node's folder.
        dir: PathBuf,
    },
    /// There are two journals.
    #[error(
        "expected one journal, found {path} and files in {folder}: nothing is changed; the newer \
         one is the node's, move the other out of the node's folder"
    )]
    Both {
        /// The old file.
        path: PathBuf,
        /// The folder of the journal.
        folder: PathBuf,
    },
    /// A node of the version before runs on it.
    #[error("expected a stopped node, found {path} open: stop it first")]
    Locked {
        /// The old file.
        path: PathBuf,
    },
    /// It is no journal of the version before.
    #[error("{path} does not become the journal")]
    Refused {
        /// The old file.
        path: PathBuf,
        /// Why.
        source: Box<OpenError>,
    },
    /// A file is moved by its name, which does not leave its file system.
    #[error(
        "expected the journal's folder in the file system of {path}, found it in another, where \
         nothing is moved by its name: {path} is as it was; with the node stopped, copy it to \
         {first}, run `sync`, compare the two, and move {path} out of the node's folder"
    )]
    Apart {
        /// The old file.
        path: PathBuf,
        /// What it would be called.
        first: PathBuf,
    },
    /// The system refused.
    #[error("{path} cannot be moved to the journal's folder")]
    Io {
        /// The old file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Refuses a folder with a journal of one file.
///
/// # Errors
/// [`OldJournalError`]; of the first version it says so, because nothing of that is converted.
pub fn refuse(layout: &Layout) -> Result<(), OldJournalError> {
    let path = layout.old_journal();
    let failed = |source| OldJournalError::Io { path: path.clone(), source };
    if !path.try_exists().map_err(failed)? {
        return Ok(());
    }
    holds_groups(&path)?;
    let (folder, dir) = (layout.journal(), layout.folder().to_owned());
    Err(OldJournalError::Unconverted { path, folder, dir })
}

/// Moves a journal of one file into the folder, as its first file; `None` if there is none. Its
/// bytes are not touched: the log goes on in the file behind it.
///
/// # Errors
/// [`OldJournalError`]; nothing is changed then.
pub fn convert(layout: &Layout) -> Result<Option<PathBuf>, OldJournalError> {
    let (path, folder) = (layout.old_journal(), layout.journal());
    let failed = |source| OldJournalError::Io { path: path.clone(), source };
    if !path.try_exists().map_err(failed)? {
        return Ok(None);
    }
    let lock = files::open_locked(&path, Audience::Owner).map_err(failed)?;
    let _lock = lock.ok_or_else(|| OldJournalError::Locked { path: path.clone() })?;
    let is_begun = holds_groups(&path)?;
    if has_files(&folder).map_err(failed)? {
        return Err(OldJournalError::Both { path, folder });
    }
    let first = folder.join(FileName::Log(1).to_string());
    let moved = files::make_folder(&folder, Audience::Owner).and_then(|()| match is_begun {
        true => files::rename(&path, &first),
        // Power failed while it was made: nothing was ever acknowledged in it.
        false => std::fs::remove_file(&path),
    });
    // Its name in the folder before the one outside is gone for certain: both folders are synced,
    // and until then a crash leaves it under one of the two.
    let synced = moved.and_then(|()| files::sync_folder(&folder));
    match synced.and_then(|()| files::sync_folder(layout.folder())) {
        Ok(()) => Ok(Some(first)),
        Err(source) => Err(not_moved(path, first, source)),
    }
}

fn not_moved(path: PathBuf, first: PathBuf, source: io::Error) -> OldJournalError {
    match source.kind() {
        io::ErrorKind::CrossesDevices => OldJournalError::Apart { path, first },
        _ => OldJournalError::Io { path, source },
    }
}

/// Whether groups may stand in the file.
fn holds_groups(path: &Path) -> Result<bool, OldJournalError> {
    let failed = |source| OldJournalError::Io { path: path.to_owned(), source };
    let mut beginning = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(128).read_to_end(&mut beginning).map_err(failed)?;
    journal::is_one_file(&beginning)
        .map_err(|source| OldJournalError::Refused { path: path.to_owned(), source: source.into() })
}

/// Whether there is a file of a log in the folder.
pub(crate) fn has_files(folder: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if matches!(name.to_str().and_then(FileName::parse), Some(FileName::Log(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_another_file_system_is_named_with_what_to_do() {
        let (path, first) = ("node/journal.log".into(), "node/journal/00000001.log".into());
        let error = not_moved(path, first, io::ErrorKind::CrossesDevices.into());
        assert!(matches!(error, OldJournalError::Apart { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("copy it to node/journal/00000001.log"), "{said}");
    }
}
