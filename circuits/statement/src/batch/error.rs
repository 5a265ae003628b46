//! Why bytes are no batch file, of either kind.

use model::DecodeError;
use thiserror::Error;

/// Bytes that are no batch file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// Another magic or format version.
    #[error("expected a {expected} of format version 2, found other leading bytes")]
    Magic {
        /// Which file was expected.
        expected: &'static str,
    },
    /// The format of the first version.
    #[error("found a {found} of format version 1: {}", model::FIRST_VERSION)]
    FirstVersion {
        /// Which file was found.
        found: &'static str,
    },
    /// Larger than any file the system writes.
    #[error("expected at most {expected} bytes of {what}, found {found}")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Most bytes.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The header does not decode.
    #[error("the batch header is malformed")]
    Header(#[from] model::HeaderError),
    /// A field does not decode.
    #[error("the {section} section is malformed")]
    Section {
        /// Which section.
        section: &'static str,
        /// What is wrong there.
        source: DecodeError,
    },
}

/// Names the section in which decoding failed.
pub(super) fn section(section: &'static str) -> impl Fn(DecodeError) -> FileError {
    move |source| FileError::Section { section, source }
}

/// What follows the magic, which ends with the version.
pub(super) fn find_version<'a>(
    what: &'static str,
    magic: &[u8; 8],
    bytes: &'a [u8],
) -> Result<&'a [u8], FileError> {
    match bytes.split_first_chunk::<8>() {
        Some((found, rest)) if found == magic => Ok(rest),
        // By name, because somebody has such files and must learn what to do with them.
        Some((found, _)) if found[..7] == magic[..7] && found[7] == 1 => {
            Err(FileError::FirstVersion { found: what })
        }
        _ => Err(FileError::Magic { expected: what }),
    }
}
