//! What is wrong with a file of EDF or BDF.

use thiserror::Error;

use crate::unit::UnknownUnit;

/// A file that is not read. What stands in a field is in no message: some hold a patient's name.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EdfError {
    /// A field of the header does not read.
    #[error("header, {field}{of}: expected {expected}", of = of_signal(*signal))]
    Field {
        /// Which, in the words of the specification.
        field: &'static str,
        /// Of which signal, from 1; `None` of the file's own.
        signal: Option<usize>,
        /// What should stand there.
        expected: &'static str,
    },
    /// The file ends before its header says so.
    #[error("expected {expected} bytes, as the header says, found {found}: it was cut off")]
    Cut {
        /// Bytes that the header speaks of.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A record's annotations do not begin with its time.
    #[error("record {record}: expected its time as the first annotation")]
    Onset {
        /// From 1.
        record: u64,
    },
    /// A channel without samples, or values beyond what a number holds.
    #[error("expected a channel with samples and a duration")]
    NoSamples,
    /// The channel's unit is none of the signal's.
    #[error("{0}: say which with --unit")]
    Unit(#[from] UnknownUnit),
}

fn of_signal(signal: Option<usize>) -> String {
    signal.map_or(String::new(), |signal| format!(" of signal {signal}"))
}
