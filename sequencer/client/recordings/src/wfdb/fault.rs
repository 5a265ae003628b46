//! What is wrong with a record.

use thiserror::Error;

use crate::files::FileError;
use crate::unit::UnknownUnit;

/// A record that is not read.
#[derive(Debug, Error)]
pub enum WfdbError {
    /// A file does not come.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of a header does not read.
    #[error("{header}, line {line}: expected {expected}")]
    Header {
        /// Name of the header's file.
        header: String,
        /// From 1; of what is missing, the last.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The samples are coded in another way.
    #[error("{header}: expected samples in format 16, 24, 61, 80 or 212, found format {found}")]
    Code {
        /// Name of the header's file.
        header: String,
        /// Number of the format.
        found: u32,
    },
    /// Two parts of a record do not belong together.
    #[error("{header}: expected {expected} as the record has, found another")]
    Segment {
        /// Name of the segment's header.
        header: String,
        /// Of what.
        expected: &'static str,
    },
    /// The file of samples is shorter than its header says.
    #[error("{file}: expected {expected} bytes, as its header says, found {found}: it was cut off")]
    Cut {
        /// Name of the file.
        file: String,
        /// Bytes that the header speaks of.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The samples are not those that were written.
    #[error("{file}, signal {signal}: expected the {what} of its header, found another: damaged")]
    Damaged {
        /// Name of the file.
        file: String,
        /// Number of the signal in the segment, from 1.
        signal: usize,
        /// `checksum` or `initial value`.
        what: &'static str,
    },
    /// The channel's unit is none of the signal's.
    #[error("{0}: say which with --unit")]
    Unit(#[from] UnknownUnit),
    /// Segments beyond any length of time.
    #[error("{header}: expected fewer samples than there is time for")]
    TooMany {
        /// Name of the header's file.
        header: String,
    },
}
