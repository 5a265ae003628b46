//! Where the bytes of a recording come from. Nothing here opens a file: whoever runs the program
//! says how a name becomes bytes, since only it knows the folder.

use std::io;

use thiserror::Error;

/// Most bytes of one file that are read unless another limit is asked for.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Longest name that a header may give a file.
const NAME_BYTES_MAX: usize = 255;

/// Gives the bytes of a file that stands beside the one that was asked for.
pub trait Files {
    /// All bytes of a file; an error if it has more than `bytes_max`, before they are read.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>>;
}

impl<F: Fn(&str, u64) -> io::Result<Vec<u8>>> Files for F {
    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self(name, bytes_max)
    }
}

/// A file that does not come.
#[derive(Debug, Error)]
pub enum FileError {
    /// A header names a file elsewhere: it came from who knows where, and asks for any file.
    #[error("expected the plain name of a file in the same folder, found {found}")]
    Name {
        /// What was named.
        found: String,
    },
    /// The file cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Larger than may be.
    #[error("expected at most {bytes_max} bytes, found {found} in {name}")]
    Long {
        /// Which.
        name: String,
        /// The limit.
        bytes_max: u64,
        /// How many it has.
        found: u64,
    },
}

/// Files of one folder, none above a limit.
#[derive(Clone, Copy)]
pub struct Folder<'a> {
    files: &'a dyn Files,
    bytes_max: u64,
}

impl std::fmt::Debug for Folder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl<'a> Folder<'a> {
    /// Files of at most `bytes_max` bytes each, as [`FILE_BYTES_MAX`].
    pub fn new(files: &'a dyn Files, bytes_max: u64) -> Folder<'a> {
        Folder { files, bytes_max }
    }

    /// The bytes of a file that another file names: its name must be a plain one.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, FileError> {
        if !is_plain(name) {
            return Err(FileError::Name { found: model::escape(name) });
        }
        self.read_asked(name, bytes_max)
    }

    /// The bytes of the file that was asked for, at most `bytes_max` and the folder's own limit.
    pub(crate) fn read_asked(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, FileError> {
        // The format's limit and that of whoever runs the program: the lower one holds.
        let bytes_max = bytes_max.min(self.bytes_max);
        let read = self.files.read(name, bytes_max);
        let bytes = read.map_err(|source| FileError::Read { name: name.to_owned(), source })?;
        // Checked again: a closure may not have looked, and a file may grow while it is read.
        let found = bytes.len() as u64;
        if found > bytes_max {
            return Err(FileError::Long { name: name.to_owned(), bytes_max, found });
        }
        Ok(bytes)
    }
}

/// Whether a name leads nowhere else, on any system: no separators, drives or hidden files.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_asked_for_and_nothing_larger_is_taken() {
        let files = |_: &str, _: u64| Ok(vec![0; 5]);
        let folder = Folder::new(&files, 4);
        for name in ["", "..", ".hidden", "a/b", "..\\b", "C:b", "a\nb", "/etc/passwd"] {
            let error = folder.read(name, 9).unwrap_err();
            assert!(matches!(error, FileError::Name { .. }), "{name:?}: {error}");
        }
        let error = folder.read("a.dat", 9).unwrap_err().to_string();
        assert_eq!(error, "expected at most 4 bytes, found 5 in a.dat");
        assert_eq!(Folder::new(&files, 9).read("a.dat", 5).unwrap().len(), 5);
        // Whoever runs the program may call a file as they like.
        assert!(Folder::new(&files, 9).read_asked("2026-05-01T08:30.edf", 5).is_ok());
    }
}
