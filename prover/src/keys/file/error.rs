//! Why a key file is refused.

use std::io;
use std::path::{Path, PathBuf};

use crate::keys::key::KeyError;

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not a key file.
    #[error("expected a key file beginning with \"vitalspk\"")]
    Magic,
    /// Another format or reduction.
    #[error("expected format 1 with reduction 1, found format {version}, reduction {reduction}")]
    Version {
        /// Format found.
        version: u32,
        /// Reduction found.
        reduction: u32,
    },
    /// No such provenance, or one that contradicts the transcript hash.
    #[error("expected provenance 1 without transcript or 2 with one, found {found}")]
    Provenance {
        /// The code found.
        found: u32,
    },
    /// Reserved bytes are used.
    #[error("expected zeros in the reserved bytes of the header")]
    Reserved,
    /// The key is for another circuit.
    #[error("expected the key of circuit {}, found {}", hex::encode(expected), hex::encode(found))]
    Circuit {
        /// The caller's circuit.
        expected: [u8; 32],
        /// The file's circuit.
        found: [u8; 32],
    },
    /// More constraints than any domain holds.
    #[error("the header names more than 2^27 rows")]
    TooLarge,
    /// The file is shorter or longer than its header says.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes that the header asks for.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The file is damaged, or is not the pinned one.
    #[error("expected file hash {}, found {}", hex::encode(expected), hex::encode(found))]
    Hash {
        /// The hash in the header or the pin.
        expected: [u8; 32],
        /// The hash of the bytes.
        found: [u8; 32],
    },
    /// A point is not reduced, off its curve or outside its subgroup.
    #[error("a point of section {section} is not in its group")]
    Point {
        /// The section of the body.
        section: &'static str,
    },
    /// The verifying key inside is not the one that the header names.
    #[error("expected key id {}, found {}", hex::encode(expected), hex::encode(found))]
    KeyId {
        /// The header's id.
        expected: [u8; 32],
        /// The id of the key inside.
        found: [u8; 32],
    },
    /// The parts do not make a key.
    #[error("the key file holds no sound key")]
    Key(#[from] KeyError),
}

impl KeyFileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
