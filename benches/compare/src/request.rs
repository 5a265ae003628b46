//! What a worker is asked for.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::name::Name;
use crate::subject::{Cache, Subject};

/// One prover on one circuit.
pub(crate) struct Request {
    pub(crate) subject: Subject,
    pub(crate) prover: Name,
    pub(crate) threads: NonZeroUsize,
    /// Most bytes of the accelerated engine's tables.
    pub(crate) table_bytes_max: usize,
    pub(crate) programs: Programs,
    pub(crate) cache: Cache,
}

/// Programs that the caller may have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    pub(crate) sketch: Option<PathBuf>,
    pub(crate) rapidsnark: Option<PathBuf>,
}
